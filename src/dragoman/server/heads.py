"""Heads of requests that came before, and what the parser made of them.

A program sends the same head with every call, but for `content-length`. To parse it is a third of all that the server
does for a request; a head that is known to the byte, but for that number, is not parsed again.

Only what a parser found to be plain is remembered: HTTP/1.1, kept alive, its body (if any) framed by one
content-length, which is all digits.
"""

from typing import TypeAlias

from msgspec import Struct

LONGEST = 8 * 1024  # bytes of a head worth remembering
MOST = 512  # heads remembered; when there are more, all are forgotten
_DIGITS = 12  # of a length; more is for the parser to judge
_LENGTH = b"ength: "  # of any spelling that is in use
_LINE = b"\r\ncontent-length: "
_ODD = frozenset((b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"trailer"))


class Head(Struct):
    """A head as the parser has read it, without its content-length. `note` is the application's own: what it made of
    the head before."""

    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]
    sized: bool  # it has a content-length
    note: object = None


Known: TypeAlias = tuple[Head, bytes, int]  # the head, its content-length (empty: none), where its body begins


class Heads:
    """The heads that one worker knows."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def find(self, data: bytes, limit: int) -> Known | None:
        """The head that `data` begins with, if it is known; None where it must be parsed. `limit`: bytes of a body,
        above which the parser is to tell the client why it is refused."""
        end = data.find(b"\r\n\r\n", 0, LONGEST)
        if end < 0:
            return None
        key, length = _split(data, end)
        head = self._known.get(key)
        if head is None or (head.sized and not (length.isdigit() and len(length) <= _DIGITS and int(length) <= limit)):
            return None
        return head, length, end + 4

    def learn(self, data: bytes, method: str, path: str, query: bytes, headers: dict[bytes, bytes]) -> None:
        """`data` was one whole request, kept alive, and the parser read this in it."""
        end = data.find(b"\r\n\r\n", 0, LONGEST)
        if end < 0 or not _ODD.isdisjoint(headers):
            return
        key, length = _split(data, end)
        said = headers.get(b"content-length")
        names = data[:end].lower()
        if said != (length or None) or names.count(_LINE) != (said is not None):
            return
        if said is not None and names.find(_LINE) + len(_LINE) != names.find(_LENGTH) + len(_LENGTH):
            return  # what looked like the length was another header's value
        if len(self._known) >= MOST:
            self._known.clear()
        rest = {name: value for name, value in headers.items() if name != b"content-length"}
        self._known[key] = Head(method, path, query, rest, said is not None)


def _split(data: bytes, end: int) -> tuple[bytes, bytes]:
    """The head that ends at `end` without the value of its first length, and that value."""
    at = data.find(_LENGTH, 0, end) + len(_LENGTH)
    if at < len(_LENGTH):
        return data[:end], b""
    stop = data.find(b"\r\n", at, end + 2)
    return data[:at] + data[stop:end], data[at:stop]
