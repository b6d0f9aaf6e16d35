"""A page that can't be made is an answer all the same, in the envelope of whoever's path it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from dragoman import config
from dragoman.server.http import Request
from dragoman.server.serve import Worker


class Answer:
    """Where it goes."""

    extra = b""
    status = 0
    body: Any = None
    head = b""

    async def whole(self, status: int, head: bytes, body: bytes) -> None:
        self.status, self.head, self.body = status, head, json.loads(body)


async def ask(made: Worker, method: str, path: str) -> Answer:
    out = Answer()
    await made.app(Request(method, path, b"", {b"host": b"127.0.0.1"}, b""), out)  # type: ignore[arg-type]
    return out


@pytest.fixture
def made(tmp_path: Path) -> Worker:
    settings = config.Config(state=config.State(dir=str(tmp_path)))
    return Worker(settings, lambda: settings, None)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/dragoman/v1/usage"), ("GET", "/dragoman/v1/decisions"), ("GET", "/v1/responses/resp_1")],
)
async def test_a_ledger_that_cannot_be_read_is_told_from_a_page_that_is_not_there(
    made: Worker, tmp_path: Path, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ledger.sqlite").mkdir()
    (tmp_path / "journal").mkdir()
    answer = await ask(made, method, path)
    assert (answer.status, b"x-dragoman-error: internal\r\n" in answer.head) == (503, True)
    assert "the ledger can't be read now" in answer.body["error"]["message"]
    assert "unable to open database file" in caplog.text
    assert str(tmp_path) not in json.dumps(answer.body)


async def test_a_page_that_breaks_is_an_answer_and_a_line_in_the_log(
    made: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(ask: object) -> None:
        raise ZeroDivisionError("of a secret sort")

    monkeypatch.setitem(made.app.pages._exact, ("GET", "/v1beta/models"), broken)
    answer = await ask(made, "GET", "/v1beta/models")
    assert (answer.status, answer.body["error"]["status"]) == (500, "INTERNAL")
    assert "of a secret sort" not in json.dumps(answer.body)
    assert "GET /v1beta/models broke the gateway" in caplog.text
    assert "of a secret sort" in caplog.text
