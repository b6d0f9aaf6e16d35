"""One worker's side of shared limits: what it says to the steward, and what it makes of the answer. Pure.

`report` gathers what is worth saying, `hear` takes the answer, `lost` says that there was none. One report is under
way at a time. Where nobody waits and the room suffices, a report is due once a `BEAT`, of a few bytes; it goes at once
where a call waits for a share, where others wait for what this worker does not use, or where something rests since now.
"""

from collections.abc import Iterable
from math import ceil
from typing import Protocol

from dragoman.accounts.capacity import AccountCapacity
from dragoman.accounts.cooldown import RESTING
from dragoman.accounts.desk import Desk
from dragoman.accounts.limits import MINUTE, NEVER
from dragoman.accounts.meters import Meter, meters
from dragoman.accounts.queue import Ticket
from dragoman.accounts.roster import allowed
from dragoman.accounts.steward import MONEY, Claim, Group, News, Reply, Report
from dragoman.accounts.view import ShareView

BEAT = 1.0  # seconds between reports where there is nothing to say
BRIEF = 0.1  # seconds after which running low is worth a report
_MOST = 64  # calls claimed for at a time, by those that wait alike
_GROUPS = 32  # in one report, lest the steward be held up; the rest is in the next
_SEATS = 16  # at which they are claimed for


class Sharer(Protocol):
    """Something else whose limits are shared, beside the desk's accounts: the gateway's keys."""

    def groups(self, now: float) -> dict[str, dict[str, Meter]]:
        """Its limits, by group and name. The same objects each time."""

    def claims(self, now: float) -> dict[str, list[Claim]]:
        """What it waits for, by group."""

    def granted(self, names: Iterable[str], now: float) -> None:
        """Something has changed for these groups."""


class _Shared:
    """A group as this worker knows it."""

    __slots__ = ("at", "claimed", "gone", "meters", "new", "of", "shape")

    def __init__(self, of: object) -> None:
        self.of = of
        self.meters: dict[str, Meter] = {}
        self.claimed: list[Claim] = []
        self.at = 0.0  # when it was last reported
        self.new = True
        self.gone = False  # no more in use: nothing is held but what is used up
        self.shape: tuple[object, ...] = ()

    def urgent(self, claims: list[Claim], now: float) -> bool:
        return (
            self.new or claims != self.claimed or any(meter.spare(now) or meter.news for meter in self.meters.values())
        )

    def due(self, claims: list[Claim], now: float) -> bool:
        """Whether it is worth a word."""
        if self.urgent(claims, now):
            return True
        since = now - self.at
        if since < BRIEF:
            return False
        found = self.meters.values()
        if claims or any(meter.low(now) for meter in found):
            return True
        return since >= BEAT and any(meter.pressed or meter.used(now) != meter.said for meter in found)


class Shares:
    """All that this worker shares. `workers` and `rank`: how many there are, and which this one is; at first, as far
    as its own host knows. On one host, `worker` sorts as `rank` does: so one that begins while the steward is away
    takes the part of the one it replaces."""

    def __init__(self, worker: str, desk: Desk, *others: Sharer, workers: int = 1, rank: int = 0) -> None:
        self.worker = worker
        self.desk = desk
        self.workers = workers
        self.rank = rank
        self._others = others
        self._groups: dict[str, _Shared] = {}
        self._news: dict[str, News] = {}
        self._said: dict[str, News] = {}  # in the report that is under way
        self._run = ""
        self._number = 0
        self._heard = 0
        self._at = -NEVER
        self._away: float | None = None
        self.poked = False  # the steward has something for this worker
        self._pressed: set[tuple[str, str]] = set()

    @property
    def hungry(self) -> bool:
        """Whether a report may be urgent: a call waits, or others wait for what this worker may have ceased to use."""
        return bool(self.desk.queue.waiting or self._pressed or self.desk.news)

    @property
    def busy(self) -> bool:
        """Whether what is used may change soon."""
        return bool(self.desk.queue.waiting or any(account.in_flight for account in self.desk.accounts.values()))

    # -- what is said -------------------------------------------------------------------------------------------------

    def report(self, now: float, run: str) -> Report | None:
        """What is to be said to the steward of this `run` now; None: nothing. An answer or `lost` must follow."""
        if run != self._run:
            self._run, self._heard = run, 0
            self.lost()
        self._gather(now)
        claims = self._claims(now)
        due = [(name, group) for name, group in self._groups.items() if group.due(claims.get(name, []), now)]
        due.sort(key=lambda item: (item[0] not in claims, item[1].at))
        del due[_GROUPS:]
        for name, cooldown in self.desk.news.items():
            seconds = max(0.0, cooldown.until - now) if cooldown.state == RESTING else 0.0
            self._news[name] = News(name, cooldown.kind, seconds, cooldown.strikes)
        self.desk.news = {}
        if not due and not self._news and not self.poked and now - self._at < BEAT:
            return None
        self.poked = False
        self._number += 1
        self._at = now
        self._said, self._news = self._news, {}
        groups = []
        for name, group in due:
            group.claimed, group.at, group.new = claims.get(name, []), now, False
            groups.append(Group(name, [meter.report(now) for meter in group.meters.values()], group.claimed))
        return Report(self.worker, self._number, run, self._heard, groups, list(self._said.values()))

    def bye(self, now: float) -> Report:
        """The last report: all is given back."""
        self._number += 1
        groups = [
            Group(name, [meter.report(now) for meter in group.meters.values()]) for name, group in self._groups.items()
        ]
        return Report(self.worker, self._number, self._run, self._heard, groups, bye=True)

    def _gather(self, now: float) -> None:
        found = set()
        for name, account in self.desk.accounts.items():
            group = self._group(f"account|{name}", account)
            found.add(f"account|{name}")
            shape = (len(account.seats), next(reversed(account.seats), ""), now // 86400, account.declared)
            if shape != group.shape:
                if group.shape and group.shape[3] != account.declared:
                    account.give_up()  # again: an answer may have come since that was of the old limits
                group.shape, group.new = shape, True
                group.meters = meters(account, now, group.meters)
        for other in self._others:
            for name, known in other.groups(now).items():
                group = self._group(name, other)
                found.add(name)
                group.new = group.new or known.keys() != group.meters.keys()
                group.meters = known
        for name in self._groups.keys() - found:
            group = self._groups[name]
            if group.gone and not group.new and not any(meter.held for meter in group.meters.values()):
                del self._groups[name]
                continue
            group.gone = True
            for meter in group.meters.values():
                meter.press(now)
            group.new = group.new or any(meter.held > meter.used(now) for meter in group.meters.values())

    def _group(self, name: str, of: object) -> _Shared:
        group = self._groups.get(name)
        if group is None or group.of is not of:
            group = self._groups[name] = _Shared(of)
        group.gone = False
        return group

    def _claims(self, now: float) -> dict[str, list[Claim]]:
        claims = _waiting(self.desk, now) if self.desk.queue.waiting else {}
        for other in self._others:
            claims |= other.claims(now)
        return claims

    # -- what is heard ------------------------------------------------------------------------------------------------

    def lost(self) -> None:
        """The last report may not have been heard, or its answer was lost: all is to be said again."""
        self._news, self._said = self._said | self._news, {}
        self._pressed.clear()
        for group in self._groups.values():
            group.new = True
            for meter in group.meters.values():
                meter.lost(alone=self._away is not None)
        for name, account in self.desk.accounts.items():
            names = [f"account|{name}", f"host|{account.host.name}", *(f"seat|{name}|{m}" for m in account.seats)]
            for cooldown_name in names:
                cooldown, _ = self.desk.cooldowns(cooldown_name)
                if cooldown is not None and cooldown.state == RESTING:
                    self.desk.news.setdefault(cooldown_name, cooldown)

    def hear(self, reply: Reply, now: float) -> None:
        """The steward's answer. Afterwards, the desk may have answered tickets."""
        if not reply.workers:
            self.lost()
            return
        self.workers, self.rank, self._heard, self._away = reply.workers, reply.rank, reply.heard, None
        self._said = {}
        names = []
        pressed: list[Meter] = []
        for name, shares in reply.groups:
            group = self._groups.get(name)
            if group is None:
                continue
            names.append(name)
            if isinstance(group.of, AccountCapacity) and shares:
                group.of.queued = shares[0].queued
            for share in shares:
                meter = group.meters.get(share.name)
                if meter is not None:
                    if share.held > meter.held:
                        group.claimed = []  # what was claimed may be granted by that: who waits still, says so anew
                    meter.hear(share, now)
                    (self._pressed.add if meter.pressed else self._pressed.discard)((name, share.name))
                    if meter.pressed:
                        pressed.append(meter)
        for account in self.desk.accounts.values():
            account.parts = reply.workers
        for news in reply.news:
            self.desk.heard(news.name, news.kind, news.seconds, news.strikes, now)
        self._granted(names, now)
        for meter in pressed:
            meter.press(now)

    def away(self, now: float, degrade: bool) -> None:
        """There is no steward, for so long that it may think this worker dead. Where that means to `degrade`, every
        worker goes on with an even part of each limit, the remainder being the first ones': at once so far as that is
        not used up, by what was heard last; wholly when nothing counts any more that any worker took before (and where
        it never reached a steward). Money is no more than was granted. Else, nothing may be used, and who waits is
        refused. Call it now and then."""
        fresh = self._away is None
        since = self._away = now if self._away is None else self._away
        self._gather(now)
        for group in self._groups.values():
            for meter in group.meters.values():
                whole = meter.whole()
                meter.pressed = meter.holder.pressed = False
                if meter.kind == MONEY or whole == NEVER:
                    continue
                part = self._part(whole) if degrade else 0.0
                if degrade and (fresh or meter.at == -NEVER) and self._run:
                    used, others = meter.used(now), meter.others if now - meter.at < MINUTE else 0.0
                    meter.holder.grant(min(part, used + self._part(max(0.0, whole - used - others))))
                elif now - since >= meter.settles() or not self._run or part < meter.holder.share:
                    meter.holder.grant(part)
        self._granted(self._groups, now)
        if not degrade:
            self.desk.turn_away()

    def _part(self, whole: float) -> float:
        return whole // self.workers + (self.rank < whole % self.workers)

    def look(self, now: float) -> None:
        """Serves those for whom time has made room in the share."""
        self._granted(self._groups, now)

    def _granted(self, names: Iterable[str], now: float) -> None:
        names = list(names)
        self.desk.granted([name.removeprefix("account|") for name in names if name.startswith("account|")], now)
        for other in self._others:
            other.granted(names, now)

    def shown(self, account: str, now: float) -> list[ShareView]:
        """What this worker holds and uses of an account's limits."""
        group = self._groups.get(f"account|{account}")
        return [
            ShareView(
                limit=meter.name, whole=meter.whole(), held=meter.holder.share, used=meter.used(now),
                others=meter.others, wanted=meter.pressed,
            )
            for meter in (group.meters.values() if group is not None else ())
            if meter.whole() < NEVER
        ]  # fmt: skip


def _waiting(desk: Desk, now: float) -> dict[str, list[Claim]]:
    """What those who wait lack nothing but a larger share for, by account and model."""
    firsts: dict[tuple[str, str], tuple[Ticket, Claim]] = {}
    for lane in desk.queue.lanes.values():
        first = lane.first()
        if first is None:
            continue
        seats = [seat for seat in first.want.roster.seats if allowed(seat, first.want)]
        start = first.order[2] % len(seats) if seats else 0
        found = []
        for seat in (seats[start:] + seats[:start])[:_SEATS]:
            needs = seat.short(first.want, now)
            if needs is not None:
                found.append((seat, needs))
        for i, (seat, needs) in enumerate(found):
            at, first_of = (seat.account.name, seat.model), first
            claim = Claim(seat.model, ceil(min(lane.waiting, _MOST) / len(found)), i == 0, needs)
            if at in firsts:
                before, other = firsts[at]
                claim.count += other.count
                if before.order < first.order:
                    claim.firm, claim.needs, first_of = other.firm, other.needs, before
            firsts[at] = first_of, claim
    claims: dict[str, list[Claim]] = {}
    for (account, _), (_, claim) in firsts.items():
        claims.setdefault(f"account|{account}", []).append(claim)
    return claims
