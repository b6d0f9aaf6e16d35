"""The limits of a desk's accounts, one by one, as the workers that share them speak of them (see `steward`).

A limit's name, within its account: `slots`, `requests`, `tokens`; the same with `|model` for a model's own; `day|…` and
`month|…` for the money of a period.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from dragoman.accounts.capacity import AccountCapacity, SeatCapacity
from dragoman.accounts.limits import NEVER, Ceiling, Purse, Window
from dragoman.accounts.steward import MONEY, RATE, SLOTS, Share, Used

SETTLED = 64.0  # seconds without a steward after which all know it, and nothing of before is in any minute
_KNOWN = 8.0  # seconds after which all know it
_WORDS = ("slots", "requests", "tokens")


class Holder(Protocol):
    """What a share is held by. `pressed`: what it uses no more, it holds no more."""

    share: float
    pressed: bool

    def grant(self, share: float) -> None: ...


class Meter(ABC):
    """One limit. `pressed`, `room`, `others`, `gone`: as in `steward.Share`. `said`: what was said to be used; `held`:
    what the steward takes to be held."""

    def __init__(self, name: str, kind: int, holder: Holder) -> None:
        self.name = name
        self.kind = kind
        self.holder = holder
        self.pressed = False
        self.room = self.others = self.gone = self.said = self.held = 0.0
        self.at = -NEVER  # when the steward was last heard of it

    @abstractmethod
    def used(self, now: float) -> float:
        """What this worker takes up of it."""

    @abstractmethod
    def whole(self) -> float:
        """The limit of all workers together."""

    def like(self) -> float:
        """The most room that is of use. -1: any."""
        return -1

    def spare(self, now: float) -> bool:
        """Whether there is something to give back that others wait for."""
        return self.pressed and self.whole() < NEVER and self.held > max(self.used(now), self.holder.share)

    def low(self, now: float) -> bool:
        """Whether most of its room is used up."""
        return self.room > 0 and self.whole() < NEVER and self.holder.share - self.used(now) < self.room / 2

    def report(self, now: float) -> Used:
        """What is to be said of it."""
        self.said = self.used(now)
        self.held = max(self.said, self.holder.share)
        whole = self.whole()
        return Used(self.name, self.kind, self.held, self.said, self.like(), -1 if whole == NEVER else whole)

    def hear(self, share: Share, now: float) -> None:
        """Takes what is granted."""
        self.pressed, self.room, self.others, self.held = share.pressed, share.room, share.others, share.held
        self.gone = share.gone
        self.at = now
        self.holder.pressed = False
        self.holder.grant(share.held)

    def press(self, now: float) -> None:
        """Others wait: what is not used by now is given up, and so is what will be used no more."""
        self.holder.grant(self.used(now))
        self.holder.pressed = True

    def settles(self) -> float:
        """Seconds without a steward after which what the workers took before it went counts no more."""
        return SETTLED

    @property
    def news(self) -> bool:
        """Whether the provider has said something of it that the others had better know."""
        return False

    def lost(self, alone: bool) -> None:
        """What was said may not have been heard. What was not said to be given up is still held, unless this worker is
        on its own already."""
        self.pressed = self.holder.pressed = False
        if not alone:
            self.holder.grant(max(self.holder.share, self.held))


class Slots(Meter):
    def __init__(self, account: AccountCapacity) -> None:
        super().__init__("slots", SLOTS, account)
        self._account = account

    def used(self, now: float) -> float:
        return self._account.in_flight

    def whole(self) -> float:
        return self._account.slots

    def settles(self) -> float:
        return max(map(_ended, self._account.seats.values()), default=_KNOWN)


class Rate(Meter):
    def __init__(self, name: str, window: Window) -> None:
        super().__init__(name, RATE, window)
        self._window = window

    def hear(self, share: Share, now: float) -> None:
        super().hear(share, now)
        self._window.others = share.others

    def used(self, now: float) -> float:
        self._window.room(0, now)  # drops what has left the window
        return self._window.used

    def whole(self) -> float:
        return self._window.whole


class _Held:
    """A purse's share of a day's money, or a month's."""

    def __init__(self, purse: Purse, at: int) -> None:
        self._purse = purse
        self._at = at
        self.pressed = False

    @property
    def share(self) -> float:
        return 0.0 if self._purse.share is None else self._purse.share[self._at]

    @share.setter
    def share(self, share: float) -> None:
        if self._purse.share is not None:
            self._purse.share[self._at] = share

    def grant(self, share: float) -> None:
        self.share = share


class Money(Meter):
    """A day's (`at` 0), or a month's (1). Room is held only for a few calls like the largest of late: it counts as
    spent should this worker die."""

    def __init__(self, name: str, purse: Purse, at: int) -> None:
        super().__init__(name, MONEY, _Held(purse, at))
        self._purse = purse
        self._at = at

    def used(self, now: float) -> float:
        self._purse.turn(now)
        return float((self._purse.tomonth if self._at else self._purse.today) + self._purse.reserved)

    def whole(self) -> float:
        return float((self._purse.monthly if self._at else self._purse.daily) or 0)

    def like(self) -> float:
        return 4.0 * self._purse.largest

    def report(self, now: float) -> Used:
        said = super().report(now)
        said.spent = self._purse.booked[self._at] + (self._purse.tomonth if self._at else self._purse.today)
        said.pending = float(self._purse.reserved)
        return said

    def hear(self, share: Share, now: float) -> None:
        self._purse.turn(now)
        if self.name in self._purse.names(now):  # or it came too late
            super().hear(share, now)
            self._purse.others[self._at] = share.others


class Learned(Meter):
    """A model's limit, which may be learned from refusals: what one worker learns, all know. `at`: slots, requests or
    tokens."""

    def __init__(self, seat: SeatCapacity, at: int) -> None:
        holders: tuple[Holder, ...] = (seat, seat.requests, seat.tokens)
        super().__init__(f"{_WORDS[at]}|{seat.model}", RATE if at else SLOTS, holders[at])
        self._seat = seat
        self._at = at
        self._ceiling: Ceiling = (seat.parallel, seat.rate, seat.volume)[at]
        self._most = -1.0  # as all know it
        self._learned = -1.0
        self._value = 0.0  # when it was last reported

    def used(self, now: float) -> float:
        if self._at == 0:
            return self._seat.in_flight
        window = self._seat.requests if self._at == 1 else self._seat.tokens
        window.room(0, now)
        return window.used

    def whole(self) -> float:
        seat = self._seat
        return seat.parallel.whole if self._at == 0 else (seat.requests if self._at == 1 else seat.tokens).whole

    def settles(self) -> float:
        return SETTLED if self._at else _ended(self._seat)

    @property
    def news(self) -> bool:
        return self._ceiling.cut or (self._ceiling.most < NEVER and self._ceiling.most != self._most)

    def report(self, now: float) -> Used:
        said, ceiling = super().report(now), self._ceiling
        said.most = ceiling.most if ceiling.most < NEVER and ceiling.most != self._most else -1
        if ceiling.cut:
            said.cut, ceiling.cut = ceiling.value, False
        elif self._learned >= 0:
            said.raised = max(0.0, ceiling.value - self._learned)
        self._value = ceiling.value
        return said

    def hear(self, share: Share, now: float) -> None:
        ceiling = self._ceiling
        self._most, self._learned = share.most, share.learned
        if share.most >= 0:
            limits = self._seat.declared
            ceiling.most = min((limits.max_in_flight, limits.rpm, limits.tpm)[self._at] or NEVER, share.most)
            ceiling.value = min(ceiling.value, ceiling.most)
        if share.learned >= 0 and not ceiling.cut:
            ceiling.heard(share.learned + max(0.0, ceiling.value - self._value), now)
        self._seat.others[self._at] = share.others
        super().hear(share, now)
        self._seat.learned()

    def lost(self, alone: bool) -> None:
        super().lost(alone)
        self._most = self._learned = -1.0
        self._ceiling.cut = self._ceiling.cut or self._ceiling.value < self._ceiling.most


def _ended(seat: SeatCapacity) -> float:
    """Seconds without a steward after which the calls that began before it went have ended, most likely."""
    return min(SETTLED, max(_KNOWN, 4 * (seat.health.seconds or 0.0)))


def meters(account: AccountCapacity, now: float, known: dict[str, Meter]) -> dict[str, Meter]:
    """The account's limits by name; those that are `known` already stay."""
    found: dict[str, Meter] = {}

    def add(name: str, make: Callable[..., Meter], *about: object) -> None:
        found[name] = known.get(name) or make(*about)

    if account.slots < NEVER:
        add("slots", Slots, account)
    for name, window in (("requests", account.requests), ("tokens", account.tokens)):
        if window is not None:
            add(name, Rate, name, window)
    if account.purse is not None:
        for name in account.purse.names(now):
            add(name, Money, name, account.purse, int(name.startswith("month")))
    for model, seat in account.seats.items():
        for at, word in enumerate(_WORDS):
            add(f"{word}|{model}", Learned, seat, at)
    return found
