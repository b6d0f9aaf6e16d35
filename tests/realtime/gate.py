"""A gateway with its server, in the test's own event loop, and providers of realtime sessions beside it."""

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from dragoman import config
from dragoman.access.keys import KeyBook
from dragoman.gateway import Gateway
from dragoman.ledger.journal import Journal
from dragoman.ledger.row import Row
from dragoman.server.app import App
from dragoman.server.http import Connection, Listener
from dragoman.server.metrics import Metrics
from dragoman.server.serve import make_client
from dragoman.wire.upgrade import connect
from dragoman.wire.websocket import Socket
from fakes.realtime import RealtimeFake

REALTIME = "openai/gpt-realtime"
LOUD = base64.b64encode(b"\x10\x20" * 2400).decode()  # 100 ms
QUIET = base64.b64encode(b"\x00\x00" * 2400).decode()


class Gate:
    """A running gateway. `rows`: what it booked."""

    def __init__(self, settings: config.Config, port: int, app: App, rows: list[Row]) -> None:
        self.settings = settings
        self.port = port
        self.app = app
        self.gateway = app.gateway
        self.rows = rows

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"


def account(name: str, fake: RealtimeFake, **more: Any) -> dict[str, Any]:
    return {"name": name, "provider": "azure" if fake.beta else "openai", "key": "sk-fake",
            "base_url": fake.base_url, **more}  # fmt: skip


@contextlib.asynccontextmanager
async def gate(
    folder: Path, accounts: list[dict[str, Any]], *, tls: ssl.SSLContext | None = None, **tables: Any
) -> AsyncIterator[Gate]:
    """`tables` are the config's, beside the accounts. `tls`: for clients that speak nothing else."""
    import tomllib

    from e2e.gateway import config as written

    text = written(**{"state": {"dir": str(folder / "state")}, "accounts": accounts, **tables})
    assert tomllib.loads(text)
    settings = config.parse(text.encode(), "dragoman.toml", folder, {})
    settings.state.path.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    keys = KeyBook(settings.state, settings.access.admin_key)
    gateway = Gateway(
        settings, client=make_client(settings), journal=Journal(settings.state.path), keys=keys, observe=rows.append
    )
    app = App(gateway, Metrics())
    listener = Listener(app, app.body_limit)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(listener), "127.0.0.1", 0, ssl=tls)
    try:
        async with asyncio.timeout(30):
            yield Gate(settings, server.sockets[0].getsockname()[1], app, rows)
    finally:
        server.close()
        for connection in list(listener.connections):
            connection.transport.abort()
        while listener.connections:
            await asyncio.sleep(0)
        await app.idle()
        await gateway.close()


async def dial(gate: Gate, path: str = f"/v1/realtime?model={REALTIME}", **options: Any) -> Socket:
    headers = [(b"authorization", b"Bearer any")]
    return await connect(gate.ws + path, options.pop("headers", headers), **options)


async def event(socket: Socket) -> dict[str, Any]:
    message = await socket.receive()
    assert message is not None, f"the session ended with {socket.code} {socket.reason}"
    found: dict[str, Any] = json.loads(message)
    return found


async def until(socket: Socket, kind: str) -> list[dict[str, Any]]:
    """All events up to the first of that kind."""
    events = [await event(socket)]
    while events[-1]["type"] != kind:
        events.append(await event(socket))
    return events


async def say(socket: Socket, kind: str, **fields: Any) -> None:
    await socket.send(json.dumps({"type": kind, **fields}))


def message(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **more}
