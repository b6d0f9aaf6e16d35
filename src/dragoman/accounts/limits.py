"""How much an account takes: sliding windows, learned ceilings, what a provider says is left, and money.

A rate is held in an exact sliding window, not in a bucket: what is within `limit` in any 60 seconds is within it for a
provider that counts by fixed windows, by sliding windows or by a bucket of that size alike, and under steady demand it
uses all of the limit. Times are seconds of one monotonic clock, given as `now`; there is no clock in here.
"""

import math
from collections import deque

from msgspec import Struct

from dragoman.access.limits import period_end

MINUTE = 60.0
SLOTS = 240  # a window is counted in so many slots: at most 1/240 of it is held too long, nothing ever too short
NEVER = math.inf


class Window:
    """At most `limit` of something in any `seconds`.

    `used` is what was taken and has not been seen to leave yet: never too little. `used + amount <= limit` thus says
    that there is room, and only where it fails need `room` be asked.
    """

    __slots__ = ("_ends", "_slot", "_slots", "_step", "limit", "seconds", "used")

    def __init__(self, limit: float, seconds: float = MINUTE) -> None:
        self.limit = limit
        self.seconds = seconds
        self.used = 0.0
        self._step = seconds / SLOTS
        self._slots: deque[list[float]] = deque()  # [when it leaves the window, how much]
        self._slot = [0.0, 0.0]  # the one that is filled now
        self._ends = 0.0

    def room(self, amount: float, now: float) -> bool:
        """Whether `amount` fits now. What is more than the whole limit fits into an empty window."""
        slots = self._slots
        while slots and slots[0][0] <= now:
            self.used -= slots.popleft()[1]
        return self.used + amount <= self.limit or not slots

    def opens(self, amount: float, now: float) -> float:
        """When `amount` will fit, if nothing else is taken until then; `now` where it does already."""
        if self.used + amount <= self.limit or self.room(amount, now):
            return now
        left = self.used
        for leaves, held in self._slots:
            left -= held
            if left + amount <= self.limit:
                return leaves
        return self._slots[-1][0]

    def take(self, amount: float, now: float) -> list[float]:
        """Counts `amount` at `now`. The entry is for `correct`."""
        self.used += amount
        if now < self._ends:
            self._slot[1] += amount
            return self._slot
        slots = self._slots
        while slots and slots[0][0] <= now:
            self.used -= slots.popleft()[1]
        self._ends = (now // self._step + 1) * self._step
        entry = self._slot = [self._ends + self.seconds, amount]
        slots.append(entry)
        return entry

    def correct(self, entry: list[float], more: float, now: float) -> None:
        """What was taken turned out to be `more` (or, below 0, less); it still counts from when it was taken."""
        if entry[0] > now:
            entry[1] += more
            self.used += more


class Ceiling:
    """A limit nobody told us, found by trying: additive increase, multiplicative decrease.

    Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance in computer networks"
    (1989); the longer nothing was refused, the larger the increase. Without a limit until the first refusal. `value`
    never goes above `most`.
    """

    __slots__ = ("_calm", "_since", "most", "value")

    def __init__(self, most: float = NEVER) -> None:
        self.most = most
        self.value = most
        self._since = -NEVER
        self._calm = 0  # calls taken near the ceiling since the last refusal

    @property
    def whole(self) -> float:
        """The ceiling as a number of calls: whole, and at least 1."""
        return max(1.0, math.floor(self.value)) if self.value != NEVER else NEVER

    def refused(self, used: float, began: float, now: float, keep: float) -> None:
        """The provider refused at `used`. `began`: when the refused call was made; what was on its way when the ceiling
        was lowered says nothing new."""
        if began >= self._since:
            self._since, self._calm = now, 0
            self.value = min(self.value, max(1.0, used * keep))

    def accepted(self, used: float, step: float) -> None:
        """The provider took a call at `used`: where that is near the ceiling, it rises by `step`."""
        if self.value < self.most and used >= 0.8 * self.whole:
            self._calm += 1
            self.value = min(self.most, self.value + step * (1 + self._calm / self.value))


class Allowance:
    """What the provider said is left of a limit, minus what we have sent since.

    It catches what our own windows can't: other users of the same quota, and windows longer than a minute. `refills`:
    the quota comes back evenly until `reset` (a bucket) rather than all at once then (a fixed window).
    """

    __slots__ = ("_at", "_left", "_rate", "reset")

    def __init__(self) -> None:
        self._left = NEVER
        self._at = 0.0
        self._rate = 0.0  # a second
        self.reset = -NEVER

    def told(self, left: float, limit: float | None, reset: float, refills: bool, now: float) -> None:
        """`left` is left now; all of it is back at `reset`."""
        self._left, self._at, self.reset = left, now, reset
        missing = (limit or 0.0) - left
        self._rate = missing / (reset - now) if refills and reset > now and missing > 0 else 0.0

    def room(self, amount: float, now: float) -> bool:
        return now >= self.reset or self._left + self._rate * (now - self._at) >= amount

    def opens(self, amount: float, now: float) -> float:
        if self.room(amount, now):
            return now
        if self._rate:
            return min(self.reset, max(now, self._at + (amount - self._left) / self._rate + 1e-6))
        return self.reset

    def take(self, amount: float) -> None:
        self._left -= amount

    def left(self, now: float) -> float:
        return NEVER if now >= self.reset else self._left + self._rate * (now - self._at)


class Limits(Struct, frozen=True, kw_only=True):
    """What is declared for an account, or for a model of it. None: no limit is known. Money in pico-dollars."""

    max_in_flight: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    daily: int | None = None
    monthly: int | None = None


class Purse:
    """Money of a day and of a month (UTC): spent, and reserved by calls in flight. Pico-dollars, whole numbers.

    A call starts only if its whole estimate fits, so nothing is overspent but by what estimates fall short of. Times
    are Unix seconds here.
    """

    __slots__ = ("_day_ends", "_month_ends", "daily", "monthly", "reserved", "today", "tomonth")

    def __init__(self, daily: int | None, monthly: int | None) -> None:
        self.daily, self.monthly = daily, monthly
        self.today = self.tomonth = self.reserved = 0
        self._day_ends = self._month_ends = 0.0

    def opens(self, cost: int, now: float) -> float:
        """When `cost` will fit: `now`, or when the day or the month ends. Never where it is more than a whole limit."""
        self._turn(now)
        opens = now
        for limit, spent, ends in (
            (self.daily, self.today, self._day_ends),
            (self.monthly, self.tomonth, self._month_ends),
        ):
            if limit is not None and spent + self.reserved + cost > limit:
                opens = max(opens, ends if cost <= limit else NEVER)
        return opens

    def reserve(self, cost: int) -> None:
        self.reserved += cost

    def settle(self, reserved: int, cost: int, now: float) -> None:
        """Gives back what was reserved, and books what it cost, now."""
        self._turn(now)
        self.reserved -= reserved
        self.today += cost
        self.tomonth += cost

    def _turn(self, now: float) -> None:
        if now >= self._day_ends:
            self.today, self._day_ends = 0, period_end("day", now)
        if now >= self._month_ends:
            self.tomonth, self._month_ends = 0, period_end("month", now)
