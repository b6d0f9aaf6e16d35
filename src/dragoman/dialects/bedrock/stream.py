"""Streams of ConverseStream: an AWS event stream whose messages are JSON.

A block is open from its start (tools, images) or its first delta with something in it (text, thinking) to its stop.

| message | events |
|---|---|
| `messageStart` | Begin |
| `contentBlockStart` with `toolUse`, `image` | PartStart |
| `contentBlockDelta` | PartStart where none is open, PartDelta; PartPatch for signature, redacted content, citation |
| `contentBlockStop` | PartEnd |
| `messageStop` | Finish |
| `metadata` | Used, End |
| an exception | Broken |

What Bedrock's own tools were asked and gave is gathered and comes whole, as `Opaque`, at its block's stop. The end mark
is `messageStop`; `metadata` follows it, and the stream counts as whole without.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Any

import msgspec

from dragoman.canon import (
    JSON,
    Begin,
    Broken,
    End,
    Event,
    Failure,
    Finish,
    Media,
    Part,
    PartDelta,
    PartEnd,
    PartPatch,
    PartStart,
    Reasoning,
    Text,
    ToolCall,
    Used,
)
from dragoman.dialects import loose
from dragoman.dialects.bedrock import reply as whole
from dragoman.dialects.bedrock.errors import read_exception
from dragoman.wire.eventstream import BadMessage, Message, Messages

_decode = msgspec.json.Decoder().decode


class StreamReader:
    """Bytes of a ConverseStream in, events out."""

    def __init__(self) -> None:
        self._messages = Messages()
        self._begun = False
        self._finished = False
        self._over = False
        self._count = 0  # parts so far
        self._open: dict[int, int] = {}  # block -> part
        self._gathered: dict[int, JSON] = {}  # blocks that come out whole
        self._secrets: dict[int, bytes] = {}  # block -> redacted content so far

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        fault = ""
        messages: Iterable[Message]
        try:
            messages = self._messages.feed(data)
        except BadMessage as error:
            messages, fault = error.before, str(error)
        try:
            for message in messages:
                if not self._over:
                    self._read(message, events)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._break("a message of the Bedrock stream is not valid JSON", events)
        if fault:
            self._break(fault, events)
        return events

    def close(self) -> list[Event]:
        if self._over:
            return []
        events: list[Event] = []
        if self._finished and not self._messages.rest():
            self._over = True
            return [End()]
        self._break("the Bedrock stream ended before its messageStop", events)
        return events

    def _break(self, message: str, events: list[Event]) -> None:
        if not self._over:
            self._over = True
            events.append(Broken(failure=Failure(kind="stream_broken", message=message, status=502, dialect="bedrock")))

    def _read(self, message: Message, events: list[Event]) -> None:
        headers = message.headers
        if headers.get(":message-type") != "event":
            self._fail(message, events)
            return
        data = _decode(message.payload or b"{}")
        if not isinstance(data, dict):
            return
        if not self._begun:
            self._begun = True
            events.append(Begin(dialect="bedrock"))
        match headers.get(":event-type"):
            case "contentBlockDelta":
                if not self._finished:
                    self._delta(data, events)
            case "contentBlockStart":
                if not self._finished:
                    self._start(data, events)
            case "contentBlockStop":
                self._stop(loose.count(data.get("contentBlockIndex")), events)
            case "messageStop":
                self._finish(data, events)
            case "metadata":
                self._metadata(data, events)
            case _:
                pass

    def _fail(self, message: Message, events: list[Event]) -> None:
        """An exception of the service's model, or an error below it (which has code and message as headers)."""
        headers = message.headers
        name = str(headers.get(":exception-type") or headers.get(":error-code") or "unknown")
        payload = message.payload
        if ":error-message" in headers and not payload:
            payload = msgspec.json.encode({"message": str(headers[":error-message"])})
        self._over = True
        events.append(Broken(failure=read_exception(name, payload)))

    # blocks

    def _start(self, data: JSON, events: list[Event]) -> None:
        block = loose.count(data.get("contentBlockIndex"))
        match data.get("start"):
            case {"toolUse": dict(call)} if not call.get("type"):
                part = ToolCall(id=loose.text(call.get("toolUseId")), name=loose.text(call.get("name")))
                self._part(block, part, events)
            case {"toolUse": dict(call)}:
                self._gathered[block] = {"toolUse": {**call, "input": ""}}
            case {"toolResult": dict(result)}:
                self._gathered[block] = {"toolResult": {**result, "content": []}}
            case {"image": dict(image)}:
                self._part(block, Media(kind="image", mime=whole.MIMES.get(loose.text(image.get("format")))), events)
            case _:
                pass

    def _part(self, block: int, part: Part, events: list[Event]) -> int:
        index = self._open.get(block)
        if index is None:
            index = self._open[block] = self._count
            self._count += 1
            events.append(PartStart(index=index, part=part))
        return index

    def _delta(self, data: JSON, events: list[Event]) -> None:
        block = loose.count(data.get("contentBlockIndex"))
        delta: Any = data.get("delta")
        if not isinstance(delta, dict):
            return
        if (text := delta.get("text")) and isinstance(text, str):
            index = self._open.get(block)
            if index is None:
                index = self._part(block, Text(), events)
            events.append(PartDelta(index=index, text=text))
        elif block in self._gathered:
            self._gather(self._gathered[block], delta)
        elif call := loose.object_in(delta.get("toolUse")):
            if (text := loose.text(call.get("input"))) and block in self._open:
                events.append(PartDelta(index=self._open[block], text=text))
        elif thinking := loose.object_in(delta.get("reasoningContent")):
            self._thinking(block, thinking, events)
        elif citation := loose.object_in(delta.get("citation")):
            index = self._part(block, Text(), events)
            events.append(PartPatch(index=index, citation=whole.citation_in(citation)))
        elif (image := delta.get("image")) and block in self._open and (piece := _bytes_in(image)):
            events.append(PartDelta(index=self._open[block], data=piece))

    def _thinking(self, block: int, thinking: JSON, events: list[Event]) -> None:
        if text := loose.text(thinking.get("text")):
            events.append(PartDelta(index=self._part(block, Reasoning(dialect="bedrock"), events), text=text))
        if signature := loose.text(thinking.get("signature")):
            index = self._part(block, Reasoning(dialect="bedrock"), events)
            events.append(PartPatch(index=index, signature=signature))
        if secret := loose.text(thinking.get("redactedContent")):
            index = self._part(block, Reasoning(dialect="bedrock"), events)
            events.append(PartPatch(index=index, encrypted=self._redacted(block, secret)))

    def _redacted(self, block: int, piece: str) -> str:
        """All of a block's redacted content so far: its pieces are base64 of their own."""
        try:
            data = base64.b64decode(piece)
        except (binascii.Error, ValueError):
            return piece
        self._secrets[block] = data = self._secrets.get(block, b"") + data
        return base64.b64encode(data).decode()

    def _gather(self, gathered: JSON, delta: JSON) -> None:
        if "toolUse" in gathered and isinstance(call := delta.get("toolUse"), dict):
            gathered["toolUse"]["input"] += loose.text(call.get("input"))
        elif "toolResult" in gathered:
            content = gathered["toolResult"]["content"]
            for piece in loose.objects(delta.get("toolResult")):
                if "text" in piece and content and "text" in content[-1]:
                    content[-1] = {"text": loose.text(content[-1]["text"]) + loose.text(piece["text"])}
                else:
                    content.append(piece)

    def _stop(self, block: int, events: list[Event]) -> None:
        index = self._open.pop(block, None)
        if index is not None:
            events.append(PartEnd(index=index))
        elif gathered := self._gathered.pop(block, None):
            if call := gathered.get("toolUse"):
                call["input"] = _json_in(call["input"])
            events.append(PartStart(index=self._count, part=whole.opaque(gathered)))
            events.append(PartEnd(index=self._count))
            self._count += 1

    # the end

    def _finish(self, data: JSON, events: list[Event]) -> None:
        if self._finished:
            return
        for block in [*self._open, *self._gathered]:
            self._stop(block, events)
        self._finished = True
        said = loose.text_or_none(data.get("stopReason"))
        sequence = whole.stop_sequence_in(data.get("additionalModelResponseFields"))
        events.append(Finish(reason=whole.FINISH.get(said or "", "stop"), stop_sequence=sequence, raw=said))

    def _metadata(self, data: JSON, events: list[Event]) -> None:
        usage = whole.usage_in(data.get("usage"))
        if usage is not None:
            events.append(Used(usage=usage))
        if self._finished:
            self._over = True
            events.append(End())


def _bytes_in(image: object) -> str:
    match image:
        case {"source": {"bytes": str(piece)}}:
            return piece
    return ""


def _json_in(text: str) -> Any:
    try:
        return _decode(text) if text else {}
    except (msgspec.DecodeError, RecursionError):
        return text
