"""What can be learned from: decisions with their outcome and somebody's word on the answer."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dragoman.catalog.prices import PICO
from dragoman.ledger.row import Row
from dragoman.routing.record import Record, read

if TYPE_CHECKING:
    from dragoman.ledger.decisions import Feedback, Found

SHADOW = "shadow:"  # and the judge: the source of what was said of an answer beside that of another model


class Experience(Struct, frozen=True, kw_only=True):
    """A decision, and how good the answer was found to be: the mean of what was said of it."""

    record: Record
    row: Row
    quality: float

    def outcome(self) -> dict[str, Any] | None:
        """As a line of an outcomes file; None where the prompt was not kept."""
        record = self.record
        chosen = record.decision.chosen(record.case)
        if chosen is None:
            return None
        return _line(record, {chosen.name: _outcome(self.row, self.quality)})


def judged_records(found: "Iterable[Found]") -> Iterator[Experience]:
    """Those that the chosen model answered, and that somebody judged. What was said beside another answer is left out:
    it is a score of the two, see `shadow_outcomes`."""
    for each in found:
        quality = _mean(said for said in each.feedback if not said.source.startswith(SHADOW))
        record = None if each.record is None or each.row.error is not None else read(each.record)
        # an attempt that failed: another than the chosen one may have answered
        if quality is not None and record is not None and not any(attempt.failure for attempt in record.attempts):
            yield Experience(record=record, row=each.row, quality=quality)


def shadow_outcomes(found: "Iterable[Found]", find: "Callable[[str], Found | None]") -> Iterator[dict[str, Any] | None]:
    """Of each decision whose answer was judged beside its shadow's: both, as a line of an outcomes file; None where the
    prompt was not kept. `find` looks a decision up."""
    for each in found:
        record = None if each.record is None else read(each.record)
        if record is None or record.shadow is None or (other := find(record.shadow.decision)) is None:
            continue
        chosen = record.decision.chosen(record.case)
        scores = [_mean(s for s in one.feedback if s.source.startswith(SHADOW)) for one in (each, other)]
        first, second = scores
        if chosen is not None and first is not None and second is not None:
            yield _line(
                record,
                {chosen.name: _outcome(each.row, first), record.shadow.model: _outcome(other.row, second)},
            )


def _mean(feedback: "Iterable[Feedback]") -> float | None:
    qualities = [said.quality for said in feedback if said.quality is not None]
    return sum(qualities) / len(qualities) if qualities else None


def _outcome(row: Row, quality: float) -> dict[str, Any]:
    cost = {} if row.cost is None else {"cost_usd": row.cost / PICO}
    return {"quality": quality, "output_tokens": row.output} | cost


def _line(record: Record, outcomes: dict[str, Any]) -> dict[str, Any] | None:
    if record.prompt is None:
        return None
    line: dict[str, Any] = {"id": record.id, "prompt": record.prompt, "outcomes": outcomes}
    tags = {"task": record.task, "category": record.category}
    return line | {name: value for name, value in tags.items() if value is not None}
