"""Gateway keys: 256 random bits each, of which only the SHA-256 is kept.

A random secret of that length needs no salt and no slow hash: there is nothing to guess. A lookup hashes what the
client sent and asks a dict for the whole digest, so its time says nothing about any key, and no two secrets can be
taken for each other.
"""

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from dragoman.access.principal import Principal
from dragoman.accounts.periods import Period
from dragoman.config import ConfigError, Secret, State
from dragoman.ledger.driver import StoreError
from dragoman.ledger.glance import Glance

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from dragoman.ledger.store import Store

PREFIX = "dgm-"
USUAL = 1  # priority
_CHANGES = "keys"  # the counter in `meta` that every change of a key adds 1 to
_log = logging.getLogger("dragoman.access")


class Key(Struct, kw_only=True):
    """A gateway key's record; see `Principal` for what the limits mean. Times are Unix seconds."""

    id: str
    name: str
    created: float
    expires: float | None = None
    budget: int | None = None
    period: Period | None = None
    rpm: int | None = None
    tpm: int | None = None
    models: list[str] | None = None
    admin: bool = False
    priority: int = USUAL
    revoked: float | None = None

    def principal(self) -> Principal:
        return Principal(
            id=self.id,
            name=self.name,
            admin=self.admin,
            models=None if self.models is None else frozenset(self.models),
            rpm=self.rpm,
            tpm=self.tpm,
            budget=self.budget,
            period=self.period,
            expires=self.expires,
            priority=self.priority,
        )


@lru_cache(maxsize=512)
def digest(secret: str) -> str:
    """What is kept of a key. That of the keys in use is remembered: to make it takes a fiftieth of a request's time.
    Their secrets are in memory anyway, in the heads of requests."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def create(store: "Store", key: Key) -> str:
    """Keeps `key` and returns its secret, which is nowhere else."""
    from dragoman.ledger import schema

    secret = PREFIX + secrets.token_urlsafe(32)
    record = msgspec.structs.asdict(key)
    record["models"] = None if key.models is None else msgspec.json.encode(key.models).decode()
    priority = record.pop("priority")
    with store.write() as connection:
        connection.execute(schema.keys.insert().values(digest=digest(secret), **record))
        if priority != USUAL:
            connection.execute(schema.priorities.insert().values(key=key.id, priority=priority))
        _changed(connection)
    return secret


def new_id() -> str:
    return "key_" + secrets.token_hex(6)


def revoke(store: "Store", key_id: str, now: float) -> bool:
    """Whether there was such a key to revoke. One that is revoked already stays so."""
    from dragoman.ledger import schema

    table = schema.keys
    with store.write() as connection:
        known = connection.execute(table.select().where(table.c.id == key_id)).first()
        if known is None:
            return False
        if known.revoked is None:
            connection.execute(table.update().where(table.c.id == key_id).values(revoked=now))
            _changed(connection)
        return True


_ALL = (
    "SELECT keys.*, COALESCE(priorities.priority, ?) AS priority"
    " FROM keys LEFT JOIN priorities ON priorities.key = keys.id"
)


def stored(glance: Glance) -> list[Key]:
    """All keys, oldest first, revoked ones included. Raises `StoreError`."""
    return [_key(row) for row in glance.rows(f"{_ALL} ORDER BY created", USUAL)]


def _key(row: Mapping[Any, Any]) -> Key:
    """The record that a row of the table makes."""
    fields = {str(name): value for name, value in row.items() if name != "digest"}
    if fields["models"] is not None:
        fields["models"] = msgspec.json.decode(fields["models"])
    return msgspec.convert(fields, Key, strict=False)  # SQLite's flags are numbers


def _changed(connection: "Connection") -> None:
    """Counts one more change, in one step: two at a time must be two."""
    from sqlalchemy import BigInteger, String, cast, literal_column

    from dragoman.ledger import schema
    from dragoman.ledger.store import upsert

    value = schema.meta.c.value
    more = {"value": lambda _: cast(cast(value, BigInteger) + literal_column("1"), String)}
    upsert(connection, schema.meta, ["name", "value"], [(_CHANGES, "1")], more)


class KeyBook:
    """The keys in memory, for the hot path. `find` is the only thing a request needs; `load` and `refresh` read the
    database, in a thread. Call `refresh` every second: a key made or revoked elsewhere then counts within one."""

    _PATIENCE = 0.05  # seconds between two looks for keys that nobody knows
    _BROKEN = 1.0  # the same, where the database can't be read

    def __init__(self, state: State, admin_key: Secret | None = None) -> None:
        self._state = state
        self._fixed: dict[str, Principal] = {}  # the config's
        self.fix(admin_key)
        self._principals: dict[str, Principal] = {}  # the database's
        self._changes: str | None = None
        self._glance: Glance | None = None
        self._look_at = 0.0  # the soonest
        self._look: asyncio.Task[None] | None = None  # one that has not begun to read
        self._loading: asyncio.Task[bool] | None = None

    def fix(self, admin_key: Secret | None) -> None:
        """The config's own key is `admin_key` from now on, and no other."""
        secret = "" if admin_key is None else admin_key.reveal()
        admin = Principal(id="admin", name="access.admin_key", admin=True)
        self._fixed = {digest(secret): admin} if secret else {}

    def find(self, secret: str) -> Principal | None:
        """Who `secret` stands for. Expiry is the `Limiter`'s to judge."""
        known = digest(secret)
        return self._principals.get(known) or self._fixed.get(known)

    def knows(self, key_id: str) -> bool:
        """Whether there is such a key, and it is not revoked."""
        return self._of(key_id) is not None

    async def of(self, key_id: str) -> Principal | None:
        """Who the key of that id stands for; None where there is none, or it is revoked."""
        if self._of(key_id) is None:
            await self.refresh()
        return self._of(key_id)

    def _of(self, key_id: str) -> Principal | None:
        return next((each for each in (*self._principals.values(), *self._fixed.values()) if each.id == key_id), None)

    def budgeted(self) -> bool:
        """Whether any key has a budget."""
        return any(principal.budget is not None for principal in self._principals.values())

    def load(self) -> bool:
        """Reads the keys if they changed since the last time; returns whether they did. Blocks: call it in a thread.
        Raises `StoreError` or `ConfigError`; the keys then stay as they were."""
        if self._glance is None:
            self._glance = Glance(self._state)
        counted = self._glance.rows("SELECT value FROM meta WHERE name = ?", _CHANGES)
        changes = counted[0]["value"] if counted else "0"
        if changes == self._changes:
            return False
        rows = self._glance.rows(f"{_ALL} WHERE revoked IS NULL", USUAL)
        self._principals = {row["digest"]: _key(row).principal() for row in rows}
        self._changes = changes
        return True

    async def refresh(self) -> bool:
        """`load` in a thread; several callers share one. A failure is logged, and the keys stay as they were."""
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(self.load))
            self._loading.add_done_callback(self._loaded)
        try:
            return await asyncio.shield(self._loading)
        except (StoreError, ConfigError, OSError, msgspec.MsgspecError):
            _log.exception("the keys could not be read; the ones known stay in force")
            self._look_at = time.monotonic() + self._BROKEN
            return False

    async def look_again(self, secret: str) -> Principal | None:
        """`find`, after a look into the database that begins now or later: for a secret that `find` doesn't know. So a
        key counts as soon as it is made, and however many unknown secrets are tried, the looks are twenty a second."""
        if self._look is None:
            self._look = asyncio.create_task(self._look_soon())
        await asyncio.shield(self._look)
        return self.find(secret)

    async def _look_soon(self) -> None:
        """One look, for all who ask before it begins."""
        if (wait := self._look_at - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        while self._loading is not None:  # it may have read already, before the key was made
            await asyncio.wait([self._loading])
        self._look = None
        self._look_at = time.monotonic() + self._PATIENCE
        await self.refresh()

    def close(self) -> None:
        if self._glance is not None:
            self._glance.close()
            self._glance = None

    def _loaded(self, _: "asyncio.Task[bool]") -> None:
        self._loading = None
