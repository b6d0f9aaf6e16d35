"""`dragoman decisions`: what was chosen and why, with or without a running gateway."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from dragoman.cli.explain import print_explanation
from dragoman.cli.out import moment, print_json, print_table
from dragoman.cli.settings import AsJson, ConfigFile, settings
from dragoman.cli.times import point

if TYPE_CHECKING:
    from dragoman.gateway.experience import Experience
    from dragoman.ledger.decisions import Found


def decisions(
    decision: Annotated[str | None, typer.Argument(metavar="[ID]", help="x-dragoman-decision or x-request-id.")] = None,
    *,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    every: Annotated[bool, typer.Option("--all", help="Also of requests for a plain model.")] = False,
    outcomes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write judged decisions as outcomes, for `router train`.")
    ] = None,
    evaluate: Annotated[
        Path | None, typer.Option(metavar="ARTIFACT", help="What it would have been worth on judged decisions.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="From then on: 2026-11-01, or 7d ago.")] = None,
    config: ConfigFile = None,
) -> None:
    """What routes chose; of one decision, everything; of the judged ones, what can be learned from them."""
    from dragoman.gateway.decisions import told
    from dragoman.gateway.experience import judged_records, shadow_outcomes
    from dragoman.ledger.decisions import find, recent
    from dragoman.ledger.fold import fold
    from dragoman.ledger.store import Store

    state = settings(config).state
    fold(state)
    with Store(state) as store:
        if decision is not None:
            found = find(store, decision)
            if found is None:
                typer.echo(f"dragoman: no decision or request has the id {decision}", err=True)
                raise typer.Exit(1)
            answer = told(found)
            if as_json:
                print_json(answer)
            else:
                _print_one(answer)
            return
        start = point(since, time.time()) if since else None
        if outcomes is not None or evaluate is not None:
            logged = list(recent(store, since=start))
            judged = list(judged_records(logged))
            if outcomes is not None:
                pairs = shadow_outcomes(logged, lambda wanted: find(store, wanted))
                _write_outcomes(outcomes, [*(each.outcome() for each in judged), *pairs])
            if evaluate is not None:
                _print_value(evaluate, judged, as_json)
            return
        several = list(recent(store, since=start, limit=limit, routed=not every))
    if as_json:
        for each in several:
            print_json(told(each))
    else:
        _print_several(several)


def _print_several(several: "list[Found]") -> None:
    from dragoman.routing.record import read

    lines = []
    for each in several:
        row, record = each.row, read(each.record) if each.record else None
        chosen = record.decision.chosen(record.case) if record else None
        lines.append(
            (
                moment(row.time),
                row.decision,
                row.model,
                chosen.name if chosen else None if record else row.model,
                record.decision.reason if record else "direct",
                None if record is None or record.decision.margin is None else f"{record.decision.margin:.3f}",
                row.target,
                f"{row.status} {row.error or ''}".strip(),
            )
        )
    print_table(["time", "decision", "asked for", "chosen", "reason", "margin", "target", "status"], lines, ["margin"])


def _print_one(answer: dict[str, Any]) -> None:
    happened = answer["happened"]
    typer.echo(f"{answer['id']}, {moment(answer['time'])} UTC")
    if answer["candidates"]:
        print_explanation(answer)
    else:
        typer.echo(f"{answer['model']}: {answer['why']}")
    cost = happened["cost_usd"]
    tokens, times = happened["tokens"], happened["times"]
    error = f" {happened['error']}" if happened["error"] else ""
    took = "" if times["total"] is None else f", {times['total']:,.0f} ms"
    typer.echo(
        f"Happened: {happened['status']}{error} from {happened['target'] or 'nobody'}, "
        f"attempts {happened['attempts']}, {tokens['input']:,} tokens in, {tokens['output']:,} out, "
        f"{'cost unknown' if cost is None else f'${cost:.4g}'}{took}"
    )
    if shadow := answer.get("shadow"):
        typer.echo(f"Shadow: {shadow['model']} was drawn to be asked the same, as {shadow['decision']}")
    for said in answer["feedback"]:
        quality = said.get("quality")
        verdict = [] if quality is None else [f"quality {quality:.2f}"]
        instead = [f"better {said['corrected']}"] if said.get("corrected") else []
        typer.echo(f"Feedback of {said['source']}: {', '.join(verdict + instead)}")


def _write_outcomes(path: Path, judged: list[dict[str, Any] | None]) -> None:
    lines = [line for line in judged if line is not None]
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    without = len(judged) - len(lines)
    more = f"; {without} judged ones have no prompt: set record_prompts on the route" if without else ""
    typer.echo(f"{path}: {len(lines)} outcomes{more}")


def _print_value(artifact: Path, judged: "list[Experience]", as_json: bool) -> None:
    """Off-policy: the mean quality that the routes would have had with this artifact, from what was logged."""
    from importlib import import_module

    from dragoman.routing.offpolicy import evaluate, rethought

    predictor = import_module("dragoman.routing.predictor").load(artifact)
    thought = rethought([(each.record, each.quality) for each in judged], predictor)
    if not thought:
        typer.echo("dragoman: no judged decision has its prompt kept: set record_prompts on the route", err=True)
        raise typer.Exit(1)
    value = evaluate(thought)
    if as_json:
        print_json(value)
        return
    names = {"logged": "as it was", "ips": "IPS", "snips": "SNIPS", "dr": "doubly robust"}
    lines = []
    for name, label in names.items():
        mean, (low, high) = getattr(value, name).mean, getattr(value, name).interval()
        lines.append((label, f"{mean:.3f}", f"{low:.3f} to {high:.3f}"))
    print_table(["estimate of", "quality", "95 %"], lines, ["quality"])
    typer.echo(
        f"{value.decisions} judged decisions; it would have chosen the same in {value.agreement:.0%}; of its choices "
        f"{value.overlap:.0%} could have been logged (the rest rests on predictions alone: set explore)"
    )
