"""A provider's event stream into canon events.

| wire                                                    | canon                                                     |
|---------------------------------------------------------|-----------------------------------------------------------|
| response.created, .queued, .in_progress (the first)     | Begin                                                     |
| output_item.added of a call                             | PartStart                                                 |
| output_text, refusal, reasoning (summary) text delta    | PartStart where it is the part's first, PartDelta         |
| function_call_arguments, custom_tool_call_input delta   | PartDelta                                                 |
| output_text.annotation.added                            | PartPatch                                                 |
| content_part.done, output_item.done                     | what no delta brought, PartPatch (encrypted), PartEnd     |
| response.completed, .incomplete                         | items no event brought, Finish, Used, End                 |
| response.failed, error                                  | Broken                                                    |

A part is known by (output_index, what it is, content_index). Deltas are decoded into `_Head` alone, which leaves the
fields it does not name unbuilt; the few other events are decoded whole.
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
    Part,
    PartDelta,
    PartEnd,
    PartPatch,
    PartStart,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Used,
)
from dragoman.dialects.openai_responses.content import read_citation, read_logprobs
from dragoman.dialects.openai_responses.errors import read_failure
from dragoman.dialects.openai_responses.items import BETWEEN_SUMMARIES
from dragoman.dialects.openai_responses.name import NAME
from dragoman.dialects.openai_responses.read_reply import read_call, read_finish, read_item, read_said, read_usage
from dragoman.wire import sse


class _Head(Struct):
    """What a delta says."""

    type: str = ""
    delta: Any = None
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    logprobs: Any = None


_head = msgspec.json.Decoder(_Head).decode
_whole = msgspec.json.Decoder().decode

# the deltas that matter, and what kind of part they grow
_DELTAS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "text",
    "response.function_call_arguments.delta": "call",
    "response.custom_tool_call_input.delta": "call",
    "response.reasoning_summary_text.delta": "summary",
    "response.reasoning_text.delta": "raw",
    "response.reasoning.delta": "raw",  # as the Open Responses specification names it
}
_BEGINS = frozenset({"response.created", "response.queued", "response.in_progress"})
_ENDS = frozenset({"response.completed", "response.incomplete", "response.done"})

_NEWLINE = 10
_SAYS_NOTHING = frozenset({b"", b"[DONE]"})


def _data_of(frame: bytes) -> bytes:
    event = sse.parse(frame)
    return event.data if event is not None else b""


class _Open(Struct):
    """A part that has been started. `at` is the summary part that its last text was of."""

    index: int
    grown: bool = False
    ended: bool = False
    at: int = 0
    citations: int = 0


class StreamReader:
    """See the module's table. `response` is the final response object, once the stream has ended."""

    def __init__(self) -> None:
        self.response: JSON | None = None
        self._frames = sse.Frames()
        self._out: list[Event] = []
        self._parts: dict[tuple[int, str, int], _Open] = {}
        self._items: dict[int, JSON] = {}  # items as they were added, by output_index
        self._done: set[int] = set()
        self._count = 0
        self._begun = self._over = self._called = self._refused = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete with `data`."""
        if self._over:
            return []
        self._out = []
        try:
            for frame in self._frames.feed(data):
                self._frame(frame)
                if self._over:
                    break
        except sse.FrameTooLong as error:
            self._break(str(error))
        return self._out

    def close(self) -> list[Event]:
        """The connection has ended."""
        if self._over:
            return []
        self._out = []
        if self._frames.rest().strip():
            self._frame(self._frames.rest() + b"\n\n", last=True)
        if not self._over:
            self._break("the provider's stream ended before response.completed")
        return self._out

    def _break(self, message: str) -> None:
        self._over = True
        self._out.append(Broken(failure=Failure(kind="stream_broken", message=message, status=502, dialect=NAME)))

    def _frame(self, frame: bytes, last: bool = False) -> None:
        # nearly always the frame ends in one data line, and JSON does not mind the newlines after it
        at = frame.find(b"data: ")
        if at > 0 and frame[at - 1] != _NEWLINE:
            at = -1
        try:
            data = frame[at + 6 :] if at >= 0 else _data_of(frame)
            try:
                head = _head(data)
            except msgspec.ValidationError:
                return  # an event of another shape than any we know
            except (msgspec.DecodeError, RecursionError):
                data = _data_of(frame)
                if data.strip() in _SAYS_NOTHING:
                    return
                head = _head(data)
        except msgspec.ValidationError:
            return
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if not last:
                self._break("the provider sent an event that is not JSON")
            return
        kind = _DELTAS.get(head.type)
        if kind is not None:
            if head.delta and isinstance(head.delta, str):
                self._delta(head, kind)
        else:
            try:
                event = _whole(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._break("the provider sent an event that is not JSON")
                return
            self._event(head.type, event)

    def _delta(self, head: _Head, kind: str) -> None:
        # one part holds all texts of a kind of reasoning, and a call has but one
        place = head.content_index if kind == "text" else 0
        part = self._parts.get((head.output_index, kind, place))
        if part is None:
            if head.output_index in self._done:
                return
            part = self._start((head.output_index, kind, place), self._hollow(head, kind))
        elif part.ended:
            return
        text = head.delta
        if kind == "summary":
            if head.summary_index != part.at and part.grown:
                text = BETWEEN_SUMMARIES + text
            part.at = head.summary_index
        part.grown = True
        logprobs = read_logprobs(head.logprobs) if head.logprobs else None
        self._out.append(PartDelta(index=part.index, text=text, logprobs=logprobs))

    def _hollow(self, head: _Head, kind: str) -> Part:
        """The part that a first delta opens."""
        item = self._items.get(head.output_index, {})
        item_id = item.get("id") if isinstance(item.get("id"), str) else None
        match kind:
            case "call":
                return ToolCall(item_id=item_id, kind="custom" if "custom" in head.type else "function")
            case "summary" | "raw":
                return Reasoning(dialect=NAME, id=item_id, summary=kind == "summary")
            case _ if "refusal" in head.type:
                return Refusal(id=item_id)
            case _:
                return Text(id=item_id, extra=_phase(item))

    def _start(self, key: tuple[int, str, int], part: Part) -> _Open:
        if not self._begun:
            self._begin({})
        opened = _Open(self._count)
        self._parts[key] = opened
        self._count += 1
        self._called = self._called or isinstance(part, ToolCall)
        self._refused = self._refused or isinstance(part, Refusal)
        self._out.append(PartStart(index=opened.index, part=part))
        return opened

    # events other than deltas

    def _event(self, kind: str, event: JSON) -> None:
        response = event.get("response")
        if kind in _BEGINS:
            if not self._begun:
                self._begin(response if isinstance(response, dict) else {})
        elif kind in _ENDS:
            self._end(response if isinstance(response, dict) else {})
        elif kind == "response.failed":
            self._fail(response if isinstance(response, dict) else {})
        elif kind == "error":
            self._over = True
            self._out.append(Broken(failure=read_failure(event)))
        else:
            self._item_event(kind, event, event.get("output_index"))

    def _item_event(self, kind: str, event: JSON, output_index: object) -> None:
        if not isinstance(output_index, int):
            return
        item, part = event.get("item"), event.get("part")
        given = event.get("content_index")
        content_index = given if isinstance(given, int) else 0
        match kind:
            case "response.output_item.added" if isinstance(item, dict):
                self._added(output_index, item)
            case "response.output_item.done" if isinstance(item, dict):
                self._item_done(output_index, item)
            case "response.content_part.done" if isinstance(part, dict):
                self._content_done(output_index, content_index, part)
            case "response.output_text.annotation.added" if isinstance(event.get("annotation"), dict):
                key = (output_index, "text", content_index)
                if key not in self._parts:
                    self._start(key, self._hollow(_Head("", output_index=output_index), "text"))
                self._cite(self._parts[key], event["annotation"])

    def _cite(self, opened: _Open, annotation: JSON) -> None:
        if not opened.ended:
            opened.citations += 1
            self._out.append(PartPatch(index=opened.index, citation=read_citation(annotation)))

    def _finish_part(self, opened: _Open) -> None:
        if not opened.ended:
            opened.ended = True
            self._out.append(PartEnd(index=opened.index))

    def _begin(self, response: JSON) -> None:
        self._begun = True
        created, tier = response.get("created_at"), response.get("service_tier")
        self._out.append(
            Begin(
                id=_text(response.get("id")),
                model=_text(response.get("model")),
                created=int(created) if isinstance(created, int | float) else 0,
                service_tier=_text(tier) or None,
                dialect=NAME,
            )
        )

    def _added(self, output_index: int, item: JSON) -> None:
        self._items[output_index] = item
        kind = item.get("type")
        if kind in ("function_call", "custom_tool_call") and (output_index, "call", 0) not in self._parts:
            call = read_call(item, str(kind))
            call.arguments = ""
            self._start((output_index, "call", 0), call)

    def _content_done(self, output_index: int, content_index: int, wire: JSON) -> None:
        """Completes a text or refusal. A later event about it finds it done."""
        if wire.get("type") not in ("output_text", "refusal"):
            return
        key = (output_index, "text", content_index)
        opened = self._parts.get(key)
        if opened is not None and opened.ended:
            return
        part = read_said(wire, self._items.get(output_index, {}))
        if opened is None:
            if part is None:
                return
            opened = self._start(key, _hollowed(part))
        if not opened.grown and isinstance(part, Text | Refusal) and part.text:
            logprobs = part.logprobs if isinstance(part, Text) else None
            self._out.append(PartDelta(index=opened.index, text=part.text, logprobs=logprobs))
        if isinstance(part, Text):
            for citation in part.citations[opened.citations :]:
                self._out.append(PartPatch(index=opened.index, citation=citation))
        self._finish_part(opened)

    def _item_done(self, output_index: int, item: JSON) -> None:
        if output_index in self._done:
            return
        self._done.add(output_index)
        self._items.setdefault(output_index, item)
        match item.get("type"):
            case "message":
                content = item.get("content")
                for i, part in enumerate(content if isinstance(content, list) else ()):
                    if isinstance(part, dict):
                        self._content_done(output_index, i, part)
                for key, opened in self._parts.items():
                    if key[0] == output_index:
                        self._finish_part(opened)
            case "function_call" | "custom_tool_call" as kind:
                self._call_done(output_index, read_call(item, kind))
            case "reasoning":
                self._thought(output_index, item)
            case _:
                for part in read_item(item):
                    self._outright(part, (output_index, "call", 0))

    def _call_done(self, output_index: int, call: ToolCall) -> None:
        key = (output_index, "call", 0)
        opened = self._parts.get(key) or self._start(key, msgspec.structs.replace(call, arguments=""))
        if not opened.grown and call.arguments:
            self._out.append(PartDelta(index=opened.index, text=call.arguments))
        self._finish_part(opened)

    def _thought(self, output_index: int, item: JSON) -> None:
        part = read_item(item)[0]
        encrypted = part.encrypted if isinstance(part, Reasoning) else None
        opened = [self._parts[key] for kind in ("raw", "summary") if (key := (output_index, kind, 0)) in self._parts]
        if not opened:
            self._outright(part, (output_index, "raw", 0))
        for each in opened:
            if encrypted is not None and each is opened[-1]:
                self._out.append(PartPatch(index=each.index, encrypted=encrypted))
            self._finish_part(each)

    def _outright(self, part: Part, key: tuple[int, str, int]) -> None:
        """A part that comes whole."""
        opened = self._start(key, _hollowed(part))
        if not isinstance(part, Opaque) and (text := _text_of(part)):
            self._out.append(PartDelta(index=opened.index, text=text))
        self._finish_part(opened)

    def _end(self, response: JSON) -> None:
        if not self._begun:
            self._begin(response)
        items = response.get("output")
        for i, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, dict):
                self._item_done(i, item)
        for opened in self._parts.values():  # of items that were never said to be done
            self._finish_part(opened)
        parts: list[Part] = [Refusal()] if self._refused else []
        reason, raw = read_finish(response, self._called, parts)
        self._out.append(Finish(reason=reason, raw=raw))
        if (usage := read_usage(response.get("usage"))) is not None:
            self._out.append(Used(usage=usage))
        self._out.append(End())
        self.response, self._over = response, True

    def _fail(self, response: JSON) -> None:
        self._over = True
        self.response = response
        if (usage := read_usage(response.get("usage"))) is not None:
            self._out.append(Used(usage=usage))
        self._out.append(Broken(failure=read_failure(response)))


def _phase(item: JSON) -> JSON | None:
    return {"phase": item["phase"]} if item.get("phase") else None


def _hollowed(part: Part) -> Part:
    """The part before its text has come."""
    match part:
        case Text():
            return msgspec.structs.replace(part, text="", logprobs=None, citations=[])
        case Refusal() | Reasoning():
            return msgspec.structs.replace(part, text="")
        case ToolCall():
            return msgspec.structs.replace(part, arguments="")
        case _:
            return part


def _text_of(part: Part) -> str:
    return part.arguments if isinstance(part, ToolCall) else getattr(part, "text", "") or ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
