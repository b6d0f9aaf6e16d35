"""uvicorn's HTTP protocol, with one addition: a client that leaves is told to the request it left at once.

ASGI would have every request wait on `receive()` in a task of its own to learn that; this costs nothing until it
happens (law 8: no task that is not needed).
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

GONE = "dragoman.gone"  # scope key: the application puts a callable there, without arguments
CUT = "dragoman.cut"  # scope key: a callable that cuts the connection


class Protocol(HttpToolsProtocol):
    """Calls `scope["dragoman.gone"]`, where the application has set it, if the client leaves before the end."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[CUT] = self.transport.abort  # type: ignore[literal-required]  # ASGI lets servers add keys

    def connection_lost(self, exc: Exception | None) -> None:
        cycle = self.cycle
        unfinished = cycle is not None and not cycle.response_complete
        super().connection_lost(exc)
        gone = cycle.scope.get(GONE) if unfinished else None
        if callable(gone):
            gone()
