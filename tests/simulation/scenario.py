"""Scenarios from a seed."""

from random import Random

from simulation.fleet import START, Job, Plan
from simulation.upstream import Truth

_OUTAGES = ("upstream_error", "unreachable", "upstream_timeout", "overloaded", "unauthorized")


def anything(seed: int, most: float = 5) -> Plan:
    """A fleet in which anything may happen, for so many minutes at most."""
    rng = Random(f"anything {seed}")
    until = 60 * rng.uniform(1, most)
    truths = [_truth(rng, f"a{i}", until) for i in range(rng.randint(1, 7))]
    purses = Random(f"purses {seed}")
    for truth in truths:
        if purses.random() < 0.25:
            truth.daily = purses.randint(2_000, 100_000)
    names = [truth.name for truth in truths]
    declared = {name for name in names if rng.random() < 0.6}
    models = {"x": [names]}
    if len(names) > 1:
        split = rng.randint(1, len(names) - 1)
        models["y"] = [names[:split], names[split:]]
        models["z"] = [rng.sample(names, rng.randint(1, len(names)))]
    return Plan(truths, _jobs(rng, until, list(models)), models, until, declared)


def _truth(rng: Random, name: str, until: float) -> Truth:
    truth = Truth(name, f"h{rng.randint(0, 2)}", ttft=rng.uniform(0.1, 2), speed=rng.uniform(20, 200))
    if rng.random() < 0.6:
        truth.rpm = rng.randint(3, 60)
    if rng.random() < 0.5:
        truth.tpm = rng.randint(4_000, 60_000)
    if rng.random() < 0.5:
        truth.slots = rng.randint(1, 10)
    truth.manners = rng.choice(["true", "none", "lies"])
    truth.tells = rng.random() < 0.3
    for _ in range(rng.choice([0, 0, 1, 2])):
        start = START + rng.uniform(0, until)
        truth.outages.append((start, start + rng.expovariate(1 / 20), rng.choice(_OUTAGES)))
    return truth


def _jobs(rng: Random, until: float, models: list[str]) -> list[Job]:
    jobs: list[Job] = []
    tenants = [f"t{i}" for i in range(rng.randint(1, 5))]
    at = 0.0
    pace = rng.uniform(0.5, 4)
    while at < until and len(jobs) < 300:
        burst = rng.randint(5, 40) if rng.random() < 0.03 else 1
        tenant = rng.choice(tenants)
        for _ in range(burst):
            out = int(min(4000, rng.lognormvariate(5, 1))) + 1
            jobs.append(
                Job(
                    len(jobs), at, tenant if burst > 1 else rng.choice(tenants), rng.choice(models),
                    int(min(8000, rng.lognormvariate(6, 1))) + 1, out, int(out * rng.uniform(1, 1.5)) + 1,
                    patience=rng.choice([0.0, 5.0, 20.0, 60.0]), priority=rng.choice([0, 1, 1, 1, 2]),
                    affinity=f"s{rng.randint(0, 20)}" if rng.random() < 0.4 else None,
                    leaves=rng.uniform(0, 30) if rng.random() < 0.1 else None, crashes=rng.random() < 0.02,
                )
            )  # fmt: skip
        at += rng.expovariate(pace)
    return jobs


def saturated(seed: int, by: str) -> Plan:
    """Twice as much as the fleet can take, of limits that are all known. `by`: what is scarce."""
    rng = Random(f"{by} {seed}")
    truths = [Truth(f"a{i}", "h", ttft=0.3, speed=100.0) for i in range(rng.randint(1, 4))]
    for truth in truths:
        if by == "requests":
            truth.rpm = rng.randint(10, 120)
        elif by == "tokens":
            truth.tpm = rng.randint(20_000, 200_000)
        else:
            truth.slots = rng.randint(1, 20)
    names = [truth.name for truth in truths]
    until = 360.0
    jobs: list[Job] = []
    capacity = {
        "requests": sum(t.rpm for t in truths) / 60,
        "tokens": sum(t.tpm for t in truths) / 60 / 1000,
        "slots": sum(t.slots for t in truths) / 5.0,
    }[by]
    at = 0.0
    while at < until:
        out = rng.randint(200, 700)
        tokens_in = rng.randint(100, 1000)
        jobs.append(Job(len(jobs), at, f"t{rng.randint(0, 3)}", "x", tokens_in, out, out, patience=60.0))
        at += rng.expovariate(2 * capacity)
    return Plan(truths, jobs, {"x": [names]}, until, set(names))


def outage(seed: int) -> Plan:
    """Two accounts of two hosts; the first fails for a while, under steady demand."""
    rng = Random(f"outage {seed}")
    kind = rng.choice(_OUTAGES[:4])
    truths = [Truth("a0", "h0", manners="none"), Truth("a1", "h1", slots=30)]
    start = START + rng.uniform(20, 60)
    truths[0].outages = [(start, start + rng.uniform(5, 90), kind)]
    jobs = [
        Job(i, i * 0.4, "t", "x", 500, 200, 200, patience=60.0, affinity=f"s{i % 50}" if seed % 2 else None)
        for i in range(600)
    ]
    return Plan(truths, jobs, {"x": [["a0", "a1"]]}, 300.0, {"a0", "a1"})
