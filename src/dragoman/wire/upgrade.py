"""How a WebSocket begins: the offer that a client makes in HTTP/1.1, and the answer that it looks for.

Source: RFC 6455, section 4.
"""

import asyncio
import binascii
import ssl
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.protocol import OPEN, SERVER, Protocol
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI
from websockets.utils import accept_key

from dragoman.wire import head
from dragoman.wire.dial import dial, tls_context
from dragoman.wire.errors import ConnectionLost, NotUpgraded, ProtocolBroken, TimedOut
from dragoman.wire.origin import Origin
from dragoman.wire.proxies import Proxies
from dragoman.wire.websocket import MOST, QUIET, Patience, Socket

CONNECT = 5.0  # seconds until the WebSocket stands
_SCHEMES = {"ws": "http", "wss": "https", "http": "http", "https": "https"}
_VERSION = b"13"


async def connect(
    url: str,
    headers: Iterable[tuple[bytes, bytes]] = (),
    *,
    subprotocols: Sequence[str] = (),
    tls: ssl.SSLContext | None = None,
    proxies: Proxies | None = None,
    within: float = CONNECT,
    patience: Patience | None = None,
) -> Socket:
    """A WebSocket to `url` (ws, wss, http or https). `headers` go with the offer, `subprotocols` in order of
    preference. `tls`: the context for wss; the default verifies against the system's CAs. `within`: seconds for all of
    it, DNS and TLS included.

    Raises `ValueError` for an address or a header that is none; `NotUpgraded` where the peer answers something else;
    and the `WireError`s of a connection that is not made.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError(f"expected a URL like wss://host[:port]/path, got {url!r}")
    origin = Origin.of(parts._replace(scheme=_SCHEMES[parts.scheme]).geturl())
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return await offer(
        origin, target.encode(), head.block(headers), subprotocols=subprotocols,
        tls=tls_context if tls is None else lambda: tls, proxies=proxies,
        within=within, patience=patience,
    )  # fmt: skip


async def offer(
    origin: Origin,
    target: bytes,
    headers: head.Block,
    *,
    subprotocols: Sequence[str] = (),
    tls: Callable[[], ssl.SSLContext] = tls_context,
    proxies: Proxies | None = None,
    within: float = CONNECT,
    patience: Patience | None = None,
) -> Socket:
    """`connect`, for an origin and the request target (path and query) below it. `tls` is called only where TLS is
    spoken."""
    head.check_target(target)
    chosen = [Subprotocol(name) for name in subprotocols] or None
    uri = WebSocketURI(origin.scheme == "https", origin.host, origin.port, target.decode(), "")
    protocol = ClientProtocol(uri, subprotocols=chosen, max_size=MOST, logger=QUIET)
    lines = [b"GET %b HTTP/1.1\r\nhost: %b\r\n" % (target, origin.authority.encode("ascii"))]
    lines += [b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: %b\r\n" % _VERSION]
    lines += [b"sec-websocket-key: %b\r\n" % protocol.key.encode()]
    if subprotocols:
        lines += [head.block([(b"sec-websocket-protocol", ", ".join(subprotocols).encode())])]
    request = b"".join([*lines, headers, b"\r\n"])
    proxy = proxies.of(origin) if proxies is not None else None
    try:
        async with asyncio.timeout(within):
            socket = await dial(origin, proxy, tls, lambda: Socket(protocol, patience), tunnel=True)
            try:
                socket.transport.write(request)
                await socket.answered
            except BaseException:
                socket.abort()
                raise
    except TimeoutError as error:
        raise TimedOut("connect", within, str(origin)) from error
    failure = protocol.handshake_exc
    if failure is None and socket.headers:
        return socket
    socket.abort()
    if isinstance(failure, InvalidStatus):
        answer = failure.response
        told = {name.lower(): value for name, value in answer.headers.raw_items()}
        raise NotUpgraded(str(origin), answer.status_code, told, bytes(answer.body))
    if failure is None or isinstance(failure.__cause__, EOFError):
        raise ConnectionLost(f"{origin}: the connection ended before the offer of a WebSocket was answered")
    raise ProtocolBroken(f"{origin}: its answer to the offer of a WebSocket is none: {failure}")


def offered(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request with these headers (lower-case names) offers a WebSocket, well said or not."""
    return b"websocket" in headers.get(b"upgrade", b"").lower()


def subprotocols(headers: Mapping[bytes, bytes]) -> list[str]:
    """What the client offers to speak, in its order of preference."""
    listed = headers.get(b"sec-websocket-protocol", b"").decode("latin-1").split(",")
    return [name for part in listed if (name := part.strip())]


def answer(method: str, headers: Mapping[bytes, bytes]) -> bytes:
    """The header lines that accept the client's offer. Raises `ValueError` with what is wrong with it."""
    key = headers.get(b"sec-websocket-key", b"")
    if method != "GET":
        raise ValueError(f"a WebSocket is asked for with GET, not {method}")
    if headers.get(b"sec-websocket-version") != _VERSION:
        raise ValueError("sec-websocket-version: expected 13")
    try:
        well = len(b64decode(key, validate=True)) == 16
    except binascii.Error:
        well = False
    if not well:
        raise ValueError("sec-websocket-key: expected 16 bytes in base64")
    accept = accept_key(key.decode("ascii")).encode()
    return b"upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: %b\r\n" % accept


def accepted(subprotocol: str | None, patience: Patience | None, lost: Callable[[], None]) -> Socket:
    """The server's side of a WebSocket whose offer has been answered; `lost` is called when the connection is gone."""
    protocol = Protocol(SERVER, state=OPEN, max_size=MOST, logger=QUIET)
    protocol.subprotocol = Subprotocol(subprotocol) if subprotocol else None
    return Socket(protocol, patience, lost)
