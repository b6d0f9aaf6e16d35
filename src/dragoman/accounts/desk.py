"""The desk where leases on accounts are given out. One object holds all that is known of all accounts; it is pure:
`now` and random draws come from outside, and nothing happens but in a call of one of its methods (law 2).

How it is used: `acquire` answers at once with a lease, a refusal, or a ticket for one that must wait. A ticket is
answered by whatever later call makes room (`settle`, `began`, `cancel`, `tick`, …): after each call, `answered` gives
the tickets to wake. `next_event` is the one moment a timer is needed for, and None while nobody waits.

`now` is in Unix seconds (budgets of days and months need that), of a clock that never goes back: the time at start,
plus what a monotonic clock says has passed.

What holds between calls: nobody who waits could be served, except by what time changes at `next_event`. So whoever
comes may take what is free, and whoever waits is never overtaken by it.
"""

import itertools
from bisect import insort
from collections.abc import Callable, Iterable, Sequence

import msgspec
from msgspec import Struct

from dragoman.accounts.capacity import AccountCapacity, AccountSpec, Order, SeatCapacity
from dragoman.accounts.cooldown import PROBING, RULES, Cooldown, Host
from dragoman.accounts.health import SUSPECT
from dragoman.accounts.lease import Lease, Outcome, Phase, Refused, Want, Why
from dragoman.accounts.limits import NEVER
from dragoman.accounts.outlook import in_vain, refusal, rested, rests
from dragoman.accounts.queue import Lane, Queue, Ticket
from dragoman.accounts.queue import Phase as Waiting
from dragoman.accounts.retries import RetryBudget
from dragoman.accounts.roster import Roster, allowed


class Candidate(Struct, frozen=True):
    """A model of an account that can serve. `weight` is multiplied with the account's. `price`: pico-dollars for a
    token in and out."""

    account: str
    model: str
    weight: float = 1.0
    price: tuple[int, int] = (0, 0)


class Desk:
    """All accounts, their leases, and those who wait for one."""

    def __init__(
        self, draw: Callable[[], float], *, lease_seconds: float = 900.0, max_waiting: int = 1000,
        retries: RetryBudget | None = None, shared: bool = False,
    ) -> None:  # fmt: skip
        """`draw` gives random numbers in 0..1. A lease that is neither settled nor renewed for `lease_seconds`
        is taken back: its holder is dead. `shared`: the limits hold for several workers together; this one uses of them
        what it is granted (see `shares`)."""
        self.accounts: dict[str, AccountCapacity] = {}
        self.queue = Queue()
        self.retries = retries or RetryBudget()
        self.hedges = RetryBudget(share=0.05, most=5.0)
        self.max_waiting = max_waiting
        self.shared = shared
        self.news: dict[str, Cooldown] = {}  # rests that began or ended, which the other workers are to hear of
        self._draw = draw
        self._lease_seconds = lease_seconds
        self._hosts: dict[str, Host] = {}
        self._leases: dict[int, Lease] = {}  # the one that expires first comes first
        self._numbers = itertools.count()
        self._dirty: set[AccountCapacity] = set()
        self._answered: list[Ticket] = []

    # -- the accounts -------------------------------------------------------------------------------------------------

    def declare(self, spec: AccountSpec, now: float) -> None:
        """Adds an account, or changes the declaration of one: what is under way there, was used, learned or rests
        stays, unless it is at another host now; then it begins anew. Rosters made before know nothing of that, nor of
        its weight: make them anew."""
        former = self.accounts.get(spec.name)
        if former is not None and former.spec == spec:
            return
        if former is not None and former.host.name == spec.host:
            former.redeclare(spec)
            self._dirty.add(former)
            self._dispatch(now)
            return
        if former is not None:
            self.remove(spec.name, now)
        host = self._hosts.setdefault(spec.host, Host(spec.host))
        self.accounts[spec.name] = AccountCapacity(spec, host, self.shared)

    def remove(self, name: str, now: float) -> None:
        """Nothing new goes there; what is under way comes to its end."""
        self.serve(name, False, now)
        account = self.accounts.pop(name)
        if not any(other.host is account.host for other in self.accounts.values()):
            del self._hosts[account.host.name]

    def serve(self, name: str, serving: bool, now: float) -> None:
        """Lets an account take calls, or no longer (disabled, draining)."""
        account = self.accounts[name]
        account.serving = serving
        self._dirty.add(account)
        self._dispatch(now)
        self._refuse_hopeless(account, now)
        self._dispatch(now)

    def wake(self, name: str, now: float) -> None:
        """Ends an account's rests by hand: after a test that went well, or a new key. What calls made before come to
        (as with the old key) begins none."""
        account = self.accounts[name]
        account.cooldown = self.news[f"account|{name}"] = Cooldown(now)
        for model, seat in account.seats.items():
            seat.cooldown = self.news[f"seat|{name}|{model}"] = Cooldown(now)
            seat.health.recovered()
        self._dirty.add(account)
        self._dispatch(now)

    def cooldowns(self, name: str) -> tuple[Cooldown | None, list[AccountCapacity]]:
        """What rests by that name (as in `news`), and whose accounts rest with it."""
        kind, _, rest = name.partition("|")
        if kind == "host":
            host = self._hosts.get(rest)
            accounts = [account for account in self.accounts.values() if account.host is host]
            return host.cooldown if host is not None else None, accounts
        of, _, model = rest.partition("|")
        account = self.accounts.get(of)
        if account is None:
            return None, []
        return account.cooldown if kind == "account" else account.seat(model).cooldown, [account]

    def heard(self, name: str, kind: str, seconds: float, strikes: int, now: float) -> None:
        """Another worker found that something rests for so long (0: rests no more). Our own newer word stays."""
        cooldown, accounts = self.cooldowns(name)
        if cooldown is None or name in self.news:
            return
        if seconds > 0:
            cooldown.heard(kind, now + seconds, strikes, now)
        elif not cooldown.proved(now):
            return
        self._dirty.update(accounts)
        for account in accounts:
            self._refuse_hopeless(account, now)
        self._dispatch(now)

    def granted(self, names: Iterable[str], now: float) -> None:
        """The shares of these accounts have changed: serves whoever can go now."""
        self._dirty.update(account for name in names if (account := self.accounts.get(name)) is not None)
        self._advance(now)

    def forget(self, now: float) -> None:
        """Drops what is known of models that are as good as new. Make all rosters anew after it."""
        for account in self.accounts.values():
            account.forget(now)

    def roster(self, tiers: Sequence[Sequence[Candidate]]) -> Roster:
        """Who can serve a model, in order of preference. Keep it: it remembers, and those who wait with the same roster
        stand in one line. Candidates of unknown accounts are left out."""
        rows: list[list[tuple[SeatCapacity, float]]] = []
        for tier in tiers:
            row: list[tuple[SeatCapacity, float]] = []
            for candidate in tier:
                account = self.accounts.get(candidate.account)
                if account is not None:
                    seat = account.seat(candidate.model)
                    seat.price = candidate.price
                    row.append((seat, candidate.weight * account.spec.weight))
            rows.append(row)
        return Roster(rows)

    # -- leases -------------------------------------------------------------------------------------------------------

    def acquire(self, want: Want, now: float) -> Lease | Ticket | Refused:
        """A lease; or a ticket, to be answered later; or why not."""
        if want.attempt == 1:
            self.retries.earn()
            self.hedges.earn()
        elif (affordable := self._affordable(want)) is not None:
            want = affordable
        else:
            return Refused("retry_budget", None, rests(want, now))
        if not self.queue.waiting:
            seat = want.roster.place(want, now, None, self._draw)
            if seat is not None:
                return self._grant(seat, want, now)
        answer = self._wait_or_not(want, now)
        if want.paid and type(answer) is Refused:
            self.retries.refund()
        return answer

    def _affordable(self, want: Want) -> Want | None:
        """A further attempt pays, beforehand, for the ailing seats that it may get. Where it can't, it is one for those
        that are well, and waits for them; None where there are none."""
        seats = [seat for seat in want.roster.seats if allowed(seat, want) and seat.account.serving]
        ailing = [(seat.account.name, seat.model) for seat in seats if seat.health.success < SUSPECT]
        if not ailing:
            return want
        if self.retries.spend():
            return msgspec.structs.replace(want, paid=True)
        return msgspec.structs.replace(want, avoid=want.avoid.union(ailing)) if len(ailing) < len(seats) else None

    def _wait_or_not(self, want: Want, now: float) -> Lease | Ticket | Refused:
        self._expire(now)
        self._advance(now)
        if not any(allowed(seat, want) and seat.account.serving for seat in want.roster.seats):
            return Refused("no_seat")
        if not want.patient:
            return self._at_once(want, now)
        if self.queue.waiting >= self.max_waiting:
            return refusal("full", want, self.queue.waiting, now)
        ticket = self.queue.enter(want, now)
        if ticket.lane.fresh:
            self._dispatch(now)
        if ticket.phase is not Waiting.WAITING:
            self._answered.remove(ticket)
        elif (why := in_vain(ticket, self.queue.ahead(ticket), now)) is not None:
            self._end(ticket, Waiting.CANCELLED, None, now)
            return refusal(why, want, self.queue.waiting, now)
        return ticket.answer or ticket

    def _at_once(self, want: Want, now: float) -> Lease | Refused:
        """For a want that does not wait: what nobody who waits has a claim on."""
        if any(not lane.accounts.isdisjoint(want.roster.accounts) for lane in self.queue.lanes.values()):
            return refusal("busy", want, self.queue.waiting, now)
        seat = want.roster.place(want, now, None, self._draw)
        if seat is None:
            return refusal("busy", want, self.queue.waiting, now)
        return self._grant(seat, want, now)

    def began(self, lease: Lease, ttft: float, now: float) -> None:
        """The first token (or the whole reply's head) has come, `ttft` seconds after the call was made: the account
        does well."""
        if lease.phase is Phase.HELD and not lease.began:
            lease.seat.health.began(ttft)
            self._proved(lease)
            if self._dirty:
                self._dispatch(now)

    def settle(self, lease: Lease, outcome: Outcome, now: float) -> None:
        """The attempt has ended. A lease that has expired meanwhile, or is settled, is not settled again."""
        if lease.phase is not Phase.HELD:
            return
        lease.phase = Phase.SETTLED
        del self._leases[lease.id]
        seat = lease.seat
        account = seat.account
        if outcome.rates:
            seat.told(outcome.rates, lease, now)
        self._book(lease, outcome, now)
        if outcome.kind in RULES:
            seat.give_back()
            self._failed(lease, outcome, now)
        elif outcome.dropped and not lease.began:
            seat.give_back()
            self._dropped(lease)
        else:
            self._proved(lease)
            seat.accepted(lease)
            seat.give_back()
            if outcome.kind is None:
                account.served += 1
                if outcome.seconds is not None:
                    seat.health.succeeded(
                        outcome.seconds, outcome.ttft, outcome.tokens_in or 0, outcome.tokens_out or 0
                    )
        if self.queue.waiting:
            self._dirty.add(account)
            self._dispatch(now)

    def renew(self, lease: Lease, now: float) -> None:
        """Its holder is alive: call it now and then during long streams."""
        if lease.phase is Phase.HELD:
            lease.expires = now + self._lease_seconds
            self._leases[lease.id] = self._leases.pop(lease.id)

    def hedge_after(self, lease: Lease) -> float | None:
        """Seconds after its start at which a second attempt is worth its price: the seat's own p95 of the time to first
        token. None where that is not known yet."""
        return lease.seat.health.hedge_after()

    def hedge(self, first: Lease, now: float) -> Lease | None:
        """A lease for a second attempt beside one that is late: at another seat that does well and has room at once.
        None where there is no such seat, where those who wait have a claim on it, or where hedges have had their share
        of the traffic."""
        want = first.want
        shunned = {
            (seat.account.name, seat.model)
            for seat in want.roster.seats
            if seat is first.seat or seat.health.success < SUSPECT or seat.fits(want, now, None) != 2
        }
        want = msgspec.structs.replace(
            want, avoid=want.avoid | shunned, patient=False, affinity=None, prefer=None, deadline=now
        )
        if not any(allowed(seat, want) for seat in want.roster.seats) or not self.hedges.spend():
            return None
        answer = self._at_once(want, now)
        return answer if isinstance(answer, Lease) else None

    # -- those who wait -----------------------------------------------------------------------------------------------

    def cancel(self, ticket: Ticket, now: float) -> None:
        """Whoever waited has left. Was it granted already, the lease is given back unused."""
        if ticket.phase is Waiting.WAITING:
            if ticket.want.paid:
                self.retries.refund()
            self._end(ticket, Waiting.CANCELLED, None, now)
        elif isinstance(ticket.answer, Lease):
            self.settle(ticket.answer, Outcome(dropped=True, sent=False), now)

    def turn_away(self) -> None:
        """Refuses all who wait: nobody divides the shared limits."""
        for lane in list(self.queue.lanes.values()):
            for ticket in lane.tickets():
                self._leave(ticket, Waiting.REFUSED, Refused("away"))

    def tick(self, now: float) -> None:
        """What time alone changes: leases expire, deadlines come, rests end, windows slide."""
        self._expire(now)
        self._advance(now)

    def next_event(self) -> float | None:
        """When `tick` is to be called; None while nobody waits."""
        if not self.queue.waiting:
            return None
        event = min(self.queue.deadline(), *(lane.opens for lane in self.queue.lanes.values()))
        oldest = next(iter(self._leases.values()), None)
        return event if oldest is None else min(event, oldest.expires)

    def answered(self) -> list[Ticket]:
        """The tickets that were granted or refused since this was last asked, in that order."""
        answered = self._answered
        if answered:
            self._answered = []
        return answered

    # -- inside -------------------------------------------------------------------------------------------------------

    def _grant(self, seat: SeatCapacity, want: Want, now: float) -> Lease:
        if want.paid and seat.health.success >= SUSPECT:
            self.retries.refund()
        number = next(self._numbers)
        tokens = want.input_tokens + want.output_tokens
        lease = self._leases[number] = Lease(number, seat, want, now, now + self._lease_seconds, tokens)
        seat.take(lease, now)
        return lease

    def _book(self, lease: Lease, outcome: Outcome, now: float) -> None:
        purse = lease.seat.account.purse
        if purse is not None:
            cost = outcome.cost if outcome.cost is not None else 0 if outcome.kind or not outcome.sent else lease.cost
            purse.settle(lease.cost, cost, now)
        if outcome.tokens_in is not None or outcome.tokens_out is not None:
            took = (outcome.tokens_in or 0) + (outcome.tokens_out or 0)
        elif outcome.kind in RULES or not outcome.sent:
            took = 0
        else:
            return
        if took != lease.tokens:
            more = took - lease.tokens
            for window, entry in lease.entries:
                window.correct(entry, more, now)

    def _proved(self, lease: Lease) -> None:
        if lease.began:
            return
        lease.began = True
        seat = lease.seat
        account = seat.account
        host = account.host
        host.failures = 0
        if not (seat.cooldown.strikes or account.cooldown.strikes or host.cooldown.strikes):
            return
        for cooldown in (seat.cooldown, account.cooldown, host.cooldown):
            if cooldown.strikes and cooldown.proved(lease.at):
                seat.health.recovered()
                self._host_changed(host)
                self._tell(seat, cooldown)

    def _failed(self, lease: Lease, outcome: Outcome, now: float) -> None:
        seat, rule, kind = lease.seat, RULES[outcome.kind or ""], outcome.kind or ""
        account = seat.account
        account.failures[kind] = account.failures.get(kind, 0) + 1
        account.last_error, account.last_kind, account.last_at = outcome.message, kind, now
        if rule.health:
            seat.health.failed()
        if kind in ("rate_limited", "overloaded"):
            limited = outcome.limited or ("concurrency" if kind == "overloaded" else None)
            seat.refused(lease, limited, now)
        cooldown = account.cooldown if rule.scope == "account" else seat.cooldown
        cooldown.failed(kind, rule, now, since=lease.at, draw=self._draw(), retry_after=outcome.retry_after)
        self._tell(seat, cooldown)
        for probed in lease.probes:
            if probed is not cooldown and probed.state == PROBING:
                probed.dropped()
                self._host_changed(account.host)
        if not rule.host:
            if account.host.proved(lease.at):  # it answers, whatever it says
                self._host_changed(account.host)
                self._tell(seat, account.host.cooldown)
            self._refuse_hopeless(account, now)
        elif account.host.failed(now, lease.at, self._draw()):
            self._tell(seat, account.host.cooldown)
            self._host_changed(account.host)  # who waits for another account of it knows of no end of its rest yet
            for other in self.accounts.values():
                if other.host is account.host:
                    self._refuse_hopeless(other, now)
        else:
            self._refuse_hopeless(account, now)

    def _tell(self, seat: SeatCapacity, cooldown: Cooldown) -> None:
        if not self.shared:
            return
        account = seat.account
        if cooldown is seat.cooldown:
            name = f"seat|{account.name}|{seat.model}"
        elif cooldown is account.cooldown:
            name = f"account|{account.name}"
        else:
            name = f"host|{account.host.name}"
        self.news[name] = cooldown

    def _expire(self, now: float) -> None:
        """Takes back the leases whose holders are dead. What they took of the windows stays taken."""
        while self._leases:
            lease = next(iter(self._leases.values()))
            if lease.expires > now:
                return
            lease.phase = Phase.EXPIRED
            del self._leases[lease.id]
            lease.seat.give_back()
            purse = lease.seat.account.purse
            if purse is not None:
                purse.settle(lease.cost, lease.cost, now)
            self._dropped(lease)
            self._dirty.add(lease.seat.account)

    def _advance(self, now: float) -> None:
        if not self.queue.waiting:
            self._dirty.clear()
            return
        self._dispatch(now)
        for ticket in self.queue.late(now):
            if ticket.phase is not Waiting.WAITING:
                continue  # served by the place another's end set free
            self._end(ticket, Waiting.REFUSED, refusal("late", ticket.want, self.queue.waiting, now), now)

    def _end(self, ticket: Ticket, phase: Waiting, answer: Lease | Refused | None, now: float) -> None:
        """Ends a ticket that got no lease, and serves whom it stood in the way of."""
        self._leave(ticket, phase, answer)
        self._dispatch(now)

    def _leave(self, ticket: Ticket, phase: Waiting, answer: Lease | Refused | None) -> None:
        lane = ticket.lane
        if lane.claim is not None and lane.first() is ticket:
            self._unclaim(lane)
        self.queue.leave(ticket, phase, answer)
        if phase is Waiting.REFUSED and ticket.want.paid:
            self.retries.refund()
        if phase is not Waiting.CANCELLED:
            self._answered.append(ticket)

    def _unclaim(self, lane: Lane) -> None:
        held, lane.claim = lane.claim, None
        if held is not None:
            held.claim = None
            self._dirty.add(held if isinstance(held, AccountCapacity) else held.account)

    def _dispatch(self, now: float) -> None:
        """Serves whoever can be served now, in order, until nobody can."""
        lanes = self.queue.lanes
        dirty: set[AccountCapacity] = set()
        heads: list[tuple[Order, Lane]] = []
        while lanes:
            if self._dirty or not heads:  # what a grant set free may be for one that comes before the rest
                dirty |= self._dirty
                self._dirty = set()
                heads = self._heads(dirty, now)
                if not heads:
                    break
            lane = heads.pop(0)[1]
            if self._serve_first(lane, dirty, now) and (first := lane.first()) is not None:
                insort(heads, (first.order, lane), key=_order)
            if not heads and not self._dirty and not any(lane.fresh for lane in lanes.values()):
                break
        self._dirty.clear()

    def _heads(self, dirty: set[AccountCapacity], now: float) -> list[tuple[Order, Lane]]:
        """The lanes whose first something may have changed for, in order."""
        for lane in self.queue.lanes.values():
            if lane.opens <= now:
                lane.fresh = True
        heads = [
            (first.order, lane)
            for lane in self.queue.lanes.values()
            if (lane.fresh or not lane.accounts.isdisjoint(dirty)) and (first := lane.first()) is not None
        ]
        heads.sort(key=_order)
        return heads

    def _serve_first(self, lane: Lane, dirty: set[AccountCapacity], now: float) -> bool:
        """Whether the first of a lane got its answer."""
        ticket = lane.first()
        if ticket is None:
            return False
        want, among = ticket.want, None if lane.fresh else dirty
        seat = want.roster.place(want, now, ticket.order, self._draw, among)
        if seat is not None:
            self._leave(ticket, Waiting.GRANTED, self._grant(seat, want, now))
            return True
        self._not_yet(lane, ticket, among, now)
        return False

    def _not_yet(self, lane: Lane, ticket: Ticket, among: set[AccountCapacity] | None, now: float) -> None:
        """Remembers when time may let the first of a lane go, and holds a place for it where it needs one."""
        want = ticket.want
        if lane.unclaimed:
            among = None
        opens = NEVER
        soonest: SeatCapacity | None = None
        for seat in want.roster.seats:
            if (among is None or seat.account in among) and allowed(seat, want):
                at = seat.opens(want, now)
                if now < at < opens:
                    opens, soonest = at, seat
        if among is not None:
            lane.opens = min(lane.opens, opens)
            return
        lane.opens, lane.fresh, lane.unclaimed = opens, False, False
        if soonest is not None and lane.claim is None and (held := soonest.lacks(want, now)) is not None:
            if held.claim is None or ticket.order < held.claim:
                self._claim(lane, held, ticket)
            else:
                lane.unclaimed = True

    def _claim(self, lane: Lane, held: SeatCapacity | AccountCapacity, ticket: Ticket) -> None:
        for other in self.queue.lanes.values():
            if other.claim is held:
                other.claim, other.unclaimed = None, True
        lane.claim, held.claim = held, ticket.order

    def _dropped(self, lease: Lease) -> None:
        """A lease that may have been a probe ended without a verdict: the next may be."""
        for cooldown in lease.probes:
            cooldown.dropped()
        if lease.probes:
            self._host_changed(lease.seat.account.host)

    def _host_changed(self, host: Host) -> None:
        self._dirty |= {account for account in self.accounts.values() if account.host is host}

    def _refuse_hopeless(self, account: AccountCapacity, now: float) -> None:
        """After `account` went to rest: those whose deadline comes before the first is back need not wait for it."""
        for lane in [lane for lane in self.queue.lanes.values() if account in lane.accounts]:
            first = lane.first()
            if first is None:
                continue
            back = rested(first.want, now)
            if back > now:
                why: Why = "no_seat" if back == NEVER else "cooling"
                for ticket in lane.tickets():
                    if ticket.want.deadline < back:
                        self._leave(ticket, Waiting.REFUSED, refusal(why, ticket.want, self.queue.waiting, now))


def _order(head: tuple[Order, Lane]) -> Order:
    return head[0]
