"""Which codecs stand at the ends of a session: none where both ends speak one dialect."""

import secrets

from dragoman.canon import Failed, Failure
from dragoman.dialects.openai_chat.errors import error_envelope
from dragoman.voice.codecs import CLIENTS, UPSTREAMS
from dragoman.voice.codecs.codec import Notices
from dragoman.voice.relaying.ends import Codec, Event


def new_id(kind: str) -> str:
    """An id that nobody has used, as `item_…`."""
    return f"{kind}_{secrets.token_urlsafe(15)}"


def client_codec(dialect: str, notices: Notices = "off") -> Codec:
    """What turns a client's dialect into GA's, and keeps to itself what the client does not want to hear. Raises
    `Failed` where there is none."""
    if dialect not in CLIENTS:
        raise _unbridged(dialect, "clients")
    return CLIENTS[dialect](new_id, notices)


def upstream_codec(dialect: str, model: str) -> Codec | None:
    """What turns the dialect of a provider of `model` into GA's; None for GA itself. Raises `Failed` where there is
    none."""
    if dialect == "ga":
        return None
    if dialect not in UPSTREAMS:
        raise _unbridged(dialect, "providers")
    return UPSTREAMS[dialect](new_id, model)


def error_event(failure: Failure) -> Event:
    """`failure` as the GA event that tells of it."""
    error = error_envelope(failure)["error"] | {"event_id": None}
    return {"type": "error", "event_id": new_id("event"), "error": error}


def _unbridged(dialect: str, whose: str) -> Failed:
    message = f"sessions of {whose} that speak {dialect} are not bridged: use one dialect on both sides"
    return Failed(Failure(kind="unsupported", status=501, message=message))
