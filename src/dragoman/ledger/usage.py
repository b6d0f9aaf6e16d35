"""What people ask of the ledger: totals, totals by something, and the rows. The caller folds the journal first."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, case, func, select

from dragoman.ledger import schema
from dragoman.ledger.row import COLUMNS, Row
from dragoman.ledger.store import Store

By: TypeAlias = Literal["key", "model", "target", "account", "day"]
_COUNTS = ("input", "cached", "cache_write", "output", "reasoning", "audio_input", "audio_output")
_SPLIT = 10**9  # sums of pico-dollars are made in two parts: SQLite's sum ends at 9 million dollars


class Tokens(Struct):
    """Totals are inclusive, as in `canon.usage`."""

    input: int = 0
    cached: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0


class Totals(Struct, kw_only=True):
    """`cost` is pico-dollars of the rows with a price; `unpriced` counts rows with tokens and no price."""

    name: str | None = None
    requests: int = 0
    errors: int = 0
    cost: int = 0
    unpriced: int = 0
    tokens: Tokens


def totals(store: Store, since: float | None = None, until: float | None = None) -> Totals:
    """The sums over rows with since <= time < until, Unix seconds."""
    with store.read() as connection:
        row = connection.execute(select(*_sums()).where(*_between(since, until))).one()
    return _totals(None, row)


def totals_by(store: Store, by: By, since: float | None = None, until: float | None = None) -> list[Totals]:
    """The sums for each key (its id), model, target, account or day (UTC); the dearest first, days in order."""
    column = schema.usage.c[by]
    statement = select(column, *_sums()).where(*_between(since, until)).group_by(column)
    with store.read() as connection:
        found = [_totals(row[0], row[1:]) for row in connection.execute(statement)]
    if by == "day":
        return sorted(found, key=lambda each: each.name or "")
    return sorted(found, key=lambda each: (-each.cost, -each.requests, each.name or ""))


def rows(store: Store, since: float | None = None, until: float | None = None) -> Iterator[Row]:
    """The rows, oldest first. They come from the database as they are used, not all at once."""
    table = schema.usage
    columns = [table.c[name] for name in COLUMNS]
    order = (table.c.time, table.c.request_id)
    with store.read() as connection:
        statement = select(*columns).where(*_between(since, until)).order_by(*order)
        for found in connection.execution_options(yield_per=500).execute(statement):
            yield row_of(found)


def row_of(found: Sequence[Any]) -> Row:
    """The row that the values of `COLUMNS` make."""
    fields = dict(zip(COLUMNS, found, strict=True))
    for name in ("shares", "lossy", "tags"):
        fields[name] = msgspec.json.decode(fields[name])
    return msgspec.convert(fields, Row, strict=False)


def _between(since: float | None, until: float | None) -> list[ColumnElement[bool]]:
    time = schema.usage.c.time
    return ([time >= since] if since is not None else []) + ([time < until] if until is not None else [])


def _sums() -> list[ColumnElement[Any]]:
    c = schema.usage.c
    unpriced = case((c.cost.is_(None) & (c.input + c.output > 0), 1), else_=0)
    return [
        func.count(),
        func.sum(case((c.status >= 400, 1), (c.error.is_not(None), 1), else_=0)),
        func.sum(c.cost // _SPLIT),
        func.sum(c.cost % _SPLIT),
        func.sum(unpriced),
        *(func.sum(c[name]) for name in _COUNTS),
    ]


def _totals(name: str | None, row: Any) -> Totals:
    requests, errors, whole, rest, unpriced, *tokens = (int(value or 0) for value in row)
    return Totals(
        name=name,
        requests=requests,
        errors=errors,
        cost=whole * _SPLIT + rest,
        unpriced=unpriced,
        tokens=Tokens(*tokens),
    )
