"""Several workers of the pool in virtual time, on one node or on several, with one steward between them: messages take
their time, workers crash and come again, nodes are cut off, the steward goes away and comes back empty."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from dragoman.accounts.lease import Lease
from dragoman.accounts.shares import Shares
from dragoman.accounts.steward import Reply, Report, Steward
from simulation.fleet import START, Fleet, Job
from simulation.pool import PoolPolicy
from simulation.upstream import Said

SPACING = 0.005  # seconds between two reports of a worker
LOOK = 0.1  # seconds after which a worker looks whether there is something to say
LEASE = 30.0  # seconds after which a dead holder's lease expires
FENCE = 3.0  # seconds without an answer after which a worker takes the steward to be away


@dataclass
class Troubles:
    """What happens besides. Times are seconds of the run; workers are told by their places in the house."""

    latency: float = 0.002
    crashes: list[tuple[float, int]] = field(default_factory=list)  # when, which worker
    away: list[tuple[float, float]] = field(default_factory=list)  # from, until
    cuts: list[tuple[float, float, int]] = field(default_factory=list)  # from, until, which node the steward is lost to
    empty: bool = True  # the steward comes back without a memory
    degrade: bool = True

    @property
    def outlasted(self) -> bool:
        """Whether the steward is away for so long that those who go on alone take all calls of before for ended. A few
        are not: so many more may be under way then."""
        return self.degrade and any(end - start > 8.0 + FENCE for start, end in self.away)


class Worker(PoolPolicy):
    """One process: a desk, and its side of the shares."""

    def __init__(self, fleet: Fleet, name: str, house: "Workers", place: int) -> None:
        super().__init__(fleet, checked=False, lease_seconds=LEASE, shared=True)
        self.name = name
        self.house = house
        self.node, rank = divmod(place, house.each)
        self.alive = True
        self.jobs: dict[int, Job] = {}
        self.shares = Shares(name, self.desk, workers=house.each, rank=rank)
        self._under_way = False
        self._sent = -1.0
        self._answered = fleet.now
        self._look()

    def _try(self, job: Job) -> None:
        self.jobs[job.number] = job
        super()._try(job)

    def _after(self) -> None:
        super()._after()
        self.pump()

    def _tick(self, event: float) -> None:
        if self.alive:
            super()._tick(event)

    def _renew(self, job: Job, lease: Lease) -> None:
        if self.alive:
            super()._renew(job, lease)

    def pump(self) -> None:
        """Says what is to be said, if the last report has been answered."""
        now = self.fleet.now
        if self._under_way or not self.alive or now < self._sent + SPACING:
            return
        report = self.shares.report(now, self.house.run)
        if report is not None:
            self._under_way, self._sent = True, now
            self.fleet.at(now + self.house.delay(), self.house.take, self, report)

    def _look(self) -> None:
        if not self.alive or not self.house.busy():
            return
        now = self.fleet.now
        if now - self._answered > FENCE:
            self.shares.away(now, self.house.troubles.degrade)
        else:
            self.shares.look(now)
        self._after()
        self.check_awake()
        self.fleet.at(now + LOOK, self._look)

    def hear(self, reply: Reply | None, sent: float) -> None:
        if not self.alive:
            return
        self._under_way = False
        if reply is None:
            self.shares.lost()
        else:
            self._answered = sent
            self.shares.hear(reply, self.fleet.now)
        self._after()
        self.fleet.at(self._sent + SPACING, self.pump)

    def poked(self) -> None:
        self.shares.poked = True
        self.pump()


class Workers:
    """The policy of the whole house: a request comes to any of its workers. `nodes`: on which they are, evenly."""

    def __init__(self, fleet: Fleet, count: int, troubles: Troubles, nodes: int = 1) -> None:
        self.fleet = fleet
        self.troubles = troubles
        self.rng = Random(f"{fleet.rng.random()}")
        self.steward = Steward()
        self.run = "1"
        self.up = True
        self.each = count // nodes
        self.workers: list[Worker] = []
        self._names = 0
        self._last = fleet.now
        for place in range(count):
            self.workers.append(self._worker(place))
        for at, which in troubles.crashes:
            fleet.at(fleet.now + at, self._crash, which)
        for start, end in troubles.away:
            fleet.at(fleet.now + start, self._go)
            fleet.at(fleet.now + end, self._come)

    def _worker(self, place: int) -> Worker:
        self._names += 1
        return Worker(self.fleet, f"{place % self.each}-{self._names}", self, place)

    def busy(self) -> bool:
        """Workers say that they live as long as there is anything to serve, and until the last lease of a dead holder
        has expired."""
        if self.fleet.open:
            self._last = self.fleet.now
        return self.fleet.now < self._last + LEASE + 1

    def delay(self) -> float:
        return self.troubles.latency * self.rng.uniform(0.5, 3)

    def _go(self) -> None:
        self.up = False

    def _come(self) -> None:
        self.up = True
        self.run = f"{int(self.run) + 1}"
        if self.troubles.empty:
            self.steward = Steward()

    def _reaches(self, worker: Worker) -> bool:
        """Whether messages between a worker and the steward come through."""
        at = self.fleet.now - START
        return self.up and not any(start <= at < end and worker.node == node for start, end, node in self.troubles.cuts)

    def take(self, worker: Worker, report: Report) -> None:
        now = self.fleet.now
        if not self._reaches(worker) or report.run != self.run:
            self.fleet.at(now + 0.2, worker.hear, None, now)
            return
        reply = self.steward.report(report, now)
        self.fleet.at(now + self.delay(), worker.hear, reply, now)
        for name in reply.poke:
            self.fleet.at(now + self.delay(), self._poke, name)
        self.check()

    def _poke(self, name: str) -> None:
        for worker in self.workers:
            if worker.name == name and worker.alive and self._reaches(worker):
                worker.poked()

    def _crash(self, which: int) -> None:
        worker = self.workers[which]
        worker.alive = False
        for job in worker.jobs.values():
            if job.result is None:
                self.fleet._hang_up(job)
                self.fleet.end(job, "crashed")
        self.workers[which] = self._worker(which)

    def check(self) -> None:
        """The parts of a limit are never more than the whole, whoever holds them. (A steward that comes back with an
        old memory takes workers for dead first, and counts what they had beside what they have; so does one that hears
        again of workers that it could not be reached by. Who went on alone may have exceeded a limit by its slack.)"""
        now = self.fleet.now
        if (self.troubles.away and (self.troubles.degrade or not self.troubles.empty)) or self.troubles.cuts:
            return
        for name, group in self.steward.groups.items():
            for key, limit in group.limits.items():
                parts = [part for part in limit.parts.values() if part.until < 0 or part.until > now]
                # one call that is larger than the whole limit has it all, where nothing else does
                held = limit.gone + sum(min(limit.whole, part.held + part.given) for part in parts)
                corrected = sum(max(0.0, part.used - part.held) for part in parts)
                declared = "|" not in key  # what is learned may fall below what is held already
                assert not declared or held - corrected <= limit.whole + 1e-6, f"{name} {key}: {held} of {limit.whole}"

    def _of(self, job: Job) -> Worker:
        if not isinstance(getattr(job, "worker", None), Worker):
            job.worker = self.rng.choice(self.workers)  # type: ignore[attr-defined]
        return job.worker  # type: ignore[attr-defined,no-any-return]

    def arrive(self, job: Job) -> None:
        self._of(job).arrive(job)

    def leave(self, job: Job) -> None:
        self._of(job).leave(job)

    def failed(self, job: Job, account: str, said: Said, ticket: Any) -> None:
        worker = self._of(job)
        if worker.alive:
            worker.failed(job, account, said, ticket)

    def began(self, job: Job, account: str, said: Said, ticket: Any) -> None:
        self._of(job).began(job, account, said, ticket)

    def served(self, job: Job, account: str, said: Said, ticket: Any) -> None:
        self._of(job).served(job, account, said, ticket)
