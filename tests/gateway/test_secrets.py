"""Law 11: after a run full of errors, no secret is in anything that was written."""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from fake_wire import CHUNKS, MESSAGE, Make, Recorder, Says, World, account, stream

from dragoman import config
from dragoman.access import keys as gateway_keys
from dragoman.config import Secret
from dragoman.ledger.fold import fold
from dragoman.ledger.store import Store
from dragoman.server.app import App
from dragoman.server.http import Request
from dragoman.wire.errors import BodyTruncated, ConnectFailed, TimedOut

PAGES = [
    "/v1/models", "/v1beta/models", "/api/tags", "/anthropic/v1/models", "/metrics", "/dragoman/v1/accounts",
    "/dragoman/v1/keys", "/dragoman/v1/usage", "/dragoman/v1/usage?by=key", "/readyz", "/healthz", "/nowhere",
]  # fmt: skip


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(logging.Formatter("%(message)s").format(record))
            lines.append(repr(record.__dict__))

    handler, root = Keep(0), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(0)
    yield lines
    root.removeHandler(handler)
    root.setLevel(level)


class Page(Recorder):
    extra = b""


def _echoing(secret: str) -> list[Says]:
    """Answers of a provider that repeats the key it was sent, as some do."""
    told = f"Incorrect API key provided: {secret}. Find yours at …"
    error = {"error": {"message": told, "type": "invalid_request_error", "code": secret, "param": secret}}
    statuses = [401, 403, 402]
    return [
        *(Says(status, error) for status in statuses),
        *(Says(status, told.encode()) for status in statuses),
        Says(500, error, x_echo=secret),
        Says(pieces=[], error=ConnectFailed("refused")),
        Says(pieces=[], error=TimedOut("idle", 1, "x")),
        stream(end=b"", error=BodyTruncated("cut")),
        *(_breaking(provider, secret) for provider in ("openai", "anthropic")),
        Says(body=b"{"),
    ]


def _breaking(provider: str, secret: str) -> Says:
    """A stream that tells of a failure, and the key, in its middle."""
    told = f"Key {secret} (\u2026) is over its limit"
    if provider == "openai":
        said = {"message": told, "type": "server_error", "code": secret}
        return stream([CHUNKS[0], said | {"type": "error", "error": said}], end=b"")  # as Chat and Responses tell it
    begin = {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None}}
    error = {"type": "error", "error": {"type": "overloaded_error", "message": told}}
    pieces = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in (begin, error)]
    return Says(pieces=pieces, content_type="text/event-stream")


@pytest.mark.parametrize("client", ["openai-chat", "anthropic", "openai-responses", "ollama"])
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("policy", ["error", "resume"])
async def test_a_failure_in_mid_stream_is_told_without_the_key(
    tmp_path: Path, provider: str, client: str, policy: Literal["error", "resume"]
) -> None:
    model = config.Model(name="m", targets=[f"{provider}/x"], on_break=policy)
    there = World(tmp_path, [account("a", provider)], [model])
    secret = "sk-secret-of-a-0123456789"
    there.wire.will("a", _breaking(provider, secret))
    out = await there.ask({"max_tokens": 9, "input": "x", "stream": True}, client)
    assert out.status == 200 and out.ended
    assert secret.encode() not in out.body
    assert b"is over its limit" in out.body and b"6789" in out.body


async def test_no_secret_is_written_anywhere(world: Make, logged: list[str], tmp_path: Path) -> None:
    admin = "admin-secret-0123456789abcdef"
    accounts = [
        account("a", headers={"x-extra-secret": Secret("header-secret-0123456789")}),
        account("b", "anthropic"),
        config.Account(
            name="c", provider="bedrock", region="us-east-1", base_url="http://c.test",
            access_key_id=config.Secret("AKIASECRETSECRET0000"),
            secret_access_key=config.Secret("aws/secret/0123456789abcd"),
        ),
    ]  # fmt: skip
    there = world(
        *accounts, targets=["openai/x", "anthropic/y", "bedrock/z"],
        access=config.Access(mode="keys", admin_key=config.Secret(admin)),
    )  # fmt: skip
    state = there.settings.state
    with Store(state) as store:
        record = gateway_keys.Key(id=gateway_keys.new_id(), name="k", created=0.0)
        key = gateway_keys.create(store, record)
    secrets = [
        "sk-secret-of-a-0123456789", "sk-secret-of-b-0123456789", "header-secret-0123456789", "AKIASECRETSECRET0000",
        "aws/secret/0123456789abcd", admin, key, key.removeprefix("dgm-"),
    ]  # fmt: skip
    await there.keys.refresh()
    shown: list[bytes] = []
    for dialect in ("openai-chat", "anthropic", "openai-responses", "ollama"):
        for name, secret in (("a", secrets[0]), ("b", secrets[1]), ("c", secrets[4])):
            for says in _echoing(secret):
                there.wire.script.clear()
                there.wire.will(name, says)
                desk = there.gateway.leases.desk
                for account_name in desk.accounts:
                    desk.wake(account_name, there.gateway.leases.now())
                body = {"max_tokens": 9, "input": "x", "stream": says.pieces != [] and says.status == 200}
                out = await there.ask(body, dialect, key=key, headers={b"authorization": f"Bearer {key}".encode()})
                shown += [out.head, out.body]
    for wrong in (key + "x", "dgm-" + key[8:], None, admin[:-1], secrets[0]):
        out = await there.ask({}, key=wrong)
        assert out.status == 401
        shown += [out.head, out.body]
    assert len(there.rows) > 100
    app = App(there.gateway, there.metrics)
    for path in PAGES:
        for sent in (admin, key, key + "x"):
            page = Page()
            route, _, query = path.partition("?")
            headers = {b"host": b"127.0.0.1", b"authorization": f"Bearer {sent}".encode()}
            await app(Request("GET", route, query.encode(), headers), page)  # type: ignore[arg-type]
            shown += [page.head, page.body]
    await asyncio.to_thread(fold, state)
    shown += [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    shown += [_database(file) for file in tmp_path.rglob("*.db*")]
    shown += [line.encode() for line in logged]
    shown += [msgspec.json.encode(there.rows), repr(there.rows).encode()]
    everything = b"\n".join(shown)
    assert b"stream_broken" in everything  # the run was as bad as it was meant to be
    assert [secret for secret in secrets if secret.encode() in everything] == []


def _database(file: Path) -> bytes:
    try:
        with sqlite3.connect(file) as connection:
            return "\n".join(connection.iterdump()).encode()
    except sqlite3.DatabaseError:
        return b""
