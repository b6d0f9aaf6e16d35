"""The record of one decision: the case it was made on, what was decided, and what came of it. Law: one decision, one
record, which replays bit for bit.

No secrets, and no content but where a route has `record_prompts`: else a digest of the prompt. What the request took
(tokens, cost, times) is in the ledger's row of the same request, and is joined when the record is read.
"""

import msgspec
from msgspec import Struct, field

from dragoman.routing.decide import Case, Decision, decide
from dragoman.routing.estimate import UNKNOWN, Estimate, Predictor, Query
from dragoman.routing.needs import digest_of

VERSION = 1  # of the rules in `decide`: a record of another version is shown, not replayed


class Attempt(Struct, omit_defaults=True):
    """One call made upstream. `failure` is its kind; None: it answered."""

    target: str
    account: str
    failure: str | None = None


class Beside(Struct, frozen=True):
    """The same request, asked of `model` in the background: by which decision id, and how likely that was."""

    decision: str
    model: str
    chance: float


class Record(Struct, kw_only=True, omit_defaults=True):
    """One decision. `time` is Unix seconds."""

    id: str
    time: float
    route: str
    case: Case
    decision: Decision
    digest: str = ""  # of the prompt
    turns: int = 1
    task: str | None = None
    category: str | None = None
    prompt: str | None = None  # only where the route has record_prompts
    attempts: list[Attempt] = field(default_factory=list)
    shadow: Beside | None = None  # drawn; where there was no room for it in the end, there is no such decision
    known_as: list[str] = field(default_factory=list)  # the options' names to the predictor, where they differ
    notes: list[str] = field(default_factory=list)  # what the reader should know: a drifted model, a missing artifact
    version: int = VERSION


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


def written(record: Record) -> msgspec.Raw:
    """The record as it is stored."""
    return msgspec.Raw(_encode(record))


def read(stored: bytes | str | msgspec.Raw) -> Record:
    """A stored record. Raises `msgspec.DecodeError` where it is none."""
    return _decode(stored)


class Unreplayable(Exception):
    """The record can't be replayed as asked; the message says why."""


def replay(record: Record, predictor: Predictor | None = None, prompt: str | None = None) -> Decision:
    """What is decided on the record's case now: the same, bit for bit, unless the code is wrong.

    With `predictor` and a prompt (the record's own, else `prompt`), the estimates are made anew too. Raises
    `Unreplayable` for a record of other rules, another artifact or another prompt."""
    if record.version != VERSION:
        raise Unreplayable(f"record {record.id} is of version {record.version} of the rules, these are {VERSION}")
    case = record.case
    if predictor is not None:
        if predictor.name != case.predictor:
            raise Unreplayable(f'record {record.id} was made with "{case.predictor}", not with "{predictor.name}"')
        case = msgspec.structs.replace(case, **re_estimated(record, predictor, prompt))
    return decide(case)


def re_estimated(
    record: Record, predictor: Predictor, prompt: str | None = None
) -> dict[str, str | float | list[Estimate]]:
    """What `predictor` says of the record's query, as fields of its case. Raises `Unreplayable` without a prompt."""
    text = record.prompt if record.prompt is not None else prompt
    if text is None:
        raise Unreplayable(f"record {record.id} has no prompt: give it, or set record_prompts on the route")
    if digest_of(text) != record.digest:
        raise Unreplayable(f"this is not the prompt of record {record.id}: its digest differs")
    names = record.known_as or [option.name for option in record.case.options]
    found = predictor.predict(Query(prompt=text, task=record.task, category=record.category), names)
    return {
        "predictor": predictor.name,
        "novelty": found.novelty,
        "estimates": [found.candidates.get(name, UNKNOWN) for name in names],
    }
