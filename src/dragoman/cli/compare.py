"""`dragoman compare`: models side by side on one's own prompts."""

import asyncio
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
    from dragoman.routing.blind import Better

_KEYS: "dict[str, Better]" = {"l": "left", "r": "right", "t": "tie"}


def compare(
    prompts: Annotated[
        Path,
        typer.Argument(metavar="PROMPTS.jsonl", help="Lines of {id, prompt}; or the folder of an earlier comparison."),
    ],
    *,
    models: Annotated[
        str, typer.Option(metavar="A,B", help="Models or routes. Not needed where the lines have answers.")
    ] = "",
    judges: Annotated[str | None, typer.Option(metavar="J,K", help="Models that judge. Without: no verdict.")] = None,
    vote: Annotated[bool, typer.Option("--vote", help="You judge too, without being told who answered.")] = False,
    voter: Annotated[str, typer.Option(metavar="NAME", help="What you are called in the report.")] = "you",
    seed: Annotated[int, typer.Option(help="Of the order and the places in which answers are voted on.")] = 0,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="For report.html, .json and outcomes.jsonl.")] = Path(
        "comparison"
    ),
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many prompts.")] = None,
    parallel: Annotated[int, typer.Option(min=1, help="Calls at a time.")] = 4,
    as_json: AsJson = False,
    config_file: ConfigFile = None,
) -> None:
    """Ask several models the same, and see answers, verdict, price and speed."""
    from dragoman.gateway.comparison_files import NoComparison, check_free, create, read, report

    try:
        if prompts.is_dir():
            out, made = prompts, read(prompts)
        else:
            found = settings(config_file)
            asked = _prompts(prompts)[:limit]
            if not asked:
                raise typer.BadParameter(f"{prompts} has no prompts")
            names = _names(models) or list(dict.fromkeys(each.model for line in asked for each in line.answers))
            if len(names) < 2:
                raise typer.BadParameter("two models at least", param_hint="--models")
            check_free(out)
            made = asyncio.run(_run(found, names, asked, _names(judges or ""), parallel))
            made.seed = seed
            create(out, made, found.state.path)
    except NoComparison as error:
        raise typer.BadParameter(str(error)) from None
    if vote:
        _vote(out, made, voter)
    told = report(out, read(out))
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


def _vote(folder: Path, made: "Comparison", voter: str) -> None:
    """Asks whoever sits at the terminal: two answers side by side, without names."""
    from dragoman.gateway.comparison_files import vote

    if voter in made.judges:
        raise typer.BadParameter(f"{voter} is one of the judges: take another name", param_hint="--voter")
    pairs, voted = made.ballot(voter)
    for number, pair in enumerate(pairs):
        if number in voted:
            continue
        typer.echo(f"\n=== {number + 1} of {len(pairs)}: {made.asked(pair.prompt)}\n")
        print_table(["left", "right"], [[made.text(pair.prompt, model) for model in (pair.left, pair.right)]])
        better = _KEYS.get(typer.prompt("Better: l(eft), r(ight), t(ie), or q to stop", type=str).strip().lower()[:1])
        if better is None:
            return
        vote(folder, pair.voted(voter, better))


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
        how = f"{judge['comparisons']} votes" if judge["person"] else f"swayed by the order in {judge['swayed']:.0%}"
        typer.echo(f"- {judge['judge']}: {views}; {how}")
    typer.echo(f"{folder / 'report.html'} has the answers; {folder / 'outcomes.jsonl'} is for `dragoman router train`")
    typer.echo(f"Blind votes: `dragoman compare {folder} --vote`, or /console/votes of a gateway on this state")
