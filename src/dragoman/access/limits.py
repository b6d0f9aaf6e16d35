"""How often and for how much money a principal may ask. No clock and no database inside: `now` is an argument.

Rates are exact: at most `rpm` requests in any 60 seconds, and a refusal says when the next one may come. Money: what
the ledger says that others spent (`load`), plus what this process booked itself (`settle`), plus what is in flight
(`reserve`). The ledger's part leaves out what this process wrote, so nothing is counted twice, however late the journal
is folded. A request is admitted while any money is left; what it is thought to cost is reserved before it goes out, and
where that does not fit beside others it does not go. One that is alone may go with all that is left: what was only
guessed must not lock a small budget for ever. So a budget is overdrawn by no more than estimates fall short of, and the
last call is longer than what was left for it.

Where several workers share the limits (`shared`), each uses of them what it is granted (see `accounts.shares`), and
says `Short` where that is too little: ask the steward, and try again.
"""

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct, field

from dragoman.access.principal import Principal
from dragoman.accounts.limits import NEVER
from dragoman.accounts.meters import Meter as Shared
from dragoman.accounts.periods import iso_day, period_end, period_start
from dragoman.accounts.steward import MONEY, RATE, Claim, Used

WINDOW = 60.0  # seconds
_IDLE = 120.0  # seconds after which a key that is not used holds nothing
_FRESH = 0.25  # seconds in which what was heard of the other workers is believed
_HELD = ("what is left of this gateway key's budget is held for calls under way: try again in 1 s", 1.0)
_ASKED = 1.0  # seconds after which a request waits no more for a larger share


class Refused(Exception):
    """The principal may not, now or at all. `retry_after`: seconds until it may; None: time won't help."""

    def __init__(
        self,
        kind: Literal["unauthorized", "forbidden", "rate_limited", "budget_spent"],
        message: str,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        return {"unauthorized": 401, "budget_spent": 402, "forbidden": 403, "rate_limited": 429}[self.kind]


class Short(Refused):
    """This worker's share is used up; the whole limit may not be. `spent`: it is, as was heard just now."""

    spent = False


class Held:
    """This worker's share of one limit of a key."""

    __slots__ = ("pressed", "share")

    def __init__(self, share: float) -> None:
        self.share = share
        self.pressed = False

    def grant(self, share: float) -> None:
        self.share = share


class Window:
    """The last `limit` requests' times, in a ring: exact, 8 bytes a request."""

    __slots__ = ("_next", "_times", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._times = array("d")
        self._next = 0

    def wait(self, now: float) -> float:
        """Seconds until another request may come; 0: now."""
        if len(self._times) < self.limit:
            return 0.0
        return max(0.0, self._times[self._next] + WINDOW - now)

    def first(self, now: float) -> float:
        """Seconds until the first of them is more than a minute ago."""
        return max(0.0, self._times[self._next % len(self._times)] + WINDOW - now) if self._times else 1.0

    def used(self, now: float) -> int:
        """Requests of the last minute."""
        times = self._times[self._next :] + self._times[: self._next]
        return len(times) - bisect_right(times, now - WINDOW)

    def take(self, now: float) -> None:
        if len(self._times) < self.limit:
            self._times.append(now)
        else:
            self._times[self._next] = now
            self._next = (self._next + 1) % self.limit


class Meter:
    """The tokens of the last 60 seconds, counted by the second."""

    __slots__ = ("_seconds", "_total")

    def __init__(self) -> None:
        self._seconds: deque[list[int]] = deque()
        self._total = 0

    def wait(self, now: float, limit: int) -> float:
        """Seconds until fewer than `limit` tokens are in the window; 0: now."""
        self._drop(now)
        left = self._total
        for second, tokens in self._seconds:
            if left < limit:
                return 0.0
            left -= tokens
            if left < limit:
                return second + 1 + WINDOW - now
        return 0.0

    def used(self, now: float) -> int:
        """Tokens of the last minute."""
        self._drop(now)
        return self._total

    def add(self, now: float, tokens: int) -> None:
        self._drop(now)
        second = int(now)
        if self._seconds and self._seconds[-1][0] >= second:
            self._seconds[-1][1] += tokens
        else:
            self._seconds.append([second, tokens])
        self._total += tokens

    def _drop(self, now: float) -> None:
        while self._seconds and self._seconds[0][0] + 1 + WINDOW <= now:
            self._total -= self._seconds.popleft()[1]


class _Account(Struct):
    """What is known of one principal. `others` and `own` are pico-dollars by day (UTC, ISO). `shared`: its limits, as
    the workers share them; `needs`: what requests wait for, since `asked`."""

    principal: Principal
    at: float = 0.0
    shared: dict[str, Shared] = field(default_factory=dict)
    needs: dict[str, float] = field(default_factory=dict)
    asked: float = 0.0
    window: Window | None = None
    meter: Meter | None = None
    others: dict[str, int] = field(default_factory=dict)
    own: dict[str, int] = field(default_factory=dict)
    others_sum: tuple[str, int] = ("", 0)  # of the period that began on that day
    own_sum: tuple[str, int] = ("", 0)
    reserved: int = 0
    largest: int = 0  # request's cost, as far as seen


class _Rate(Shared):
    """A key's requests or tokens, as the workers share them."""

    def __init__(self, account: _Account, name: str) -> None:
        super().__init__(name, RATE, Held(0.0))
        self._account = account

    def used(self, now: float) -> float:
        counted = self._account.window if self.name == "requests" else self._account.meter
        return 0.0 if counted is None else counted.used(now)

    def whole(self) -> float:
        principal = self._account.principal
        return (principal.rpm if self.name == "requests" else principal.tpm) or NEVER


class _Money(Shared):
    """A key's budget of one period, as the workers share it. Room is held for a few requests like the largest one."""

    def __init__(self, account: _Account, name: str, limiter: "Limiter") -> None:
        super().__init__(name, MONEY, Held(0.0))
        self._account = account
        self._limiter = limiter

    def used(self, now: float) -> float:
        return float(self._limiter._own(self._account, now) + self._account.reserved)

    def whole(self) -> float:
        budget = self._account.principal.budget
        return NEVER if budget is None else float(budget)

    def like(self) -> float:
        return 4.0 * self._account.largest

    def report(self, now: float) -> Used:
        said = super().report(now)
        said.spent = float(self._limiter.spent(self._account.principal, now))
        said.pending = float(self._account.reserved)
        return said


class Limiter:
    """The limits of all principals, in one process. A key whose limits change keeps what it has spent."""

    def __init__(self, shared: bool = False) -> None:
        self._accounts: dict[str, _Account] = {}
        self._spending: Mapping[str, Mapping[str, int]] = {}
        self._shared = shared

    def load(self, spending: Mapping[str, Mapping[str, int]]) -> None:
        """Takes what other processes spent: key id -> day (UTC, ISO) -> pico-dollars. See `ledger.spending`."""
        self._spending = spending
        for key, account in self._accounts.items():
            account.others, account.others_sum = dict(spending.get(key, {})), ("", 0)

    def check(self, principal: Principal, now: float) -> None:
        """Raises `Refused` where one who was admitted may not go on: the key has expired, or its budget is spent."""
        self._check_expiry(principal, now)
        if principal.budget is not None:
            self._check_budget(self._account(principal), 0, now)

    def admit(self, principal: Principal, now: float, model: str | None = None) -> None:
        """Counts one request at `now` (Unix seconds), or raises `Refused` and counts nothing."""
        self._check_expiry(principal, now)
        if model is not None and not principal.allows(model):
            allowed = ", ".join(sorted(principal.models or ()))
            raise Refused("forbidden", f"this gateway key may not use {model}: it may use {allowed}")
        account = self._account(principal)
        account.at = now
        needs: dict[str, float] = {}
        rpm = principal.rpm
        if principal.budget is not None:
            self._check_budget(account, 0, now)
            needs[self._budget_name(principal, now)] = 1.0
        if principal.tpm is not None:
            account.meter = account.meter or Meter()
            if wait := account.meter.wait(now, principal.tpm):
                raise Refused("rate_limited", f"{principal.tpm} tokens a minute are used up: {_try_in(wait)}", wait)
            needs["tokens"] = 1.0
        window = None
        if rpm is not None:
            window = account.window
            if window is None or window.limit != rpm:
                window = account.window = Window(rpm)
            if wait := window.wait(now):
                raise Refused("rate_limited", f"{rpm} requests a minute are used up: {_try_in(wait)}", wait)
            needs["requests"] = 1.0
        if self._shared and needs:
            self._have(account, needs, now)
        if window is not None:
            window.take(now)

    def reserve(self, principal: Principal, amount: int, now: float) -> int:
        """Holds back pico-dollars for a request that is admitted: `amount`, or what is left for one that is alone.
        Returns how many; give them to `settle` as `reserved`. Raises `Refused` where so much is not left."""
        account = self._account(principal)
        if principal.budget is not None:
            if not account.reserved:
                amount = min(amount, max(1, principal.budget - self.spent(principal, now)))
            self._check_budget(account, amount, now)
            if self._shared:
                self._have(account, {self._budget_name(principal, now): float(amount)}, now)
        account.reserved += amount
        account.largest = max(amount, account.largest)
        return amount

    def settle(self, principal: Principal, now: float, cost: int = 0, tokens: int = 0, reserved: int = 0) -> None:
        """Books what an admitted request took, and gives back what was `reserved` for it."""
        account = self._account(principal)
        account.reserved -= reserved
        if tokens and principal.tpm is not None:
            account.meter = account.meter or Meter()
            account.meter.add(now, tokens)
        if cost:
            account.largest = max(cost, account.largest)
            day = iso_day(now // 86400)
            account.own[day] = account.own.get(day, 0) + cost
            account.own_sum = ("", 0)

    # -- shared with other workers: a `shares.Sharer` -----------------------------------------------------------------

    def groups(self, now: float) -> dict[str, dict[str, Shared]]:
        """The limits of the keys in use."""
        return {
            f"key|{key}": self._meters(account, now)
            for key, account in self._accounts.items()
            if account.at > now - _IDLE or account.reserved
        }

    def claims(self, now: float) -> dict[str, list[Claim]]:
        """What requests wait for."""
        return {
            f"key|{key}": [Claim("", 1, True, account.needs)]
            for key, account in self._accounts.items()
            if account.needs and account.asked > now - _ASKED
        }

    def granted(self, names: Iterable[str], now: float) -> None:
        """Nothing to do: who waits tries again."""

    def _have(self, account: _Account, needs: dict[str, float], now: float) -> None:
        """Raises `Short` where the shares are less than `needs`."""
        meters = self._meters(account, now)
        lacking = [n for n, need in needs.items() if meters[n].used(now) + need > meters[n].holder.share]
        if not lacking:
            account.needs = {}
            return
        account.needs, account.asked = needs, now
        principal, name = account.principal, lacking[0]
        if name.startswith("money|"):
            spent = self._own(account, now) + meters[name].gone + needs[name] > meters[name].whole()
            short = Short("budget_spent", *_spent_budget(principal, now)) if spent else Short("rate_limited", *_HELD)
        else:
            limit = principal.rpm if name == "requests" else principal.tpm
            wait = account.window.first(now) if name == "requests" and account.window is not None else 1.0
            short = Short("rate_limited", f"{limit} {name} a minute are used up: {_try_in(wait)}", wait)
        short.spent = any(
            meter.at > now - _FRESH and meter.used(now) + meter.others + needs[meter.name] > meter.whole()
            for meter in map(meters.__getitem__, lacking)
        )
        raise short

    def _meters(self, account: _Account, now: float) -> dict[str, Shared]:
        principal, found = account.principal, account.shared
        names = ["requests"] if principal.rpm is not None else []
        names += ["tokens"] if principal.tpm is not None else []
        names += [self._budget_name(principal, now)] if principal.budget is not None else []
        if found.keys() != set(names):
            account.shared = {name: found.get(name) or self._meter(account, name) for name in names}
        return account.shared

    def _meter(self, account: _Account, name: str) -> Shared:
        return _Money(account, name, self) if name.startswith("money|") else _Rate(account, name)

    def _budget_name(self, principal: Principal, now: float) -> str:
        return f"money|{period_start(principal.period, now)}"

    # -- money --------------------------------------------------------------------------------------------------------

    def spent(self, principal: Principal, now: float) -> int:
        """Pico-dollars spent in the current period (without one: ever)."""
        start = period_start(principal.period, now)
        account = self._account(principal)
        if account.others_sum[0] != start:
            account.others_sum = (start, _since(account.others, start))
        return account.others_sum[1] + self._own(account, now)

    def _own(self, account: _Account, now: float) -> int:
        """What this process has spent of it."""
        start = period_start(account.principal.period, now)
        if account.own_sum[0] != start:
            account.own_sum = (start, _since(account.own, start))
        return account.own_sum[1]

    def _check_expiry(self, principal: Principal, now: float) -> None:
        if principal.expires is not None and now >= principal.expires:
            raise Refused("unauthorized", "this gateway key has expired: ask for a new one")

    def _check_budget(self, account: _Account, amount: int, now: float) -> None:
        principal = account.principal
        budget, spent = principal.budget or 0, self.spent(principal, now)
        if spent + account.reserved + max(amount, 1) <= budget:
            return
        if spent < budget and account.reserved:
            raise Refused("rate_limited", *_HELD)
        raise Refused("budget_spent", *_spent_budget(principal, now))

    def _account(self, principal: Principal) -> _Account:
        account = self._accounts.get(principal.id)
        if account is None:
            account = self._accounts[principal.id] = _Account(principal)
            account.others = dict(self._spending.get(principal.id, {}))
        account.principal = principal
        return account


def _spent_budget(principal: Principal, now: float) -> tuple[str, float | None]:
    """What to say of a budget that is spent, and when there is another."""
    amount = f"${(principal.budget or 0) / 10**12:.12g}".rstrip(".")
    if principal.period is None:
        return f"the budget of this gateway key, {amount}, is spent: ask for a new one", None
    wait = period_end(principal.period, now) - now
    return f"the budget of this gateway key, {amount} a {principal.period}, is spent: {_try_in(wait)}", wait


def _since(days: Mapping[str, int], start: str) -> int:
    return sum(cost for day, cost in days.items() if day >= start)


def _try_in(seconds: float) -> str:
    return f"try again in {seconds:.0f} s" if seconds >= 1 else "try again in 1 s"
