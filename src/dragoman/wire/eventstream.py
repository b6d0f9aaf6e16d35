"""The AWS event stream: framed binary messages with headers, both ways. Sans-IO.

    message = total length (4) | headers length (4) | CRC-32 of these eight (4) | headers | payload | CRC-32 of all (4)
    header  = name length (1) | name | type (1) | value

Numbers are big-endian. A message is at least 16 bytes long. Source: AWS, "Event stream encoding" (media type
`application/vnd.amazon.eventstream`); the limits are those of AWS's own SDKs.
"""

import struct
from binascii import crc32
from collections.abc import Mapping
from typing import TypeAlias
from uuid import UUID

from msgspec import Struct

MAX_HEADERS = 128 * 1024  # bytes
MAX_PAYLOAD = 24 * 1024 * 1024
_PRELUDE = struct.Struct("!III")
_CRC = struct.Struct("!I")
_OVERHEAD = 16  # prelude and both checksums


class Timestamp(int):
    """Milliseconds since 1970."""


Value: TypeAlias = bool | int | bytes | str | UUID | Timestamp


class BadMessage(Exception):
    """The bytes are not a stream of whole messages: a wrong checksum, length or header. Nothing after can be read.

    `before`: the messages of the same bytes that were whole before the fault.
    """

    before: "tuple[Message, ...]" = ()


class Message(Struct):
    """One message. `headers` may be shared between messages: not to be changed."""

    headers: Mapping[str, Value]
    payload: bytes


class Messages:
    """Cuts a byte stream into messages, whatever the network's own cuts are."""

    __slots__ = ("_known", "_need", "_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # of the message at hand
        self._size = 0
        self._need = 12  # bytes without which nothing new can be told: so a large message is put together only once
        self._known: dict[bytes, Mapping[str, Value]] = {}  # header blocks seen: a stream has only a few different ones

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are whole now. Raises `BadMessage`."""
        if self._pieces:
            self._pieces.append(data)
            self._size += len(data)
            if self._size < self._need:
                return []
            data = b"".join(self._pieces)
        found: list[Message] = []
        try:
            at = self._take(data, found)
        except BadMessage as bad:
            bad.before = tuple(found)
            raise
        self._size = len(data) - at
        self._pieces = [data[at:]] if self._size else []
        return found

    def _take(self, data: bytes, found: list[Message]) -> int:
        """Puts the whole messages of `data` into `found`; where the first that is not whole begins."""
        at, end, self._need = 0, len(data), 12
        while end - at >= 12:
            total, headers = _prelude(data, at)
            if end - at < total:
                self._need = total
                break
            found.append(self._message(data[at : at + total], headers))
            at += total
        return at

    def rest(self) -> bytes:
        """What came after the last whole message."""
        return b"".join(self._pieces)

    def _message(self, data: bytes, headers: int) -> Message:
        (stated,) = _CRC.unpack_from(data, len(data) - 4)
        if crc32(memoryview(data)[:-4]) != stated:
            raise BadMessage("a message of the event stream has a wrong checksum")
        block = data[12 : 12 + headers]
        known = self._known.get(block)
        if known is None:
            known = _headers(block)
            if len(self._known) < 64:
                self._known[block] = known
        return Message(known, data[12 + headers : -4])


def _prelude(data: bytes, at: int) -> tuple[int, int]:
    total, headers, stated = _PRELUDE.unpack_from(data, at)
    if crc32(data[at : at + 8]) != stated:
        raise BadMessage("the prelude of a message of the event stream has a wrong checksum")
    if headers > MAX_HEADERS:
        raise BadMessage(f"a message of the event stream has more than {MAX_HEADERS} bytes of headers")
    if total < headers + _OVERHEAD:
        raise BadMessage("a message of the event stream is shorter than its headers")
    if total - headers - _OVERHEAD > MAX_PAYLOAD:
        raise BadMessage(f"a message of the event stream has a payload of more than {MAX_PAYLOAD} bytes")
    return total, headers


# type of a header's value -> how its fixed-length form is packed
_NUMBERS = {2: struct.Struct("!b"), 3: struct.Struct("!h"), 4: struct.Struct("!i"), 5: struct.Struct("!q")}
_TIME = struct.Struct("!q")
_LENGTH = struct.Struct("!H")


def _headers(block: bytes) -> dict[str, Value]:
    found: dict[str, Value] = {}
    at = 0
    try:
        while at < len(block):
            size = block[at]
            name = _slice(block, at + 1, size).decode()
            at += 1 + size
            value, at = _value(block, at)
            if name in found:
                raise BadMessage(f'a message of the event stream has the header "{name}" twice')
            found[name] = value
    except (IndexError, struct.error, UnicodeDecodeError):
        raise BadMessage("a message of the event stream has a broken header") from None
    return found


def _slice(block: bytes, at: int, size: int) -> bytes:
    if at + size > len(block):
        raise IndexError
    return block[at : at + size]


def _value(block: bytes, at: int) -> tuple[Value, int]:
    """The value whose type stands at `at`, and where it ends."""
    kind, at = block[at], at + 1
    if kind in (6, 7):
        (size,) = _LENGTH.unpack_from(block, at)
        data, at = _slice(block, at + 2, size), at + 2 + size
        return (data.decode() if kind == 7 else data), at
    if kind in (0, 1):
        return kind == 0, at
    if kind in _NUMBERS:
        form = _NUMBERS[kind]
        return int(form.unpack_from(block, at)[0]), at + form.size
    if kind == 8:
        return Timestamp(_TIME.unpack_from(block, at)[0]), at + 8
    if kind == 9:
        return UUID(bytes=_slice(block, at, 16)), at + 16
    raise BadMessage(f"a message of the event stream has a header of unknown type {kind}")


def encode(headers: Mapping[str, Value], payload: bytes) -> bytes:
    """One message. Raises `ValueError` for a header that has no form here."""
    block = b"".join(_header(name, value) for name, value in headers.items())
    if len(block) > MAX_HEADERS or len(payload) > MAX_PAYLOAD:
        raise ValueError("the message is larger than an event stream allows")
    lengths = struct.pack("!II", _OVERHEAD + len(block) + len(payload), len(block))
    message = lengths + _CRC.pack(crc32(lengths)) + block + payload
    return message + _CRC.pack(crc32(message))


def _header(name: str, value: Value) -> bytes:
    key = name.encode()
    if not 0 < len(key) < 256:
        raise ValueError(f'header "{name}": a name has 1 to 255 bytes')
    return bytes([len(key)]) + key + _packed(name, value)


def _packed(name: str, value: Value) -> bytes:
    match value:
        case bool():
            return b"\x00" if value else b"\x01"
        case Timestamp():
            return b"\x08" + _TIME.pack(value)
        case int() if -(2**31) <= value < 2**31:
            return b"\x04" + _NUMBERS[4].pack(value)
        case int() if -(2**63) <= value < 2**63:
            return b"\x05" + _NUMBERS[5].pack(value)
        case UUID():
            return b"\x09" + value.bytes
        case bytes() | str():
            data = value.encode() if isinstance(value, str) else value
            if len(data) < 2**16:
                return (b"\x07" if isinstance(value, str) else b"\x06") + _LENGTH.pack(len(data)) + data
    raise ValueError(f'header "{name}": the value is too large')
