"""`dragoman compare`: models side by side on one's own prompts."""

import asyncio
import itertools
import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from dragoman.cli.out import print_json, print_table
from dragoman.cli.settings import AsJson, ConfigFile, settings

if TYPE_CHECKING:
    from dragoman import config
    from dragoman.gateway.comparing import Comparison, Prompt
    from dragoman.ledger.row import Row
    from dragoman.routing.panel import Judged


def compare(
    prompts: Annotated[Path, typer.Argument(metavar="PROMPTS.jsonl", help="Lines of {id, prompt}; an outcomes file.")],
    *,
    models: Annotated[
        str, typer.Option(metavar="A,B", help="Models or routes. Not needed where the lines have answers.")
    ] = "",
    judges: Annotated[str | None, typer.Option(metavar="J,K", help="Models that judge. Without: no verdict.")] = None,
    vote: Annotated[bool, typer.Option("--vote", help="You judge too, without being told who answered.")] = False,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="For report.html, .json and outcomes.jsonl.")] = Path(
        "comparison"
    ),
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many prompts.")] = None,
    parallel: Annotated[int, typer.Option(min=1, help="Calls at a time.")] = 4,
    as_json: AsJson = False,
    config_file: ConfigFile = None,
) -> None:
    """Ask several models the same, and see answers, verdict, price and speed."""
    from dragoman.cli.compare_report import page, summary

    read = _prompts(prompts)[:limit]
    if not read:
        raise typer.BadParameter(f"{prompts} has no prompts")
    names = _names(models) or list(dict.fromkeys(each.model for prompt in read for each in prompt.answers))
    if len(names) < 2:
        raise typer.BadParameter("two models at least", param_hint="--models")
    made = asyncio.run(_run(settings(config_file), names, read, _names(judges or ""), parallel))
    if vote:
        made.verdicts += _votes(made, random.Random())  # noqa: S311 - which answer is shown first
        made.judges.append("you")
    told = summary(made)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(told)))
    (out / "report.html").write_text(page(made, told))
    (out / "outcomes.jsonl").write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in made.outcomes()))
    if as_json:
        print_json(told)
    else:
        _print(told, out)
    raise typer.Exit(1 if all(each.error for each in made.answers) else 0)


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _prompts(path: Path) -> "list[Prompt]":
    from dragoman.gateway.comparing import Prompt

    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if line.strip():
            try:
                each = msgspec.json.decode(line, type=Prompt)
            except msgspec.DecodeError as error:
                raise typer.BadParameter(f"{path}, line {number}: {error}") from None
            each.id = each.id or f"line-{number}"
            found.append(each)
    if len({each.id for each in found}) < len(found):
        raise typer.BadParameter(f"{path}: two prompts have the same id")
    return found


async def _run(
    found: "config.Config", models: list[str], prompts: "list[Prompt]", judges: list[str], parallel: int
) -> "Comparison":
    from dragoman.access.keys import KeyBook
    from dragoman.gateway import Gateway
    from dragoman.gateway.comparing import Comparer
    from dragoman.ledger.journal import Journal
    from dragoman.server.serve import make_client

    found.access.mode = "open"  # who can read config and state needs no gateway key
    rows: dict[str, Row] = {}
    gateway = Gateway(
        found,
        client=make_client(found),
        journal=Journal(found.state.path),
        keys=KeyBook(found.state, found.access.admin_key),
        observe=lambda row: rows.update({row.request_id: row}),
    )
    try:
        return await Comparer(gateway, rows, parallel).compare(
            models, prompts, judges, lambda line: typer.echo(line, err=True)
        )
    finally:
        await gateway.close()


def _votes(made: "Comparison", chance: random.Random) -> "list[Judged]":
    """Asks whoever sits at the terminal, answers in random order and without names."""
    from dragoman.routing.panel import Judged

    found: list[Judged] = []
    for prompt in made.prompts:
        pair = [each for each in made.answers if each.prompt == prompt.id and not each.error]
        chance.shuffle(pair)
        for one, other in itertools.pairwise(pair):
            typer.echo(f"\n=== {prompt.prompt}\n\n--- 1\n{one.text}\n\n--- 2\n{other.text}\n")
            said = typer.prompt("Better: 1, 2, t for a tie, or q to stop", type=str).strip().lower()
            if said.startswith("q"):
                return found
            score = {"1": 1.0, "2": 0.0}.get(said, 0.5)
            found.append(Judged(prompt=prompt.id, judge="you", one=one.model, other=other.model, score=score))
    return found


def _print(told: dict[str, Any], folder: Path) -> None:
    columns = ["model", "score", "errors", "per answer", "per thousand", "first", "total", "tokens/s"]
    lines = []
    for each in told["models"]:
        score = each["score"]
        cost = each["cost_per_answer_usd"]
        lines.append(
            (
                each["model"],
                "" if score is None else f"{score:.2f} ({each['score_low']:.2f} to {each['score_high']:.2f})",
                each["errors"] or "",
                "unknown" if cost is None else f"${cost:.4g}",
                "unknown" if cost is None else f"${1000 * cost:,.2f}",
                *("" if each[key] is None else f"{each[key]:,.0f} ms" for key in ("ttft_ms", "total_ms")),
                "" if each["tokens_per_s"] is None else f"{each['tokens_per_s']:.0f}",
            )
        )
    print_table(columns, lines, right=columns[1:])
    typer.echo(told["verdict"])
    for judge in told["judges"]:
        views = ", ".join(f"{model} {score:.2f}" for model, score in judge["scores"].items())
        typer.echo(f"- {judge['judge']}: {views}; swayed by the order in {judge['swayed']:.0%}")
    typer.echo(f"{folder / 'report.html'} has the answers; {folder / 'outcomes.jsonl'} is for `dragoman router train`")
