"""The predictor that knows nothing but what the config declares: each model's `quality`."""

from collections.abc import Mapping, Sequence

from dragoman.routing.estimate import Estimate, Estimates, Query

UNKNOWN = Estimate(0.5, 0.25)
_DECLARED_SE = 0.1


class Declared:
    """Declared qualities; 0.5 ± 0.25 for a model without one."""

    name = "priors"

    def __init__(self, qualities: Mapping[str, float]) -> None:
        self._known = {model: Estimate(quality, _DECLARED_SE) for model, quality in qualities.items()}

    def predict(self, query: Query, models: Sequence[str]) -> Estimates:
        """The same for every query."""
        return Estimates(0.0, {model: self._known.get(model, UNKNOWN) for model in models})
