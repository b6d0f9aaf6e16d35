"""Gateway keys: in every form that clients send them, and nothing else."""

import json
import time

import pytest

from e2e.gateway import GatewayProcess
from e2e.raw import SURFACES, call, is_error_of
from fakes import start


@pytest.fixture(scope="module")
def gateway():
    with start("anthropic") as fake:
        account = {"name": "a", "provider": "anthropic", "base_url": fake.base_url, "key": fake.key}
        model = {"name": "m", "targets": ["anthropic/claude-mock"]}
        with GatewayProcess(access={"mode": "keys"}, accounts=[account], models=[model]) as process:
            yield process


@pytest.fixture(scope="module")
def key(gateway):
    """Made while the gateway runs."""
    return json.loads(gateway.run("keys", "create", "--name", "test", "--json").stdout)["key"]


@pytest.fixture(scope="module")
def http(gateway):
    with gateway.http() as client:
        yield client


FORMS = {
    "bearer": lambda key: ({"authorization": f"Bearer {key}"}, {}),
    "x-api-key": lambda key: ({"x-api-key": key}, {}),
    "api-key": lambda key: ({"api-key": key}, {}),
    "x-goog-api-key": lambda key: ({"x-goog-api-key": key}, {}),
    "query": lambda key: ({}, {"key": key}),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("surface", SURFACES)
def test_a_key_is_taken_in_every_form(http, key, surface, form):
    headers, query = FORMS[form](key)
    path, body = call(surface, "m")
    reply = http.post(path, json=body, headers=headers, params=query)
    assert reply.status_code == 200, reply.text
    assert "You said: hello" in reply.text


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("surface", SURFACES)
def test_a_wrong_key_is_refused_in_the_clients_envelope(http, surface, form):
    headers, query = FORMS[form]("dgm-wrong")
    path, body = call(surface, "m")
    reply = http.post(path, json=body, headers=headers, params=query)
    assert reply.status_code == 401
    assert is_error_of(surface, reply.json())
    assert reply.headers["x-dragoman-error"] == "unauthorized"


@pytest.mark.parametrize("surface", SURFACES)
def test_without_a_key_nobody_is_served(http, surface):
    path, body = call(surface, "m")
    reply = http.post(path, json=body)
    assert reply.status_code == 401
    assert is_error_of(surface, reply.json())


@pytest.mark.parametrize("path", ["/v1/models", "/v1beta/models", "/api/tags", "/dragoman/v1/usage", "/v1/responses/x"])
def test_pages_want_a_key_too(http, path):
    assert http.get(path).status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_for_everyone(http, path):
    assert http.get(path).status_code == 200


def test_the_upstream_never_sees_a_gateway_key(http, key):
    path, body = call("anthropic", "m")
    reply = http.post(path, json=body, headers={"x-api-key": key})
    assert reply.status_code == 200  # the fake takes its own key alone


def test_a_revoked_key_is_refused(gateway, http):
    made = json.loads(gateway.run("keys", "create", "--name", "short", "--json").stdout)
    path, body = call("anthropic", "m")
    headers = {"x-api-key": made["key"]}

    def becomes(status: int) -> None:
        until = time.monotonic() + 20  # it takes a second or so
        while http.post(path, json=body, headers=headers).status_code != status:
            assert time.monotonic() < until

    becomes(200)
    gateway.run("keys", "revoke", made["id"])
    becomes(401)


@pytest.mark.parametrize("budget", ["daily_usd", "monthly_usd"])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_an_account_spent_before_a_crash_counts_from_the_first_request_on(tmp_path, budget, workers):
    with start("anthropic") as fake:
        account = {"name": "a", "provider": "anthropic", "base_url": fake.base_url, "key": fake.key, budget: 0.000420}
        model = {"name": "m", "targets": ["anthropic/claude-mock"], "price": {"input": 0.0, "output": 1.0}}
        tables = {"state": {"dir": str(tmp_path)}, "server": {"workers": workers}}
        tables |= {"accounts": [account], "models": [model]}
        path, body = call("anthropic", "m", "words:400")
        body["max_tokens"] = 400
        for status in (200, 429):
            with GatewayProcess(**tables) as process, process.http() as client:
                reply = client.post(path, json=body)
                assert reply.status_code == status, reply.text
        assert float(reply.headers["retry-after"]) > 1 and len(fake.requests) == 1


def test_what_a_key_spent_before_a_crash_counts_from_the_first_request_on(tmp_path):
    with start("anthropic") as fake:
        account = {"name": "a", "provider": "anthropic", "base_url": fake.base_url, "key": fake.key}
        model = {"name": "m", "targets": ["anthropic/claude-mock"], "price": {"input": 0.0, "output": 1.0}}
        tables = {"state": {"dir": str(tmp_path)}, "access": {"mode": "keys"}, "accounts": [account], "models": [model]}
        path, body = call("anthropic", "m", "words:400")
        for status in (200, 402):
            with GatewayProcess(**tables) as process, process.http() as client:
                if status == 200:
                    made = process.run("keys", "create", "--budget", "0.000400", "--json")  # one such answer
                    headers = {"x-api-key": json.loads(made.stdout)["key"]}
                assert client.post(path, json=body, headers=headers).status_code == status
