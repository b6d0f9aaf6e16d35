"""Asks the steward for more where a key's share is too little: the one round trip that a shared limit may cost."""

from collections.abc import Callable
from typing import TypeVar

from dragoman.access.limits import Short
from dragoman.accounts.shared import Shared

T = TypeVar("T")
_TRIES = 4  # the steward may first have to ask the other workers for what they do not use


async def granted(ask: Callable[[], T], shared: Shared | None) -> T:
    """Does what `ask` does (`Limiter.admit`, `Limiter.reserve`), as soon as this worker holds enough for it. Raises
    `Refused` where all workers together may not."""
    for _ in range(_TRIES):
        try:
            return ask()
        except Short as short:
            if shared is None or short.spent:
                raise
            await shared.answer()
    return ask()
