"""The report of a comparison: its numbers, and a page with everything in one file."""

import statistics
from collections.abc import Sequence
from html import escape
from typing import Any

import msgspec

from dragoman.gateway.comparing import Answered, Comparison
from dragoman.routing.panel import splits, standings, winner

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}.bar{background:#4a7fb5;height:.6rem;display:inline-block}
details{border:1px solid #ddd;border-radius:.4rem;padding:.5rem 1rem;margin:.5rem 0}
.answers{display:flex;gap:1rem;flex-wrap:wrap}.answers div{flex:1 1 20rem;min-width:0}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:13px/1.45 ui-monospace,monospace}.bad{color:#a33}
"""


def summary(made: Comparison) -> dict[str, Any]:
    """The comparison in numbers; `verdict` is a sentence."""
    said = made.said()
    found = standings(said)
    people = {each.judge for each in made.votes}
    by_model = {each.model: each for each in found}
    best = winner(found)
    if not found:
        verdict = "No verdict: nobody judged (--judges, --vote)."
    elif best is not None:
        verdict = f"The panel prefers {best}."
    else:
        verdict = "The panel can't tell them apart on these prompts: ship the cheaper or the faster one."
    models = []
    for name in made.models:
        standing = by_model.get(name)
        models.append(
            {
                "model": name,
                "score": standing.score if standing else None,
                "score_low": standing.low if standing else None,
                "score_high": standing.high if standing else None,
            }
            | _measured(made.of(name))
        )
    return {
        "prompts": len(made.prompts),
        "models": models,
        "winner": best,
        "verdict": verdict,
        "judges": [msgspec.to_builtins(each) | {"person": each.judge in people} for each in splits(said)],
        "judging_usd": made.judging_usd,
        "answers": [msgspec.to_builtins(each) for each in made.answers],
        "verdicts": [msgspec.to_builtins(each) for each in said],
    }


def _measured(answers: list[Answered]) -> dict[str, Any]:
    good = [each for each in answers if not each.error]
    costs = [each.cost_usd for each in good if each.cost_usd is not None]
    speeds = [
        each.output_tokens * 1000 / (each.total_ms - each.ttft_ms)
        for each in good
        if each.total_ms is not None and each.ttft_ms is not None and each.total_ms - each.ttft_ms > 1
    ]
    return {
        "answers": len(good),
        "errors": len(answers) - len(good),
        "cost_per_answer_usd": statistics.fmean(costs) if costs and len(costs) == len(good) else None,
        "cost_per_thousand_usd": 1000 * statistics.fmean(costs) if costs and len(costs) == len(good) else None,
        "output_tokens": statistics.fmean(each.output_tokens for each in good) if good else None,
        "ttft_ms": _median([each.ttft_ms for each in good]),
        "total_ms": _median([each.total_ms for each in good]),
        "tokens_per_s": statistics.median(speeds) if speeds else None,
    }


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def page(made: Comparison, told: dict[str, Any]) -> str:
    """One HTML file without anything from elsewhere."""
    heads = ("model", "score", "", "errors", "$ per answer", "$ per 1,000", "first content", "whole", "tokens/s")
    rows = [
        (
            escape(each["model"]),
            "" if each["score"] is None else f"{each['score']:.2f} ({each['score_low']:.2f}–{each['score_high']:.2f})",
            "" if each["score"] is None else f'<span class="bar" style="width:{each["score"] * 8:.1f}rem"></span>',
            str(each["errors"] or ""),
            _number(each["cost_per_answer_usd"], "{:.4g}", "unknown"),
            _number(each["cost_per_thousand_usd"], "{:,.2f}", "unknown"),
            _number(each["ttft_ms"], "{:,.0f} ms"),
            _number(each["total_ms"], "{:,.0f} ms"),
            _number(each["tokens_per_s"], "{:.0f}"),
        )
        for each in told["models"]
    ]
    judges = [
        (
            escape(each["judge"]) + (" (a person, blind)" if each["person"] else ""),
            *(f"{each['scores'].get(name, 0):.2f}" for name in made.models),
            "" if each["person"] else f"{each['swayed']:.0%}",
            str(each["comparisons"]),
        )
        for each in told["judges"]
    ]
    split = ""
    if judges:
        columns = ("reviewer", *map(escape, made.models), "swayed by order", "pairs")
        split = "<h2>Reviewers</h2>" + _table(columns, judges)
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Comparison</title><style>{_STYLE}</style>"
        f"<h1>{escape(' · '.join(made.models))}</h1><p>{len(made.prompts)} prompts. {escape(told['verdict'])}</p>"
        + _table(heads, rows)
        + split
        + "<h2>Answers</h2>"
        + "".join(_answers(made, prompt.id, prompt.prompt) for prompt in made.prompts)
        + "</html>\n"
    )


def _number(value: float | None, form: str, absent: str = "") -> str:
    return absent if value is None else form.format(value)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already."""
    head = "".join(f"<th>{cell}</th>" for cell in heads)
    return f"<table><tr>{head}</tr>" + "".join(_row(row) for row in rows) + "</table>"


def _row(cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _answers(made: Comparison, prompt_id: str, prompt: str) -> str:
    columns = ""
    for each in made.answers:
        if each.prompt == prompt_id:
            text = f"<p class='bad'>{escape(each.error)}</p>" if each.error else f"<pre>{escape(each.text)}</pre>"
            columns += f"<div><b>{escape(each.model)}</b> <small>{escape(each.target or '')}</small>{text}</div>"
    said = "; ".join(
        f"{each.judge}: {each.one} {each.score:g}, {each.other} {1 - each.score:g}{' (swayed)' if each.swayed else ''}"
        for each in made.said()
        if each.prompt == prompt_id
    )
    return (
        f"<details><summary>{escape(prompt[:160])}</summary><pre>{escape(prompt)}</pre>"
        f"<div class='answers'>{columns}</div><p><small>{escape(said)}</small></p></details>"
    )
