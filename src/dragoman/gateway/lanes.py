"""Bringing an upstream's answer to the client: relayed or converted, whole or as a stream.

Each function returns when the client has everything, and books right before the bytes that end it (law 9).
"""

import asyncio
import time
from typing import Protocol

from dragoman.canon import Begin, Broken, End, Event, Failed, Failure, Finish, PartDelta, Reply, Request, Usage, Used
from dragoman.dialects.dialect import Seen, StreamReader, StreamWriter
from dragoman.dialects.fields import Malformed
from dragoman.gateway.attempts import Answer
from dragoman.gateway.call import JSON_TYPE, Out, Story
from dragoman.gateway.failures import broken, gave_up, masked, unreadable, wire_failure
from dragoman.gateway.priming import FILTERED
from dragoman.gateway.tap import Tap
from dragoman.wire import reply as wire
from dragoman.wire.errors import WireError
from dragoman.wire.sse import FrameTooLong

REPLY_LIMIT = 256 * 1024 * 1024
LINGER = 1.0  # seconds an upstream may keep a stream open after its end mark


async def relay_whole(story: Story, answer: Answer, unfiltered: bool = False) -> None:
    """The provider's whole reply, as it came. Raises `Failed` while nothing has gone out; with `unfiltered` also where
    it is nothing but a refusal by the provider's filter."""
    body = answer.reply.at_once(REPLY_LIMIT) or await _whole(answer)
    if unfiltered:
        _refuse_filtered(_read(answer, body))
    usage = story.call.dialect.usage_of(body)
    if usage is not None:
        story.used(usage)
    content_type = answer.reply.header(b"content-type") or b"application/json"
    await story.whole(200, content_type, body)
    answer.whole()


async def convert_whole(story: Story, answer: Answer, unfiltered: bool = False) -> None:
    """The provider's whole reply in the client's dialect. Raises as `relay_whole`."""
    reply = _read(answer, answer.reply.at_once(REPLY_LIMIT) or await _whole(answer))
    if unfiltered:
        _refuse_filtered(reply)
    for choice in reply.choices:
        if choice.finish == "error":
            raise Failed(gave_up(choice.raw_finish))
    reply.created = reply.created or int(time.time())
    reply.id = story.call.id if story.call.own_ids else reply.id or story.call.id
    story.version = reply.model or None
    reply.model = reply.model or answer.seat.target.model  # not every provider names it
    if reply.usage is not None:
        story.used(reply.usage)
    body = story.call.dialect.write_reply(reply, answer.outgoing.read_request())
    await story.whole(200, JSON_TYPE, body)
    answer.whole()


async def _whole(answer: Answer) -> bytes:
    try:
        return await answer.reply.read(REPLY_LIMIT)
    except WireError as error:
        raise Failed(wire_failure(error)) from None


def _read(answer: Answer, body: bytes) -> Reply:
    try:
        return answer.outgoing.dialect.read_reply(body)
    except Malformed as error:
        raise Failed(unreadable(error)) from None


def _refuse_filtered(reply: Reply) -> None:
    if reply.choices and all(choice.finish == "content_filter" and not choice.parts for choice in reply.choices):
        raise Failed(FILTERED)


async def relay_stream(story: Story, answer: Answer, withhold_usage: bool) -> None:
    """The provider's stream, byte for byte; a break becomes the dialect's error event."""
    dialect, reply, out = story.call.dialect, answer.reply, story.out
    seen = Seen(withhold_usage=withhold_usage)
    lane = _Relay(Tap(dialect, seen), seen, out)
    data = await first_piece(answer)
    await out.start(200, story.head(dialect.STREAM_TYPE.encode()))
    story.row.ttft = story.elapsed()
    answer.began()
    failure: Failure | None = None
    try:
        await run(lane, data, reply, out)
        data = lane.last if seen.failure is None else _masked_bytes(lane.last, answer)
        if seen.ended and not reply.complete:
            data += await _rest(lane.tap, answer)
    except (WireError, FrameTooLong) as error:
        failure, data = broken(error), b""
    finally:
        count(story, seen.usage, lane.pieces)
        story.version = seen.model
    if failure is None and not seen.ended and seen.failure is None:
        failure = broken(None)
    if failure is not None:
        end = Broken(failure=masked(failure, answer.seat.account.hide))
        data += dialect.StreamWriter(Request(dialect=dialect.NAME)).write([end])
    failure = failure or seen.failure
    story.row.error = failure.kind if failure else None
    story.book()
    await out.finish(data)


async def convert_stream(story: Story, answer: Answer) -> None:
    """The provider's stream, event by event, in the client's dialect."""
    call, reply, out = story.call, answer.reply, story.out
    reader: StreamReader = answer.outgoing.dialect.StreamReader()
    writer: StreamWriter = (call.writer or call.dialect.StreamWriter)(answer.outgoing.read_request())
    lane = Conversion(reader, writer, story, answer.seat.target.model)
    data = await first_piece(answer)
    await out.start(200, story.head((call.stream_type or call.dialect.STREAM_TYPE).encode()))
    story.row.ttft = story.elapsed()
    answer.began()
    try:
        await run(lane, data, reply, out)
        last = lane.last
    except (WireError, FrameTooLong, Malformed) as error:
        last = [Broken(failure=broken(error))]
    finally:
        count(story, lane.usage, lane.frames)
    if last and isinstance(last[-1], Broken):
        story.row.error = masked(last[-1].failure, answer.seat.account.hide).kind
    data = writer.write(last)
    story.book()
    await out.finish(data)


class _Lane(Protocol):
    """A stream on its way. `over`: its end has been read; what is to be written with it waits."""

    over: bool

    def take(self, data: bytes) -> bool:
        """A piece has come. Whether the next may come at once; False where the client is slow, or all is over."""
        ...

    def close(self) -> None:
        """The body has ended, `over` or not. Raises `FrameTooLong`, `Malformed`."""
        ...


async def run(lane: _Lane, first: bytes, reply: wire.Reply, out: Out) -> None:
    """Brings a stream on its way until it is over. Raises `WireError`, and what `lane.close` does."""
    stopped = not lane.take(first)
    while not lane.over:
        if stopped:
            await out.drained()
        stopped = await reply.pour(lane.take)
        if not stopped:
            break
    lane.close()


class _Relay:
    __slots__ = ("_error", "_out", "_seen", "last", "over", "pieces", "tap")

    def __init__(self, tap: Tap, seen: Seen, out: Out) -> None:
        self.tap = tap
        self.over = False
        self.last = b""
        self.pieces = 0
        self._seen = seen
        self._out = out
        self._error: FrameTooLong | None = None

    def take(self, data: bytes) -> bool:
        try:
            data = self.tap.feed(data)
        except FrameTooLong as error:
            self._error, self.over = error, True
            return False
        self.pieces += 1
        if self._seen.ended or self._seen.failure:
            self.last, self.over = data, True
            return False
        return not data or self._out.push(data)

    def close(self) -> None:
        if self._error is not None:
            raise self._error
        if not self.over:
            self.last = self.tap.rest()


class Conversion:
    __slots__ = ("_error", "_model", "_out", "_reader", "_story", "_writer", "frames", "last", "over", "usage")

    def __init__(self, reader: StreamReader, writer: StreamWriter, story: Story, model: str) -> None:
        self.over = False
        self.last: list[Event] = []
        self.usage: Usage | None = None
        self.frames = 0
        self._reader = reader
        self._writer = writer
        self._story = story
        self._model = model
        self._out = story.out
        self._error: FrameTooLong | Malformed | None = None

    def take(self, data: bytes) -> bool:
        try:
            events = self._seen(self._reader.feed(data))
        except (FrameTooLong, Malformed) as error:
            self._error, self.over = error, True
            return False
        if events and type(events[-1]) in (End, Broken):
            self.last, self.over = events, True
            return False
        text = self._writer.write(events) if events else b""
        return not text or self._out.push(text)

    def close(self) -> None:
        if self._error is not None:
            raise self._error
        if not self.over:
            self.last = self._seen(self._reader.close())

    def _seen(self, events: list[Event]) -> list[Event]:
        """Notes what the story needs to know, and completes what the provider left out."""
        self.frames += len(events)
        for event in events:
            if type(event) is PartDelta:
                continue
            if type(event) is Used:
                self.usage = event.usage
            elif type(event) is Begin:
                event.created = event.created or int(time.time())
                self._story.version = event.model or None
                event.model = event.model or self._model
                event.id = self._story.call.id if self._story.call.own_ids else event.id or self._story.call.id
            elif (
                type(event) is Finish and event.reason == "error"
            ):  # whatever else the provider says: no end of an answer
                return [
                    *(e for e in events if type(e) not in (Finish, End, Broken)),
                    Broken(failure=gave_up(event.raw)),
                ]
        return events


async def first_piece(answer: Answer) -> bytes:
    """The first of a stream; a break before it can still be told as an ordinary error."""
    if answer.primed:
        return answer.primed
    try:
        return await answer.reply.decoded()
    except WireError as error:
        raise Failed(wire_failure(error)) from None


async def _rest(tap: Tap, answer: Answer) -> bytes:
    """What comes between the end mark and the end of the connection: usually nothing, at once."""
    kept = b""
    try:
        async with asyncio.timeout(LINGER):
            while data := await answer.reply.decoded():
                kept += tap.feed(data)
    except (TimeoutError, WireError):
        pass  # the stream is whole; how the connection ends does not matter any more
    return kept


def count(story: Story, usage: Usage | None, frames: int) -> None:
    """The stream's usage; where the provider told none (or was cut off), about a token a frame, marked estimated."""
    story.used(usage if usage is not None else Usage(output=frames, estimated=True))


def _masked_bytes(data: bytes, answer: Answer) -> bytes:
    """What a relayed stream ends with when its provider tells of a failure; to the byte, where no secret is in it."""
    return answer.seat.account.hide(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
