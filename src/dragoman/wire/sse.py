"""Server-sent events and NDJSON: cutting a byte stream into frames, whatever the network's own cuts are.

Source: WHATWG HTML, section 9.2 "Server-sent events".
"""

from msgspec import Struct

_BOM = b"\xef\xbb\xbf"  # allowed before the first frame
_LF, _CR = b"\n\r"  # as numbers, which are found fastest
LIMIT = 16 * 1024 * 1024  # bytes of one unfinished frame


class FrameTooLong(Exception):
    """A frame grew beyond `LIMIT` without ending."""


class Event(Struct):
    """One server-sent event: its `event:` name ("" where it has none) and its `data:` lines joined by newlines."""

    name: str
    data: bytes


class Frames:
    """Cuts a byte stream into raw frames: the bytes up to and including a blank line. CRLF and CR become LF."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # of the unfinished frame; joined once it ends, so that long ones stay cheap
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are whole now. Raises `FrameTooLong`."""
        parts = self._parts
        if not parts:
            if _is_one(data):
                return [data]
            if data.endswith(b"\r\n\r\n") and data.find(b"\r") == len(data) - 4 == data.find(b"\n") - 1:
                return [data[:-4] + b"\n\n"]  # one line, as Google sends it
        else:
            if _ends_nothing(parts[-1], data):
                self._keep(data)
                return []
            data = b"".join((*parts, data))
            parts.clear()
            self._size = 0
        held = b""
        if b"\r" in data:
            if data.endswith(b"\r"):  # may be half a CRLF: it waits
                held = b"\r"
                data = data[:-1]
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        pieces = data.split(b"\n\n")
        rest = pieces.pop() + held
        if rest:
            self._keep(rest)
        return [piece + b"\n\n" for piece in pieces]

    def rest(self) -> bytes:
        """What came after the last whole frame."""
        return b"".join(self._parts)

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > LIMIT:
            raise FrameTooLong(f"a stream frame of more than {LIMIT} bytes")
        self._parts.append(part)


def _is_one(data: bytes) -> bool:
    """`data` is one whole frame, of one line or two, with nothing in it to be rewritten: as most are. Looking for
    single newlines is several times cheaper than for a blank line."""
    if not data.endswith(b"\n\n") or _CR in data:
        return False
    first, end = data.find(b"\n"), len(data) - 2
    return first == end or data.find(b"\n", first + 1) == end != first + 1


def _ends_nothing(before: bytes, data: bytes) -> bool:
    """No blank line is complete with `data`, and nothing in it is to be rewritten."""
    return b"\n\n" not in data and b"\r" not in data and not data.startswith(b"\n") and not before.endswith(b"\r")


class Lines:
    """Cuts a byte stream into lines (NDJSON), without their ends; empty lines are dropped."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are whole now. Raises `FrameTooLong`."""
        pieces = data.split(b"\n")
        rest = pieces.pop()
        if pieces and self._parts:
            pieces[0] = b"".join((*self._parts, pieces[0]))
            self._parts.clear()
            self._size = 0
        if rest:
            self._size += len(rest)
            if self._size > LIMIT:
                raise FrameTooLong(f"a line of more than {LIMIT} bytes")
            self._parts.append(rest)
        return [line for piece in pieces if (line := piece.strip())]

    def rest(self) -> bytes:
        """What came after the last line end: with NDJSON, the last line may have none."""
        return b"".join(self._parts).strip()


def parse(frame: bytes) -> Event | None:
    """The event in one frame; None for comments and frames without data."""
    if frame.startswith(b"data: ") and frame.find(b"\n") == len(frame) - 2:
        return Event("", frame[6:-2])  # by far the most common: one data line and nothing else
    head, between, body = frame.partition(b"\ndata: ")
    if between and head.startswith(b"event: ") and _LF not in head and body.find(b"\n") == len(body) - 2:
        return Event(head[7:].decode("utf-8", "replace"), body[:-2])  # … with its name before it
    name = ""
    data: list[bytes] = []
    for line in frame.removeprefix(_BOM).split(b"\n"):
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
