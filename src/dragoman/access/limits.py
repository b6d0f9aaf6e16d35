"""How often and for how much money a principal may ask. No clock and no database inside: `now` is an argument.

Rates are exact: at most `rpm` requests in any 60 seconds, and a refusal says when the next one may come. Money: what
the ledger says that others spent (`load`), plus what this process booked itself (`settle`), plus what is in flight
(`reserve`). The ledger's part leaves out what this process wrote, so nothing is counted twice, however late the journal
is folded. A request may start while any money is left, so a budget can be overdrawn by what is in flight at the moment
it is spent, less what was reserved.
"""

from array import array
from collections import deque
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

from dragoman.access.principal import Principal
from dragoman.accounts.periods import iso_day, period_end, period_start

WINDOW = 60.0  # seconds


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


class Window:
    """The last `limit` requests' times, in a ring: exact, 8 bytes a request."""

    __slots__ = ("_limit", "_next", "_times")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._times = array("d")
        self._next = 0

    def wait(self, now: float) -> float:
        """Seconds until another request may come; 0: now."""
        if len(self._times) < self._limit:
            return 0.0
        return max(0.0, self._times[self._next] + WINDOW - now)

    def take(self, now: float) -> None:
        if len(self._times) < self._limit:
            self._times.append(now)
        else:
            self._times[self._next] = now
            self._next = (self._next + 1) % self._limit


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
    """What is known of one principal. `others` and `own` are pico-dollars by day (UTC, ISO)."""

    window: Window | None = None
    meter: Meter | None = None
    others: dict[str, int] = field(default_factory=dict)
    own: dict[str, int] = field(default_factory=dict)
    others_sum: tuple[str, int] = ("", 0)  # of the period that began on that day
    own_sum: tuple[str, int] = ("", 0)
    reserved: int = 0


class Limiter:
    """The limits of all principals, in one process. A key whose limits change keeps what it has spent."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}

    def load(self, spending: Mapping[str, Mapping[str, int]]) -> None:
        """Takes what other processes spent: key id -> day (UTC, ISO) -> pico-dollars. See `ledger.usage.spending`."""
        for account in self._accounts.values():
            account.others, account.others_sum = {}, ("", 0)
        for key, days in spending.items():
            self._account(key).others = dict(days)

    def admit(self, principal: Principal, now: float, model: str | None = None, reserve: int = 0) -> None:
        """Counts one request at `now` (Unix seconds), or raises `Refused` and counts nothing. `reserve`: pico-dollars
        to hold back until `settle`."""
        if principal.expires is not None and now >= principal.expires:
            raise Refused("unauthorized", "this gateway key has expired: ask for a new one")
        if model is not None and not principal.allows(model):
            allowed = ", ".join(sorted(principal.models or ()))
            raise Refused("forbidden", f"this gateway key may not use {model}: it may use {allowed}")
        account = self._account(principal.id)
        if principal.budget is not None:
            self._check_budget(principal, account, now)
        if principal.tpm is not None:
            account.meter = account.meter or Meter()
            if wait := account.meter.wait(now, principal.tpm):
                raise Refused("rate_limited", f"{principal.tpm} tokens a minute are used up: {_try_in(wait)}", wait)
        if principal.rpm is not None:
            if account.window is None or account.window._limit != principal.rpm:
                account.window = Window(principal.rpm)
            if wait := account.window.wait(now):
                raise Refused("rate_limited", f"{principal.rpm} requests a minute are used up: {_try_in(wait)}", wait)
            account.window.take(now)
        account.reserved += reserve

    def settle(self, principal: Principal, now: float, cost: int = 0, tokens: int = 0, reserved: int = 0) -> None:
        """Books what an admitted request took, and gives back what was `reserved` for it."""
        account = self._account(principal.id)
        account.reserved -= reserved
        if tokens and principal.tpm is not None:
            account.meter = account.meter or Meter()
            account.meter.add(now, tokens)
        if cost:
            day = iso_day(now // 86400)
            account.own[day] = account.own.get(day, 0) + cost
            account.own_sum = ("", 0)

    def reserve(self, principal: Principal, amount: int) -> None:
        """Holds back pico-dollars for a request that is admitted already; give them to `settle` as `reserved`."""
        self._account(principal.id).reserved += amount

    def spent(self, principal: Principal, now: float) -> int:
        """Pico-dollars spent in the current period (without one: ever)."""
        start = period_start(principal.period, now)
        account = self._account(principal.id)
        if account.others_sum[0] != start:
            account.others_sum = (start, _since(account.others, start))
        if account.own_sum[0] != start:
            account.own_sum = (start, _since(account.own, start))
        return account.others_sum[1] + account.own_sum[1]

    def _check_budget(self, principal: Principal, account: _Account, now: float) -> None:
        budget = principal.budget or 0
        if self.spent(principal, now) + account.reserved < budget:
            return
        amount = f"${budget / 10**12:.12g}".rstrip(".")
        if principal.period is None:
            raise Refused("budget_spent", f"the budget of this gateway key, {amount}, is spent: ask for a new one")
        wait = period_end(principal.period, now) - now
        message = f"the budget of this gateway key, {amount} a {principal.period}, is spent: {_try_in(wait)}"
        raise Refused("budget_spent", message, wait)

    def _account(self, key: str) -> _Account:
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = _Account()
        return account


def _since(days: Mapping[str, int], start: str) -> int:
    return sum(cost for day, cost in days.items() if day >= start)


def _try_in(seconds: float) -> str:
    return f"try again in {seconds:.0f} s" if seconds >= 1 else "try again in 1 s"
