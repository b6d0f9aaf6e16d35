"""Several streams that amount to one reply: an answer that broke off, and what others made of its rest.

How it works. The client's stream has one beginning and one end; parts are numbered through. What a model could not go
on from is not shown before it is certain: white space waits for the text that follows it (no API takes an answer's
beginning that ends in white space), the end of a text for whatever comes after it, and tool calls for the end of the
reply. So whatever waits when a stream breaks is simply dropped: the next one makes it anew. What was shown is never
taken back; `obstacle` says where that leaves no honest way on.
"""

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from dragoman.canon.parts import Part, Reasoning, Text, ToolCall
from dragoman.canon.reply import Begin, Event, Finish, PartDelta, PartEnd, PartPatch, PartStart, Used
from dragoman.canon.usage import Usage, added

PartEvent: TypeAlias = PartStart | PartDelta | PartPatch | PartEnd
ANCHOR = 12  # characters of what was said that count as repeated; fewer may be chance
Mode: TypeAlias = Literal[
    "exact",  # the new text begins where the old one stopped
    "echo",  # the provider repeats all it was given, and then goes on
    "asked",  # the model was asked to repeat the last words; it may have begun anew, or just gone on
]


class Seam:
    """Where the text of a new stream is joined to what was `said`: lets through only what is new."""

    def __init__(self, said: str, mode: Mode) -> None:
        self._said = said
        self._mode = mode
        self._head: str | None = None if mode == "exact" else ""  # of the new text; None once the place is found

    def feed(self, text: str) -> str:
        """The new of `text`, as far as it is certain."""
        if self._head is None:
            return text
        self._head += text
        return "" if self._undecided(self._head) else self.end()

    def end(self) -> str:
        """The text has ended: what was held back of it and is new."""
        head, self._head = self._head, None
        if head is None:
            return ""
        if self._mode == "echo":
            return head.removeprefix(self._said)
        text = head.lstrip()
        least = min(ANCHOR, len(self._said))
        for length in range(min(len(text), len(self._said)), least - 1, -1):
            if self._said.endswith(text[:length]):
                return text[length:]
        return head

    def _undecided(self, head: str) -> bool:
        said = self._said
        if self._mode == "echo":
            return len(head) < len(said) and said.startswith(head)
        return said.find(head.lstrip(), 0, len(said) - 1) >= 0 or len(head.lstrip()) < min(ANCHOR, len(said))


class Joined:
    """The events for the client, out of one stream after the other. Choices other than the first are left out."""

    def __init__(self) -> None:
        self._dialect: str | None = None  # the first stream's, once it has begun
        self._foreign = False  # this stream is of another: the words of its own are not the reply's
        self.finished = False  # why the answer ends has been told: nothing but the end mark can be missing
        self._shown: list[Part] = []  # by their number towards the client
        self._open: set[int] = set()  # their numbers
        self._numbers: dict[int, int | None] = {}  # of this stream's parts; None: left out
        self._text: int | None = None  # the number of the text whose white space or end may wait
        self._space = ""
        self._ended = False
        self._held: list[PartEvent] | None = None  # all parts from the first tool call on
        self._seam: Seam | None = None
        self._joins: int | None = None  # the part of this stream that the seam is in
        self._before: Usage | None = None  # what the earlier streams took

    @property
    def said(self) -> str:
        """The text that the client has."""
        return "".join(part.text for part in self._shown if isinstance(part, Text))

    def obstacle(self) -> str | None:
        """Why no other stream can go on from what was shown."""
        shown = [part for part in self._shown if isinstance(part, Text | Reasoning)]
        if len(shown) < len(self._shown):
            return "more than text had been shown"
        if any(part.signature or (isinstance(part, Reasoning) and part.encrypted) for part in shown):
            return "what had been shown was signed by its provider"
        shown = [part for part in shown if part.text]
        if shown and not isinstance(shown[-1], Text):
            return "it was thinking, and that can't be gone on with"
        if self.said != self.said.rstrip():
            return "it stopped in white space that had been shown"
        return None

    def broke(self, usage: Usage | None) -> None:
        """The stream has ended early. `usage`: what it took."""
        if usage is not None:
            self._before = usage if self._before is None else added(self._before, usage)
        self._numbers.clear()
        self._held = self._seam = self._joins = None
        self._space, self._ended = "", False

    def go_on(self, seam: Seam | None) -> None:
        """The next stream is to come. `seam`: where its text is joined; None where nothing had been said."""
        self._seam = seam or Seam("", "exact")

    def add(self, events: Iterable[Event]) -> list[Event]:
        """What goes to the client now that `events` have come."""
        out: list[Event] = []
        for event in events:
            match event:
                case PartDelta() | PartStart() | PartPatch() | PartEnd():
                    if not event.choice:
                        self._part_event(event, out)
                case Begin():
                    if self._dialect is None:
                        self._dialect = event.dialect
                        out.append(event)
                    self._foreign = event.dialect != self._dialect
                case Used():
                    out.append(Used(usage=self._sum(event.usage)))
                case Finish():
                    if not event.choice:
                        self._finish(event, out)
                case _:
                    out.append(event)
        return out

    def _part_event(self, event: PartEvent, out: list[Event]) -> None:
        if self._held is not None and event.index not in self._numbers:
            self._held.append(event)
        elif isinstance(event, PartStart) and isinstance(event.part, ToolCall):
            self._held = [event]
        else:
            self._pass(event, out)

    def _pass(self, event: PartEvent, out: list[Event]) -> None:
        if isinstance(event, PartStart):
            self._start(event, out)
            return
        number = self._numbers.get(event.index)
        if number is None:
            return
        part = self._shown[number]
        if isinstance(event, PartDelta):
            if isinstance(part, Text):
                self._grow(part, number, event, out)
                return
            if isinstance(part, Reasoning):
                part.text += event.text
        elif isinstance(event, PartPatch):
            if event.index == self._joins and event.signature is not None:
                return  # it would vouch for the whole text, of which it knows only the rest
            if isinstance(part, Text | Reasoning):
                part.signature = event.signature or part.signature
            if isinstance(part, Reasoning):
                part.encrypted = event.encrypted or part.encrypted
        elif number == self._text:
            self._rest(event.index, part, number, out)
            self._ended = True
            return
        else:
            self._open.discard(number)
        out.append(msgspec.structs.replace(event, index=number))

    def _start(self, event: PartStart, out: list[Event]) -> None:
        part = event.part
        first = ""
        if self._seam is not None:
            if isinstance(part, Reasoning) and self.said:
                self._numbers[event.index] = None  # thinking about how to go on is no part of the answer
                return
            if isinstance(part, Text) and self._joins is None:
                self._joins = event.index
                if self._text is not None:
                    self._numbers[event.index] = self._text
                    self._pass(PartDelta(index=event.index, text=part.text), out)
                    return
        if isinstance(part, Text):
            first, part = part.text, msgspec.structs.replace(part, text="")
        self._settle(out)
        number = self._numbers[event.index] = len(self._shown)
        self._shown.append(msgspec.structs.replace(part))
        self._open.add(number)
        out.append(PartStart(index=number, part=part))
        if isinstance(part, Text):
            self._text = number
            if first:
                self._pass(PartDelta(index=event.index, text=first), out)

    def _grow(self, part: Text, number: int, event: PartDelta, out: list[Event]) -> None:
        text = event.text
        if event.index == self._joins and self._seam is not None:
            text = self._seam.feed(text)
        if number != self._text:  # a text that others have followed; nothing of it waits
            part.text += text
            out.append(msgspec.structs.replace(event, index=number, text=text))
            return
        text = self._space + text
        solid = text.rstrip()
        self._space = text[len(solid) :]
        if solid:
            part.text += solid
            out.append(PartDelta(index=number, text=solid))

    def _rest(self, index: int, part: Part, number: int, out: list[Event]) -> None:
        """A text ends: what the seam has held back of it."""
        if index == self._joins and self._seam is not None and isinstance(part, Text) and (rest := self._seam.end()):
            self._grow(part, number, PartDelta(index=index, text=rest), out)

    def _settle(self, out: list[Event]) -> None:
        """Something follows the text: what waited of it goes out."""
        number, self._text = self._text, None
        if number is None:
            return
        part = self._shown[number]
        if self._space and isinstance(part, Text):
            part.text += self._space
            out.append(PartDelta(index=number, text=self._space))
        if self._ended:
            self._open.discard(number)
            out.append(PartEnd(index=number))
        self._space, self._ended = "", False

    def _finish(self, event: Finish, out: list[Event]) -> None:
        if self._joins is not None and (number := self._numbers.get(self._joins)) is not None:
            self._rest(self._joins, self._shown[number], number, out)
        self._settle(out)
        held, self._held = self._held or [], None
        for late in held:
            self._pass(late, out)
        self._settle(out)
        out.extend(PartEnd(index=number) for number in sorted(self._open))
        self._open.clear()
        self.finished = True
        out.append(msgspec.structs.replace(event, raw=None) if self._foreign else event)

    def _sum(self, usage: Usage) -> Usage:
        """What all streams took so far."""
        if self._foreign:
            usage = msgspec.structs.replace(usage, extra=None)
        return usage if self._before is None else added(self._before, usage)
