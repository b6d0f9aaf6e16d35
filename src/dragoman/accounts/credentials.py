"""How an account proves itself: a header made once, or one made anew for each call (signatures, expiring tokens).

The clouds' auth code is loaded only where an account needs it.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from dragoman import config
from dragoman.canon import Failed, Failure
from dragoman.catalog.endpoints import Endpoint
from dragoman.catalog.providers import Provider
from dragoman.wire.client import Client
from dragoman.wire.head import Block, block
from dragoman.wire.origin import Origin

_RENEW = 120.0  # seconds before its end that a token is renewed


class Credential(Protocol):
    """Gives the header lines of one call: everything but host, framing, content type and what the client's own headers
    add. `fixed`: they are the same for every call."""

    fixed: bool

    async def headers(self, client: Client, endpoint: Endpoint, body: bytes) -> Block: ...


class Fixed:
    """A key that travels in a header: the lines never change."""

    fixed = True

    def __init__(self, lines: Block) -> None:
        self._lines = lines

    async def headers(self, client: Client, endpoint: Endpoint, body: bytes) -> Block:
        return self._lines


class Signed:
    """AWS Signature Version 4: every call is signed."""

    fixed = False

    def __init__(self, spec: config.Account, plain: Block) -> None:
        from dragoman.catalog import auth_aws

        self._sign = auth_aws.sign
        self._plain = plain
        self._region = spec.region or "us-east-1"
        self._credentials = auth_aws.Credentials(
            access_key_id=_must(spec, spec.access_key_id, "access_key_id"),
            secret_access_key=_must(spec, spec.secret_access_key, "secret_access_key"),
            session_token=spec.session_token.reveal() if spec.session_token else None,
        )

    async def headers(self, client: Client, endpoint: Endpoint, body: bytes) -> Block:
        url = f"{endpoint.origin}{endpoint.target.decode()}"
        signed = self._sign(
            "POST", url, {}, body, self._credentials, self._region, "bedrock",
            datetime.now(UTC),
        )  # fmt: skip
        return Block(self._plain + block([(k.encode(), v.encode()) for k, v in signed.items() if k.lower() != "host"]))


class Token:
    """An OAuth access token, fetched when first needed and renewed before it ends; one fetch at a time."""

    fixed = False

    def __init__(self, plain: Block, token_request: Callable[[], tuple[str, bytes]]) -> None:
        """`token_request` gives the token endpoint's URL and the form to post there."""
        self._plain = plain
        self._request = token_request
        self._lines = plain
        self._until = 0.0
        self._lock = asyncio.Lock()

    async def headers(self, client: Client, endpoint: Endpoint, body: bytes) -> Block:
        if time.time() >= self._until:
            async with self._lock:
                if time.time() >= self._until:
                    await self._fetch(client)
        return self._lines

    async def _fetch(self, client: Client) -> None:
        """Raises `Failed` where the token endpoint gives none."""
        url, form = self._request()
        parts = urlsplit(url)
        headers = block([(b"content-type", b"application/x-www-form-urlencoded"), (b"accept", b"application/json")])
        reply = await client.send(Origin.of(url), "POST", (parts.path or "/").encode(), headers, form)
        with reply:
            answer = await reply.read(1024 * 1024)
        try:
            token = msgspec.json.decode(answer, type=_TokenReply)
        except msgspec.DecodeError:
            raise Failed(
                Failure(kind="unauthorized", status=502, message=f"{parts.hostname} gave no token ({reply.status})")
            ) from None
        self._lines = Block(self._plain + block([(b"authorization", b"Bearer " + token.access_token.encode())]))
        self._until = time.time() + max(token.expires_in - _RENEW, token.expires_in / 2)


class _TokenReply(msgspec.Struct):
    access_token: str
    expires_in: float = 3600


def credential(spec: config.Account, provider: Provider) -> Credential:
    """The credential that `spec` describes. Raises `ConfigError` where something it needs is missing."""
    lines = {"accept": "*/*", "user-agent": "dragoman"}
    lines |= dict(provider.headers) | {name.lower(): value.reveal() for name, value in spec.headers.items()}
    try:
        plain = block([(name.encode(), value.encode()) for name, value in lines.items()])
    except ValueError as error:
        raise config.ConfigError(f'account "{spec.name}": headers: {error}') from None
    match provider.auth:
        case "sigv4" if spec.key is None:
            return Signed(spec, plain)
        case "vertex" if spec.key is None:
            from dragoman.catalog import auth_google

            account = auth_google.read_account(_must(spec, spec.credentials, "credentials"))
            return Token(plain, lambda: auth_google.token_request(account, int(time.time()), spec.token_url))
        case "azure" if spec.key is None:
            from dragoman.catalog import auth_azure

            secret = _must(spec, spec.client_secret, "client_secret")
            tenant, client_id = spec.tenant_id or "", spec.client_id or ""
            return Token(plain, lambda: auth_azure.token_request(tenant, client_id, secret, spec.token_url))
    header = _key_header(spec, provider)
    return Fixed(Block(plain + block([header])) if header else plain)


def _key_header(spec: config.Account, provider: Provider) -> tuple[bytes, bytes] | None:
    if spec.key is None:
        if provider.keyless or provider.auth == "none":
            return None
        raise config.ConfigError(f'account "{spec.name}": key is required by {provider.name}')
    key = spec.key.reveal()
    match provider.auth:
        case "none":
            return None
        case "x-api-key" | "xi-api-key" | "api-key" | "x-goog-api-key":
            return provider.auth.encode(), key.encode()
        case "azure":
            return b"api-key", key.encode()
        case "token":
            return b"authorization", b"Token " + key.encode()
        case "bare":
            return b"authorization", key.encode()
        case _:
            return b"authorization", b"Bearer " + key.encode()


def _must(spec: config.Account, value: config.Secret | None, name: str) -> str:
    if value is None:
        raise config.ConfigError(f'account "{spec.name}": {name} (or key) is required by {spec.provider}')
    return value.reveal()
