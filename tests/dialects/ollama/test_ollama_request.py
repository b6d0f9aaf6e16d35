"""Chat requests of the ollama dialect: what is read, what is written, what is refused and what is named as lost."""

import contextlib
import copy

import msgspec
import pytest
from hypothesis import given, settings
from ollama._types import ChatRequest

from dialects.spoil import spoiled
from dragoman.canon import (
    CacheMark,
    Media,
    Message,
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
from dragoman.dialects import ollama
from dragoman.dialects.dialect import Unsayable
from dragoman.dialects.fields import Malformed
from dragoman.dialects.ollama.hidden import hide
from dragoman.dialects.quirks import Quirks
from dragoman.dialects.seal import seal_id

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

FULL = {
    "model": "qwen3",
    "messages": [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "What is here?", "images": [PNG]},
        {
            "role": "assistant",
            "content": "",
            "thinking": "I should look.",
            "tool_calls": [
                {"id": "call_a", "function": {"index": 0, "name": "look", "arguments": {"at": [1, 2.5], "b": None}}},
                {"id": "call_b", "function": {"index": 1, "name": "look", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "a cat", "tool_name": "look", "tool_call_id": "call_a"},
        {"role": "tool", "content": "a dog", "tool_name": "look", "tool_call_id": "call_b", "images": [PNG]},
        {"role": "user", "content": "So?", "something_new": 1},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "look",
                "description": "Looks.",
                "parameters": {"type": "object", "properties": {"at": {"type": "array"}}},
                "strict": True,
                "later": 1,
            },
            "items": 3,
        }
    ],
    "stream": False,
    "format": {"type": "object"},
    "think": "high",
    "logprobs": True,
    "top_logprobs": 3,
    "keep_alive": "5m",
    "truncate": False,
    "options": {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.05,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "repeat_penalty": 1.1,
        "seed": 7,
        "stop": ["END"],
        "num_predict": 100,
        "num_ctx": 8192,
        "mirostat": 0,
    },
}


def read(body):
    return ollama.read_request(copy.deepcopy(body))


def write(request, quirks=Quirks()):  # noqa: B008 - frozen
    return ollama.write_request(request, quirks)


def test_writing_what_was_read_gives_it_back():
    written = write(read(FULL))
    assert written.body == FULL
    assert written.lossy == []


@pytest.mark.parametrize("think", [True, False, "low", "max"])
@pytest.mark.parametrize("format", ["json", {"type": "array"}])
def test_think_and_format_come_back_as_they_were(think, format):
    body = {"model": "m", "messages": [], "stream": True, "think": think, "format": format}
    assert write(read(body)).body == body


def test_a_request_streams_unless_it_says_otherwise():
    assert read({"model": "m"}).stream
    assert not read({"model": "m", "stream": False}).stream


def test_no_limit_on_output_stays_no_limit():
    body = {"model": "m", "messages": [], "stream": True, "options": {"num_predict": -1}}
    request = read(body)
    assert request.max_output_tokens is None
    assert write(request).body == body


def test_settings_land_where_other_dialects_look_for_them():
    request = read(FULL)
    assert (request.max_output_tokens, request.temperature, request.stop) == (100, 0.5, ["END"])
    assert request.output == OutputFormat(kind="json_schema", schema={"type": "object"})
    assert request.thinking == Thinking(mode="on", effort="high", visible=True)
    assert request.extra == {"keep_alive": "5m", "truncate": False, "options.num_ctx": 8192, "options.mirostat": 0}
    assert request.messages[1].parts[0] == Media(kind="image", mime="image/png", data=PNG)


def test_results_without_ids_answer_the_calls_in_order_and_by_name():
    request = read(
        {
            "model": "m",
            "messages": [
                {"role": "user", "content": "go"},
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [
                        {"function": {"name": "a", "arguments": {}}},
                        {"function": {"name": "b", "arguments": {}}},
                        {"function": {"name": "a", "arguments": {"n": 2}}},
                    ],
                },
                {"role": "tool", "content": "from b", "tool_name": "b"},
                {"role": "tool", "content": "from a"},
                {"role": "tool", "content": "from a again", "tool_name": "a"},
            ],
        }
    )
    calls = [part.id for part in request.messages[1].parts]
    assert len(set(calls)) == 3
    assert [message.parts[0].call_id for message in request.messages[2:]] == [calls[1], calls[0], calls[2]]


def test_a_sealed_id_gives_back_the_thinking_and_the_signature():
    thought = Reasoning(text="Hm.", signature="sig", dialect="anthropic")
    sealed = seal_id("toolu_1", [thought, ToolCall(signature="g", dialect="gemini")])
    request = read(
        {
            "model": "m",
            "messages": [
                {
                    "role": "assistant",
                    "content": "Looking.",
                    "thinking": "Hm.",
                    "tool_calls": [{"id": sealed, "function": {"name": "look", "arguments": {}}}],
                },
                {"role": "tool", "content": "x", "tool_call_id": sealed},
            ],
        }
    )
    assert request.messages[0].parts == [
        thought,
        Text(text="Looking."),
        ToolCall(id="toolu_1", name="look", arguments="{}", signature="g", dialect="gemini"),
    ]
    assert request.messages[1].parts[0].call_id == "toolu_1"


def test_a_client_that_drops_ids_still_gives_back_the_thinking_and_the_signatures():
    thought = Reasoning(text="Hm.", signature="sig", dialect="anthropic")
    one = ToolCall(id="toolu_1", name="look", signature="s1", dialect="gemini")
    two = ToolCall(id="toolu_2", name="see", signature="s2", dialect="gemini")
    request = read(
        {
            "model": "m",
            "messages": [
                {
                    "role": "assistant",
                    "thinking": "Hm." + hide([thought, one]) + hide([two]),
                    "tool_calls": [
                        {"function": {"name": "look", "arguments": {}}},
                        {"function": {"name": "see", "arguments": {}}},
                    ],
                },
                {"role": "tool", "content": "x", "tool_name": "look"},
            ],
        }
    )
    first, look, see = request.messages[0].parts
    assert first == thought
    assert (look.id, look.signature, see.id, see.signature) == ("toolu_1", "s1", "toolu_2", "s2")
    assert request.messages[1].parts[0].call_id == "toolu_1"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "model"),
        ({"model": 1}, "model"),
        ({"model": "m", "messages": {}}, "messages"),
        ({"model": "m", "messages": [{"role": "wizard"}]}, "messages[0].role"),
        ({"model": "m", "messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"model": "m", "messages": [{"role": "user", "images": [1]}]}, "messages[0].images[0]"),
        ({"model": "m", "messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]},
         "messages[0].tool_calls[0].function.name"),
        ({"model": "m", "messages": [{"role": "assistant",
                                      "tool_calls": [{"function": {"name": "a", "arguments": 1}}]}]},
         "messages[0].tool_calls[0].function.arguments"),
        ({"model": "m", "tools": [{"type": "function"}]}, "tools[0].function"),
        ({"model": "m", "tools": [{"type": "web"}]}, "tools[0].type"),
        ({"model": "m", "think": "enormously"}, "think"),
        ({"model": "m", "format": 1}, "format"),
        ({"model": "m", "options": {"stop": "x"}}, "options.stop"),
        ({"model": "m", "options": {"temperature": "hot"}}, "options.temperature"),
    ],
)  # fmt: skip
def test_a_malformed_body_is_refused_with_its_path(body, path):
    with pytest.raises(Malformed) as refused:
        read(body)
    assert refused.value.path == path


def foreign(**settings):
    return Request(dialect="openai-chat", model="m", **settings)


def test_what_cannot_be_said_is_named():
    request = foreign(
        messages=[
            Message(role="developer", parts=[Text(text="Be kind.", cache=CacheMark())]),
            Message(role="user", name="ann", parts=[Text(text="hi")]),
            Message(
                role="assistant",
                parts=[Reasoning(text="Hm.", signature="x", dialect="anthropic"), Text(text="ho")],
            ),
            Message(role="user", parts=[ToolResult(call_id="1", content=[Text(text="bad")], is_error=True)]),
        ],
        tools=[Tool(name="f", strict=True), Tool(name="web", kind="provider", raw={"type": "web_search"})],
        tool_choice=ToolChoice(mode="required"),
        thinking=Thinking(budget=1000),
        n=2,
        logit_bias={"1": 1},
        user="ann",
        extra={"prediction": {}},
    )
    written = write(request)
    assert set(written.lossy) == {
        "logit_bias", "user", "prediction", "messages.cache_control", "messages.name", "reasoning",
        "messages.is_error", "tools.strict", "tools.web_search", "tool_choice", "thinking.budget", "n",
    }  # fmt: skip
    assert written.body["think"] is True
    assert "thinking" not in written.body["messages"][2]
    ChatRequest.model_validate(written.body)


def test_results_go_before_the_rest_of_their_message_and_know_their_tool():
    request = foreign(
        messages=[
            Message(role="assistant", parts=[ToolCall(id="c1", name="look", arguments="")]),
            Message(role="user", parts=[Text(text="and?"), ToolResult(call_id="c1", content=[Text(text="a cat")])]),
        ]
    )
    assert write(request).body["messages"] == [
        {"role": "assistant", "content": "",
         "tool_calls": [{"id": "c1", "function": {"index": 0, "name": "look", "arguments": {}}}]},
        {"role": "tool", "content": "a cat", "tool_name": "look", "tool_call_id": "c1"},
        {"role": "user", "content": "and?"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (ToolCall(name="f", arguments='{"a":1}'), {"a": 1}),
        (ToolCall(name="f", arguments=""), {}),
        (ToolCall(name="f", arguments='{"a":'), {"input": '{"a":'}),
        (ToolCall(name="f", arguments="[1]"), {"input": "[1]"}),
        (ToolCall(name="f", arguments="ls", kind="custom"), {"input": "ls"}),
    ],
)
def test_arguments_are_always_an_object(call, arguments):
    body = write(foreign(messages=[Message(role="assistant", parts=[call])])).body
    assert body["messages"][0]["tool_calls"][0]["function"]["arguments"] == arguments


@pytest.mark.parametrize(
    ("media", "mend"),
    [
        (Media(kind="image", url="https://x/y.png"), "base64"),
        (Media(kind="audio", data="AAAA"), "audio"),
        (Media(kind="document", data="AAAA", mime="application/pdf"), "document"),
    ],
)
def test_media_that_ollama_cannot_take_are_refused_with_the_mend(media, mend):
    with pytest.raises(Unsayable, match=mend):
        write(foreign(messages=[Message(role="user", parts=[media])]))


def test_no_tool_may_be_called_means_that_no_tool_is_offered():
    request = foreign(tools=[Tool(name="f")], tool_choice=ToolChoice(mode="none"))
    written = write(request)
    assert "tools" not in written.body
    assert written.lossy == []


def test_a_forced_provider_tool_is_refused():
    web = Tool(name="web", kind="provider", dialect="anthropic", raw={"type": "web_search_20250305"})
    with pytest.raises(Unsayable, match="web_search_20250305"):
        write(foreign(tools=[web], tool_choice=ToolChoice(mode="tool", names=["web"])))


def test_what_the_provider_refuses_is_left_out_and_named():
    written = write(foreign(logprobs=True), Quirks(refuses=frozenset({"logprobs"})))
    assert "logprobs" not in written.body
    assert written.lossy == ["logprobs"]


def test_generate_only_fields_are_not_sent_to_chat():
    request = Request(dialect="ollama", model="m", extra={"suffix": "}", "raw": False})
    written = write(request)
    assert written.lossy == ["suffix"]
    assert msgspec.json.encode(written.body) == b'{"model":"m","messages":[],"stream":false}'


@given(spoiled(FULL))
@settings(max_examples=200, deadline=None)
def test_a_spoiled_request_is_read_or_refused_with_its_path(body):
    with contextlib.suppress(Malformed, Unsayable):
        write(ollama.read_request(body))
