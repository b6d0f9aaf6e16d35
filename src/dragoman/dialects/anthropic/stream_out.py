"""Canon events, written as the server-sent events of a Messages API stream.

    message_start
    ( content_block_start  content_block_delta*  content_block_stop )*      one block after another (`canon.Sequence`)
    message_delta  message_stop                                             or `error`, and nothing after it

A block opens with its first content, so that empty ones never show: clients send back what they were given, and the API
refuses empty text. `message_start` has the usage that is known by then, `message_delta` all of it.
"""

from collections.abc import Iterable

import msgspec

from dragoman.canon import (
    JSON,
    Begin,
    Broken,
    Citation,
    End,
    Event,
    Finish,
    Media,
    Opaque,
    PartDelta,
    PartEnd,
    PartPatch,
    PartStart,
    Reasoning,
    Refusal,
    Request,
    Sequence,
    Text,
    ToolCall,
    Usage,
    Used,
)
from dragoman.dialects.anthropic.blocks_out import arguments_object
from dragoman.dialects.anthropic.errors import write_error
from dragoman.dialects.anthropic.names import NAME, stop_reason
from dragoman.dialects.anthropic.reply import (
    call_extra,
    call_seal,
    media_text,
    text_block,
    thinking_blocks,
    thinking_seal,
    write_citation,
)
from dragoman.dialects.anthropic.usage import write_usage
from dragoman.wire import sse

_encode = msgspec.json.Encoder().encode
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%s","%s":'
_DELTA_END = b"}}\n\n"
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_SERVER_CALLS = ("server_tool_use", "mcp_tool_use")


class StreamWriter:
    """Canon events in, bytes of the client's stream out."""

    def __init__(self, request: Request) -> None:
        self._sequence = Sequence()
        self._begin = Begin()
        self._starting = False  # message_start is due, but may wait for the usage that often comes with it
        self._started = False
        self._usage: Usage | None = None
        self._finish = Finish(reason="stop")
        self._refused = False
        self._over = False
        self._count = 0  # blocks begun so far; the open one is the last
        self._part: Text | Refusal | Reasoning | ToolCall | None = None  # the part that is open
        self._open = False  # … and its block has begun
        self._grew = False
        self._delta_head = b""
        self._live = -1  # the incoming index of the open part, while its deltas need no sequencing

    def write(self, events: Iterable[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if type(event) is PartDelta and event.index == self._live and not event.choice and self._open:
                if event.text:
                    out.append(self._delta_head + _encode(event.text) + _DELTA_END)
            elif not self._over:
                self._slow(event, out)
        if self._starting:
            self._message_start(out)
        return b"".join(out)

    def _slow(self, event: Event, out: list[bytes]) -> None:
        if not isinstance(event, PartDelta | PartPatch) or (event.index != self._live and not event.choice):
            self._live = -1
        if isinstance(event, Used):
            self._usage = event.usage
        if self._starting and not isinstance(event, Begin):
            self._message_start(out)
        match event:
            case Begin():
                self._begin, self._starting = event, True
            case Broken():
                self._over = True
                out.append(sse.write(write_error(event.failure), "error"))
            case End():
                self._end(out)
            case Used():
                pass
            case _:
                for passed in self._sequence.add(event):
                    self._event(passed, out)
                if isinstance(event, PartStart) and event.choice == 0 and self._is_plain(event):
                    self._live = event.index

    def _is_plain(self, event: PartStart) -> bool:
        """Text or thinking that has just become the open part: while it is open, nothing waits behind it."""
        return type(event.part) in (Text, Reasoning, Refusal) and type(self._part) is type(event.part)

    def _message_start(self, out: list[bytes]) -> None:
        self._starting, self._started = False, True
        begin = self._begin
        message: JSON = {
            "id": begin.id or "msg_0",
            "type": "message",
            "role": "assistant",
            "model": begin.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
            "usage": write_usage(self._usage, begin.service_tier, begin.dialect == NAME),
        }
        out.append(sse.write(_encode({"type": "message_start", "message": message}), "message_start"))

    def _end(self, out: list[bytes]) -> None:
        self._over = True
        if not self._started:
            self._message_start(out)
        same = self._begin.dialect == NAME
        finish = self._finish
        reason = "refusal" if self._refused and finish.reason == "stop" else finish.reason
        usage = write_usage(self._usage, None, same)
        for name in ("cache_creation", "service_tier", "inference_geo"):
            usage.pop(name, None)  # as the original: message_delta has the totals only
        delta = {
            "stop_reason": stop_reason(reason, finish.raw, finish.stop_sequence, same),
            "stop_sequence": finish.stop_sequence,
            "stop_details": None,
            "container": None,
        }
        data = {"type": "message_delta", "delta": delta, "usage": usage}
        out.append(sse.write(_encode(data), "message_delta"))
        out.append(_MESSAGE_STOP)

    def _event(self, event: Event, out: list[bytes]) -> None:
        match event:
            case PartStart():
                if not self._started:
                    self._message_start(out)
                self._part_start(event, out)
            case PartDelta():
                self._grow(event.text, out)
            case PartPatch():
                self._patch(event, out)
            case PartEnd():
                self._part_end(out)
            case Finish():
                self._finish = event

    def _part_start(self, event: PartStart, out: list[bytes]) -> None:
        part = event.part
        self._part, self._open, self._grew = None, False, False
        match part:
            case Text():
                self._part = part
                self._grow(part.text, out)
                for citation in part.citations:
                    self._cite(citation, out)
            case Refusal():
                self._part, self._refused = part, True
                self._grow(part.text, out)
            case Reasoning():
                self._part = msgspec.structs.replace(part, text="")
                self._grow(part.text, out)
            case ToolCall():
                self._call(part, out)
            case Opaque() if part.dialect == NAME:
                self._opaque(part, out)
            case Media() if spoken := media_text(part):
                self._whole(text_block(spoken), out)

    def _call(self, part: ToolCall, out: list[bytes]) -> None:
        for block in call_seal(part):
            self._whole(block, out)
        self._part = part
        call_id = part.id or f"toolu_{self._begin.id}_{self._count}"
        block = {"type": "tool_use", "id": call_id, "name": part.name, "input": {}, **call_extra(part)}
        self._start_block(block, b"input_json_delta", b"partial_json", out)
        if part.arguments and part.kind == "function":
            self._grow(part.arguments, out)

    def _opaque(self, part: Opaque, out: list[bytes]) -> None:
        if part.kind not in _SERVER_CALLS or not part.data.get("input"):
            self._whole(part.data, out)
            return
        self._start_block({**part.data, "input": {}}, b"input_json_delta", b"partial_json", out)
        out.append(self._delta_head + _encode(_encode(part.data["input"]).decode()) + _DELTA_END)
        self._stop_block(out)

    def _start_block(self, block: JSON, delta: bytes, field: bytes, out: list[bytes]) -> None:
        index = self._count
        self._count += 1
        self._open = True
        self._delta_head = _DELTA % (index, delta, field)
        event = {"type": "content_block_start", "index": index, "content_block": block}
        out.append(sse.write(_encode(event), "content_block_start"))

    def _stop_block(self, out: list[bytes]) -> None:
        self._open = False
        out.append(_STOP % (self._count - 1))

    def _whole(self, block: JSON, out: list[bytes]) -> None:
        """A block with nothing to wait for. Text and thinking open empty and grow, as clients expect of them."""
        match block["type"]:
            case "text":
                self._start_block({**block, "text": ""}, b"text_delta", b"text", out)
                out.append(self._delta_head + _encode(block["text"]) + _DELTA_END)
            case "thinking":
                self._start_block({**block, "thinking": "", "signature": ""}, b"thinking_delta", b"thinking", out)
                if block["thinking"]:
                    out.append(self._delta_head + _encode(block["thinking"]) + _DELTA_END)
                self._sign(block["signature"], out)
            case _:
                self._start_block(block, b"", b"", out)
        self._stop_block(out)

    def _begin_text(self, out: list[bytes]) -> None:
        if isinstance(self._part, Reasoning):
            block: JSON = {"type": "thinking", "thinking": "", "signature": ""}
            self._start_block(block, b"thinking_delta", b"thinking", out)
        else:
            self._start_block(text_block(""), b"text_delta", b"text", out)

    def _grow(self, text: str, out: list[bytes]) -> None:
        part = self._part
        if not text or part is None:
            return
        if isinstance(part, ToolCall) and part.kind == "custom":
            part.arguments += text  # free text: it becomes an object when it is whole
            return
        if not self._open:
            self._begin_text(out)
        self._grew = True
        out.append(self._delta_head + _encode(text) + _DELTA_END)

    def _patch(self, patch: PartPatch, out: list[bytes]) -> None:
        part = self._part
        if isinstance(part, Reasoning):
            part.signature = patch.signature or part.signature
            part.encrypted = patch.encrypted or part.encrypted
            part.id = patch.id or part.id
        elif isinstance(part, Text) and patch.citation is not None:
            self._cite(patch.citation, out)

    def _cite(self, citation: Citation, out: list[bytes]) -> None:
        written = write_citation(citation)
        if written is None:
            return
        if not self._open:
            self._begin_text(out)
        delta = {"type": "citations_delta", "citation": written}
        event = {"type": "content_block_delta", "index": self._count - 1, "delta": delta}
        out.append(sse.write(_encode(event), "content_block_delta"))

    def _sign(self, signature: str, out: list[bytes]) -> None:
        if signature:
            delta = {"type": "signature_delta", "signature": signature}
            event = {"type": "content_block_delta", "index": self._count - 1, "delta": delta}
            out.append(sse.write(_encode(event), "content_block_delta"))

    def _part_end(self, out: list[bytes]) -> None:
        part, self._part = self._part, None
        if isinstance(part, Reasoning):
            if self._open:
                self._sign((part.signature or "") if part.dialect == NAME else thinking_seal(part), out)
            else:
                for block in thinking_blocks(part):
                    self._whole(block, out)
        elif isinstance(part, ToolCall) and not self._grew:
            arguments = _encode(arguments_object(part)).decode()
            out.append(self._delta_head + _encode(arguments) + _DELTA_END)
        if self._open:
            self._stop_block(out)
