"""What can be learned from: decisions with their outcome and somebody's word on the answer."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dragoman.catalog.prices import PICO
from dragoman.ledger.row import Row
from dragoman.routing.record import Record, read

if TYPE_CHECKING:
    from dragoman.ledger.decisions import Found


class Experience(Struct, frozen=True, kw_only=True):
    """A decision, and how good the answer was found to be: the mean of what was said of it."""

    record: Record
    row: Row
    quality: float

    def outcome(self) -> dict[str, Any] | None:
        """As a line of an outcomes file; None where the prompt was not kept."""
        record, row = self.record, self.row
        chosen = record.decision.chosen(record.case)
        if record.prompt is None or chosen is None:
            return None
        outcome: dict[str, Any] = {"quality": self.quality, "output_tokens": row.output}
        if row.cost is not None:
            outcome["cost_usd"] = row.cost / PICO
        line: dict[str, Any] = {"id": record.id, "prompt": record.prompt, "outcomes": {chosen.name: outcome}}
        tags = {"task": record.task, "category": record.category}
        return line | {name: value for name, value in tags.items() if value is not None}


def judged_records(found: "Iterable[Found]") -> Iterator[Experience]:
    """Those that the chosen model answered, and that somebody judged."""
    for each in found:
        qualities = [said.quality for said in each.feedback if said.quality is not None]
        if each.record is None or not qualities or each.row.error is not None:
            continue
        record = read(each.record)
        if any(attempt.failure for attempt in record.attempts):
            continue  # another than the chosen one may have answered
        yield Experience(record=record, row=each.row, quality=sum(qualities) / len(qualities))
