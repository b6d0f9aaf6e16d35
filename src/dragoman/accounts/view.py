"""Accounts as an operator sees them: state, limits, load, health, and why they rest."""

from msgspec import Struct

from dragoman.accounts.capacity import AccountCapacity, SeatCapacity
from dragoman.accounts.cooldown import OPEN, Cooldown
from dragoman.accounts.limits import NEVER


class RestView(Struct, frozen=True):
    """A rest. `state`: resting, due or probing. `seconds`: how much longer. `soft`: it serves as the last resort."""

    state: str
    kind: str
    seconds: float
    soft: bool


class SeatView(Struct, frozen=True, kw_only=True):
    """A model of an account. Requests and tokens are of the last minute; limits as declared, told or learned."""

    model: str
    in_flight: int
    max_in_flight: int | None
    requests: int
    rpm: int | None
    tokens: int
    tpm: int | None
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
    """An account as an operator sees it. Money in pico-dollars."""

    name: str
    serving: bool
    in_flight: int
    served: int
    failed: int
    last_error: str
    spent_today: int | None
    spent_this_month: int | None
    rest: RestView | None
    host_rest: RestView | None
    seats: list[SeatView]


def view(account: AccountCapacity, now: float) -> AccountView:
    """`account` at `now`."""
    purse = account.purse
    return AccountView(
        name=account.name,
        serving=account.serving,
        in_flight=account.in_flight,
        served=account.served,
        failed=account.failed,
        last_error=account.last_error,
        spent_today=purse.today if purse else None,
        spent_this_month=purse.tomonth if purse else None,
        rest=_rest(account.cooldown, now),
        host_rest=_rest(account.host.cooldown, now),
        seats=[_seat_view(seat, now) for seat in account.seats.values()],
    )


def _rest(cooldown: Cooldown, now: float) -> RestView | None:
    cooldown.allows(now)
    if cooldown.state == OPEN:
        return None
    return RestView(cooldown.state.name.lower(), cooldown.kind, max(0.0, cooldown.until - now), cooldown.soft)


def _seat_view(seat: SeatCapacity, now: float) -> SeatView:
    seat.requests.room(0, now)  # drops what has left the window
    seat.tokens.room(0, now)
    health = seat.health
    return SeatView(
        model=seat.model,
        in_flight=seat.in_flight,
        max_in_flight=_known(seat.parallel.whole),
        requests=int(seat.requests.used),
        rpm=_known(seat.requests.whole),
        tokens=int(seat.tokens.used),
        tpm=_known(seat.tokens.whole),
        success=health.success,
        ttft=health.ttft,
        speed=health.speed,
        rest=_rest(seat.cooldown, now),
    )


def _known(limit: float) -> int | None:
    return None if limit == NEVER else int(limit)
