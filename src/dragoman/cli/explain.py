"""`dragoman explain`: the decision for a request, without calling anyone."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from dragoman.cli.out import print_json, print_table
from dragoman.cli.settings import AsJson, ConfigFile, settings


def explain(
    request: Annotated[str, typer.Argument(metavar="REQUEST.json", help="A request's body; - for standard input.")],
    *,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="Instead of the request's.")] = None,
    constraints: Annotated[
        str | None, typer.Option(metavar="TEXT", help="As the header has them: mode=cost; max_cost_usd=0.002")
    ] = None,
    dialect: Annotated[str | None, typer.Option(help="The request's dialect. Default: as it looks.")] = None,
    as_json: AsJson = False,
    config_file: ConfigFile = None,
) -> None:
    """Every candidate, what it scores, and why it is chosen or ruled out."""
    from dragoman.canon import Failed
    from dragoman.catalog.directory import Directory
    from dragoman.catalog.prices import PriceBook
    from dragoman.dialects.fields import Malformed
    from dragoman.gateway.decisions import think
    from dragoman.gateway.router import Router

    found = settings(config_file)
    body = sys.stdin.buffer.read() if request == "-" else Path(request).read_bytes()
    prices = PriceBook(found)
    router = Router(found, Directory(found, prices), prices)
    _learn(router, found.state)
    if model is None and b'"model"' not in body and found.routes:
        model = found.routes[0].name
    try:
        answer = think(router, body, now=time.time(), header=constraints, model=model, dialect=dialect)
    except Malformed as error:
        raise typer.BadParameter(str(error)) from None
    except Failed as error:
        raise typer.BadParameter(error.failure.message) from None
    if as_json:
        print_json(answer)
    else:
        print_explanation(answer)


def _learn(router: Any, state: Any) -> None:
    """How fast the targets were lately, where this machine's ledger knows."""
    from dragoman.ledger import journal

    if not (state.database != "sqlite" or (state.path / "ledger.sqlite").exists() or journal.files(state.path)):
        return
    from dragoman.ledger import usage
    from dragoman.ledger.fold import fold
    from dragoman.ledger.store import Store

    fold(state)
    with Store(state) as store:
        for row in usage.rows(store, since=time.time() - 3600):
            router.observe(row, None, row.time)


def print_explanation(answer: dict[str, Any]) -> None:
    """An explanation for people: what was asked, the table, and what would have changed the choice."""
    from dragoman.routing.narrate import COLUMNS, table

    limits = {key: value for key, value in answer["constraints"].items() if key not in ("mode", "tags")}
    limits |= {f"tag.{name}": value for name, value in answer["constraints"].get("tags", ())}
    said = "; ".join(f"{key}={_flat(value)}" for key, value in limits.items()) or "none"
    typer.echo(f"{answer['model']}, mode {answer['mode']}. Constraints: {said}")
    needs = ", ".join(answer["needs"]) or "nothing special"
    typer.echo(
        f"The request needs {needs}; about {answer['input_tokens']:,} tokens in; stage: {answer['stage']}. "
        f"Quality by {answer['predictor']}, novelty {answer['novelty']:.2f}"
    )
    if answer.get("floor"):
        typer.echo(f"Quality floor {answer['floor']}")
    print_table(COLUMNS, table(answer), right=("quality", "cost", "first", "total", "utility"))
    if answer["chosen"]:
        margin = "" if answer["margin"] is None else f", {answer['margin']:+.3f} against the next"
        typer.echo(f"Chosen: {answer['chosen']} ({answer['target']}): {answer['why']}{margin}")
    else:
        nearest = answer.get("relaxation")
        typer.echo("Nothing fits." + (f" Nearest: {nearest['text']}" if nearest else ""))
    for line in [*answer["counterfactuals"], *answer.get("notes", [])]:
        typer.echo(f"- {line}")
    if any("?" in cell for line in table(answer) for cell in line[4:6]):
        typer.echo("? no traffic to measure yet: a prior, which rules nothing out")


def _flat(value: object) -> str:
    return ",".join(str(each) for each in value) if isinstance(value, list | tuple) else str(value)
