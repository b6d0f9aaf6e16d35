"""The official Anthropic SDK talks to the fake, and the fake refuses what Anthropic refuses."""

import base64
import hashlib
import json

import anthropic
import httpx
import pytest
from anthropic.types import Message, RawMessageStreamEvent

from fakes import Scenario, shape, start, status
from fakes.openai_media import PNG

WEATHER = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CLOCK = {"name": "clock", "input_schema": {"type": "object", "properties": {}}}
HELLO = [{"role": "user", "content": "hello"}]
THINKING = {"type": "enabled", "budget_tokens": 1024}


@pytest.fixture(scope="module")
def fake():
    with start("anthropic") as running:
        yield running


@pytest.fixture(scope="module")
def client(fake):
    return anthropic.Anthropic(base_url=fake.base_url, api_key=fake.key, max_retries=0)


def post(fake, body, path="/v1/messages", **headers):
    sent = {"x-api-key": fake.key, "anthropic-version": "2023-06-01", **headers}
    return httpx.post(fake.url + path, json=body, headers={k: v for k, v in sent.items() if v})


def refused(fake, **changes):
    """The message with which a request is refused."""
    body = {"model": "claude-mock", "max_tokens": 2000, "messages": HELLO, **changes}
    reply = post(fake, {k: v for k, v in body.items() if v is not None})
    assert reply.status_code == 400, reply.text
    assert reply.json()["type"] == "error"
    assert reply.json()["error"]["type"] == "invalid_request_error"
    return reply.json()["error"]["message"]


def test_a_message_is_answered_with_text_and_usage(client):
    message = client.messages.create(model="claude-mock", max_tokens=100, messages=HELLO)
    assert message.content[0].text == "You said: hello"
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0


def test_replies_have_the_sdks_own_types(fake):
    body = {"model": "claude-mock", "max_tokens": 2000, "messages": [{"role": "user", "content": "call:clock redact"}]}
    body |= {"tools": [CLOCK], "thinking": THINKING}
    shape.conform(Message, post(fake, body).json())
    events = post(fake, {**body, "stream": True}).text.split("\n\n")
    for event in filter(None, events):
        data = json.loads(event.partition("data: ")[2])
        assert event.startswith(f"event: {data['type']}\n")
        if data["type"] != "ping":
            shape.conform(RawMessageStreamEvent, data)


def test_a_stream_adds_up_to_the_message(client):
    asked = {
        "model": "claude-mock",
        "max_tokens": 2000,
        "messages": [{"role": "user", "content": 'preamble call:get_weather{"city": "Paris"} call:clock'}],
        "tools": [WEATHER, CLOCK],
        "thinking": THINKING,
    }
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        folded = stream.get_final_message()
    kinds = [block.type for block in folded.content]
    assert kinds == [block.type for block in whole.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert folded.content[0] == whole.content[0]
    assert folded.content[2].input == {"city": "Paris"}
    assert folded.content[3].input == {}
    assert folded.stop_reason == whole.stop_reason == "tool_use"
    assert folded.usage.output_tokens == whole.usage.output_tokens


def test_a_tool_loop_with_thinking_ends_with_the_results(client):
    messages = [{"role": "user", "content": 'call:get_weather{"city": "Paris"} call:clock'}]
    asked = {"model": "claude-mock", "max_tokens": 2000, "tools": [WEATHER, CLOCK], "thinking": THINKING}
    first = client.messages.create(messages=messages, **asked)
    calls = [block for block in first.content if block.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": c.id, "content": f"result of {c.name}"} for c in calls]
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    second = client.messages.create(messages=messages, **asked)
    assert "get_weather returned: result of get_weather clock returned: result of clock" in second.content[-1].text


def test_images_and_documents_are_acknowledged_by_their_hash(client):
    pdf = b"%PDF-1.4 a document"
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}
    paper = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(pdf).decode()}
    content = [
        {"type": "image", "source": source},
        {"type": "document", "source": paper},
        {"type": "text", "text": "what is it?"},
    ]
    reply = client.messages.create(model="claude-mock", max_tokens=100, messages=[{"role": "user", "content": content}])
    assert f"image/png sha256:{hashlib.sha256(PNG).hexdigest()[:16]}" in reply.content[0].text
    assert f"application/pdf sha256:{hashlib.sha256(pdf).hexdigest()[:16]}" in reply.content[0].text


def test_structured_output_satisfies_its_schema(client):
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}},
        "required": ["n", "tags"],
        "additionalProperties": False,
    }
    reply = client.messages.create(
        model="claude-mock",
        max_tokens=100,
        messages=HELLO,
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert json.loads(reply.content[0].text) == {"n": 7, "tags": ["sample"]}


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"max_tokens": 2, "messages": [{"role": "user", "content": "words:50"}]}, "max_tokens"),
        ({"stop_sequences": ["word3"], "messages": [{"role": "user", "content": "words:50"}]}, "stop_sequence"),
        ({"messages": [{"role": "user", "content": "refuse"}]}, "refusal"),
    ],
)
def test_the_stop_reason_tells_why(client, asked, reason):
    assert client.messages.create(**{"model": "claude-mock", "max_tokens": 100, **asked}).stop_reason == reason


def test_a_cached_prompt_is_counted_beside_the_input(client):
    system = [{"type": "text", "text": "long " * 600, "cache_control": {"type": "ephemeral"}}]
    first = client.messages.create(model="claude-mock", max_tokens=100, system=system, messages=HELLO).usage
    second = client.messages.create(
        model="claude-mock", max_tokens=100, system=system, messages=[{"role": "user", "content": "other"}]
    ).usage
    assert first.cache_creation_input_tokens > 700
    assert first.cache_read_input_tokens == 0
    assert second.cache_read_input_tokens > 700
    assert second.input_tokens < 50


def test_tokens_are_counted_and_models_listed(client):
    assert client.messages.count_tokens(model="claude-mock", messages=HELLO).input_tokens > 0
    assert [model.id for model in client.models.list()] == ["claude-mock"]


def test_keys_and_the_version_header_are_checked(fake):
    body = {"model": "m", "max_tokens": 1, "messages": HELLO}
    wrong = post(fake, body, **{"x-api-key": "no"})
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (401, "authentication_error")
    assert post(fake, body, **{"x-api-key": ""}).status_code == 401
    assert post(fake, body, **{"anthropic-version": ""}).json()["error"]["message"] == (
        "anthropic-version: header is required"
    )
    assert post(fake, body, "/v1/nothing").status_code == 404


def test_the_latest_api_version_takes_no_sampling_parameters(fake):
    body = {"model": "m", "max_tokens": 9, "messages": HELLO, "temperature": 1.0}
    assert post(fake, body).status_code == 200
    latest = post(fake, body, **{"anthropic-version": "2026-10-21"})
    assert (latest.status_code, latest.json()["error"]["message"]) == (
        400,
        "temperature: Extra inputs are not permitted",
    )


def test_both_ways_to_send_a_key_are_taken(fake):
    body = {"model": "m", "max_tokens": 9, "messages": HELLO}
    assert post(fake, body, **{"x-api-key": "", "authorization": f"Bearer {fake.key}"}).status_code == 200
    assert post(fake, body, **{"x-api-key": "bad", "authorization": f"Bearer {fake.key}"}).status_code == 401


TEXT_THEN_RESULT = [{"type": "text", "text": "x"}, {"type": "tool_result", "tool_use_id": "toolu_1", "content": "1"}]
CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "clock", "input": {}}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"model": 7}, "model: Input should be a valid string"),
        ({"seed": 1}, "seed: Extra inputs are not permitted"),
        ({"temperature": 1.5}, "temperature: range: 0..1"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 'first message must use the "user" role'),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role: Input should be 'user'"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "must be non-empty"),
        ({"messages": [{"role": "user", "content": ""}]}, "all messages must have non-empty content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "foo": 1}]}]},
            "messages.0.content.0.text.foo: Extra inputs are not permitted",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages.0.content.0.type: Input should be 'text'",
        ),
        ({"messages": [*HELLO, CALL, {"role": "user", "content": "x"}]}, "without `tool_result` blocks immediately"),
        ({"messages": [*HELLO, CALL]}, "without `tool_result` blocks immediately"),
        (
            {"messages": [*HELLO, CALL, {"role": "user", "content": TEXT_THEN_RESULT}]},
            "without `tool_result` blocks immediately",
        ),
        ({"messages": [{"role": "user", "content": TEXT_THEN_RESULT[1:]}]}, "unexpected `tool_use_id` found"),
        (
            {"messages": [*HELLO, {"role": "assistant", "content": [{**CALL["content"][0], "id": "call.1"}]}]},
            "String should match pattern",
        ),
        (
            {"messages": [*HELLO, {"role": "assistant", "content": [{**CALL["content"][0], "input": "{}"}]}]},
            "Input should be a valid dictionary",
        ),
        ({"tools": [CLOCK, CLOCK]}, "Tool names must be unique"),
        ({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}, "String should match pattern"),
        ({"tools": [{"name": "x", "input_schema": {}}]}, "input_schema.type: Field required"),
        ({"tools": [{"type": "function", "function": {"name": "x"}}]}, "tools.0.type: Input should be"),
        ({"tool_choice": {"type": "any"}}, "may only be specified while providing `tools`"),
        ({"tool_choice": "auto", "tools": [CLOCK]}, "tool_choice: Input should be a valid dictionary"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "greater than or equal to 1024"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "must be greater than `thinking.budget_tokens`"),
        (
            {"model": "claude-modern", "messages": [*HELLO, {"role": "assistant", "content": "I"}]},
            "does not support assistant message prefill",
        ),
        ({"thinking": THINKING, "temperature": 0.5}, "`temperature` may only be set to 1"),
        ({"thinking": THINKING, "tools": [CLOCK], "tool_choice": {"type": "any"}}, "forces tool use"),
        ({"model": "claude-modern", "thinking": THINKING}, '"thinking.type.enabled" is not supported'),
        ({"model": "claude-opus-4-8", "temperature": 0.5}, "`temperature` is deprecated for this model."),
        ({"system": [{"type": "text", "text": ""}]}, "text content blocks must be non-empty"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
            "'additionalProperties' must be explicitly set to false",
        ),
        (
            {"system": [{"type": "text", "text": str(i), "cache_control": {"type": "ephemeral"}} for i in range(5)]},
            "A maximum of 4 blocks with cache_control may be provided. Found 5.",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}
                        ],
                    }
                ]
            },
            "Could not process image",
        ),
    ],
)
def test_a_wrong_body_is_refused_in_anthropics_words(fake, changes, message):
    assert message in refused(fake, **changes)


def _loop(fake, change):
    """A tool loop with thinking whose assistant turn was changed on the way back."""
    asked = {"tools": [CLOCK], "thinking": THINKING}
    body = {"model": "claude-mock", "max_tokens": 2000, "messages": [{"role": "user", "content": "call:clock redact"}]}
    content = post(fake, {**body, **asked}).json()["content"]
    result = {"type": "tool_result", "tool_use_id": content[-1]["id"], "content": "noon"}
    back = [*body["messages"], {"role": "assistant", "content": change(content)}, {"role": "user", "content": [result]}]
    return refused(fake, messages=back, **asked)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[2:], "Expected `thinking` or `redacted_thinking`, but found `tool_use`"),
        (lambda c: [{**c[0], "thinking": "other"}, *c[1:]], "Invalid `signature` in `thinking` block"),
        (lambda c: [{**c[0], "signature": "AAAA"}, *c[1:]], "messages.1.content.0: Invalid `signature`"),
        (lambda c: [c[0], {**c[1], "data": c[1]["data"][:-4]}, c[2]], "Invalid `data` in `redacted_thinking` block"),
    ],
)
def test_thinking_must_come_back_as_it_was(fake, change, message):
    assert message in _loop(fake, change)


def test_scripted_errors_come_in_order_and_per_key(fake):
    with start("anthropic", keys={"a", "b"}) as other:
        other.script(status(429, retry_after="7"), key="a")
        other.script(status(529))
        body = {"model": "m", "max_tokens": 9, "messages": HELLO}
        assert post(other, body, **{"x-api-key": "b"}).status_code == 529
        limited = post(other, body, **{"x-api-key": "a"})
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
        assert limited.json()["error"]["type"] == "rate_limit_error"
        assert post(other, body, **{"x-api-key": "a"}).status_code == 200
        assert [r.key for r in other.requests] == ["b", "a", "a"]


def test_an_error_in_mid_stream_raises_in_the_sdk(fake, client):
    fake.script(Scenario(fault="error", after=3))
    with (
        client.messages.stream(model="m", max_tokens=9, messages=HELLO) as stream,
        pytest.raises(anthropic.APIStatusError, match="Overloaded"),
    ):
        stream.until_done()


@pytest.mark.parametrize("fault", ["reset", "drop"])
@pytest.mark.parametrize("after", [0, 3])
def test_a_broken_connection_is_seen_by_the_client(fake, fault, after):
    fake.script(Scenario(fault=fault, after=after))
    with pytest.raises(httpx.TransportError):
        post(fake, {"model": "m", "max_tokens": 9, "messages": HELLO, "stream": True})


def test_a_cut_stream_lacks_its_end_mark(fake):
    fake.script(Scenario(fault="cut", after=3))
    reply = post(fake, {"model": "m", "max_tokens": 9, "messages": HELLO, "stream": True})
    assert reply.text.count("event: ") == 3
    assert "message_stop" not in reply.text


@pytest.mark.parametrize("after", [0, 2])
def test_a_hanging_reply_notices_that_the_client_left(fake, after):
    fake.script(Scenario(fault="hang", after=after))
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            fake.url + "/v1/messages",
            json={"model": "m", "max_tokens": 9, "messages": HELLO, "stream": True},
            headers={"x-api-key": fake.key, "anthropic-version": "2023-06-01"},
            timeout=httpx.Timeout(5, read=0.05),
        )
    fake.wait(lambda: fake.last.done)
    assert fake.last.client_left


def test_a_held_reply_goes_on_when_released(fake):
    held = Scenario(fault="hold", after=2, split=5)
    fake.script(held)
    headers = {"x-api-key": fake.key, "anthropic-version": "2023-06-01"}
    body = {"model": "m", "max_tokens": 9, "messages": HELLO, "stream": True}
    with httpx.stream("POST", fake.url + "/v1/messages", json=body, headers=headers) as reply:
        chunks = reply.iter_raw()
        assert next(chunks).startswith(b"event")
        held.release()
        assert b"message_stop" in b"".join(chunks)
