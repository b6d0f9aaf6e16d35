"""Nonsense from clients: the right error in the right envelope, and the process unharmed."""

import gzip
import json

import pytest

from e2e.gateway import GatewayProcess
from e2e.raw import SURFACES, call, is_error_of
from fakes import start


@pytest.fixture(scope="module")
def http():
    with start("anthropic") as fake:
        account = {"name": "a", "provider": "anthropic", "base_url": fake.base_url, "key": fake.key}
        model = {"name": "m", "targets": ["anthropic/claude-mock"]}
        with (
            GatewayProcess(server={"max_body_mb": 0.1}, accounts=[account], models=[model]) as process,
            process.http() as client,
        ):
            yield client


NONSENSE = {
    "no json": b"hello",
    "half": b'{"model": "m", "messages": [',
    "empty": b"",
    "an array": b"[]",
    "null": b"null",
    "bad utf-8": b'{"model": "m\xff", "messages": "\xc3\x28"}',
    "deep nesting": b'{"model": "m", "messages": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "a lone surrogate": b'{"model": "\\ud800"}',
    "a huge number": b'{"model": "m", "messages": [], "max_tokens": 1' + b"0" * 400 + b"}",
    "no model": b"{}",
    "a model of the wrong type": b'{"model": {"a": 1}}',
    "a long name": b'{"model": "' + b"x" * 5000 + b'", "messages": []}',
    "messages of the wrong type": b'{"model": "m", "max_tokens": 5, "messages": 7, "input": 7, "contents": 7, '
    b'"prompt": 7}',
}


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("surface", SURFACES)
def test_nonsense_is_refused_in_the_clients_envelope(http, surface, nonsense):
    path, _ = call(surface, "m")
    reply = http.post(path, content=NONSENSE[nonsense], headers={"content-type": "application/json"})
    assert reply.status_code in (400, 404), reply.text
    assert is_error_of(surface, reply.json())
    assert reply.headers["x-dragoman-error"] in ("bad_request", "unknown_model")
    path, body = call(surface, "m")
    assert http.post(path, json=body).status_code == 200


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("told", [True, False])
def test_a_body_above_the_limit_is_refused(http, surface, told):
    path, body = call(surface, "m", "x" * 200_000)
    content = json.dumps(body).encode()
    reply = http.post(path, content=content if told else iter([content[:150_000], content[150_000:]]))
    assert reply.status_code == 413
    assert is_error_of(surface, reply.json())
    assert reply.headers["x-dragoman-error"] == "too_large"


@pytest.mark.parametrize("surface", SURFACES)
def test_a_compressed_body_is_read_and_one_that_cannot_be_is_refused(http, surface):
    path, body = call(surface, "m")
    packed = gzip.compress(json.dumps(body).encode())
    json_type = {"content-type": "application/json"}
    reply = http.post(path, content=packed, headers=json_type | {"content-encoding": "gzip"})
    assert reply.status_code == 200
    assert "You said: hello" in reply.text
    for name in ("lzma", "br"):  # nobody's, and another's
        reply = http.post(path, content=packed, headers=json_type | {"content-encoding": name})
        assert reply.status_code == 415
        assert "gzip" in reply.headers["accept-encoding"]
        assert is_error_of(surface, reply.json())


@pytest.mark.parametrize("surface", SURFACES)
def test_a_wrong_method_is_refused(http, surface):
    path, _ = call(surface, "m")
    reply = http.put(path, json={})
    assert reply.status_code in (404, 405)
    assert is_error_of(surface, reply.json())


@pytest.mark.parametrize(
    ("path", "surface"),
    [("/v1/nothing", "openai-chat"), ("/v1beta/nothing", "gemini"), ("/api/nothing", "ollama")],
)
def test_an_unknown_path_is_refused_in_its_neighbours_envelope(http, path, surface):
    for reply in (http.get(path), http.post(path, json={})):
        assert reply.status_code == 404
        assert is_error_of(surface, reply.json())


def test_pages_of_this_machine_may_call(http):
    origin = "http://localhost:3000"
    wish = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    allowed = http.options("/v1/chat/completions", headers=wish)
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == origin
    assert "x-api-key" in allowed.headers["access-control-allow-headers"]
    path, body = call("openai-chat", "m")
    reply = http.post(path, json=body, headers={"origin": origin})
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == origin


def test_strange_pages_may_not_call_an_open_gateway(http):
    path, body = call("openai-chat", "m")
    reply = http.post(path, json=body, headers={"origin": "https://evil.example"})
    assert reply.status_code == 403
    assert "access-control-allow-origin" not in reply.headers
    assert http.post(path, json=body, headers={"host": "evil.example"}).status_code == 403
