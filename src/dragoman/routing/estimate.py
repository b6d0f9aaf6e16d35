"""What a predictor is asked and answers: the interface between the decision and whatever knows about quality."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class Query(Struct, frozen=True, kw_only=True):
    """What is known of a request before it is answered."""

    prompt: str
    task: str | None = None  # caller tags, where given
    category: str | None = None


class Estimate(Struct, frozen=True, gc=False):
    """What a model is expected to do with a query. quality 0..1, with its standard error; output_tokens expected."""

    quality: float
    quality_se: float
    output_tokens: float | None = None


UNKNOWN = Estimate(0.5, 0.25)  # of a model of which nobody knows anything


class Estimates(Struct, frozen=True):
    """novelty 0..1: how unlike the training data the query is."""

    novelty: float
    candidates: dict[str, Estimate]


class Predictor(Protocol):
    """Pure: the same query gives the same estimates, for as long as the name is the same."""

    name: str  # hash-named artifact, or "priors"

    def predict(self, query: Query, models: Sequence[str]) -> Estimates: ...
