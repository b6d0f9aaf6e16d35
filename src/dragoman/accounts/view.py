"""Accounts as an operator sees them: state, limits, load, health, and why they rest; of one worker, or of all."""

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct, field

from dragoman.accounts.capacity import AccountCapacity, SeatCapacity
from dragoman.accounts.cooldown import OPEN, Cooldown
from dragoman.accounts.limits import NEVER, Ceiling
from dragoman.accounts.queue import Queue

Source: TypeAlias = Literal["declared", "told", "learned"]


class RestView(Struct, frozen=True):
    """A rest. `state`: resting, due or probing. `seconds`: how much longer; `until`: Unix seconds. `soft`: it serves as
    the last resort."""

    state: str
    kind: str
    seconds: float
    until: float
    soft: bool


class LimitView(Struct, frozen=True):
    """A limit, and what is used of it: in flight now, or in the last minute. `source`: whether the config declares it,
    the provider told it, or its refusals taught it. Without a `limit`, none is known."""

    used: int
    limit: int | None = None
    source: Source | None = None


class SeatView(Struct, frozen=True, kw_only=True):
    """A model of an account. `limits`: in_flight, requests and tokens. `left`: of which resource how much is left by
    the provider's word. `success`: a share of calls; `ttft` in seconds; `speed` in tokens a second."""

    model: str
    in_flight: int
    limits: dict[str, LimitView]
    left: dict[str, int]
    success: float
    ttft: float | None
    speed: float | None
    rest: RestView | None


class ShareView(Struct, frozen=True, kw_only=True):
    """What one worker holds of a limit that several share. `limit`: `slots`, `requests`, `tokens` (`|model`: of one
    model alone), `day|…`, `month|…`. `used`: by this worker; `others`: by all others, as last heard. `wanted`: somebody
    waits for more of it."""

    limit: str
    whole: float
    held: float
    used: float
    others: float
    wanted: bool


class AccountView(Struct, frozen=True, kw_only=True):
    """An account as an operator sees it. `waiting`: calls that wait for it, or for it among others. `limits`: as a
    seat's, of those that are declared. Money in pico-dollars, where there is a budget. Times are Unix seconds."""

    name: str
    serving: bool
    in_flight: int
    waiting: int
    limits: dict[str, LimitView]
    served: int
    failures: dict[str, int] = field(default_factory=dict)
    last_error: str = ""
    last_error_kind: str = ""
    last_error_at: float = 0.0
    spent_today: int | None = None
    spent_this_month: int | None = None
    rest: RestView | None = None
    host: str = ""
    host_rest: RestView | None = None
    seats: list[SeatView] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return sum(self.failures.values())


def view(account: AccountCapacity, now: float, waiting: int = 0) -> AccountView:
    """`account` at `now`; `waiting`: how many calls wait for it."""
    purse = account.purse
    before = purse.others if purse is not None and purse.share is None else (0, 0)  # else other workers say it
    return AccountView(
        name=account.name,
        serving=account.serving,
        in_flight=account.in_flight,
        waiting=waiting,
        limits=_account_limits(account, now),
        served=account.served,
        failures=dict(account.failures),
        last_error=account.last_error,
        last_error_kind=account.last_kind,
        last_error_at=account.last_at,
        spent_today=purse.today + int(before[0]) if purse else None,
        spent_this_month=purse.tomonth + int(before[1]) if purse else None,
        rest=_rest(account.cooldown, now),
        host=account.host.name,
        host_rest=_rest(account.host.cooldown, now),
        seats=[_seat_view(seat, now) for seat in account.seats.values()],
    )


def waiting(queue: Queue) -> dict[str, int]:
    """How many wait for each account. One that waits for several counts at each."""
    found: dict[str, int] = {}
    for lane in queue.lanes.values():
        only = lane.key[0][1]
        for account in lane.accounts:
            if only is None or account.name in only:
                found[account.name] = found.get(account.name, 0) + lane.waiting
    return found


def _rest(cooldown: Cooldown, now: float) -> RestView | None:
    cooldown.allows(now)
    if cooldown.state == OPEN:
        return None
    seconds = max(0.0, cooldown.until - now)
    return RestView(cooldown.state.name.lower(), cooldown.kind, seconds, cooldown.until, cooldown.soft)


def _account_limits(account: AccountCapacity, now: float) -> dict[str, LimitView]:
    found = {}
    if account.slots < NEVER:
        found["in_flight"] = LimitView(account.in_flight, int(account.slots), "declared")
    for name, window in (("requests", account.requests), ("tokens", account.tokens)):
        if window is not None:
            window.room(0, now)  # drops what has left the window
            found[name] = LimitView(int(window.used), int(window.whole), "declared")
    return found


def _seat_view(seat: SeatCapacity, now: float) -> SeatView:
    seat.requests.room(0, now)  # drops what has left the window
    seat.tokens.room(0, now)
    health, declared = seat.health, seat.declared
    return SeatView(
        model=seat.model,
        in_flight=seat.in_flight,
        limits={
            "in_flight": _limit(seat.in_flight, seat.parallel, declared.max_in_flight),
            "requests": _limit(seat.requests.used, seat.rate, declared.rpm),
            "tokens": _limit(seat.tokens.used, seat.volume, declared.tpm),
        },
        left=seat.remaining(now),
        success=health.success,
        ttft=health.ttft,
        speed=health.speed,
        rest=_rest(seat.cooldown, now),
    )


def _limit(used: float, ceiling: Ceiling, declared: int | None) -> LimitView:
    if ceiling.value == NEVER:
        return LimitView(int(used))
    told: Source = "told" if ceiling.most < (declared or NEVER) else "declared"
    return LimitView(int(used), int(ceiling.whole), "learned" if ceiling.value < ceiling.most else told)


# -- several workers' views of one account ----------------------------------------------------------------------------


def merged(views: Sequence[AccountView]) -> AccountView:
    """What the workers see of one account, in one view: sums, the longest rest, the last error. The first is our own:
    what can't be summed is as it says."""
    if len(views) == 1:
        return views[0]
    last = max(views, key=lambda each: each.last_error_at)
    seats: dict[str, list[SeatView]] = {}
    for each in views:
        for seat in each.seats:
            seats.setdefault(seat.model, []).append(seat)
    failures: dict[str, int] = {}
    for each in views:
        for kind, count in each.failures.items():
            failures[kind] = failures.get(kind, 0) + count
    return AccountView(
        name=views[0].name,
        serving=views[0].serving,
        in_flight=sum(each.in_flight for each in views),
        waiting=sum(each.waiting for each in views),
        limits=_merged_limits([each.limits for each in views]),
        served=sum(each.served for each in views),
        failures=failures,
        last_error=last.last_error,
        last_error_kind=last.last_error_kind,
        last_error_at=last.last_error_at,
        spent_today=_sum(each.spent_today for each in views),
        spent_this_month=_sum(each.spent_this_month for each in views),
        rest=_longest(each.rest for each in views),
        host=views[0].host,
        host_rest=_longest(each.host_rest for each in views),
        seats=[_merged_seat(each) for each in seats.values()],
    )


def _merged_seat(seats: Sequence[SeatView]) -> SeatView:
    tried = [seat for seat in seats if seat.ttft is not None or seat.success < 1] or seats
    return SeatView(
        model=seats[0].model,
        in_flight=sum(seat.in_flight for seat in seats),
        limits=_merged_limits([seat.limits for seat in seats]),
        left={name: min(s.left[name] for s in seats if name in s.left) for seat in seats for name in seat.left},
        success=sum(seat.success for seat in tried) / len(tried),
        ttft=_mean(seat.ttft for seat in seats),
        speed=_mean(seat.speed for seat in seats),
        rest=_longest(seat.rest for seat in seats),
    )


def _merged_limits(each: Sequence[dict[str, LimitView]]) -> dict[str, LimitView]:
    """What is used adds up; of what the workers learned, the least counts."""
    found = {}
    for name in dict.fromkeys(name for limits in each for name in limits):
        known = [limits[name] for limits in each if name in limits]
        least = min(known, key=lambda limit: NEVER if limit.limit is None else limit.limit)
        found[name] = LimitView(sum(limit.used for limit in known), least.limit, least.source)
    return found


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _longest(rests: Iterable[RestView | None]) -> RestView | None:
    return max((rest for rest in rests if rest is not None), key=lambda rest: rest.until, default=None)
