"""Trying an account out: one real call, as cheap as can be, with its own credential at its own address.

It asks for the list of models where that proves the credential, else for a reply of one token. It goes past limits and
rests, as it is meant for accounts that are switched off or said to ail; what it takes of tokens is booked.
"""

import asyncio
import time
from collections.abc import Callable

from msgspec import Struct

from dragoman import dialects
from dragoman.accounts.account import Account
from dragoman.accounts.pool import Seat
from dragoman.canon import Failed, Failure, Message, Request, Text
from dragoman.catalog.directory import Target
from dragoman.config import ConfigError
from dragoman.dialects.dialect import Unsayable
from dragoman.dialects.fields import Malformed
from dragoman.gateway.ask import JSON_LINE, encode
from dragoman.gateway.attempts import ERROR_BODY_LIMIT
from dragoman.gateway.call import Call, Story
from dragoman.gateway.failures import wire_failure
from dragoman.gateway.offers import UNASKED, ask_list, model_ids, version_line
from dragoman.gateway.serving import Serving
from dragoman.wire.client import Client
from dragoman.wire.errors import WireError
from dragoman.wire.origin import Timeouts

_TIMEOUTS = Timeouts(connect=5, first_byte=30, idle=30, total=60)
_AT_ONCE = 8  # accounts that are tried at a time
_NO_LIST = UNASKED | {"perplexity", "openrouter", "nvidia"}  # the last two show theirs whatever the key
_LACKS = frozenset({"not_found", "method_not_allowed", "unknown_model"})  # what a server without the list says
_LEAST = {"openai-responses": 16}  # tokens that may be asked for, by dialect; 1 else
_NAMELESS = Failure(kind="bad_request", message="no model of it is declared, and its list proves nothing: name one")


class Trial(Struct, omit_defaults=True):
    """What came of it. `by`: the list of models (or what else proves a key), or a reply of `model`. `ms`: how long it
    took."""

    account: str
    ok: bool
    ms: int
    by: str
    model: str | None = None
    error: str | None = None  # its kind
    message: str | None = None


class Trials:
    """Tries accounts out. `book`: where what a reply took is booked."""

    def __init__(self, client: Client, book: Callable[[Story], None]) -> None:
        self._client = client
        self._book = book

    async def all(self, serving: Serving, names: list[str], model: str | None = None) -> list[Trial]:
        """Each of these accounts, several at a time, in their order."""
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(name: str) -> Trial:
            async with room:
                return await self.one(serving, serving.pool.accounts[name], model)

        return list(await asyncio.gather(*map(one, names)))

    async def one(self, serving: Serving, account: Account, model: str | None = None) -> Trial:
        """`model`: the model id to ask; without it, whatever is cheapest."""
        started = time.perf_counter()
        by = "models" if account.provider.proof or (model is None and _lists(account)) else "reply"
        failure: Failure | None = None
        try:
            if by == "models":
                failure = await self._by_list(account)
                if failure is not None and failure.kind in _LACKS and _some_model(serving, account):
                    by = "reply"
            if by == "reply":
                model = model or _some_model(serving, account)
                failure = await self._by_reply(account, model) if model else _NAMELESS
        except Failed as error:
            failure = error.failure
        except WireError as error:
            failure = wire_failure(error)
        except ConfigError as error:
            failure = Failure(kind="bad_request", message=str(error))
        ms = round((time.perf_counter() - started) * 1000)
        if failure is None:
            return Trial(account.name, True, ms, by, model)
        return Trial(account.name, False, ms, by, model, failure.kind, account.hide(failure.message))

    async def _by_list(self, account: Account) -> Failure | None:
        status, body = await ask_list(self._client, account, _TIMEOUTS)
        if status >= 300:
            return dialects.upstream(next(iter(account.provider.dialects), "openai-chat")).read_error(status, body)
        if not account.provider.proof and model_ids(body) is None:
            return Failure(kind="upstream_error", message="the provider's answer is no list of models")
        return None

    async def _by_reply(self, account: Account, model: str) -> Failure | None:
        dialect = dialects.upstream(account.provider.dialects[0])
        request = Request(
            dialect=dialect.NAME, model=model, messages=[Message(role="user", parts=[Text(text="Hi")])],
            max_output_tokens=_LEAST.get(dialect.NAME, 1),
        )  # fmt: skip
        try:
            body = encode(dialect.write_request(request, account.provider.quirks).body)
        except Unsayable as error:
            return Failure(kind="bad_request", message=str(error))
        endpoint, headers = await account.reach(self._client, dialect.path(model, False), model, body, JSON_LINE)
        reply = await self._client.send(
            endpoint.origin, b"POST", endpoint.target, headers, body, timeouts=_TIMEOUTS,
            extra=version_line(account.provider),
        )  # fmt: skip
        with reply:
            answer = await reply.read(ERROR_BODY_LIMIT)
        if reply.status >= 300:
            return dialect.read_error(reply.status, answer)
        try:
            usage = dialect.read_reply(answer).usage
        except Malformed as error:
            return Failure(kind="upstream_error", message=f"the provider's answer can't be read: {error}")
        story = Story(Call(dialect=dialects.client("openai-chat"), body=b"", headers={}), _Nobody(), self._book)
        story.tries(Seat(account, Target(f"{account.provider.name}/{model}", account.provider, model), b""))
        story.row.model = story.row.target or ""
        story.row.status = 200
        if usage is not None:
            story.used(usage)
        story.book()
        return None


class _Nobody:
    """An `Out` for a story that nobody is told."""

    async def whole(self, status: int, head: bytes, body: bytes) -> None: ...
    async def start(self, status: int, head: bytes) -> None: ...
    def push(self, data: bytes) -> bool:
        return True

    async def drained(self) -> None: ...
    async def finish(self, data: bytes = b"") -> None: ...
    def abort(self) -> None: ...


def _lists(account: Account) -> bool:
    """Whether asking for the list of models says that the credential is good."""
    provider = account.provider
    by_deployment = provider.auth == "azure" and account.spec.api_version is not None
    return provider.name not in _NO_LIST and provider.auth not in {"sigv4", "vertex"} and not by_deployment


def _some_model(serving: Serving, account: Account) -> str | None:
    """A model id to ask the account for."""
    if account.models:
        return account.models[0]
    provider = account.provider.name
    declared = (t for model in serving.directory.declared() for tier in model.tiers for t in tier)
    return next((target.model for target in declared if target.provider.name == provider), None)
