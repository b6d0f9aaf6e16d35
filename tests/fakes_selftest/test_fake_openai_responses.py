"""The official OpenAI SDK talks to the fake's responses, and the fake refuses what OpenAI refuses."""

import base64
import hashlib
import json

import httpx
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent

from fakes import Scenario, shape, start
from fakes.openai_media import PNG

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "strict": False,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CLOCK = {"type": "function", "name": "clock"}
SHELL = {"type": "custom", "name": "shell"}
ENCRYPTED = ["reasoning.encrypted_content"]


@pytest.fixture(scope="module")
def fake():
    with start("openai-responses") as running:
        yield running


@pytest.fixture(scope="module")
def client(fake):
    return openai.OpenAI(base_url=fake.base_url, api_key=fake.key, max_retries=0)


def post(fake, body):
    return httpx.post(f"{fake.base_url}/responses", json=body, headers={"authorization": f"Bearer {fake.key}"})


def test_a_response_is_answered_with_text_and_usage(client):
    reply = client.responses.create(model="mock-1", input="hello")
    assert reply.output_text == "You said: hello"
    assert reply.status == "completed"
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens


def test_replies_have_the_sdks_own_types(fake):
    body = {
        "model": "gpt-5",
        "input": "preamble call:clock call:shell(ls)",
        "tools": [CLOCK, SHELL],
        "reasoning": {"summary": "auto"},
        "include": ENCRYPTED,
    }
    shape.conform(Response, {k: v for k, v in post(fake, body).json().items() if k != "store"})
    frames = post(fake, {**body, "stream": True}).text.split("\n\n")
    events = [json.loads(frame.partition("data: ")[2]) for frame in frames if frame]
    for number, event in enumerate(events):
        assert event["sequence_number"] == number
        event.pop("obfuscation", None)
        event.get("response", {}).pop("store", None)
        shape.conform(ResponseStreamEvent, event)
    assert events[-1]["type"] == "response.completed"


def test_a_stream_adds_up_to_the_response(client):
    asked = {
        "model": "gpt-5",
        "input": 'preamble call:get_weather{"city": "Paris"} call:clock',
        "tools": [WEATHER, CLOCK],
        "reasoning": {"summary": "auto"},
    }
    whole = client.responses.create(**asked)
    with client.responses.stream(**asked) as stream:
        folded = stream.get_final_response()
    kinds = ["reasoning", "message", "function_call", "function_call"]
    assert [item.type for item in folded.output] == [item.type for item in whole.output] == kinds
    assert folded.output[0].summary[0].text == whole.output[0].summary[0].text
    assert [item.arguments for item in folded.output[2:]] == ['{"city": "Paris"}', "{}"]


@pytest.mark.parametrize("store", [True, False])
def test_a_tool_loop_with_reasoning_ends_with_the_results(client, store):
    asked = {"model": "gpt-5", "tools": [WEATHER, SHELL], "store": store, "include": ENCRYPTED}
    items = [{"role": "user", "content": 'call:get_weather{"city": "Paris"} call:shell(ls)'}]
    first = client.responses.create(input=items, **asked)
    items += [item.model_dump(exclude_none=True) for item in first.output]
    for call in first.output:
        if call.type in ("function_call", "custom_tool_call"):
            items.append({"type": f"{call.type}_output", "call_id": call.call_id, "output": f"result of {call.name}"})
    second = client.responses.create(input=items, **asked)
    expected = "get_weather returned: result of get_weather shell returned: result of shell"
    assert second.output_text == expected


def test_a_previous_response_is_continued_read_and_deleted(client):
    first = client.responses.create(model="mock-1", input="call:clock", tools=[CLOCK])
    result = {"type": "function_call_output", "call_id": first.output[0].call_id, "output": "noon"}
    second = client.responses.create(model="mock-1", input=[result], tools=[CLOCK], previous_response_id=first.id)
    assert second.output_text == "clock returned: noon"
    assert client.responses.retrieve(first.id).output == first.output
    assert len(client.responses.input_items.list(second.id).data) == 3
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


def test_media_are_acknowledged_by_their_hash(client):
    data = base64.b64encode(PNG).decode()
    content = [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{data}", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{data}"},
    ]
    reply = client.responses.create(model="mock-1", input=[{"role": "user", "content": content}])
    digest = hashlib.sha256(PNG).hexdigest()[:16]
    assert f"[image image/png sha256:{digest}]" in reply.output_text
    assert f"[document application/pdf sha256:{digest}]" in reply.output_text


def test_structured_output_is_parsed_by_the_sdk(client):
    from pydantic import BaseModel

    class Person(BaseModel):
        name: str
        age: int

    reply = client.responses.parse(model="mock-1", input="who?", text_format=Person)
    assert reply.output_parsed == Person(name="sample", age=7)


def test_refusals_and_incomplete_responses_say_so(client):
    refused = client.responses.create(model="mock-1", input="refuse")
    assert refused.output[0].content[0].type == "refusal"
    short = client.responses.create(model="mock-1", input="words:100", max_output_tokens=16)
    assert (short.status, short.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def _reasoned(fake, **asked):
    body = {"model": "gpt-5", "input": "call:clock", "tools": [CLOCK], "include": ENCRYPTED, **asked}
    output = post(fake, body).json()["output"]
    return output, {"type": "function_call_output", "call_id": output[-1]["call_id"], "output": "noon"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r, c: [{**r, "encrypted_content": "gAAAAxxxx"}, c], "could not be verified"),
        (lambda r, c: [{**r, "id": "rs_other"}, c], "item_id did not match the target item id"),
        (lambda r, c: [c, r], "was provided without its required following item"),
        (lambda r, c: [r, {**c, "id": "call_1"}], "Expected an ID that begins with 'fc'."),
    ],
)
def test_reasoning_must_come_back_as_it_was(fake, change, message):
    output, result = _reasoned(fake, store=False)
    back = [{"role": "user", "content": "call:clock"}, *change(*output), result]
    reply = post(fake, {"model": "gpt-5", "input": back, "tools": [CLOCK]})
    assert (reply.status_code, message in reply.json()["error"]["message"]) == (400, True), reply.text


def test_a_stored_call_needs_its_reasoning(fake):
    output, result = _reasoned(fake)
    reply = post(fake, {"model": "gpt-5", "input": [output[1], result], "tools": [CLOCK]})
    assert "was provided without its required 'reasoning' item" in reply.json()["error"]["message"]


def test_reasoning_that_was_not_stored_is_not_found(fake):
    output, result = _reasoned(fake, store=False)
    bare = {k: v for k, v in output[0].items() if k != "encrypted_content"}
    reply = post(fake, {"model": "gpt-5", "input": [bare, output[1], result], "tools": [CLOCK]})
    assert (reply.status_code, "Items are not persisted" in reply.text) == (404, True)


CALL = {"type": "function_call", "call_id": "call_1", "name": "clock", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "x"}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": None}, "Missing required parameter: 'input'."),
        ({"messages": []}, "Unknown parameter: 'messages'."),
        ({"max_tokens": 5}, "Unknown parameter: 'max_tokens'."),
        ({"max_output_tokens": 5}, "Expected a value >= 16, but got 5 instead."),
        ({"input": [{"role": "tool", "content": "x"}]}, "Invalid value: 'tool'."),
        ({"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, "Invalid value: 'text'."),
        (
            {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]},
            "Supported values are: 'output_text' and 'refusal'.",
        ),
        ({"input": [CALL]}, "No tool output found for function call call_1."),
        ({"input": [RESULT]}, "No tool call found for function call output with call_id call_1."),
        ({"input": [{**CALL, "call_id": "c" * 65}, {**RESULT, "call_id": "c" * 65}]}, "maximum length 64"),
        ({"input": [{**CALL, "arguments": {}}, RESULT]}, "Invalid type for 'input[0].arguments'"),
        ({"tools": [{"type": "function", "function": {"name": "x"}}]}, "Missing required parameter: 'tools[0].name'."),
        (
            {"tools": [{**CLOCK, "strict": True, "parameters": OPEN}]},
            "'additionalProperties' is required to be supplied",
        ),
        ({"text": {"format": {"type": "json_schema", "name": "s", "schema": OPEN, "strict": True}}}, "Invalid schema"),
        ({"text": {"format": {"type": "json_object"}}}, "must contain the word 'json'"),
        ({"reasoning": {"effort": "low"}}, "'reasoning.effort' is not supported with this model"),
        ({"previous_response_id": "resp_x"}, "Previous response with id 'resp_x' not found."),
        ({"tool_choice": {"type": "function", "name": "x"}, "tools": [CLOCK]}, "not found in 'tools' parameter"),
    ],
)
def test_a_wrong_body_is_refused_in_openais_words(fake, changes, message):
    body = {"model": "mock-1", "input": "hello", **changes}
    reply = post(fake, {k: v for k, v in body.items() if v is not None})
    assert reply.status_code == 400, reply.text
    assert message in reply.json()["error"]["message"]


def test_a_broken_stream_ends_with_an_error_event(fake, client):
    fake.script(Scenario(fault="error", after=3, message="broke"))
    events = list(client.responses.create(model="mock-1", input="hello", stream=True))
    assert [event.sequence_number for event in events] == [0, 1, 2, 3]
    assert (events[-1].type, events[-1].message) == ("error", "broke")
