"""How targets are served now, for the decision: who is well, how busy, and why nobody is."""

from dragoman.accounts.capacity import SeatCapacity
from dragoman.accounts.pool import Pool
from dragoman.gateway.router import WELL, Health

_SOON = 1.0  # seconds that a rest may last for a target to count as served: the queue bridges it
NOBODY = float("inf")
_MOST = 10_000  # targets remembered


class Wards:
    """The seats of each target, looked at when a decision is made."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._seats: dict[str, list[SeatCapacity]] = {}

    def health(self, target: str) -> Health:
        """How `provider/model-id` is served now."""
        seats = self._seats.get(target)
        if seats is None:
            seats = self._find(target)
        busy = NOBODY
        for seat in seats:
            account = seat.account
            ails = seat.cooldown.state or account.cooldown.state or account.host.cooldown.state or not account.serving
            if ails and self._rests(seat) is not None:
                continue
            load, whole = seat.in_flight / seat.concurrency, account.in_flight / account.concurrency
            if whole > load:  # noqa: PLR1730 - a call of max costs more than all the rest
                load = whole
            if load < busy:  # noqa: PLR1730
                busy = load
        if busy == 0 or not seats:
            return WELL
        return Health(down=self._why(seats)) if busy == NOBODY else Health(busy=busy)

    def _rests(self, seat: SeatCapacity) -> tuple[float, str] | None:
        """For how many seconds nobody can call there, and why; None: one can, or as good as."""
        account = seat.account
        if not account.serving:
            return float("inf"), "its accounts are switched off"
        now = self._pool.leases.now()
        worst = max((seat.cooldown, account.cooldown, account.host.cooldown), key=lambda each: each.opens(now))
        seconds = worst.opens(now) - now
        if seconds <= _SOON:
            return None
        return seconds, f"all its accounts rest ({worst.kind}), the first is back in {seconds:.0f} s"

    def _why(self, seats: list[SeatCapacity]) -> str:
        rests = [rest for seat in seats if (rest := self._rests(seat)) is not None]
        return min(rests)[1]

    def _find(self, target: str) -> list[SeatCapacity]:
        provider, _, model = target.partition("/")
        desk = self._pool.leases.desk
        found = [
            desk.accounts[account.name].seat(model)
            for account in self._pool.accounts.values()
            if account.provider.name == provider and account.serves(model) and account.name in desk.accounts
        ]
        if len(self._seats) >= _MOST:
            self._seats.clear()
        self._seats[target] = found
        return found
