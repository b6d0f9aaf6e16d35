"""What the ledger knows of decisions: their records, the rows of their requests, and what was said of the answers.

A request for a plain model has a decision id too, but no record: its row says all there is.
"""

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, and_, insert, select

from dragoman.ledger import schema
from dragoman.ledger.row import COLUMNS, Row
from dragoman.ledger.store import Store
from dragoman.ledger.usage import row_of


class Feedback(Struct, kw_only=True, omit_defaults=True):
    """What somebody said of an answer. `quality` is 0..1; `corrected` the model that should have answered; `source` who
    or what judged: `user`, `reviewer`, `test`, `judge:gpt-5`, …"""

    decision: str
    time: float
    key: str | None = None
    quality: float | None = None
    corrected: str | None = None
    source: str = "user"


class Found(Struct, kw_only=True):
    """A decision as the ledger has it. `record` is JSON; None for a request for a plain model."""

    row: Row
    record: str | None = None
    feedback: list[Feedback]


def find(store: Store, decision: str) -> Found | None:
    """The decision of that id, or of the request of that id."""
    request = decision if decision.startswith("req") else "req" + decision.removeprefix("dec")
    found = list(_read(store, _joined().where(schema.usage.c.request_id == request)))
    return found[0] if found else None


def recent(
    store: Store, since: float | None = None, until: float | None = None, limit: int | None = None, routed: bool = True
) -> Iterator[Found]:
    """Decisions of requests with since <= time < until, the newest first; `routed`: only those that have a record."""
    time = schema.usage.c.time
    wanted: list[ColumnElement[bool]] = [] if since is None else [time >= since]
    wanted += [] if until is None else [time < until]
    wanted += [schema.decisions.c.record.is_not(None)] if routed else []
    order = (time.desc(), schema.usage.c.request_id.desc())
    return _read(store, _joined().where(and_(True, *wanted)).order_by(*order).limit(limit))


def say(store: Store, feedback: Feedback) -> bool:
    """Keeps `feedback`; whether there is such a decision."""
    if find(store, feedback.decision) is None:
        return False
    with store.write() as connection:
        connection.execute(
            insert(schema.feedback).values(
                id=secrets.token_hex(12),
                decision="dec" + feedback.decision.removeprefix("dec").removeprefix("req"),
                time=feedback.time,
                key=feedback.key,
                quality=feedback.quality,
                corrected=feedback.corrected,
                source=feedback.source,
            )
        )
    return True


def _joined() -> Select[Any]:
    usage, decisions = schema.usage, schema.decisions
    return select(*(usage.c[name] for name in COLUMNS), decisions.c.record).select_from(
        usage.outerjoin(decisions, decisions.c.id == usage.c.decision)
    )


def _read(store: Store, statement: Select[Any]) -> Iterator[Found]:
    with store.read() as connection:
        result = connection.execution_options(yield_per=500).execute(statement)
        for some in result.partitions():
            said = _feedback(store, [str(each[COLUMNS.index("decision")]) for each in some])
            for *row, record in some:
                made = row_of(row)
                yield Found(row=made, record=record, feedback=said.get(str(made.decision), []))


def _feedback(store: Store, decisions: Sequence[str]) -> dict[str, list[Feedback]]:
    table = schema.feedback
    columns = [table.c[name] for name in Feedback.__struct_fields__]
    found: dict[str, list[Feedback]] = {}
    with store.read() as connection:
        for values in connection.execute(
            select(*columns).where(table.c.decision.in_(decisions)).order_by(table.c.time)
        ):
            said = Feedback(**dict(zip(Feedback.__struct_fields__, values, strict=True)))
            found.setdefault(said.decision, []).append(said)
    return found
