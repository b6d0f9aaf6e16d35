"""What a panel of judges says of models that answered the same prompts. Pure counting.

A judge sees two answers at a time, twice: the second time in the other order, because judges favour places (Zheng et
al., "Judging LLM-as-a-judge", 2023). Only if both times the same answer wins is it a win; else it is a tie, and the
judge is counted as having swayed.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

Verdict: TypeAlias = Literal["first", "second", "tie"]
_VERDICT = re.compile(r"verdict\W{1,6}(first|second|tie)\b", re.IGNORECASE)

QUESTION = """\
Two assistants answered the same request. Judge which answer serves the person who asked better: is it right, does it
do what was asked, is it clear? Length and tone alone are worth nothing, and neither is the place an answer stands in.

[Request]
{prompt}

[First answer]
{first}

[Second answer]
{second}

Say in one or two sentences what decides it. Then end with one line: "Verdict: first", "Verdict: second" or, if
neither is better, "Verdict: tie".
"""


def question(prompt: str, first: str, second: str) -> str:
    """What a judge is asked."""
    return QUESTION.format(prompt=prompt, first=first or "(no answer)", second=second or "(no answer)")


def verdict(reply: str) -> Verdict | None:
    """What a judge said: the last verdict in its reply; None where there is none."""
    found = _VERDICT.findall(reply)
    word = found[-1].lower() if found else None
    return "first" if word == "first" else "second" if word == "second" else "tie" if word == "tie" else None


class Judged(Struct, frozen=True, kw_only=True):
    """One judge on two models' answers to one prompt. `score` is `one`'s: 1 won, 0.5 tie, 0 lost. `swayed`: the order
    decided."""

    prompt: str  # its id
    judge: str
    one: str
    other: str
    score: float
    swayed: bool = False


def judged(
    prompt: str, judge: str, pair: tuple[str, str], straight: Verdict | None, swapped: Verdict | None
) -> Judged | None:
    """Both verdicts of a judge, the second given with the answers swapped; None where neither was one."""
    one, other = pair
    scores = [
        {"first": good, "second": 1.0 - good, "tie": 0.5}[said]
        for said, good in ((straight, 1.0), (swapped, 0.0))
        if said is not None
    ]
    if not scores:
        return None
    swayed = len(set(scores)) > 1
    return Judged(prompt=prompt, judge=judge, one=one, other=other, score=0.5 if swayed else scores[0], swayed=swayed)


class Standing(Struct, frozen=True, kw_only=True):
    """A model's mean score against the others, 0..1, and its 95 % interval over prompts."""

    model: str
    score: float
    low: float
    high: float
    comparisons: int


def scores(verdicts: Iterable[Judged]) -> dict[str, dict[str, float]]:
    """Prompt id -> model -> mean score of all its comparisons there, by all judges."""
    found: dict[str, dict[str, list[float]]] = {}
    for each in verdicts:
        on = found.setdefault(each.prompt, {})
        on.setdefault(each.one, []).append(each.score)
        on.setdefault(each.other, []).append(1.0 - each.score)
    return {prompt: {model: sum(values) / len(values) for model, values in on.items()} for prompt, on in found.items()}


def standings(verdicts: Sequence[Judged]) -> list[Standing]:
    """The models, best first."""
    by_prompt = scores(verdicts)
    models = sorted({each.one for each in verdicts} | {each.other for each in verdicts})
    found = []
    for model in models:
        values = [on[model] for on in by_prompt.values() if model in on]
        low, high = _interval(values)
        score = sum(values) / len(values)
        found.append(Standing(model=model, score=score, low=low, high=high, comparisons=len(values)))
    return sorted(found, key=lambda each: (-each.score, each.model))


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """95 %, as if one more had been won and one lost (Agresti and Coull, 1998): few like verdicts prove little."""
    more = [*values, 0.0, 1.0]
    mean = sum(more) / len(more)
    half = 1.96 * math.sqrt(sum((value - mean) ** 2 for value in more) / (len(more) - 1) / len(more))
    return max(0.0, mean - half), min(1.0, mean + half)


class Split(Struct, frozen=True, kw_only=True):
    """One judge: how it scores each model, and how often only the order decided for it."""

    judge: str
    scores: dict[str, float]
    swayed: float
    comparisons: int


def splits(verdicts: Sequence[Judged]) -> list[Split]:
    """Each judge's own view."""
    found = []
    for judge in sorted({each.judge for each in verdicts}):
        own = [each for each in verdicts if each.judge == judge]
        found.append(
            Split(
                judge=judge,
                scores={each.model: each.score for each in standings(own)},
                swayed=sum(each.swayed for each in own) / len(own),
                comparisons=len(own),
            )
        )
    return found


def winner(found: Sequence[Standing]) -> str | None:
    """The model whose interval lies above all others'; None where the panel can't tell."""
    if len(found) < 2:
        return None
    best, *others = found
    return best.model if all(best.low > other.high for other in others) else None
