"""Outcomes files: what models made of questions. JSON lines, plain or `.gz` (the contract's format)."""

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct


class Outcome(Struct, frozen=True):
    """What one model made of one question. `quality` 0..1."""

    quality: Annotated[float, Meta(ge=0, le=1)]
    output_tokens: Annotated[float, Meta(ge=0)] | None = None
    cost_usd: Annotated[float, Meta(ge=0)] | None = None


class Question(Struct, frozen=True, kw_only=True):
    """A question, as in a file to be scored."""

    id: str
    prompt: str
    task: str | None = None
    category: str | None = None


class Answered(Question, frozen=True, kw_only=True):
    """A question with outcomes by model."""

    outcomes: dict[str, Outcome]


_FORM: dict[type[Question], str] = {
    Question: 'expected {"id": …, "prompt": …} on every line',
    Answered: 'expected {"id": …, "prompt": …, "outcomes": {"a-model": {"quality": 0..1}}} on every line',
}
T = TypeVar("T", bound=Question)


class OutcomesError(RuntimeError):
    """A line that can't be read: file, line, and what is wrong with it."""


def answered(paths: Sequence[Path]) -> list[Answered]:
    """All lines of the files, in order. Raises `OutcomesError`."""
    return [row for path in paths for row in _lines(path, Answered)]


def questions(path: Path) -> list[Question]:
    """The lines of a file of questions; outcomes, where there are any, are not looked at. Raises `OutcomesError`."""
    return list(_lines(path, Question))


def _lines(path: Path, kind: type[T]) -> Iterator[T]:
    decode = msgspec.json.Decoder(kind).decode
    found = False
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line  # what Windows begins files with
                if not line.strip():
                    continue
                found = True
                try:
                    yield decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise OutcomesError(f"{path}: line {number}: {error}: {_FORM[kind]}") from None
    except (EOFError, gzip.BadGzipFile) as error:
        raise OutcomesError(f"{path}: not a whole gzip file ({error}): copy it again") from None
    if not found:
        raise OutcomesError(f"{path}: no line in it: {_FORM[kind]}")
