"""`dragoman usage`: what the ledger says, with or without a running gateway."""

import time
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dragoman.cli.out import dollars, moment, print_json, print_table
from dragoman.cli.settings import AsJson, ConfigFile, settings
from dragoman.cli.times import point

if TYPE_CHECKING:
    from dragoman.ledger.row import Row
    from dragoman.ledger.usage import Totals


def usage(
    *,
    as_json: AsJson = False,
    each: Annotated[bool, typer.Option("--rows", help="Every request, oldest first; as JSON, one a line.")] = False,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="From then on: 2026-11-01, or 7d ago.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before then.")] = None,
    by: Annotated[
        Literal["key", "model", "target", "account", "day"] | None, typer.Option(help="Totals for each.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Requests, tokens and money."""
    from dragoman.ledger import usage as ledger
    from dragoman.ledger.fold import fold
    from dragoman.ledger.report import shown, summary
    from dragoman.ledger.store import Store

    now = time.time()
    span = (point(since, now) if since else None, point(until, now) if until else None)
    state = settings(config).state
    fold(state)
    with Store(state) as store:
        if each:
            if as_json:
                for row in ledger.rows(store, *span):
                    print_json(shown(row))
            else:
                _print_rows(list(ledger.rows(store, *span)))
            return
        totals = ledger.totals(store, *span)
        groups = ledger.totals_by(store, by, *span) if by else None
    if as_json:
        found = summary(totals)
        if groups is not None:
            found |= {"by": by, "groups": [{by: group.name} | summary(group) for group in groups]}
        print_json(found)
    else:
        _print_totals(by, groups, totals)


def _print_totals(by: str | None, groups: "list[Totals] | None", totals: "Totals") -> None:
    columns = ["requests", "errors", "input", "cached", "output", "cost", "unpriced"]
    lines = [_line(group) for group in groups or ()]
    names = [group.name or "(none)" for group in groups or ()]
    if by is None:
        print_table(columns, [_line(totals)], right=columns)
    else:
        total = ("total", *_line(totals))
        rows = [(name, *line) for name, line in zip(names, lines, strict=True)]
        print_table([by, *columns], [*rows, total], right=columns)


def _line(totals: "Totals") -> tuple[object, ...]:
    tokens = totals.tokens
    counts = (totals.requests, totals.errors, tokens.input, tokens.cached, tokens.output)
    return (*(f"{count:,}" for count in counts), dollars(totals.cost), f"{totals.unpriced:,}")


def _print_rows(rows: "list[Row]") -> None:
    columns = ["time", "request", "key", "model", "target", "account", "status", "input", "output", "cost", "ms"]
    lines = [
        (
            moment(row.time),
            row.request_id,
            row.key_name or row.key,
            row.model,
            row.target,
            row.account,
            f"{row.status} {row.error or ''}".strip(),
            row.input,
            row.output,
            dollars(row.cost) or "unknown",
            None if row.total is None else f"{row.total:.0f}",
        )
        for row in rows
    ]
    print_table(columns, lines, right=("input", "output", "cost", "ms"))
