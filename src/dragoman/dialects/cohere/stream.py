"""Streams of `/v2/chat`: server-sent events, each of a `type`.

Content blocks and tool calls are numbered apart; the plan before tool calls has no number.

| event | events |
|---|---|
| `message-start` | Begin |
| `content-start` | (a part opens with its first text) |
| `content-delta` | PartStart where none is open, PartDelta |
| `content-end` | PartEnd of thinking; text waits for its citations until the message's end |
| `tool-plan-delta` | the same, for the plan |
| `tool-call-start`, `-delta`, `-end` | PartStart, PartDelta, PartEnd |
| `citation-start` | PartPatch of the text it stands in |
| `message-end` | PartEnd of what is open; Finish, Used, End; Broken where it has an `error` |
"""

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
    Part,
    PartDelta,
    PartEnd,
    PartPatch,
    PartStart,
    Reasoning,
    Text,
    Used,
)
from dragoman.dialects import loose
from dragoman.dialects.cohere import reply as whole
from dragoman.dialects.cohere.errors import failure_of
from dragoman.wire.sse import Frames, FrameTooLong, parse

_decode = msgspec.json.Decoder().decode
_PLAN = ("plan", 0)


class StreamReader:
    """Bytes of a chat stream in, events out."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._begun = False
        self._over = False
        self._count = 0  # parts so far
        self._open: dict[tuple[str, int], int] = {}  # ("content" | "call" | "plan", their number) -> part

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        try:
            for frame in self._frames.feed(data):
                if not self._over:
                    self._frame(frame, events)
        except FrameTooLong as error:
            self._break(str(error), events)
        return events

    def close(self) -> list[Event]:
        events: list[Event] = []
        if not self._over and (rest := self._frames.rest()):
            self._frame(rest.strip() + b"\n\n", events, last=True)
        self._break("the Cohere stream ended before its message-end", events)
        return events

    def _break(self, message: str, events: list[Event]) -> None:
        if not self._over:
            self._over = True
            events.append(Broken(failure=Failure(kind="stream_broken", message=message, status=502, dialect="cohere")))

    def _frame(self, frame: bytes, events: list[Event], last: bool = False) -> None:
        event = parse(frame)
        if event is None or event.data == b"[DONE]":
            return
        try:
            data = _decode(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if not last:
                self._break("an event of the Cohere stream is not valid JSON", events)
            return
        if isinstance(data, dict):
            self._read(data, data.get("type") or event.name, events)

    def _read(self, data: JSON, kind: object, events: list[Event]) -> None:
        if not self._begun and kind != "error" and "delta" in data:
            self._begun = True
            events.append(Begin(id=loose.text(data.get("id")), dialect="cohere"))
        delta = loose.object_in(data.get("delta"))
        message = loose.object_in(delta.get("message"))
        number = loose.count(data.get("index"))
        match kind:
            case "content-delta" | "content-start":
                self._content(number, message.get("content"), data.get("logprobs"), events)
            case "tool-call-delta" | "tool-call-start":
                self._call(number, message.get("tool_calls"), kind == "tool-call-start", events)
            case "content-end":
                self._content_end(number, events)
            case "tool-call-end":
                self._shut(("call", number), events)
            case "tool-plan-delta":
                if plan := loose.text(message.get("tool_plan")):
                    self._grow(_PLAN, whole.plan_part(""), plan, events)
            case "citation-start":
                self._citation(message.get("citations"), events)
            case "message-end":
                self._end(delta, events)
            case "error":
                self._fail(str(data.get("message") or data.get("error") or "Cohere broke the stream off"), events)
            case _:
                pass

    def _fail(self, message: str, events: list[Event]) -> None:
        self._over = True
        events.append(Broken(failure=failure_of(500, message)))

    def _grow(self, key: tuple[str, int], part: Part, text: str, events: list[Event], logprobs: object = None) -> None:
        index = self._part(key, part, events)
        events.append(PartDelta(index=index, text=text, logprobs=whole.logprobs_in(logprobs) or None))

    def _part(self, key: tuple[str, int], part: Part, events: list[Event]) -> int:
        index = self._open.get(key)
        if index is None:
            index = self._open[key] = self._count
            self._count += 1
            events.append(PartStart(index=index, part=part))
        return index

    def _shut(self, key: tuple[str, int], events: list[Event]) -> None:
        index = self._open.pop(key, None)
        if index is not None:
            events.append(PartEnd(index=index))

    def _content(self, number: int, content: Any, logprobs: object, events: list[Event]) -> None:
        if not isinstance(content, dict):
            return
        if text := loose.text(content.get("text")):
            self._grow(("content", number), Text(), text, events, logprobs)
        elif thinking := loose.text(content.get("thinking")):
            self._grow(("thinking", number), Reasoning(dialect="cohere"), thinking, events)

    def _content_end(self, number: int, events: list[Event]) -> None:
        self._shut(("thinking", number), events)

    def _call(self, number: int, call: Any, starts: bool, events: list[Event]) -> None:
        if not isinstance(call, dict):
            return
        key = ("call", number)
        arguments = loose.text(loose.object_in(call.get("function")).get("arguments"))
        if starts:
            self._shut(_PLAN, events)
            part = whole.call_in(call)
            part.arguments = ""
            self._part(key, part, events)
        if arguments and key in self._open:
            events.append(PartDelta(index=self._open[key], text=arguments))

    def _citation(self, raw: Any, events: list[Event]) -> None:
        for item in raw if isinstance(raw, list) else (raw,):
            if isinstance(item, dict):
                index = self._open.get(("content", whole.content_index(item)))
                if index is not None:
                    events.append(PartPatch(index=index, citation=whole.citation_in(item)))

    def _end(self, delta: JSON, events: list[Event]) -> None:
        if error := delta.get("error"):
            self._fail(str(error), events)
            return
        for key in list(self._open):
            self._shut(key, events)
        self._over = True
        said = loose.text_or_none(delta.get("finish_reason"))
        events.append(Finish(reason=whole.FINISH.get(said or "", "stop"), raw=said))
        if (usage := whole.usage_in(delta.get("usage"))) is not None:
            events.append(Used(usage=usage))
        events.append(End())
