"""Canon events into the client's event stream.

An item is a row of events; what is in brackets comes only where there is something to say:

    message      output_item.added, for each part (content_part.added, delta…, .done, content_part.done),
                 output_item.done
    reasoning    output_item.added, [reasoning_summary_part.added, summary_text.delta…, .done, summary_part.done],
                 output_item.done; raw reasoning has content_part and reasoning_text events in the same places
    call         output_item.added, arguments (or input) delta…, .done, output_item.done
    others       output_item.added, output_item.done

The stream is response.created, response.in_progress, items, then response.completed, .incomplete or .failed. A broken
stream says `error` and then response.failed. A message item stays open until a part comes that is not its own.

Deltas are what costs: each part has its event's bytes ready up to the delta's text, and a delta for the part that is
open in the incoming stream goes past `Sequence`.
"""

from collections.abc import Iterable

from msgspec import Raw, Struct, field
from msgspec.structs import replace

from dragoman.canon import (
    JSON,
    Begin,
    Broken,
    Citation,
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
    Request,
    Sequence,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
    Used,
)
from dragoman.dialects.openai_responses.content import write_citation, write_logprobs, write_output_part
from dragoman.dialects.openai_responses.errors import error_object
from dragoman.dialects.openai_responses.items import is_item
from dragoman.dialects.openai_responses.name import NAME
from dragoman.dialects.openai_responses.response import (
    Ids,
    call_item,
    echo,
    encode,
    message_item,
    outcome,
    reasoning_item,
    response_id,
    said_arguments,
    shows_raw,
    signature_item,
    tier,
    usage_object,
)
from dragoman.dialects.openai_responses.tools import Names, Place, place_of
from dragoman.dialects.openai_responses.write_reply import ID_PREFIX, joins, phase_of


class _Message(Struct):
    """The message item that is open."""

    id: str
    first: Part
    content: list[JSON] = field(default_factory=list)
    signed: list[Text] = field(default_factory=list)


class _Part(Struct):
    """The part that is open. `prefix` are the bytes of its delta event before the text; None: it is said at its end."""

    part: Part
    prefix: bytes | None = None
    place: Place | None = None
    item_id: str = ""
    texts: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)


class StreamWriter:
    """See the module's description."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._sequence = Sequence()
        self._names: Names | None = None
        self._out: list[bytes] = []
        self._number = 0
        self._begin = Begin()
        self._begun = self._refused = False
        self._shown: JSON = {}
        self._ids = Ids("")
        self._output: list[Raw] = []
        self._message: _Message | None = None
        self._now: _Part | None = None
        self._fast = -1  # index, in the incoming stream, of the part whose deltas need no ordering
        self._usage: Usage | None = None
        self._finish = Finish(reason="stop")

    def write(self, events: Iterable[Event]) -> bytes:
        """The bytes for these events."""
        self._out = []
        for event in events:
            if type(event) is PartDelta and event.index == self._fast and event.choice == 0:
                self._delta(event)
                continue
            self._fast = -1
            for ordered in self._sequence.add(event):
                self._event(ordered)
                if type(ordered) is PartStart and type(event) is PartStart and not isinstance(event.part, ToolCall):
                    self._fast = event.index
        return b"".join(self._out)

    def _event(self, event: Event) -> None:
        match event:
            case PartDelta():
                self._delta(event)
            case PartStart():
                self._start(event.part)
            case PartPatch():
                self._patch(event)
            case PartEnd():
                self._end_part()
            case Begin():
                self._begin = event
                self._created()
            case Finish():
                self._finish = event
            case Used():
                self._usage = event.usage
            case End():
                self._end()
            case Broken():
                self._broken(event.failure)

    # events on the wire

    def _emit(self, kind: str, fields: JSON) -> None:
        body = encode({"type": kind, **fields, "sequence_number": self._number})
        self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), body))
        self._number += 1

    def _emit_delta(self, prefix: bytes, text: str) -> None:
        self._out.append(b'%b%b,"sequence_number":%d}\n\n' % (prefix, encode(text), self._number))
        self._number += 1

    def _prefix(self, kind: str, fields: JSON) -> bytes:
        """An event up to its delta's text."""
        return b'event: %b\ndata: %b,"delta":' % (kind.encode(), encode({"type": kind, **fields})[:-1])

    # the response

    def _created(self) -> None:
        if self._begun:
            return
        self._begun = True
        begin = self._begin
        self._ids = Ids(begin.id)
        self._shown = echo(self._request)
        self._shown |= {
            "id": response_id(begin.id),
            "created_at": begin.created,
            "model": begin.model or self._request.model,
            "service_tier": tier(begin.service_tier, self._shown["service_tier"]),
        }
        response = self._response({"status": "in_progress", "incomplete_details": None, "completed_at": None})
        self._emit("response.created", {"response": response})
        self._emit("response.in_progress", {"response": response})

    def _response(self, state: JSON) -> Raw:
        usage = usage_object(self._usage)
        return Raw(encode({**self._shown, **state, "output": self._output, "usage": usage}))

    def _end(self) -> None:
        self._created()
        end = outcome(self._finish.reason, self._finish.raw, self._refused)
        status = end["status"]
        self._close_message("incomplete" if status == "incomplete" else "completed")
        end["completed_at"] = self._begin.created if status == "completed" else None
        self._emit(f"response.{status}", {"response": self._response(end)})

    def _broken(self, failure: Failure) -> None:
        self._close_message("incomplete")
        error = error_object(failure)
        said = {"code": error["code"], "message": error["message"], "param": error["param"], "error": error}
        self._emit("error", said)
        if not self._begun:
            return  # a relayed stream broke: its response is another's, of which nothing is known here
        state: JSON = {"status": "failed", "incomplete_details": None, "completed_at": None}
        state["error"] = {"code": error["code"] or "server_error", "message": error["message"]}
        self._emit("response.failed", {"response": self._response(state)})

    # items

    def _add(self, item: JSON) -> None:
        self._emit("response.output_item.added", {"output_index": len(self._output), "item": item})

    def _done(self, item: JSON) -> None:
        encoded = Raw(encode(item))
        self._emit("response.output_item.done", {"output_index": len(self._output), "item": encoded})
        self._output.append(encoded)

    def _whole(self, item: JSON) -> None:
        self._add({**item, "status": "in_progress"} if "status" in item else item)
        self._done(item)

    def _place(self) -> JSON:
        """Where the open part is: its item's id and index."""
        assert self._now is not None
        return {"item_id": self._now.item_id, "output_index": len(self._output)}

    # parts

    def _start(self, part: Part) -> None:
        self._created()
        if not joins(part, self._message.first if self._message is not None else None):
            self._close_message("completed")
        self._now = now = _Part(part)
        match part:
            case Text() | Refusal():
                self._start_said(part, now)
            case Opaque() if joins(part):
                self._open_message(part, now)
            case Reasoning():
                now.item_id = self._ids.fits(part.id, "rs", len(self._output))
                self._add({"id": now.item_id, "type": "reasoning", "status": "in_progress", "summary": []})
            case ToolCall():
                self._start_call(part, now)
            case _:
                return
        if not isinstance(part, Opaque) and (text := _text_of(part)):
            self._delta(PartDelta(index=0, text=text))

    def _open_message(self, part: Part, now: _Part) -> _Message:
        message = self._message
        if message is None:
            item_id = self._ids.fits(getattr(part, "id", None), "msg", len(self._output))
            self._message = message = _Message(item_id, part)
            self._add(message_item(item_id, [], phase_of(part), "in_progress"))
        now.item_id = message.id
        return message

    def _start_said(self, part: Text | Refusal, now: _Part) -> None:
        message = self._open_message(part, now)
        where = {**self._place(), "content_index": len(message.content)}
        hollow = Text() if isinstance(part, Text) else Refusal()
        self._emit("response.content_part.added", {**where, "part": write_output_part(hollow)})
        if isinstance(part, Text):
            now.prefix = self._prefix("response.output_text.delta", {**where, "logprobs": []})
            for citation in part.citations:
                self._cite(now, citation)
        else:
            self._refused = True
            now.prefix = self._prefix("response.refusal.delta", where)

    def _start_call(self, part: ToolCall, now: _Part) -> None:
        if part.signature is not None and part.dialect != NAME:
            self._whole(signature_item(self._ids.make("rs", len(self._output)), part))
        if self._names is None:
            self._names = Names(self._request.tools)
        index = len(self._output)
        now.place = place = place_of(part, self._names)
        now.item_id = self._ids.fits(part.item_id, ID_PREFIX[place.kind], index)
        now.part = part = replace(part, id=part.id or self._ids.make("call", index), arguments=part.arguments)
        self._add(call_item(now.item_id, part, place, "", "in_progress"))
        if place.kind == "function":
            now.prefix = self._prefix("response.function_call_arguments.delta", self._place())
        elif place.kind == "custom" and part.kind == "custom":
            now.prefix = self._prefix("response.custom_tool_call_input.delta", self._place())

    def _delta(self, event: PartDelta) -> None:
        now = self._now
        if now is None:
            return
        if event.text:
            now.texts.append(event.text)
        if now.prefix is None and isinstance(now.part, Reasoning):
            self._start_thought(now, now.part)
        if event.logprobs is not None and isinstance(now.part, Text):
            now.logprobs += event.logprobs
            self._emit_logprobs(event)
        elif now.prefix is not None and event.text:
            self._emit_delta(now.prefix, event.text)

    def _emit_logprobs(self, event: PartDelta) -> None:
        assert self._message is not None
        where = {**self._place(), "content_index": len(self._message.content)}
        logprobs = write_logprobs(event.logprobs or [])
        self._emit("response.output_text.delta", {**where, "delta": event.text, "logprobs": logprobs})

    def _start_thought(self, now: _Part, part: Reasoning) -> None:
        place = self._place()
        if shows_raw(part):
            hollow = {"type": "reasoning_text", "text": ""}
            self._emit("response.content_part.added", {**place, "content_index": 0, "part": hollow})
            now.prefix = self._prefix("response.reasoning_text.delta", {**place, "content_index": 0})
        else:
            hollow = {"type": "summary_text", "text": ""}
            self._emit("response.reasoning_summary_part.added", {**place, "summary_index": 0, "part": hollow})
            now.prefix = self._prefix("response.reasoning_summary_text.delta", {**place, "summary_index": 0})

    def _patch(self, event: PartPatch) -> None:
        now = self._now
        if now is None:
            return
        if event.citation is not None and isinstance(now.part, Text):
            self._cite(now, event.citation)
        if event.signature is not None and isinstance(now.part, Text | Reasoning):
            now.part = replace(now.part, signature=event.signature)
        if event.encrypted is not None and isinstance(now.part, Reasoning):
            now.part = replace(now.part, encrypted=event.encrypted)

    def _cite(self, now: _Part, citation: Citation) -> None:
        note = write_citation(citation, sum(map(len, now.texts)))
        if note is None or self._message is None:
            return
        where = {**self._place(), "content_index": len(self._message.content)}
        where |= {"annotation_index": len(now.citations), "annotation": note}
        now.citations.append(citation)
        self._emit("response.output_text.annotation.added", where)

    def _end_part(self) -> None:
        now, self._now = self._now, None
        if now is None:
            return
        text = "".join(now.texts)
        match now.part:
            case Text() | Refusal() as part:
                self._now = now
                self._end_said(now, part, text)
            case Reasoning() as part:
                self._now = now
                self._end_thought(now, replace(part, text=text))
            case ToolCall() as part:
                self._now = now
                self._end_call(now, replace(part, arguments=text))
            case Opaque() as part if is_item(part):
                self._whole(part.data)
            case Opaque() as part if self._message is not None and joins(part):
                self._message.content.append(part.data)
        self._now = None

    def _end_said(self, now: _Part, part: Text | Refusal, text: str) -> None:
        message = self._message
        assert message is not None
        where = {**self._place(), "content_index": len(message.content)}
        if isinstance(part, Text):
            part = replace(part, text=text, citations=now.citations, logprobs=now.logprobs or None)
            written = write_output_part(part)
            done = {**where, "text": text, "logprobs": written.get("logprobs", [])}
            self._emit("response.output_text.done", done)
            if part.signature is not None and part.dialect != NAME:
                message.signed.append(part)
        else:
            written = {"type": "refusal", "refusal": text}
            self._emit("response.refusal.done", {**where, "refusal": text})
        self._emit("response.content_part.done", {**where, "part": written})
        message.content.append(written)

    def _close_message(self, status: str) -> None:
        message, self._message = self._message, None
        if message is None:
            return
        self._done(message_item(message.id, message.content, phase_of(message.first), status))
        for part in message.signed:
            self._whole(signature_item(self._ids.make("rs", len(self._output)), part))

    def _end_thought(self, now: _Part, part: Reasoning) -> None:
        if now.prefix is not None:
            place, text = self._place(), part.text
            if shows_raw(part):
                place["content_index"] = 0
                self._emit("response.reasoning_text.done", {**place, "text": text})
                self._emit("response.content_part.done", {**place, "part": {"type": "reasoning_text", "text": text}})
            else:
                place["summary_index"] = 0
                said = {**place, "part": {"type": "summary_text", "text": text}}
                self._emit("response.reasoning_summary_text.done", {**place, "text": text})
                self._emit("response.reasoning_summary_part.done", said)
        self._done(reasoning_item(now.item_id, part))

    def _end_call(self, now: _Part, call: ToolCall) -> None:
        assert now.place is not None
        arguments = said_arguments(call, now.place)
        if now.place.kind == "custom":
            if now.prefix is None and arguments:
                prefix = self._prefix("response.custom_tool_call_input.delta", self._place())
                self._emit_delta(prefix, arguments)
            self._emit("response.custom_tool_call_input.done", {**self._place(), "input": arguments})
        elif now.place.kind == "function":
            if not call.arguments and now.prefix is not None:
                self._emit_delta(now.prefix, arguments)
            done = {**self._place(), "arguments": arguments}
            self._emit("response.function_call_arguments.done", done)
        self._done(call_item(now.item_id, call, now.place, arguments, "completed"))


def _text_of(part: Part) -> str:
    return part.arguments if isinstance(part, ToolCall) else getattr(part, "text", "") or ""
