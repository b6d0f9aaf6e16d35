"""How a reply's stream of events hangs together (law 3).

A stream is `Begin`, then parts, a `Finish` for every choice, and `End`; or it stops anywhere with `Broken`. A part
goes through three states, and only these steps are allowed:

    unseen --PartStart--> open --PartDelta, PartPatch--> open --PartEnd--> ended

Parts of one choice may be open side by side (OpenAI interleaves parallel tool calls). `fold` turns events into the
whole reply, `unfold` a whole reply into events, and `Sequence` turns side-by-side parts into one after another, for
dialects that can only say them so.
"""

from collections.abc import Iterable, Iterator

import msgspec

from dragoman.canon.parts import Media, Part, Reasoning, Refusal, Text, ToolCall
from dragoman.canon.reply import (
    Begin,
    Broken,
    Choice,
    End,
    Event,
    Failure,
    Finish,
    PartDelta,
    PartEnd,
    PartPatch,
    PartStart,
    Reply,
    Used,
)

# what may happen to a part, by its state
NEXT: dict[tuple[str, type], str] = {
    ("unseen", PartStart): "open",
    ("open", PartDelta): "open",
    ("open", PartPatch): "open",
    ("open", PartEnd): "ended",
}


class OutOfOrder(Exception):
    """An event came that its part's state does not allow: a fault of the reader that made it."""


class Failed(Exception):
    """It came to nothing, for the reason that `failure` gives, as the client may hear it: a call, a page, or a stream
    that was folded and ended in `Broken`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Fold:
    """Grows a whole reply out of events. `add` every event; `reply` is the reply so far."""

    def __init__(self) -> None:
        self.reply = Reply(dialect="")
        self._parts: dict[tuple[int, int], Part] = {}
        self._states: dict[tuple[int, int], str] = {}
        self._finished: set[int] = set()

    def add(self, event: Event) -> None:
        """Raises `OutOfOrder` where the event may not come now, `Failed` on `Broken`."""
        reply = self.reply
        match event:
            case PartStart() | PartDelta() | PartPatch() | PartEnd():
                self._part_event(event)
            case Begin():
                reply.id, reply.model, reply.created = event.id, event.model, event.created
                reply.dialect, reply.service_tier = event.dialect, event.service_tier
            case Finish():
                choice = self._choice(event.choice)
                choice.finish, choice.stop_sequence, choice.raw_finish = event.reason, event.stop_sequence, event.raw
                self._finished.add(event.choice)
            case Used():
                reply.usage = event.usage
            case Broken():
                raise Failed(event.failure)
            case End():
                pass

    def _choice(self, index: int) -> Choice:
        while len(self.reply.choices) <= index:
            self.reply.choices.append(Choice())
        return self.reply.choices[index]

    def _part_event(self, event: PartStart | PartDelta | PartPatch | PartEnd) -> None:
        key = (event.choice, event.index)
        state = self._states.get(key, "unseen")
        if event.choice in self._finished or (state, type(event)) not in NEXT:
            raise OutOfOrder(f"{type(event).__name__} for part {key}, which is {state}")
        self._states[key] = NEXT[state, type(event)]
        if isinstance(event, PartStart):
            part = msgspec.structs.replace(event.part)
            self._parts[key] = part
            self._choice(event.choice).parts.append(part)
        elif isinstance(event, PartDelta):
            _grow(self._parts[key], event)
        elif isinstance(event, PartPatch):
            _patch(self._parts[key], event)
        elif isinstance(part := self._parts[key], ToolCall) and part.kind == "function" and not part.arguments:
            part.arguments = "{}"


def _grow(part: Part, delta: PartDelta) -> None:
    match part:
        case Text():
            part.text += delta.text
            if delta.logprobs is not None:
                part.logprobs = (part.logprobs or []) + delta.logprobs
        case Reasoning() | Refusal():
            part.text += delta.text
        case ToolCall():
            part.arguments += delta.text
        case Media():
            part.data = (part.data or "") + (delta.data or "")
            if delta.text:
                part.transcript = (part.transcript or "") + delta.text
        case _:
            raise OutOfOrder(f"a {type(part).__name__} does not grow")


def _patch(part: Part, patch: PartPatch) -> None:
    if patch.signature is not None and isinstance(part, Text | Reasoning | ToolCall):
        part.signature = patch.signature
    if patch.encrypted is not None and isinstance(part, Reasoning):
        part.encrypted = patch.encrypted
    if patch.citation is not None and isinstance(part, Text):
        part.citations = [*part.citations, patch.citation]
    if patch.id is not None and isinstance(part, Text | Media | Reasoning | Refusal | ToolCall):
        part.id = patch.id


def fold(events: Iterable[Event]) -> Reply:
    """The whole reply that a complete stream of events amounts to."""
    growing = Fold()
    for event in events:
        growing.add(event)
    return growing.reply


def unfold(reply: Reply) -> Iterator[Event]:
    """A complete stream of events that amounts to `reply`."""
    yield Begin(
        id=reply.id, model=reply.model, created=reply.created, service_tier=reply.service_tier, dialect=reply.dialect
    )
    for number, choice in enumerate(reply.choices):
        for index, part in enumerate(choice.parts):
            yield PartStart(index=index, part=_hollow(part), choice=number)
            yield from _filling(part, index, number)
            yield PartEnd(index=index, choice=number)
        yield Finish(reason=choice.finish, choice=number, stop_sequence=choice.stop_sequence, raw=choice.raw_finish)
    if reply.usage is not None:
        yield Used(usage=reply.usage)
    yield End()


def _hollow(part: Part) -> Part:
    """The part as it opens, before any text has come."""
    match part:
        case Text():
            return msgspec.structs.replace(part, text="", citations=[], logprobs=None, signature=None)
        case Reasoning():
            return msgspec.structs.replace(part, text="", signature=None)
        case Refusal():
            return msgspec.structs.replace(part, text="")
        case ToolCall():
            return msgspec.structs.replace(part, arguments="")
        case _:
            return part


def _filling(part: Part, index: int, choice: int) -> Iterator[Event]:
    match part:
        case Text():
            if part.text or part.logprobs:
                yield PartDelta(index=index, text=part.text, choice=choice, logprobs=part.logprobs)
            for citation in part.citations:
                yield PartPatch(index=index, choice=choice, citation=citation)
        case Reasoning() | Refusal():
            if part.text:
                yield PartDelta(index=index, text=part.text, choice=choice)
        case ToolCall():
            if part.arguments:
                yield PartDelta(index=index, text=part.arguments, choice=choice)
        case _:
            return
    if isinstance(part, Text | Reasoning) and part.signature is not None:
        yield PartPatch(index=index, choice=choice, signature=part.signature)


class Sequence:
    """Makes parts follow one another: at most one open at a time, numbered from 0 in the order they come out.

    For writers whose dialect has no side-by-side parts. A part that opens while another is open ends that one, except
    a tool call whose arguments are not yet a whole JSON value: then the newcomer waits until they are (or until the
    choice finishes), so that interleaved argument deltas never mix. Text that resumes after its part was ended opens a
    new part of the same kind. Only choice 0 passes; such dialects have one answer.
    """

    def __init__(self) -> None:
        self._now: int | None = None  # the part of the incoming stream that is open in the outgoing one
        self._arguments = ""  # of the tool call that is open
        self._kinds: dict[int, Part] = {}  # hollow parts by incoming index, to reopen or to open late
        self._waiting: dict[int, list[PartStart | PartDelta | PartPatch | PartEnd]] = {}
        self._count = 0  # outgoing parts so far

    def add(self, event: Event) -> Iterator[Event]:
        """The events that may go out now that `event` has come."""
        match event:
            case PartStart() | PartDelta() | PartPatch() | PartEnd():
                if event.choice == 0:
                    yield from self._part_event(event)
            case Finish():
                if event.choice == 0:
                    yield from self._flush()
                    yield event
            case _:
                yield event

    def _part_event(self, event: PartStart | PartDelta | PartPatch | PartEnd) -> Iterator[Event]:
        index = event.index
        if index in self._waiting:
            self._waiting[index].append(event)
        elif index == self._now:
            yield from self._pass(event)
        elif isinstance(event, PartEnd):
            pass  # it was ended early, when another part opened
        elif self._must_wait():
            self._waiting[index] = [event]
        else:
            yield from self._open(event)
        if self._waiting and not self._must_wait():
            yield from self._release()

    def _must_wait(self) -> bool:
        """A tool call is open and its arguments are not whole yet."""
        return (
            self._now is not None and isinstance(self._kinds[self._now], ToolCall) and not whole_json(self._arguments)
        )

    def _pass(self, event: PartStart | PartDelta | PartPatch | PartEnd) -> Iterator[Event]:
        if isinstance(event, PartDelta) and isinstance(self._kinds[event.index], ToolCall):
            self._arguments += event.text
        yield msgspec.structs.replace(event, index=self._count - 1)
        if isinstance(event, PartEnd):
            self._now = None

    def _open(self, event: PartStart | PartDelta | PartPatch) -> Iterator[Event]:
        if isinstance(event, PartStart):
            self._kinds[event.index] = event.part
        yield from self._end_open()
        self._now, self._arguments = event.index, ""
        part = self._kinds[event.index]
        if isinstance(part, ToolCall):
            self._arguments = part.arguments
        yield PartStart(index=self._count, part=part)
        self._count += 1
        if not isinstance(event, PartStart):
            yield from self._pass(event)

    def _end_open(self) -> Iterator[Event]:
        if self._now is not None:
            self._now = None
            yield PartEnd(index=self._count - 1)

    def _release(self) -> Iterator[Event]:
        """Let the waiting parts out, oldest first, as far as they may go."""
        while self._waiting and not self._must_wait():
            index = next(iter(self._waiting))
            for event in self._waiting.pop(index):
                if index == self._now or isinstance(event, PartEnd):
                    if index == self._now:
                        yield from self._pass(event)
                else:
                    yield from self._open(event)

    def _flush(self) -> Iterator[Event]:
        """The choice is finished: everything that waits comes out, whole or not."""
        while self._waiting:
            yield from self._end_open()
            yield from self._release()
        yield from self._end_open()


def whole_json(text: str) -> bool:
    """Whether `text` is one complete JSON value."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True
