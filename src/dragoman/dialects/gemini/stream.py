"""Chunks of `streamGenerateContent` -> events. A whole reply is read as a stream of one chunk.

Every chunk is a whole `GenerateContentResponse`. Consecutive texts of one candidate are one part, consecutive thoughts
too; a signature closes its part to further text. There is no end mark: a stream is whole when every candidate seen has
a `finishReason` (or the prompt was blocked) and the connection closes. As chunks may still come after a `finishReason`,
`Finish`, the last `Used` and `End` come from `close`.
"""

from datetime import datetime
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
    FinishReason,
    Opaque,
    PartDelta,
    PartEnd,
    PartPatch,
    PartStart,
    Reasoning,
    Text,
    TokenLogprob,
    ToolCall,
    Used,
)
from dragoman.dialects.fields import Malformed
from dragoman.dialects.gemini.errors import error_in, read_envelope
from dragoman.dialects.gemini.grounding import read_citations
from dragoman.dialects.gemini.logprobs import read_logprobs
from dragoman.dialects.gemini.names import FINISH, NAME, fields, listed
from dragoman.dialects.gemini.partial import PartialCall
from dragoman.dialects.gemini.parts import json_text, read_plain
from dragoman.dialects.gemini.usage import read_usage
from dragoman.wire import sse

_MOST_CANDIDATES = 128
BLOCKED = "blockReason:"  # begins `Finish.raw` where the prompt was blocked, and no candidate made


class _PlainPart(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    text: str


class _PlainContent(msgspec.Struct, gc=False):
    parts: tuple[_PlainPart]


class _PlainCandidate(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    content: _PlainContent
    index: int = 0


class _Plain(msgspec.Struct, gc=False):
    """A chunk with one text for one candidate and nothing that ends it: the one that most chunks are, in half the time.
    Any other chunk does not fit."""

    candidates: tuple[_PlainCandidate]
    usageMetadata: msgspec.Raw = msgspec.Raw()  # the wire's own name
    promptFeedback: None = None
    error: None = None


_decode = msgspec.json.Decoder().decode
_decode_plain = msgspec.json.Decoder(_Plain).decode


class _Candidate:
    """What is known of one candidate."""

    __slots__ = ("called", "finish", "grounding", "index", "kind", "next", "partial", "pieces", "recited", "signed")

    def __init__(self, index: int) -> None:
        self.index = index
        self.next = 0  # number of the next part
        self.kind = ""  # of the open part: "text", "thought" or none
        self.signed = False  # the open part has its signature
        self.called = False  # there was a function call
        self.finish: str | None = None
        self.grounding: Any = None
        self.recited: Any = None
        self.partial: PartialCall | None = None
        self.pieces: list[str] = []  # of the open text


class Reading:
    """Turns decoded chunks into events."""

    def __init__(self) -> None:
        self._begun = False
        self._id = ""
        self._calls = 0
        self._candidates: dict[int, _Candidate] = {}
        self._usage: Any = None
        self._told: Any = None  # the usage that the latest `Used` said
        self._blocked: str | None = None

    def plain(self, chunk: _Plain) -> list[Event] | None:
        """The events of a plain chunk; None where the candidate or its text is new, or was called to an end."""
        (data,) = chunk.candidates
        candidate = self._candidates.get(data.index)
        text = data.content.parts[0].text
        if candidate is None or candidate.kind != "text" or candidate.signed or not text:
            return None
        candidate.pieces.append(text)
        if chunk.usageMetadata:
            self._usage = chunk.usageMetadata
        return [PartDelta(index=candidate.next - 1, text=text, choice=candidate.index)]

    def add(self, chunk: JSON) -> list[Event]:
        events: list[Event] = []
        if not self._begun:
            self._begin(chunk, events)
        for candidate in listed(chunk.get("candidates")):
            self._candidate(candidate, events)
        if (usage := chunk.get("usageMetadata")) is not None:
            if self._usage is None and (used := read_usage(usage)) is not None:
                events.append(Used(usage=used))
                self._told = usage
            self._usage = usage
        if (feedback := chunk.get("promptFeedback")) is not None:
            reason = feedback.get("blockReason") if isinstance(feedback, dict) else None
            self._blocked = reason if isinstance(reason, str) else self._blocked
        return events

    def whole(self) -> bool:
        """Whether nothing more need come."""
        if not self._candidates:
            return self._blocked is not None
        return all(candidate.finish is not None for candidate in self._candidates.values())

    def finish(self) -> list[Event]:
        """The events after the last chunk, `End` included."""
        events: list[Event] = []
        for candidate in sorted(self._candidates.values(), key=lambda c: c.index):
            if candidate.partial is not None:
                self._emit_partial(candidate, events)
            self._cite(candidate, events)
            _end(candidate, events)
            raw = candidate.finish
            events.append(Finish(reason=_reason(raw, candidate.called), choice=candidate.index, raw=raw))
        if not self._candidates:
            events.append(Finish(reason="content_filter", raw=BLOCKED + (self._blocked or "OTHER")))
        events += self.used()
        events.append(End())
        return events

    def used(self) -> list[Event]:
        """The usage, unless it was said already."""
        if self._usage is self._told:
            return []
        try:
            usage = read_usage(_decode(self._usage) if isinstance(self._usage, msgspec.Raw) else self._usage)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            usage = None
        return [] if usage is None else [Used(usage=usage)]

    def _begin(self, chunk: JSON, events: list[Event]) -> None:
        self._begun = True
        self._id = _string(chunk.get("responseId"))
        model = _string(chunk.get("modelVersion"))
        created = _seconds(chunk.get("createTime"))
        events.append(Begin(id=self._id, model=model, created=created, dialect=NAME))

    def _candidate(self, data: Any, events: list[Event]) -> None:
        if not isinstance(data, dict):
            return
        index = data.get("index") or 0
        if not isinstance(index, int) or not 0 <= index < _MOST_CANDIDATES:
            return
        candidate = self._candidates.get(index)
        if candidate is None:
            candidate = self._candidates[index] = _Candidate(index)
        logprobs = read_logprobs(data["logprobsResult"]) if "logprobsResult" in data else None
        content = data.get("content")
        if isinstance(content, dict):
            for part in listed(content.get("parts")):
                if isinstance(part, dict):
                    logprobs = self._part(candidate, part, logprobs, events)
        if logprobs:
            _text(candidate, "", None, "text", logprobs, events)
        if isinstance(finish := data.get("finishReason"), str):
            candidate.finish = finish
        if "groundingMetadata" in data:
            candidate.grounding = data["groundingMetadata"]
        if "citationMetadata" in data:
            candidate.recited = data["citationMetadata"]

    def _part(
        self, candidate: _Candidate, part: JSON, logprobs: list[TokenLogprob] | None, events: list[Event]
    ) -> list[TokenLogprob] | None:
        """Returns the log probabilities that are still to be given out."""
        text = part.get("text")
        if isinstance(text, str) or part.keys() <= {"thoughtSignature", "thought"}:
            text, signature = text or "", _signature(part)
            if part.get("thought") is True:
                _text(candidate, text, signature, "thought", None, events)
                return logprobs
            _text(candidate, text, signature, "text", logprobs, events)
            return None if text else logprobs
        if isinstance(call := part.get("functionCall"), dict):
            self._call(candidate, call, _signature(part), events)
            return logprobs
        self._cite(candidate, events)
        _end(candidate, events)
        try:
            whole = read_plain(fields(dict(part), "part"))
        except Malformed:
            whole = Opaque(dialect=NAME, kind=next(iter(part)), data=part)
        events.append(PartStart(index=candidate.next, part=whole, choice=candidate.index))
        events.append(PartEnd(index=candidate.next, choice=candidate.index))
        candidate.next += 1
        return logprobs

    def _call(self, candidate: _Candidate, call: JSON, signature: str | None, events: list[Event]) -> None:
        partial = candidate.partial
        if partial is None:
            partial = candidate.partial = PartialCall()
        if partial.add(call, signature):
            self._emit_partial(candidate, events)

    def _emit_partial(self, candidate: _Candidate, events: list[Event]) -> None:
        call, candidate.partial = candidate.partial, None
        if call is None or not call.name:
            return
        self._cite(candidate, events)
        _end(candidate, events)
        candidate.called = True
        call_id = call.id or f"call_{self._id}_{self._calls}"
        self._calls += 1
        index, choice = candidate.next, candidate.index
        part = ToolCall(id=call_id, name=call.name, signature=call.signature, dialect=NAME)
        events.append(PartStart(index=index, part=part, choice=choice))
        events.append(PartDelta(index=index, text=json_text(call.args), choice=choice))
        events.append(PartEnd(index=index, choice=choice))
        candidate.next += 1

    def _cite(self, candidate: _Candidate, events: list[Event]) -> None:
        """Citations of the open text; they mostly come with the last chunk."""
        if candidate.kind != "text" or (candidate.grounding is None and candidate.recited is None):
            return
        text = "".join(candidate.pieces)
        index, choice = candidate.next - 1, candidate.index
        citations = read_citations(candidate.grounding, candidate.recited, text)
        events += [PartPatch(index=index, choice=choice, citation=citation) for citation in citations]
        candidate.grounding = candidate.recited = None


def _text(  # noqa: PLR0917  # the hot path: names would cost
    candidate: _Candidate,
    text: str,
    signature: str | None,
    kind: str,
    logprobs: list[TokenLogprob] | None,
    events: list[Event],
) -> None:
    """Text or a thought: goes on with the open part where that is of its kind and not signed yet."""
    if not text and signature is None and not logprobs:
        return
    if candidate.kind != kind or candidate.signed:
        _end(candidate, events)
        candidate.kind, candidate.signed, candidate.pieces = kind, False, []
        part = Text(dialect=NAME) if kind == "text" else Reasoning(summary=True, dialect=NAME)
        events.append(PartStart(index=candidate.next, part=part, choice=candidate.index))
        candidate.next += 1
    if text or logprobs:
        events.append(PartDelta(index=candidate.next - 1, text=text, choice=candidate.index, logprobs=logprobs))
        candidate.pieces.append(text)
    if signature is not None:
        candidate.signed = True
        events.append(PartPatch(index=candidate.next - 1, choice=candidate.index, signature=signature))


def _end(candidate: _Candidate, events: list[Event]) -> None:
    if candidate.kind:
        candidate.kind = ""
        events.append(PartEnd(index=candidate.next - 1, choice=candidate.index))


def _signature(part: JSON) -> str | None:
    signature = part.get("thoughtSignature")
    return signature if isinstance(signature, str) and signature else None


def _reason(raw: str | None, called: bool) -> FinishReason:
    reason = "stop" if raw is None else FINISH.get(raw.upper(), "error")
    return "tool_calls" if called and reason == "stop" else reason


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _seconds(time: Any) -> int:
    """RFC 3339 as Unix seconds; 0 where there is none."""
    if not isinstance(time, str):
        return 0
    try:
        return int(datetime.fromisoformat(time).timestamp())
    except (ValueError, OverflowError):
        return 0


class StreamReader:
    """Server-sent events of `streamGenerateContent?alt=sse`."""

    def __init__(self) -> None:
        self._frames = sse.Frames()
        self._reading = Reading()
        self._over = False

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        if self._over:
            return events
        try:
            frames = self._frames.feed(data)
        except sse.FrameTooLong as error:
            return self._break(_broken(str(error)))
        for frame in frames:
            events += self._frame(frame)
            if self._over:
                break
        return events

    def close(self) -> list[Event]:
        if self._over:
            return []
        events: list[Event] = []
        if rest := self._frames.rest().strip():  # the last event may lack its blank line
            events = self._frame(rest.replace(b"\r\n", b"\n") + b"\n\n", last=True)
        if self._over:
            return events
        if self._reading.whole():
            self._over = True
            return events + self._reading.finish()
        return events + self._break(_broken("the provider's stream ended without a finishReason"))

    def _frame(self, frame: bytes, last: bool = False) -> list[Event]:
        event = sse.parse(frame)
        if event is not None:
            data = event.data
        elif frame.lstrip()[:1] in (b"{", b"["):
            data = frame  # errors may come as plain JSON
        else:
            return []
        try:
            if (events := self._plain(data)) is not None:
                return events
            chunk = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if last or data.strip() == b"[DONE]":
                return []
            return self._break(_broken("the provider's stream has an event that is not JSON"))
        if isinstance(chunk, dict) and "error" not in chunk:
            return self._reading.add(chunk)
        if (error := error_in(chunk)) is not None:
            return self._break(read_envelope(200, error))
        return []

    def _plain(self, data: bytes) -> list[Event] | None:
        try:
            return self._reading.plain(_decode_plain(data))
        except msgspec.ValidationError:
            return None

    def _break(self, failure: Failure) -> list[Event]:
        self._over = True
        return [*self._reading.used(), Broken(failure=failure)]


def _broken(message: str) -> Failure:
    return Failure(kind="stream_broken", message=message, status=502, dialect=NAME)
