"""Cases for decisions, by hand and by hypothesis."""

from typing import Any

from hypothesis import strategies as st

from dragoman.catalog.prices import Price
from dragoman.routing.constraints import Constraints
from dragoman.routing.decide import Case, Held, Option, Pair
from dragoman.routing.estimate import Estimate
from dragoman.routing.latency import Pace

MICRO = 10**6  # pico-dollars: USD per million tokens
NAMES = ["ant", "bee", "cat", "dog", "eel"]


def option(name: str, usd: float | None = 1.0, **fields: Any) -> Option:
    """A model whose tokens cost `usd` per million in, five times that out."""
    price = None if usd is None else Price(input=round(usd * MICRO), output=round(5 * usd * MICRO))
    return Option(**({"name": name, "target": f"mine/{name}", "price": price} | fields))


def case(*models: tuple[Option, float], **fields: Any) -> Case:
    """A case of models with their qualities."""
    standard: dict[str, Any] = {
        "options": [each for each, _ in models],
        "estimates": [Estimate(quality, 0.1, 200.0) for _, quality in models],
        "paces": [Pace()] * len(models),
        "limits": Constraints(),
        "input_tokens": 1000,
    }
    return Case(**(standard | fields))


shares = st.floats(0, 1)
words = st.sampled_from(["tools", "vision", "audio"])
prices = st.builds(
    Price,
    input=st.integers(0, 10**8),
    output=st.integers(0, 10**8),
    cached=st.none() | st.integers(0, 10**6),
    request=st.integers(0, 10**9),
)
options = st.builds(
    Option,
    name=st.sampled_from(NAMES),
    target=st.just("mine/x"),
    ruled=st.none() | st.none() | st.just("not here"),
    capabilities=st.none() | st.lists(words, unique=True).map(lambda each: tuple(sorted(each))),
    unsure=st.lists(words, max_size=1).map(tuple),
    window=st.none() | st.integers(1, 4000),
    max_output=st.none() | st.integers(1, 4000),
    price=st.none() | prices,
)
times = st.floats(1, 10_000)
paces = st.builds(
    Pace, times, st.floats(1, 500), times, st.floats(1, 500), st.booleans(), st.none() | st.floats(1, 2000),
    st.none() | times, st.none() | times,
)  # fmt: skip
limits = st.builds(
    Constraints,
    mode=st.none() | st.sampled_from(["balanced", "cost", "quality", "latency"]),
    max_cost_usd=st.none() | st.floats(0, 0.5),
    max_ttft_ms=st.none() | times,
    max_total_ms=st.none() | times,
    min_quality=st.none() | shares,
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    chosen = draw(st.lists(options, min_size=1, max_size=5, unique_by=lambda each: each.name))
    count = len(chosen)
    estimates = st.builds(Estimate, shares, shares, st.none() | st.floats(0, 3000))
    return Case(
        options=chosen,
        limits=draw(limits),
        capabilities=draw(st.lists(words, max_size=2, unique=True).map(tuple)),
        input_tokens=draw(st.integers(1, 3000)),
        max_output_tokens=draw(st.none() | st.integers(1, 3000)),
        streams=draw(st.booleans()),
        stage=draw(st.sampled_from(["asking", "planning", "executing", "recovering"])),
        predictor=draw(st.sampled_from(["priors", "abc123"])),
        novelty=draw(shares),
        estimates=draw(st.lists(estimates, min_size=count, max_size=count)),
        paces=draw(st.lists(paces, min_size=count, max_size=count)),
        down=draw(st.dictionaries(st.sampled_from(NAMES), st.just("cooling"), max_size=1)),
        held=draw(st.none() | st.builds(Held, st.sampled_from(NAMES), st.integers(0, 3000), shares)),
        squeeze=draw(st.none() | st.floats(0, 20)),
        pair=draw(st.none() | st.builds(Pair, st.just("ant"), st.just("bee"), st.floats(-1, 1))),
        explore=draw(st.sampled_from([0.0, 0.01])),
        draw=draw(st.floats(0, 0.02) | shares),
    )
