"""The pool as a policy of the virtual fleet: what the gateway does with the desk, in virtual time; and the checks."""

from typing import Any

from dragoman.accounts.capacity import AccountSpec, SeatCapacity
from dragoman.accounts.desk import Candidate, Desk
from dragoman.accounts.lease import Lease, Outcome, Phase, Refused, Want
from dragoman.accounts.limits import Limits
from dragoman.accounts.queue import Ticket
from dragoman.accounts.ratelimits import Rate
from dragoman.accounts.roster import allowed
from simulation.fleet import Fleet, Job
from simulation.upstream import Said

ATTEMPTS = 6
PASSES = frozenset({"rate_limited", "overloaded"})  # these rests are hard: no need to avoid the seat by hand


class CheckedDesk(Desk):
    """A desk that looks, at each grant, whether somebody is passed over by it."""

    def _grant(self, seat: SeatCapacity, want: Want, now: float) -> Lease | Refused:
        orders = {id(t.want): t.order for lane in self.queue.lanes.values() for t in lane.tickets()}
        mine = orders.get(id(want))
        for lane in self.queue.lanes.values():
            first = lane.first()
            if first is None or first.want is want or not _could(seat, first.want):
                continue
            before = mine is None or first.order < mine
            assert not (before and seat.fits(first.want, now, first.order) == 2), (
                f"{want.tenant}'s want is granted {seat.account.name} before {first.want.tenant}'s, who could use it"
            )
        return super()._grant(seat, want, now)


class PoolPolicy:
    """Dragoman's pool."""

    def __init__(self, fleet: Fleet, checked: bool = True, lease_seconds: float = 60.0, shared: bool = False) -> None:
        self.fleet = fleet
        self.desk = (CheckedDesk if checked else Desk)(fleet.rng.random, lease_seconds=lease_seconds, shared=shared)
        self.now = fleet.now
        for truth in fleet.plan.truths:
            known = truth.name in fleet.plan.declared
            limits = Limits(
                rpm=truth.rpm if known and truth.rpm < 10**9 else None,
                tpm=truth.tpm if known and truth.tpm < 10**12 else None,
                max_in_flight=truth.slots if known and truth.slots < 10**9 else None,
                daily=truth.daily,
            )
            self.desk.declare(AccountSpec(name=truth.name, host=truth.host, limits=limits), fleet.now)
        self.rosters = {
            model: self.desk.roster([[Candidate(name, "m", price=(1, 1)) for name in tier] for tier in tiers])
            for model, tiers in fleet.plan.models.items()
        }
        self._timer: float | None = None
        if checked:
            fleet.after.append(self.check)

    # -- what the gateway does ----------------------------------------------------------------------------------------

    def arrive(self, job: Job) -> None:
        self._try(job)

    def _try(self, job: Job) -> None:
        now = self.fleet.now
        want = Want(
            roster=self.rosters[job.model], deadline=job.at + job.patience, input_tokens=job.tokens_in,
            output_tokens=job.expected, tenant=job.tenant, priority=job.priority, affinity=job.affinity,
            avoid=job.avoid, attempt=job.attempts + 1,
        )  # fmt: skip
        self._take(job, self.desk.acquire(want, now))
        self._after()

    def _take(self, job: Job, answer: Lease | Ticket | Refused | None) -> None:
        job.state = answer
        if isinstance(answer, Ticket):
            answer.waker = job
        elif isinstance(answer, Lease):
            self.fleet.send(job, answer.account, answer)
            self._renew(job, answer)
        elif isinstance(answer, Refused):
            if answer.why == "no_seat" and job.avoid and job.attempts < ATTEMPTS:
                job.avoid = frozenset()
                self._try(job)
            else:
                self.fleet.end(job, answer.why)

    def _renew(self, job: Job, lease: Lease) -> None:
        """A holder that lives says so, now and then."""
        if job.result is None and job.state is lease and lease.phase is Phase.HELD:
            self.desk.renew(lease, self.fleet.now)
            self.fleet.at(self.fleet.now + 25.0, self._renew, job, lease)

    def _after(self) -> None:
        for ticket in self.desk.answered():
            assert isinstance(ticket.waker, Job)
            self._take(ticket.waker, ticket.answer)
        event = self.desk.next_event()
        if event is not None and (self._timer is None or event < self._timer or self._timer <= self.fleet.now):
            self._timer = event
            self.fleet.at(event, self._tick, event)

    def _tick(self, event: float) -> None:
        if event == self._timer:
            self._timer = None
            self.desk.tick(self.fleet.now)
            self._after()

    def leave(self, job: Job) -> None:
        state, now = job.state, self.fleet.now
        self.fleet.end(job, "left")
        if isinstance(state, Ticket):
            self.desk.cancel(state, now)
        elif isinstance(state, Lease):
            self.desk.settle(state, _took(job, dropped=True), now)
        self._after()

    def began(self, job: Job, account: str, said: Said, ticket: Any) -> None:
        self.desk.began(ticket, said.ttft, self.fleet.now)
        self._after()

    def failed(self, job: Job, account: str, said: Said, ticket: Any) -> None:
        outcome = Outcome(kind=said.kind, retry_after=said.retry_after)
        if said.kind == "stream_broken":
            outcome = _took(job, kind=said.kind)
        self.desk.settle(ticket, outcome, self.fleet.now)
        self._after()
        if job.result is not None:
            return
        if said.kind not in PASSES:
            job.avoid |= {(account, "m")}
        if job.attempts >= ATTEMPTS:
            self.fleet.end(job, said.kind or "")
        else:
            self._try(job)

    def served(self, job: Job, account: str, said: Said, ticket: Any) -> None:
        rates: tuple[Rate, ...] = ()
        upstream = self.fleet.upstreams[account]
        if upstream.truth.tells:
            requests, tokens, reset = upstream.remaining(self.fleet.now)
            rates = (
                Rate(
                    resource="requests",
                    limit=upstream.truth.rpm,
                    remaining=requests,
                    reset=reset,
                    window=60.0,
                    refills=True,
                ),
                Rate(
                    resource="tokens",
                    limit=upstream.truth.tpm,
                    remaining=tokens,
                    reset=reset,
                    window=60.0,
                    refills=True,
                ),
            )
        outcome = _took(job, ttft=said.ttft, seconds=said.seconds, rates=rates)
        self.fleet.end(job, "served")
        self.desk.settle(ticket, outcome, self.fleet.now)
        self._after()

    # -- what must hold after every event -----------------------------------------------------------------------------

    def check(self) -> None:
        now = self.fleet.now
        desk = self.desk
        if self._timer is not None and self._timer <= now:
            return  # the timer goes off at this very moment, after this event
        self.check_awake()
        if desk.queue.waiting:
            event = desk.next_event()
            assert event is not None and event > now, "the timer is late"
            assert self._timer is not None and self._timer <= event, "no timer is set for what comes next"

    def check_awake(self) -> None:
        """Nobody waits who could be served."""
        now = self.fleet.now
        for lane in self.desk.queue.lanes.values():
            first = lane.first()
            assert first is not None, "a lane without anyone in it"
            assert first.want.deadline >= now, "somebody waits beyond the deadline"
            for seat in first.want.roster.seats:
                asleep = allowed(seat, first.want) and seat.fits(first.want, now, first.order)
                assert not asleep, f"{first.want.tenant} waits while {seat.account.name} is free"


def _took(job: Job, **more: Any) -> Outcome:
    """How an attempt ended for which the provider did all the work."""
    cost = job.tokens_in + job.tokens_out
    return Outcome(tokens_in=job.tokens_in, tokens_out=job.tokens_out, cost=cost, **more)


def _could(seat: SeatCapacity, want: Want) -> bool:
    return seat in want.roster.seats and allowed(seat, want)
