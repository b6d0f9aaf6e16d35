"""Client secrets: short-lived keys for browsers and phones, each for realtime sessions of one model and configuration.

A secret is everything it stands for, sealed (`accounts.sealing`): who made it, until when it holds, and the session it
is for. So every worker understands it, with nothing kept. The key of the seal is made when first needed: in the state
directory, or, where the ledger is a PostgreSQL that nodes share, in its table `meta`. What it vouches for is looked up
again with every use: a secret of a revoked gateway key is worth nothing.
"""

import asyncio
import binascii
import os
import secrets
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from dragoman.access.principal import Principal
from dragoman.accounts.sealing import KEY, seal, unseal
from dragoman.config import State

PREFIX = "ek_"
SHORTEST, LONGEST, USUAL = 10, 7200, 600  # seconds
MOST = 32 * 1024  # bytes of a session's configuration: the secret travels in a header
FILE = "client_secrets.key"
_NAME = "client_secrets"  # in the table `meta`


class Grant(Struct, omit_defaults=True):
    """What a secret stands for. `maker`: the id of the gateway key it was made with; None where access is open, or
    somebody who was signed in made it: that is `holder`. `expires`: Unix seconds."""

    expires: float
    session: dict[str, Any]
    maker: str | None = None
    holder: Principal | None = None


class ClientSecrets:
    """Makes and reads them. One per worker."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._key: bytes | None = None
        self._lock = asyncio.Lock()

    async def make(self, grant: Grant) -> str:
        """Raises `StoreError`, `ConfigError` or `OSError` where the key can't be had."""
        sealed = seal(await self._sealing_key(), zlib.compress(msgspec.json.encode(grant)))
        return PREFIX + urlsafe_b64encode(sealed).decode().rstrip("=")

    async def read(self, secret: str, now: float) -> Grant | None:
        """What `secret` stands for at `now` (Unix seconds); None where it is none of ours, or has expired."""
        text = secret.removeprefix(PREFIX)
        try:
            sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            packed = unseal(await self._sealing_key(), sealed)
            grant = msgspec.json.decode(zlib.decompress(packed), type=Grant)
        except (binascii.Error, ValueError, zlib.error, msgspec.DecodeError):
            return None
        return grant if now < grant.expires else None

    async def _sealing_key(self) -> bytes:
        async with self._lock:
            if self._key is None:
                shared = self._state.database != "sqlite"
                self._key = await asyncio.to_thread(_from_database if shared else _from_file, self._state)
        return self._key


def _from_file(state: State) -> bytes:
    """Whoever comes first makes it; it appears whole."""
    path = state.path / FILE
    if not path.exists():
        state.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = Path(f"{path}.{os.getpid()}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_bytes(secrets.token_bytes(KEY))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes()


def _from_database(state: State) -> bytes:
    from dragoman.ledger.store import Store, recall, remember

    with Store(state) as store, store.write() as connection:
        remember(connection, _NAME, secrets.token_hex(KEY), replace=False)
        return bytes.fromhex(recall(connection, _NAME) or "")
