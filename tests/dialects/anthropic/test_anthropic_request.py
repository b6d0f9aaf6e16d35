"""Requests: what is read is written back; what comes from elsewhere is made to keep the API's rules."""

import copy
import json
from pathlib import Path

import pytest

from dragoman.canon import (
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from dragoman.dialects import anthropic
from dragoman.dialects.dialect import Unsayable
from dragoman.dialects.fields import Malformed
from dragoman.dialects.quirks import Quirks
from dragoman.dialects.seal import seal

GOLDEN = Path(__file__).parent / "golden"
BODIES = sorted(GOLDEN.glob("request_*.json"))


def chat(*messages: Message, **fields) -> Request:
    fields.setdefault("model", "claude-sonnet-4-5")
    return Request(dialect="openai-chat", messages=list(messages), **fields)


def user(*parts) -> Message:
    return Message(role="user", parts=[Text(text=p) if isinstance(p, str) else p for p in parts])


def assistant(*parts) -> Message:
    return Message(role="assistant", parts=[Text(text=p) if isinstance(p, str) else p for p in parts])


def written(request: Request, quirks: Quirks | None = None):
    return anthropic.write_request(request, quirks or Quirks())


@pytest.mark.parametrize("file", BODIES, ids=lambda f: f.stem)
def test_writing_what_was_read_gives_it_back(file):
    body = json.loads(file.read_text())
    result = written(anthropic.read_request(copy.deepcopy(body)))
    assert result.body == body
    assert result.lossy == []


@pytest.mark.parametrize("file", BODIES, ids=lambda f: f.stem)
def test_every_golden_body_can_be_read_for_any_other_dialect(file):
    request = anthropic.read_request(json.loads(file.read_text()))
    assert request.model and request.messages
    for message in request.messages:
        for part in message.parts:
            assert isinstance(part, Opaque) is (type(part) is Opaque)
    request.dialect = "openai-chat"  # as if it had come from elsewhere: still writable
    assert written(request).body["messages"]


def test_the_older_output_format_is_written_in_its_newer_place():
    format = {"type": "json_schema", "schema": {"type": "object"}}
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}], "output_format": format}
    result = written(anthropic.read_request(copy.deepcopy(body))).body
    assert result["output_config"] == {"format": format} and "output_format" not in result


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"model": None}, "model"),
        ({"model": 3}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["x"]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64"}}]}]},
            "messages[0].content[0].source.data",
        ),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {}}, "thinking.type"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop_sequences": [1]}, "stop_sequences[0]"),
        ({"system": {}}, "system"),
    ],
)
def test_a_malformed_body_is_refused_with_the_path(change, path):
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}], **change}
    with pytest.raises(Malformed) as caught:
        anthropic.read_request(body)
    assert caught.value.path == path


def test_system_and_developer_messages_of_another_dialect_are_lifted_in_order():
    request = chat(
        Message(role="system", parts=[Text(text="one")]),
        user("hi"),
        Message(role="developer", parts=[Text(text="two")]),
    )
    body = written(request).body
    assert [block["text"] for block in body["system"]] == ["one", "two"]
    assert body["messages"] == [{"role": "user", "content": "hi"}]


def test_a_lone_system_prompt_becomes_the_user_message():
    body = written(chat(Message(role="system", parts=[Text(text="Say hi")]))).body
    assert "system" not in body and body["messages"] == [{"role": "user", "content": "Say hi"}]


def test_all_results_of_a_turn_come_first_in_one_user_message():
    request = chat(
        user("go"),
        assistant(ToolCall(id="a", name="f", arguments="{}"), ToolCall(id="b", name="f", arguments="")),
        user(ToolResult(call_id="a", content=[Text(text="1")])),
        user("and also"),
        user(ToolResult(call_id="b", is_error=True)),
    )
    messages = written(request).body["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "user"]
    assert [block["input"] for block in messages[1]["content"]] == [{}, {}]
    assert [block["type"] for block in messages[2]["content"]] == ["tool_result", "tool_result", "text"]
    assert messages[2]["content"][1] == {"type": "tool_result", "tool_use_id": "b", "is_error": True}


def test_a_history_that_begins_with_the_assistant_gets_a_user_message_before_it():
    messages = written(chat(assistant("hello"), user("hi"))).body["messages"]
    assert messages[0]["role"] == "user"


def test_empty_texts_and_empty_messages_are_left_out():
    messages = written(chat(user("hi"), assistant(""), user("  \n"), user("there"))).body["messages"]
    assert messages == [
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}]}
    ]


def test_a_prefill_does_not_end_in_white_space():
    messages = written(chat(user("hi"), assistant("The answer is \n"))).body["messages"]
    assert messages[-1] == {"role": "assistant", "content": "The answer is"}


def test_signed_thinking_stands_first_in_its_turn_and_foreign_thinking_stays_behind():
    ours = Reasoning(text="t", signature="s", dialect="anthropic")
    foreign = Reasoning(text="u", dialect="openai-chat")
    result = written(chat(user("hi"), assistant("so", ours, foreign), user("go")))
    assert [b["type"] for b in result.body["messages"][1]["content"]] == ["thinking", "text"]
    assert result.lossy == ["reasoning"]


def test_arguments_that_are_no_object_are_wrapped():
    call = ToolCall(id="weird id!", name="f", arguments="not json")
    block = written(chat(user("x"), assistant(call))).body["messages"][1]["content"][0]
    assert block["input"] == {"input": "not json"}
    assert block["id"].startswith("call_")


@pytest.mark.parametrize(
    ("model", "thinking", "expected"),
    [
        ("claude-sonnet-4-5", Thinking(effort="high"), {"type": "enabled", "budget_tokens": 16384}),
        ("claude-sonnet-4-5", Thinking(budget=100), {"type": "enabled", "budget_tokens": 1024}),
        ("claude-sonnet-4-5", Thinking(effort="none"), {"type": "disabled"}),
        ("claude-opus-4-8", Thinking(effort="high"), {"type": "adaptive"}),
        ("claude-opus-4-8", Thinking(mode="off"), None),
        ("claude-opus-5", Thinking(mode="off"), {"type": "disabled"}),
        ("claude-opus-4-6", Thinking(budget=-1, visible=True), {"type": "adaptive", "display": "summarized"}),
        ("claude-3-5-haiku-20241022", Thinking(effort="high"), None),
        ("claude-mock", Thinking(effort="minimal"), {"type": "enabled", "budget_tokens": 1024}),
    ],
)
def test_thinking_is_said_as_the_model_takes_it(model, thinking, expected):
    body = written(chat(user("x"), model=model, thinking=thinking)).body
    assert body.get("thinking") == expected
    assert body["max_tokens"] > body.get("thinking", {}).get("budget_tokens", 0)


@pytest.mark.parametrize(("effort", "said"), [("minimal", "low"), ("xhigh", "high"), ("max", "max")])
def test_an_effort_the_model_does_not_know_becomes_the_nearest_below(effort, said):
    body = written(chat(user("x"), model="claude-opus-4-6", thinking=Thinking(effort=effort))).body
    assert body["output_config"] == {"effort": said}


def test_a_budget_never_takes_all_the_room():
    thinking = Thinking(budget=50_000)
    body = written(chat(user("x"), thinking=thinking, max_output_tokens=4096)).body
    assert body["thinking"]["budget_tokens"] == 2048 and body["max_tokens"] == 4096
    small = written(chat(user("x"), thinking=thinking, max_output_tokens=500))
    assert "thinking" not in small.body and small.lossy == ["thinking"]


def test_a_forced_tool_wins_over_thinking():
    tools = [Tool(name="f", parameters={"type": "object"})]
    result = written(
        chat(user("x"), tools=tools, tool_choice=ToolChoice(mode="required"), thinking=Thinking(effort="low"))
    )
    assert result.body["tool_choice"] == {"type": "any"}
    assert result.body["thinking"] == {"type": "disabled"} and result.lossy == ["thinking"]


def test_thinking_is_left_out_in_the_middle_of_another_models_tool_loop():
    request = chat(
        user("x"),
        assistant(ToolCall(id="a", name="f", arguments="{}")),
        user(ToolResult(call_id="a", content=[Text(text="1")])),
        thinking=Thinking(effort="low"),
    )
    result = written(request)
    assert "thinking" not in result.body and result.lossy == ["thinking"]


@pytest.mark.parametrize(
    ("model", "fields", "said", "lossy"),
    [
        ("claude-sonnet-4", {"temperature": 1.7}, {"temperature": 1}, ["temperature"]),
        ("claude-sonnet-4-5", {"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5}, ["top_p"]),
        ("claude-opus-5", {"temperature": 0.5, "top_k": 4}, {}, ["temperature", "top_k"]),
        ("claude-opus-5", {"temperature": 1, "top_p": 1}, {}, []),
        ("claude-sonnet-4", {"temperature": 0.5, "thinking": Thinking(effort="low")}, {}, ["temperature"]),
        ("claude-sonnet-4", {"seed": 1, "n": 1, "frequency_penalty": 0.0}, {}, ["seed"]),
        ("claude-sonnet-4", {"n": 2, "logprobs": True}, {}, ["n", "logprobs"]),
        ("claude-sonnet-4", {"stop": ["\n", "END"]}, {"stop_sequences": ["END"]}, ["stop"]),
        ("claude-sonnet-4", {"user": "u", "service_tier": "flex"}, {"metadata": {"user_id": "u"}}, ["service_tier"]),
    ],
)
def test_settings_are_fitted_and_what_is_lost_is_named(model, fields, said, lossy):
    result = written(chat(user("x"), model=model, **fields))
    assert sorted(result.lossy) == sorted(lossy)
    for name in ("temperature", "top_p", "top_k", "stop_sequences", "metadata"):
        assert result.body.get(name) == said.get(name)


@pytest.mark.parametrize(
    ("model", "tokens"),
    [("claude-3-haiku-20240307", 4096), ("claude-3-5-sonnet-latest", 8192), ("claude-opus-4-1", 32000), ("x", 8192)],
)
def test_max_tokens_has_a_default_that_the_model_accepts(model, tokens):
    assert written(chat(user("x"), model=model)).body["max_tokens"] == tokens


def test_a_schema_is_closed_and_what_it_cannot_hold_is_told_in_words():
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
    result = written(chat(user("x"), output=OutputFormat(kind="json_schema", name="a", schema=schema)))
    said = result.body["output_config"]["format"]["schema"]
    assert said["additionalProperties"] is False
    assert said["properties"]["n"] == {"type": "integer", "description": '{"minimum":1}'}
    assert result.lossy == ["output"]


def test_json_without_a_schema_is_asked_for_in_words():
    result = written(chat(user("x"), output=OutputFormat(kind="json")))
    assert "JSON" in result.body["system"] and result.lossy == ["output"]


def test_only_the_allowed_tools_are_offered():
    tools = [Tool(name=n, parameters=None) for n in "abc"]
    choice = ToolChoice(mode="required", names=["a", "c"])
    body = written(chat(user("x"), tools=tools, tool_choice=choice, parallel_tool_calls=False)).body
    assert [tool["name"] for tool in body["tools"]] == ["a", "c"]
    assert body["tools"][0]["input_schema"] == {"type": "object", "properties": {}}
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}


def test_another_providers_tool_is_named_as_lost_or_refused_where_it_is_forced():
    tool = Tool(name="web_search", kind="provider", dialect="openai-responses", raw={"type": "web_search"})
    assert written(chat(user("x"), tools=[tool])).lossy == ["tools.web_search"]
    with pytest.raises(Unsayable):
        written(chat(user("x"), tools=[tool], tool_choice=ToolChoice(mode="tool", names=["web_search"])))


def test_a_custom_tool_is_a_function_with_one_text():
    tool = Tool(name="patch", kind="custom", description="d")
    call = ToolCall(id="a", name="patch", arguments="*** text", kind="custom")
    body = written(chat(user("x"), assistant(call), tools=[tool])).body
    assert body["tools"][0]["input_schema"]["properties"] == {"input": {"type": "string"}}
    assert body["messages"][1]["content"][0]["input"] == {"input": "*** text"}


@pytest.mark.parametrize(
    ("media", "source"),
    [
        (Media(kind="image", mime="image/jpg", data="aa-_"), ("base64", "image/jpeg", "aa+/")),
        (Media(kind="document", data="JVBERi0="), ("base64", "application/pdf", "JVBERi0=")),
        (Media(kind="document", mime="text/csv", data="YSxi"), ("text", "text/plain", "a,b")),
    ],
)
def test_media_by_value(media, source):
    block = written(chat(user("x", media))).body["messages"][0]["content"][1]
    kind, mime, data = source
    assert block["source"] == {"type": kind, "media_type": mime, "data": data}


@pytest.mark.parametrize(
    "media",
    [
        Media(kind="audio", data="aa"),
        Media(kind="video", url="http://x/v.mp4"),
        Media(kind="document", mime="application/msword", data="aa"),
        Media(kind="image", file_id="file-abc"),
    ],
)
def test_media_that_the_api_cannot_take_is_refused_and_not_left_out(media):
    with pytest.raises(Unsayable):
        written(chat(user("x", media)))


def test_seals_are_opened():
    thought = Reasoning(signature="sig", id="r", dialect="gemini")
    call = ToolCall(id="c1", signature="cs", dialect="gemini")
    hidden = Reasoning(encrypted="enc", dialect="openai-responses")
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "x"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hmm", "signature": seal([thought])},
                    {"type": "redacted_thinking", "data": seal([hidden])},
                    {"type": "redacted_thinking", "data": seal([call])},
                    {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
                ],
            },
        ],
    }
    parts = anthropic.read_request(body).messages[1].parts
    assert parts == [
        Reasoning(text="hmm", signature="sig", id="r", dialect="gemini"),
        hidden,
        ToolCall(id="c1", name="f", arguments='{"a":1}', signature="cs", dialect="gemini"),
    ]


def test_quirks_take_out_what_the_provider_refuses():
    request = chat(user("x"), user="u", stop=["a", "b"])
    result = written(request, Quirks(refuses=frozenset({"metadata"}), max_stop=1))
    assert "metadata" not in result.body and result.body["stop_sequences"] == ["a"]
    assert result.lossy == ["stop", "metadata"]


def test_unknown_fields_of_another_dialect_are_named():
    result = written(chat(user("x"), extra={"prediction": {}}))
    assert result.lossy == ["prediction"]


def test_a_broken_seal_is_gone_and_never_reaches_the_provider():
    content = [
        {"type": "thinking", "thinking": "hmm", "signature": "DgmSeal1broken"},
        {"type": "redacted_thinking", "data": "DgmSeal1broken"},
        {"type": "text", "text": "so"},
    ]
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "assistant", "content": content}]}
    result = written(anthropic.read_request(body))
    assert result.body["messages"][0]["content"] == "so"
    assert result.lossy == ["reasoning"]


def test_a_loop_that_another_model_began_goes_on_here_without_enabled_thinking():
    foreign = seal([Reasoning(signature="s", dialect="gemini")])
    body = {
        "model": "m",
        "max_tokens": 9000,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "messages": [
            {"role": "user", "content": "x"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hmm", "signature": foreign},
                    {"type": "tool_use", "id": "a", "name": "f", "input": {}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]},
        ],
    }
    result = written(anthropic.read_request(body))
    assert "thinking" not in result.body and result.lossy == ["reasoning", "thinking"]
