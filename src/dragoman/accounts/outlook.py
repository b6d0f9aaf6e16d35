"""How long a wait will be, and whether it has sense: for refusals that tell the truth."""

from dragoman.accounts.capacity import SeatCapacity
from dragoman.accounts.lease import Refused, Rest, Want, Why
from dragoman.accounts.limits import NEVER
from dragoman.accounts.queue import Ticket
from dragoman.accounts.roster import allowed

_LEAST = 0.001  # seconds that anyone is told to wait
_OPTIMISM = 0.5  # so many of those ahead must be out of reach before a want is refused for it


def in_vain(ticket: Ticket, ahead: int, now: float) -> Why | None:
    """Whether waiting has no sense: all rest for too long, or the `ahead` that come before take too long."""
    want = ticket.want
    seats = [(seat, seat.opens(want, now)) for seat in want.roster.seats if allowed(seat, want)]
    if min(opens for _, opens in seats) > want.deadline:
        return "cooling"
    shares = {seat: seat.frees(want, now) for seat, _ in seats if seat.short(want, now)}
    if any(frees <= want.deadline for frees in shares.values()):
        return None  # the other workers may have something to spare
    own = [seat for seat, opens in seats if opens <= want.deadline and seat not in shares]
    if not own or (ahead > 0 and _OPTIMISM * ahead > sum(seat.reach(want.deadline - now) for seat in own)):
        return "hopeless"
    return None


def rested(want: Want, now: float) -> float:
    """When the first seat's rest ends, whatever its limits say then; never, where none serves."""
    return min(
        max(seat.cooldown.opens(now), seat.account.cooldown.opens(now), seat.account.host.cooldown.opens(now))
        if seat.account.serving
        else NEVER
        for seat in want.roster.seats
        if allowed(seat, want)
    )


def refusal(why: Why, want: Want, waiting: int, now: float) -> Refused:
    """With how long until the first is back: by rests and windows, or, where all are only busy, by what they take.
    `waiting`: how many wait already."""
    seats = [seat for seat in want.roster.seats if allowed(seat, want) and seat.account.serving]
    wait = min((seat.opens(want, now) for seat in seats), default=NEVER) - now
    if wait <= 0:  # all that is missing is a slot, or a larger share of what the workers share
        wait = min(seat.frees(want, now) for seat in seats) - now
    if wait <= 0:
        elsewhere = sum(account.queued for account in want.roster.accounts)
        before = waiting + elsewhere if why in ("full", "hopeless") else 0
        wait = max(_LEAST, drained(1 + before, seats, now) - now)
    return Refused(why, None if wait == NEVER else wait, rests(want, now))


def drained(calls: int, seats: list[SeatCapacity], now: float) -> float:
    """When so many calls will have begun at the seats, each of which takes its part of them by its pace."""
    paces = [seat.pace() for seat in seats]
    total = sum(paces)
    if total == NEVER:
        return now
    return min(seat.drains(calls * pace / total, now) for seat, pace in zip(seats, paces, strict=True))


def rests(want: Want, now: float) -> tuple[Rest, ...]:
    """Which of its seats rest, and why."""
    found = []
    for seat in want.roster.seats:
        for cooldown in (seat.cooldown, seat.account.cooldown, seat.account.host.cooldown):
            if not cooldown.allows(now) and allowed(seat, want):
                rest = Rest(seat.account.name, seat.model, cooldown.kind, max(0.0, cooldown.until - now))
                found.append(rest)
    return tuple(found)
