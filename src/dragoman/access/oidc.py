"""Callers that an issuer of tokens signs in (OpenID Connect): its keys, and the tokens that were found good.

The issuer is asked when its first token comes, and then when a token is signed with a key not seen before, at most
every few seconds, or when the keys have not been looked at for a while; never for a token that is known. While it can't
be reached, the keys that are known stay in force.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from dragoman.access.principal import Principal
from dragoman.access.tokens import BadToken, UnknownKey, Verified, Verifier, read_keys
from dragoman.canon import Failed, Failure
from dragoman.config import Oidc
from dragoman.wire.client import Client
from dragoman.wire.errors import WireError
from dragoman.wire.origin import Origin, Timeouts

if TYPE_CHECKING:
    from joserfc.jwk import Key

log = logging.getLogger("dragoman.access")
PAUSE = 5.0  # seconds between two questions to the issuer
FRESH = 900.0  # seconds after which its keys are looked at again
AGAIN = 600.0  # seconds after which a known token is verified anew: a key may have been withdrawn
MOST = 10_000  # tokens known at a time
_LIMIT = 1024 * 1024  # bytes of a document
_TIMEOUTS = Timeouts(connect=5, first_byte=5, idle=5, total=10)


class _Discovery(Struct):
    """OpenID Connect Discovery 1.0, section 3: what is needed of it."""

    issuer: str
    jwks_uri: str


class IssuerError(Exception):
    """The issuer's documents can't be had, or are not what they should be."""


class SignIn:
    """One issuer's callers. `clock`: Unix seconds."""

    def __init__(self, spec: Oidc, client: Client, clock: Callable[[], float] = time.time) -> None:
        self.spec = spec
        self.budgeted = any(grant.budget_usd is not None for grant in spec.grants)
        self._client = client
        self._clock = clock
        self._verifier = Verifier(spec)
        self._keys: list[Key] = []
        self._trouble = ""
        self._next = 0.0  # when it may be asked again
        self._fresh = 0.0  # until when its keys are
        self._asking: asyncio.Task[None] | None = None
        self._known: dict[bytes, Verified] = {}  # by the token's digest

    def find(self, token: str) -> Principal | None:
        """Who a token stands for that was found good before."""
        known = self._known.get(_digest(token))
        return known.principal if known is not None and self._clock() < known.until else None

    async def read(self, token: str) -> Principal:
        """Who a token stands for. Raises `Failed`: 401 where it does not count, 503 where that can't be told."""
        now = self._clock()
        if now >= self._fresh:
            asking = self._ask(now)
            if not self._keys and asking is not None:
                await asyncio.shield(asking)
        try:
            try:
                verified = self._verifier.verify(token, self._keys, now)
            except UnknownKey:
                asking = self._ask(now)
                if asking is None:
                    raise
                await asyncio.shield(asking)
                verified = self._verifier.verify(token, self._keys, now)
        except UnknownKey as error:
            raise Failed(self._away() if self._trouble else _refused(str(error))) from None
        except BadToken as error:
            raise Failed(_refused(str(error))) from None
        self._keep(token, verified, now)
        return verified.principal

    def _keep(self, token: str, verified: Verified, now: float) -> None:
        if len(self._known) >= MOST:
            self._known = {digest: known for digest, known in self._known.items() if now < known.until}
            if len(self._known) >= MOST:
                self._known.clear()
        until = min(verified.until, now + AGAIN)
        self._known[_digest(token)] = Verified(verified.principal, until)

    def _ask(self, now: float) -> "asyncio.Task[None] | None":
        """One question to the issuer, for all who wait for it; None where it was asked just now."""
        if self._asking is None and now >= self._next:
            self._next = now + PAUSE
            self._asking = asyncio.create_task(self._renew())
            self._asking.add_done_callback(self._asked)
        return self._asking

    def _asked(self, _: "asyncio.Task[None]") -> None:
        self._asking = None

    async def _renew(self) -> None:
        try:
            url = self.spec.jwks_url or await self._discover()
            keys = read_keys(await self._get(url))
            if not keys:
                raise IssuerError(f"{url}: no keys that could sign tokens")
        except (IssuerError, WireError, ValueError) as error:
            self._trouble = str(error)
            log.error("the keys of %s can't be had: %s; those known stay in force", self.spec.issuer, error)
            return
        if {key.thumbprint() for key in keys} != {key.thumbprint() for key in self._keys}:
            self._known.clear()  # what a withdrawn key signed counts no more
        self._keys, self._trouble, self._fresh = keys, "", self._clock() + FRESH

    async def _discover(self) -> str:
        """Where its keys are. The document must be of the very issuer (section 4.3)."""
        url = self.spec.issuer.rstrip("/") + "/.well-known/openid-configuration"
        found = msgspec.json.decode(await self._get(url), type=_Discovery)
        if found.issuer != self.spec.issuer:
            raise IssuerError(f"{url}: is of {found.issuer}: set access.oidc.issuer to just that, if it is the one")
        if urlsplit(found.jwks_uri).scheme != "https" and urlsplit(self.spec.issuer).scheme == "https":
            raise IssuerError(f"{url}: its jwks_uri is not https")
        return found.jwks_uri

    async def _get(self, url: str) -> bytes:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = [(b"accept", b"application/json"), (b"user-agent", b"dragoman")]
        reply = await self._client.send(Origin.of(url), b"GET", target.encode(), headers, timeouts=_TIMEOUTS)
        with reply:
            body = await reply.read(_LIMIT)
        if reply.status != 200:
            raise IssuerError(f"{url}: answered {reply.status}")
        return body

    def _away(self) -> Failure:
        message = f"it can't be told whose this token is: the keys of {self.spec.issuer} can't be had now: try again"
        return Failure(kind="overloaded", status=503, message=message, retry_after=PAUSE)


def _refused(message: str) -> Failure:
    return Failure(kind="unauthorized", status=401, message=message)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
