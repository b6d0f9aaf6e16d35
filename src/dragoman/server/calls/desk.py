"""The endpoints of calls: `POST …/realtime/calls` takes an SDP offer and answers it, a call is hung up, and
`WS …/realtime?call_id=` joins one: what the session tells the caller it is told too, and what it says the session hears
as if the caller had said it. What only calls over SIP have (accept, reject, refer) is refused.

The session is that of a WebSocket (`server.realtime`); only its line is another. Source: OpenAI Realtime, "calls".
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from msgspec import Struct, field

from dragoman import dialects
from dragoman.canon import Failed, Failure
from dragoman.dialects.fields import Malformed
from dragoman.gateway import Gateway
from dragoman.gateway.call import named
from dragoman.server import realtime, surfaces
from dragoman.server.calls.offer import Line, Offer
from dragoman.server.http import Request
from dragoman.server.response import Response, lines
from dragoman.voice.relaying.bridges import new_id
from dragoman.voice.relaying.ends import Duplex
from dragoman.wire import upgrade

Act: TypeAlias = Callable[[Request, Response], Awaitable[None]]
MOST = 4096  # events that who joined a call may leave unread
_PATH = re.compile(r"(/v1|/openai/v1|/openai|)/realtime/calls(?:/([^/]+)(?:/(hangup|accept|reject|refer))?)?")


class _Open(Struct):
    """A call that is held. `owner`: the id of its key; None where there are no keys."""

    peer: Line
    owner: str | None
    guests: set[asyncio.Task[None]] = field(default_factory=set)  # who listens to those who joined it


class Calls:
    """The calls of a worker. `begun` and `done`: told as calls begin and end."""

    def __init__(
        self, gateway: Gateway, sessions: realtime.Sessions, begun: Callable[[], None], done: Callable[[], None]
    ) -> None:
        self._gateway = gateway
        self._sessions = sessions
        self._begun = begun
        self._done = done
        self._open: dict[str, _Open] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def find(self, method: str, path: str) -> Act | None:
        """What is to be done there; None where that is nothing of calls."""
        found = _PATH.fullmatch(path) if "/realtime/calls" in path else None
        if found is None:
            return None
        _, call, what = found.groups()
        if method == "POST" and call is None:
            return self._begin
        if call is not None and (method, what) in (("POST", "hangup"), ("DELETE", None)):
            return lambda request, out: self._hang_up(request, call, out)
        if call is not None and method == "POST" and what is not None:
            return lambda request, out: self._only_sip(request, call, what, out)
        return None

    async def attend(self, request: Request, call_id: str, key: str | None, out: Response) -> None:
        """Joins a call by WebSocket, until either is over."""
        try:
            call = await self._mine(call_id, key)
            upgrade.answer(request.method, request.headers)
        except Failed as error:
            await _refuse(out, error.failure)
            return
        except ValueError as error:
            await _refuse(out, Failure(kind="bad_request", message=str(error)))
            return
        heard: asyncio.Queue[str] = asyncio.Queue(MOST)
        socket = out.accept(b"", None, realtime.PATIENCE)

        def hear(message: str) -> None:
            with contextlib.suppress(asyncio.QueueFull):  # it does not read: the call goes on without it
                heard.put_nowait(message)

        async def tell() -> None:
            while True:
                await socket.send(await heard.get())

        leave, telling = call.peer.join(hear), asyncio.create_task(tell())
        listening = asyncio.create_task(_listen(socket, call.peer))
        call.guests.add(listening)
        try:
            await asyncio.wait({listening, telling}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leave()
            call.guests.discard(listening)
            for task in (listening, telling):
                task.cancel()
            await asyncio.gather(listening, telling, return_exceptions=True)
            await socket.close()

    async def _begin(self, request: Request, out: Response) -> None:
        """Answers an offer; the session then goes on by itself."""
        try:
            offer = Offer(request)
        except Malformed as error:
            await _refuse(out, Failure(kind="bad_request", message=str(error), param=error.path or None))
            return
        servers = self._gateway.serving.settings.voice.ice_servers
        admitted: realtime.Admitted | None = None
        try:
            admitted = await self._sessions.open(request, offer.surface, out, lambda: offer.accept(servers))
        finally:
            if admitted is None and offer.peer is not None:
                await offer.peer.close()
        if admitted is None or offer.peer is None:
            return
        name = new_id("rtc")
        task = asyncio.get_running_loop().create_task(self._hold(name, admitted, offer.peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        head = admitted.lines(b"application/sdp") + lines([("location", f"/v1/realtime/calls/{name}")])
        await out.whole(201, head, offer.answer)

    async def _hold(self, name: str, admitted: realtime.Admitted, peer: Line) -> None:
        self._begun()
        call = self._open[name] = _Open(peer, admitted.visit.story.row.key)
        try:
            await self._sessions.stay(admitted, peer)
        finally:
            del self._open[name]
            for guest in call.guests:
                guest.cancel()
            self._done()

    async def _hang_up(self, request: Request, name: str, out: Response) -> None:
        try:
            call = await self._mine(name, surfaces.gateway_key(request.headers, request.query))
        except Failed as error:
            await _refuse(out, error.failure)
            return
        await call.peer.close()
        await out.whole(200, b"", b"")

    async def _only_sip(self, request: Request, name: str, what: str, out: Response) -> None:
        try:
            await self._mine(name, surfaces.gateway_key(request.headers, request.query))
            message = f"a call over WebRTC has nothing to {what}: that is for calls over SIP, which do not come here"
            raise Failed(Failure(kind="bad_request", message=message))
        except Failed as error:
            await _refuse(out, error.failure)

    async def _mine(self, name: str, key: str | None) -> _Open:
        """The call of that name, if it is the caller's own, or an operator asks. Raises `Failed`."""
        principal = await self._gateway.who(key)
        if principal is None and self._gateway.serving.settings.access.mode == "keys":
            raise Failed(Failure(kind="unauthorized", status=401, message="this needs a gateway key"))
        call = self._open.get(name)
        if call is None or not (
            self._gateway.sees_all(principal) or (principal is not None and principal.id == call.owner)
        ):
            raise Failed(Failure(kind="not_found", status=404, message=f'there is no call "{name}" here'))
        return call


async def _listen(socket: Duplex, line: Line) -> None:
    while (message := await socket.receive()) is not None:
        line.said(message)


async def _refuse(out: Response, failure: Failure) -> None:
    head = lines([("content-type", "application/json"), ("x-dragoman-error", failure.kind)])
    await out.whole(failure.status, head + named(), dialects.client("openai-chat").write_error(failure))
