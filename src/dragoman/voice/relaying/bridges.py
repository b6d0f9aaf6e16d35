"""Which codecs stand at the ends of a session: none where both ends speak one dialect."""

import secrets
from collections.abc import Callable

from dragoman.canon import Failed, Failure
from dragoman.voice.relaying.ends import Codec

NewCodec = Callable[[Callable[[str], str]], Codec]
CLIENTS: dict[str, NewCodec] = {}  # by dialect; `ga` needs none
UPSTREAMS: dict[str, NewCodec] = {}


def new_id(kind: str) -> str:
    """An id that nobody has used, as `item_…`."""
    return f"{kind}_{secrets.token_urlsafe(15)}"


def client_codec(dialect: str) -> Codec | None:
    """What turns a client's dialect into GA's; None for GA itself. Raises `Failed` where there is none."""
    return _made(CLIENTS, dialect, "clients")


def upstream_codec(dialect: str) -> Codec | None:
    """What turns a provider's dialect into GA's; None for GA itself. Raises `Failed` where there is none."""
    return _made(UPSTREAMS, dialect, "providers")


def _made(known: dict[str, NewCodec], dialect: str, whose: str) -> Codec | None:
    if dialect == "ga":
        return None
    if dialect not in known:
        message = f"sessions of {whose} that speak {dialect} are not bridged: use one dialect on both sides"
        raise Failed(Failure(kind="unsupported", status=501, message=message))
    return known[dialect](new_id)
