"""What a call said, as a judge is shown it: the client's request, and the answer overheard on its way to the client."""

from typing import TYPE_CHECKING

from dragoman.canon import Part, Refusal, Request, Text, ToolCall, ToolResult
from dragoman.dialects.fields import Malformed
from dragoman.gateway.call import Out
from dragoman.gateway.inside import Words
from dragoman.wire.sse import FrameTooLong

if TYPE_CHECKING:
    from dragoman.dialects.dialect import Dialect

_MOST = 256 * 1024  # bytes of an answer that are overheard


class Overheard:
    """An `Out` that remembers the bytes of an answer that goes to a client, to be read when it has it."""

    def __init__(self, out: Out, dialect: "Dialect", streams: bool) -> None:
        self._out = out
        self._dialect = dialect
        self._streams = streams
        self._pieces: list[bytes] = []
        self._size = 0

    def words(self) -> Words | None:
        """What was said; None where it was too much, or can't be read."""
        if self._size > _MOST:
            return None
        body, said = b"".join(self._pieces), Words()
        self._pieces.clear()
        try:
            if self._streams:
                said.take(self._dialect.StreamReader().feed(body))
            else:
                for choice in self._dialect.read_reply(body).choices[:1]:
                    said.text = "".join(part.text for part in choice.parts if isinstance(part, Text | Refusal))
        except (Malformed, FrameTooLong):
            return None
        return said

    def _hear(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= _MOST:
            self._pieces.append(data)

    async def whole(self, status: int, head: bytes, body: bytes) -> None:
        self._hear(body)
        await self._out.whole(status, head, body)

    async def start(self, status: int, head: bytes) -> None:
        await self._out.start(status, head)

    def push(self, data: bytes) -> bool:
        self._hear(data)
        return self._out.push(data)

    async def drained(self) -> None:
        await self._out.drained()

    async def finish(self, data: bytes = b"") -> None:
        self._hear(data)
        await self._out.finish(data)

    def abort(self) -> None:
        self._out.abort()


def conversation(request: Request) -> str:
    """What a judge is shown of a request: its only message, or all of them with their roles."""
    said = [(message.role, _text(message.parts)) for message in request.messages]
    return said[0][1] if len(said) == 1 else "\n\n".join(f"{role}: {text}" for role, text in said)


def _text(parts: list[Part]) -> str:
    found = []
    for part in parts:
        match part:
            case Text(text=text) | ToolResult(content=[Text(text=text)]):
                found.append(text)
            case ToolCall(name=name):
                found.append(f"(calls {name})")
            case _:
                pass
    return "\n".join(found)
