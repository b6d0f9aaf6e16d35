"""uvicorn's HTTP protocol, with one addition: a client that leaves is told to the request it left at once.

ASGI would have every request wait on `receive()` in a task of its own to learn that; this costs nothing until it
happens (law 8: no task that is not needed).
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

GONE = "dragoman.gone"  # scope key: a callable without arguments


class Protocol(HttpToolsProtocol):
    """Calls `scope["dragoman.gone"]`, where the application has set it, if the client leaves before the end."""

    def connection_lost(self, exc: Exception | None) -> None:
        cycle = self.cycle
        unfinished = cycle is not None and not cycle.response_complete
        super().connection_lost(exc)
        gone = cycle.scope.get(GONE) if unfinished else None
        if callable(gone):
            gone()
