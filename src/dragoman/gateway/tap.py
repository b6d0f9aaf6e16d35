"""Reading a relayed stream in passing (laws 5 and 7): bytes go through as they came, while usage, end and errors are
noted. Only whole frames are passed on, so that a frame not meant for the client can be held back."""

from dragoman.dialects.dialect import Dialect, Seen
from dragoman.wire.sse import Frames, Lines


class Tap:
    """One relayed stream. `feed` what came; it returns what goes on to the client."""

    __slots__ = ("_between", "_end", "_ends", "_framer", "_marks", "_tap", "seen")

    def __init__(self, dialect: Dialect, seen: Seen) -> None:
        self.seen = seen
        self._tap = dialect.tap
        self._marks = dialect.TAP_MARKS
        lines = "ndjson" in dialect.STREAM_TYPE
        self._framer: Frames | Lines = Lines() if lines else Frames()
        self._end = b"\n" if lines else b"\n\n"
        self._ends = (b"\n",) if lines else (b"\n\n", b"\r\n\r\n")
        self._between = True  # no frame is half here

    def feed(self, data: bytes) -> bytes:
        """Raises `FrameTooLong`."""
        if self._between and data.endswith(self._ends):
            for mark in self._marks:
                if mark in data:
                    break
            else:
                return data  # whole frames, none of which says anything we want: by far the most
        kept = []
        for frame in self._framer.feed(data):
            whole = frame if self._end == b"\n\n" else frame + b"\n"
            if not any(mark in frame for mark in self._marks) or self._tap(frame, self.seen):
                kept.append(whole)
        self._between = not self._framer.rest()
        return b"".join(kept)

    def rest(self) -> bytes:
        """The connection has ended: what came after the last whole frame, looked at like a frame."""
        rest = self._framer.rest()
        if rest and self._tap(rest, self.seen):
            return rest + self._end
        return b""
