"""Server-sent events and NDJSON: cutting a byte stream into frames, whatever the network's own cuts are.

Source: WHATWG HTML, section 9.2 "Server-sent events".
"""

from msgspec import Struct

LIMIT = 16 * 1024 * 1024  # bytes of one unfinished frame


class FrameTooLong(Exception):
    """A frame grew beyond `LIMIT` without ending."""


class Event(Struct):
    """One server-sent event: its `event:` name ("" where it has none) and its `data:` lines joined by newlines."""

    name: str
    data: bytes


class Frames:
    """Cuts a byte stream into raw frames: the bytes up to and including a blank line, as they came."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are whole now. Raises `FrameTooLong`."""
        rest = self._rest
        if rest:
            data = rest + data
        if b"\r" in data:
            return self._feed_with_returns(data)
        pieces = data.split(b"\n\n")
        self._keep(pieces.pop())
        return [piece + b"\n\n" for piece in pieces]

    def rest(self) -> bytes:
        """What came after the last whole frame."""
        return self._rest

    def _keep(self, rest: bytes) -> None:
        if len(rest) > LIMIT:
            raise FrameTooLong(f"a stream frame of more than {LIMIT} bytes")
        self._rest = rest

    def _feed_with_returns(self, data: bytes) -> list[bytes]:
        """The same for lines that end in CRLF or CR. A CR at the very end may be half a CRLF: it waits."""
        held = b"\r" if data.endswith(b"\r") else b""
        text = data[: len(data) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        pieces = text.split(b"\n\n")
        self._keep(pieces.pop() + held)
        return [piece + b"\n\n" for piece in pieces]


class Lines:
    """Cuts a byte stream into lines (NDJSON), without their ends; empty lines are dropped."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are whole now. Raises `FrameTooLong`."""
        pieces = (self._rest + data if self._rest else data).split(b"\n")
        rest = pieces.pop()
        if len(rest) > LIMIT:
            raise FrameTooLong(f"a line of more than {LIMIT} bytes")
        self._rest = rest
        return [line for piece in pieces if (line := piece.strip())]

    def rest(self) -> bytes:
        """What came after the last line end: with NDJSON, the last line may have none."""
        return self._rest.strip()


def parse(frame: bytes) -> Event | None:
    """The event in one frame; None for comments and frames without data."""
    if frame.startswith(b"data: ") and frame.find(b"\n") == len(frame) - 2:
        return Event("", frame[6:-2])  # by far the most common: one data line and nothing else
    name = ""
    data: list[bytes] = []
    for line in frame.split(b"\n"):
        key, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if key == b"data":
            data.append(value)
        elif key == b"event":
            name = value.decode("utf-8", "replace")
    return Event(name, b"\n".join(data)) if data else None


def write(data: bytes, name: str = "") -> bytes:
    """One event with `data`, which must not contain newlines (JSON as we encode it does not)."""
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n" if name else b"data: " + data + b"\n\n"
