"""What became of an exchange with a provider, as the client may hear of it."""

from collections.abc import Callable

from dragoman.canon import Failure
from dragoman.dialects.fields import Malformed
from dragoman.wire.errors import ConnectFailed, ProxyFailed, TimedOut, TlsFailed, WireError


def wire_failure(error: WireError) -> Failure:
    """An exchange that broke."""
    if isinstance(error, TimedOut):
        return Failure(kind="upstream_timeout", status=504, message=f"the provider did not answer in time: {error}")
    if isinstance(error, ConnectFailed | TlsFailed | ProxyFailed):
        return Failure(kind="upstream_error", status=502, message=f"the provider can't be reached: {error}")
    return Failure(kind="upstream_error", status=502, message=f"the provider's answer broke: {error}")


def broken(error: Exception | None) -> Failure:
    """A stream that broke after it began; None: it ended without its end mark."""
    if isinstance(error, WireError):
        message = wire_failure(error).message
    else:
        message = str(error) if error else "the provider closed the stream before its end"
    return Failure(kind="stream_broken", status=502, message=message)


def masked(failure: Failure, hide: Callable[[str], str]) -> Failure:
    """`failure`, its words without the account's secrets, which a provider may repeat (law 11; see `Account.hide`)."""
    failure.message = hide(failure.message)
    failure.type, failure.code, failure.param = (
        hide(word) if word else word for word in (failure.type, failure.code, failure.param)
    )
    return failure


def gave_up(reason: str | None) -> Failure:
    """The provider ended its answer by saying that it failed: few dialects can say so of an answer."""
    message = f"the provider gave up in the middle of its answer ({reason or 'error'})"
    return Failure(kind="upstream_error", status=502, message=message)


def unreadable(error: Malformed) -> Failure:
    return Failure(kind="upstream_error", status=502, message=f"the provider's answer can't be read: {error}")
