"""Noticing that a model is no longer what it was: its quality is not what was learned, or its version, price or pace.

All are watched with the Page-Hinkley test (Page, Biometrika 41, 1954) on observed against expected, in both directions;
costs and times by the logarithm of their ratio. What drifted goes by priors, and the record says so: a model's quality,
until another artifact comes; the length of its answers, where they cost other than expected; a target's times, until it
is measured anew.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct, field

from dragoman.routing.estimate import Estimate

TOLERATED = 0.05  # a mean difference of quality that is no drift
ALARM = 5.0  # accumulated beyond it: some fifty answers that are 0.15 off, or ten that are 0.55 off
TOLERATED_TIMES = math.log(1.5)  # a ratio of costs or times that is no drift
ALARM_TIMES = 12.0  # accumulated beyond it: some 17 answers that take three times as long, or nine of six times


class Trend(Struct):
    """What is accumulated of differences beyond the tolerated."""

    high: float = 0.0
    low: float = 0.0

    def add(self, off: float, tolerated: float, alarm: float) -> int:
        """1 where things have become more, -1 where less, 0 where neither."""
        self.high = max(0.0, self.high + off - tolerated)
        self.low = max(0.0, self.low - off - tolerated)
        return 0 if max(self.high, self.low) <= alarm else 1 if self.high > self.low else -1

    def times(self, expected: float, observed: float) -> int:
        """The same, of things that are compared by their ratio. Nothing is said of what is not above 0."""
        if expected <= 0 or observed <= 0:
            return 0
        return self.add(math.log(observed / expected), TOLERATED_TIMES, ALARM_TIMES)


class _Watched(Struct):
    quality: Trend = field(default_factory=Trend)
    cost: Trend = field(default_factory=Trend)
    versions: dict[str, str] = field(default_factory=dict)  # by target
    drifted: str | None = None
    priced: str | None = None


class DriftWatch:
    """The models of one artifact. Make a new one when the artifact changes."""

    def __init__(self) -> None:
        self._models: dict[str, _Watched] = {}

    def scored(self, model: str, predicted: float, observed: float) -> None:
        """An answer of `model` was found to be of quality `observed`."""
        watched = self._of(model)
        trend = watched.quality.add(observed - predicted, TOLERATED, ALARM)
        if watched.drifted is None and trend:
            watched.drifted = "better than learned" if trend > 0 else "worse than learned"

    def cost(self, model: str, expected: float, observed: float) -> None:
        """An answer of `model` cost `observed`, in whatever unit."""
        watched = self._of(model)
        trend = watched.cost.times(expected, observed)
        if watched.priced is None and trend:
            watched.priced = "its answers cost " + ("more than expected" if trend > 0 else "less than expected")

    def answered_as(self, model: str, target: str, version: str) -> None:
        """The provider of `target` called what answered `version`."""
        watched = self._of(model)
        before = watched.versions.setdefault(target, version)
        if before != version:
            watched.versions[target] = version
            if watched.drifted is None:
                watched.drifted = f"{target} now answers as {version}, before as {before}"

    def drifted(self) -> dict[str, str]:
        """The models that drifted in quality or version, and how."""
        return {model: watched.drifted for model, watched in self._models.items() if watched.drifted is not None}

    def priced(self) -> dict[str, str]:
        """The models whose answers cost other than expected, and how."""
        return {model: watched.priced for model, watched in self._models.items() if watched.priced is not None}

    def _of(self, model: str) -> _Watched:
        return self._models.setdefault(model, _Watched())


class PaceWatch:
    """The times of targets, whoever asks for them."""

    def __init__(self) -> None:
        self._trends: dict[str, Trend] = {}
        self._drifted: dict[str, str] = {}

    def took(self, target: str, expected_ms: float, observed_ms: float) -> bool:
        """Whether `target` has become another with this answer, so that what was measured of it is to be forgotten."""
        trend = self._trends.setdefault(target, Trend()).times(expected_ms, observed_ms)
        if not trend:
            return False
        del self._trends[target]
        self._drifted[target] = "slower than measured" if trend > 0 else "faster than measured"
        return True

    @property
    def alarmed(self) -> bool:
        """Whether any target has drifted."""
        return bool(self._drifted)

    def drifted(self, target: str, measured: bool) -> str | None:
        """How `target` drifted, where it is not `measured` anew."""
        if measured:
            self._drifted.pop(target, None)
        return self._drifted.get(target)


def by_priors(
    learned: Mapping[str, Estimate],
    priors: Mapping[str, Estimate],
    drifted: Mapping[str, str],
    priced: Mapping[str, str] | None = None,
) -> dict[str, Estimate]:
    """`learned`, but of drifted models what the priors say. Their answers are as long as they were, but for those that
    are `priced` otherwise."""
    judged = {}
    for name, estimate in learned.items():
        if name in drifted:
            estimate = msgspec.structs.replace(priors[name], output_tokens=estimate.output_tokens)
        if priced and name in priced:
            estimate = msgspec.structs.replace(estimate, output_tokens=priors[name].output_tokens)
        judged[name] = estimate
    return judged


def notes(drifted: Mapping[str, str], models: Sequence[str], what: str = "prior") -> list[str]:
    """For a record: which of `models` drifted, and so went by their priors."""
    return [f"{model} goes by its {what}: {drifted[model]}" for model in models if model in drifted]
