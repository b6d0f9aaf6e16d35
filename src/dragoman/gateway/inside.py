"""Asking the gateway from inside the process: the same path as any client's call (limits, route, constraints, pool,
ledger), without a client's dialect: a canon request goes in, canon events come out.

How it works. What is asked is a `Call` whose request is read already. Its `_Line` is both the client's end (`Out`) and
the writer of the client's dialect, and hands the events on as they are. So nothing is written and read again, and
everything on the way is the same code. Only a refusal is said in a dialect, and read back.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING

import msgspec

from dragoman import dialects
from dragoman.access.principal import Principal
from dragoman.canon import Broken, End, Event, Failure, FailureKind, PartDelta, PartStart, Refusal, Request, Text
from dragoman.catalog.directory import Model
from dragoman.dialects.dialect import StreamWriter
from dragoman.gateway.call import Call, Errand, Speculation, new_id
from dragoman.telemetry.trace import Trace

if TYPE_CHECKING:
    from dragoman.gateway.gateway import Gateway

_SPOKEN = dialects.client("openai-chat")
_MOST = 256  # events that nobody has taken, from which on the upstream is made to wait
_TARGET = re.compile(rb"^x-dragoman-target: (.*)\r$", re.MULTILINE)
_DECISION = re.compile(rb"^x-dragoman-decision: (.*)\r$", re.MULTILINE)
_ERROR = re.compile(rb"^x-dragoman-error: (.*)\r$", re.MULTILINE)
_TIMES = re.compile(rb"(?:admit|route|queue);dur=([\d.]+)")


class Inside:
    """Who asks from inside, for one session: in whose name, of which model, under which constraints.

    `session` keeps the questions at one account, whose provider has the prompt's beginning in its cache.
    `constraints`: as the header `x-dragoman-constraints` has them. `trace`: the session's. `metered`: an answer may
    cost money; `window`: see there.
    """

    def __init__(
        self, gateway: "Gateway", model: str, *, key: str | None = None, principal: Principal | None = None,
        session: str | None = None, constraints: str | None = None, surface: str = "inside", trace: Trace | None = None,
    ) -> None:  # fmt: skip
        self.metered = costs(gateway, model)
        self.window = window(gateway, model)
        self._gateway = gateway
        self._model = model
        self._key = key
        self._principal = principal
        self._surface = surface
        self._headers: dict[bytes, bytes] = {}
        if session:
            self._headers[b"session_id"] = session.encode()
        if constraints:
            self._headers[b"x-dragoman-constraints"] = constraints.encode("latin-1", "replace")
        if trace is not None:
            self._headers.update(trace.headers(trace.span))

    def ask(self, request: Request, *, speculative: bool = False, errand: Errand | None = None) -> "Asked":
        """Asks, as soon as `events` is read. `speculative`: whether the answer is wanted is told by `take` or `drop`:
        until then nothing is booked, and what is dropped is not the caller's to pay for. `errand`: see there."""
        line = _Line()
        asked = msgspec.structs.replace(request, model=self._model, stream=True, include_usage=True)
        call = Call(
            id=new_id() if errand is None else errand.id, errand=errand,
            dialect=_SPOKEN, body=msgspec.json.encode(asked), headers=self._headers, key=self._key, model=self._model,
            stream=True, writer=line.writer, request=asked, principal=self._principal, surface=self._surface,
            speculation=Speculation() if speculative else None,
        )  # fmt: skip
        return Asked(self._gateway, call, line)


class Asked:
    """An answer under way. `target`, `decision` and `route` (seconds from asking to the upstream call) are known when
    the first event comes; where there is no answer, they may stay None."""

    def __init__(self, gateway: "Gateway", call: Call, line: "_Line") -> None:
        self._gateway = gateway
        self._call = call
        self._line = line

    @property
    def request_id(self) -> str:
        return self._call.id

    @property
    def target(self) -> str | None:
        return self._line.found(_TARGET)

    @property
    def decision(self) -> str | None:
        return self._line.found(_DECISION)

    @property
    def route(self) -> float | None:
        times = _TIMES.findall(self._line.head)
        return sum(float(each) for each in times) / 1000 if times else None

    async def events(self) -> AsyncGenerator[Event, None]:
        """What the model says; the last is `End` or `Broken`, whatever happens. Closing it cancels the call."""
        answering = asyncio.create_task(self._gateway.answer(self._call, self._line))
        answering.add_done_callback(lambda _: self._line.close())
        try:
            while True:
                event = await self._line.next()
                yield event
                if isinstance(event, End | Broken):
                    break
            await answering
        finally:
            answering.cancel()
            await asyncio.wait([answering])

    async def words(self) -> "Words":
        """What the model says, as text."""
        said = Words()
        async for event in self.events():
            said.take([event])
        return said

    def take(self) -> None:
        """The answer is wanted, and the caller's to pay for."""
        if self._call.speculation is not None:
            self._call.speculation.decide(True)

    def drop(self) -> None:
        """It is not."""
        if self._call.speculation is not None:
            self._call.speculation.decide(False)


class Words:
    """The text of an answer, out of its events; a refusal's words are text too. `failure`: what it ended in."""

    def __init__(self) -> None:
        self.text = ""
        self.failure: Failure | None = None
        self._texts: set[int] = set()

    def take(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, PartStart) and isinstance(event.part, Text | Refusal):
                self._texts.add(event.index)
                self.text += event.part.text
            elif isinstance(event, PartDelta) and event.index in self._texts:
                self.text += event.text
            elif isinstance(event, Broken):
                self.failure = event.failure


class _Line:
    """The end of a call from inside: see `call.Out` and `dialect.StreamWriter`."""

    def __init__(self) -> None:
        self.head = b""
        self._events: deque[Event] = deque()
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._closed = False

    def writer(self, request: Request) -> StreamWriter:
        return self

    def found(self, line: re.Pattern[bytes]) -> str | None:
        """What a line of the reply's head says."""
        match = line.search(self.head)
        return match[1].decode("latin-1") if match else None

    async def next(self) -> Event:
        while not self._events:
            if self._closed:
                return Broken(failure=Failure(kind="stream_broken", status=502, message="the answer broke off"))
            self._more.clear()
            await self._more.wait()
        self._room.set()
        return self._events.popleft()

    def close(self) -> None:
        """Nothing more comes."""
        self._closed = True
        self._more.set()

    def write(self, events: Iterable[Event]) -> bytes:
        self._events.extend(events)
        self._more.set()
        return b"\n"  # something was written: `push` says whether more may come

    async def whole(self, status: int, head: bytes, body: bytes) -> None:
        self.head = head
        failure = _SPOKEN.read_error(status, body)
        if kind := self.found(_ERROR):
            failure.kind = msgspec.convert(kind, FailureKind)
        failure.status, failure.dialect = status, ""
        self.write([Broken(failure=failure)])

    async def start(self, status: int, head: bytes) -> None:
        self.head = head

    def push(self, data: bytes) -> bool:
        return len(self._events) < _MOST

    async def drained(self) -> None:
        while len(self._events) >= _MOST:
            self._room.clear()
            await self._room.wait()

    async def finish(self, data: bytes = b"") -> None:
        pass

    def abort(self) -> None:
        self.close()


def costs(gateway: "Gateway", name: str) -> bool:
    """Whether an answer of the model may cost money. An unknown price is not zero (law 10)."""
    serving = gateway.serving
    model: Model | None = serving.directory.find(name)
    if model is None:
        return True
    return any(_costs(gateway, target.name) for tier in model.tiers for target in tier)


def window(gateway: "Gateway", name: str) -> int | None:
    """Tokens that every target of the model takes in, as far as known; None: nobody knows."""
    model = gateway.serving.directory.find(name)
    known = [] if model is None else [target.window for tier in model.tiers for target in tier]
    return min((each for each in known if each is not None), default=None)


def _costs(gateway: "Gateway", target: str) -> bool:
    price = gateway.serving.price(target)
    return price is None or price.input > 0 or price.output > 0 or price.request > 0
