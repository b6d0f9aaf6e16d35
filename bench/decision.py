"""What one routing decision costs: 20 candidates, with prices, limits, windows, capabilities, measured times, health
and a session, as a request goes through it; and what its record costs when the request ends.

    python -m bench.decision

Twice: by priors, and by the shipped artifact, where quality is predicted from the text. CPU time, so that other work on
the machine does not count.
"""

import itertools
import time
from importlib import import_module
from pathlib import Path

import dragoman.routing
from dragoman import config
from dragoman.accounts.leases import Leases
from dragoman.accounts.pool import Pool
from dragoman.catalog.directory import Directory
from dragoman.catalog.prices import PriceBook
from dragoman.gateway.router import Router
from dragoman.gateway.wards import Wards
from dragoman.ledger.row import Row
from dragoman.routing.constraints import from_header
from dragoman.routing.needs import Needs

CANDIDATES = 20
ROUNDS = 20_000
SHIPPED = str(Path(dragoman.routing.__file__).with_name("default.dgm"))
_PROMPTS = (
    "Which of these two proofs is wrong, and at which step? Explain as to a student of the first year.",
    "write a haiku about rain on a tin roof",
    "My order 4711 was charged twice, on Monday and again on Tuesday, and the second charge is larger than the first. "
    "Can you tell me why, and what I have to send you to get the money back? I paid by card.",
    "A train leaves at 9:40 and covers 210 km at 84 km/h. A second one leaves the same station at 10:10 and arrives at "
    "the same time. How fast was the second one?\na. 105 km/h\nb. 100 km/h\nc. 96 km/h\nd. 120 km/h",
    "Rewrite this function so that it streams the file:\n\ndef load(path):\n    return [json.loads(line) for line in "
    "open(path).read().splitlines()]",
)


def router(artifact: str | None) -> tuple[Router, Wards]:
    names = [f"model-{i}" for i in range(CANDIDATES)]
    if artifact is not None:  # models that it knows, as many as it does
        known = import_module("dragoman.routing.predictor").load(Path(artifact)).models
        names[: len(known)] = known[:CANDIDATES]
    models = [
        config.Model(
            name=name, targets=[f"openai/{name}"], quality=0.5 + i / 50, context_window=128_000,
            price=config.Price(input=i + 0.1, cached_input=i / 10, output=5.0 * i + 1),
            capabilities=["json_schema", "reasoning", "tools", "vision"],
        )
        for i, name in enumerate(names)
    ]  # fmt: skip
    accounts = [config.Account(name="a", provider="openai", key=config.Secret("sk"), max_in_flight=64)]
    limits = config.Constraints(max_cost_usd=0.5, max_ttft_ms=3000, min_quality=0.5)
    route = config.Route(name="auto", models=names, constraints=limits, artifact=artifact)
    settings = config.Config(accounts=accounts, models=models, routes=[route])
    prices = PriceBook(settings)
    directory = Directory(settings, prices)
    pool = Pool(settings, directory, Leases(), lambda target: prices.find(*target.split("/", 1)))
    pool.open(None)
    made = Router(settings, directory, prices)
    for name, second in itertools.product(names, range(10)):
        made.latency.observe(float(second), f"openai/{name}", 200.0 + 10 * len(name), 2000.0, 150)
    return made, Wards(pool)


def measure(artifact: str | None = None) -> tuple[float, float, float]:
    """Microseconds: median and 99th percentile of the decision, and the record's mean."""
    made, wards = router(artifact)
    said = from_header("mode=balanced; needs=tools; session=s")
    needs = [
        Needs(capabilities=("tools",), input_tokens=900, prompt=prompt, streams=True, stage="planning")
        for prompt in _PROMPTS
    ]
    made.sessions.keep("/auto/s", made.board("auto", 10.0).names[7], 800, 10.0)  # type: ignore[union-attr]
    took = []
    for k in range(ROUNDS):
        need = needs[k % len(needs)]
        start = time.thread_time_ns()
        choice = made.choose("auto", need, said, now=10.0 + k * 1e-3, health=wards.health)
        took.append(time.thread_time_ns() - start)
        assert choice is not None and choice.plan is not None
    took.sort()
    row = Row(request_id="req_1", decision="dec_1", time=10.0)
    start = time.thread_time_ns()
    for _ in range(1000):
        made.record(choice, row)
    record = (time.thread_time_ns() - start) / 1000
    return took[ROUNDS // 2] / 1000, took[ROUNDS * 99 // 100] / 1000, record / 1000


if __name__ == "__main__":
    for how, artifact in (("priors", None), ("the shipped artifact", SHIPPED)):
        median, high, record = measure(artifact)
        print(
            f"decision, {CANDIDATES} candidates, by {how}: p50 {median:.0f} µs, p99 {high:.0f} µs; "
            f"its record {record:.0f} µs"
        )
