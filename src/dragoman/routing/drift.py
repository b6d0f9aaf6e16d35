"""Noticing that a model is no longer what the predictor learned it to be: its quality is other, or its version is.

Quality is watched with the Page-Hinkley test (Page, Biometrika 41, 1954) on observed minus predicted, in both
directions. A drifted model is judged by its prior until another artifact comes; the record says so. Prices and latency
need no test: they are never learned, but known and measured as they are now.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct, field

from dragoman.routing.estimate import Estimate

TOLERATED = 0.05  # a mean difference of quality that is no drift
ALARM = 5.0  # accumulated beyond it: some fifty answers that are 0.15 off, or ten that are 0.55 off


class _Watched(Struct):
    high: float = 0.0  # accumulated: better than predicted
    low: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)  # by target
    drifted: str | None = None


class DriftWatch:
    """The models of one artifact. Make a new one when the artifact changes."""

    def __init__(self) -> None:
        self._models: dict[str, _Watched] = {}

    def scored(self, model: str, predicted: float, observed: float) -> None:
        """An answer of `model` was found to be of quality `observed`."""
        watched = self._of(model)
        off = observed - predicted
        watched.high = max(0.0, watched.high + off - TOLERATED)
        watched.low = max(0.0, watched.low - off - TOLERATED)
        if watched.drifted is None and max(watched.high, watched.low) > ALARM:
            watched.drifted = "better than learned" if watched.high > watched.low else "worse than learned"

    def answered_as(self, model: str, target: str, version: str) -> None:
        """The provider of `target` called what answered `version`."""
        watched = self._of(model)
        before = watched.versions.setdefault(target, version)
        if before != version:
            watched.versions[target] = version
            if watched.drifted is None:
                watched.drifted = f"{target} now answers as {version}, before as {before}"

    def drifted(self) -> dict[str, str]:
        """The models that drifted, and how."""
        return {model: watched.drifted for model, watched in self._models.items() if watched.drifted is not None}

    def _of(self, model: str) -> _Watched:
        return self._models.setdefault(model, _Watched())


def by_priors(
    learned: Mapping[str, Estimate], priors: Mapping[str, Estimate], drifted: Mapping[str, str]
) -> dict[str, Estimate]:
    """`learned`, but of drifted models what the priors say. Their answers are as long as they were."""
    return {
        name: estimate
        if name not in drifted
        else msgspec.structs.replace(priors[name], output_tokens=estimate.output_tokens)
        for name, estimate in learned.items()
    }


def notes(drifted: Mapping[str, str], models: Sequence[str]) -> list[str]:
    """For a record: which of `models` drifted, and so went by their priors."""
    return [f"{model} goes by its prior: {drifted[model]}" for model in models if model in drifted]
