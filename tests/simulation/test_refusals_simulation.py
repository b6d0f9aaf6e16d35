"""What refused callers are told, against what then happened: `retry-after` is neither hope nor threat."""

import heapq
from collections import deque
from collections.abc import Callable
from random import Random

import pytest

from dragoman.accounts.lease import Refused
from simulation.fleet import START, Fleet, Job, Plan
from simulation.pool import PoolPolicy
from simulation.upstream import Truth
from simulation.workers import Troubles, Workers

RPM = 60
SECONDS = 2.0  # that a call takes, about


class Notes:
    """What was said to whom. `waiting`: so many waited then, at all workers."""

    def __init__(self) -> None:
        self.said: list[tuple[float, int, Refused]] = []

    def desks(self, fleet: Fleet) -> list[PoolPolicy]:
        policy = fleet.policy
        return list(policy.workers) if isinstance(policy, Workers) else [policy]  # type: ignore[list-item]  # one or the other

    def hear(self, fleet: Fleet, answer: object) -> None:
        if isinstance(answer, Refused):
            waiting = sum(each.desk.queue.waiting for each in self.desks(fleet))
            self.said.append((fleet.now - START, waiting, answer))


def crowd(seed: int, count: int, seconds: float) -> list[Job]:
    rng = Random(f"refusals {seed}")
    return [
        Job(
            i, rng.uniform(0, seconds), f"t{i % 3}", "x", 10, int(80 * rng.uniform(0.5, 3)), 100,
            patience=rng.choice([5.0, 50.0]),
        )
        for i in range(count)
    ]  # fmt: skip


def begins(jobs: list[Job], slots: int, at: float, calls: int) -> float:
    """When so many calls more could have begun after `at`, one after the other."""
    started = [job for job in jobs if job.started is not None and job.started - START <= at]
    minute = deque(sorted(job.started - START for job in started if job.started - START > at - 60)[-RPM:])  # type: ignore[operator]  # they have started
    running = [job.ended - START for job in started if job.ended is not None and job.ended - START > at]
    heapq.heapify(running)
    for _ in range(calls):
        if len(minute) >= RPM:
            at = max(at, minute.popleft() + 60)
        while len(running) >= slots:
            at = max(at, heapq.heappop(running))
        minute.append(at)
        heapq.heappush(running, at + SECONDS)
    return at


def refusals(
    monkeypatch: pytest.MonkeyPatch, seed: int, workers: int, slots: int, most: int, seconds: float
) -> list[tuple[float, float, float]]:
    """Of each refusal: what was said, when the next call could begin, and when the caller could, behind those who
    wait already where that is why it was refused; in seconds from then."""
    notes, take, made = Notes(), PoolPolicy._take, PoolPolicy.__init__

    def noted(self: PoolPolicy, job: Job, answer: object) -> None:
        notes.hear(self.fleet, answer)
        take(self, job, answer)  # type: ignore[arg-type]  # whatever it was

    def short(self: PoolPolicy, *args: object, **more: object) -> None:
        made(self, *args, **more)  # type: ignore[arg-type]
        self.desk.max_waiting = most

    monkeypatch.setattr(PoolPolicy, "_take", noted)
    monkeypatch.setattr(PoolPolicy, "__init__", short)
    jobs = crowd(seed, 150 if seconds < 60 else 400, seconds)
    plan = Plan([Truth("a", "h", rpm=RPM, slots=slots)], jobs, {"x": [["a"]]}, 600.0, declared={"a"})
    policy: Callable[[Fleet], object] = lambda fleet: (  # noqa: E731 - a policy is what makes one of a fleet
        PoolPolicy(fleet, checked=False) if workers == 1 else Workers(fleet, workers, Troubles())
    )
    Fleet(plan, seed, policy).run()  # type: ignore[arg-type]  # both are policies
    return [
        (
            refused.retry_after or 0.0,
            begins(jobs, slots, at, 1) - at,
            begins(jobs, slots, at, 1 + waiting if refused.why in ("full", "hopeless") else 1) - at,
        )
        for at, waiting, refused in notes.said
    ]


@pytest.mark.parametrize("seconds", [4.0, 120.0])
@pytest.mark.parametrize("most", [10, 10_000])
@pytest.mark.parametrize("slots", [4, 10**9])
@pytest.mark.parametrize("workers", [1, 3, 6])
def test_a_retry_after_is_about_when_a_call_could_begin(
    monkeypatch: pytest.MonkeyPatch, workers: int, slots: int, most: int, seconds: float
) -> None:
    """Of several workers, each knows the others' use and queues only by and by: one in forty is told too much."""
    found = refusals(monkeypatch, 1, workers, slots, most, seconds)
    over = [row for row in found if row[0] > 1.3 * row[2] + 3]
    under = [row for row in found if row[0] < 0.7 * row[1] - 3]
    assert len(found) >= 60
    assert len(over) <= (0 if workers == 1 else 0.03 * len(found)), over
    assert under == []
