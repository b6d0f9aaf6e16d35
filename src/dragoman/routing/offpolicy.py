"""What another policy would have been worth on decisions that were made by this one: before it goes live.

Three estimates of the mean quality (or of any outcome), from the propensities that the records hold:

- IPS: each outcome that the new policy would have produced too, weighted by 1 / propensity. Unbiased, and noisy.
- SNIPS: the same, divided by the mean weight. A little biased, much less noisy.
- DR: what a model of the outcome predicts for the new choice, corrected by IPS of its errors: unbiased if either the
  propensities or the predictions are (Dudik, Langford, Li, ICML 2011).

A decision made without exploring (propensity 1) says nothing of any other choice: where the policies differ there, no
weight can mend it. `overlap` is the share of decisions whose new choice could have been logged.
"""

import math
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from dragoman.routing.decide import decide
from dragoman.routing.estimate import Predictor
from dragoman.routing.record import Record, Unreplayable, re_estimated


class Logged(Struct, frozen=True, kw_only=True):
    """One decision with what came of it. `predicted`: the outcome that was expected of each model; `new`: what the new
    policy chooses; `possible`: whether the logging policy could have chosen that."""

    chosen: str
    propensity: float
    outcome: float
    new: str
    predicted: dict[str, float]
    possible: bool = True


class Value(Struct, frozen=True):
    """A mean and its standard error."""

    mean: float
    se: float

    def interval(self) -> tuple[float, float]:
        """95 %."""
        return self.mean - 1.96 * self.se, self.mean + 1.96 * self.se


class OffPolicy(Struct, frozen=True, kw_only=True):
    """`logged` is what really happened. `agreement`: how often the new policy chose what was chosen."""

    decisions: int
    logged: Value
    ips: Value
    snips: Value
    dr: Value
    agreement: float
    overlap: float


def evaluate(decisions: Sequence[Logged]) -> OffPolicy:
    """The worth of the new policy. Raises `ValueError` without decisions."""
    if not decisions:
        raise ValueError("there is no logged decision with an outcome")
    weights = [1 / each.propensity if each.new == each.chosen else 0.0 for each in decisions]
    weighted = [weight * each.outcome for weight, each in zip(weights, decisions, strict=True)]
    total = sum(weights)
    snips = sum(weighted) / total if total else math.nan
    spread = [weight * (each.outcome - snips) for weight, each in zip(weights, decisions, strict=True)]
    corrected = [
        each.predicted[each.new] + weight * (each.outcome - each.predicted[each.chosen])
        for weight, each in zip(weights, decisions, strict=True)
    ]
    count = len(decisions)
    return OffPolicy(
        decisions=count,
        logged=_mean([each.outcome for each in decisions]),
        ips=_mean(weighted),
        snips=Value(snips, math.sqrt(sum(each * each for each in spread)) / total if total else math.inf),
        dr=_mean(corrected),
        agreement=sum(each.new == each.chosen for each in decisions) / count,
        overlap=sum(each.possible for each in decisions) / count,
    )


def _mean(values: Sequence[float]) -> Value:
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return Value(mean, math.inf)
    spread = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return Value(mean, math.sqrt(spread / len(values)))


def rethought(
    records: Sequence[tuple[Record, float]],
    predictor: Predictor,
    prompt_of: Callable[[Record], str | None] = lambda record: record.prompt,
) -> list[Logged]:
    """Records with their outcome (quality 0..1), and what would be chosen with `predictor`. Those without a prompt, or
    of models that it does not know, are left out: count what comes back."""
    found = []
    for record, outcome in records:
        chosen = record.decision.chosen(record.case)
        if chosen is None:
            continue
        try:
            changes = re_estimated(record, predictor, prompt_of(record))
        except (Unreplayable, KeyError):
            continue
        case = msgspec.structs.replace(record.case, **changes, explore=0.0)
        new = decide(case).chosen(case)
        if new is not None:
            found.append(
                Logged(
                    chosen=chosen.name,
                    propensity=record.decision.propensity,
                    outcome=outcome,
                    new=new.name,
                    predicted={
                        option.name: estimate.quality
                        for option, estimate in zip(record.case.options, record.case.estimates, strict=True)
                    },
                    possible=new.name == chosen.name or record.case.explore > 0,
                )
            )
    return found
