"""All accounts, and which of them can take a call for a target."""

from msgspec import Struct

from dragoman import config
from dragoman.accounts.account import Account
from dragoman.catalog.directory import Directory, Target
from dragoman.local.engine import Engine
from dragoman.local.model import chosen


class Seat(Struct, frozen=True):
    """A target at one account that has it: what an attempt is made on."""

    account: Account
    target: Target
    lines: bytes  # the header lines that name them to the client


class Pool:
    """The accounts of one config. `inherit` lets an account keep its state over a reload."""

    def __init__(self, settings: config.Config, directory: Directory) -> None:
        """Raises `ConfigError` for an account of an unknown provider, or of an embedded model that is not there."""
        self.accounts: dict[str, Account] = {}
        self._by_provider: dict[str, list[Account]] = {}
        self._seats: dict[str, list[Seat]] = {}
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

    def inherit(self, former: "Pool") -> None:
        """Accounts that did not change go on as they were: their load, health and cooldowns stay."""
        for name, account in self.accounts.items():
            before = former.accounts.get(name)
            if before is not None and before.spec == account.spec and before.provider == account.provider:
                self.accounts[name] = before
                mates = self._by_provider[account.provider.name]
                mates[mates.index(account)] = before

    def tier(self, targets: tuple[Target, ...]) -> list[Seat]:
        """Every account that has one of `targets`, free or not."""
        if len(targets) == 1:
            return self.seats(targets[0])
        return [seat for target in targets for seat in self.seats(target)]

    def seats(self, target: Target) -> list[Seat]:
        """Every account that has `target`, free or not."""
        seats = self._seats.get(target.name)
        if seats is None:
            accounts = self._by_provider.get(target.provider.name, ())
            seats = [
                Seat(account, target, _lines(account, target)) for account in accounts if account.serves(target.model)
            ]
            if len(self._seats) > 10_000:
                self._seats.clear()
            self._seats[target.name] = seats
        return seats


def _lines(account: Account, target: Target) -> bytes:
    text = f"x-dragoman-target: {target.name}\r\nx-dragoman-account: {account.name}\r\n"
    return text.encode("latin-1", "replace")
