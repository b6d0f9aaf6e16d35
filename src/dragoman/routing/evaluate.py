"""What a predictor is worth on answered questions: the cost-quality curve, and numbers read off it.

| number | meaning (as in RouteLLM, arXiv 2406.18665) |
|---|---|
| PGR | the part of the way from the weak model's mean quality to the strong one's that is made good |
| APGR | its mean over all shares of strong calls; a choice by lot has 0.5 |
| CPT50, CPT80 | the least share of strong calls at which PGR is 50 or 80 % |
| saving at 99 % | how much less than the best single model the cheapest mix costs that keeps 99 % of its quality |
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEPT = 0.99  # of the best single model's quality, where the saving is read
RESAMPLES = 200
_TRADES = 160  # exchange rates between quality and cost that are tried


class Table(NamedTuple):
    """What was and what was expected; a row a question, a column a model. Costs in US dollars."""

    quality: "NDArray[Any]"
    cost: "NDArray[Any]"
    expected: "NDArray[Any]"
    expected_cost: "NDArray[Any]"


class Measure(Struct, frozen=True):
    """A number with the 95 % interval of its bootstrap."""

    value: float
    low: float
    high: float


class Pair(Struct, frozen=True, kw_only=True):
    """How well the strong model's calls are placed."""

    strong: str
    weak: str
    strong_quality: float
    weak_quality: float
    apgr: Measure
    cpt50: Measure
    cpt80: Measure
    oracle_apgr: float
    random_apgr: float = 0.5


class Point(Struct, frozen=True):
    """A mix of models: US dollars and quality of a question, both in the mean."""

    cost: float
    quality: float


class Savings(Struct, frozen=True, kw_only=True):
    """How much of the best single model's cost is saved at 99 % of its quality."""

    best: str
    router: Measure
    random: float
    hull: float
    oracle: float


class Curves(Struct, frozen=True, kw_only=True):
    """Everything that the drawing shows."""

    singles: dict[str, Point]
    router: list[Point]
    hull: list[Point]
    oracle: list[Point]
    random: Point


def apgr(score: "NDArray[Any]", gain: "NDArray[Any]") -> float:
    """Mean recovered part of the gap when questions go to the strong model in the order of `score`. `gain` is by how
    much the strong model's answer was better."""
    import numpy as np

    recovered = _recovered(score, gain)
    return float(np.mean((recovered[1:] + recovered[:-1]) / 2))


def cpt(score: "NDArray[Any]", gain: "NDArray[Any]", part: float) -> float:
    """The least share of strong calls at which `part` (0..1) of the gap is made good."""
    recovered = _recovered(score, gain)
    return float((recovered >= part).argmax() / len(gain))


def _recovered(score: "NDArray[Any]", gain: "NDArray[Any]") -> "NDArray[Any]":
    import numpy as np

    order = np.argsort(-score, kind="stable")
    total = float(gain.sum())
    if total <= 0:
        raise ValueError("the strong model is no better than the weak one on these questions")
    return np.concatenate(([0.0], np.cumsum(gain[order]) / total))


def pair(
    names: tuple[str, str], quality: "NDArray[Any]", score: "NDArray[Any]", rng: Any, resamples: int = RESAMPLES
) -> Pair:
    """Of two models, strong then weak; `quality` has a column for each. Raises `ValueError` where there is no gap."""
    gain = quality[:, 0] - quality[:, 1]

    def measured(of: "Callable[[NDArray[Any], NDArray[Any]], float]") -> Measure:
        values = []
        for _ in range(resamples):
            at = rng.integers(len(gain), size=len(gain))
            if gain[at].sum() > 0:
                values.append(of(score[at], gain[at]))
        return _measure(of(score, gain), values)

    return Pair(
        strong=names[0],
        weak=names[1],
        strong_quality=float(quality[:, 0].mean()),
        weak_quality=float(quality[:, 1].mean()),
        apgr=measured(apgr),
        cpt50=measured(lambda s, g: cpt(s, g, 0.5)),
        cpt80=measured(lambda s, g: cpt(s, g, 0.8)),
        oracle_apgr=apgr(gain, gain),
    )


def _measure(value: float, resampled: Sequence[float]) -> Measure:
    import numpy as np

    if not resampled:
        return Measure(value, value, value)
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Measure(value, float(low), float(high))


def choices(expected: "NDArray[Any]", expected_cost: "NDArray[Any]") -> "NDArray[Any]":
    """For each of many exchange rates, from quality alone to cost alone, the model chosen for each question: the one
    with the most quality less rate × cost, in what is expected."""
    import numpy as np

    scale = float(expected_cost.mean()) + 1e-30
    rates = np.concatenate(([0.0], np.geomspace(1e-4, 1e3, _TRADES))) / scale
    return np.array([(expected - rate * expected_cost).argmax(1) for rate in rates])


def _points(chosen: "NDArray[Any]", quality: "NDArray[Any]", cost: "NDArray[Any]") -> "NDArray[Any]":
    import numpy as np

    rows = np.arange(len(quality))
    return np.array([(cost[rows, one].mean(), quality[rows, one].mean()) for one in chosen])


def saving(points: "NDArray[Any]", best: tuple[float, float]) -> float:
    """The part of the best single model's cost that is saved where the line through `points` (cost, quality) reaches
    99 % of its quality; 0 where it never does at less cost."""
    import numpy as np

    wanted = KEPT * best[1]
    costs = list(points[points[:, 1] >= wanted, 0])
    order = np.lexsort((points[:, 1], points[:, 0]))
    for (cost, quality), (next_cost, next_quality) in zip(points[order][:-1], points[order][1:], strict=True):
        if quality < wanted <= next_quality:
            costs.append(cost + (wanted - quality) / (next_quality - quality) * (next_cost - cost))
    return max(0.0, 1 - float(min(costs, default=best[0])) / best[0])


def savings(names: Sequence[str], table: Table, rng: Any, resamples: int = RESAMPLES) -> tuple[Savings, Curves]:
    """Of any number of models."""
    import numpy as np

    quality, cost, expected, expected_cost = table
    singles = np.stack((cost.mean(0), quality.mean(0)), 1)
    best = int(np.lexsort((singles[:, 0], -singles[:, 1]))[0])
    whole = (float(singles[best, 0]), float(singles[best, 1]))
    chosen = choices(expected, expected_cost)
    points, ideal = _points(chosen, quality, cost), _points(choices(quality, cost), quality, cost)
    rows = np.arange(len(quality))
    every_cost, every_quality = cost[rows, chosen], quality[rows, chosen]
    values = []
    for _ in range(resamples):
        counts = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows)) / len(rows)
        again = np.stack((every_cost @ counts, every_quality @ counts), 1)
        values.append(saving(again, (float(cost[:, best] @ counts), float(quality[:, best] @ counts))))
    edge = hull(singles)
    lot = (float(singles[:, 0].mean()), float(singles[:, 1].mean()))
    found = Savings(
        best=names[best],
        router=_measure(saving(points, whole), values),
        random=saving(np.array([lot, whole]), whole),
        hull=saving(edge, whole),
        oracle=saving(ideal, whole),
    )
    curves = Curves(
        singles={name: Point(*map(float, single)) for name, single in zip(names, singles, strict=True)},
        router=_line(points),
        hull=_line(edge),
        oracle=_line(ideal),
        random=Point(*lot),
    )
    return found, curves


def hull(points: "NDArray[Any]") -> "NDArray[Any]":
    """The upper left edge of what mixing single models by lot can reach."""
    import numpy as np

    edge: list[Any] = []
    for point in sorted(map(tuple, points.tolist()), key=lambda p: (p[0], -p[1])):
        if edge and point[1] <= edge[-1][1]:
            continue
        while len(edge) > 1 and (edge[-1][1] - edge[-2][1]) * (point[0] - edge[-2][0]) <= (point[1] - edge[-2][1]) * (
            edge[-1][0] - edge[-2][0]
        ):
            edge.pop()
        edge.append(point)
    return np.array(edge)


def _line(points: "NDArray[Any]") -> list[Point]:
    return [Point(*point) for point in sorted(set(map(tuple, points.tolist())))]


def mean(values: "NDArray[Any]", rng: Any, resamples: int = RESAMPLES) -> Measure:
    """A mean with its interval."""
    again = [float(values[rng.integers(len(values), size=len(values))].mean()) for _ in range(resamples)]
    return _measure(float(values.mean()), again)
