"""Request bodies that come compressed (RFC 9110, section 8.4; Codex sends zstd): decoded as they come, within limits.

A few bytes can say gigabytes, and they are read before it is known who sends them. So what comes out is bounded by what
comes in, too: no prompt is that repetitive.
"""

from collections.abc import Mapping

from dragoman.wire.decode import Decoder, decoder

ACCEPTED = "gzip, deflate, br, zstd"
SMALL = 4 * 1024 * 1024  # bytes that any compressed body may come to
RATIO = 100  # bytes more for each byte that came
UNKNOWN = 16 * 1024 * 1024  # bytes where the length is not told


def body_decoder(headers: Mapping[bytes, bytes], limit: int) -> Decoder | None:
    """What decodes the body of a request with these headers to at most `limit` bytes; None where it comes plain.

    Raises `BodyUndecodable` for a coding that is not known here."""
    length = headers.get(b"content-length", b"")
    most = SMALL + RATIO * int(length) if length.isdigit() else UNKNOWN
    return decoder(headers.get(b"content-encoding"), max(0, min(limit, most)))
