"""A decision in words and numbers for people: what ruled each option out, what the others scored and of what, what
would have changed the choice, and, where nothing fits, the nearest relaxation that would help.

All of it follows from the `Case`, so it is worked out when somebody asks, not on the way of the request.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from dragoman.catalog.prices import PICO, usd
from dragoman.routing.constraints import Constraints
from dragoman.routing.decide import Case, Decision, Outlook, decide, lacking, outlook, scale_of

REASONS = {
    "only": "the only one that fits",
    "best": "the best by the mode's utility",
    "held": "the session's own model: another is better, but not by what the change would cost",
    "novel": "this request is unlike all that the predictor was trained on: the best single model",
    "certified": "the certified pair's tested threshold",
    "explored": "drawn at random, to learn",
    "none": "nothing fits",
    "direct": "the model that was asked for",
}


class Obstacle(Struct, frozen=True, omit_defaults=True):
    """One thing that rules an option out. `key` and `value`: the limit that would have to become so to let it pass.
    `unpriced`: it is only that nobody knows what it costs."""

    text: str
    key: str | None = None
    value: float | None = None
    unpriced: bool = False


def obstacles(case: Case, index: int) -> list[Obstacle]:
    """All that rules option `index` out; none where it fits."""
    option, estimate, limits = case.options[index], case.estimates[index], case.limits
    view = outlook(case, option, estimate, case.paces[index])
    found: list[Obstacle] = []
    if option.ruled is not None:
        found.append(Obstacle(option.ruled))
    if option.name in case.down:
        found.append(Obstacle(case.down[option.name]))
    room = case.input_tokens + (case.max_output_tokens or 0)
    if option.window is not None and room > option.window:
        asked = f" and up to {case.max_output_tokens:,} out" if case.max_output_tokens else ""
        found.append(Obstacle(f"about {case.input_tokens:,} tokens in{asked}, its context window is {option.window:,}"))
    if lacks := lacking(option, case.capabilities):
        unsure = "" if option.capabilities is not None else " (declare it in its capabilities if it has)"
        found.append(Obstacle("lacks " + ", ".join(lacks) + unsure))
    if limits.max_cost_usd is not None or case.squeeze is not None:
        if view.cost is None:
            what = "max_cost_usd" if limits.max_cost_usd is not None else "a budget"
            text = f"its price is unknown, and {what} depends on it: set price in [[models]]"
            found.append(Obstacle(text, unpriced=True))
        elif limits.max_cost_usd is not None and view.cost > round(limits.max_cost_usd * PICO):
            text = f"costs about {dollars(view.cost)}, max_cost_usd is {limits.max_cost_usd:g}"
            found.append(Obstacle(text, "max_cost_usd", view.cost / PICO))
    if limits.min_quality is not None and estimate.quality < limits.min_quality:
        text = f"quality {estimate.quality:.2f}, min_quality is {limits.min_quality:g}"
        found.append(Obstacle(text, "min_quality", estimate.quality))
    for key, late, most in (
        ("max_ttft_ms", view.late_ttft, limits.max_ttft_ms),
        ("max_total_ms", view.late_total, limits.max_total_ms),
    ):
        if most is not None and late is not None and late > most:
            found.append(Obstacle(f"takes up to {late:,.0f} ms, {key} is {most:g}", key, late))
    return found


class Relaxation(Struct, frozen=True):
    """What would have to be given up, and which model would fit then. `keys`: the limits' new values."""

    model: str
    keys: dict[str, float]
    text: str


def nearest_relaxation(case: Case) -> Relaxation | None:
    """The smallest change of numeric limits that lets an option pass: by how many limits, then by how much of each.
    None where none would."""
    found = []
    for i, option in enumerate(case.options):
        against = obstacles(case, i)
        if against and all(each.key for each in against):
            keys = {each.key: each.value for each in against if each.key is not None and each.value is not None}
            stretch = sum(_stretch(getattr(case.limits, key), value) for key, value in keys.items())
            found.append((len(keys), stretch, option.name, keys))
    if not found:
        return None
    _, _, name, keys = min(found, key=lambda each: each[:3])
    wanted = " and ".join(f"{key}={_rounded(key, value):g}" for key, value in keys.items())
    return Relaxation(
        name, {key: _rounded(key, value) for key, value in keys.items()}, f"with {wanted}, {name} would do"
    )


def _stretch(limit: float, needed: float) -> float:
    return abs(needed - limit) / max(abs(limit), abs(needed), 1e-12)


def _rounded(key: str, value: float) -> float:
    """`value` with three digits, rounded to the side that helps."""
    if value == 0:
        return 0.0
    digits = float(f"{value:.2e}")
    step = 10.0 ** (int(f"{value:e}".partition("e")[2]) - 2)
    if key == "min_quality":
        return digits if digits <= value else float(f"{digits - step:.2e}")
    return digits if digits >= value else float(f"{digits + step:.2e}")


def only_unpriced(case: Case) -> bool:
    """Whether all that rules out all options is that their prices are unknown."""
    return all(each.unpriced for i in range(len(case.options)) for each in obstacles(case, i))


def why_nothing_fits(name: str, case: Case) -> str:
    """The message of `no_feasible_model`: every candidate with what ruled it out, and what would help."""
    each = (
        f"{option.name}: " + "; ".join(obstacle.text for obstacle in obstacles(case, i))
        for i, option in enumerate(case.options)
    )
    help_ = nearest_relaxation(case)
    return f'no model of "{name}" fits. ' + ". ".join(each) + ("" if help_ is None else f". Nearest: {help_.text}")


def counterfactuals(case: Case, decision: Decision) -> list[str]:
    """Which changes of one numeric limit, however small, would have led to another choice."""
    chosen = decision.chosen(case)
    now = chosen.name if chosen else None
    found = []
    for i, option in enumerate(case.options):
        against = obstacles(case, i)
        if len(against) != 1 or against[0].key is None or against[0].value is None:
            continue
        key, value = against[0].key, _rounded(against[0].key, against[0].value)
        other = _decided_with(case, key, value)
        if other == option.name and other != now:
            word = "lower" if key == "min_quality" else "higher"
            by = abs(value - getattr(case.limits, key))
            found.append(f"would choose {other} if {key} were {by:.3g} {word}")
    mode = case.limits.mode or "balanced"
    for other_mode in ("quality", "cost", "latency"):
        other = _decided_with(case, "mode", other_mode)
        if other_mode != mode and other is not None and other != now:
            found.append(f"would choose {other} with mode={other_mode}")
    return found


def _decided_with(case: Case, key: str, value: object) -> str | None:
    limits: Constraints = msgspec.structs.replace(case.limits, **{key: value})
    changed = msgspec.structs.replace(case, limits=limits)
    chosen = decide(changed).chosen(changed)
    return chosen.name if chosen else None


def contributions(case: Case) -> dict[int, dict[str, float]]:
    """Of what each fitting option's utility is made: its sum is the utility."""
    views = {i: _view(case, i) for i in range(len(case.options)) if not obstacles(case, i)}
    if not views:
        return {}
    scale = scale_of(case, views)
    found = {}
    for i, view in views.items():
        cost = scale.dearest if view.cost is None else view.cost
        parts = {
            "quality": scale.quality * case.estimates[i].quality,
            "cost": -scale.cost * cost / scale.cost_unit,
            "ttft": -scale.ttft * view.ttft / scale.ttft_unit,
            "total": -scale.total * view.total / scale.total_unit,
        }
        if case.held is not None and case.held.model == case.options[i].name:
            parts["affinity"] = scale.affinity
        found[i] = {name: value for name, value in parts.items() if value}
    return found


def _view(case: Case, index: int) -> Outlook:
    return outlook(case, case.options[index], case.estimates[index], case.paces[index])


def explained(case: Case, decision: Decision) -> dict[str, Any]:
    """The decision for programs and people: every option, best first, then those that were ruled out."""
    parts = contributions(case)
    ruled = [i for i in range(len(case.options)) if i not in decision.order]
    chosen = decision.chosen(case)
    answer: dict[str, Any] = {
        "chosen": chosen.name if chosen else None,
        "target": chosen.target if chosen else None,
        "reason": decision.reason,
        "why": REASONS[decision.reason],
        "mode": case.limits.mode or "balanced",
        "constraints": msgspec.to_builtins(case.limits),
        "needs": list(case.capabilities),
        "input_tokens": case.input_tokens,
        "max_output_tokens": case.max_output_tokens,
        "stage": case.stage,
        "predictor": case.predictor,
        "novelty": case.novelty,
        "margin": decision.margin,
        "propensity": decision.propensity,
        "counterfactuals": counterfactuals(case, decision),
        "candidates": [_candidate(case, decision, i, parts.get(i, {})) for i in [*decision.order, *ruled]],
    }
    if chosen is None:
        nearest = nearest_relaxation(case)
        answer["relaxation"] = msgspec.to_builtins(nearest) if nearest else None
    return answer


def _candidate(case: Case, decision: Decision, index: int, parts: dict[str, float]) -> dict[str, Any]:
    option, estimate, view = case.options[index], case.estimates[index], _view(case, index)
    against = obstacles(case, index)
    return {
        "model": option.name,
        "target": option.target,
        "feasible": not against,
        "ruled_out": [obstacle.text for obstacle in against],
        "quality": estimate.quality,
        "quality_se": estimate.quality_se,
        "output_tokens": view.output_tokens,
        "cost_usd": None if view.cost is None else usd(view.cost),
        "ttft_ms": view.ttft,
        "total_ms": view.total,
        "measured": view.late_total is not None,
        "utility": decision.utilities[index],
        "contributions": dict(sorted(parts.items(), key=lambda part: -abs(part[1]))),
    }


def dollars(pico: int | None) -> str:
    """Pico-dollars for people, with two digits that show something."""
    return "unknown" if pico is None else "$0" if not pico else f"${pico / PICO:.2g}"


COLUMNS = ("", "model", "quality", "cost", "first", "total", "utility", "why")


def table(explanation: dict[str, Any]) -> list[Sequence[str]]:
    """The candidates of an `explained`, as lines of `COLUMNS`."""
    lines: list[Sequence[str]] = []
    for rank, each in enumerate(explanation["candidates"], 1):
        cost = "unknown" if each["cost_usd"] is None else dollars(round(each["cost_usd"] * PICO))
        unsure = "" if each["measured"] else "?"
        first = rank == 1 and each["feasible"]
        why = explanation["why"] if first else "; ".join(each["ruled_out"]) or _made_of(each["contributions"])
        lines.append(
            (
                "→" if first else "" if each["feasible"] else "✗",
                each["model"],
                f"{each['quality']:.2f} ± {each['quality_se']:.2f}",
                cost,
                f"{each['ttft_ms']:,.0f} ms{unsure}",
                f"{each['total_ms']:,.0f} ms{unsure}",
                "" if each["utility"] is None else f"{each['utility']:.3f}",
                why,
            )
        )
    return lines


def _made_of(parts: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:+.3f}" for name, value in parts.items())
