"""Undoing content-encodings piece by piece, with a bound on what one piece may grow to.

gzip, deflate (zlib-wrapped, and the bare kind some servers send), br and zstd, also several in a row
(RFC 9110 section 8.4). A body that stops before its encoding's end is `BodyTruncated`.
"""

import zlib
from collections.abc import Callable
from typing import Protocol

import brotli
import zstandard

from dragoman.wire.errors import BodyTooLarge, BodyTruncated, BodyUndecodable

LIMIT = 64 * 1024 * 1024  # bytes that come out of one decoder in all, unless the caller says otherwise
_STEP = 256 * 1024  # bytes let out of a decompressor at once


class Decoder(Protocol):
    """Takes the encoded body in pieces."""

    def feed(self, data: bytes) -> bytes:
        """What `data` decodes to; may be empty. Raises `BodyTooLarge`, `BodyUndecodable`."""

    def finish(self) -> None:
        """To be called at the body's end. Raises `BodyTruncated` where the encoding had not ended."""


def decoder(encoding: bytes | None, limit: int = LIMIT) -> Decoder | None:
    """The decoder for a `content-encoding`, None for none. `limit` bounds all that comes out, in bytes.

    Raises `BodyUndecodable` for an unknown encoding.
    """
    if not encoding:
        return None
    names = [name for part in encoding.lower().split(b",") if (name := part.strip()) not in {b"", b"identity"}]
    if not names:
        return None
    if len(names) > 3:
        raise BodyUndecodable("more than three content-encodings on one body")
    unknown = [name for name in names if name not in _KINDS]
    if unknown:
        raise BodyUndecodable(f"content-encoding {unknown[0][:40].decode('latin-1')!r} is not known here")
    stages: list[Decoder] = [_KINDS[name](limit) for name in reversed(names)]
    return stages[0] if len(stages) == 1 else _Chain(stages)


class _Chain:
    def __init__(self, stages: list[Decoder]) -> None:
        self._stages = stages

    def feed(self, data: bytes) -> bytes:
        for stage in self._stages:
            data = stage.feed(data)
        return data

    def finish(self) -> None:
        for stage in self._stages:
            stage.finish()


class _Bounded(Decoder):
    """Counts what comes out."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._left = limit
        self._started = False

    def _count(self, piece: bytes) -> bytes:
        self._left -= len(piece)
        if self._left < 0:
            raise BodyTooLarge(f"the body is more than {self._limit} bytes once decoded")
        return piece


class _Zlib(_Bounded):
    """gzip (also several members, RFC 1952 section 2.2) and deflate."""

    def __init__(self, limit: int, bits: int) -> None:
        super().__init__(limit)
        self._bits = bits
        self._inflate = zlib.decompressobj(bits)

    def feed(self, data: bytes) -> bytes:
        out = []
        while data:
            if self._inflate.eof:
                if not data.strip(b"\0"):
                    break  # padding after the last member, as gzip itself allows
                self._inflate = zlib.decompressobj(self._bits)
            if not self._started:
                self._begin(data)
            try:
                piece = self._inflate.decompress(data, min(_STEP, self._left + 1))
            except zlib.error as error:
                raise BodyUndecodable(f"the body is not what its content-encoding says: {error}") from error
            out.append(self._count(piece))
            data = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            if self._inflate.eof and self._bits < 16 and data:
                raise BodyUndecodable("bytes after the end of a deflate body")
        return b"".join(out)

    def finish(self) -> None:
        if self._started and not self._inflate.eof:
            raise BodyTruncated("a compressed body stopped before its end")

    def _begin(self, data: bytes) -> None:
        self._started = True
        if self._bits == zlib.MAX_WBITS and data[0] & 0x0F != 8:  # no zlib header: bare deflate
            self._bits = -zlib.MAX_WBITS
            self._inflate = zlib.decompressobj(self._bits)


class _Brotli(_Bounded):
    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._inner = brotli.Decompressor()

    def feed(self, data: bytes) -> bytes:
        if not data:
            return b""
        self._started = True
        out = []
        try:
            if self._inner.is_finished():
                raise BodyUndecodable("bytes after the end of a br body")
            while True:
                piece = self._inner.process(data, output_buffer_limit=_STEP)
                out.append(self._count(piece))
                if not piece and self._inner.can_accept_more_data():
                    break  # `can_accept_more_data` alone is also true while output is held back
                data = b""
        except brotli.error as error:
            raise BodyUndecodable("the body is not what its content-encoding says: br") from error
        return b"".join(out)

    def finish(self) -> None:
        if self._started and not self._inner.is_finished():
            raise BodyTruncated("a compressed body stopped before its end")


class _Zstd(_Bounded):
    """zstd, also several frames (RFC 8878). The window is bounded as RFC 9659 asks: 8 MiB."""

    _WINDOW = 8 * 1024 * 1024

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._context = zstandard.ZstdDecompressor(max_window_size=self._WINDOW)
        self._inner = self._context.decompressobj()
        self._ended = True

    def feed(self, data: bytes) -> bytes:
        out = []
        for start in range(0, len(data), 512):  # small steps: four bytes of zstd can say 128 KiB
            piece = data[start : start + 512]
            while piece:
                if self._inner.eof:
                    self._inner = self._context.decompressobj()
                try:
                    out.append(self._count(self._inner.decompress(piece)))
                except zstandard.ZstdError as error:
                    raise BodyUndecodable(f"the body is not what its content-encoding says: {error}") from error
                self._ended = self._inner.eof
                piece = self._inner.unused_data if self._ended else b""
        return b"".join(out)

    def finish(self) -> None:
        if not self._ended:
            raise BodyTruncated("a compressed body stopped before its end")


_KINDS: dict[bytes, Callable[[int], Decoder]] = {
    b"gzip": lambda limit: _Zlib(limit, 16 + zlib.MAX_WBITS),
    b"x-gzip": lambda limit: _Zlib(limit, 16 + zlib.MAX_WBITS),
    b"deflate": lambda limit: _Zlib(limit, zlib.MAX_WBITS),
    b"br": _Brotli,
    b"zstd": _Zstd,
}
