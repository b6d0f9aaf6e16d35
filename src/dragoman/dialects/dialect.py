"""The shape that every dialect module has (law 1).

A dialect is one module (or one package, where it is long) with these names at its top level; the same module serves
its dialect as the clients' surface and as the providers' upstream. Everything in it is pure: no socket, clock, file or
random source. Ids and times that a writer needs come from the reply or request.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeAlias

from msgspec import Raw, Struct, field

from dragoman.canon import JSON, Event, Failure, Reply, Request, Usage
from dragoman.dialects.quirks import Quirks


class Written(Struct):
    """A request in some dialect: its JSON body, and the names (canon field names, or the client's own names for unknown
    fields) of what the dialect could not say."""

    body: JSON
    lossy: list[str] = field(default_factory=list)


class Seen(Struct):
    """What the relay lane has read off a stream in passing."""

    usage: Usage | None = None
    model: str | None = None
    ended: bool = False
    failure: Failure | None = None
    withhold_usage: bool = False  # the client did not ask for a usage chunk: keep the one we asked for to ourselves


class Unsayable(Exception):
    """The dialect has no way to say something that the answer depends on. The message names it and the mend."""


class StreamReader(Protocol):
    """Bytes of a reply stream in, canon events out. Any cut of the bytes gives the same events (law 6)."""

    def feed(self, data: bytes) -> list[Event]: ...

    def close(self) -> list[Event]:
        """The connection has ended. Nothing after `End` or `Broken`; else one `Broken` (kind `stream_broken`)."""
        ...


class StreamWriter(Protocol):
    """Canon events in, bytes of the client's stream out; `Broken` becomes the dialect's error event."""

    def write(self, events: Iterable[Event]) -> bytes: ...


_Reader: TypeAlias = StreamReader
_Writer: TypeAlias = StreamWriter


class Upstream(Protocol):
    """What the gateway uses of a dialect that providers speak."""

    NAME: str

    def path(self, model: str, stream: bool) -> str:
        """Where a request goes, below the provider's base URL: `/chat/completions`."""
        ...

    def write_request(self, request: Request, quirks: Quirks) -> Written:
        """`request.model` is already the provider's model id. Raises `Unsayable` where leaving out would lie."""
        ...

    def read_reply(self, body: bytes) -> Reply:
        """Raises `Malformed` where the provider's answer is not what the dialect says."""
        ...

    def read_error(self, status: int, body: bytes) -> Failure: ...

    @property
    def StreamReader(self) -> Callable[[], _Reader]: ...


class Dialect(Upstream, Protocol):
    """What the gateway uses of a dialect that clients speak too."""

    STREAM_TYPE: str  # content type of a streamed reply
    FIELD_NAMES: Mapping[str, str]  # canon `Request` field -> this dialect's name, where they differ
    TAP_MARKS: tuple[bytes, ...]  # a frame of a stream with none of these in it says nothing that `tap` wants

    def read_request(self, body: JSON) -> Request:
        """Takes the decoded body over. Raises `Malformed`."""
        ...

    def write_reply(self, reply: Reply, request: Request) -> bytes: ...

    def write_error(self, failure: Failure) -> bytes: ...

    @property
    def StreamWriter(self) -> Callable[[Request], _Writer]: ...

    def retarget(self, fields: dict[str, Raw], model: str, stream: bool, quirks: Quirks) -> None:
        """Relay lane: in the top-level fields of a body of this same dialect, put what the gateway owns."""
        ...

    def usage_of(self, body: bytes) -> Usage | None:
        """Relay lane: the usage in a whole reply, reading little else."""
        ...

    def tap(self, frame: bytes, seen: Seen) -> bool:
        """Relay lane: notes what one frame of a stream (a raw SSE event, an NDJSON line) says of usage, end and
        errors. False: the frame is not for the client."""
        ...
