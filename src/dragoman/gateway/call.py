"""One client's call: what its surface recognised, how it is answered, and what is written down of it."""

import itertools
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from msgspec import Struct, field

from dragoman.access.principal import Principal
from dragoman.accounts.pool import Seat
from dragoman.canon import Failure, Request, Usage, added
from dragoman.dialects.dialect import Dialect, StreamWriter
from dragoman.gateway.router import Choice
from dragoman.ledger.row import Row, Share, Why
from dragoman.routing.record import Attempt
from dragoman.telemetry.trace import Trace

if TYPE_CHECKING:
    from dragoman.gateway.shadows import Shadow

JSON_TYPE = b"application/json"
PIN = b"x-dragoman-account"  # in a request: the account that alone may answer it, for operators
_HEAD = (
    b"%bx-request-id: %b\r\nx-dragoman-decision: dec%b\r\nx-dragoman-attempts: %d\r\n"
    b"server-timing: admit;dur=%.3f, route;dur=%.3f, queue;dur=%.3f, upstream;dur=%.3f\r\n%b"
)
_LONGEST = 4096  # characters of a header that names what the client made up
_PROCESS = secrets.token_hex(6)
_COUNT = itertools.count()


def new_id() -> str:
    """A request id no other request of any worker has."""
    return f"req_{_PROCESS}{next(_COUNT):08x}"


def named() -> bytes:
    """The header line that every answer has, for those that are no call's."""
    return b"x-request-id: %b\r\n" % new_id().encode()


class Out(Protocol):
    """Where the answer goes: `whole`; or `start` once, `push` any number of times, `finish` once. A `head` is header
    lines, each with its CRLF."""

    async def whole(self, status: int, head: bytes, body: bytes) -> None: ...
    async def start(self, status: int, head: bytes) -> None: ...
    def push(self, data: bytes) -> bool:
        """Whether the client keeps up; if not, `drained` waits until it does."""
        ...

    async def drained(self) -> None: ...
    async def finish(self, data: bytes = b"") -> None: ...
    def abort(self) -> None:
        """Cuts the connection: for an answer that can't be ended honestly."""
        ...


class Call(Struct, kw_only=True):
    """A request as its surface recognised it; the body is still as it came.

    `model` and `stream` are set where the dialect says them in the path. `headers` are the client's, lower-case names.
    `stream_default` is what an absent `stream` field means. `writer` and `stream_type`
    stand in for the dialect's own where the surface is a variant of it (Gemini's JSON array).
    """

    dialect: Dialect
    body: bytes
    headers: dict[bytes, bytes]
    op: str = "generate"
    key: str | None = None
    model: str | None = None
    stream: bool | None = None
    stream_default: bool = False
    own_ids: bool = False  # the reply gets an id of ours: clients will refer to it, so it must be unique here
    writer: Callable[[Request], StreamWriter] | None = None
    stream_type: str | None = None
    request: Request | None = None  # of a call from inside: read already, and nothing of it is in `body` but its size
    principal: Principal | None = None  # who asks, where that is known already
    surface: str | None = None  # what the ledger calls the client's dialect, where not by its name
    speculation: "Speculation | None" = None
    errand: "Errand | None" = None
    id: str = field(default_factory=new_id)


class Speculation:
    """Whether a call's answer is wanted, where that is decided while it is under way. The call is booked when it is
    over and decided, whichever comes last; never where that is left open, as for a model that only reads a prompt
    ahead of the question."""

    __slots__ = ("_book", "wanted")

    def __init__(self) -> None:
        self.wanted: bool | None = None
        self._book: Callable[[], None] | None = None

    def decide(self, wanted: bool) -> None:
        """The first word counts."""
        if self.wanted is None:
            self.wanted = wanted
            if self._book is not None:
                self._book()

    def waits(self, book: Callable[[], None]) -> bool:
        """Whether `book` has to wait for the decision; it is called then."""
        if self.wanted is None:
            self._book = book
        return self.wanted is None


class Errand(Struct):
    """What a call from inside is for, where the gateway itself asks: it counts in nobody's limits or budget, waits for
    no account, and its row has the `tags`. `id` is the call's; `row` is there once it is booked."""

    tags: dict[str, str]
    id: str = field(default_factory=new_id)
    row: Row | None = None


Reserve: TypeAlias = Callable[["Story", int], Awaitable[None]]


class Spoken(Struct, frozen=True):
    """Text that is to be said: how many `characters`, and whether the reply will tell the tokens it took."""

    characters: int
    counted: bool


class Story:
    """One call on its way: who asks, where the answer goes, and what is written down of it.

    `book` writes the row, once; it is called right before the bytes that end the client's reply go out (law 9). Times
    in the row are milliseconds.
    """

    __slots__ = (
        "_book",
        "_booked",
        "_earlier",
        "_id",
        "_seat",
        "_started",
        "attempts",
        "call",
        "choice",
        "out",
        "principal",
        "reserve",
        "reserved",
        "row",
        "shadow",
        "spoken",
        "trace",
        "usage",
        "version",
    )

    def __init__(self, call: Call, out: Out, book: Callable[["Story"], None]) -> None:
        self._started = time.perf_counter()
        self._book = book
        self._booked = False
        self._earlier: Usage | None = None  # what attempts took that were not the last
        self._id = call.id.encode()
        self._seat: Seat | None = None
        self.call = call
        self.out = out
        self.principal: Principal | None = None
        self.usage: Usage | None = None
        self.spoken: Spoken | None = None  # where speech is asked for: it is sold by the character, or by tokens
        self.reserve: Reserve | None = None  # set where the caller has a budget
        self.reserved = 0  # pico-dollars held of it
        self.choice: Choice | None = None  # where a route or constraints decided
        self.shadow: Shadow | None = None  # where another model is asked the same afterwards
        self.attempts: list[Attempt] = []  # of a decision
        self.version: str | None = None  # what the provider calls the model that answered, where it was read
        self.trace: Trace | None = None  # where there is telemetry
        dialect = call.surface or call.dialect.NAME
        self.row = Row(request_id=call.id, time=time.time(), dialect=dialect, decision="dec" + call.id[3:])

    def elapsed(self) -> float:
        return (time.perf_counter() - self._started) * 1000

    def routed(self) -> None:
        """It is known what to try."""
        self.row.route = self.elapsed() - (self.row.admit or 0.0)

    def book(self) -> None:
        if not self._booked:
            self._booked = True
            self._book(self)

    def used(self, usage: Usage) -> None:
        """The tokens it took, so far as known now."""
        self.usage = usage
        self.row.count(usage if self._earlier is None else added(self._earlier, usage))

    def shares(self, seat: Seat, why: Why, usage: Usage, cost: int | None) -> None:
        """An attempt at `seat` has taken `usage`, and is not the last."""
        self.row.shares.append(
            Share(
                target=seat.target.name, account=seat.account.name, why=why, input=usage.input, output=usage.output,
                estimated=usage.estimated, cost=cost,
            )
        )  # fmt: skip
        if self.trace is not None:
            self.trace.took(seat.target.name, seat.account.name, usage, None if why == "broke" else why, self.elapsed())
        self._earlier = usage if self._earlier is None else added(self._earlier, usage)
        self.usage = None
        self.row.count(self._earlier)

    def tries(self, seat: Seat) -> None:
        """One more attempt is made, on `seat`."""
        self.row.attempts += 1
        self.answers(seat)
        if self.choice is not None:
            self.attempts.append(Attempt(seat.target.name, seat.account.name))

    def answers(self, seat: Seat) -> None:
        """The answer comes from `seat`, so far as known now."""
        self.row.target, self.row.account = seat.target.name, seat.account.name
        self._seat = seat

    def failed(self, seat: Seat, kind: str) -> None:
        """The last attempt at `seat` came to nothing, or broke."""
        self.ended(seat, kind)
        for attempt in reversed(self.attempts):
            if (attempt.target, attempt.account) == (seat.target.name, seat.account.name):
                attempt.failure = kind
                return

    def ended(self, seat: Seat, kind: str) -> None:
        """The attempt at `seat` is over, for a trace."""
        if self.trace is not None:
            self.trace.end(seat.target.name, seat.account.name, kind, self.elapsed())

    def head(self, content_type: bytes) -> bytes:
        """The headers every answered request carries (CONTRACT, "What every reply carries"), as lines. `content_type`
        is empty where no content follows."""
        row = self.row
        head = _HEAD % (
            b"content-type: %b\r\n" % content_type if content_type else b"",
            self._id, self._id[3:], row.attempts,
            row.admit or 0.0, row.route or 0.0, row.queue or 0.0, row.upstream or 0.0,
            b"" if self._seat is None else self._seat.lines,
        )  # fmt: skip
        if self.choice is not None:
            head += b"x-dragoman-reason: %b\r\n" % self.choice.decision.reason.encode()
        if row.lossy:
            head += f"x-dragoman-lossy: {clean(','.join(row.lossy))[:_LONGEST]}\r\n".encode("latin-1")
        return head

    def whole(self, status: int, content_type: bytes, body: bytes, extra: bytes = b"") -> Awaitable[None]:
        """Books, and answers with a whole body."""
        self.row.status = status
        self.book()
        return self.out.whole(status, self.head(content_type) + extra, body)

    def refuse(self, failure: Failure, lines: bytes = b"") -> Awaitable[None]:
        """Books, and tells the client in its own dialect why there is no answer. `lines`: further header lines."""
        self.row.error = failure.kind
        extra = f"x-dragoman-error: {failure.kind}\r\n"
        if failure.retry_after is not None:
            extra += f"retry-after: {max(1, math.ceil(failure.retry_after))}\r\n"
            extra += f"retry-after-ms: {max(1, math.ceil(failure.retry_after * 1000))}\r\n"
        body = self.call.dialect.write_error(failure)
        return self.whole(failure.status, JSON_TYPE, body, extra.encode() + lines)


def clean(value: str) -> str:
    """`value` as a header can carry it: what is not visible Latin-1 becomes a question mark."""
    if value.isascii() and value.isprintable():
        return value
    return "".join(c if c.isprintable() and ord(c) < 256 else "?" for c in value)
