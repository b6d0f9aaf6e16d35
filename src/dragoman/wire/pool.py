"""Which connections stand, which are free, and who waits for one.

Free connections are taken last in, first out, per place (an origin, and the way to it), so that the surplus grows old
and is closed. Whoever finds no room waits in one queue, first come first served: the oldest who can be helped is
helped first.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from dragoman.wire.connection import Connection
from dragoman.wire.errors import ConnectionLost
from dragoman.wire.origin import Origin
from dragoman.wire.proxies import Proxy


@dataclass(slots=True, eq=False)
class Place:
    """An origin, the way to it, and its connections."""

    origin: Origin
    proxy: Proxy | None
    prefix: bytes  # before the target: empty, or scheme and authority where a proxy is asked
    fixed: bytes  # header lines that every request there has
    idle: list[Connection] = field(default_factory=list)  # the last one was used last
    count: int = 0  # idle, busy and being made


@dataclass(slots=True, eq=False)
class _Waiter:
    place: Place
    fresh: bool
    granted: asyncio.Future[Connection | None]  # None: leave to make one


class Pool:
    """`take` a connection; connections come back by themselves."""

    def __init__(self, make: Callable[[Place], Awaitable[Connection]], total: int, per_place: int | None) -> None:
        self._make = make
        self._total = total
        self._per_place = total if per_place is None else per_place
        self._count = 0
        self._places: dict[Place, None] = {}  # those with connections, in order
        self._standing: set[Connection] = set()
        self.queue: deque[_Waiter] = deque()  # while there is anybody in it, nobody may help himself
        self.closed = False

    async def take(self, place: Place, *, fresh: bool = False) -> Connection:
        """A connection to `place`: a free one, or, with `fresh` or where there is none, a new one."""
        if self.closed:
            raise ConnectionLost("the client is closed", before_first_byte=True)
        if not self.queue or self._may_pass(place):
            if place.idle and not fresh:
                return place.idle.pop()
            if self._find_room(place):
                return await self._new(place)
        return await self._wait(place, fresh) or await self._new(place)

    def release(self, connection: Connection) -> None:
        """Called by a connection that is free."""
        place: Place = connection.place  # type: ignore[assignment]  # Client makes connections with places only
        place.idle.append(connection)
        if self.closed:
            connection.retire()
        elif self.queue:
            self._serve()

    def forget(self, connection: Connection) -> None:
        """Called by a connection that was closed."""
        place: Place = connection.place  # type: ignore[assignment]  # see release
        if connection in self._standing:
            self._standing.remove(connection)
            if connection in place.idle:
                place.idle.remove(connection)
            self._unreserve(place)

    def close(self) -> None:
        """Closes everything; who waits gets `ConnectionLost`."""
        self.closed = True
        for connection in list(self._standing):
            connection.abandon(ConnectionLost("the client was closed"))
        while self.queue:
            granted = self.queue.popleft().granted
            if not granted.done():
                granted.set_exception(ConnectionLost("the client was closed", before_first_byte=True))

    async def _new(self, place: Place) -> Connection:
        """Makes a connection for which a place is reserved already."""
        try:
            connection = await self._make(place)
        except BaseException:
            self._unreserve(place)
            raise
        self._standing.add(connection)
        if connection.closed or self.closed:
            connection.abandon(ConnectionLost("closed"))
            self.forget(connection)
            raise ConnectionLost(f"{place.origin}: the connection was closed as soon as it stood")
        return connection

    async def _wait(self, place: Place, fresh: bool) -> Connection | None:
        waiter = _Waiter(place, fresh, asyncio.get_running_loop().create_future())
        self.queue.append(waiter)
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self._give_back(place, waiter.granted.result())
            else:
                self.queue.remove(waiter)
            raise

    def _give_back(self, place: Place, granted: Connection | None) -> None:
        if granted is None:
            self._unreserve(place)
        elif not granted.closed:
            self.release(granted)

    def _may_pass(self, place: Place) -> bool:
        """Nobody in the queue could use what this one takes: all wait for other places that are full by themselves."""
        return all(waiter.place is not place and waiter.place.count >= self._per_place for waiter in self.queue)

    def _find_room(self, place: Place) -> bool:
        """Reserves a place for one more connection, if need be at the cost of an idle one elsewhere."""
        victim = None
        if place.count >= self._per_place:
            victim = place.idle[0] if place.idle else None
        elif self._count >= self._total:
            oldest = [other.idle[0] for other in self._places if other.idle]
            victim = min(oldest, key=lambda connection: connection.deadline, default=None)
        else:
            self._reserve(place)
            return True
        if victim is None:
            return False
        self._reserve(place)  # first: closing the victim serves the queue, and this room is taken
        victim.retire()
        return True

    def _reserve(self, place: Place) -> None:
        self._places[place] = None
        place.count += 1
        self._count += 1

    def _unreserve(self, place: Place) -> None:
        place.count -= 1
        self._count -= 1
        if not place.count:
            self._places.pop(place, None)
        if self.queue and not self.closed:
            self._serve()

    def _serve(self) -> None:
        """Helps those in the queue who can be helped, oldest first."""
        for waiter in list(self.queue):
            if waiter.granted.done():
                continue
            place = waiter.place
            if place.idle and not waiter.fresh:
                self._grant(waiter, place.idle.pop())
            elif self._find_room(place):
                self._grant(waiter, None)

    def _grant(self, waiter: _Waiter, granted: Connection | None) -> None:
        self.queue.remove(waiter)
        waiter.granted.set_result(granted)
