"""How many realtime sessions a principal has open at a time. No clock inside: `now` is an argument.

Where several workers share the limits (`shared`), each opens as many as it holds slots for (see `accounts.shares`), and
says `Short` where it holds none: ask the steward, and try again. What is granted meanwhile is kept for it for a moment.
A worker that dies leaves its slots free.
"""

from collections.abc import Iterable

from dragoman.access.limits import Held, Refused, Short
from dragoman.accounts.limits import NEVER
from dragoman.accounts.meters import Meter
from dragoman.accounts.steward import SLOTS, Claim

_ASKED = 1.0  # seconds after which a session waits no more for a slot
_GROUP, _NAME = "visits|", "sessions"


class _Open(Meter):
    """One key's open sessions, here."""

    def __init__(self) -> None:
        super().__init__(_NAME, SLOTS, Held(0.0))
        self.count = 0
        self.most: int | None = None
        self.asked = -NEVER  # when a session last had to wait
        self.kept = -NEVER  # until when a slot is kept for it

    @property
    def lacks(self) -> bool:
        """Another session needs more than this worker holds."""
        return self.count + 1 > self.holder.share

    def used(self, now: float) -> float:
        return self.count + (self.kept > now)

    def whole(self) -> float:
        return NEVER if self.most is None else self.most

    def give_back(self, used: int) -> None:
        """What is used no more is held no more, where others wait for it."""
        if self.holder.pressed:
            self.holder.grant(used)

    @property
    def news(self) -> bool:
        """A session has ended: others may wait for that."""
        return self.most is not None and self.count < self.said

    def like(self) -> float:
        return 1.0


class Visits:
    """Which sessions are open, of whom, in one process. A `shares.Sharer`."""

    def __init__(self, shared: bool = False) -> None:
        self._shared = shared
        self._open: dict[str, _Open] = {}  # by key id; "": who comes without one

    def enter(self, key: str, most: int | None, now: float) -> None:
        """Another session of that key begins. Raises `Refused` where it has `most` already."""
        here = self._open.setdefault(key, _Open())
        here.most = most
        if most is not None and here.count >= most:
            raise Refused("rate_limited", *_too_many(here.count))
        if most is not None and self._shared and here.lacks:
            here.asked = now
            raise Short("rate_limited", *_too_many(most))
        here.count += 1
        here.asked = here.kept = -NEVER

    def leave(self, key: str) -> None:
        """One of them is over."""
        here = self._open[key]
        here.count -= 1
        here.give_back(here.count + (here.kept > -NEVER))
        if here.count == 0 and not self._shared:
            del self._open[key]

    # -- shared with other workers: a `shares.Sharer` ------------------------------------------------------------------

    def groups(self, now: float) -> dict[str, dict[str, Meter]]:
        """The limits of the keys that are here."""
        for here in self._open.values():
            if -NEVER < here.kept <= now:
                here.kept = -NEVER
                here.give_back(here.count)
        return {
            _GROUP + key: {_NAME: here}
            for key, here in self._open.items()
            if here.count or here.holder.share or here.asked > now - _ASKED
        }

    def claims(self, now: float) -> dict[str, list[Claim]]:
        """What sessions wait for."""
        return {
            _GROUP + key: [Claim("", 1, True, {_NAME: 1.0})]
            for key, here in self._open.items()
            if here.asked > now - _ASKED and here.lacks
        }

    def granted(self, names: Iterable[str], now: float) -> None:
        """What was granted to who waits here is kept for it: it tries again, and others may be waiting as well."""
        for name in names:
            here = self._open.get(name.removeprefix(_GROUP)) if name.startswith(_GROUP) else None
            if here is not None and here.asked > now - _ASKED and not here.lacks:
                here.kept, here.asked = now + _ASKED, -NEVER


def _too_many(count: int) -> tuple[str, float]:
    return f"this gateway key has {count} realtime sessions open, the most it may (voice.max_sessions)", 10.0
