"""Events -> chunks of `streamGenerateContent`: server-sent events, or one JSON array.

Text goes out at once; a function call goes out whole, in the order in which the calls began. The last chunk has every
candidate's `finishReason`, the usage, and an empty text (a chunk without parts makes SDKs drop the turn from their
history).
"""

from collections.abc import Iterable
from typing import Any

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
from dragoman.dialects.gemini.errors import envelope
from dragoman.dialects.gemini.grounding import write_citations
from dragoman.dialects.gemini.logprobs import write_logprobs
from dragoman.dialects.gemini.names import NAME
from dragoman.dialects.gemini.reply import blocked, stated_finish
from dragoman.dialects.gemini.shown import Hidden, call_part, media_part
from dragoman.dialects.gemini.usage import write_usage

_encode = msgspec.json.Encoder().encode


class _Call:
    """A call on its way: `stretch` is what its signature must seal."""

    __slots__ = ("done", "part", "pieces", "stretch")

    def __init__(self, part: ToolCall, stretch: list[Part]) -> None:
        self.part = part
        self.stretch = stretch
        self.pieces = [part.arguments] if part.arguments else []
        self.done = False


class _Choice:
    """One candidate on its way out."""

    def __init__(self) -> None:
        self.hidden = Hidden()
        self.calls: list[_Call] = []  # in the order they began; those before the first unfinished one are written
        self.open: dict[int, Part | _Call] = {}
        self.finish: Finish | None = None
        self.citations: list[Citation] = []
        self.pieces: list[str] = []  # of the last text


class StreamWriter:
    """Server-sent events."""

    def __init__(self, request: Request) -> None:
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._dialect = ""
        self._tail = b"}"
        self._heads: dict[tuple[int, bool], tuple[bytes, bytes]] = {}
        self._over = False

    def write(self, events: Iterable[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if self._over:
                break
            match event:
                case PartDelta():
                    self._delta(event, out)
                case PartStart():
                    self._start(event, out)
                case PartPatch():
                    self._patch(event, out)
                case PartEnd():
                    self._end(event, out)
                case _:
                    self._other(event, out)
        return b"".join(out)

    def _other(self, event: Event, out: list[bytes]) -> None:
        match event:
            case Begin():
                self._begin(event)
            case Used():
                self._usage = event.usage
            case Finish():
                choice = self._choice(event.choice)
                choice.finish = event
                for call in choice.calls:
                    call.done = True
                self._flush(event.choice, out)
            case Broken():
                self._over = True
                out.append(self._frame(_encode(envelope(event.failure))) + self._closing())
            case End():
                self._over = True
                out.append(self._frame(self._last()) + self._closing())

    def _frame(self, chunk: bytes) -> bytes:
        return b"data: " + chunk + b"\r\n\r\n"

    def _closing(self) -> bytes:
        return b""

    def _begin(self, begin: Begin) -> None:
        self._dialect = begin.dialect
        shown = {"modelVersion": begin.model} | ({"responseId": begin.id} if begin.id else {})
        self._tail = b"," + _encode(shown)[1:]

    def _choice(self, number: int) -> _Choice:
        choice = self._choices.get(number)
        if choice is None:
            choice = self._choices[number] = _Choice()
        return choice

    def _text(self, number: int, text: str, thought: bool) -> bytes:
        """A chunk with nothing but text: the one that most chunks are."""
        head = self._heads.get((number, thought))
        if head is None:
            before = b'{"candidates":[{"content":{"parts":[{"text":'
            after = b'}],"role":"model"},"index":%d}]' % number
            head = self._heads[number, thought] = (before, b',"thought":true' + after if thought else after)
        return self._frame(head[0] + _encode(text) + head[1] + self._tail)

    def _parts(self, number: int, parts: list[JSON], **more: Any) -> bytes:
        candidate = {"content": {"parts": parts, "role": "model"}, "index": number, **more}
        return self._frame(_encode({"candidates": [candidate]})[:-1] + self._tail)

    def _start(self, event: PartStart, out: list[bytes]) -> None:
        choice, part = self._choice(event.choice), event.part
        match part:
            case ToolCall():
                call = _Call(part, choice.hidden.before_call())
                choice.calls.append(call)
                choice.open[event.index] = call
                return
            case Opaque():
                if part.dialect == NAME:
                    out.append(self._parts(event.choice, [part.data]))
                return
            case Media() | Reasoning():
                part = msgspec.structs.replace(part)
            case Text():
                choice.pieces = []
        choice.open[event.index] = part
        if isinstance(part, Reasoning):
            choice.hidden.add(part)
        elif isinstance(part, Text):
            choice.hidden.add(part)
            choice.citations += part.citations
        if isinstance(part, Text | Reasoning | Refusal) and part.text:
            if isinstance(part, Text):
                choice.pieces.append(part.text)
            out.append(self._text(event.choice, part.text, isinstance(part, Reasoning)))
        if isinstance(part, Text | Reasoning) and part.signature and part.dialect == NAME:
            out.append(self._signed(event.choice, part, part.signature))

    def _signed(self, number: int, part: Text | Reasoning, signature: str) -> bytes:
        shown: JSON = {"text": "", "thought": True} if isinstance(part, Reasoning) else {"text": ""}
        return self._parts(number, [shown | {"thoughtSignature": signature}])

    def _delta(self, event: PartDelta, out: list[bytes]) -> None:
        choice = self._choices[event.choice]
        part = choice.open.get(event.index)
        match part:
            case Text():
                choice.pieces.append(event.text)
                if event.logprobs:
                    out.append(self._with_logprobs(event, event.logprobs))
                elif event.text:
                    out.append(self._text(event.choice, event.text, False))
            case _Call():
                part.pieces.append(event.text)
            case Reasoning():
                if part.dialect != NAME:
                    part.text += event.text
                out.append(self._text(event.choice, event.text, True))
            case Refusal():
                out.append(self._text(event.choice, event.text, False))
            case Media():
                part.data = (part.data or "") + (event.data or "")

    def _with_logprobs(self, event: PartDelta, logprobs: list[TokenLogprob]) -> bytes:
        return self._parts(event.choice, [{"text": event.text}], logprobsResult=write_logprobs(logprobs))

    def _patch(self, event: PartPatch, out: list[bytes]) -> None:
        choice = self._choices[event.choice]
        part = choice.open.get(event.index)
        if isinstance(part, Text):
            if event.citation is not None:
                choice.citations.append(event.citation)
            if event.signature is not None and (part.dialect or self._dialect) == NAME:
                out.append(self._signed(event.choice, part, event.signature))
        elif isinstance(part, Reasoning):
            if part.dialect != NAME:
                part.signature = event.signature or part.signature
                part.encrypted = event.encrypted or part.encrypted
                part.id = event.id or part.id
            elif event.signature is not None:
                out.append(self._signed(event.choice, part, event.signature))

    def _end(self, event: PartEnd, out: list[bytes]) -> None:
        part = self._choices[event.choice].open.pop(event.index, None)
        if isinstance(part, _Call):
            part.done = True
            self._flush(event.choice, out)
        elif isinstance(part, Media) and (media := media_part(part)) is not None:
            out.append(self._parts(event.choice, [media]))

    def _flush(self, number: int, out: list[bytes]) -> None:
        """Writes the calls that are whole, as far as their order allows."""
        choice = self._choices[number]
        ready: list[JSON] = []
        while choice.calls and choice.calls[0].done:
            call = choice.calls.pop(0)
            part = msgspec.structs.replace(call.part, arguments="".join(call.pieces))
            signature = choice.hidden.call_signature(part, call.stretch, self._dialect != NAME)
            ready.append(call_part(part, signature))
        if ready:
            out.append(self._parts(number, ready))

    def _last(self) -> bytes:
        own = self._dialect == NAME
        body: JSON = {}
        candidates: list[JSON] = []
        for number, choice in sorted(self._choices.items()):
            finish = choice.finish
            raw = finish.raw if finish is not None else None
            if (reason := blocked(raw, own)) is not None:
                body["promptFeedback"] = {"blockReason": reason}
                continue
            text: JSON = {"text": ""}
            if (signature := choice.hidden.last_signature()) is not None:
                text["thoughtSignature"] = signature
            candidate: JSON = {"content": {"parts": [text], "role": "model"}}
            if finish is not None:
                candidate["finishReason"] = stated_finish(finish.reason, raw, own)
            candidate["index"] = number
            if choice.citations:
                candidate.update(write_citations(choice.citations, "".join(choice.pieces)))
            candidates.append(candidate)
        if candidates:
            body["candidates"] = candidates
        if self._usage is not None:
            body["usageMetadata"] = write_usage(self._usage, self._dialect)
        return _encode(body)[:-1] + (self._tail if body else self._tail.removeprefix(b","))


class ArrayStreamWriter(StreamWriter):
    """One JSON array that grows: the form without `alt=sse`, of content type `application/json`."""

    TYPE = "application/json"

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._first = True

    def _frame(self, chunk: bytes) -> bytes:
        before, self._first = b"[" if self._first else b",\r\n", False
        return before + chunk + b"\n"

    def _closing(self) -> bytes:
        return b"]\n"


class ArrayFrames:
    """Relay lane: a stream of server-sent events as one JSON array, chunk for chunk."""

    def __init__(self) -> None:
        self._first = True

    def add(self, frame: bytes) -> bytes:
        """One raw frame of the provider's stream."""
        lines = [line[5:].strip() for line in frame.split(b"\n") if line.startswith(b"data:")]
        if not lines:
            return b""
        before, self._first = b"[" if self._first else b",\r\n", False
        return before + b"".join(lines) + b"\n"

    def close(self) -> bytes:
        """After the last frame."""
        return b"[]\n" if self._first else b"]\n"
