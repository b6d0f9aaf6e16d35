"""How much an account takes: sliding windows, learned ceilings, what a provider says is left, and money.

A rate is held in an exact sliding window, not in a bucket: what is within `limit` in any 60 seconds is within it for a
provider that counts by fixed windows, by sliding windows or by a bucket of that size alike, and under steady demand it
uses all of the limit. Times are seconds of one monotonic clock, given as `now`; there is no clock in here.
"""

import math
from collections import deque

from msgspec import Struct

from dragoman.accounts.periods import period_end, period_start

MINUTE = 60.0
SLOTS = 240  # a window is counted in so many slots: at most 1/240 of it is held too long, nothing ever too short
NEVER = math.inf


def within(whole: float, share: float) -> float:
    """What this worker may use of a limit: its share, where there is a limit at all."""
    return share if share < whole < NEVER else whole


class Window:
    """At most `limit` of something in any `seconds`: this worker's share of the `whole`.

    `used` is what was taken and has not been seen to leave yet: never too little. `used + amount <= limit` thus says
    that there is room, and only where it fails need `room` be asked.
    """

    __slots__ = ("_ends", "_slot", "_slots", "_step", "limit", "others", "pressed", "seconds", "share", "used", "whole")

    def __init__(self, limit: float, seconds: float = MINUTE) -> None:
        self.limit = self.whole = limit
        self.share = NEVER
        self.others = 0.0  # used by the other workers, as last heard
        self.pressed = False  # other workers wait: what leaves the window leaves the share
        self.seconds = seconds
        self.used = 0.0
        self._step = seconds / SLOTS
        self._slots: deque[list[float]] = deque()  # [when it leaves the window, how much]
        self._slot = [0.0, 0.0]  # the one that is filled now
        self._ends = 0.0

    def bound(self, whole: float) -> None:
        """The limit is another from now on."""
        self.whole = whole
        self.limit = within(whole, self.share)

    def grant(self, share: float) -> None:
        """This worker's share is another from now on."""
        self.share = share
        self.limit = within(self.whole, share)

    def room(self, amount: float, now: float) -> bool:
        """Whether `amount` fits now. What is more than the whole limit fits into an empty window."""
        slots = self._slots
        while slots and slots[0][0] <= now:
            self.used -= slots.popleft()[1]
            if self.pressed:
                self.grant(self.used)
        return self.used + amount <= self.limit or (not slots and self.limit >= self.whole)

    def opens(self, amount: float, now: float) -> float:
        """When `amount` will fit, if nothing else is taken until then; `now` where it does already, or where nothing
        but a larger share is missing."""
        if self.used + amount <= self.limit or self.room(amount, now):
            return now
        left, slots = self.used, self._slots
        if left + amount <= self.whole or not slots:
            return now
        for leaves, held in slots:
            left -= held
            if left + amount <= self.whole:
                return leaves
        return slots[-1][0]

    def frees(self, amount: float, now: float) -> float:
        """When `amount` will fit at the latest, as far as is known of the other workers, where a larger share is all
        that is missing; `now` where that may come at any time."""
        left = self.used
        if left + amount <= self.limit or left + self.others + amount <= self.whole:
            return now
        for leaves, held in self._slots:
            left -= held
            if left + amount <= self.limit:
                return leaves
        return now + self.seconds

    def drains(self, amount: float, now: float) -> float:
        """When `amount` more will have been taken by all workers, each part of it as soon as it fits. What the others
        used is taken to leave as this one's does."""
        self.room(0, now)
        left = self.used + self.others
        over = left + amount - self.whole
        if over <= 0 or self.whole <= 0:
            return now
        turns = max(0, math.ceil((over - left) / self.whole))  # of what is taken from now on, most must leave again
        over -= turns * self.whole
        gone, drained = 0.0, now + self.seconds if over > 0 else now
        for leaves, held in self._slots if self.used > 0 else ():  # what was taken may have been corrected to nothing
            if gone >= over - 1e-6:
                break
            gone, drained = gone + held * left / self.used, leaves
        return drained + turns * self.seconds

    def take(self, amount: float, now: float) -> list[float]:
        """Counts `amount` at `now`. The entry is for `correct`."""
        self.used += amount
        if now < self._ends:
            self._slot[1] += amount
            return self._slot
        slots = self._slots
        while slots and slots[0][0] <= now:
            self.used -= slots.popleft()[1]
            if self.pressed:
                self.grant(self.used)
        self._ends = (now // self._step + 1) * self._step
        entry = self._slot = [self._ends + self.seconds, amount]
        slots.append(entry)
        return entry

    def correct(self, entry: list[float], more: float, now: float) -> None:
        """What was taken turned out to be `more` (or, below 0, less); it still counts from when it was taken."""
        if entry[0] > now:
            entry[1] += more
            self.used += more
            if self.pressed and more < 0:
                self.grant(self.used)


class Ceiling:
    """A limit nobody told us, found by trying: additive increase, multiplicative decrease.

    Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance in computer networks"
    (1989); the longer nothing was refused, the larger the increase. Without a limit until the first refusal. `value`
    never goes above `most`.
    """

    __slots__ = ("_calm", "_since", "cut", "most", "value")

    def __init__(self, most: float = NEVER) -> None:
        self.most = most
        self.value = most
        self.cut = False  # lowered since the other workers were last told
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
            self._since, self._calm, self.cut = now, 0, True
            self.value = min(self.value, max(1.0, used * keep))

    def late(self, began: float) -> bool:
        """Whether a call made then was on its way when the ceiling was lowered."""
        return began < self._since

    def lowered(self, used: float) -> None:
        """A call that was on its way says that even so many were too many."""
        if used < self.value:
            self.value, self.cut = used, True

    def accepted(self, used: float, step: float) -> None:
        """The provider took a call at `used`: where that is near the ceiling, it rises by `step`."""
        if self.value < self.most and used >= 0.8 * self.whole:
            self._calm += 1
            self.value = min(self.most, self.value + step * (1 + self._calm / self.value))

    def heard(self, value: float, now: float) -> None:
        """What all workers together have learned. Where another's call was refused, what is on its way is no news."""
        if value < self.value:
            self._since, self._calm = now, 0
        self.value = min(self.most, value)


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
    are Unix seconds here. `share`: the money of the day and of the month that this worker may spend and reserve, in
    all; `others`: what the other workers have spent or reserved of them. `share` is nothing when a period begins.
    `booked`: what the books say that others have spent (and earlier runs), where `others` does not say it.
    """

    __slots__ = (
        "_day_ends", "_month_ends", "booked", "daily", "largest", "monthly", "others", "reserved", "share", "today",
        "tomonth",
    )  # fmt: skip

    def __init__(self, daily: int | None, monthly: int | None) -> None:
        self.daily, self.monthly = daily, monthly
        self.today = self.tomonth = self.reserved = 0
        self.largest = 0  # call of late
        self.share: list[float] | None = None
        self.others = [0.0, 0.0]
        self.booked = [0.0, 0.0]
        self._day_ends = self._month_ends = 0.0

    def load(self, day: int, month: int, now: float) -> None:
        """Takes what the books say that others have spent. Where workers share the limits, it is for the steward: see
        `steward.Used.spent`."""
        self.turn(now)
        if self.share is None:
            self.others = [float(day), float(month)]
        else:
            self.booked = [float(day), float(month)]

    def room(self, cost: int, now: float) -> bool:
        """Whether `cost` fits now."""
        return self.opens(cost, now) <= now and not self.short(cost)

    def short(self, cost: int) -> bool:
        """Whether more money has to be granted to this worker before it can spend `cost`."""
        if self.share is None:
            return False
        day, month, held = self.today + self.reserved, self.tomonth + self.reserved, self.share
        return (self.daily is not None and day + cost > held[0]) or (
            self.monthly is not None and month + cost > held[1]
        )

    def opens(self, cost: int, now: float) -> float:
        """When `cost` will fit: `now`, or when the day or the month ends. Never where it is more than a whole limit."""
        self.turn(now)
        opens = now
        for limit, spent, ends in (
            (self.daily, self.today + self.others[0], self._day_ends),
            (self.monthly, self.tomonth + self.others[1], self._month_ends),
        ):
            if limit is not None and spent + self.reserved + cost > limit:
                opens = max(opens, ends if cost <= limit else NEVER)
        return opens

    def names(self, now: float) -> list[str]:
        """What its limits are called among the workers that share them: each period's money is another's."""
        day = [f"day|{period_start('day', now)}"] if self.daily is not None else []
        return day + ([f"month|{period_start('month', now)}"] if self.monthly is not None else [])

    def reserve(self, cost: int) -> None:
        self.reserved += cost
        self.largest = max(cost, self.largest * 9 // 10)

    def settle(self, reserved: int, cost: int, now: float) -> None:
        """Gives back what was reserved, and books what it cost, now."""
        self.turn(now)
        self.reserved -= reserved
        self.today += cost
        self.tomonth += cost

    def turn(self, now: float) -> None:
        """A day or a month that has ended is nothing any more."""
        if now >= self._day_ends:
            self.today, self._day_ends = 0, period_end("day", now)
            self.others[0] = self.booked[0] = 0.0
            if self.share is not None:
                self.share[0] = 0.0
        if now >= self._month_ends:
            self.tomonth, self._month_ends = 0, period_end("month", now)
            self.others[1] = self.booked[1] = 0.0
            if self.share is not None:
                self.share[1] = 0.0
