"""Calls to a provider's speech model: each on a lease of an account that has it, and on another account's where nothing
came of it.

    call = calls.begin(book)
    while True:
        try:
            with await call.place() as place:
                ...  # raises `Failed` or a `WireError` where the provider fails
                return
        except FAILURES as error:
            call.after(error)  # raises `EngineError` where no other is to be tried
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol

import msgspec

from dragoman.accounts import ratelimits
from dragoman.accounts.cooldown import RULES
from dragoman.accounts.lease import Attempted, Lease, Outcome, Refused, Want
from dragoman.accounts.pool import Pool, Seat
from dragoman.accounts.queue import Ticket
from dragoman.canon import Failed, Failure, FailureKind, Usage
from dragoman.catalog.directory import Directory
from dragoman.catalog.prices import Speech
from dragoman.config import ConfigError
from dragoman.dialects.openai_chat.errors import read_error
from dragoman.voice.engine import Book, EngineError, Spent
from dragoman.wire.client import Client
from dragoman.wire.errors import (
    BodyTruncated,
    ConnectFailed,
    ConnectionLost,
    NotUpgraded,
    ProxyFailed,
    TimedOut,
    TlsFailed,
    WireError,
)
from dragoman.wire.head import Block, block
from dragoman.wire.origin import Timeouts
from dragoman.wire.reply import Reply
from dragoman.wire.websocket import Patience, Socket

log = logging.getLogger("dragoman")
FAILURES = (Failed, WireError)
QUEUE = 3.0  # seconds to wait for an account: somebody hears silence meanwhile
CONNECT, FIRST, IDLE, TOTAL = 5.0, 15.0, 10.0, 120.0  # seconds, where the account says nothing else
PATIENCE = Patience(ping=5.0, dead=12.0, stalled=10.0, close=2.0)
ERROR_LIMIT = 64 * 1024  # bytes read of an error's body
MESSAGE_LIMIT = 500  # characters of a provider's words
_TROUBLE = {
    "unauthorized": "has a key that its provider refuses: see `dragoman accounts test`",
    "forbidden": "is denied access by its provider",
    "budget_spent": "is out of credit at its provider",
}
_STATED: dict[str, FailureKind] = {  # what some say with a status that means something else
    "quota_exceeded": "budget_spent",
    "INSUFFICIENT_CREDITS": "budget_spent",
    "max_character_limit_exceeded": "bad_request",
}


class House(Protocol):
    """What the calls need of the config in force: the gateway's `Serving` is one."""

    pool: Pool
    directory: Directory

    def speech_price(self, target: str) -> Speech: ...


class Calls:
    """The calls to one model, `provider/model-id`. `house` gives the config in force."""

    def __init__(self, client: Client, house: Callable[[], House], name: str) -> None:
        self.client = client
        self.house = house
        self.name = name

    def begin(self, book: Book | None) -> Call:
        """A call; `book` is told what each attempt took."""
        return Call(self, book)


class Call:
    """One call, at one account after another."""

    def __init__(self, calls: Calls, book: Book | None) -> None:
        self.calls = calls
        self.book = book
        self._avoid: frozenset[Attempted] = frozenset()
        self._lost: frozenset[Attempted] = frozenset()  # where a connection was lost, once
        self._attempt = 1
        self._last: EngineError | None = None

    async def place(self) -> Place:
        """An account for the next attempt. Raises `EngineError` where there is none."""
        name, house = self.calls.name, self.calls.house()
        model = house.directory.find(name)
        if model is None:
            raise EngineError(f"{name}: no account has it: add one of {name.partition('/')[0]} to [[accounts]]")
        leases = house.pool.leases
        line_up = house.pool.line_up(model.tiers)
        want = Want(
            roster=line_up.roster, deadline=leases.now() + QUEUE, avoid=self._avoid, attempt=self._attempt
        )  # fmt: skip
        answer = leases.acquire(want)
        if isinstance(answer, Refused) and self._lost:  # that says little of the account: once more there
            want.avoid, self._lost = self._avoid - self._lost, frozenset()
            answer = leases.acquire(want)
        if isinstance(answer, Ticket):
            answer = await leases.wait(answer)
        if isinstance(answer, Refused):
            raise self._last or _nobody(name, answer)
        self._attempt += 1
        return Place(self, house, answer, line_up.seats[answer.seat])

    def after(self, error: Exception, *, final: bool = False) -> None:
        """An attempt ended in `error`. Raises `EngineError` where no other is to be made: `final` says that something
        came of it already, or the request itself is at fault."""
        if self._last is None:
            raise error
        if final or (isinstance(error, Failed) and error.failure.kind not in RULES):
            raise self._last from None

    def failed(self, seat: Seat, failure: Failure, *, lost: bool) -> None:
        """For the place. `lost`: the connection was, after it stood."""
        where = f'{seat.target.name}: account "{seat.account.name}"'
        here = frozenset({(seat.account.name, seat.target.model)})
        if lost and not here <= self._avoid:
            self._lost |= here
        self._avoid |= here
        message = _TROUBLE.get(failure.kind) or f"failed ({failure.kind}): {failure.message}"
        self._last = EngineError(f"{where} {message}", failure.retry_after)
        log.warning(
            "%s at account %s: %s: %s", seat.target.name, seat.account.name, failure.kind, failure.message
        )  # fmt: skip


class Place:
    """One attempt at one account. A context manager: on leaving, the lease is settled, and what the attempt took is
    booked: set `seconds`, `characters` and `usage` as far as the provider will charge them."""

    def __init__(self, call: Call, house: House, lease: Lease, seat: Seat) -> None:
        self.seat = seat
        self.seconds = 0.0
        self.characters = 0
        self.usage: Usage | None = None
        self._call = call
        self._house = house
        self._lease = lease
        self._began = asyncio.get_running_loop().time()
        self._ttft: float | None = None
        self._sent = False

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._book(error is not None)
        self._house.pool.leases.settle(self._lease, self._outcome(error))

    def began(self) -> None:
        """The first of what was asked for is here."""
        if self._ttft is None:
            self._ttft = self._elapsed()
            self._house.pool.leases.began(self._lease, self._ttft)

    async def send(self, path: str, body: bytes, content_type: Block) -> Reply:
        """The provider's answer, which is one of success. Raises `Failed`, `WireError`."""
        account = self.seat.account
        try:
            endpoint, headers = await account.reach(
                self._call.calls.client, path, self.seat.target.model, body, content_type
            )
        except ConfigError as error:
            raise Failed(Failure(kind="bad_request", message=str(error))) from None
        own = account.spec.timeouts
        timeouts = Timeouts(
            connect=own.connect or CONNECT, first_byte=own.first_byte or FIRST, idle=own.idle or IDLE,
            total=own.total or TOTAL,
        )  # fmt: skip
        self._sent = True
        reply = await self._call.calls.client.send(
            endpoint.origin, b"POST", endpoint.target, headers, body, timeouts=timeouts, extra=self._version()
        )
        if reply.status < 300:
            return reply
        with reply:
            failure = refused(reply.status, await reply.read(ERROR_LIMIT))
            failure.retry_after = ratelimits.read(reply.headers, self._house.pool.leases.now()).retry_after
        raise Failed(failure)

    async def open(self, path: str) -> Socket:
        """A WebSocket at the provider. Raises `Failed`, `WireError`."""
        account, client = self.seat.account, self._call.calls.client
        try:
            endpoint = account.endpoint(path, self.seat.target.model)
        except ConfigError as error:
            raise Failed(Failure(kind="bad_request", message=str(error))) from None
        headers = Block(await account.credential.headers(client, endpoint, b"") + block(self._version()))
        self._sent = True
        try:
            return await client.websocket(
                endpoint.origin, endpoint.target, headers, within=account.spec.timeouts.connect or CONNECT,
                patience=PATIENCE,
            )  # fmt: skip
        except NotUpgraded as error:
            failure = refused(error.status, error.body)
            told = [(name.encode(), value.encode()) for name, value in error.headers.items()]
            failure.retry_after = ratelimits.read(told, self._house.pool.leases.now()).retry_after
            raise Failed(failure) from None

    def _version(self) -> list[tuple[bytes, bytes]]:
        version = self.seat.target.provider.version
        return [] if version is None else [(version[0].encode(), version[1].encode())]

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    def _book(self, failed: bool) -> None:
        if self._call.book is None or not (self.seconds or self.characters or self.usage):
            return
        target = self.seat.target.name
        cost = None if self.usage is None else self._house.pool.cost(target, self.usage)
        if cost is None:
            cost = self._house.speech_price(target).cost(self.seconds, self.characters)
        self._call.book(
            Spent(
                target=target, account=self.seat.account.name, seconds=self.seconds, characters=self.characters,
                usage=self.usage, cost=cost, failed=failed,
            )
        )  # fmt: skip

    def _outcome(self, error: BaseException | None) -> Outcome:
        if error is None:
            return Outcome(ttft=self._ttft, seconds=self._elapsed())
        if not isinstance(error, FAILURES):
            return Outcome(dropped=True, sent=self._sent)
        kind, failure = told(error)
        failure.message = self.seat.account.hide(failure.message)[:MESSAGE_LIMIT]
        self._call.failed(self.seat, failure, lost=isinstance(error, ConnectionLost | BodyTruncated))
        return Outcome(kind=kind, message=failure.message, retry_after=failure.retry_after)


def told(error: Exception) -> tuple[str, Failure]:
    """What the accounts make of it, and what it means."""
    if isinstance(error, Failed):
        return error.failure.kind, error.failure
    if isinstance(error, TimedOut):
        return "upstream_timeout", Failure(kind="upstream_timeout", message=str(error))
    kind = "unreachable" if isinstance(error, ConnectFailed | TlsFailed | ProxyFailed) else "upstream_error"
    return kind, Failure(kind="upstream_error", message=str(error))


def refused(status: int, body: bytes) -> Failure:
    """What a provider's error answer means, whichever of them it is. Never fails, whatever the body is."""
    failure = read_error(status, body)
    try:
        envelope = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return failure
    words = dict(_words(envelope))
    failure.message = "; ".join(dict.fromkeys(words[name] for name in _SAID if name in words)) or failure.message
    kind = next((_STATED[word] for word in words.values() if word in _STATED), None)
    if kind is not None:
        failure.kind = kind
    return failure


_SAID = ("err_msg", "title", "message", "details")  # Deepgram; Cartesia; all


def _words(envelope: Any, depth: int = 3) -> list[tuple[str, str]]:
    """The texts in an error's JSON by their names: `{"err_msg": …}`, `{"detail": {"status": …, "message": …}}`, …"""
    if not isinstance(envelope, dict) or not depth:
        return []
    found = [(name, value) for name, value in envelope.items() if isinstance(value, str) and value]
    for value in envelope.values():
        found += _words(value, depth - 1)
    return found


def _nobody(name: str, refusal: Refused) -> EngineError:
    if refusal.why == "no_seat":
        return EngineError(f"{name}: no account of {name.partition('/')[0]} serves it: add or enable one")
    return EngineError(f"{name}: all accounts are busy or cooling down", refusal.retry_after)
