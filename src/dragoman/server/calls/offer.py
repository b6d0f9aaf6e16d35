"""A call's offer, as clients send it, and its answer.

| sent as               | the offer      | the session                                       |
|-----------------------|----------------|---------------------------------------------------|
| `application/sdp`     | the body       | `?model=`, or what the client secret was made for |
| `multipart/form-data` | the part `sdp` | the part `session`, as `session.update` has it    |
"""

import re
from collections.abc import Callable
from typing import Protocol
from urllib.parse import parse_qs

import msgspec

from dragoman.canon import Failed, Failure
from dragoman.dialects.fields import Malformed
from dragoman.gateway.relay import form_parts
from dragoman.server import realtime, surfaces
from dragoman.server.calls.channel import without_formats
from dragoman.server.http import Request
from dragoman.voice.relaying.bridges import new_id
from dragoman.voice.relaying.ends import Duplex, Event

LONGEST = 64 * 1024  # bytes of an offer
_PART = re.compile(rb'name="?(sdp|session)"?[\s;]', re.I)
_NOT_HERE = Failure(
    kind="unsupported",
    status=501,
    message='calls over WebRTC need the extra "webrtc" (pip install "dragoman[webrtc]"); a WebSocket needs none',
)


class Line(Duplex, Protocol):
    """A call's line, which others may join."""

    def join(self, hear: Callable[[str], None]) -> Callable[[], None]:
        """`hear` is told what the caller is told; what is returned ends that."""
        ...

    def said(self, message: str | bytes) -> None:
        """As if the caller had said it."""
        ...


class Offer:
    """What a client asks for in `request`. Raises `Malformed`."""

    def __init__(self, request: Request) -> None:
        self._sdp, self._session = _read(request)
        self.surface = _surface(request, self._session)
        self.peer: Line | None = None
        self.answer = b""  # the SDP

    async def accept(self, ice_servers: list[str]) -> None:
        """Makes `peer` and `answer`. Raises `Failed`."""
        try:
            from dragoman.server.calls.peer import BadOffer, Peer
        except ImportError:
            raise Failed(_NOT_HERE) from None
        peer = Peer(lambda: new_id("event"), ice_servers)
        if self._session:
            peer.begin({"type": "session.update", "session": self._session})
        try:
            self.answer = (await peer.answer(self._sdp)).encode()
        except BadOffer as error:
            raise Failed(Failure(kind="bad_request", message=str(error), param="sdp")) from None
        self.peer = peer


def _read(request: Request) -> tuple[str, Event]:
    """The SDP and the session of a body."""
    kind = request.headers.get(b"content-type", b"")
    if not kind.lower().startswith(b"multipart/form-data"):
        return _text(request.body), {}
    parts: dict[bytes, bytes] = {}
    for start, end, head in form_parts(request.body, kind):
        if named := _PART.search(head + b"\r\n"):
            parts[named[1].lower()] = request.body[start:end]
    if b"sdp" not in parts:
        raise Malformed("sdp", "a part with the SDP offer")
    return _text(parts[b"sdp"]), _object(parts.get(b"session", b"{}"))


def _object(body: bytes) -> Event:
    try:
        session = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        session = None
    if not isinstance(session, dict):
        raise Malformed("session", "a JSON object")
    return without_formats({"session": session})["session"]  # type: ignore[no-any-return]  # it is a dict still


def _text(body: bytes) -> str:
    if len(body) > LONGEST:
        raise Malformed("sdp", f"at most {LONGEST} bytes")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Malformed("sdp", "text") from None


def _surface(request: Request, session: Event) -> realtime.Surface:
    """As of a WebSocket, but that the session says its model itself."""
    query = {name: values[-1] for name, values in parse_qs(request.query.decode("latin-1")).items()}
    model = session.pop("model", None) or query.get("model", "")
    if not isinstance(model, str):
        raise Malformed("session.model", "the name of a model", model)
    return realtime.Surface(
        dialect="ga",
        key=surfaces.gateway_key(request.headers, request.query),
        model=model,
        transcription=session.get("type") == "transcription",
        turns=realtime.wants_turns(query, request.headers),
        pauses=True,
    )
