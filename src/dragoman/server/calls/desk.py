"""The endpoints of calls: `POST …/realtime/calls` takes an SDP offer and answers it, and a call is hung up.

The session is that of a WebSocket (`server.realtime`); only its line is another. Source: OpenAI Realtime, "calls".
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from msgspec import Struct

from dragoman import dialects
from dragoman.canon import Failed, Failure
from dragoman.dialects.fields import Malformed
from dragoman.gateway import Gateway
from dragoman.gateway.call import named
from dragoman.server import realtime, surfaces
from dragoman.server.calls.offer import Offer
from dragoman.server.http import Request, Response, lines
from dragoman.voice.relaying.bridges import new_id
from dragoman.voice.relaying.ends import Duplex

Act: TypeAlias = Callable[[Request, Response], Awaitable[None]]
_PATH = re.compile(r"(/v1|/openai/v1|/openai|)/realtime/calls(?:/([^/]+)(/hangup)?)?")


class _Open(Struct):
    """A call that is held. `owner`: the id of its key; None where there are no keys."""

    peer: Duplex
    owner: str | None


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
        _, call, hangup = found.groups()
        if method == "POST" and call is None:
            return self._begin
        if call is not None and (method, hangup) in (("POST", "/hangup"), ("DELETE", None)):
            return lambda request, out: self._hang_up(request, call, out)
        return None

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

    async def _hold(self, name: str, admitted: realtime.Admitted, peer: Duplex) -> None:
        self._begun()
        self._open[name] = _Open(peer, admitted.visit.story.row.key)
        try:
            await self._sessions.stay(admitted, peer)
        finally:
            del self._open[name]
            self._done()

    async def _hang_up(self, request: Request, name: str, out: Response) -> None:
        try:
            principal = await self._gateway.who(surfaces.gateway_key(request.headers, request.query))
        except Failed as error:
            await _refuse(out, error.failure)
            return
        call = self._open.get(name)
        if principal is None and self._gateway.serving.settings.access.mode == "keys":
            await _refuse(out, Failure(kind="unauthorized", status=401, message="this needs a gateway key"))
        elif call is None or not (
            self._gateway.sees_all(principal) or (principal is not None and principal.id == call.owner)
        ):
            await _refuse(out, Failure(kind="not_found", status=404, message=f'there is no call "{name}" here'))
        else:
            await call.peer.close()
            await out.whole(200, named(), b"")


async def _refuse(out: Response, failure: Failure) -> None:
    head = lines([("content-type", "application/json"), ("x-dragoman-error", failure.kind)])
    await out.whole(failure.status, head + named(), dialects.client("openai-chat").write_error(failure))
