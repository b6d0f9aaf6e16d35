"""What operators change of accounts at run time: a small file in the state directory, laid over the config.

The config says what accounts there are, the layer what is different: keys of an account's table that others take the
place of, accounts that are added, accounts that are left out. So a change outlives a reload of the config and a
restart, and every worker and command that reads the state directory sees it. The file may hold credentials, as the
config may; it is readable by its owner only, and replaced in one step.

Nodes that share their state in Redis bring each other their changes (`spread`): of an account, the last one counts.
"""

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field, structs

from dragoman import config

FILE = "accounts.json"
_TICK = 1e-3  # seconds by which a change is later than the one it follows, whatever the nodes' clocks say
NAME = re.compile(r"[A-Za-z0-9._:@-]{1,64}")  # of an account that is added


class Change(Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What is different of one account. `keys`: of its table, as in the config file; None: as if it were not given.
    `added`: they are the whole table, and the config's account of that name counts for nothing. `removed`: so it does,
    and there is none. With none of these, it is as the config says. `woken`: when its rests were ended by hand; `at`:
    when this was changed. Both in Unix seconds."""

    keys: dict[str, Any] = field(default_factory=dict)
    added: bool = False
    removed: bool = False
    woken: float = 0.0
    at: float = 0.0


class Layer(Struct, forbid_unknown_fields=True):
    """The changes, by account."""

    accounts: dict[str, Change] = field(default_factory=dict)


# -- pure -------------------------------------------------------------------------------------------------------------


def lay(settings: config.Config, layer: Layer, folder: Path, environ: Mapping[str, str] = os.environ) -> config.Config:
    """`settings` with the layer over them. `folder`: where relative `file:` paths in the layer start. Raises
    `ConfigError`. Laying it twice is laying it once."""
    accounts = []
    for spec in settings.accounts:
        change = layer.accounts.get(spec.name)
        if change is None:
            accounts.append(spec)
        elif not (change.added or change.removed):
            accounts.append(_changed(spec, change.keys, folder, environ))
    for name, change in layer.accounts.items():
        if change.added:
            accounts.append(_read({"name": name} | change.keys, folder, environ))
    return structs.replace(settings, accounts=accounts)


def _changed(spec: config.Account, keys: dict[str, Any], folder: Path, environ: Mapping[str, str]) -> config.Account:
    read = _read({"name": spec.name, "provider": spec.provider} | keys, folder, environ)
    return structs.replace(spec, **{name: getattr(read, name) for name in keys})


def _read(table: dict[str, Any], folder: Path, environ: Mapping[str, str]) -> config.Account:
    given = {name: value for name, value in table.items() if value is not None}
    return config.account(given, f"{FILE}: accounts.{table['name']}", folder, environ)


def patch(layer: Layer, name: str, keys: dict[str, Any]) -> Layer:
    """Changes keys of an account that there is."""
    before = layer.accounts.get(name, Change())
    return _with(layer, name, structs.replace(before, keys=before.keys | keys))


def add(layer: Layer, name: str, table: dict[str, Any]) -> Layer:
    """A new account of that name."""
    return _with(layer, name, Change(keys=table, added=True))


def remove(layer: Layer, name: str, declared: bool) -> Layer:
    """No account of that name. `declared`: the config has one."""
    if declared:
        return _with(layer, name, Change(removed=True))
    return Layer({known: change for known, change in layer.accounts.items() if known != name})


def wake(layer: Layer, names: list[str], now: float) -> Layer:
    """Ends the rests of these accounts, at all workers."""
    for name in names:
        layer = _with(layer, name, structs.replace(layer.accounts.get(name, Change()), woken=now))
    return layer


def stamped(before: Layer, after: Layer, now: float) -> Layer:
    """`after`, with when each of its changes was made. What is in it no more is changed to what the config says: the
    other nodes must hear of that too."""
    accounts = {name: Change() for name in before.accounts} | after.accounts
    for name, change in accounts.items():
        former = before.accounts.get(name, Change())
        if structs.replace(change, at=former.at) != former or name not in before.accounts:
            accounts[name] = structs.replace(change, at=max(now, former.at + _TICK))
    return Layer(accounts)


def newer(layer: Layer, than: Mapping[str, float]) -> Layer:
    """Of `layer`, what was changed after it was last known, by name."""
    return Layer({name: change for name, change in layer.accounts.items() if change.at > than.get(name, -1.0)})


def _with(layer: Layer, name: str, change: Change) -> Layer:
    return Layer(layer.accounts | {name: change})


# -- the file ---------------------------------------------------------------------------------------------------------


class Overlay:
    """The layer's file of one state directory."""

    def __init__(self, state: Path) -> None:
        self.path = state / FILE

    def read(self) -> Layer:
        """Raises `ConfigError`."""
        try:
            text = self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return Layer()
        except OSError as error:
            raise config.ConfigError(f"{self.path}: can't be read: {error.strerror}") from None
        try:
            return msgspec.json.decode(text, type=Layer)
        except msgspec.DecodeError as error:
            raise config.ConfigError(f"{self.path}: {error}: mend it, or delete it to undo all changes") from None

    def lay(self, settings: config.Config) -> config.Config:
        """`settings` with the layer over them. Raises `ConfigError`."""
        return lay(settings, self.read(), self.path.parent)

    def change(self, settings: config.Config, edit: Callable[[Layer, config.Config], Layer]) -> None:
        """Replaces the layer by what `edit` makes of it and of the accounts as they are by now. `settings`: the config
        alone. Others who change it wait meanwhile. Raises `ConfigError` where what it comes to could not be served, and
        then nothing has changed. Blocks."""
        with self._locked():
            before = self.read()
            after = stamped(before, edit(before, self._tolerant(settings, before)), time.time())
            _try_out(lay(settings, after, self.path.parent), after)
            self._write(after)

    def take(self, settings: config.Config, layer: Layer) -> dict[str, config.ConfigError]:
        """Takes over what was changed elsewhere later than here. Returns what can't be served here, and why: it stays
        as it was. Blocks."""
        refused: dict[str, config.ConfigError] = {}
        with self._locked():
            before = after = self.read()
            fresh = newer(layer, {name: change.at for name, change in before.accounts.items()})
            for name, change in fresh.accounts.items():
                tried = _with(after, name, change)
                try:
                    _try_out(lay(settings, tried, self.path.parent), tried)
                except config.ConfigError as error:
                    refused[name] = error
                else:
                    after = tried
            if after is not before:
                self._write(after)
        return refused

    def _tolerant(self, settings: config.Config, layer: Layer) -> config.Config:
        """As `lay`, but for accounts that can't be read any more, as when an `env:` is gone: else nobody could remove
        them."""
        for name, change in layer.accounts.items():
            try:
                settings = lay(settings, Layer({name: change}), self.path.parent)
            except config.ConfigError:
                stand_in = config.Account(name=name, provider=str(change.keys.get("provider", "")))
                rest = [spec for spec in settings.accounts if spec.name != name]
                settings = structs.replace(settings, accounts=[*rest, stand_in])
        return settings

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, layer: Layer) -> None:
        draft = self.path.with_suffix(".draft")
        draft.unlink(missing_ok=True)  # one that a killed process left
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(layer), indent=2) + b"\n")
            out.flush()
            os.fsync(file)
        draft.replace(self.path)


def _try_out(settings: config.Config, layer: Layer) -> None:
    """Raises `ConfigError` where `settings` can't be served: an unknown provider, a missing credential; or, of what is
    in the layer, an address that is none."""
    from dragoman.accounts.leases import Leases  # a third of a second, which commands that only read need not pay
    from dragoman.accounts.pool import Pool
    from dragoman.catalog.directory import Directory
    from dragoman.catalog.prices import PriceBook

    prices = PriceBook(settings)
    pool = Pool(settings, Directory(settings, prices), Leases(), lambda target: None)
    for name in layer.accounts.keys() & pool.accounts.keys():
        if pool.accounts[name].engine is None:
            pool.accounts[name].endpoint("/", "")
