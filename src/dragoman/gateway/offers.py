"""What models the accounts' providers say they have: asked for when somebody wants to know, remembered a while."""

import asyncio
import logging
import time

from dragoman.accounts.account import Account
from dragoman.accounts.pool import Pool
from dragoman.canon import Failed
from dragoman.catalog.providers import Provider
from dragoman.config import ConfigError
from dragoman.dialects.fields import Malformed, decode
from dragoman.wire.client import Client
from dragoman.wire.errors import WireError
from dragoman.wire.head import Block
from dragoman.wire.origin import Timeouts

log = logging.getLogger("dragoman")
FRESH = 600.0  # seconds a provider's answer is good
RETRY = 10.0  # seconds after which one that gave none is asked again
_TIMEOUTS = Timeouts(connect=2, first_byte=3, idle=3, total=5)
_PATHS = {"anthropic": "/v1/models", "ollama": "/api/tags", "cohere": "/v1/models"}  # by dialect; /models else
UNASKED = frozenset({"bedrock", "vertex", "local"})  # no list, or not at the place that answers calls


class Offers:
    """Model ids by provider."""

    def __init__(self, client: Client, pool: Pool) -> None:
        self._client = client
        self._pool = pool
        self._known: dict[str, frozenset[str]] = {}
        self._until: dict[str, float] = {}
        self._asking: asyncio.Task[None] | None = None

    def known(self) -> dict[str, frozenset[str]]:
        """As far as they were asked for."""
        return self._known

    async def fetch(self) -> dict[str, frozenset[str]]:
        """All providers' lists, asking those whose answer is missing or old. Never raises: no answer is no offer."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all())
        await asyncio.shield(self._asking)
        return self._known

    async def _ask_all(self) -> None:
        now = time.monotonic()
        first = {account.provider.name: account for account in reversed(self._pool.accounts.values())}
        asked = [a for a in first.values() if a.provider.dialects and a.provider.name not in UNASKED]
        stale = [a for a in asked if self._until.get(a.name, 0) <= now]
        for account, ids in zip(stale, await asyncio.gather(*map(self._ask, stale)), strict=True):
            self._until[account.name] = now + (RETRY if ids is None else FRESH)
            if ids is not None:
                self._known[account.provider.name] = ids

    async def _ask(self, account: Account) -> frozenset[str] | None:
        try:
            status, body = await ask_list(self._client, account, _TIMEOUTS)
            return model_ids(body) if status == 200 else None
        except (WireError, Failed, ConfigError) as error:
            log.debug("no model list from %s: %s", account.name, error)
            return None


async def ask_list(client: Client, account: Account, timeouts: Timeouts) -> tuple[int, bytes]:
    """What the account's provider answers when it is asked for its models. Raises `WireError`, `Failed`,
    `ConfigError`."""
    provider = account.provider
    path = provider.proof or _PATHS.get(provider.dialects[0], "/models")
    endpoint, headers = await account.reach(client, path, "", b"", Block())
    extra = version_line(provider)
    reply = await client.send(endpoint.origin, b"GET", endpoint.target, headers, timeouts=timeouts, extra=extra)
    with reply:
        return reply.status, await reply.read(8 * 1024 * 1024)


def version_line(provider: Provider) -> list[tuple[bytes, bytes]]:
    """The header that names the version of the provider's protocol, where it has one."""
    return [] if provider.version is None else [(provider.version[0].encode(), provider.version[1].encode())]


def model_ids(body: bytes) -> frozenset[str] | None:
    """The model ids in a list of any dialect: OpenAI's and Anthropic's `data[].id`, Gemini's and Ollama's
    `models[].name`. None where it is no list."""
    try:
        answer = decode(body)
    except Malformed:
        return None
    if not isinstance(answer, dict):
        return None
    entries = answer.get("data") or answer.get("models") or []
    if not isinstance(entries, list):
        return None
    names = (entry.get("id") or entry.get("name") for entry in entries if isinstance(entry, dict))
    return frozenset(name.removeprefix("models/") for name in names if isinstance(name, str))
