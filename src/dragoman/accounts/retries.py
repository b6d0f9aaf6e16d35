"""How many further attempts the traffic may pay for, so that an outage is not multiplied.

A token bucket that each first attempt fills by `share` and each further attempt empties by one. An attempt at a seat
that does well costs nothing: it multiplies no outage, and while such a seat is left no client should see a failure.
What ails is known after a handful of failures (see `health.SUSPECT`); from then on, attempts there are paid for.
"""


class RetryBudget:
    __slots__ = ("_left", "most", "share")

    def __init__(self, share: float = 0.2, most: float = 20.0) -> None:
        """`most`: saved up at most; the budget begins with it."""
        self.share = share
        self.most = most
        self._left = most

    def earn(self) -> None:
        """A first attempt is made."""
        if self._left < self.most:
            self._left = min(self.most, self._left + self.share)

    def spend(self) -> bool:
        """Whether a further attempt may be made; if so, it is paid for."""
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def refund(self) -> None:
        """What was paid for was not used."""
        self._left = min(self.most, self._left + 1)
