"""Accounts at run time, end to end: streams that run while their account is drained, re-keyed or removed; two workers;
the command line beside a running gateway."""

import json
import time

import httpx
import pytest

from e2e.gateway import GatewayProcess
from e2e.raw import call
from fakes import Scenario, start

OLD, NEW = "sk-ant-the-old-key-0123", "sk-ant-the-new-key-4567"
MODEL = {"name": "m", "targets": ["anthropic/claude-mock"]}
HOME = "/dragoman/v1/accounts"


@pytest.fixture
def fake():
    with start("anthropic", keys={OLD, NEW}) as running:
        yield running


def account(fake, name="a", **more):
    return {"name": name, "provider": "anthropic", "base_url": fake.base_url, "key": OLD} | more


@pytest.fixture
def gateway(fake):
    with GatewayProcess(accounts=[account(fake)], models=[MODEL]) as process:
        yield process


@pytest.fixture
def http(gateway):
    with gateway.http() as client:
        yield client


def ask(http):
    path, body = call("openai-chat", "m")
    return http.post(path, json=body)


def held_stream(gateway, fake):
    held = Scenario(fault="hold", after=4)
    fake.script(held)
    path, body = call("openai-chat", "m", "words:50", stream=True)
    return held, httpx.stream("POST", gateway.url + path, json=body, timeout=30)


def test_a_drained_account_finishes_its_streams_and_takes_nothing_new(gateway, fake, http):
    held, stream = held_stream(gateway, fake)
    with stream as reply:
        chunks = reply.iter_raw()
        first = next(chunks)
        said = http.post(f"{HOME}/a/drain").json()
        assert said == {"name": "a", "state": "draining", "in_flight": 1}
        refused = ask(http)
        assert (refused.status_code, len(fake.requests)) == (503, 1)
        held.release()
        assert (first + b"".join(chunks)).endswith(b"data: [DONE]\n\n")
    assert http.get(f"{HOME}/a").json()["in_flight"] == 0
    assert http.post(f"{HOME}/a/enable").json()["state"] == "serving"
    assert ask(http).status_code == 200


def test_a_new_key_is_used_at_once_and_streams_under_way_go_on(gateway, fake, http):
    held, stream = held_stream(gateway, fake)
    with stream as reply:
        chunks = reply.iter_raw()
        first = next(chunks)
        assert http.patch(f"{HOME}/a", json={"key": NEW, "max_in_flight": 5}).json()["in_flight"] == 1
        assert ask(http).status_code == 200
        assert [request.key for request in fake.requests] == [OLD, NEW]
        held.release()
        assert (first + b"".join(chunks)).endswith(b"data: [DONE]\n\n")
    shown = http.get(f"{HOME}/a").json()
    assert (shown["served"], shown["failed"], shown["in_flight"]) == (2, 0, 0)


def test_a_removed_account_finishes_its_streams(gateway, fake, http):
    held, stream = held_stream(gateway, fake)
    with stream as reply:
        chunks = reply.iter_raw()
        first = next(chunks)
        assert http.delete(f"{HOME}/a").json() == {"name": "a", "removed": True, "in_flight": 1}
        assert ask(http).status_code == 404
        held.release()
        assert (first + b"".join(chunks)).endswith(b"data: [DONE]\n\n")


def test_a_test_asks_for_the_list_of_models_or_for_one_token(gateway, fake, http):
    said = http.post(f"{HOME}/a/test").json()
    assert (said["ok"], said["by"]) == (True, "models")
    assert fake.last.path == "/v1/models"
    said = http.post(f"{HOME}/a/test", json={"model": "claude-mock"}).json()
    assert (said["ok"], said["by"]) == (True, "reply")
    assert fake.last.json["max_tokens"] == 1
    http.patch(f"{HOME}/a", json={"key": "sk-ant-wrong-key-89abcdef"})
    said = http.post(f"{HOME}/test").json()["tests"][0]
    assert (said["ok"], said["error"]) == (False, "unauthorized")


def test_the_command_line_changes_a_running_gateway_of_two_workers(fake):
    with GatewayProcess(server={"workers": 2}, accounts=[account(fake)], models=[MODEL]) as gateway:
        gateway.run("accounts", "disable", "a")
        assert _in_a_row(gateway, 503)
        (gateway.folder / "key").write_text(NEW)
        gateway.run("accounts", "add", "b", "--provider", "anthropic", "--base-url", fake.base_url,
                    "--key", f"file:{gateway.folder}/key")  # fmt: skip
        assert _in_a_row(gateway, 200)
        assert fake.last.key == NEW
        listed = json.loads(gateway.run("accounts", "list", "--json", "--url", gateway.url).stdout)
        states = {each["name"]: each["state"] for each in listed["accounts"]}
        assert (listed["running"], listed["workers"], states) == (True, 2, {"a": "disabled", "b": "serving"})


def _in_a_row(gateway, status, times=24):
    """Whether so many new connections, which either worker may take, come to `status` one after the other."""
    row, end = 0, time.monotonic() + 30
    while row < times and time.monotonic() < end:
        with gateway.http() as http:
            row = row + 1 if ask(http).status_code == status else 0
    return row == times
