"""How a connection comes to stand: DNS, happy eyeballs, the proxy's tunnel, TLS.

Source: RFC 8305 (happy eyeballs), RFC 9110 section 9.3.6 (CONNECT).
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from dragoman.wire.errors import ConnectFailed, ProxyFailed, TlsFailed, WireError
from dragoman.wire.origin import Origin
from dragoman.wire.proxies import Proxy

STAGGER = 0.25  # seconds one address has for itself before the next is tried beside it (RFC 8305 section 5)
KEEPALIVE = 60  # seconds of silence before the kernel probes whether the peer still lives
_TUNNEL_HEAD = 64 * 1024  # bytes of a proxy's answer to CONNECT

P = TypeVar("P", bound=asyncio.Protocol)
# getaddrinfo's row; the last field is what the address family wants
_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]


def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """A context that verifies certificates and names and offers HTTP/1.1; `ca_file` (PEM) replaces the system's CAs."""
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def dial(
    origin: Origin,
    proxy: Proxy | None,
    tls: Callable[[], ssl.SSLContext],
    protocol: Callable[[], P],
    *,
    tunnel: bool = False,
) -> P:
    """A protocol with a transport that reaches `origin`. `tls` is called only where TLS is spoken. `tunnel`: the proxy
    is asked for a tunnel even where no TLS goes through it.

    Raises `ConnectFailed`, `TlsFailed`, `ProxyFailed`.
    """
    if proxy is None:
        return await _straight(origin, origin, tls, protocol)
    if origin.scheme == "https" or tunnel:
        return await _through(proxy, origin, tls() if origin.scheme == "https" else None, protocol, tls)
    try:
        return await _straight(proxy.origin, origin, tls, protocol)
    except WireError as error:
        raise ProxyFailed(f"{origin}: the proxy {proxy.origin} was not reached: {error}") from error


async def _straight(to: Origin, origin: Origin, tls: Callable[[], ssl.SSLContext], protocol: Callable[[], P]) -> P:
    """TCP, and TLS where `to` wants it. `origin` is who it is for."""
    loop = asyncio.get_running_loop()
    context = tls() if to.scheme == "https" else None
    name = to.host if context else None
    sock = await _connected(to)
    try:  # from here on the socket is the loop's, which closes it if this fails
        _, made = await loop.create_connection(protocol, sock=sock, ssl=context, server_hostname=name)
    except ssl.SSLError as error:
        raise _tls_failed(to, error) from error
    except OSError as error:
        raise ConnectFailed(f"{to}: the connection was lost while it was made: {error}") from error
    return made


async def _through(
    proxy: Proxy,
    origin: Origin,
    inner: ssl.SSLContext | None,
    protocol: Callable[[], P],
    tls: Callable[[], ssl.SSLContext],
) -> P:
    """To `origin` through the proxy's CONNECT tunnel; `inner`: with TLS in it."""
    loop = asyncio.get_running_loop()
    try:
        tunnel = await _straight(proxy.origin, origin, tls, _Tunnel)
    except WireError as error:
        raise ProxyFailed(f"{origin}: the proxy {proxy.origin} was not reached: {error}") from error
    try:
        await tunnel.open(proxy, origin)
        made = protocol()
        if inner is None:
            tunnel.transport.set_protocol(made)
            made.connection_made(tunnel.transport)
            return made
        transport = await loop.start_tls(tunnel.transport, made, inner, server_hostname=origin.host)
        if transport is None:
            raise TlsFailed(f"{origin}: the tunnel was closed during the TLS handshake")
        made.connection_made(transport)
    except ssl.SSLError as error:
        tunnel.transport.abort()
        raise _tls_failed(origin, error) from error
    except OSError as error:
        tunnel.transport.abort()
        raise ConnectFailed(f"{origin}: the tunnel through {proxy.origin} was lost: {error}") from error
    except BaseException:
        tunnel.transport.abort()
        raise
    return made


def _tls_failed(to: Origin, error: ssl.SSLError) -> TlsFailed:
    if isinstance(error, ssl.SSLCertVerificationError):
        mend = "if it is signed by a CA of your own, name that CA's file"
        return TlsFailed(f"{to}: the certificate does not verify: {error.verify_message}; {mend}")
    return TlsFailed(f"{to}: the TLS handshake failed: {error.reason or error}")


class _Tunnel(asyncio.Protocol):
    """Asks a proxy for a tunnel and reads its answer."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]  # the loops give no other kind

    def data_received(self, data: bytes) -> None:
        self._head += data
        if (b"\r\n\r\n" in self._head or len(self._head) > _TUNNEL_HEAD) and not self._answer.done():
            self._answer.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_result(None)

    async def open(self, proxy: Proxy, origin: Origin) -> None:
        """CONNECT. Raises `ProxyFailed` unless the proxy says 2xx and nothing more."""
        request = f"CONNECT {origin.endpoint} HTTP/1.1\r\nhost: {origin.endpoint}\r\n".encode()
        if proxy.authorization:
            request += b"proxy-authorization: " + proxy.authorization + b"\r\n"
        self.transport.write(request + b"\r\n")
        await self._answer
        head, end, rest = bytes(self._head).partition(b"\r\n\r\n")
        line = head.partition(b"\r\n")[0]
        version, _, status = line.partition(b" ")
        where = f"{origin}: the proxy {proxy.origin}"
        if not end or not version.startswith(b"HTTP/1.") or not status[:3].isdigit():
            raise ProxyFailed(f"{where} did not answer CONNECT in HTTP/1.1")
        if not status.startswith(b"2"):
            raise ProxyFailed(f"{where} refused the tunnel: {status[:80].decode('latin-1')}")
        if rest:
            raise ProxyFailed(f"{where} spoke into the tunnel before TLS began")


async def _connected(to: Origin) -> socket.socket:
    """A connected socket to the first address of `to` that answers."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(to.host, to.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectFailed(f"{to}: the name {to.host} does not resolve: {error}") from error
    addresses = interleave(found)
    if len(addresses) == 1:
        try:
            return await _socket(addresses[0])
        except OSError as error:
            raise ConnectFailed(f"{to}: no connection: {error}") from error
    return await _race(to, addresses)


def interleave(addresses: Sequence[_Address]) -> list[_Address]:
    """The resolver's order with the families taking turns, so that a dead one costs one `STAGGER` only."""
    lead = [address for address in addresses if address[0] == addresses[0][0]]
    other = [address for address in addresses if address[0] != addresses[0][0]]
    mixed: list[_Address] = []
    while lead or other:
        mixed += lead[:1] + other[:1]
        del lead[:1], other[:1]
    return mixed


async def _race(to: Origin, addresses: list[_Address]) -> socket.socket:
    waiting = list(addresses)
    running: set[asyncio.Task[socket.socket]] = set()
    winner: socket.socket | None = None
    errors: list[str] = []
    try:
        while winner is None and (waiting or running):
            if waiting:
                running.add(asyncio.create_task(_socket(waiting.pop(0))))
            done, running = await asyncio.wait(
                running, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                if (error := task.exception()) is not None:
                    errors.append(str(error))
                elif winner is None:
                    winner = task.result()
                else:
                    task.result().close()
    finally:
        for task in running:
            task.cancel()
    if winner is None:
        raise ConnectFailed(f"{to}: no connection: {'; '.join(errors)}")
    return winner


async def _socket(address: _Address) -> socket.socket:
    family, kind, number, _, endpoint = address
    sock = socket.socket(family, kind, number)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE)
        await asyncio.get_running_loop().sock_connect(sock, endpoint)
    except BaseException:
        sock.close()
        raise
    return sock
