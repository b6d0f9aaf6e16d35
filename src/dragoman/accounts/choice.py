"""Whom to try next: a pure function of what is known of the accounts, the time, and random draws (law 2)."""

from collections.abc import Callable, Sequence

from dragoman.accounts.pool import Seat


def order(seats: Sequence[Seat], now: float, draw: Callable[[], float]) -> list[Seat]:
    """The seats that are free now, in the order to try them: a weighted shuffle by their accounts' weights.

    `now` is in seconds of the accounts' clock; `draw` gives random numbers in 0..1. Empty where all are cooling down or
    full; those that failed lately come last. By exponential keys: Efraimidis and Spirakis, "Weighted random sampling
    with a reservoir" (2006).
    """
    free = [seat for seat in seats if seat.account.available(seat.target.model, now)]
    if len(free) > 1:
        free.sort(key=lambda seat: max(draw(), 1e-12) ** (1 / seat.account.weight), reverse=True)
        free.sort(key=lambda seat: seat.account.shaky(seat.target.model, now))
    return free


def soonest(seats: Sequence[Seat], now: float) -> float:
    """Seconds until the first of `seats` is back; 1 where they are full rather than cooling down."""
    waits = [wait for seat in seats if (wait := seat.account.wait(seat.target.model, now)) > 0]
    return min(waits) if len(waits) == len(seats) and waits else 1.0
