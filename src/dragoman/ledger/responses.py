"""Responses that clients may go on from or look up again (the Responses API's `store`), kept in the ledger's database.

A response is saved before its client sees its end, so that the next request finds it, whichever worker it meets. The
database is asked in threads, and only by calls that use this memory.
"""

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from dragoman.canon import JSON
from dragoman.config import State

if TYPE_CHECKING:
    from dragoman.ledger.store import Store

KEEP = 30 * 86400.0  # seconds, as the original keeps them
_PRUNE_EVERY = 3600.0


class Kept(Struct, kw_only=True):
    """A stored response. `owner` is the gateway key that made it (None: access is open), and nobody else sees it.
    `items` are the input items of the conversation so far; `account` is set where that account's provider holds the
    response too."""

    id: str
    items: list[JSON]
    response: JSON
    owner: str | None = None
    account: str | None = None


class Responses:
    """The stored responses of one state directory or database."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._store: Store | None = None
        self._pruned = 0.0

    async def save(self, kept: Kept) -> None:
        """Raises `StoreError`."""
        await asyncio.to_thread(self._save, kept)

    async def load(self, response_id: str, owner: str | None) -> Kept | None:
        """The response of this id, if `owner` made it. Raises `StoreError`."""
        return await asyncio.to_thread(self._load, response_id, owner)

    async def delete(self, response_id: str, owner: str | None) -> bool:
        """Whether there was one to delete. Raises `StoreError`."""
        return await asyncio.to_thread(self._delete, response_id, owner)

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _opened(self) -> "Store":
        from dragoman.ledger.store import Store

        if self._store is None:
            self._store = Store(self._state)
        return self._store

    def _save(self, kept: Kept) -> None:
        from dragoman.ledger import schema
        from dragoman.ledger.store import upsert

        now = time.time()
        row = (kept.id, kept.owner, now, msgspec.json.encode(kept).decode())
        with self._opened().write() as connection:
            upsert(connection, schema.responses, ["id", "owner", "created", "record"], [row])
            if now - self._pruned > _PRUNE_EVERY:
                self._pruned = now
                table = schema.responses
                connection.execute(table.delete().where(table.c.created < now - KEEP))

    def _load(self, response_id: str, owner: str | None) -> Kept | None:
        from sqlalchemy import select

        from dragoman.ledger import schema

        with self._opened().read() as connection:
            found = connection.execute(
                select(schema.responses.c.record).where(schema.responses.c.id == response_id)
            ).scalar()
        kept = msgspec.json.decode(found, type=Kept) if found is not None else None
        return kept if kept is not None and kept.owner == owner else None

    def _delete(self, response_id: str, owner: str | None) -> bool:
        from dragoman.ledger import schema

        if self._load(response_id, owner) is None:
            return False
        with self._opened().write() as connection:
            connection.execute(schema.responses.delete().where(schema.responses.c.id == response_id))
        return True
