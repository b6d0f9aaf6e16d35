"""How a realtime session comes to stand at a provider: attempt after attempt, each on a lease, as other calls'.

A session is open when its provider has said so (`session.created`): OpenAI takes up the WebSocket first, and refuses
what it refuses in an `error` event then. The lease is held while the session lasts.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec
from msgspec import Struct

from dragoman import config, dialects
from dragoman.accounts import ratelimits
from dragoman.accounts.cooldown import RULES
from dragoman.accounts.lease import Lease, Outcome, Refused, Want
from dragoman.accounts.pool import Pool, Seat
from dragoman.accounts.queue import Ticket
from dragoman.canon import Failed, Failure
from dragoman.catalog import realtime
from dragoman.catalog.directory import Model
from dragoman.catalog.realtime import Place
from dragoman.dialects.fields import Malformed, decode
from dragoman.gateway.attempts import MOST, MOST_REFUSED, Attempts, only, traced
from dragoman.gateway.call import PIN, Story
from dragoman.gateway.elsewhere import REFUSED, closed
from dragoman.gateway.failures import wire_failure
from dragoman.wire.client import Client
from dragoman.wire.errors import ConnectFailed, ConnectionLost, NotUpgraded, ProxyFailed, TimedOut, TlsFailed, WireError
from dragoman.wire.head import Block, block
from dragoman.wire.websocket import Patience, Socket

PATIENCE = Patience(ping=5.0, dead=12.0)  # a provider that is gone is to be missed soon
FIRST = 10.0  # seconds until the provider's first event
_GREETS = frozenset({"ga", "beta", "voicelive"})  # what begins with the server's event


class Opened(Struct):
    """A session that stands at a provider. `first`: its first message, already received."""

    socket: Socket
    place: Place
    seat: Seat
    first: str | bytes | None
    settle: Callable[[Outcome], None]


class _Wish(Struct):
    """What is to be opened."""

    model: Model
    story: Story
    transcription: bool


class Lines:
    """Opens sessions. One per config."""

    def __init__(self, client: Client, pool: Pool, attempts: Attempts, settings: config.Server) -> None:
        self._client = client
        self._pool = pool
        self._attempts = attempts
        self._connect = settings.timeouts.connect or 5.0
        self._patience = settings.queue_seconds

    def places(self, model: Model, transcription: bool = False) -> list[Place]:
        """Everywhere where sessions of `model` may be opened."""
        found = []
        for seat in self._pool.line_up(model.tiers).seats.values():
            with suppress(config.ConfigError):
                found.append(
                    realtime.locate(
                        seat.target.provider, seat.account.spec, seat.target.model, transcription=transcription
                    )
                )
        return found

    async def open(self, model: Model, story: Story, *, transcription: bool = False) -> Opened:
        """A session of `model`, at the first account that gives one. Raises `Failed` with the failure that tells the
        client most."""
        pool, wish = self._pool, _Wish(model, story, transcription)
        line_up = pool.line_up(model.tiers)
        principal = story.principal
        want = Want(
            roster=line_up.roster,
            deadline=pool.leases.now() + self._patience,
            output_tokens=int(line_up.output),
            tenant=story.row.key or "",
            priority=1 if principal is None else principal.priority,
            only=only(story.call, model, line_up) if PIN in story.call.headers else model.only,
        )
        failures: list[Failure] = []
        failed = 0
        while True:
            lease = pool.leases.acquire(want)
            if isinstance(lease, Ticket):
                lease = await pool.leases.wait(lease)
            if isinstance(lease, Refused):
                raise Failed(self._attempts.refusal(lease, failures, model, line_up, want.only))
            seat = line_up.seats[lease.seat]
            result = await self._attempt(wish, lease, seat)
            if isinstance(result, Opened):
                return result
            failures.append(result)
            failed += result.kind not in REFUSED
            avoid = closed(result, seat, line_up, model, False)
            if avoid is None:
                raise Failed(result)
            if failed >= MOST or want.attempt >= MOST_REFUSED:
                raise Failed(self._attempts.most_telling(failures))
            want = msgspec.structs.replace(want, avoid=want.avoid | avoid, attempt=want.attempt + 1)

    async def _attempt(self, wish: _Wish, lease: Lease, seat: Seat) -> Opened | Failure:
        leases, story = self._pool.leases, wish.story
        outcome: Outcome | None = Outcome(dropped=True, sent=False)
        try:
            story.tries(seat)
            place = realtime.locate(
                seat.target.provider, seat.account.spec, seat.target.model, transcription=wish.transcription
            )
            headers = await seat.account.credential.headers(self._client, place.endpoint, b"")
            began = story.elapsed()
            if story.trace is not None:
                headers = Block(headers + block(traced(story.trace, seat, place.endpoint.origin, began)))
            outcome = Outcome(dropped=True)
            socket = await self._client.websocket(
                place.endpoint.origin, place.endpoint.target, headers, within=self._connect, patience=PATIENCE
            )
            try:
                first = await _greeting(socket, place)
            except BaseException:
                socket.abort()
                raise
            story.row.upstream = story.elapsed() - began
            leases.began(lease, story.row.upstream / 1000)
            outcome = None
            return Opened(socket, place, seat, first, lambda ended: leases.settle(lease, ended))
        except config.ConfigError as error:
            failure = Failure(kind="upstream_error", status=502, message=str(error))
            outcome = Outcome(dropped=True, sent=False)
        except NotUpgraded as error:
            told = ratelimits.read([(k.encode(), v.encode()) for k, v in error.headers.items()], leases.now())
            failure = dialects.upstream("openai-chat").read_error(error.status, error.body)
            failure.retry_after = failure.retry_after if told.retry_after is None else told.retry_after
            outcome = self._outcome(seat, failure, failure.kind)
        except Failed as error:
            failure = error.failure
            outcome = self._outcome(seat, failure, failure.kind) if failure.kind in RULES else outcome
        except WireError as error:
            failure = wire_failure(error)
            kind = "unreachable" if isinstance(error, ConnectFailed | TlsFailed | ProxyFailed) else failure.kind
            outcome = self._outcome(seat, failure, kind)
        finally:
            if outcome is not None:
                leases.settle(lease, outcome)
        return self._attempts.blamed(failure, seat, story)

    def _outcome(self, seat: Seat, failure: Failure, kind: str) -> Outcome:
        return Outcome(kind=kind, message=seat.account.hide(failure.message), retry_after=failure.retry_after)


async def _greeting(socket: Socket, place: Place) -> str | bytes | None:
    """The provider's first event, where it speaks first. Raises `Failed` where that is an error, `WireError` where none
    comes."""
    if place.spoken not in _GREETS:
        return None
    where = str(place.endpoint.origin)
    try:
        async with asyncio.timeout(FIRST):
            first = await socket.receive()
    except TimeoutError:
        raise TimedOut("first_byte", FIRST, where) from None
    if first is None:
        raise ConnectionLost(f"{where}: the session was closed before it began ({socket.code} {socket.reason})".strip())
    try:
        event = decode(first.encode() if isinstance(first, str) else first)
    except Malformed:
        return first
    if isinstance(event, dict) and event.get("type") == "error":
        raise Failed(dialects.upstream("openai-chat").read_error(0, msgspec.json.encode(event)))
    return first
