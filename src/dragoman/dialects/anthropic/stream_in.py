"""Server-sent events of a Messages API stream, read into canon events.

Blocks come one after another. What a block is, when it opens, and how it grows:

| block                | canon part opens  | grows by                                                   |
|----------------------|-------------------|------------------------------------------------------------|
| text                 | at its start      | text_delta; citations_delta patches it                     |
| thinking             | at its start      | thinking_delta; signature_delta patches it                 |
| redacted_thinking    | at its start      | nothing                                                    |
| tool_use             | at its start      | input_json_delta; `{}` at its stop where none came         |
| any other            | at its stop, whole (Opaque) | input_json_delta and compaction_delta are gathered |

`message_start` and `message_delta` state running totals of usage: the later lie over the earlier. `ping` and whatever
else is unknown says nothing.
"""

from typing import Any

import msgspec
from msgspec import Struct

from dragoman.canon import (
    JSON,
    Begin,
    Broken,
    End,
    Event,
    Failure,
    Finish,
    Opaque,
    PartDelta,
    PartEnd,
    PartPatch,
    PartStart,
    Reasoning,
    Text,
    ToolCall,
    Used,
)
from dragoman.dialects.anthropic.blocks_in import read_citation
from dragoman.dialects.anthropic.errors import failure_of
from dragoman.dialects.anthropic.names import NAME, STOP_REASONS
from dragoman.dialects.anthropic.reply import read_call, text
from dragoman.dialects.anthropic.usage import read_tier, read_usage
from dragoman.dialects.repeats import Repeats
from dragoman.wire import sse


class _Delta(Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    citation: JSON | None = None


class _DeltaEvent(Struct):
    delta: _Delta
    index: int = 0


_decode_delta = msgspec.json.Decoder(_DeltaEvent).decode
_decode = msgspec.json.decode
_encode = msgspec.json.encode
_DELTA_HEAD = b"event: content_block_delta\ndata: "
_DELTA_TYPE = b'"content_block_delta"'
_GROWING = {"text": "text_delta", "thinking": "thinking_delta", "tool_use": "input_json_delta"}


def _says(frame: bytes) -> str | None:
    """See `Repeats`."""
    event = sse.parse(frame)
    if event is None or _DELTA_TYPE not in event.data:
        return None
    try:
        delta = _decode_delta(event.data).delta
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    text = delta.text or delta.thinking or delta.partial_json
    plain = (
        _Delta(type=delta.type, text=text),
        _Delta(delta.type, thinking=text),
        _Delta(delta.type, partial_json=text),
    )
    return text if delta in plain else None


class _Block:
    """A block that has started and not stopped. `part` is its canon index, -1 while it is only gathered."""

    __slots__ = ("gathered", "grew", "grows_by", "kind", "part", "start")

    def __init__(self, kind: str, part: int, start: JSON) -> None:
        self.kind = kind
        self.part = part
        self.start = start
        self.grows_by = _GROWING.get(kind, "")
        self.gathered: list[str] = []
        self.grew = False


class StreamReader:
    """Bytes in, canon events out."""

    def __init__(self) -> None:
        self._frames = sse.Frames()
        self._repeats = Repeats(_says)
        self._blocks: dict[int, _Block] = {}
        self._parts = 0
        self._usage: JSON = {}
        self._begun = False
        self._finished = False
        self._over = False

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        if self._over:
            return events
        try:
            frames = self._frames.feed(data)
        except sse.FrameTooLong as error:
            return self._break(Failure(kind="stream_broken", message=str(error), status=502, dialect=NAME))
        for frame in frames:
            if (known := self._repeats.read(frame)) is not None:
                events.append(known)
                continue
            count = len(events)
            self._frame(frame, events)
            if self._over:
                break
            if len(events) == count + 1 and isinstance(said := events[-1], PartDelta):
                self._repeats.learn(frame, said)
        return events

    def close(self) -> list[Event]:
        if self._over:
            return []
        events: list[Event] = []
        rest = self._frames.rest()
        if rest.strip():  # a last event whose blank line never came
            self._frame(rest.replace(b"\r\n", b"\n").rstrip(b"\r\n") + b"\n\n", events)
        if not self._over:
            message = "the provider's stream ended before message_stop"
            events += self._break(Failure(kind="stream_broken", message=message, status=502, dialect=NAME))
        return events

    def _break(self, failure: Failure) -> list[Event]:
        self._over = True
        return [Broken(failure=failure)]

    def _frame(self, frame: bytes, events: list[Event]) -> None:
        if frame.startswith(_DELTA_HEAD) and frame.find(b"\n", 34) == len(frame) - 2:
            data = frame[33:-2]  # by far the most common frame, in the maker's own spelling
        else:
            event = sse.parse(frame)
            if event is None:
                return
            data = event.data
            if _DELTA_TYPE not in data:
                self._other(data, events)
                return
        try:
            decoded = _decode_delta(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._other(data, events)
            return
        self._delta(decoded, data, events)

    def _delta(self, event: _DeltaEvent, data: bytes, events: list[Event]) -> None:
        block = self._blocks.get(event.index)
        if block is None:
            return
        delta = event.delta
        grown = delta.text or delta.thinking or delta.partial_json
        if grown and delta.type == block.grows_by:
            block.grew = True
            events.append(PartDelta(index=block.part, text=grown))
        elif delta.signature and block.kind == "thinking":
            events.append(PartPatch(index=block.part, signature=delta.signature))
        elif delta.citation is not None and block.kind == "text":
            events.append(PartPatch(index=block.part, citation=read_citation(delta.citation)))
        elif block.part < 0:
            self._gather(block, delta, data)

    def _gather(self, block: _Block, delta: _Delta, data: bytes) -> None:
        if delta.partial_json:
            block.gathered.append(delta.partial_json)
        elif delta.type != "input_json_delta":
            try:
                whole: JSON = _decode(data)["delta"]
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return
            whole.pop("type", None)
            block.start.update({name: value for name, value in whole.items() if value is not None})

    def _other(self, data: bytes, events: list[Event]) -> None:
        event: Any
        try:
            event = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if not isinstance(event, dict):
            return
        match event.get("type"):
            case "message_start":
                self._start(event.get("message"), events)
            case "content_block_start":
                self._block_start(event, events)
            case "content_block_stop":
                self._block_stop(event.get("index"), events)
            case "message_delta":
                self._message_delta(event, events)
            case "message_stop":
                self._stop(events)
            case "error":
                error = event.get("error")
                events += self._break(failure_of(0, error if isinstance(error, dict) else {}, data))

    def _start(self, message: Any, events: list[Event]) -> None:
        if self._begun:
            return
        self._begun = True
        message = message if isinstance(message, dict) else {}
        usage = message.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        events.append(
            Begin(
                id=text(message.get("id")),
                model=text(message.get("model")),
                service_tier=read_tier(usage),
                dialect=NAME,
            )
        )
        self._use(usage, events)

    def _use(self, stated: Any, events: list[Event]) -> None:
        if isinstance(stated, dict) and stated:
            self._usage.update({name: value for name, value in stated.items() if value is not None})
            events.append(Used(usage=read_usage(self._usage)))

    def _block_start(self, event: JSON, events: list[Event]) -> None:
        index, start = event.get("index"), event.get("content_block")
        if not isinstance(index, int) or not isinstance(start, dict) or not isinstance(start.get("type"), str):
            return
        if self._finished:
            return
        if not self._begun:
            self._start(None, events)
        if index in self._blocks:
            self._block_stop(index, events)
        kind: str = start["type"]
        block = self._blocks[index] = _Block(kind, -1, start)
        part: Text | Reasoning | ToolCall
        match kind:
            case "text":
                part = Text()
                first = text(start.get("text"))
            case "thinking":
                part = Reasoning(signature=start.get("signature") or None, dialect=NAME)
                first = text(start.get("thinking"))
            case "redacted_thinking":
                part = Reasoning(encrypted=text(start.get("data")), dialect=NAME)
                first = ""
            case "tool_use":
                part = read_call(start, "")
                first = ""
            case _:
                return
        block.part = self._parts
        self._parts += 1
        events.append(PartStart(index=block.part, part=part))
        if first:
            events.append(PartDelta(index=block.part, text=first))

    def _block_stop(self, index: Any, events: list[Event]) -> None:
        block = self._blocks.pop(index, None) if isinstance(index, int) else None
        if block is None:
            return
        self._repeats.forget()
        if block.part >= 0:
            if block.kind == "tool_use" and not block.grew:
                events.append(PartDelta(index=block.part, text=_encode(block.start.get("input") or {}).decode()))
        else:
            if block.gathered:
                block.start["input"] = _object("".join(block.gathered))
            block.part = self._parts
            self._parts += 1
            part = Opaque(dialect=NAME, kind=block.kind, data=block.start)
            events.append(PartStart(index=block.part, part=part))
        events.append(PartEnd(index=block.part))

    def _message_delta(self, event: JSON, events: list[Event]) -> None:
        delta = event.get("delta")
        reason = delta.get("stop_reason") if isinstance(delta, dict) else None
        if isinstance(delta, dict) and isinstance(reason, str) and not self._finished:
            sequence = delta.get("stop_sequence")
            self._finish(reason, sequence if isinstance(sequence, str) else None, events)
        self._use(event.get("usage"), events)

    def _finish(self, reason: str | None, sequence: str | None, events: list[Event]) -> None:
        for index in list(self._blocks):
            self._block_stop(index, events)
        self._finished = True
        events.append(Finish(reason=STOP_REASONS.get(reason or "", "stop"), stop_sequence=sequence, raw=reason))

    def _stop(self, events: list[Event]) -> None:
        if not self._begun:
            self._start(None, events)
        if not self._finished:
            self._finish(None, None, events)
        events.append(End())
        self._over = True


def _object(gathered: str) -> Any:
    try:
        return _decode(gathered)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return gathered
