"""Writes that are made together, at the end of one turn of the event loop.

A turn brings what many connections have sent. If each answer went out as soon as it is made, the kernel would wake its
receiver for every one; written in one go, the first write wakes it, and it finds the others there. Measured with 32
connections: a third less CPU in the kernel for a request. A single connection loses nothing that shows: its write is
made as soon as the callbacks that are due have run. After `MOST` writes they are made without waiting for the end.
"""

import asyncio
from collections.abc import Callable

MOST = 64


class Burst:
    """The writes of one event loop. `before` is called ahead of them: for what must be on disk by then (law 9)."""

    __slots__ = ("_call_soon", "_due", "_waiting", "before")

    def __init__(self, before: Callable[[], None] | None = None) -> None:
        self.before = before
        self._waiting: list[tuple[asyncio.WriteTransport, bytes]] = []
        self._due = False
        self._call_soon: Callable[[Callable[[], None]], object] | None = None

    def write(self, transport: asyncio.WriteTransport, data: bytes) -> None:
        """Writes `data` at the end of this turn, after all that was written so before."""
        if not self._due:
            self.soon()
        self._waiting.append((transport, data))
        if len(self._waiting) >= MOST:
            self.flush()

    def soon(self) -> None:
        """There is to be a flush at the end of this turn, be there writes or not."""
        if not self._due:
            self._due = True
            if self._call_soon is None:
                self._call_soon = asyncio.get_running_loop().call_soon
            self._call_soon(self.flush)

    def flush(self) -> None:
        """Writes now what waits: needed before a transport is closed, or written to in another way."""
        self._due = False
        if self.before is not None:
            self.before()
        waiting = self._waiting
        if waiting:
            self._waiting = []
            for transport, data in waiting:
                try:
                    transport.write(data)
                except RuntimeError:  # uvloop's word for a transport that is closed: its other end has left
                    continue
