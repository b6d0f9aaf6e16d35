"""The official Ollama SDK talks to the fake, and the fake refuses what Ollama refuses."""

import hashlib
import json

import httpx
import ollama
import pytest

from fakes import Scenario, start, status
from fakes.openai_media import PNG

CLOCK = {
    "type": "function",
    "function": {"name": "clock", "description": "the time", "parameters": {"type": "object", "properties": {}}},
}
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def fake():
    with start("ollama") as running:
        yield running


@pytest.fixture(scope="module")
def client(fake):
    return ollama.Client(host=fake.base_url)


def test_a_chat_is_answered_whole_and_streamed(client):
    whole = client.chat(model="mock", messages=HELLO, think=True)
    assert whole.message.content == "You said: hello"
    assert "step by step" in whole.message.thinking
    chunks = list(client.chat(model="mock", messages=HELLO, think=True, stream=True))
    assert "".join(chunk.message.content for chunk in chunks) == whole.message.content
    assert "".join(chunk.message.thinking or "" for chunk in chunks) == whole.message.thinking
    assert [chunk.done for chunk in chunks][-2:] == [False, True]
    assert chunks[-1].eval_count == whole.eval_count > 0


def test_streaming_is_the_default(fake):
    reply = httpx.post(f"{fake.url}/api/chat", json={"model": "mock", "messages": HELLO})
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert json.loads(reply.text.splitlines()[-1])["done_reason"] == "stop"


@pytest.mark.parametrize("stream", [True, False])
def test_a_tool_loop_ends_with_the_results(client, stream):
    messages = [{"role": "user", "content": "call:clock call:clock"}]
    if stream:
        chunks = list(client.chat(model="mock", messages=messages, tools=[CLOCK], stream=True))
        calls = [call for chunk in chunks for call in chunk.message.tool_calls or ()]
    else:
        calls = client.chat(model="mock", messages=messages, tools=[CLOCK]).message.tool_calls
    assert [(call.function.name, call.function.arguments) for call in calls] == [("clock", {}), ("clock", {})]
    messages.append({"role": "assistant", "content": "", "tool_calls": calls})
    messages += [{"role": "tool", "tool_name": "clock", "content": text} for text in ("noon", "one")]
    reply = client.chat(model="mock", messages=messages, tools=[CLOCK])
    assert reply.message.content == "clock returned: noon clock returned: one"


def test_images_are_acknowledged_and_formats_kept(client):
    reply = client.chat(model="mock", messages=[{"role": "user", "content": "look", "images": [PNG]}])
    assert f"[image image/png sha256:{hashlib.sha256(PNG).hexdigest()[:16]}]" in reply.message.content
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    assert json.loads(client.chat(model="mock", messages=HELLO, format=schema).message.content) == {"n": 7}
    assert json.loads(client.chat(model="mock", messages=HELLO, format="json").message.content) == {"said": "hello"}


def test_options_are_honoured(client):
    messages = [{"role": "user", "content": "words:50"}]
    assert client.chat(model="mock", messages=messages, options={"num_predict": 2}).done_reason == "length"
    stopped = client.chat(model="mock", messages=messages, options={"stop": ["word2"]})
    assert stopped.message.content == "word0 word1 "


def test_the_other_calls_answer(client):
    assert client.generate(model="mock", prompt="hello").response == "You said: hello"
    assert "".join(c.response for c in client.generate(model="mock", prompt="hello", stream=True)) == "You said: hello"
    assert [len(v) for v in client.embed(model="mock", input=["a", "b"], dimensions=4).embeddings] == [4, 4]
    assert [model.model for model in client.list().models] == ["mock:latest"]
    assert "tools" in client.show("mock").capabilities


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_tokens": 5}, 'unknown field "max_tokens"'),
        ({"options": {"max_tokens": 5}}, 'unknown field "options.max_tokens"'),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, "cannot unmarshal array"),
        ({"messages": [{"role": "developer", "content": "x"}]}, "invalid role: developer"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "x", "arguments": "{}"}}]}]},
            "cannot unmarshal string into Go struct field .messages.0.tool_calls.0.function.arguments",
        ),
        ({"messages": [{"role": "user", "content": "x", "images": ["data:image/png;base64,AA"]}]}, "illegal base64"),
        ({"model": "m-plain", "tools": [CLOCK]}, "does not support tools"),
        ({"model": "m-plain", "think": True}, "does not support thinking"),
        ({"think": "much"}, "invalid think value"),
        ({"format": "yaml"}, "cannot unmarshal string"),
    ],
)
def test_a_wrong_body_is_refused(fake, changes, message):
    reply = httpx.post(f"{fake.url}/api/chat", json={"model": "mock", "messages": HELLO, **changes})
    assert (reply.status_code, message in reply.json()["error"]) == (400, True), reply.text


def test_a_tolerant_server_overlooks_unknown_fields():
    with start("ollama", tolerant=True) as other:
        body = {"model": "mock", "messages": [{**HELLO[0], "name": "x"}], "user": "y"}
        assert httpx.post(f"{other.url}/api/chat", json=body).status_code == 200


def test_errors_raise_in_the_sdk(fake, client):
    fake.script(status(503, "busy"), Scenario(fault="error", after=1, message="broke"))
    with pytest.raises(ollama.ResponseError, match="busy"):
        client.chat(model="mock", messages=HELLO)
    with pytest.raises(ollama.ResponseError, match="broke"):
        list(client.chat(model="mock", messages=HELLO, stream=True))
