"""What happens before the first byte: the next account or target answers, and the client sees nothing of it."""

from collections import Counter

import pytest

from e2e.gateway import GatewayProcess
from e2e.raw import call
from fakes import Scenario, start, status

GONE = "http://127.0.0.1:9/v1"  # the discard port: nobody listens


@pytest.fixture(scope="module")
def fakes():
    with start("openai-chat", keys={"a", "b", "c", "d"}) as openai, start("anthropic") as anthropic:
        yield {"openai": openai, "anthropic": anthropic}


@pytest.fixture(scope="module")
def http(fakes):
    openai, anthropic = fakes["openai"], fakes["anthropic"]

    def trouble(name: str, **more):
        """A model that only one account of its own serves first, and `anthropic` second."""
        account = {
            "name": name,
            "provider": "openai",
            "base_url": openai.base_url,
            "key": "a",
            "models": [f"gpt-{name}"],
        }
        return account | more, {"name": name, "targets": [f"openai/gpt-{name}", "anthropic/claude-mock"]}

    troubles = [
        trouble("limited"),
        trouble("failing"),
        trouble("refused", base_url=GONE),
        trouble("hanging", timeouts={"first_byte": 0.2}),
        trouble("hanging-stream", timeouts={"first_byte": 0.2}),
        trouble("dropping"),
        trouble("strange-key", key="nobody's"),
    ]
    shared = {"provider": "openai", "base_url": openai.base_url, "models": ["gpt-shared"]}
    tables = {
        "accounts": [
            *(account for account, _ in troubles),
            {"name": "anthropic", "provider": "anthropic", "base_url": anthropic.base_url, "key": anthropic.key},
            {"name": "light", "key": "c", "weight": 1, **shared},
            {"name": "heavy", "key": "d", "weight": 3, **shared},
            {"name": "first", "key": "c", **shared, "models": ["gpt-pair"]},
            {"name": "second", "key": "d", **shared, "models": ["gpt-pair"]},
        ],
        "models": [*(model for _, model in troubles), {"name": "shared", "targets": ["openai/gpt-shared"]}],
    }
    with GatewayProcess(**tables) as gateway, gateway.http() as client:
        yield client


def ask(http, model: str, **options):
    path, body = call("openai-chat", model, **options)
    return http.post(path, json=body)


def answered_by_the_second(reply) -> None:
    assert reply.status_code == 200, reply.text
    assert "You said: hello" in reply.text or "data: [DONE]" in reply.text
    assert reply.headers["x-dragoman-target"] == "anthropic/claude-mock"
    assert reply.headers["x-dragoman-account"] == "anthropic"
    assert reply.headers["x-dragoman-attempts"] == "2"


@pytest.mark.parametrize(
    ("model", "fate"),
    [
        ("limited", status(429, retry_after="1")),
        ("failing", status(500)),
        ("hanging", Scenario(fault="hang")),
        ("dropping", Scenario(fault="drop")),
    ],
)
def test_a_failure_before_the_first_byte_moves_on(fakes, http, model, fate):
    fakes["openai"].script(fate, key="a")
    answered_by_the_second(ask(http, model))


def test_a_stream_that_does_not_begin_moves_on(fakes, http):
    fakes["openai"].script(Scenario(fault="hang"), key="a")
    answered_by_the_second(ask(http, "hanging-stream", stream=True))
    fakes["openai"].wait(lambda: any(request.client_left for request in fakes["openai"].requests))


@pytest.mark.parametrize("model", ["refused", "strange-key"])
def test_an_account_that_cannot_serve_is_passed_over(http, model):
    answered_by_the_second(ask(http, model))


def test_a_bad_request_does_not_move_on(fakes, http):
    fakes["openai"].script(status(400, "No."), key="c")
    fakes["openai"].script(status(400, "No."), key="d")
    asked = len(fakes["openai"].requests)
    reply = ask(http, "openai/gpt-pair")
    assert reply.status_code == 400
    assert reply.headers["x-dragoman-attempts"] == "1"
    assert len(fakes["openai"].requests) == asked + 1


def test_accounts_share_the_load_by_weight(http):
    counts = Counter(ask(http, "shared").headers["x-dragoman-account"] for _ in range(240))
    assert counts["light"] + counts["heavy"] == 240
    assert 0.13 < counts["light"] / 240 < 0.38  # a quarter, four standard deviations either way
