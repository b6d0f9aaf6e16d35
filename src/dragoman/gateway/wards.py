"""How targets are served now, for the decision: who is well, how busy, and why nobody is."""

from dragoman.accounts.capacity import SeatCapacity
from dragoman.accounts.pool import Pool
from dragoman.gateway.router import WELL, Health

_SOON = 1.0  # seconds that a rest may last for a target to count as served: the queue bridges it
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
        busy, well, now = 1.0, False, self._pool.leases.now()
        rest, why = float("inf"), "its accounts are switched off"
        for seat in seats:
            account = seat.account
            if not account.serving:
                continue
            if seat.cooldown.state or account.cooldown.state or account.host.cooldown.state:
                worst = max((seat.cooldown, account.cooldown, account.host.cooldown), key=lambda each: each.opens(now))
                wait = worst.opens(now) - now
                if wait > _SOON:
                    if wait < rest:
                        rest, why = wait, f"all its accounts rest ({worst.kind}), the first is back in {wait:.0f} s"
                    continue
            well = True
            busy = min(busy, max(seat.in_flight / seat.concurrency, account.in_flight / account.concurrency))
        if not well and seats:
            return Health(down=why)
        return Health(busy=busy) if busy > 0 and seats else WELL

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
