"""A gateway's life: clients that leave, signals, new configs, crashes."""

import contextlib
import signal
import time

import httpx
import pytest

from e2e.gateway import GatewayProcess
from e2e.raw import call
from fakes import Scenario, start

MODEL = {"name": "m", "targets": ["anthropic/claude-mock"]}


@pytest.fixture
def fake():
    with start("anthropic") as running:
        yield running


@pytest.fixture
def gateway(fake):
    account = {"name": "a", "provider": "anthropic", "base_url": fake.base_url, "key": fake.key}
    with GatewayProcess(accounts=[account], models=[MODEL]) as process:
        yield process


@pytest.fixture
def http(gateway):
    with gateway.http() as client:
        yield client


def ask(http, surface: str = "openai-chat", model: str = "m", **options):
    path, body = call(surface, model, **options)
    return http.post(path, json=body)


def until(condition, seconds: float = 10.0):
    """What `condition` gives, as soon as it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    assert found, "it never came to be"
    return found


@pytest.mark.parametrize("surface", ["anthropic", "openai-chat"])  # relayed, converted
def test_a_client_that_leaves_a_stream_cancels_the_upstream_and_is_booked(gateway, fake, surface):
    fake.script(Scenario(fault="hang", after=4))
    path, body = call(surface, "m", "words:50", stream=True)
    with httpx.stream("POST", gateway.url + path, json=body) as reply:
        next(reply.iter_raw())
        request_id = reply.headers["x-request-id"]
    fake.wait(lambda: fake.last.done)
    assert fake.last.client_left
    row = until(lambda: next((r for r in gateway.rows() if r["request_id"] == request_id), None))
    assert row["status"] == 499
    assert row["tokens"]["output"] > 0


def test_a_client_that_leaves_before_an_answer_cancels_the_upstream(gateway, fake):
    fake.script(Scenario(fault="hang"))
    path, body = call("openai-chat", "m")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(gateway.url + path, json=body, timeout=httpx.Timeout(10, read=0.3))
    fake.wait(lambda: bool(fake.requests) and fake.last.done)
    assert fake.last.client_left
    assert until(lambda: [r for r in gateway.rows() if r["status"] == 499])


def test_a_terminated_gateway_finishes_its_streams_first(gateway, fake):
    held = Scenario(fault="hold", after=4)
    fake.script(held)
    path, body = call("openai-chat", "m", "words:50", stream=True)
    with httpx.stream("POST", gateway.url + path, json=body) as reply, gateway.http() as other:
        chunks = reply.iter_raw()
        first = next(chunks)
        assert other.get("/readyz").status_code == 200
        gateway.process.send_signal(signal.SIGTERM)
        until(lambda: other.get("/readyz").status_code == 503)
        refused = ask(other)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        held.release()
        assert (first + b"".join(chunks)).endswith(b"data: [DONE]\n\n")
    assert gateway.process.wait(10) == 0


def test_a_changed_config_file_is_taken_without_losing_a_request(gateway, fake, http):
    held = Scenario(fault="hold", after=4)
    fake.script(held)
    path, body = call("openai-chat", "m", "words:50", stream=True)
    with httpx.stream("POST", gateway.url + path, json=body) as reply:
        chunks = reply.iter_raw()
        next(chunks)
        assert ask(http, model="fresh").status_code == 404
        models = [{"name": "fresh", "targets": ["anthropic/claude-mock"]}]
        gateway.write(**gateway.tables | {"models": models})
        until(lambda: ask(http, model="fresh").status_code == 200)
        assert ask(http, model="m").status_code == 404
        held.release()
        assert b"".join(chunks).endswith(b"data: [DONE]\n\n")


def test_a_hangup_signal_reloads_at_once_and_a_bad_file_is_refused(gateway, http):
    gateway.file.write_text('[[accounts]]\nname = "a"\nprovider = "nobody"\n')
    gateway.reload()
    line = gateway.wait_log("config not reloaded")
    assert "nobody" in line
    assert ask(http).status_code == 200
    gateway.write(**gateway.tables | {"models": [{"name": "other", "targets": ["anthropic/claude-mock"]}]})
    gateway.reload()
    until(lambda: ask(http, model="other").status_code == 200)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("surface", ["anthropic", "openai-chat"])
def test_what_a_client_saw_completed_survives_a_crash(gateway, http, surface, stream):
    reply = ask(http, surface, stream=stream)
    assert reply.status_code == 200
    gateway.kill()
    rows = [row for row in gateway.rows() if row["request_id"] == reply.headers["x-request-id"]]
    assert len(rows) == 1
    assert rows[0]["status"] == 200
    assert rows[0]["target"] == "anthropic/claude-mock"
    assert rows[0]["model"] == "m"


def test_every_answered_request_is_one_row_refused_ones_too(gateway, http, fake):
    replies = [ask(http), ask(http, model="nobody"), ask(http, "anthropic"), ask(http, "gemini", stream=True)]
    with contextlib.suppress(httpx.HTTPError):
        replies.append(http.post("/v1/chat/completions", content=b"{"))
    booked = {row["request_id"]: row for row in gateway.rows()}
    for reply in replies:
        assert booked[reply.headers["x-request-id"]]["status"] == reply.status_code
    assert len(booked) == len(replies)


def test_no_secret_is_ever_written(gateway, http, fake):
    ask(http)
    fake.script(Scenario(status=401, message=f"{fake.key} is wrong"))
    ask(http)
    gateway.stop()
    written = "".join(gateway.log).encode()
    for path in gateway.state.rglob("*"):
        if path.is_file():
            written += path.read_bytes()
    assert fake.key.encode() not in written
