"""The stream of a provider (`chat.completion.chunk`): bytes to canon events.

The parts of a choice stay open side by side until the stream's end: providers interleave the deltas of parallel tool
calls, resume text after calls, and send pieces even after `finish_reason`. So all choices finish when `[DONE]` comes. A
stream that ends without it is broken.

Which call a delta belongs to, with the providers' habits:

| the delta has                                  | it belongs to                                      |
|------------------------------------------------|----------------------------------------------------|
| an id seen before                              | that call                                          |
| a new id and a name                            | a new call, even under an `index` seen before      |
| a new id, no name, an `index` seen before      | the call of that `index`                           |
| no id, an `index` seen before                  | the call of that `index` (1)                       |
| no id, no `index`                              | its place in a list of several, else the latest (1) |

(1) But where a name comes, and that call has another name or whole arguments already, a new call begins.
"""

from typing import Any

import msgspec
from msgspec import Struct, field

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
    Refusal,
    Text,
    ToolCall,
    Used,
    whole_json,
)
from dragoman.dialects.openai_chat.errors import failure_of
from dragoman.dialects.openai_chat.names import NAME, finish_reason
from dragoman.dialects.openai_chat.reply import arguments_text, listed_content, read_image, read_logprobs
from dragoman.dialects.openai_chat.turns import details_text, google_signature, read_annotation, signed
from dragoman.dialects.openai_chat.usage import read_usage, whole_number
from dragoman.dialects.repeats import Repeats
from dragoman.wire import sse


# gc=False: they hold no cycles, and live for one chunk
class _Function(Struct, gc=False):
    name: str | None = None
    arguments: Any = None


class _Custom(Struct, gc=False):
    name: str | None = None
    input: str | None = None


class _CallDelta(Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None
    custom: _Custom | None = None
    extra_content: Any = None


class _Audio(Struct, gc=False):
    id: str | None = None
    data: str | None = None
    transcript: str | None = None


class _Delta(Struct, gc=False):
    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_CallDelta] | None = None
    refusal: str | None = None
    function_call: _Function | None = None
    audio: _Audio | None = None
    annotations: list[Any] | None = None
    images: list[Any] | None = None
    reasoning_details: list[Any] | None = None


class _Logprobs(Struct, gc=False):
    content: list[Any] | None = None
    refusal: list[Any] | None = None


class _Choice(Struct, gc=False):
    index: int | None = 0
    delta: _Delta | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None
    stop_reason: Any = None
    usage: JSON | None = None  # Moonshot


class _Groq(Struct, gc=False):
    usage: JSON | None = None


class _Chunk(Struct, gc=False):
    choices: list[_Choice] | None = None
    id: str | None = None
    model: str | None = None
    created: float | None = None
    service_tier: str | None = None
    usage: JSON | None = None
    error: Any = None
    object: str | None = None
    x_groq: _Groq | None = None


_decode = msgspec.json.Decoder(_Chunk).decode
_MOST_CHOICES = 1024  # OpenAI gives at most 128
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _says(frame: bytes) -> str | None:
    """See `Repeats`. Neither the end of a choice nor usage may be in it, as they change what is known so far."""
    event = sse.parse(frame)
    if event is None or event.name:
        return None
    try:
        chunk = _decode(event.data)
    except _FAULTS:
        return None
    if not chunk.choices or chunk.usage or chunk.x_groq or chunk.error is not None or chunk.object == "error":
        return None
    choice = chunk.choices[0]
    delta = choice.delta or _Delta()
    text = delta.content or delta.reasoning_content or delta.reasoning
    if not isinstance(text, str) or chunk.choices != [_Choice(index=choice.index, delta=delta)]:
        return None
    return text if delta in (_Delta(text), _Delta(reasoning_content=text), _Delta(reasoning=text)) else None


def _envelope(data: bytes) -> object:
    """An error event, whole; None where it is no JSON after all."""
    try:
        return msgspec.json.decode(data)
    except _FAULTS:
        return None


class _Call(Struct):
    """A tool call on its way. `place` is its part's index, None until its name is known."""

    id: str = ""
    name: str = ""
    kind: Any = "function"
    place: int | None = None
    pieces: list[str] = field(default_factory=list)
    signature: str | None = None


class _State:
    """One choice on its way: the part indexes in use, the calls, and what has been said of its end."""

    __slots__ = (
        "audio",
        "calls",
        "count",
        "details",
        "newest",
        "number",
        "places",
        "raw",
        "reasoning",
        "refusal",
        "stop",
        "text",
    )  # fmt: skip

    def __init__(self, number: int) -> None:
        self.number = number
        self.count = 0
        self.text = self.reasoning = self.refusal = self.audio = -1
        self.calls: list[_Call] = []
        self.newest: dict[int, _Call] = {}  # by the provider's index
        self.places: dict[int, None] = {}  # open parts
        self.details: list[Any] = []
        self.raw: str | None = None
        self.stop: str | None = None


class StreamReader:
    """Bytes of a reply stream in, canon events out."""

    def __init__(self) -> None:
        self._frames = sse.Frames()
        self._repeats = Repeats(_says)
        self._begun = False
        self._over = False
        self._id = ""
        self._choices: dict[int, _State] = {}
        self._usage: JSON | None = None

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes."""
        events: list[Event] = []
        if self._over:
            return events
        try:
            frames = self._frames.feed(data)
        except sse.FrameTooLong as error:
            self._break(events, str(error))
            return events
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
        """The connection has ended: a last line without its blank line still counts if it is the end mark."""
        events: list[Event] = []
        if not self._over:
            event = sse.parse(self._frames.rest().replace(b"\r", b""))
            if event is not None and event.data.rstrip() == b"[DONE]":
                self._end(events)
            else:
                self._break(events, "the provider's stream ended without its end mark")
        return events

    def _frame(self, frame: bytes, events: list[Event]) -> None:
        name = ""
        if frame.startswith(b"data: ") and frame.find(b"\n") == len(frame) - 2:
            data = frame[6:-2]
        else:
            event = sse.parse(frame)
            if event is None:
                return
            name, data = event.name, event.data
        if data.startswith(b"[DONE]"):
            self._end(events)
            return
        try:
            chunk = _decode(data)
        except _FAULTS:
            lenient = self._lenient(data, events)
            if lenient is None:
                return
            chunk = lenient
        if chunk.error is not None or name == "error" or chunk.object == "error":
            self._over = True
            events.append(Broken(failure=failure_of(_envelope(data), 0)))
            return
        self._chunk(chunk, events)

    def _lenient(self, data: bytes, events: list[Event]) -> _Chunk | None:
        """A chunk with numbers as strings and the like. What still makes no sense breaks the stream."""
        if not data.strip():
            return None
        try:
            return msgspec.convert(msgspec.json.decode(data), _Chunk, strict=False)
        except _FAULTS:
            self._break(events, "the provider sent a chunk that is no chat.completion.chunk")
            return None

    def _break(self, events: list[Event], message: str) -> None:
        self._over = True
        events.append(Broken(failure=Failure(kind="stream_broken", message=message, status=502)))

    def _end(self, events: list[Event]) -> None:
        if not self._begun:
            self._begin(_Chunk(), events)
        self._finish(events)
        self._over = True
        events.append(End())

    def _chunk(self, chunk: _Chunk, events: list[Event]) -> None:
        if not self._begun:
            if not chunk.choices and not chunk.id and not chunk.model:
                return  # Azure's filter results come before anything is known
            self._begin(chunk, events)
        usage = chunk.usage
        for choice in chunk.choices or ():
            number = choice.index or 0
            state = self._choices.get(number)
            if state is None:
                if not 0 <= number < _MOST_CHOICES:
                    self._break(events, f"the provider sent a choice of index {number}")
                    return
                state = self._choices[number] = _State(number)
            if choice.delta is not None:
                self._delta(state, choice.delta, choice.logprobs, events)
            if choice.finish_reason is not None:
                state.raw = choice.finish_reason
                state.stop = choice.stop_reason if isinstance(choice.stop_reason, str) else None
            usage = usage or choice.usage
        if usage is None and chunk.x_groq is not None:
            usage = chunk.x_groq.usage
        if usage is not None and usage != self._usage:
            self._usage = usage
            events.append(Used(usage=read_usage(usage)))

    def _begin(self, chunk: _Chunk, events: list[Event]) -> None:
        self._begun, self._id = True, chunk.id or ""
        events.append(
            Begin(
                id=self._id,
                model=chunk.model or "",
                created=whole_number(chunk.created),
                service_tier=chunk.service_tier,
                dialect=NAME,
            )
        )

    def _delta(self, state: _State, delta: _Delta, logprobs: _Logprobs | None, events: list[Event]) -> None:
        thought = delta.reasoning or delta.reasoning_content
        content = delta.content
        if isinstance(content, list):
            content, more = listed_content(content)
            thought = (thought or "") + more
        if thought:
            place = state.reasoning
            if place < 0:
                place = state.reasoning = self._open(state, Reasoning(dialect=NAME), events)
            events.append(PartDelta(index=place, text=thought, choice=state.number))
        if content or (content is not None and logprobs is not None and logprobs.content):
            place = state.text
            if place < 0:
                place = state.text = self._open(state, Text(), events)
            event = PartDelta(index=place, text=content, choice=state.number)
            if logprobs is not None and logprobs.content:
                event.logprobs = read_logprobs(logprobs.content)
            events.append(event)
        if delta.tool_calls:
            self._calls(state, delta.tool_calls, events)
        if (
            delta.refusal
            or delta.audio is not None
            or delta.function_call is not None
            or delta.annotations
            or delta.images
            or delta.reasoning_details
        ):
            self._rarities(state, delta, logprobs, events)

    def _rarities(self, state: _State, delta: _Delta, logprobs: _Logprobs | None, events: list[Event]) -> None:
        number = state.number
        if delta.refusal:
            if state.refusal < 0:
                state.refusal = self._open(state, Refusal(), events)
            tokens = read_logprobs(logprobs.refusal) if logprobs is not None else None
            events.append(PartDelta(index=state.refusal, text=delta.refusal, choice=number, logprobs=tokens or None))
        if delta.audio is not None:
            self._audio(state, delta.audio, events)
        if delta.function_call is not None:
            self._calls(state, [_CallDelta(index=0, function=delta.function_call)], events)
        for item in delta.annotations or ():
            if (citation := read_annotation(item)) is not None:
                if state.text < 0:
                    state.text = self._open(state, Text(), events)
                events.append(PartPatch(index=state.text, choice=number, citation=citation))
        for item in delta.images or ():
            if (image := read_image(item)) is not None:
                place = self._open(state, image, events)
                del state.places[place]
                events.append(PartEnd(index=place, choice=number))
        if delta.reasoning_details:
            state.details = _merged(state.details, delta.reasoning_details)

    def _open(self, state: _State, part: Part, events: list[Event]) -> int:
        place = state.count
        state.count += 1
        state.places[place] = None
        events.append(PartStart(index=place, part=part, choice=state.number))
        return place

    def _audio(self, state: _State, audio: _Audio, events: list[Event]) -> None:
        if not (audio.id or audio.data or audio.transcript):
            return
        if state.audio < 0:
            state.audio = self._open(state, Media(kind="audio", id=audio.id, data=""), events)
        if audio.data or audio.transcript:
            text = audio.transcript or ""
            events.append(PartDelta(index=state.audio, text=text, choice=state.number, data=audio.data or None))

    # tool calls

    def _calls(self, state: _State, deltas: list[_CallDelta], events: list[Event]) -> None:
        for position, delta in enumerate(deltas):
            function, free = delta.function, delta.custom
            if (
                function is not None
                and not function.name
                and not delta.id
                and (known := state.newest.get(delta.index)) is not None  # type: ignore[arg-type]  # None is no key
                and known.place is not None
                and isinstance(function.arguments, str)
            ):  # by far the most common: more arguments of a known call
                if function.arguments:
                    known.pieces.append(function.arguments)
                    events.append(PartDelta(index=known.place, text=function.arguments, choice=state.number))
                continue
            if function is not None:
                name, piece = function.name, arguments_text(function.arguments)
            elif free is not None:
                name, piece = free.name, free.input or ""
            else:
                name, piece = None, ""
            slot = delta.index if delta.index is not None or len(deltas) == 1 else position
            call = _owner(state, delta.id, slot, name, piece)
            if call is None:
                call = _Call(id=delta.id or "", kind="function" if free is None else "custom")
                state.newest[len(state.calls) if slot is None else slot] = call
                state.calls.append(call)
            if call.place is None:
                call.id = call.id or delta.id or ""
                call.name = name or ""
                call.signature = call.signature or google_signature(delta.extra_content)
                if name:
                    self._start(state, call, events)
            if piece:
                call.pieces.append(piece)
                if call.place is not None:
                    events.append(PartDelta(index=call.place, text=piece, choice=state.number))

    def _start(self, state: _State, call: _Call, events: list[Event]) -> None:
        place = next(i for i, one in enumerate(state.calls) if one is call)
        part = ToolCall(id=call.id or f"call_{self._id}_{place}", name=call.name, kind=call.kind)
        if call.signature is not None:
            part.signature, part.dialect = call.signature, NAME
        call.place = self._open(state, part, events)
        if call.pieces:
            events.append(PartDelta(index=call.place, text="".join(call.pieces), choice=state.number))

    # the end

    def _finish(self, events: list[Event]) -> None:
        for number in sorted(self._choices):
            state = self._choices[number]
            for call in state.calls:
                if call.place is None:
                    self._start(state, call, events)
            if signed(state.details):
                if state.reasoning < 0:
                    state.reasoning = self._open(state, Reasoning(dialect=NAME), events)
                encrypted = details_text(state.details)
                events.append(PartPatch(index=state.reasoning, choice=number, encrypted=encrypted))
            events.extend(PartEnd(index=place, choice=number) for place in state.places)
            reason = finish_reason(state.raw, bool(state.calls), state.refusal >= 0)
            events.append(Finish(reason=reason, choice=number, stop_sequence=state.stop, raw=state.raw))


def _owner(state: _State, call_id: str | None, slot: int | None, name: str | None, piece: str) -> _Call | None:
    """The call that a delta belongs to, by the table above; None for a new one."""
    at_slot = state.newest.get(slot) if slot is not None else (state.calls[-1] if state.calls else None)
    if not name and not call_id:
        return at_slot
    if call_id:
        if at_slot is not None and at_slot.id == call_id:
            return at_slot
        for call in state.calls:
            if call.id == call_id:
                return call
        return at_slot if not name or (at_slot is not None and at_slot.place is None) else None
    if at_slot is None or at_slot.place is None:
        return at_slot
    another = at_slot.name != name or (piece and whole_json("".join(at_slot.pieces)))
    return None if another else at_slot


def _merged(details: list[Any], more: list[Any]) -> list[Any]:
    """`reasoning_details` grown by a chunk's: pieces of one entry (same index and type) are joined."""
    for item in more:
        last = details[-1] if details else None
        if (
            isinstance(item, dict)
            and isinstance(last, dict)
            and all(last.get(key) == item.get(key) for key in ("index", "type"))
            and item.get("type") in ("reasoning.text", "reasoning.summary")
        ):
            for key, value in item.items():
                if key in ("text", "summary") and isinstance(value, str):
                    before = last.get(key)
                    last[key] = before + value if isinstance(before, str) else value
                elif value is not None:
                    last[key] = value
        else:
            details.append(item)
    return details
