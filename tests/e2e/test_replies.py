"""What every reply carries, whoever asks and however it ends."""

import json
import re

import pytest

from e2e.columns import COLUMNS
from e2e.raw import SURFACES, call, is_error_of

TIMING = re.compile(r"admit;dur=[\d.]+, route;dur=[\d.]+, queue;dur=[\d.]+, upstream;dur=[\d.]+")


@pytest.fixture(scope="module")
def http(world):
    with world.gateway.http() as client:
        yield client


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("surface", SURFACES)
def test_a_reply_says_who_answered(http, surface, stream):
    ids = set()
    for column in COLUMNS.values():
        path, body = call(surface, column.name, stream=stream)
        reply = http.post(path, json=body)
        assert reply.status_code == 200, reply.text
        headers = reply.headers
        ids.add(headers["x-request-id"])
        assert headers["x-dragoman-decision"]
        assert headers["x-dragoman-target"].endswith(f"/{column.model}")
        assert headers["x-dragoman-account"] == column.name
        assert headers["x-dragoman-attempts"] == "1"
        assert TIMING.fullmatch(headers["server-timing"])
        assert "x-dragoman-lossy" not in headers
        assert "x-dragoman-error" not in headers
    assert len(ids) == len(COLUMNS)


@pytest.mark.parametrize("surface", SURFACES)
def test_an_unknown_model_is_refused_in_the_clients_envelope(http, surface):
    path, body = call(surface, "no-such-model")
    reply = http.post(path, json=body)
    assert reply.status_code == 404
    assert is_error_of(surface, reply.json())
    assert reply.headers["x-dragoman-error"] == "unknown_model"
    assert reply.headers["x-request-id"]
    assert "x-dragoman-target" not in reply.headers


def test_model_and_provider_may_be_asked_for_directly(http):
    path, body = call("anthropic", "gemini/gemini-3-mock")
    reply = http.post(path, json=body)
    assert reply.headers["x-dragoman-target"] == "gemini/gemini-3-mock"
    assert reply.json()["model"] == "gemini-3-mock"


@pytest.mark.parametrize("column", ["anthropic", "gemini", "ollama", "cohere", "bedrock", "openai-responses"])
def test_what_the_target_cannot_be_told_is_named(world, http, column):
    path, body = call("openai-chat", column, logit_bias={"50256": -100})
    reply = http.post(path, json=body)
    assert reply.status_code == 200
    assert reply.headers["x-dragoman-lossy"] == "logit_bias"


@pytest.mark.parametrize("column", ["anthropic", "gemini", "ollama", "cohere", "bedrock", "openai-responses"])
def test_a_strict_caller_is_refused_rather_than_served_in_part(world, http, column):
    path, body = call("openai-chat", column, logit_bias={"50256": -100})
    reply = http.post(path, json=body, headers={"x-dragoman-strict": "1"})
    assert reply.status_code == 400
    assert "logit_bias" in reply.json()["error"]["message"]
    path, body = call("openai-chat", column)
    assert http.post(path, json=body, headers={"x-dragoman-strict": "1"}).status_code == 200


def test_a_strict_refusal_costs_nothing(world, http):
    """A loss is known before anybody is asked."""
    fake = world.fakes["anthropic"]
    before = len(fake.requests)
    path, body = call("openai-chat", "anthropic", logit_bias={"1": 1})
    http.post(path, json=body, headers={"x-dragoman-strict": "1"})
    assert len(fake.requests) == before


@pytest.mark.parametrize(
    ("surface", "column"),
    [
        ("openai-chat", "openai-chat"),
        ("openai-chat", "azure"),
        ("openai-responses", "openai-responses"),
        ("anthropic", "anthropic"),
        ("gemini", "gemini"),
        ("gemini", "vertex"),
        ("ollama", "ollama"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_one_dialect_is_relayed_byte_for_byte(world, http, surface, column, stream):
    """The provider sees the client's own bytes, the client the provider's."""
    fake = world.fakes[column]
    path, body = call(surface, column, stream=stream)
    field = next(name for name in ("messages", "input", "contents") if name in body)
    odd = json.dumps(body[field]).replace("hello", "\\u0068 é \\/")  # a parser would write it differently
    body[field] = "ODD"
    text = json.dumps(body, indent=1).replace('"ODD"', odd)
    reply = http.post(path, content=text.encode(), headers={"content-type": "application/json"})
    assert reply.status_code == 200, reply.text
    assert odd in fake.last.body.decode()
    expected = json.loads(text) | ({"model": COLUMNS[column].model} if "model" in body else {})
    sent = fake.last.json
    if surface == "openai-chat" and stream:
        assert sent.pop("stream_options") == {"include_usage": True}  # the gateway's own wish
    assert sent == expected


def test_a_relayed_reply_is_the_providers_own_bytes(world, http):
    path, body = call("openai-chat", "openai-chat")
    reply = http.post(path, json=body)
    assert reply.content == json.dumps(reply.json()).encode()  # spaces and all


@pytest.mark.parametrize(
    ("surface", "column", "where"),
    [
        ("openai-chat", "openai-chat", "Unrecognized request argument supplied: brand_new"),
        ("openai-responses", "openai-responses", "brand_new"),
        ("anthropic", "anthropic", "brand_new: Extra inputs are not permitted"),
        ("gemini", "gemini", "Unknown name"),
    ],
)
def test_a_field_nobody_knows_rides_along_in_its_own_dialect(world, http, surface, column, where):
    """The fake refuses it in its own words: so it arrived."""
    path, body = call(surface, column, brand_new={"a": [1.50, "x"]})
    reply = http.post(path, json=body)
    assert reply.status_code == 400
    assert where in reply.text
    assert world.fakes[column].last.json["brand_new"] == {"a": [1.5, "x"]}


def test_a_field_nobody_knows_is_named_to_clients_of_another_dialect(http):
    path, body = call("openai-chat", "anthropic", brand_new=True)
    assert http.post(path, json=body).headers["x-dragoman-lossy"] == "brand_new"
