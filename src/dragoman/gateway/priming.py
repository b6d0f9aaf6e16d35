"""Waiting for the first content of a stream, so that what fails before it can still be asked of another."""

from dragoman.canon import (
    Begin,
    Broken,
    End,
    Event,
    Failed,
    Failure,
    Finish,
    PartDelta,
    PartStart,
    Reasoning,
    Text,
    Used,
)
from dragoman.dialects.dialect import Upstream
from dragoman.dialects.fields import Malformed
from dragoman.gateway.failures import gave_up, unreadable, wire_failure
from dragoman.wire.errors import WireError
from dragoman.wire.reply import Reply
from dragoman.wire.sse import FrameTooLong

FILTERED = Failure(kind="content_filter", status=400, message="the provider's content filter refused an answer")


async def prime(reply: Reply, dialect: Upstream) -> bytes:
    """The bytes of the stream until its first content. Raises `Failed` where it ends without any in a failure, a
    refusal by the provider's filter among them."""
    reader = dialect.StreamReader()
    pieces: list[bytes] = []
    try:
        while True:
            data = await reply.decoded()
            pieces.append(data)
            if _begun(reader.feed(data) if data else reader.close()) or not data:
                return b"".join(pieces)
    except WireError as error:
        raise Failed(wire_failure(error)) from None
    except FrameTooLong as error:
        raise Failed(Failure(kind="upstream_error", status=502, message=str(error))) from None
    except Malformed as error:
        raise Failed(unreadable(error)) from None


def _begun(events: list[Event]) -> bool:
    """Whether content is among the events, or the proper end. Raises `Failed`."""
    for event in events:
        match event:
            case PartStart(part=Text(text="")) | PartStart(part=Reasoning(text="")) | Begin() | Used():
                pass
            case Finish(reason="content_filter"):
                raise Failed(FILTERED)
            case Finish(reason="error"):
                raise Failed(gave_up(event.raw))
            case Broken():
                raise Failed(event.failure)
            case PartStart() | PartDelta() | End() | Finish():
                return True
    return False
