"""Streams of `/api/chat`: one JSON object a line.

Every line has a piece of `message` until the one with `done: true`, which has the counts and is the end mark. Tool
calls come whole. An `{"error": …}` line ends a stream that broke.

| line | events |
|---|---|
| first | Begin |
| `thinking` | of the open reasoning part, else a new one |
| `content` | of the open text part, else a new one |
| each of `tool_calls` | a part of its own, opened and ended |
| `done` | the open part ends; Finish, Used, End |
| `error` | Broken |
"""

from collections.abc import Iterable

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
    Refusal,
    Request,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
    Used,
)
from dragoman.dialects import loose
from dragoman.dialects.ollama import reply as whole
from dragoman.dialects.ollama.errors import failure_of, write_error
from dragoman.wire.sse import FrameTooLong, Lines

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
# what Unicode takes for the end of a line besides \n: next line, line separator, paragraph separator
_BREAKS = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


def _whole_lines(lines: bytes) -> bytes:
    """`lines` with every other line break in their strings escaped: clients (ollama's own SDK too) split there."""
    for plain, escaped in _BREAKS:
        if plain in lines:
            lines = lines.replace(plain, escaped)
    return lines


class StreamReader:
    """Bytes of a chat stream in, events out."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._id = ""
        self._begun = False
        self._over = False
        self._count = 0  # parts so far
        self._calls = 0
        self._open: type[Part] | None = None  # kind of the part that is open: the last one
        self._logprobs: list[TokenLogprob] = []  # of tokens that no text has shown yet

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        try:
            for line in self._lines.feed(data):
                if not self._over:
                    self._read(line, events)
        except FrameTooLong as error:
            self._break(str(error), events)
        return events

    def close(self) -> list[Event]:
        events: list[Event] = []
        if not self._over and (rest := self._lines.rest()):
            self._read(rest, events)
        self._break("the Ollama stream ended before its last line", events)
        return events

    def _break(self, message: str, events: list[Event]) -> None:
        if not self._over:
            self._over = True
            events.append(Broken(failure=Failure(kind="stream_broken", message=message, status=502, dialect="ollama")))

    def _read(self, line: bytes, events: list[Event]) -> None:
        try:
            data = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._break("a line of the Ollama stream is not valid JSON", events)
            return
        if not isinstance(data, dict):
            return
        if error := data.get("error"):
            self._over = True
            status = data.get("status")
            failure = failure_of(status if isinstance(status, int) else 500, str(error))
            events.append(Broken(failure=failure))
            return
        if not self._begun:
            self._begin(data, events)
        self._piece(data, events)
        if data.get("done"):
            self._end(data, events)

    def _begin(self, data: JSON, events: list[Event]) -> None:
        when = data.get("created_at")
        self._begun, self._id = True, whole.reply_id(when)
        model = loose.text(data.get("model"))
        events.append(Begin(id=self._id, model=model, created=whole.created(when), dialect="ollama"))

    def _piece(self, data: JSON, events: list[Event]) -> None:
        message = data.get("message")
        if not isinstance(message, dict):
            message = self.message_in(data)
        if (logprobs := data.get("logprobs")) and (read := whole.logprobs_in(logprobs)):
            self._logprobs += read
        if (thinking := message.get("thinking")) and isinstance(thinking, str):
            self._grow(Reasoning, thinking, events)
        if (content := message.get("content")) and isinstance(content, str):
            self._grow(Text, content, events)
        if message.get("tool_calls"):
            for call in whole.calls_in(message, self._id, self._calls):
                self._call(call, events)

    def message_in(self, data: JSON) -> JSON:
        """The piece of message in a line that has no `message` (`/api/generate` has its pieces at the top)."""
        return {}

    def _grow(self, kind: "type[Text] | type[Reasoning]", text: str, events: list[Event]) -> None:
        if self._open is not kind:
            self._shut(events)
            self._open = kind
            part: Part = Text() if kind is Text else Reasoning(dialect="ollama")
            events.append(PartStart(index=self._count, part=part))
            self._count += 1
        logprobs = None
        if self._logprobs and kind is Text:
            logprobs, self._logprobs = self._logprobs, []
        events.append(PartDelta(index=self._count - 1, text=text, logprobs=logprobs))

    def _shut(self, events: list[Event]) -> None:
        if self._open is Text and self._logprobs:
            events.append(PartDelta(index=self._count - 1, logprobs=self._logprobs))
            self._logprobs = []
        if self._open is not None:
            self._open = None
            events.append(PartEnd(index=self._count - 1))

    def _call(self, call: ToolCall, events: list[Event]) -> None:
        self._shut(events)
        index, self._count, self._calls = self._count, self._count + 1, self._calls + 1
        arguments, call.arguments = call.arguments, ""
        events.append(PartStart(index=index, part=call))
        events.append(PartDelta(index=index, text=arguments))
        events.append(PartEnd(index=index))

    def _end(self, data: JSON, events: list[Event]) -> None:
        self._shut(events)
        self._over = True
        said = loose.text_or_none(data.get("done_reason"))
        events.append(Finish(reason=whole.finish_in(said, self._calls > 0), raw=said))
        events.append(Used(usage=whole.usage_in(data)))
        events.append(End())


class StreamWriter:
    """Events in, lines out. Tool calls are written whole, once their arguments are, so side-by-side parts are no
    trouble here."""

    def __init__(self, request: Request) -> None:
        self._model = ""
        self._when = ""
        self._before = b""  # of a line, up to its piece of message
        self._parts: dict[int, Part] = {}  # open ones
        self._sealer = whole.Sealer()
        self._calls = 0
        self._reason = "stop"
        self._usage: Usage | None = None

    def write(self, events: Iterable[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            match event:
                case PartDelta():
                    if event.choice == 0:
                        self._delta(event, out)
                case PartStart():
                    if event.choice == 0:
                        self._start(event, out)
                case PartEnd():
                    if event.choice == 0:
                        self._part_end(event, out)
                case PartPatch():
                    if event.choice == 0:
                        self._patch(event)
                case Begin():
                    self._begin(event)
                case Finish():
                    if event.choice == 0:
                        self._reason = whole.done_reason(event.reason)
                case Used():
                    self._usage = event.usage
                case End():
                    out.append(self._last())
                case Broken():
                    out.append(write_error(event.failure) + b"\n")
        return _whole_lines(b"".join(out))

    def _begin(self, event: Begin) -> None:
        self._model, self._when = event.model, whole.created_at(event.created)
        self._before = b'{"model":%b,"created_at":"%b",' % (_encode(event.model), self._when.encode())

    def line(self, message: bytes, further: bytes = b"") -> bytes:
        """A line with the fields `message` of a message, and `further` fields of the line's own."""
        return b'%b"message":{"role":"assistant",%b},"done":false%b}\n' % (self._before, message, further)

    def content(self, text: str, logprobs: list[TokenLogprob] | None) -> bytes:
        """A line with a piece of the answer."""
        further = b',"logprobs":' + _encode(whole.logprobs_out(logprobs)) if logprobs else b""
        return self.line(b'"content":' + _encode(text), further)

    def thinking(self, text: str) -> bytes:
        """A line with a piece of the thinking."""
        return self.line(b'"content":"","thinking":' + _encode(text))

    def tool_calls(self, calls: list[JSON]) -> bytes:
        """A line with whole calls."""
        return self.line(b'"content":"","tool_calls":' + _encode(calls))

    def end_of_message(self) -> JSON:
        """What the last line has in place of a piece."""
        return {"message": {"role": "assistant", "content": ""}}

    def _start(self, event: PartStart, out: list[bytes]) -> None:
        part = msgspec.structs.replace(event.part)
        self._parts[event.index] = part
        if isinstance(part, Text | Refusal) and part.text:
            out.append(self.content(part.text, None))
        elif isinstance(part, Reasoning) and part.text:
            out.append(self.thinking(part.text))

    def _delta(self, event: PartDelta, out: list[bytes]) -> None:
        part = self._parts.get(event.index)
        match part:
            case Text() | Refusal():
                if event.text or event.logprobs:
                    out.append(self.content(event.text, event.logprobs))
            case Reasoning():
                part.text += event.text
                if event.text:
                    out.append(self.thinking(event.text))
            case ToolCall():
                part.arguments += event.text
            case _:
                pass

    def _patch(self, event: PartPatch) -> None:
        part = self._parts.get(event.index)
        if isinstance(part, Reasoning):
            part.signature = event.signature or part.signature
            part.encrypted = event.encrypted or part.encrypted
            part.id = event.id or part.id
        elif isinstance(part, ToolCall):
            part.signature = event.signature or part.signature

    def _part_end(self, event: PartEnd, out: list[bytes]) -> None:
        part = self._parts.pop(event.index, None)
        if isinstance(part, Reasoning):
            self._sealer.thought(part)
        elif isinstance(part, ToolCall):
            call_id, secret = self._sealer.seal(part)
            if secret:
                out.append(self.thinking(secret))
            out.append(self.tool_calls([whole.call_out(part, call_id, self._calls)]))
            self._calls += 1

    def _last(self) -> bytes:
        body = {
            "model": self._model,
            "created_at": self._when or whole.created_at(0),
            **self.end_of_message(),
            "done_reason": self._reason,
            "done": True,
            **whole.counts(self._usage, None),
        }
        return _encode(body) + b"\n"
