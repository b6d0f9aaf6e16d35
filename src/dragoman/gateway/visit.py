"""One realtime session of a client, as the gateway keeps it: who it is, what it may, and a row for each of its turns.

A session counts as one request where rates are limited; every turn's tokens and money count as soon as it has ended,
and where the key has no more of either, or is revoked, no further turn may come.
"""

import time

import msgspec
from msgspec import Struct

from dragoman.canon import Failure, Usage
from dragoman.config import Voice
from dragoman.gateway.call import Call, Out, Story
from dragoman.gateway.gateway import Gateway
from dragoman.ledger.row import Row


class Took(Struct, kw_only=True):
    """A turn, or a call of a speech engine, for the ledger. `usage` None: nobody counted. `cost`: pico-dollars, where
    it is not by tokens. Times are milliseconds; `ttft`: to its first sound."""

    target: str | None
    account: str | None
    usage: Usage | None = None
    cost: int | None = None
    status: int = 200
    error: str | None = None
    total: float = 0.0
    ttft: float | None = None
    resumed: int = 0


class Visit:
    """One session. `begin` admits it, `turn` books, `end` ends it."""

    def __init__(self, gateway: Gateway, call: Call, out: Out) -> None:
        self._gateway = gateway
        self._inside = False
        self._began = gateway.leases.now()
        self._booked = 0
        self._tokens = 0
        self.call = call
        self.story = Story(call, out, gateway.write_story)
        if gateway.telemetry is not None:
            self.story.trace = gateway.telemetry.begin(call.headers, call.op)
        self.serving = gateway.serving

    @property
    def limits(self) -> Voice:
        return self.serving.settings.voice

    async def begin(self, maker: str | None = None) -> None:
        """Raises `Failed` where the session may not be. `maker`: the id of the key that vouches for it, where it comes
        with a client secret."""
        await self._gateway.admit(self.story, maker)
        await self._gateway.enter(self.story.row.key or "", self.limits.max_sessions)
        self._inside = True

    def turn(self, took: Took) -> Failure | None:
        """Books a turn that has ended. Why no further one may come, if so."""
        first = self.story.row
        row = Row(
            request_id=self.call.id if not self._booked else f"{self.call.id}.{self._booked + 1}",
            time=time.time() - took.total / 1000,
            key=first.key, key_name=first.key_name, dialect=first.dialect, model=first.model,
            decision=first.decision, tags=first.tags, lossy=first.lossy, attempts=first.attempts,
            target=took.target, account=took.account, status=took.status, error=took.error, stream=True, cost=took.cost,
            admit=first.admit, route=first.route, queue=first.queue, upstream=first.upstream,
            ttft=took.ttft, total=took.total, resumed=took.resumed,
        )  # fmt: skip
        self._booked += 1
        if took.usage is not None:
            row.count(took.usage)
            self._tokens += took.usage.input + took.usage.output
        trace = self.story.trace
        self._gateway.write_row(
            row, took.usage, self.story.principal, self.story.reserved, trace and trace.turn(self._booked)
        )
        self.story.reserved = 0
        return self._why_not()

    def took_tokens(self, tokens: int) -> Failure | None:
        """A turn that was booked elsewhere has ended. Why no further one may come, if so."""
        self._booked += 1
        self._tokens += tokens
        return self._why_not()

    def _why_not(self) -> Failure | None:
        most = self.limits.max_session_tokens
        if most is not None and self._tokens >= most:
            message = f"this session has taken {self._tokens} tokens, the most it may (voice.max_session_tokens)"
            return Failure(kind="rate_limited", status=429, message=message)
        return self._gateway.bars(self.story.principal, self.call.key)

    async def refuse(self, failure: Failure) -> None:
        """There is no session: tells the client in HTTP, and books that."""
        self._leave()
        self._booked += 1
        await self.story.refuse(failure)

    def _leave(self) -> None:
        if self._inside:
            self._inside = False
            self._gateway.leave(self.story.row.key or "")

    def end(self, error: str | None = None, status: int = 200) -> None:
        """The session is over; where nothing was booked of it, that is."""
        self._leave()
        row = self.story.row
        total = (self._gateway.leases.now() - self._began) * 1000
        if self.story.trace is not None and self._gateway.telemetry is not None:
            whole = msgspec.structs.replace(row, status=status, error=error, total=total)
            self._gateway.telemetry.end(self.story.trace, whole)
            self.story.trace = None
        if not self._booked:
            self.turn(Took(target=row.target, account=row.account, status=status, error=error, total=total))
