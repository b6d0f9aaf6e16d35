"""Where an answer goes: the ASGI side of `gateway.call.Out`."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]


class AsgiOut:
    """Sends one response. `extra` headers (CORS) are added to it."""

    __slots__ = ("_cut", "_extra", "_send", "started")

    def __init__(self, send: Send, extra: Headers, cut: Callable[[], None]) -> None:
        self._cut = cut
        self._send = send
        self._extra = extra
        self.started = False

    async def start(self, status: int, headers: Headers) -> None:
        self.started = True
        if self._extra:
            headers += self._extra
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": data})

    def abort(self) -> None:
        """See `gateway.call.Out`."""
        self._cut()
