"""A gateway without sockets: in place of the wire client a script of answers, in place of the server a recorder."""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dragoman import config, dialects
from dragoman.access.keys import KeyBook
from dragoman.accounts.view import AccountView
from dragoman.gateway import Call, Gateway
from dragoman.ledger.journal import Journal
from dragoman.ledger.row import Row
from dragoman.server.metrics import Metrics
from dragoman.wire import head
from dragoman.wire.client import Client
from dragoman.wire.errors import WireError
from dragoman.wire.origin import Origin, Timeouts
from dragoman.wire.reply import Reply, Take

CHAT = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
}
MESSAGE = {
    "id": "m1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "hello"}],
    "usage": {"input_tokens": 5, "output_tokens": 7},
}
CHUNKS = [
    {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {"content": "hel"}}]},
    {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {"content": "lo"}, "finish_reason": "stop"}]},
    {"id": "c1", "model": "m", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}},
]


class Sent:
    """What one attempt sent, and to whom."""

    def __init__(self, origin: Origin, target: bytes, headers: bytes, body: bytes, timeouts: Timeouts) -> None:
        self.host = origin.host.partition(".")[0]
        self.target = target.decode()
        self.headers = headers.decode("latin-1")
        self.body = body
        self.timeouts = timeouts

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Says:
    """One upstream's answer: a status and pieces of a body; `error` ends it, or comes instead of it."""

    def __init__(
        self,
        status: int = 200,
        body: Any = None,
        *,
        pieces: Sequence[bytes] | None = None,
        error: WireError | None = None,
        hangs: bool = False,
        **headers: str,
    ) -> None:
        self.status = status
        self.headers = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        whole = body if isinstance(body, bytes) else json.dumps(CHAT if body is None else body).encode()
        self.pieces = [whole] if pieces is None else list(pieces)
        self.error = error
        self.hangs = hangs


def stream(events: Sequence[Any] = CHUNKS, end: bytes = b"data: [DONE]\n\n", **more: Any) -> Says:
    """A stream of openai-chat, an event a piece."""
    return Says(pieces=[b"data: " + json.dumps(event).encode() + b"\n\n" for event in events] + [end], **more)


class _Source:
    def __init__(self, says: Says) -> None:
        self.says = says
        self.pieces = deque(piece for piece in says.pieces if piece)
        self.reply = Reply(self, [])
        self.reply.status = says.status
        lines = "".join(f"{name}: {value}\r\n" for name, value in says.headers.items())
        self.reply.head = f"HTTP/1.1 {says.status} x\r\n{lines}\r\n".encode("latin-1")
        self.closed = False
        self._waits: asyncio.Future[bool] | None = None

    def expect_more(self, take: Take | None = None) -> "asyncio.Future[bool]":
        future = asyncio.get_running_loop().create_future()
        if take is not None:
            while self.pieces:
                if not take(self.pieces.popleft()):
                    future.set_result(True)
                    return future
        elif self.pieces:
            self.reply._parts.append(self.pieces.popleft())
            future.set_result(False)
            return future
        if not self.says.hangs:
            self.reply.settle([], self.says.error)
            future.set_result(False)
        self._waits = future
        return future

    def wake(self, *pieces: bytes) -> None:
        """More comes of an answer that hung, and its end."""
        self.says.hangs = False
        self.pieces.extend(pieces)
        assert self._waits is not None
        self.reply._parts.extend(self.pieces)
        self.pieces.clear()
        self._waits.set_result(False)

    def drained(self) -> None:
        pass

    def abandon(self, error: BaseException) -> None:
        self.closed = True
        self.reply.settle([], error)


class Wire(Client):
    """Answers from `script`, by account (the first label of its host); an account without one gives `CHAT`."""

    def __init__(self) -> None:
        super().__init__()
        self.script: dict[str, deque[Says | Callable[[Sent], Says]]] = {}
        self.sent: list[Sent] = []
        self.sources: list[_Source] = []

    def will(self, account: str, *says: "Says | Callable[[Sent], Says]") -> None:
        self.script.setdefault(account, deque()).extend(says)

    async def send(self, origin, method, target, headers=b"", body=b"", *, timeouts=Timeouts(), extra=()) -> Reply:  # type: ignore[no-untyped-def, override]  # noqa: B008
        head.check_target(target)
        sent = Sent(origin, target, headers + head.block(extra), body, timeouts)
        if method not in (b"POST", "POST"):
            source = _Source(Says(404, {}))
            return source.reply
        self.sent.append(sent)
        waiting = self.script.get(sent.host)
        says = waiting.popleft() if waiting else Says()
        if not isinstance(says, Says):
            says = says(sent)
        if says.error is not None and not says.pieces:
            raise says.error
        source = _Source(says)
        self.sources.append(source)
        return source.reply


class Recorder:
    """An `Out` that keeps what the client would have."""

    def __init__(self) -> None:
        self.status = 0
        self.head = b""
        self.body = b""
        self.pieces: list[bytes] = []
        self.ended = self.aborted = False
        self.seen_rows: int | None = None
        self.rows: list[Row] = []
        self.wrote = asyncio.Event()

    async def whole(self, status: int, head: bytes, body: bytes) -> None:
        assert not self.ended
        if self.status:
            self.aborted = True
            return
        self.status, self.head, self.body, self.ended = status, head, body, True
        self.seen_rows = len(self.rows)

    async def start(self, status: int, head: bytes) -> None:
        self.status, self.head = status, head

    def push(self, data: bytes) -> bool:
        self.pieces.append(data)
        self.body += data
        self.wrote.set()
        return False

    async def drained(self) -> None:
        await asyncio.sleep(0)

    async def finish(self, data: bytes = b"") -> None:
        assert not self.ended
        self.body += data
        self.ended = True
        self.seen_rows = len(self.rows)

    def abort(self) -> None:
        self.aborted = True

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode("latin-1").split("\r\n")[:-1]
        return {name: value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class World:
    """A gateway over pretended accounts. An account's name is its host's first label."""

    def __init__(self, state: Path, accounts: Sequence[config.Account], models: Sequence[config.Model], **more: Any):
        more = {"server": config.Server(queue_seconds=0)} | more  # nobody waits here unless a test is about that
        self.settings = config.Config(
            state=config.State(dir=str(state)), accounts=list(accounts), models=list(models), **more
        )
        self.wire = Wire()
        self.rows: list[Row] = []
        self.metrics = Metrics()
        self.keys = KeyBook(self.settings.state)
        self.gateway = Gateway(
            self.settings, client=self.wire, journal=Journal(state), keys=self.keys, observe=self._observe
        )

    def _observe(self, row: Row) -> None:
        self.rows.append(row)
        self.metrics.observe(row)

    @property
    def tried(self) -> list[str]:
        """The accounts that attempts were made on, in order."""
        return [sent.host for sent in self.wire.sent]

    def account(self, name: str) -> AccountView:
        """An account as its operator sees it."""
        return next(view for view in self.gateway.serving.pool.views() if view.name == name)

    async def ask(self, body: Any = None, dialect: str = "openai-chat", **more: Any) -> Recorder:
        """One call, answered."""
        out = Recorder()
        out.rows = self.rows
        await self.gateway.answer(self.call(body, dialect, **more), out)
        return out

    def call(self, body: Any = None, dialect: str = "openai-chat", **more: Any) -> Call:
        if not isinstance(body, bytes):
            default = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
            body = json.dumps(default | (body or {})).encode()
        return Call(dialect=dialects.client(dialect), body=body, headers=more.pop("headers", {}), **more)


def account(name: str, provider: str = "openai", **more: Any) -> config.Account:
    return config.Account(
        name=name, provider=provider, key=config.Secret(f"sk-secret-of-{name}-0123456789"),
        base_url=f"http://{name}.test/v1" if provider != "anthropic" else f"http://{name}.test", **more,
    )  # fmt: skip


Make = Callable[..., World]
