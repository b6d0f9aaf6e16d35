"""Brings what operators change of accounts at run time to all nodes, by way of the Redis that they share.

Each node keeps a layer of its own (`overlay`), in force with or without Redis. One worker of it says now and then what
is new there, and hears what is new elsewhere: a hash holds the last change of each account, sealed (`sealing`).
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from dragoman import config
from dragoman.accounts.links import PATIENCE, PREFIX, LinkError
from dragoman.accounts.overlay import Layer, Overlay, newer
from dragoman.accounts.sealing import Unreadable, lay, lift

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger("dragoman")
_KEY = f"{PREFIX}accounts"
_SCRIPT = """
for i = 1, #ARGV, 2 do
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  if not known or (cjson.decode(known).at or 0) < (cjson.decode(ARGV[i + 1]).at or 0) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
return redis.call('HGETALL', KEYS[1])
"""


class Spread:
    """One node's side of it."""

    def __init__(self, url: str, overlay: Overlay) -> None:
        """`url`: of the Redis."""
        self._url = url
        self._overlay = overlay
        self._client: Redis | None = None
        self._known: dict[str, float] = {}  # there, by name: when it was changed
        self._refused: dict[str, float] = {}  # what can't be served here
        self._unread: dict[str, bytes] = {}  # what can't be read
        self._away = False

    async def exchange(self, settings: config.Config) -> None:
        """Says and hears what is new. `settings`: the config alone. Where Redis is not reached, that is logged once,
        and made up for later. Raises `ConfigError` where the node's own layer can't be read."""
        mine = self._overlay.read()
        try:
            theirs = await self._swap(newer(mine, self._known), settings.access.admin_key)
        except LinkError as error:
            if not self._away:
                log.error("accounts changed at run time are not shared with other nodes: %s", error)
            self._away = True
            return
        self._away = False
        self._known = {name: change.at for name, change in theirs.accounts.items()}
        here = {name: change.at for name, change in mine.accounts.items()}
        if (fresh := newer(newer(theirs, here), self._refused)).accounts:
            refused = await asyncio.to_thread(self._overlay.take, settings, fresh)
            for name, why in refused.items():
                log.error("account %s was changed at another node, which can't be done here: %s", name, why)
                self._refused[name] = fresh.accounts[name].at

    async def _swap(self, layer: Layer, admin_key: config.Secret | None) -> Layer:
        """What is new for the others, for all there is and can be read here. Raises `LinkError`."""
        from redis.asyncio import Redis
        from redis.exceptions import RedisError

        said = [text for name, change in layer.accounts.items() for text in (name, lay(name, change, admin_key))]
        try:
            if self._client is None:
                self._client = Redis.from_url(self._url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
            flat = await self._client.eval(_SCRIPT, 1, _KEY, *said)
        except (RedisError, OSError, ValueError) as error:
            raise LinkError(f"{type(error).__name__}: {error}") from None
        found = Layer()
        for name, change in zip(map(bytes.decode, flat[::2]), flat[1::2], strict=True):
            try:
                found.accounts[name] = lift(name, change, admin_key)
            except Unreadable as error:
                if self._unread.get(name) != change:
                    log.error("account %s was changed at another node, which can't be read here: %s", name, error)
                    self._unread[name] = change
        return found

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
