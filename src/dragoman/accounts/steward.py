"""The steward divides every limit among the workers that share it. Pure: reports and `now` in, replies out.

The same rules stand twice: here, for workers of one host without Redis (a process beside them runs this), and in
`steward.lua`, inside Redis, for any number of hosts. A test holds the two to each other.

A limit is shared as capacity that is held. Each worker holds a part of it and decides alone within that part; the parts
and what is free make up the whole, always: so no limit is exceeded, by nothing, at any time. What a worker holds of a
rate is taken up by its own sliding window: it can give back only what is in no minute any more. Three kinds:

| kind  | of what                 | when its worker dies                                      |
|-------|-------------------------|-----------------------------------------------------------|
| slots | calls in flight         | free at once                                              |
| rate  | a minute's requests, …  | free a minute later: it may all have been used just now   |
| money | a period's budget       | counted as spent: it may have been                        |

Who needs more than it holds claims a bundle: all that one call takes of one account's limits. Bundles are granted whole
or not at all, so nobody holds a slot while it waits for tokens; in turn among the workers, so nobody starves; and what
the first in turn still lacks is kept for it (a `firm` claim). While anyone waits for a limit, the others are pressed
for it: they give back what they do not use, instead of using it again, and stand in line. Where nobody waits, each
worker gets some room beyond what it uses, so that the next calls need no word with the steward.

A worker is dead when it was not heard for `TTL`; it knows, and goes by its policy some time before (`shared`). After
the steward itself came back (empty, or with an older memory: `run` tells), nothing is granted for `QUIET`, while the
workers say what they hold.

By how much a limit may be exceeded nevertheless, by all workers together:

- what was taken is corrected to more than was estimated: by that, as with one worker;
- what is learned falls below what is held: until the next report of each worker, a tenth of a second under load;
- a worker that cannot reach a steward that lives: by its calls under way, which it took for dead; with the policy to go
  on alone, by its even part too, the whole divided by the number of workers;
- a worker that begins while no steward is to be reached, with that policy: by the whole divided by the number of
  workers of its own host, for it knows of no others;
- without a steward, and with that policy: in the first minute, by what workers took within what they held after the
  others had last heard of it (a few seconds, until all notice); by calls in flight that last four times as long as is
  usual, or longer than a minute;
- a steward that loses its memory within a minute of a worker's death: by what that one used in the last minute, or
  spent and had not booked;
- what a provider says is left of its own windows, each worker takes for itself, for its part of the last minute's use:
  until its next answer says the same.
"""

import math

from msgspec import Struct, field

SLOTS, RATE, MONEY = 0, 1, 2
TTL = 4.0  # seconds without a word after which a worker is dead
QUIET = 1.0
GHOST = {SLOTS: 0.0, RATE: 60.0, MONEY: 3600.0}  # seconds that a dead worker's part stays its own
FORGET = 40 * 86400.0  # seconds after which a limit nobody spoke of is forgotten
IDLE = 600.0  # the same, where no bound is known of it
NEWS = 600.0  # seconds after its end that a rest is still told


class Used(Struct, array_like=True):
    """What a worker says of one limit. -1: nothing to say, or no bound.

    `held`: its part. `used`: what of it is taken up. `like`: the most room beyond that it wishes. `most`: the whole
    limit, where it is declared or a provider told it. `cut`: the provider refused, and the limit learned from it.
    `raised`: by how much more than was learned it now took. `spent`: what the books say all have spent of it.
    `pending`: of what is taken up, what calls under way may give back.
    """

    name: str
    kind: int
    held: float
    used: float
    like: float = -1
    most: float = -1
    cut: float = -1
    raised: float = 0
    spent: float = 0
    pending: float = 0


class Claim(Struct, array_like=True):
    """`count` calls wait, each for `needs` (of limits, by name). `firm`: what it lacks is kept for it."""

    who: str
    count: int
    firm: bool
    needs: dict[str, float]


class Group(Struct, array_like=True):
    """An account's limits, or a key's."""

    name: str
    used: list[Used]
    claims: list[Claim] = []


class News(Struct, array_like=True):
    """Something rests for `seconds` (0: no more), or has become `kind` until further notice (-1)."""

    name: str
    kind: str
    seconds: float
    strikes: int = 0


class Report(Struct, array_like=True):
    """`number` counts a worker's reports. `run`: which life of the steward it speaks to. `heard`: the last news."""

    worker: str
    number: int
    run: str
    heard: int
    groups: list[Group] = []
    news: list[News] = []
    bye: bool = False


class Share(Struct, array_like=True):
    """What a worker holds of a limit from now on. `limit`: the whole; `most`: what was declared or told of it;
    `learned`: what was learned (-1: none). `others`: used up by the others. `pressed`: another waits for some of it.
    `room`: what it may expect to be granted beyond what it uses. `gone`: of `others`, what nobody will give back.
    `queued`: how many calls wait at the other workers for a larger share."""

    name: str
    held: float
    limit: float
    most: float
    learned: float
    others: float
    pressed: bool
    room: float
    gone: float = 0
    queued: int = 0


class Reply(Struct, array_like=True):
    """`workers`: how many are alive; `rank`: which of them this one is. `poke`: who had better report at once. A reply
    without workers is to a report that came too late."""

    workers: int
    rank: int
    quiet: bool
    heard: int
    groups: list[tuple[str, list[Share]]]
    news: list[News]
    poke: list[str]


class Part(Struct):
    """A worker's part of a limit. `given`: granted, not told yet. `until`: when it is free, its worker being dead."""

    held: float = 0
    given: float = 0
    used: float = 0
    pending: float = 0
    like: float = -1
    until: float = -1
    poked: bool = False


class Limit(Struct):
    kind: int
    at: float
    most: float = -1
    learned: float = -1
    gone: float = 0
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def whole(self) -> float:
        if self.learned < 0:
            return self.most
        learned = max(1.0, math.floor(self.learned)) if self.kind != MONEY else self.learned
        return learned if self.most < 0 else min(self.most, learned)

    def used(self) -> float:
        return self.gone + sum(part.used for part in self.parts.values())

    def pending(self) -> float:
        """What of that may come back."""
        return sum(part.pending for part in self.parts.values())


class Waiting(Struct):
    worker: str
    who: str
    turn: int
    count: int
    firm: bool
    needs: dict[str, float]


class Shared(Struct):
    """A group's limits, and who waits for them."""

    limits: dict[str, Limit] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    turn: int = 0


class Worker(Struct):
    until: float
    number: int
    groups: set[str] = field(default_factory=set)
    untold: set[str] = field(default_factory=set)  # groups with something for it


class Told(Struct):
    number: int
    worker: str
    news: News
    until: float  # -1: for good


class Steward:
    """All limits, and all workers."""

    def __init__(self) -> None:
        self.run = ""
        self.quiet = 0.0
        self.workers: dict[str, Worker] = {}
        self.groups: dict[str, Shared] = {}
        self.news: dict[str, Told] = {}
        self.count = 0  # of news
        self._poke: set[str] = set()

    def report(self, report: Report, now: float) -> Reply:
        """Takes what a worker says, and says what it holds from now on."""
        self._poke = set()
        if report.run != self.run:
            self.run, self.quiet = report.run, now + QUIET
        for name in sorted(name for name, worker in self.workers.items() if worker.until <= now):
            self._bury(name, now, bye=False)
        me = self.workers.get(report.worker)
        if me is not None and report.number <= me.number:
            return Reply(0, 0, False, 0, [], [], sorted(self._poke - {report.worker}))
        if report.bye:
            if me is not None:
                for group in report.groups:
                    self._update(self._group(group.name, now), group, report.worker, now, group.name in me.groups)
                self._bury(report.worker, now, bye=True)
            return Reply(0, 0, False, 0, [], [], sorted(self._poke - {report.worker}))
        if me is None:
            self._poke |= self.workers.keys()  # they are one more from now on
            me = self.workers[report.worker] = Worker(0, 0)
        me.until, me.number = now + TTL, report.number
        for group in report.groups:
            trusted = group.name in me.groups or now < self.quiet  # or it was taken for dead in between
            me.groups.add(group.name)
            self._update(self._group(group.name, now), group, report.worker, now, trusted)
        names = [group.name for group in report.groups]
        names += sorted(me.untold - set(names))
        groups = [(name, self._divide(name, report.worker, now)) for name in names]
        me.untold.clear()
        self._take_news(report, now)
        return Reply(
            len(self.workers), sorted(self.workers).index(report.worker), now < self.quiet, self.count, groups,
            self._news(report, now), sorted(self._poke - {report.worker}),
        )  # fmt: skip

    def _group(self, name: str, now: float) -> Shared:
        """A group, without what is over."""
        group = self.groups.setdefault(name, Shared())
        for key, limit in list(group.limits.items()):
            for worker, part in list(limit.parts.items()):
                if 0 <= part.until <= now:
                    limit.gone += part.held if limit.kind == MONEY else 0
                    del limit.parts[worker]
            if limit.at + (FORGET if limit.whole >= 0 else IDLE) < now:
                del group.limits[key]
        return group

    def _update(self, group: Shared, said: Group, worker: str, now: float, trusted: bool) -> None:
        for used in said.used:
            limit = group.limits.get(used.name)
            if limit is None:
                limit = group.limits[used.name] = Limit(used.kind, now)
            limit.at = now
            if used.most >= 0:
                limit.most = used.most
            if used.cut >= 0:
                limit.learned = used.cut if limit.learned < 0 else min(limit.learned, used.cut)
            elif limit.learned >= 0:
                limit.learned += used.raised
                if limit.most >= 0:
                    limit.learned = min(limit.learned, limit.most)
            part = limit.parts.get(worker) or Part()
            limit.parts[worker] = part
            part.held = max(used.used, used.held) if trusted else used.used
            part.given = part.given if trusted else 0
            part.used, part.like, part.until, part.poked = used.used, used.like, -1, False
            part.pending = used.pending
            if used.spent > 0 and (now < self.quiet or len(limit.parts) == 1):
                limit.gone += max(0.0, used.spent - limit.used())
        before = {w.who: w.turn for w in group.waiting if w.worker == worker}
        group.waiting = [w for w in group.waiting if w.worker != worker]
        for claim in said.claims:
            turn = before.get(claim.who)
            if turn is None:
                group.turn += 1
                turn = group.turn
            group.waiting.append(Waiting(worker, claim.who, turn, claim.count, claim.firm, claim.needs))

    def _divide(self, name: str, worker: str, now: float) -> list[Share]:
        """Grants what is free: to those who wait, in turn; then some room to the one who asks."""
        group = self._group(name, now)
        free = {
            key: limit.whole - limit.gone - sum(part.held + part.given for part in limit.parts.values())
            for key, limit in group.limits.items()
            if limit.whole >= 0
        }
        short: dict[str, set[str]] = {}
        if now >= self.quiet:
            short = self._serve(name, group, free)
        self._press(name, group, short)
        queued = sum(waiting.count for waiting in group.waiting if waiting.worker != worker)
        shares = []
        for key, limit in sorted(group.limits.items()):
            part = limit.parts.get(worker)
            if part is None or part.until >= 0:
                continue
            room = 0.0
            if key in free and key not in short:
                count = len(self.workers)
                room = max(0.0, math.floor((limit.whole - limit.used()) / (1 if count == 1 else 2 * count)))
                room = room if part.like < 0 else min(room, part.like)
                if now >= self.quiet:
                    part.given += max(0.0, min(free[key], part.used + room - part.held - part.given))
            part.held, part.given = part.held + part.given, 0
            pressed = bool(short.get(key, set()) - {worker})
            others = limit.used() - part.used
            gone = others - limit.pending() + part.pending
            shares.append(
                Share(key, part.held, limit.whole, limit.most, limit.learned, others, pressed, room, gone, queued)
            )
        return shares

    def _serve(self, name: str, group: Shared, free: dict[str, float]) -> dict[str, set[str]]:
        """Grants bundles in turn. Returns who lacks what."""
        short: dict[str, set[str]] = {}
        promised: dict[tuple[str, str], float] = {}
        line = sorted(group.waiting, key=lambda waiting: waiting.turn)
        while line:
            waiting = line.pop(0)
            lacks: dict[str, float] = {}
            for key, need in waiting.needs.items():
                part = group.limits[key].parts.get(waiting.worker) if key in free else None
                if part is not None:
                    has = part.held + part.given - part.used - promised.get((waiting.worker, key), 0.0)
                    lacks[key] = need - max(0.0, has)
            if all(lack <= 0 or lack <= free[key] for key, lack in lacks.items()):
                for key, lack in lacks.items():
                    promised[waiting.worker, key] = promised.get((waiting.worker, key), 0.0) + waiting.needs[key]
                    if lack > 0:
                        free[key] -= lack
                        group.limits[key].parts[waiting.worker].given += lack
                        self._tell(waiting.worker, name)
                group.turn += 1
                waiting.turn, waiting.count = group.turn, waiting.count - 1
                if waiting.count > 0:
                    line.append(waiting)
                else:
                    group.waiting.remove(waiting)
            else:
                for key, lack in lacks.items():
                    if lack > 0 and lack > free[key]:
                        short.setdefault(key, set()).add(waiting.worker)
                    if waiting.firm and lack > 0:
                        free[key] -= max(0.0, min(lack, free[key]))
        return short

    def _press(self, name: str, group: Shared, short: dict[str, set[str]]) -> None:
        """Those who hold more than they use, of what others lack, had better report."""
        for key, lacking in short.items():
            for worker, part in group.limits[key].parts.items():
                spare = part.until < 0 and not part.poked and part.held + part.given > part.used
                if spare and lacking - {worker}:
                    part.poked = True
                    self._tell(worker, name)

    def _tell(self, worker: str, name: str) -> None:
        if worker in self.workers:
            self.workers[worker].untold.add(name)
            self._poke.add(worker)

    def _bury(self, worker: str, now: float, bye: bool) -> None:
        """A worker is dead, or leaves. What it had comes back as its kind says."""
        for name in sorted(self.workers.pop(worker).groups):
            group = self._group(name, now)
            group.waiting = [waiting for waiting in group.waiting if waiting.worker != worker]
            for limit in group.limits.values():
                part = limit.parts.get(worker)
                if part is None:
                    continue
                part.used = part.held = part.used if bye else part.held + part.given
                part.given = part.pending = 0
                if limit.kind == SLOTS or part.held <= 0:
                    del limit.parts[worker]
                elif bye and limit.kind == MONEY:
                    limit.gone += part.held
                    del limit.parts[worker]
                else:
                    part.until = now + GHOST[limit.kind]
            self._divide(name, "", now)

    def _take_news(self, report: Report, now: float) -> None:
        for news in report.news:
            self.count += 1
            until = -1 if news.seconds < 0 else now + news.seconds
            self.news[news.name] = Told(self.count, report.worker, news, until)
        if report.news:
            self._poke |= self.workers.keys()
            for name in [name for name, told in self.news.items() if 0 <= told.until < now - NEWS]:
                del self.news[name]

    def _news(self, report: Report, now: float) -> list[News]:
        fresh = [t for t in self.news.values() if t.number > report.heard and t.worker != report.worker]
        found = []
        for told in sorted(fresh, key=lambda told: told.number):
            seconds = -1.0 if told.until < 0 else max(0.0, told.until - now)
            found.append(News(told.news.name, told.news.kind, seconds, told.news.strikes))
        return found
