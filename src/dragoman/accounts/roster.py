"""Who can serve a model, in tiers of preference; and whom of them to take: best of two, or a conversation's home.

Best of two: Mitzenmacher, "The power of two choices in randomized load balancing" (2001). Home: rendezvous hashing
(Thaler and Ravishankar, 1998), left when it is loaded above its share: Mirrokni, Thorup and Zadimoghaddam, "Consistent
hashing with bounded loads" (2016).
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from heapq import nlargest
from itertools import accumulate
from zlib import crc32

from dragoman.accounts.capacity import AccountCapacity, Order, SeatCapacity
from dragoman.accounts.lease import Want

BOUND = 1.25  # a home is left when its load is above so many times its share
_FREE_LOAD = 4  # calls at once that never make a home too full
_CLEARLY = 0.8  # the second is taken only if its cost is below this share of the first's: noise decides nothing
_HOMES = 10_000  # conversations whose homes are remembered
_NEXT = 8  # homes of each: where the first rests or is full, it goes to the next
_LOOKS = 4  # for a seat that takes a call, before all are looked at
_LITTLE = 1e-6
_MASK = (1 << 64) - 1


class Tier:
    """Seats that are as good as one another, but for their weights."""

    __slots__ = ("_cumulated", "_each", "_homes", "_salts", "_total", "seats", "weights")

    def __init__(self, seats: Sequence[tuple[SeatCapacity, float]]) -> None:
        self.seats = [seat for seat, _ in seats]
        self.weights = [weight for _, weight in seats]
        self._cumulated = list(accumulate(self.weights))
        self._total = self._cumulated[-1] if self._cumulated else 0.0
        mean = self._total / len(self.weights) if self.weights else 1.0
        self._each = [mean / weight for weight in self.weights]  # how heavy one call weighs, by the seat's weight
        self._salts = [crc32(f"{seat.account.name}\0{seat.model}".encode()) for seat in self.seats]
        self._homes: dict[str, list[int]] = {}

    def pick(self, want: Want, now: float, order: Order | None, draw: Callable[[], float]) -> SeatCapacity | None:
        """A seat that is well and takes `want` now, from a few looks: None says only that they did not suffice."""
        seats = self.seats
        if len(seats) == 1:
            return seats[0] if seats[0].fits(want, now, order) == 2 else None
        if want.affinity is not None:
            home = self._home(want.affinity, lambda i: seats[i].fits(want, now, order) == 2)
            if home >= 0:
                return seats[home]
        i = self._drawn(want, now, order, draw)
        j = self._drawn(want, now, order, draw)
        if i < 0 or j < 0:
            return None
        return seats[i] if i == j else self._better(i, j, want)

    def _drawn(self, want: Want, now: float, order: Order | None, draw: Callable[[], float]) -> int:
        """One that is well and takes `want` now, by weight; -1: none was found."""
        seats, cumulated = self.seats, self._cumulated
        for _ in range(_LOOKS):
            i = bisect_right(cumulated, draw() * self._total, 0, len(seats) - 1)
            if seats[i].fits(want, now, order) == 2:
                return i
        return -1

    def search(self, candidates: Iterable[int], want: Want, draw: Callable[[], float]) -> SeatCapacity:
        """The one to take of those that take `want` now (at least one)."""
        free = list(candidates)
        if len(free) == 1:
            return self.seats[free[0]]
        if want.affinity is not None and (home := self._home(want.affinity, free.__contains__)) >= 0:
            return self.seats[home]
        cumulated = list(accumulate(self.weights[i] for i in free))
        i, j = (free[bisect_right(cumulated, draw() * cumulated[-1], 0, len(free) - 1)] for _ in range(2))
        return self._better(i, j, want)

    def _better(self, i: int, j: int, want: Want) -> SeatCapacity:
        first, second = self.seats[i], self.seats[j]
        if first.wakes():
            return first  # a probe: it costs one call, and shunning it would cost the seat
        if second.wakes():
            return first
        health_i, health_j = first.health, second.health
        cost_i, cost_j = 1.0, 1.0
        if health_i.ttft is not None and health_j.ttft is not None:
            cost_i, cost_j = health_i.slowness(want.output_tokens), health_j.slowness(want.output_tokens)
        cost_i *= (1 + first.in_flight * self._each[i]) / (health_i.success * health_i.success + _LITTLE)
        cost_j *= (1 + second.in_flight * self._each[j]) / (health_j.success * health_j.success + _LITTLE)
        return second if cost_j < _CLEARLY * cost_i else first

    def _home(self, key: str, takes: Callable[[int], bool]) -> int:
        """The first of a conversation's homes that takes a call and is not too full for it; -1: none."""
        full = 0.0
        for i in self._homes.get(key) or self._find_homes(key):
            if takes(i):
                load = self.seats[i].in_flight + 1
                if load <= _FREE_LOAD or load <= (full := full or self._full()) * self.weights[i]:
                    return i
        return -1

    def _find_homes(self, key: str) -> list[int]:
        """The seats that attract a conversation most, in that order."""
        if len(self._homes) >= _HOMES:
            self._homes.clear()
        mark = crc32(key.encode()) << 32
        pulls = [_pull(mark | salt, weight) for salt, weight in zip(self._salts, self.weights, strict=True)]
        homes = self._homes[key] = nlargest(_NEXT, range(len(pulls)), key=pulls.__getitem__)
        return homes

    def _full(self) -> float:
        """How many calls make a seat too full for a conversation to stay, for a weight of 1."""
        return BOUND * (sum([seat.in_flight for seat in self.seats]) + 1) / self._total


def _pull(mixed: int, weight: float) -> float:
    """How much a seat attracts a conversation: weighted rendezvous, by -weight / ln(uniform)."""
    mixed = mixed * 0x9E3779B97F4A7C15 & _MASK
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
    return -weight / math.log(((mixed ^ mixed >> 31) + 1) / (_MASK + 2))


class Roster:
    """The seats that can serve one model, in order of preference. Made once and kept; see `Desk.roster`."""

    __slots__ = ("accounts", "seats", "tiers")

    def __init__(self, tiers: Sequence[Sequence[tuple[SeatCapacity, float]]]) -> None:
        self.tiers = tuple(Tier(tier) for tier in tiers if tier)
        self.seats = tuple(seat for tier in self.tiers for seat in tier.seats)
        self.accounts: frozenset[AccountCapacity] = frozenset(seat.account for seat in self.seats)

    def place(
        self, want: Want, now: float, order: Order | None, draw: Callable[[], float],
        among: set[AccountCapacity] | None = None,
    ) -> SeatCapacity | None:  # fmt: skip
        """Who takes `want` now: the best of the first tier that has one that is well; else, the last resort."""
        if want.only is None and want.prefer is None and not want.avoid and among is None:
            for tier in self.tiers:
                seat = tier.pick(want, now, order, draw)
                if seat is not None:
                    return seat
                if len(tier.seats) > 1 and (free := _free(tier, want, now, order, (2, None))):
                    return tier.search(free, want, draw)
            levels: tuple[int, ...] = (1,)
        else:
            levels = (2, 1)
        if want.prefer is not None:
            for seat in self.seats:
                if seat.account.name == want.prefer and allowed(seat, want) and seat.fits(want, now, order):
                    return seat
        for level in levels:
            for tier in self.tiers:
                free = _free(tier, want, now, order, (level, among))
                if free:
                    return tier.search(free, want, draw)
        return None


def _free(
    tier: Tier, want: Want, now: float, order: Order | None, what: tuple[int, set[AccountCapacity] | None]
) -> list[int]:
    """The seats of a tier that take `want` now, at the given level (see `fits`), of the given accounts alone."""
    level, among = what
    return [
        i for i, seat in enumerate(tier.seats)
        if (among is None or seat.account in among) and allowed(seat, want) and seat.fits(want, now, order) == level
    ]  # fmt: skip


def allowed(seat: SeatCapacity, want: Want) -> bool:
    """Whether `want` may go there at all."""
    account = seat.account
    if want.only is not None and account.name not in want.only:
        return False
    return not want.avoid or (account.name, seat.model) not in want.avoid
