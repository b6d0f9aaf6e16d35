"""All accounts of one config, and who of them can take a call for a model."""

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from dragoman import config
from dragoman.accounts.account import Account
from dragoman.accounts.capacity import AccountSpec, SeatCapacity
from dragoman.accounts.desk import Candidate
from dragoman.accounts.leases import Leases
from dragoman.accounts.limits import Limits
from dragoman.accounts.roster import Roster
from dragoman.accounts.view import AccountView, view, waiting
from dragoman.canon import Usage
from dragoman.catalog.directory import Directory, Target
from dragoman.catalog.prices import PICO, Price, cost
from dragoman.local.engine import Engine
from dragoman.local.model import chosen

Tiers = tuple[tuple[Target, ...], ...]
_MOST = 1000  # line-ups kept
_FIRST_OUTPUT = 200.0  # tokens an answer is taken to have, until answers have come


class Seat(Struct, frozen=True):
    """A target at one account that has it: what an attempt is made on."""

    account: Account
    target: Target
    lines: bytes  # the header lines that name them to the client


class LineUp:
    """Who can answer for a model: the desk's roster, and what stands behind each of its seats."""

    __slots__ = ("output", "roster", "seats", "tiers")

    def __init__(self, tiers: Tiers, roster: Roster, seats: dict[SeatCapacity, Seat]) -> None:
        self.tiers = tiers
        self.roster = roster
        self.seats = seats
        self.output = _FIRST_OUTPUT  # tokens, a decaying mean

    def answered(self, output_tokens: int) -> None:
        """An answer had so many tokens."""
        self.output += 0.1 * (output_tokens - self.output)


class Pool:
    """The accounts of one config. `open` puts it in force."""

    def __init__(
        self, settings: config.Config, directory: Directory, leases: Leases, price: Callable[[str], Price | None]
    ) -> None:
        """Raises `ConfigError` for an account of an unknown provider, or of an embedded model that is not there."""
        self.leases = leases
        self.accounts: dict[str, Account] = {}
        self._price = price
        self._queue_limit = settings.server.queue_limit
        self._by_provider: dict[str, list[Account]] = {}
        self._line_ups: dict[int, LineUp] = {}  # by the identity of the tiers, which each line-up keeps alive
        for spec in settings.accounts:
            provider = directory.providers.get(spec.provider)
            if provider is None:
                raise config.ConfigError(
                    f'account "{spec.name}": provider: no provider is named "{spec.provider}": declare it in '
                    "[[providers]], or use one of " + ", ".join(directory.providers)
                )
            engine = Engine(chosen(spec), settings.state.path) if provider.embedded else None
            account = self.accounts[spec.name] = Account(spec, provider, engine)
            self._by_provider.setdefault(spec.provider, []).append(account)
        self.budgeted = any(account.budgeted for account in self.accounts.values())

    def open(self, former: "Pool | None") -> None:
        """Declares the accounts to the desk. Those of `former` go on: load, health and rests stay, whatever else
        changed of them (a new key ends their rests); those that are gone get nothing new."""
        now, desk = self.leases.now(), self.leases.desk
        desk.max_waiting = self._queue_limit
        for name, account in self.accounts.items():
            before = former.accounts.get(name) if former is not None else None
            rekeyed = False
            if before is not None and before.provider == account.provider and _same_engine(before, account):
                rekeyed = before.spec != account.spec and before.become(account)
                self.accounts[name] = before
                mates = self._by_provider[account.provider.name]
                mates[mates.index(account)] = before
            desk.declare(_declared(account), now)
            if desk.accounts[name].serving != (account.spec.state == "serving"):
                desk.serve(name, account.spec.state == "serving", now)
            if rekeyed:
                desk.wake(name, now)
        for name in [name for name in desk.accounts if name not in self.accounts]:
            desk.remove(name, now)
        self.leases.after()

    def cost(self, target: str, usage: Usage) -> int | None:
        """Pico-dollars for so many tokens of `provider/model-id`; None where no price is known."""
        price = self._price(target)
        return None if price is None else cost(usage, price)

    def load_spending(self, day: Mapping[str, int], month: Mapping[str, int]) -> None:
        """What other processes spent at each account, today and this month, in pico-dollars."""
        now = self.leases.now()
        for name, account in self.leases.desk.accounts.items():
            if account.purse is not None:
                account.purse.load(day.get(name, 0), month.get(name, 0), now)

    def views(self) -> list[AccountView]:
        """The accounts as an operator sees them."""
        now, desk = self.leases.now(), self.leases.desk
        queued = waiting(desk.queue)
        return [view(desk.accounts[name], now, queued.get(name, 0)) for name in self.accounts]

    def line_up(self, tiers: Tiers) -> LineUp:
        """Who can answer for a model with these targets. `tiers` is the model's own tuple, not a copy."""
        line_up = self._line_ups.get(id(tiers))
        if line_up is None:
            if len(self._line_ups) >= _MOST:
                self._line_ups.clear()
                self.leases.desk.forget(self.leases.now())
            line_up = self._line_ups[id(tiers)] = self._new_line_up(tiers)
        return line_up

    def seats(self, target: Target) -> list[Seat]:
        """Every account that has `target`, free or not."""
        accounts = self._by_provider.get(target.provider.name, ())
        return [Seat(account, target, _lines(account, target)) for account in accounts if account.serves(target.model)]

    def _new_line_up(self, tiers: Tiers) -> LineUp:
        rows = [[seat for target in tier for seat in self.seats(target)] for tier in tiers]
        roster = self.leases.desk.roster([[self._candidate(seat) for seat in row] for row in rows])
        known = {(seat.account.name, seat.target.model): seat for row in reversed(rows) for seat in row}
        return LineUp(tiers, roster, {seat: known[seat.account.name, seat.model] for seat in roster.seats})

    def _candidate(self, seat: Seat) -> Candidate:
        price = self._price(seat.target.name)
        each = (0, 0) if price is None else (price.input, price.output)
        return Candidate(seat.account.name, seat.target.model, price=each)


def _same_engine(one: Account, other: Account) -> bool:
    """Whether both are served by one child process, or by none."""
    return (one.engine and one.engine.model) == (other.engine and other.engine.model)


def _declared(account: Account) -> AccountSpec:
    spec = account.spec
    base = spec.base_url or account.provider.base_url
    return AccountSpec(
        name=account.name,
        host=urlsplit(base).netloc or account.name,
        weight=spec.weight,
        region=spec.region,
        limits=Limits(
            max_in_flight=spec.max_in_flight, rpm=spec.rpm, tpm=spec.tpm,
            daily=_pico(spec.daily_usd), monthly=_pico(spec.monthly_usd),
        ),
        models={
            model: Limits(max_in_flight=limits.max_in_flight, rpm=limits.rpm, tpm=limits.tpm)
            for model, limits in spec.limits.items()
        },
    )  # fmt: skip


def _pico(dollars: float | None) -> int | None:
    return None if dollars is None else round(dollars * PICO)


def _lines(account: Account, target: Target) -> bytes:
    text = f"x-dragoman-target: {target.name}\r\nx-dragoman-account: {account.name}\r\n"
    return text.encode("latin-1", "replace")


def targets(tiers: Sequence[Sequence[Target]]) -> list[Target]:
    """All of them, in order of preference."""
    return [target for tier in tiers for target in tier]
