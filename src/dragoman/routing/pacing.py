"""Keeping to a budget over a day, by making money dearer when it is spent too fast (primal-dual: the dual price of the
budget constraint is a weight on cost; Agrawal and Devanur, "Fast algorithms for online stochastic convex programming").
"""

DAY = 86400.0
_STEP = 50.0  # a day's fiftieth spent ahead of plan adds 1 to the cost weight: mode balanced has 0.1, mode cost 1
_MOST = 20.0


class Pacer:
    """One route's budget. `now` is Unix seconds; days are UTC's."""

    def __init__(self, usd_per_day: float) -> None:
        self.usd_per_day = self._budget = usd_per_day
        self._day = -1
        self._spent = 0.0
        self._dual = 0.0
        self._last = 0.0

    def load(self, now: float, spent_usd: float) -> None:
        """What was spent today before this process began."""
        self._turn(now)
        self._spent += spent_usd
        self._move(spent_usd - self._budget * (now % DAY) / DAY)

    def spend(self, now: float, usd: float) -> None:
        """An answer cost `usd`."""
        self._pass_time(now)
        self._spent += usd
        self._move(usd)

    def squeeze(self, now: float) -> float:
        """What is added to the weight of cost now, from 0."""
        self._pass_time(now)
        return self._dual

    def left(self, now: float) -> float:
        """USD that today still has."""
        self._turn(now)
        return self._budget - self._spent

    def _pass_time(self, now: float) -> None:
        self._turn(now)
        self._move(-self._budget * max(now - self._last, 0.0) / DAY)
        self._last = now

    def _move(self, ahead_usd: float) -> None:
        self._dual = min(max(self._dual + _STEP * ahead_usd / self._budget, 0.0), _MOST)

    def _turn(self, now: float) -> None:
        """A new day has its own budget; the price of the old one goes on, and falls with time."""
        day = int(now // DAY)
        if day != self._day:
            if self._day < 0:
                self._last = now
            self._day, self._spent = day, 0.0
