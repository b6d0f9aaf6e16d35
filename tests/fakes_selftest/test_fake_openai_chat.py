"""The official OpenAI SDK talks to the fake's chat completions, and the fake refuses what OpenAI refuses."""

import base64
import hashlib
import json

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from fakes import Scenario, shape, start, status
from fakes.openai_media import PNG

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK = {"type": "function", "function": {"name": "clock"}}
SHELL = {"type": "custom", "custom": {"name": "shell"}}
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def fake():
    with start("openai-chat") as running:
        yield running


@pytest.fixture(scope="module")
def client(fake):
    return openai.OpenAI(base_url=fake.base_url, api_key=fake.key, max_retries=0)


def post(fake, body, **headers):
    sent = {"authorization": f"Bearer {fake.key}", **headers}
    return httpx.post(f"{fake.base_url}/chat/completions", json=body, headers={k: v for k, v in sent.items() if v})


def chunks(text):
    return [json.loads(line[6:]) for line in text.split("\n\n") if line and line != "data: [DONE]"]


def test_a_completion_is_answered_with_text_and_usage(client):
    reply = client.chat.completions.create(model="mock-1", messages=HELLO)
    assert reply.choices[0].message.content == "You said: hello"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_replies_have_the_sdks_own_types(fake):
    body = {"model": "mock-1", "messages": [{"role": "user", "content": "call:clock"}], "tools": [CLOCK], "n": 2}
    shape.conform(ChatCompletion, post(fake, body).json())
    stream = post(fake, {**body, "stream": True, "stream_options": {"include_usage": True}}).text
    for chunk in chunks(stream):
        shape.conform(ChatCompletionChunk, chunk)
    assert stream.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("interleave", [False, True])
def test_a_stream_of_parallel_calls_adds_up(fake, client, interleave):
    text = 'preamble call:get_weather{"city": "Paris"} call:get_weather{"city": "Rome"} call:clock'
    fake.script(Scenario(interleave=interleave))
    with client.chat.completions.stream(
        model="mock-1", messages=[{"role": "user", "content": text}], tools=[WEATHER, CLOCK]
    ) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.content == "Let me look that up."
    assert [(c.function.name, c.function.arguments) for c in message.tool_calls] == [
        ("get_weather", '{"city": "Paris"}'),
        ("get_weather", '{"city": "Rome"}'),
        ("clock", "{}"),
    ]
    assert len({call.id for call in message.tool_calls}) == 3


def test_interleaved_deltas_take_turns(fake):
    text = 'call:get_weather{"city": "Paris"} call:get_weather{"city": "Rome"}'
    fake.script(Scenario(interleave=True))
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": text}], "tools": [WEATHER]}
    deltas = [c["choices"][0]["delta"] for c in chunks(post(fake, body).text)]
    indexes = [delta["tool_calls"][0]["index"] for delta in deltas if "tool_calls" in delta]
    assert indexes[:6] == [0, 1, 0, 1, 0, 1]


def test_a_tool_loop_ends_with_the_results(client):
    messages = [{"role": "user", "content": 'call:get_weather{"city": "Paris"} call:shell(ls -l)'}]
    tools = [WEATHER, SHELL]
    first = client.chat.completions.create(model="mock-1", messages=messages, tools=tools).choices[0]
    assert first.finish_reason == "tool_calls"
    assert first.message.tool_calls[1].custom.input == "ls -l"
    messages.append(first.message.model_dump(exclude_none=True, exclude={"annotations"}))
    messages += [
        {"role": "tool", "tool_call_id": call.id, "content": f"result {i}"}
        for i, call in enumerate(first.message.tool_calls)
    ]
    second = client.chat.completions.create(model="mock-1", messages=messages, tools=tools)
    assert second.choices[0].message.content == "get_weather returned: result 0 shell returned: result 1"


def test_media_are_acknowledged_by_their_hash(client):
    data = base64.b64encode(PNG).decode()
    content = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{data}"}},
    ]
    reply = client.chat.completions.create(model="mock-1", messages=[{"role": "user", "content": content}])
    text = reply.choices[0].message.content
    digest = hashlib.sha256(PNG).hexdigest()[:16]
    assert f"[image image/png sha256:{digest}]" in text
    assert f"[audio audio/wav sha256:{digest}]" in text
    assert f"[document application/pdf sha256:{digest}]" in text


def test_structured_output_is_parsed_by_the_sdk(client):
    from pydantic import BaseModel

    class Person(BaseModel):
        name: str
        age: int
        tags: list[str]

    reply = client.chat.completions.parse(model="mock-1", messages=HELLO, response_format=Person)
    assert reply.choices[0].message.parsed == Person(name="sample", age=7, tags=["sample"])


@pytest.mark.parametrize(
    ("text", "options", "reason"),
    [
        ("words:50", {"max_completion_tokens": 2}, "length"),
        ("words:50", {"stop": ["word3"]}, "stop"),
        ("filter this", {}, "content_filter"),
        ("refuse", {}, "stop"),
    ],
)
def test_the_finish_reason_tells_why(client, text, options, reason):
    messages = [{"role": "user", "content": text}]
    choice = client.chat.completions.create(model="mock-1", messages=messages, **options).choices[0]
    assert choice.finish_reason == reason
    assert (choice.message.refusal is not None) == (text == "refuse")


def test_logprobs_cover_the_whole_text(client):
    reply = client.chat.completions.create(model="mock-1", messages=HELLO, logprobs=True, top_logprobs=3)
    told = reply.choices[0].logprobs.content
    assert "".join(one.token for one in told) == reply.choices[0].message.content
    assert all(len(one.top_logprobs) == 3 for one in told)


def test_reasoning_tokens_are_among_the_completion_tokens(client):
    usage = client.chat.completions.create(model="o4-mini", messages=HELLO).usage
    assert 0 < usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens


def test_a_repeated_prompt_is_cached(client):
    messages = [{"role": "system", "content": "long " * 600}]

    def ask(text):
        asked = [*messages, {"role": "user", "content": text}]
        return client.chat.completions.create(model="mock-1", messages=asked).usage

    assert ask("one").prompt_tokens_details.cached_tokens == 0
    usage = ask("two")
    assert 700 < usage.prompt_tokens_details.cached_tokens < usage.prompt_tokens


def test_an_imitator_shows_its_thinking_and_takes_it_back():
    with start("openai-chat", reasoning_field="reasoning_content", refuses=frozenset({"store"})) as other:
        message = post(other, {"model": "m", "messages": HELLO}).json()["choices"][0]["message"]
        assert "step by step" in message["reasoning_content"]
        back = [*HELLO, {k: message[k] for k in ("role", "content", "reasoning_content")}, *HELLO]
        assert post(other, {"model": "m", "messages": back}).status_code == 200
        refused = post(other, {"model": "m", "messages": HELLO, "store": False}).json()["error"]
        assert refused["message"] == "Unrecognized request argument supplied: store"


def test_azure_wants_its_own_key_header_and_version():
    with start("azure") as azure:
        client = openai.AzureOpenAI(azure_endpoint=azure.base_url, api_key=azure.key, api_version="2024-10-21")
        reply = client.chat.completions.create(model="my-deployment", messages=HELLO)
        assert reply.model == "my-deployment"
        assert azure.last.path == "/openai/deployments/my-deployment/chat/completions"
        assert "content_filter_results" in reply.choices[0].model_extra
        latest = openai.OpenAI(base_url=f"{azure.base_url}/openai/v1", api_key=azure.key)
        streamed = list(latest.chat.completions.create(model="d", messages=HELLO, stream=True))
        assert streamed[0].choices == []
        bare = httpx.post(
            f"{azure.base_url}/openai/deployments/d/chat/completions", headers={"api-key": azure.key}, json={}
        )
        assert (bare.status_code, bare.json()["error"]["code"]) == (404, "404")


def test_keys_are_checked_and_models_listed(fake, client):
    wrong = post(fake, {}, authorization="Bearer sk-wrong")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "invalid_api_key")
    assert post(fake, {}, authorization="").status_code == 401
    assert [model.id for model in client.models.list()] == ["mock-1"]


def test_an_unknown_model_is_not_found():
    with start("openai-chat", models=("mock-1",)) as other:
        reply = post(other, {"model": "mock-2", "messages": HELLO})
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")


CALLING = {
    "role": "assistant",
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}],
}
LONG = "call_" + "x" * 40
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"messages": None}, "Missing required parameter: 'messages'."),
        ({"top_k": 5}, "Unrecognized request argument supplied: top_k"),
        ({"messages": [{"role": "user", "content": "x", "foo": 1}]}, "Unknown parameter: 'messages[0].foo'."),
        ({"messages": [{"role": "human", "content": "x"}]}, "Invalid value: 'human'. Supported values are:"),
        ({"messages": [{"role": "user", "content": 1}]}, "Invalid type for 'messages[0].content'"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}]},
            "Invalid value: 'input_text'",
        ),
        ({"messages": []}, "Invalid 'messages': empty array"),
        ({"temperature": "hot"}, "Invalid type for 'temperature': expected number or null"),
        ({"temperature": 3}, "Invalid 'temperature': "),
        (
            {"max_tokens": 0},
            "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got 0 instead.",
        ),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "at the same time is not supported"),
        ({"stream_options": {"include_usage": True}}, "only allowed when 'stream' is enabled"),
        ({"top_logprobs": 2}, "only allowed when 'logprobs' is enabled"),
        ({"stop": list("abcde")}, "Invalid 'stop': array too long"),
        ({"tools": []}, "Invalid 'tools': empty array"),
        ({"tool_choice": "auto"}, "only allowed when 'tools' are specified"),
        ({"parallel_tool_calls": True}, "only allowed when 'tools' are specified"),
        ({"tools": [{"name": "x", "input_schema": {}}]}, "Missing required parameter: 'tools[0].type'."),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "string does not match pattern"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": OPEN}}]},
            "Invalid schema for function 'f': In context=(), 'additionalProperties' is required to be supplied",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "s", "strict": True, "schema": {**OPEN, "additionalProperties": False}},
                }
            },
            "'required' is required to be supplied and to be an array including every key in properties. Missing 'a'.",
        ),
        ({"response_format": {"type": "json_object"}}, "must contain the word 'json'"),
        ({"reasoning_effort": "low"}, "Unrecognized request argument supplied: reasoning_effort"),
        ({"model": "o4-mini", "max_tokens": 5}, "Use 'max_completion_tokens' instead."),
        ({"model": "o4-mini", "temperature": 0.5}, "'temperature' does not support 0.5 with this model"),
        ({"messages": [*HELLO, CALLING]}, "did not have response messages: call_1"),
        ({"messages": [*HELLO, CALLING, *HELLO]}, "did not have response messages: call_1"),
        (
            {"messages": [*HELLO, {"role": "tool", "tool_call_id": "call_1", "content": "x"}]},
            "must be a response to a preceeding message with 'tool_calls'",
        ),
        ({"messages": [*HELLO, {"role": "assistant"}]}, "Invalid value for 'content': expected a string, got null."),
        (
            {
                "messages": [
                    *HELLO,
                    {**CALLING, "tool_calls": [{**CALLING["tool_calls"][0], "id": LONG}]},
                    {"role": "tool", "tool_call_id": LONG, "content": "x"},
                ]
            },
            "string too long. Expected a string with maximum length 40",
        ),
    ],
)
def test_a_wrong_body_is_refused_in_openais_words(fake, changes, message):
    body = {"model": "mock-1", "messages": HELLO, **changes}
    reply = post(fake, {k: v for k, v in body.items() if v is not None})
    assert reply.status_code == 400, reply.text
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert message in error["message"]


def test_a_rate_limit_raises_in_the_sdk_with_its_headers(fake, client):
    fake.script(status(429, retry_after="2", x_ratelimit_remaining_requests="0"))
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="mock-1", messages=HELLO)
    assert caught.value.response.headers["retry-after"] == "2"
    assert caught.value.response.headers["x-ratelimit-remaining-requests"] == "0"


def test_an_error_in_mid_stream_raises_in_the_sdk(fake, client):
    fake.script(Scenario(fault="error", after=3, message="broke"))
    with pytest.raises(openai.APIError, match="broke"):
        list(client.chat.completions.create(model="mock-1", messages=HELLO, stream=True))
