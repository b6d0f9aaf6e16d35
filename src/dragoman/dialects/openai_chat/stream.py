"""The stream for a client: canon events to `chat.completion.chunk` bytes.

A chunk is written from bytes prepared when its part opens, with nothing but the delta's text encoded afresh. Per
choice: one chunk with the role, chunks with deltas, one with the finish reason; then the usage chunk where the client
asked for it, and `[DONE]`. A broken stream ends in an `error` event instead.
"""

from collections.abc import Callable, Iterable

import msgspec

from dragoman.canon import (
    JSON,
    Begin,
    Broken,
    End,
    Event,
    Finish,
    Media,
    Part,
    PartDelta,
    PartEnd,
    PartPatch,
    PartStart,
    Reasoning,
    Refusal,
    Request,
    Text,
    ToolCall,
    Usage,
    Used,
)
from dragoman.dialects import custom
from dragoman.dialects.openai_chat.errors import error_envelope
from dragoman.dialects.openai_chat.names import NAME, written_finish
from dragoman.dialects.openai_chat.reading import is_legacy
from dragoman.dialects.openai_chat.reply import write_image, write_logprobs, write_tier
from dragoman.dialects.openai_chat.turns import details_of, google_content, sealed_id, write_annotation
from dragoman.dialects.openai_chat.usage import write_usage

_encode = msgspec.json.Encoder().encode


class _Open:
    """A part on its way out: the bytes before and after its deltas' text, and what has been sent.

    `held`: its text is gathered here instead (a custom call's arguments, to be unwrapped at the end). `kept`: its text
    is sent and gathered too (thinking that must go into a seal).
    """

    __slots__ = ("head", "held", "kept", "length", "offset", "part", "tail")

    def __init__(self, part: Part, head: bytes, tail: bytes) -> None:
        self.part = part
        self.head = head
        self.tail = tail
        self.length = 0  # characters sent
        self.offset = 0  # characters of the message's content before this part
        self.held: list[str] | None = None
        self.kept: list[str] | None = None


class _ChoiceState:
    __slots__ = ("before", "calls", "number", "refused", "text_length", "unsealed")

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = 0
        self.refused = False
        self.text_length = 0  # characters of content in parts that have ended
        self.unsealed: list[_Open] = []  # thinking that no call's id carries yet
        self.before = b""  # what stands before the delta in every chunk of this choice


class StreamWriter:
    """Canon events in, bytes of the client's stream out."""

    def __init__(self, request: Request) -> None:
        self._include_usage = request.include_usage
        self._legacy = is_legacy(request)
        self._customs = custom.names(request)
        self._own = False
        self._id = ""
        self._head = b""
        self._after = b',"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
        if not self._include_usage:
            self._after = b',"logprobs":null,"finish_reason":null}]}\n\n'
        self._usage: Usage | None = None
        self._over = False
        self._choices: dict[int, _ChoiceState] = {}
        self._parts: dict[tuple[int, int], _Open] = {}
        self._out: list[bytes] = []
        self._by_type: dict[type, Callable[..., None]] = {
            Begin: self._begin,
            PartStart: self._start,
            PartPatch: self._patch,
            PartEnd: self._end_part,
            Finish: self._finish,
            Used: self._used,
            End: self._end,
            Broken: self._broken,
        }
        self._begin(Begin())

    def write(self, events: Iterable[Event]) -> bytes:
        """The bytes that `events` amount to."""
        out = self._out = []
        parts = self._parts
        for event in events:
            if event.__class__ is PartDelta:
                open = parts.get((event.choice, event.index))
                if open is None:
                    continue
                if open.held is not None or open.kept is not None or event.data or event.logprobs:
                    self._rare_delta(open, event)
                elif text := event.text:
                    open.length += len(text)
                    out.append(open.head + _encode(text) + open.tail)
            elif not self._over:
                self._by_type[event.__class__](event)
        return b"".join(out)

    def _begin(self, event: Begin) -> None:
        self._own, self._id = event.dialect == NAME, event.id
        head: JSON = {"id": event.id, "object": "chat.completion.chunk", "created": event.created, "model": event.model}
        if (tier := write_tier(event.service_tier, self._own)) is not None:
            head["service_tier"] = tier
        self._head = b"data: " + _encode(head)[:-1] + b',"choices":['

    def _choice(self, number: int, content: str | None = None) -> _ChoiceState:
        """The choice's state; the first time, its role is said."""
        state = self._choices.get(number)
        if state is None:
            state = self._choices[number] = _ChoiceState(number)
            state.before = self._head + b'{"index":%d,"delta":' % number
            self._delta(state, {"role": "assistant", "content": content, "refusal": None})
        return state

    def _delta(self, state: _ChoiceState, delta: JSON) -> None:
        self._out.append(state.before + _encode(delta) + self._after)

    # parts

    def _start(self, event: PartStart) -> None:
        part = event.part
        state = self._choice(event.choice, "" if isinstance(part, Text) else None)
        match part:
            case Text():
                open = self._opened(event, b'{"content":', b"}")
                open.offset = state.text_length
                text = part.text
            case Reasoning():
                open = self._opened(event, b'{"reasoning_content":', b"}")
                text = part.text
                state.unsealed.append(open)
                if part.dialect != NAME:
                    open.kept = []
            case Refusal():
                state.refused = True
                open = self._opened(event, b'{"refusal":', b"}")
                text = part.text
            case ToolCall():
                self._start_call(event, part, state)
                return
            case Media(kind="audio"):
                self._start_audio(event, part, state)
                return
            case Media(kind="image"):
                self._delta(state, {"images": [write_image(part)]})
                return
            case _:
                return  # another dialect's own
        if text or (isinstance(part, Text) and part.logprobs):
            tokens = part.logprobs if isinstance(part, Text) else None
            self._rare_delta(open, PartDelta(index=event.index, choice=event.choice, text=text, logprobs=tokens))
        for citation in part.citations if isinstance(part, Text) else ():
            self._patch(PartPatch(index=event.index, choice=event.choice, citation=citation))

    def _opened(self, event: PartStart, before: bytes, after: bytes) -> _Open:
        state = self._choices[event.choice]
        open = _Open(event.part, state.before + before, after + self._after)
        self._parts[event.choice, event.index] = open
        return open

    def _start_call(self, event: PartStart, call: ToolCall, state: _ChoiceState) -> None:
        number = state.calls
        state.calls += 1
        if self._legacy:
            if number:
                return  # `function_call` has room for one
            self._opened(event, b'{"function_call":{"arguments":', b"}}")
            self._delta(state, {"function_call": {"name": call.name, "arguments": ""}})
        else:
            free = call.kind == "custom" or call.name in self._customs
            kind, field = ("custom", "input") if free else ("function", "arguments")
            before = b'{"tool_calls":[{"index":%d,"%b":{"%b":' % (number, kind.encode(), field.encode())
            open = self._opened(event, before, b"}}]}")
            if free and call.kind != "custom":
                open.held = []
            if not call.id:
                call = msgspec.structs.replace(call, id=f"call_{self._id}_{number}")
            item: JSON = {"index": number, "id": self._sealed(call, state), "type": kind}
            item[kind] = {"name": call.name, field: ""}
            if call.signature is not None and call.dialect == NAME:
                item["extra_content"] = google_content(call.signature)
            self._delta(state, {"tool_calls": [item]})
        if call.arguments:
            open = self._parts[event.choice, event.index]
            self._rare_delta(open, PartDelta(index=event.index, choice=event.choice, text=call.arguments))

    def _sealed(self, call: ToolCall, state: _ChoiceState) -> str:
        thoughts = [
            msgspec.structs.replace(open.part, text="".join(open.kept))
            for open in state.unsealed
            if isinstance(open.part, Reasoning) and open.kept is not None
        ]
        state.unsealed = []
        return sealed_id(call, thoughts)

    def _start_audio(self, event: PartStart, part: Media, state: _ChoiceState) -> None:
        self._opened(event, b'{"audio":{"transcript":', b"}}")
        audio: JSON = {"id": part.id or f"audio_{self._id}"}
        if part.data:
            audio["data"] = part.data
        if part.transcript:
            audio["transcript"] = part.transcript
        self._delta(state, {"audio": audio})

    def _rare_delta(self, open: _Open, event: PartDelta) -> None:
        """A delta that is more than text to be sent on."""
        state = self._choices[event.choice]
        text = event.text
        if open.held is not None:
            open.held.append(text)
            return
        if open.kept is not None:
            open.kept.append(text)
        open.length += len(text)
        if event.data:
            audio = {"data": event.data, **({"transcript": text} if text else {})}
            self._delta(state, {"audio": audio})
        elif event.logprobs and isinstance(open.part, Text | Refusal):
            field = "content" if isinstance(open.part, Text) else "refusal"
            tokens = {"content": None, "refusal": None, field: write_logprobs(event.logprobs)}
            after = b',"logprobs":' + _encode(tokens) + self._after[len(b',"logprobs":null') :]
            self._out.append(state.before + _encode({field: text}) + after)
        elif text:
            self._out.append(open.head + _encode(text) + open.tail)

    def _patch(self, event: PartPatch) -> None:
        open = self._parts.get((event.choice, event.index))
        if open is None:
            return
        state = self._choices[event.choice]
        part = open.part
        if isinstance(part, Reasoning):
            part = open.part = msgspec.structs.replace(
                part, signature=event.signature or part.signature, encrypted=event.encrypted or part.encrypted
            )
            if event.encrypted and (details := details_of([part])):
                self._delta(state, {"reasoning_details": details})
        if event.citation is not None and isinstance(part, Text):
            annotation = write_annotation(event.citation, open.offset, open.length)
            if annotation is not None:
                self._delta(state, {"annotations": [annotation]})

    def _end_part(self, event: PartEnd) -> None:
        open = self._parts.pop((event.choice, event.index), None)
        if open is None:
            return
        if isinstance(open.part, Text):
            self._choices[event.choice].text_length += open.length
        elif isinstance(open.part, ToolCall):
            if open.held is not None:
                text = custom.unwrap("".join(open.held))
            elif open.length or open.part.kind == "custom":
                return
            else:
                text = "{}"
            if text:
                self._out.append(open.head + _encode(text) + open.tail)

    # the end

    def _finish(self, event: Finish) -> None:
        state = self._choice(event.choice, "")
        for choice, index in [key for key in self._parts if key[0] == event.choice]:
            self._end_part(PartEnd(index=index, choice=choice))
        reason = written_finish(event.reason, event.raw, self._own, state.refused, self._legacy)
        after = self._after.replace(b'"finish_reason":null', b'"finish_reason":' + _encode(reason))
        self._out.append(state.before + b"{}" + after)

    def _used(self, event: Used) -> None:
        self._usage = event.usage

    def _end(self, event: End) -> None:
        self._over = True
        self._parts.clear()
        if self._include_usage and self._usage is not None:
            usage = _encode(write_usage(self._usage, self._own))
            self._out.append(self._head + b'],"usage":' + usage + b"}\n\n")
        self._out.append(b"data: [DONE]\n\n")

    def _broken(self, event: Broken) -> None:
        self._over = True
        self._parts.clear()
        self._out.append(b"data: " + _encode(error_envelope(event.failure)) + b"\n\n")
