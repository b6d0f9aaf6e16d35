"""A fleet in virtual time: clients that come in bursts, leave, and wait; providers that refuse, break and hang; a
policy in between that sends each attempt somewhere. One seed, one run: the same every time."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from simulation.upstream import Said, Truth, Upstream

START = 1_790_000_000.0  # Unix seconds


@dataclass
class Job:
    """One client's request, and what became of it."""

    number: int
    at: float
    tenant: str
    model: str
    tokens_in: int
    tokens_out: int  # what it will really take
    expected: int  # what is thought that it will
    patience: float
    priority: int = 1
    affinity: str | None = None
    leaves: float | None = None  # when its client goes away
    crashes: bool = False  # its holder dies in mid-call
    ended: float | None = None
    result: str | None = None  # served, left, crashed, or why not
    started: float | None = None  # when the attempt that served it was sent
    attempts: int = 0
    avoid: frozenset[tuple[str, str]] = frozenset()
    state: Any = None  # the policy's own


@dataclass
class Plan:
    """A scenario: who serves, who asks."""

    truths: list[Truth]
    jobs: list[Job]
    models: dict[str, list[list[str]]]  # tiers of account names
    until: float
    declared: set[str] = field(default_factory=set)  # accounts whose true limits are in the config
    latency: float = 0.0


class Policy(Protocol):
    """Who decides. It calls `fleet.send`, `fleet.end`."""

    def arrive(self, job: Job) -> None: ...
    def leave(self, job: Job) -> None: ...
    def failed(self, job: Job, account: str, said: Said, ticket: Any) -> None: ...
    def began(self, job: Job, account: str, said: Said, ticket: Any) -> None: ...
    def served(self, job: Job, account: str, said: Said, ticket: Any) -> None: ...


class Fleet:
    """Runs a plan under a policy."""

    def __init__(self, plan: Plan, seed: int, policy: Callable[["Fleet"], Policy]) -> None:
        self.plan = plan
        self.now = START
        self.rng = Random(seed)
        self.upstreams = {t.name: Upstream(t, Random(f"{seed}/{t.name}")) for t in plan.truths}
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = itertools.count()
        self._live: dict[int, Upstream] = {}
        self.open = len(plan.jobs)  # without a result yet
        self.after: list[Callable[[], None]] = []
        self.policy = policy(self)

    def at(self, when: float, act: Callable[..., None], *args: Any) -> None:
        heapq.heappush(self._events, (max(when, self.now), next(self._count), act, args))

    def run(self) -> None:
        for job in self.plan.jobs:
            self.at(START + job.at, self._arrive, job)
        while self._events:
            self.now, _, act, args = heapq.heappop(self._events)
            act(*args)
            for check in self.after:
                check()

    def _arrive(self, job: Job) -> None:
        job.at = self.now
        if job.leaves is not None:
            self.at(self.now + job.leaves, self._leave, job)
        self.policy.arrive(job)

    def _leave(self, job: Job) -> None:
        if job.result is None:
            self._hang_up(job)
            self.policy.leave(job)

    def _hang_up(self, job: Job) -> None:
        upstream = self._live.pop(job.number, None)
        if upstream is not None:
            upstream.ended()

    def end(self, job: Job, result: str) -> None:
        assert job.result is None, f"job {job.number} is answered twice: {job.result}, then {result}"
        job.result, job.ended = result, self.now
        self.open -= 1

    def send(self, job: Job, account: str, ticket: Any) -> None:
        """The policy's attempt goes to an account. What comes of it is told to the policy, unless the job's client has
        left or its holder has died by then."""
        upstream = self.upstreams[account]
        job.attempts += 1
        said = upstream.call(self.now, job.tokens_in + job.tokens_out, job.tokens_out)
        if said.kind is not None:
            self.at(self.now + said.seconds, self._failed, job, account, said, ticket)
            return
        job.started = self.now
        self._live[job.number] = upstream
        if job.crashes:
            self.end(job, "crashed")
            self.at(self.now + min(said.seconds, 30.0), self._hang_up, job)
            return
        if said.ttft < said.seconds:
            self.at(self.now + said.ttft, self._began, job, account, said, ticket)
        self.at(self.now + said.seconds, self._finished, job, account, said, ticket)

    def _failed(self, job: Job, account: str, said: Said, ticket: Any) -> None:
        self.policy.failed(job, account, said, ticket)

    def _began(self, job: Job, account: str, said: Said, ticket: Any) -> None:
        if job.result is None:
            self.policy.began(job, account, said, ticket)

    def _finished(self, job: Job, account: str, said: Said, ticket: Any) -> None:
        if job.result is not None:
            return
        self._hang_up(job)
        if said.cut:
            self.policy.failed(job, account, Said("stream_broken", seconds=said.seconds), ticket)
        else:
            self.policy.served(job, account, said, ticket)
