"""The official Cohere SDK talks to the fake, and the fake refuses what Cohere refuses."""

import base64
import hashlib
import json

import cohere
import httpx
import pytest
from cohere.v2.types import V2ChatResponse, V2ChatStreamResponse

from fakes import Scenario, shape, start, status
from fakes.openai_media import PNG

CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def fake():
    with start("cohere") as running:
        yield running


@pytest.fixture(scope="module")
def client(fake):
    return cohere.ClientV2(api_key=fake.key, base_url=fake.base_url)


def post(fake, **changes):
    body = {"model": "command-mock", "messages": HELLO, **changes}
    return httpx.post(
        f"{fake.url}/v2/chat",
        json={k: v for k, v in body.items() if v is not None},
        headers={"authorization": f"Bearer {fake.key}"},
    )


def test_a_chat_is_answered_whole_and_streamed(client):
    whole = client.chat(model="command-reasoning", messages=HELLO)
    assert [part.type for part in whole.message.content] == ["thinking", "text"]
    assert whole.message.content[1].text == "You said: hello"
    events = list(client.chat_stream(model="command-reasoning", messages=HELLO))
    deltas = [event.delta.message.content for event in events if event.type == "content-delta"]
    assert "".join(delta.text or "" for delta in deltas) == "You said: hello"
    assert "".join(delta.thinking or "" for delta in deltas) == whole.message.content[0].thinking
    assert events[-1].delta.usage.tokens.output_tokens == whole.usage.tokens.output_tokens > 0


def test_replies_have_the_sdks_own_types(fake):
    asked = {"messages": [{"role": "user", "content": "preamble call:clock"}], "tools": [CLOCK]}
    shape.conform(V2ChatResponse, post(fake, **asked).json())
    for frame in post(fake, **asked, stream=True).text.split("\n\n"):
        if frame:
            shape.conform(V2ChatStreamResponse, json.loads(frame.partition("data: ")[2]))


def test_a_tool_loop_ends_with_the_results(client):
    messages = [{"role": "user", "content": "preamble call:clock call:clock"}]
    first = client.chat(model="command-mock", messages=messages, tools=[CLOCK])
    assert first.finish_reason == "TOOL_CALL"
    assert first.message.tool_plan == "Let me look that up."
    messages.append({"role": "assistant", "tool_calls": first.message.tool_calls, "tool_plan": first.message.tool_plan})
    for i, call in enumerate(first.message.tool_calls):
        content = [{"type": "document", "document": {"data": json.dumps({"time": i})}}]
        messages.append({"role": "tool", "tool_call_id": call.id, "content": content})
    reply = client.chat(model="command-mock", messages=messages, tools=[CLOCK])
    assert reply.message.content[0].text == 'clock returned: {"time": 0} clock returned: {"time": 1}'


def test_streamed_calls_add_up(client):
    messages = [{"role": "user", "content": 'call:clock{"zone": "UTC"} call:clock'}]
    arguments = {0: "", 1: ""}
    for event in client.chat_stream(model="command-mock", messages=messages, tools=[CLOCK]):
        if event.type == "tool-call-delta":
            arguments[event.index] += event.delta.message.tool_calls.function.arguments
    assert arguments == {0: '{"zone": "UTC"}', 1: "{}"}


def test_images_are_acknowledged_and_schemas_kept(client):
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    content = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": url}}]
    reply = client.chat(model="command-mock", messages=[{"role": "user", "content": content}])
    assert f"[image image/png sha256:{hashlib.sha256(PNG).hexdigest()[:16]}]" in reply.message.content[0].text
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    format = {"type": "json_object", "json_schema": schema}
    reply = client.chat(model="command-mock", messages=HELLO, response_format=format)
    assert json.loads(reply.message.content[0].text) == {"n": 7}


def test_texts_are_embedded_and_models_listed(client):
    reply = client.embed(
        model="embed-v4.0", input_type="search_query", texts=["a", "b"], embedding_types=["float"], output_dimension=4
    )
    assert [len(one) for one in reply.embeddings.float_] == [4, 4]
    assert [model.name for model in client.models.list().models] == ["command-mock"]


CALLING = {
    "role": "assistant",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}],
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"messages": None}, "messages is required"),
        ({"messages": []}, "messages must not be empty"),
        ({"top_p": 0.5}, "unknown field: parameter 'top_p' is not a valid field"),
        ({"messages": [{"role": "developer", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 1}]}, "invalid type"),
        ({"messages": [{"role": "user", "content": ""}]}, "content must not be empty"),
        ({"p": 1.0}, "p must be between 0.01 and 0.99"),
        ({"tool_choice": "REQUIRED"}, "requires tools"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tools": [CLOCK], "response_format": {"type": "json_object"}}, "not supported in combination with tools"),
        ({"messages": [*HELLO, CALLING, *HELLO]}, "corresponding tool result"),
        ({"messages": [*HELLO, {"role": "tool", "tool_call_id": "c1", "content": "x"}]}, "does not match any"),
    ],
)
def test_a_wrong_body_is_refused(fake, changes, message):
    reply = post(fake, **changes)
    assert (reply.status_code in (400, 422), message in reply.json()["message"]) == (True, True), reply.text


def test_errors_raise_in_the_sdk(fake, client):
    fake.always(status(429))
    with pytest.raises(cohere.TooManyRequestsError):
        client.chat(model="m", messages=HELLO, request_options={"max_retries": 0})
    fake.always(None)
    fake.script(Scenario(fault="error", after=2, message="broke"))
    events = list(client.chat_stream(model="m", messages=HELLO))
    assert events[-1].delta.finish_reason == "ERROR"


def test_keys_are_checked(fake):
    assert httpx.post(f"{fake.url}/v2/chat", json={}, headers={"authorization": "Bearer no"}).status_code == 401
