"""What one account, and one model of it, can take now: its limits, its load, its rest, its health.

An account's own limits hold for all its models together; a seat's (an account × a model) beside them.
"""

from msgspec import Struct, field

from dragoman.accounts.cooldown import Cooldown, Host
from dragoman.accounts.health import Health
from dragoman.accounts.lease import Lease, Want
from dragoman.accounts.limits import NEVER, Allowance, Ceiling, Limits, Purse, Window, within
from dragoman.accounts.ratelimits import Rate, Resource

Order = tuple[int, float, int]  # of one that waits: priority, virtual time, arrival
_RESOURCES: tuple[Resource, ...] = ("requests", "tokens", "input_tokens", "output_tokens")
_FAR = 0.5  # of the most that was ever taken: a refusal below this share of it says nothing about a limit


class AccountSpec(Struct, frozen=True, kw_only=True):
    """What is declared of an account. `host`: what its breaker is shared by. `models`: further limits, by model id."""

    name: str
    host: str
    weight: float = 1.0
    region: str | None = None
    limits: Limits = Limits()
    models: dict[str, Limits] = field(default_factory=dict)


def _window(limit: int | None) -> Window:
    return Window(NEVER if limit is None else limit)


class AccountCapacity:
    """One account. `serving`: whether new calls may go there (not drained, disabled or removed)."""

    __slots__ = (
        "claim", "concurrency", "cooldown", "counted", "declared", "failures", "host", "in_flight", "last_at",
        "last_error", "last_kind", "name", "parts", "pressed", "purse", "queued", "requests", "seats", "served",
        "serving", "share", "shared", "slots", "spec", "tokens",
    )  # fmt: skip

    def __init__(self, spec: AccountSpec, host: Host, shared: bool = False) -> None:
        """`shared`: its limits hold for several workers together. This one may use nothing then until it is granted
        a share; `parts` is how many workers there are, `queued` how many calls wait at the others for more of it."""
        self.name = spec.name
        self.host = host
        self.cooldown = Cooldown()
        self.serving = True
        self.in_flight = 0
        self.shared = shared
        self.parts = 1
        self.queued = 0
        self.pressed = False  # other workers wait: a slot that is given back leaves the share
        self.share = 0.0 if shared else NEVER  # of the slots
        self.requests: Window | None = None
        self.tokens: Window | None = None
        self.purse: Purse | None = None
        self.claim: Order | None = None
        self.seats: dict[str, SeatCapacity] = {}
        self.served = 0
        self.failures: dict[str, int] = {}  # by kind
        self.last_error = self.last_kind = ""
        self.last_at = 0.0  # when it failed last
        self.declared = 0  # how often its limits were
        self.spec = spec
        self._declare()

    def redeclare(self, spec: AccountSpec) -> None:
        """Its declaration is another from now on. What is under way and was used counts against the new limits."""
        before, self.spec = self.spec, spec
        if (before.limits, before.models) != (spec.limits, spec.models):
            self._declare()

    def _declare(self) -> None:
        spec, limits = self.spec, self.spec.limits
        self.declared += 1
        self.slots: float = limits.max_in_flight or NEVER
        self.concurrency = within(self.slots, self.share)
        self.requests = self._rebound(self.requests, limits.rpm)
        self.tokens = self._rebound(self.tokens, limits.tpm)
        self.counted = any((limits.rpm, limits.tpm, limits.daily, limits.monthly))
        if not (limits.daily or limits.monthly):
            self.purse = None
        elif self.purse is None:
            self.purse = Purse(limits.daily, limits.monthly)
            self.purse.share = [0.0, 0.0] if self.shared else None
        else:
            self.purse.daily, self.purse.monthly = limits.daily, limits.monthly
        for model, seat in self.seats.items():
            if (new := spec.models.get(model, Limits())) != seat.declared:
                seat.redeclare(new)
        if self.shared:
            self.give_up()

    def give_up(self) -> None:
        """Of what this worker was granted, it keeps only what it uses: its part of other limits is to be granted
        anew."""
        self.grant(self.in_flight)
        for window in (self.requests, self.tokens):
            if window is not None:
                window.grant(window.used)
        purse = self.purse
        if purse is not None and purse.share is not None:
            spent = (purse.today + purse.reserved, purse.tomonth + purse.reserved)
            purse.share = [min(share, used) for share, used in zip(purse.share, spent, strict=True)]
        for seat in self.seats.values():
            seat.grant(seat.in_flight)
            seat.requests.grant(seat.requests.used)
            seat.tokens.grant(seat.tokens.used)

    def _rebound(self, window: Window | None, limit: int | None) -> Window | None:
        if limit is None:
            return None
        if window is not None:
            window.bound(limit)
            return window
        window = Window(limit)
        if self.shared:
            window.grant(0.0)
        return window

    @property
    def failed(self) -> int:
        """How many calls did."""
        return sum(self.failures.values())

    def seat(self, model: str) -> "SeatCapacity":
        seat = self.seats.get(model)
        if seat is None:
            seat = self.seats[model] = SeatCapacity(self, model, self.spec.models.get(model, Limits()))
        return seat

    def forget(self, now: float) -> None:
        """Drops the models of which nothing is known that is worth keeping: clients make up names."""
        self.seats = {model: seat for model, seat in self.seats.items() if model in self.spec.models or seat.known(now)}

    def grant(self, slots: float) -> None:
        """This worker's share of the slots is another from now on."""
        self.share = slots
        self.concurrency = within(self.slots, slots)


class SeatCapacity:
    """One model of one account. `price`: pico-dollars for a token in and out, for the account's budget."""

    __slots__ = (
        "_best", "_taken", "_told", "account", "claim", "concurrency", "cooldown", "declared", "health", "in_flight",
        "model", "others", "parallel", "pressed", "price", "rate", "requests", "share", "tokens", "volume",
    )  # fmt: skip

    def __init__(self, account: AccountCapacity, model: str, limits: Limits) -> None:
        self.account = account
        self.model = model
        self.in_flight = 0
        self.cooldown = Cooldown()
        self.health = Health()
        self.claim: Order | None = None
        self.price = (0, 0)
        self.requests = _window(limits.rpm)
        self.tokens = _window(limits.tpm)
        self.declared = limits
        self.parallel = Ceiling(limits.max_in_flight or NEVER)  # learned limits, by what the provider refuses
        self.rate = Ceiling(self.requests.limit)
        self.volume = Ceiling(self.tokens.limit)
        self.others = [0.0, 0.0, 0.0]  # in flight, requests and tokens of the last minute, of the other workers
        self.share = 0.0 if account.shared else NEVER  # of the slots
        self.pressed = False
        if account.shared:
            self.requests.grant(0.0)
            self.tokens.grant(0.0)
        self.concurrency = within(self.parallel.whole, self.share)
        self._best = [0.0, 0.0, 0.0]  # the most in flight, requests and tokens a minute that it ever took
        self._told: dict[Resource, Allowance] = {}
        self._taken = (0.0, 0.0, 0.0, 0.0)  # since ever, by resource

    def redeclare(self, limits: Limits) -> None:
        """Other limits are declared from now on. What was learned below them stays."""
        self.declared = limits
        declared = (limits.max_in_flight, limits.rpm, limits.tpm)
        for ceiling, limit in zip((self.parallel, self.rate, self.volume), declared, strict=True):
            learned, ceiling.most = ceiling.value < ceiling.most, limit or NEVER
            ceiling.value = min(ceiling.value, ceiling.most) if learned else ceiling.most
        self.learned()

    # -- what it can take ---------------------------------------------------------------------------------------------

    def fits(self, want: Want, now: float, order: Order | None) -> int:
        """2: takes `want` now; 1: would, as the last resort; 0: doesn't."""
        account = self.account
        if self.in_flight >= self.concurrency or account.in_flight >= account.concurrency or not account.serving:
            return 0
        level = 2
        if self.cooldown.state or account.cooldown.state or account.host.cooldown.state:
            for cooldown in (self.cooldown, account.cooldown, account.host.cooldown):
                if cooldown.state and (allows := cooldown.allows(now)) < level:
                    level = allows
                    if not level:
                        return 0
        if self.claim is not None or account.claim is not None:
            for claim in (self.claim, account.claim):
                if claim is not None and (order is None or claim < order):
                    return 0
        tokens = want.input_tokens + want.output_tokens
        # the windows are asked only where a look does not do: this is the hot path
        window = self.requests
        if window.used >= window.limit and not window.room(1, now):
            return 0
        window = self.tokens
        if window.used + tokens > window.limit and not window.room(tokens, now):
            return 0
        if account.counted:
            if (at := account.requests) is not None and at.used >= at.limit and not at.room(1, now):
                return 0
            if (at := account.tokens) is not None and at.used + tokens > at.limit and not at.room(tokens, now):
                return 0
            if account.purse is not None and not account.purse.room(self.estimate(want), now):
                return 0
        if self._told:
            for resource, allowance in self._told.items():
                if not allowance.room(_amount(resource, want), now):
                    return 0
        return level

    def opens(self, want: Want, now: float) -> float:
        """The earliest that time alone lets `want` go; `now` where nothing but a slot, a claim or a probe's verdict is
        missing."""
        account = self.account
        if not account.serving:
            return NEVER
        tokens = want.input_tokens + want.output_tokens
        opens = max(
            self.cooldown.opens(now), account.cooldown.opens(now), account.host.cooldown.opens(now),
            self.requests.opens(1, now), self.tokens.opens(tokens, now),
        )  # fmt: skip
        if account.requests is not None:
            opens = max(opens, account.requests.opens(1, now))
        if account.tokens is not None:
            opens = max(opens, account.tokens.opens(tokens, now))
        if account.purse is not None:
            opens = max(opens, account.purse.opens(self.estimate(want), now))
        for resource, allowance in self._told.items():
            opens = max(opens, allowance.opens(_amount(resource, want), now))
        return opens

    def frees(self, want: Want, now: float) -> float:
        """When there is room again at the latest, where a larger share is all that is missing; `now` where one may come
        at any time."""
        account, tokens = self.account, want.input_tokens + want.output_tokens
        counted = ((self.requests, 1), (account.requests, 1), (self.tokens, tokens), (account.tokens, tokens))
        return max(window.frees(amount, now) if window is not None else now for window, amount in counted)

    def lacks(self, want: Want, now: float) -> "SeatCapacity | AccountCapacity | None":
        """Where `want` waits for an amount that smaller ones behind it would keep eating up; None where it doesn't."""
        account, tokens = self.account, want.input_tokens + want.output_tokens
        if account.tokens is not None and account.tokens.opens(tokens, now) > now:
            return account
        if account.purse is not None and account.purse.opens(self.estimate(want), now) > now:
            return account
        if self.tokens.opens(tokens, now) > now:
            return self
        told = any(r != "requests" and a.opens(_amount(r, want), now) > now for r, a in self._told.items())
        return self if told else None

    def short(self, want: Want, now: float) -> dict[str, float] | None:
        """What `want` needs of the limits that the workers share, where a larger share of them is all it waits for;
        None where it waits for something else, or for nothing. Names as in `shares.Meter`."""
        account, tokens = self.account, want.input_tokens + want.output_tokens
        cooldowns = (self.cooldown, account.cooldown, account.host.cooldown)
        if not account.serving or not all(cooldown.allows(now) for cooldown in cooldowns):
            return None
        needs: dict[str, float] = {}
        lacks = False
        for name, owner, whole in (
            ("slots", account, account.slots), (f"slots|{self.model}", self, self.parallel.whole),
        ):  # fmt: skip
            if whole < NEVER:
                if owner.in_flight >= whole:
                    return None
                lacks = lacks or owner.in_flight >= owner.concurrency
                needs[name] = 1.0
        for name, window, amount in (
            ("requests", account.requests, 1), (f"requests|{self.model}", self.requests, 1),
            ("tokens", account.tokens, tokens), (f"tokens|{self.model}", self.tokens, tokens),
        ):  # fmt: skip
            if window is not None and window.whole < NEVER:
                if not window.room(amount, now):
                    if window.opens(amount, now) > now:
                        return None
                    lacks = True
                needs[name] = min(float(amount), window.whole)
        if account.purse is not None:
            cost = self.estimate(want)
            if account.purse.opens(cost, now) > now:
                return None
            lacks = lacks or account.purse.short(cost)
            needs |= dict.fromkeys(account.purse.names(now), float(cost))
        if any(not allowance.room(_amount(resource, want), now) for resource, allowance in self._told.items()):
            return None
        return needs if lacks else None

    def known(self, now: float) -> bool:
        """Whether there is anything to remember: calls under way, a rest, a limit."""
        limited = min(self.parallel.value, self.rate.value, self.volume.value) < NEVER
        return bool(self.in_flight) or limited or self.claim is not None or self.cooldown.opens(now) > now

    def wakes(self) -> bool:
        """Whether the next call is a probe."""
        return bool(self.cooldown.state or self.account.cooldown.state or self.account.host.cooldown.state)

    def estimate(self, want: Want) -> int:
        """Pico-dollars."""
        return want.input_tokens * self.price[0] + want.output_tokens * self.price[1]

    def pace(self) -> float:
        """Calls a second that it can bring to an end, as far as known; infinite where nothing limits it."""
        account, parts = self.account, self.account.parts

        def rate(window: Window) -> float:  # by what this worker holds, or would if all wanted the same
            return max(window.limit, window.whole / parts) / 60

        paces = [rate(window) for window in (self.requests, account.requests) if window is not None]
        each = self.health.tokens
        if each:
            paces += [rate(window) / each for window in (self.tokens, account.tokens) if window is not None]
        if self.health.seconds:
            own, shared = min(self.concurrency, account.concurrency), min(self.parallel.whole, account.slots)
            paces.append(max(own, shared / parts) / self.health.seconds)
        return min(paces)

    def drains(self, calls: float, now: float) -> float:
        """About when so many more calls will have begun, of all workers together."""
        account = self.account
        tokens = calls * (self.health.tokens or 0.0)
        counted = ((self.requests, calls), (account.requests, calls), (self.tokens, tokens), (account.tokens, tokens))
        windows = [window.drains(amount, now) for window, amount in counted if window is not None]
        return max(now + calls * (self.health.seconds or 0.0) / min(self.parallel.whole, account.slots), *windows)

    def reach(self, seconds: float) -> float:
        """About how many calls it can begin in so many seconds: what fits now, and what its pace lets follow."""
        account, each = self.account, self.health.tokens
        rooms = [max(0.0, w.limit - w.used) for w in (self.requests, account.requests) if w is not None]
        if each:
            rooms += [max(0.0, w.limit - w.used) / each for w in (self.tokens, account.tokens) if w is not None]
        if self.health.seconds:
            rooms.append(max(0.0, min(self.concurrency - self.in_flight, account.concurrency - account.in_flight)))
        return min(rooms) + self.pace() * seconds

    # -- what it takes ------------------------------------------------------------------------------------------------

    def take(self, lease: Lease, now: float) -> None:
        account, tokens = self.account, lease.tokens
        lease.beside = self.in_flight
        self.in_flight += 1
        account.in_flight += 1
        self.requests.take(1, now)
        lease.entries.append((self.tokens, self.tokens.take(tokens, now)))
        if account.counted:
            if account.requests is not None:
                account.requests.take(1, now)
            if account.tokens is not None:
                lease.entries.append((account.tokens, account.tokens.take(tokens, now)))
            if account.purse is not None:
                lease.cost = self.estimate(lease.want)
                account.purse.reserve(lease.cost)
        if self._told:
            self._count(lease)
        if self.cooldown.state or account.cooldown.state or account.host.cooldown.state:
            for cooldown in (self.cooldown, account.cooldown, account.host.cooldown):
                if cooldown.leased():
                    lease.probes += (cooldown,)

    def _count(self, lease: Lease) -> None:
        want = lease.want
        for resource, allowance in self._told.items():
            allowance.take(_amount(resource, want))
        requests, tokens, tokens_in, tokens_out = self._taken
        lease.marks = self._taken = (
            requests + 1, tokens + lease.tokens, tokens_in + want.input_tokens, tokens_out + want.output_tokens,
        )  # fmt: skip

    def give_back(self) -> None:
        account = self.account
        self.in_flight -= 1
        account.in_flight -= 1
        if self.pressed:
            self.grant(self.in_flight)
        if account.pressed:
            account.grant(account.in_flight)

    # -- what it learns -----------------------------------------------------------------------------------------------

    def remaining(self, now: float) -> dict[str, int]:
        """What the provider said is left of its own limits, less what was sent since."""
        left = {resource: allowance.left(now) for resource, allowance in self._told.items()}
        return {resource: max(0, int(amount)) for resource, amount in left.items() if amount < NEVER}

    def told(self, rates: tuple[Rate, ...], lease: Lease, now: float) -> None:
        """Takes what the answer to `lease` said of the provider's limits. What was declared stays in force beside."""
        for rate in rates:
            if rate.remaining is not None and rate.reset is not None:
                at = _RESOURCES.index(rate.resource)
                if lease.marks is None:  # the first word: of what is under way, nothing is known to be in it
                    since = (self.in_flight - 1) * float(_amount(rate.resource, lease.want))
                else:
                    since = self._taken[at] - lease.marks[at]
                allowance = self._told.get(rate.resource)
                if allowance is None:
                    allowance = self._told[rate.resource] = Allowance()
                left = max(0.0, rate.remaining - max(0.0, since))
                if self.account.parts > 1:
                    left *= self._part(at)
                allowance.told(left, rate.limit, now + rate.reset, rate.refills, now)
            if rate.limit and rate.window and rate.window <= 60:
                self._limit(rate.resource, rate.limit * 60.0 / rate.window)

    def _part(self, resource: int) -> float:
        """The part of what is left, by a provider's word to this worker, that the others leave to it: as large as its
        part of the last minute's use."""
        at, window = (1, self.requests) if resource == 0 else (2, self.tokens)
        mine = window.used + 1
        return mine / (mine + self.others[at])

    def _limit(self, resource: Resource, limit: float) -> None:
        if resource == "requests":
            self.rate.most = min(limit, self.declared.rpm or NEVER)
            self.rate.value = min(self.rate.value, self.rate.most)
            self.requests.bound(self.rate.whole)
        elif resource == "tokens":
            self.volume.most = min(limit, self.declared.tpm or NEVER)
            self.volume.value = min(self.volume.value, self.volume.most)
            self.tokens.bound(max(1.0, self.volume.value))

    def grant(self, slots: float) -> None:
        """This worker's share of the slots is another from now on."""
        self.share = slots
        self.concurrency = within(self.parallel.whole, slots)

    def learned(self) -> None:
        """The ceilings have moved."""
        self.concurrency = within(self.parallel.whole, self.share)
        self.requests.bound(self.rate.whole)
        self.tokens.bound(max(1.0, self.volume.value))

    def accepted(self, lease: Lease) -> None:
        """The provider took a call: what is under way is no more than it takes."""
        others, best = self.others, self._best
        parallel, rate, volume = self.parallel, self.rate, self.volume
        beside = 0.0 if parallel.late(lease.at) else lease.beside + 1 + others[0]  # refusals under way were in it
        requests, tokens = self.requests.used + others[1], self.tokens.used + others[2]
        if beside > best[0]:  # noqa: PLR1730  # max() costs three times this
            best[0] = beside
        if requests > best[1]:  # noqa: PLR1730
            best[1] = requests
        if tokens > best[2]:  # noqa: PLR1730
            best[2] = tokens
        if parallel.value < parallel.most:
            parallel.accepted(beside, 0.4 / parallel.value)
            self.concurrency = within(parallel.whole, self.share)
        if rate.value < rate.most:
            rate.accepted(requests, 0.2)
            self.requests.bound(rate.whole)
        if volume.value < volume.most:
            volume.accepted(tokens, 0.2 * lease.tokens)
            self.tokens.bound(volume.value)

    def refused(self, lease: Lease, limited: str | None, now: float) -> None:
        """The provider said 429, or that it is overloaded: lowers the ceiling that is to blame. Where it did not say
        which, it is what stands highest against the most that was ever taken; of equals, what is soonest found out to
        be innocent. None is, where all stand far below that: it refuses for a reason of its own then, and a rest is the
        answer."""
        self.requests.room(1, now)  # drops what has left the window
        self.tokens.room(1, now)
        others = self.others
        used = (
            (lease.beside or self.in_flight - 1) + others[0],  # requests overtake each other on the way
            self.requests.used - 1 + others[1], self.tokens.used - lease.tokens + others[2],
        )  # fmt: skip
        if limited in (None, "concurrency") and self.parallel.late(lease.at):
            if used[0] >= max(1, _FAR * self._best[0]):  # of a burst, the first that was one too many tells most
                self.parallel.lowered(used[0])
                self._best[0] = min(self._best[0], used[0])
                self.learned()
            return
        shares = [taken / best if best else 1.0 for taken, best in zip(used, self._best, strict=True)]
        bar = _FAR if limited else max(0.97 * max(shares[1:]), _FAR)
        keeps = (1.0 if limited is None else 0.9, 0.95, 0.95)  # what was under way beside it is known to be taken
        ceilings = {"concurrency": self.parallel, "requests": self.rate, "tokens": self.volume}
        blamed = False
        for at, (name, ceiling) in enumerate(ceilings.items()):
            if not blamed and limited in (None, name) and used[at] >= 1 and shares[at] >= (bar if at else _FAR):
                if limited is None and used[at] < _FAR * ceiling.most < NEVER:
                    continue  # it is declared or told, and far away
                blamed = True
                ceiling.refused(used[at], lease.at, now, keeps[at])
                if at == 0:
                    self._best[0] = min(self._best[0], used[0])
        if not blamed:
            self._best = [0.9 * best for best in self._best]  # should it go on, what was once taken counts for less
        self.learned()


def _amount(resource: Resource, want: Want) -> int:
    match resource:
        case "requests":
            return 1
        case "tokens":
            return want.input_tokens + want.output_tokens
        case "input_tokens":
            return want.input_tokens
        case _:
            return want.output_tokens
