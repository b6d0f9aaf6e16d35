"""The head of a request as bytes. What could smuggle a second header or request in is refused here.

Source: RFC 9110 section 5 (fields, tokens), RFC 9112 section 3 (request line).
"""

import re
from collections.abc import Iterable

TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
VISIBLE = bytes(range(0x21, 0x7F))
OURS = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"te", b"trailer"))
_COMMON = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE"))
_BREAKS = re.compile(rb"[\r\n\0]")


class Block(bytes):
    """Header lines, each with its CRLF, that `block` has checked. Make it once, send it often."""

    __slots__ = ()


def block(headers: Iterable[tuple[bytes, bytes]]) -> Block:
    """Header lines from pairs. Raises `ValueError` for what is not a header, or is the client's own to write."""
    return Block(b"".join([_line(name, value) for name, value in headers]))


def lines(text: bytes) -> Block:
    """A block from ready bytes (`name: value CRLF` …). Raises `ValueError` as `block` does."""
    if not text:
        return Block()
    if not text.endswith(b"\r\n"):
        raise ValueError("a header block ends in CRLF")
    pairs = []
    for line in text[:-2].split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon:
            raise ValueError("a header line without a colon")
        pairs.append((name, value.strip(b" \t")))
    return block(pairs)


def check_target(target: bytes) -> None:
    """Raises `ValueError` unless `target` can stand in a request line: visible ASCII, from `/` on."""
    if not target.startswith(b"/") or target.translate(None, VISIBLE):
        raise ValueError(f"not a request target: {target[:80]!r}")


def check_method(method: bytes) -> None:
    """Raises `ValueError` unless `method` is a token, and not CONNECT (which asks for a tunnel, not a reply)."""
    if method in _COMMON:
        return
    if not method or method.translate(None, TOKEN) or method == b"CONNECT":
        raise ValueError(f"not a request method: {method[:80]!r}")


def _line(name: bytes, value: bytes) -> bytes:
    if not name or name.translate(None, TOKEN):
        raise ValueError(f"not a header name: {name[:80]!r}")
    if name.lower() in OURS:
        raise ValueError(f"the header {name.decode()} is written by the client itself")
    if _BREAKS.search(value):
        raise ValueError(f"a line break in the value of the header {name.decode()}")
    return b"%b: %b\r\n" % (name, value)
