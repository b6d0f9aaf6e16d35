"""What a pipeline plays with in tests: engines that do as they are told, a model that says what is written for it, and
a client that sees everything. Nothing here takes time.

Sound is silence (zeros) or speech (a square wave), so the detector can tell them apart; what a speech says is known to
the transcriber by its order: the first turn says the first line, and so on.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

import numpy as np

from dragoman.canon import (
    Begin,
    Broken,
    End,
    Event,
    Failure,
    Finish,
    PartDelta,
    PartEnd,
    PartStart,
    Request,
    Text,
    ToolCall,
    Usage,
    Used,
)
from dragoman.voice.engine import SPOKEN, EngineError, Sound, Words
from dragoman.voice.pipeline import Pipeline
from fakes.realtime_order import Order
from fakes.realtime_schemas import assert_valid_server_event

_LOUD = [(8000).to_bytes(2, "little", signed=True), (-8000).to_bytes(2, "little", signed=True)]


def speech(ms: int, rate: int = 24_000) -> bytes:
    half = rate // 1000  # samples of a wave of 500 Hz
    return (_LOUD[0] * half + _LOUD[1] * half) * (ms // 2)


def silence(ms: int, rate: int = 24_000) -> bytes:
    return bytes(rate * ms // 1000 * 2)


def append(pcm: bytes) -> dict[str, Any]:
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()}


class Loudness:
    """A voice activity detector."""

    FRAME = 512

    def probability(self, frame: bytes) -> float:
        loud = int((np.abs(np.frombuffer(frame, "<i2").astype(np.int32)) > 1000).sum())
        return 0.95 if loud > self.FRAME // 4 else 0.02

    def reset(self) -> None:
        pass


class Script:
    """A transcriber that knows what will be said."""

    name = "script"
    metered = False

    def __init__(self, lines: Sequence[str | Words | Exception] = ("Hello there.",)) -> None:
        self.lines = list(lines)
        self.begun: list[Line] = []

    def begin(self, *, language: str | None = None, prompt: str | None = None, book: Any = None) -> "Line":
        line = Line(self.lines[min(len(self.begun), len(self.lines) - 1)])
        self.begun.append(line)
        return line

    async def close(self) -> None:
        pass


class Line:
    def __init__(self, says: str | Words | Exception) -> None:
        self.says = says
        self.sound = b""
        self.dropped = False
        self.draft: str | None = None  # what it says before it is finished, where that is something else

    def feed(self, pcm: bytes) -> None:
        self.sound += pcm

    async def words(self) -> Words:
        await asyncio.sleep(0)
        return Words(self.draft) if self.draft is not None else self._say()

    async def finish(self) -> Words:
        await asyncio.sleep(0)
        return self._say()

    def drop(self) -> None:
        self.dropped = True

    def _say(self) -> Words:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says if isinstance(self.says, Words) else Words(self.says)


class Voice:
    """A speaker: every character takes 10 ms, and comes in pieces of four."""

    name = "voice"
    voices = ("one", "two")

    def __init__(self) -> None:
        self.said: list[str] = []
        self.fails_at: str | None = None

    async def say(
        self, text: str, *, voice: str | None = None, speed: float = 1.0, book: Any = None
    ) -> AsyncIterator[Sound]:
        self.said.append(text)
        for end in range(4, len(text) + 4, 4):
            await asyncio.sleep(0)
            if self.fails_at is not None and self.fails_at in text[:end]:
                raise EngineError("voice: the cable is loose")
            spoken = min(end, len(text))
            yield Sound(b"\x10\x00" * (SPOKEN // 100 * (spoken - end + 4)), spoken)

    async def close(self) -> None:
        pass


class Sure:
    """A judge to whom every turn is complete."""

    def __init__(self, complete: float = 0.99) -> None:
        self.says = complete

    async def complete(self, pcm: bytes, words: str) -> float:
        await asyncio.sleep(0)
        return self.says


class Engines:
    def __init__(self, *lines: str | Words | Exception) -> None:
        self.transcriber = Script(lines or ("Hello there.",))
        self.speaker = Voice()
        self.judge: Sure | None = Sure()

    def activity(self) -> Loudness:
        return Loudness()


def says(*texts: str, usage: Usage | None = None, finish: Any = "stop") -> list[Event]:
    """A model's answer in so many pieces."""
    return [
        Begin(id="a", model="m"),
        PartStart(index=0, part=Text()),
        *(PartDelta(index=0, text=text) for text in texts),
        PartEnd(index=0),
        Finish(reason=finish),
        Used(usage=usage or Usage(input=11, output=7)),
        End(),
    ]


def calls(name: str, *arguments: str, call_id: str = "call_1") -> list[Event]:
    return [
        Begin(id="a", model="m"),
        PartStart(index=0, part=ToolCall(id=call_id, name=name)),
        *(PartDelta(index=0, text=text) for text in arguments),
        PartEnd(index=0),
        Finish(reason="tool_calls"),
        Used(usage=Usage(input=20, output=9)),
        End(),
    ]


def breaks(kind: Any = "upstream_error", message: str = "the model is ill", status: int = 502) -> list[Event]:
    return [Broken(failure=Failure(kind=kind, message=message, status=status))]


class Answer:
    """One answer of the `Writer`."""

    def __init__(self, request: Request, says: list[Event], speculative: bool) -> None:
        self.request = request
        self.speculative = speculative
        self.fate = "taken" if not speculative else "open"
        self.closed = False
        self.target: str | None = "fake/writer"
        self.decision: str | None = "dec_1"
        self.route: float | None = 0.001
        self._says = says
        self.gate: asyncio.Event | None = None  # to be set before it says anything
        self.stalls_after: int | None = None  # events after which it says nothing more

    async def events(self) -> AsyncGenerator[Event, None]:
        try:
            if self.gate is not None:
                await self.gate.wait()
            for count, event in enumerate(self._says):
                await asyncio.sleep(0)
                if count == self.stalls_after:
                    await asyncio.Event().wait()
                yield event
        finally:
            self.closed = True

    def take(self) -> None:
        self.fate = "taken" if self.fate == "open" else self.fate

    def drop(self) -> None:
        self.fate = "dropped" if self.fate == "open" else self.fate


class Writer:
    """A model: the answers are said one after another, the last one again and again."""

    metered = False
    window: int | None = None

    def __init__(self, *answers: list[Event]) -> None:
        self.answers = list(answers) or [says("It is ", "fine today.")]
        self.asked: list[Answer] = []
        self.warmed: list[Request] = []
        self.prepare: Callable[[Answer], None] = lambda answer: None

    def ask(self, request: Request, *, speculative: bool = False) -> Answer:
        if request.max_output_tokens == 1:
            self.warmed.append(request)
            return Answer(request, says("A"), speculative)
        events = self.answers[min(len(self.asked), len(self.answers) - 1)]
        answer = Answer(request, events, speculative)
        self.prepare(answer)
        self.asked.append(answer)
        return answer


class Client:
    """The other side of a session. What it is sent is held to the protocol as it comes."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.order = Order()
        self._say: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._changed = asyncio.Condition()

    async def receive(self) -> dict[str, Any] | None:
        return await self._say.get()

    async def send(self, event: dict[str, Any]) -> None:
        assert_valid_server_event(event)
        self.order.see(event)
        async with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def say(self, *events: Any) -> None:
        for event in events:
            self._say.put_nowait(event)

    def leave(self) -> None:
        self._say.put_nowait(None)

    async def sees(self, kind: str, count: int = 1) -> dict[str, Any]:
        """Waits for the event of this type, the `count`th one; returns it."""
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def kinds(self) -> list[str]:
        """The types in order, each once where it repeats."""
        seen: list[str] = []
        for event in self.events:
            if not seen or seen[-1] != event["type"]:
                seen.append(event["type"])
        return seen


class Session:
    """A session under test, as a context manager: it ends with the client leaving, and leaves no task behind."""

    def __init__(self, engines: Engines | None = None, model: Writer | None = None, **how: Any) -> None:
        self.engines = engines or Engines()
        self.model = model or Writer()
        self.turns: list[Any] = []
        self.client = Client()
        self.now = 100.0
        how = {"observe": self.turns.append, "clock": lambda: self.now} | how
        self.pipeline = Pipeline("writer", self.model, self.engines, **how)

    async def __aenter__(self) -> "Session":
        self._before = asyncio.all_tasks()
        self._running = asyncio.create_task(self.pipeline.run(self.client))
        await self.client.sees("session.created")
        return self

    async def __aexit__(self, *error: object) -> None:
        self.client.leave()
        async with asyncio.timeout(60):
            self.closed = await self._running
        assert asyncio.all_tasks() <= self._before
        if error[0] is None:
            self.client.order.end()
