"""How commands print: JSON for programs, tables for people."""

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
import typer


def print_json(value: object) -> None:
    """`value` as one line of JSON."""
    typer.echo(msgspec.json.encode(value).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[str] = ()) -> None:
    """A table; the columns named in `right` are aligned to the right. None shows as nothing. Lines are cut to a
    terminal's width, but not in a file or pipe."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 1000)
    console.print(table)


def dollars(pico: int | None) -> str | None:
    """Pico-dollars for people: cents, or as many digits as show something."""
    if pico is None:
        return None
    amount = pico / 10**12
    return f"${amount:,.2f}" if amount >= 1 or not pico else f"${amount:.4g}"


def moment(seconds: float | None) -> str | None:
    """Unix seconds for people, UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
