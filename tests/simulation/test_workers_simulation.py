"""Several workers that share one set of limits, on one node or on several, under a virtual fleet: each seed is one
house, one crowd, one course of troubles. What is checked after each report: the parts of a limit are never more than
the whole. Whenever a worker looks: nobody waits there who could be served."""

from random import Random

import pytest

from dragoman.accounts.steward import GHOST, MONEY, RATE, TTL
from simulation.fleet import START, Fleet, Job, Plan
from simulation.scenario import anything, saturated
from simulation.upstream import Truth
from simulation.workers import Troubles, Workers


def run(plan: Plan, seed: int, workers: int, troubles: Troubles, nodes: int = 1) -> tuple[Fleet, Workers]:
    fleet = Fleet(plan, seed, lambda fleet: Workers(fleet, workers, troubles, nodes))
    fleet.run()
    assert isinstance(fleet.policy, Workers)
    return fleet, fleet.policy


def troubles(seed: int) -> tuple[int, Troubles]:
    rng = Random(f"troubles {seed}")
    count = rng.choice([2, 3, 6])
    found = Troubles(latency=rng.choice([0.0005, 0.003, 0.02]), degrade=rng.random() < 0.5, empty=rng.random() < 0.7)
    if rng.random() < 0.4:
        found.crashes = [(rng.uniform(5, 100), rng.randrange(count)) for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.4:
        start = rng.uniform(5, 80)
        found.away = [(start, start + rng.choice([0.5, 3.0, 20.0, 90.0]))]
    return count, found


def troubles_of_nodes(seed: int) -> tuple[int, int, Troubles]:
    """How many nodes, how many workers on each, and what befalls them: nodes die, or lose the steward that lives."""
    rng = Random(f"nodes {seed}")
    nodes, each = rng.choice([2, 3]), rng.choice([1, 2])
    found = Troubles(latency=rng.choice([0.001, 0.01, 0.05]), degrade=rng.random() < 0.5, empty=rng.random() < 0.7)
    if rng.random() < 0.5:
        start, node = rng.uniform(5, 120), rng.randrange(nodes)
        found.crashes = [(start, place) for place in range(node * each, (node + 1) * each)]
    if rng.random() < 0.5:
        start = rng.uniform(5, 100)
        found.cuts = [(start, start + rng.choice([2.0, 8.0, 40.0]), rng.randrange(nodes))]
    if rng.random() < 0.3:
        start = rng.uniform(5, 100)
        found.away = [(start, start + rng.choice([0.5, 3.0, 20.0, 90.0]))]
    return nodes, each, found


def forgotten(trouble: Troubles, seconds: float = 2 * GHOST[RATE]) -> bool:
    """Whether a dead worker's use counts still (for so many seconds) when the steward loses its memory: nobody knows it
    then."""
    lost = [end for _, end in trouble.away] if trouble.empty else []
    return any(end - seconds < crash < end + TTL for end in lost for crash, _ in trouble.crashes)


def slack(trouble: Troubles, nodes: int, each: int) -> float:
    """By which share a limit may be exceeded (see `steward`): who goes on alone while the steward lives, or begins
    while it is not to be reached, uses an even part of it, as far as it knows how many workers there are; and until all
    notice that it is away, a few seconds pass."""
    if not trouble.degrade:
        return 0.0
    lost = [(start, end) for start, end, _ in trouble.cuts] + trouble.away
    begun = sum(any(start - TTL < crash < end for start, end in lost) for crash, _ in trouble.crashes)
    return bool(trouble.cuts) / nodes + begun / each + 0.2 * bool(trouble.away)


def all_is_well(fleet: Fleet, house: Workers, trouble: Troubles) -> None:
    """At the end: each request was answered, no known limit was exceeded, no budget overspent, and each lease is
    back."""
    assert all(job.result is not None for job in fleet.plan.jobs), "a request is lost"
    for name, upstream in fleet.upstreams.items():
        exceeded = name in fleet.plan.declared and upstream.refused and not forgotten(trouble)
        assert not exceeded, f"{name}: a known limit was exceeded"
        over = upstream.truth.daily is not None and upstream.spent > upstream.truth.daily
        assert not over or forgotten(trouble, GHOST[MONEY]), f"{name}: {upstream.spent} of {upstream.truth.daily} spent"
    for worker in house.workers:
        worker.desk.tick(fleet.now + 3600)
        assert worker.desk.queue.waiting == 0
        assert all(account.in_flight == 0 for account in worker.desk.accounts.values()), "a lease is not back"


def test_whatever_happens_to_workers_and_steward_the_limits_hold(house_seed: int) -> None:
    """Crashed workers, lost messages, a steward that is away and comes back without a memory or with an old one."""
    count, trouble = troubles(house_seed)
    plan = anything(house_seed, most=2)
    for truth in plan.truths:
        truth.slack = slack(trouble, 1, count)
        truth.slots_slack = truth.slack + trouble.outlasted
    fleet, house = run(plan, house_seed, count, trouble)
    all_is_well(fleet, house, trouble)


def test_whatever_happens_to_nodes_the_limits_hold_but_for_their_slack(nodes_seed: int) -> None:
    """Nodes that die with all their workers, and nodes that cannot reach a steward that the others reach."""
    nodes, each, trouble = troubles_of_nodes(nodes_seed)
    plan = anything(nodes_seed, most=1.5)
    for truth in plan.truths:
        truth.slack = slack(trouble, nodes, each)
        calls = bool(trouble.cuts) or trouble.outlasted  # go on where the steward takes their worker for dead
        truth.slots_slack = truth.slack + calls
    fleet, house = run(plan, nodes_seed, nodes * each, trouble, nodes)
    all_is_well(fleet, house, trouble)


@pytest.mark.parametrize("by", ["requests", "tokens", "slots"])
def test_together_they_use_at_least_95_percent_and_each_gets_its_part(by: str, saturated_seed: int) -> None:
    count = 2 + saturated_seed % 5
    fleet, house = run(saturated(saturated_seed, by), saturated_seed, count, Troubles())
    begin, end = START + 90, START + 330
    assert not any(upstream.refused for upstream in fleet.upstreams.values()), "a known limit was exceeded"
    served = [job for job in fleet.plan.jobs if job.result == "served" and begin <= (job.started or 0) < end]
    truths = fleet.plan.truths
    if by == "requests":
        best, got = sum(t.rpm for t in truths) * (end - begin) / 60, len(served)
    elif by == "tokens":
        best, got = sum(t.tpm for t in truths) * (end - begin) / 60, sum(j.tokens_in + j.tokens_out for j in served)
    else:
        best = sum(t.slots for t in truths) * (end - begin)
        got = sum(min(j.ended or 0, end) - (j.started or 0) for j in served)
    assert got >= 0.95 * best, f"{got / best:.1%} of what is possible"
    each = [sum(job.worker is worker for job in served) for worker in house.workers]  # type: ignore[attr-defined]
    assert min(each) >= 0.6 * len(served) / count, f"a worker starves: {each}"


@pytest.mark.parametrize("by", ["requests", "slots"])
def test_what_a_crashed_worker_held_comes_back(by: str, saturated_seed: int) -> None:
    crash = 100.0
    fleet, _ = run(saturated(saturated_seed, by), saturated_seed, 3, Troubles(crashes=[(crash, 0), (crash, 1)]))
    back = START + crash + TTL + (GHOST[RATE] + 60 if by == "requests" else 15)
    end = START + 330
    served = [job for job in fleet.plan.jobs if job.result == "served" and back <= (job.started or 0) < end]
    if by == "requests":
        best, got = sum(t.rpm for t in fleet.plan.truths) * (end - back) / 60, len(served)
    else:
        best = sum(t.slots for t in fleet.plan.truths) * (end - back)
        got = sum(min(j.ended or 0, end) - (j.started or 0) for j in served)
    assert got >= 0.9 * best, f"{got / best:.1%} of what is possible"
    assert not any(upstream.refused for upstream in fleet.upstreams.values())


def test_while_the_steward_is_away_workers_go_on_with_their_parts(saturated_seed: int) -> None:
    away = Troubles(away=[(100.0, 220.0)])
    fleet, _ = run(saturated(saturated_seed, "requests"), saturated_seed, 2, away)
    begin, end = START + 190, START + 220  # all know it, and what was used before is in no minute any more
    served = [job for job in fleet.plan.jobs if job.result == "served" and begin <= (job.started or 0) < end]
    assert len(served) >= 0.8 * sum(t.rpm for t in fleet.plan.truths) * (end - begin) / 60
    assert not any(upstream.refused for upstream in fleet.upstreams.values())


def test_without_a_steward_those_who_refuse_use_nothing(saturated_seed: int) -> None:
    away = Troubles(away=[(100.0, 220.0)], degrade=False)
    fleet, _ = run(saturated(saturated_seed, "requests"), saturated_seed, 2, away)
    started = [job.started - START for job in fleet.plan.jobs if job.started is not None]
    assert not any(104.0 < at < 220.0 for at in started)
    assert any(at > 222.0 for at in started), "it does not recover by itself"


def test_one_workers_429_rests_the_account_for_all() -> None:
    """Four workers, one account that refuses for a while, ten calls a second: after the first refusals, it is asked
    again now and then, by one worker and not by all."""
    truth = Truth("a0", "h", outages=[(START + 10, START + 40, "overloaded")])
    jobs = [Job(i, i * 0.1, "t", "x", 10, 10, 10, patience=60.0) for i in range(600)]
    run(Plan([truth], jobs, {"x": [["a0"]]}, 60.0), 1, 4, Troubles())
    assert all(job.result == "served" for job in jobs)
    assert sum(job.attempts for job in jobs) - len(jobs) <= 12  # rests of 2, 4, 8 … s, and what was on its way


def test_a_house_replays() -> None:
    first, second = (
        [(job.result, job.ended, job.attempts) for job in run(anything(7), 7, 3, troubles(7)[1])[0].plan.jobs]
        for _ in range(2)
    )
    assert first == second
