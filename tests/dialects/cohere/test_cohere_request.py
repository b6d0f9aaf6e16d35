"""Requests to Cohere: every body that is written has the shape of the official SDK's types, and says what was meant."""

import inspect
import typing

import pytest
from cohere.types import ChatMessages, CitationOptions, ResponseFormatV2, ToolV2
from cohere.types import Thinking as TheirThinking
from cohere.v2.raw_client import RawV2Client

from dragoman.canon import (
    CacheMark,
    Citation,
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
from dragoman.dialects import cohere
from dragoman.dialects.cohere.request import PLAN
from dragoman.dialects.dialect import Unsayable
from dragoman.dialects.quirks import Quirks
from fakes.shape import conform

FIELDS = set(inspect.signature(RawV2Client.chat).parameters) - {"self", "request_options"} | {"stream"}
TYPES = {
    "messages": ChatMessages,
    "tools": list[ToolV2],
    "response_format": ResponseFormatV2,
    "thinking": TheirThinking,
    "citation_options": CitationOptions,
    "tool_choice": typing.Literal["REQUIRED", "NONE"],
    "safety_mode": typing.Literal["CONTEXTUAL", "STRICT", "OFF"],
}
TOOL = Tool(name="look", description="Looks.", parameters={"type": "object", "properties": {"at": {"type": "string"}}})
WRITTEN_TOOL = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Looks.",
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    },
}


def write(request, quirks=Quirks()):  # noqa: B008 - frozen
    written = cohere.write_request(request, quirks)
    assert set(written.body) <= FIELDS
    for name, shape in TYPES.items():
        if name in written.body:
            conform(shape, written.body[name])
    return written


def ask(**settings):
    settings.setdefault("messages", [Message(role="user", parts=[Text(text="hi")])])
    return Request(dialect="openai-chat", model="command-a-reasoning-08-2025", **settings)


def test_a_whole_conversation():
    raw = {"start": 0, "end": 2, "text": "It", "sources": [{"type": "tool", "id": "one:0", "tool_output": {"a": "b"}}]}
    written = write(
        ask(
            messages=[
                Message(role="developer", parts=[Text(text="Be short.")]),
                Message(
                    role="user",
                    parts=[
                        Text(text="Look."),
                        Media(kind="image", mime="image/png", data="AAAA", detail="low"),
                        Media(kind="image", url="https://x/y.png"),
                        Media(kind="document", text="plain", title="Old"),
                        Media(kind="document", text="proof", name="p.txt", cited=True),
                    ],
                ),
                Message(
                    role="assistant",
                    parts=[
                        Reasoning(text="Hm.", dialect="cohere"),
                        Reasoning(text="I will look.", dialect="cohere", extra=dict(PLAN)),
                        ToolCall(id="one", name="look", arguments='{"at": "sky"}'),
                        ToolCall(id="two", name="look", arguments=""),
                    ],
                ),
                Message(
                    role="user",
                    parts=[
                        Text(text="Well?"),
                        ToolResult(call_id="one", content=[Text(text="a star")]),
                        ToolResult(
                            call_id="two",
                            content=[Text(text="a"), Text(text="b"), Media(kind="image", url="https://x/z.png")],
                        ),
                    ],
                ),
                Message(
                    role="assistant",
                    parts=[
                        Reasoning(text="So.", dialect="cohere"),
                        Text(text="It is.", citations=[Citation(dialect="cohere", raw=raw)]),
                    ],
                ),
                Message(role="user", parts=[Text(text="Thanks.")]),
            ],
            tools=[TOOL],
            max_output_tokens=100,
            temperature=0.5,
            top_p=1.0,
            top_k=7,
            seed=3,
            stop=["END"],
            frequency_penalty=0.1,
            presence_penalty=0.2,
            logprobs=True,
            thinking=Thinking(budget=500),
            stream=True,
        )
    )
    assert written.lossy == []
    assert written.body == {
        "model": "command-a-reasoning-08-2025",
        "stream": True,
        "messages": [
            {"role": "system", "content": "Be short."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look."},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                    {"type": "text", "text": "Old\nplain"},
                ],
            },
            {
                "role": "assistant",
                "tool_plan": "I will look.",
                "content": [{"type": "thinking", "thinking": "Hm."}],
                "tool_calls": [
                    {"id": "one", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}},
                    {"id": "two", "type": "function", "function": {"name": "look", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "one", "content": "a star"},
            {
                "role": "tool",
                "tool_call_id": "two",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "https://x/z.png"}},
                    {"type": "text", "text": "Well?"},
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "So."}, {"type": "text", "text": "It is."}],
                "citations": [{**raw, "content_index": 1}],
            },
            {"role": "user", "content": "Thanks."},
        ],
        "documents": [{"data": {"text": "proof", "title": "p.txt"}}],
        "tools": [WRITTEN_TOOL],
        "max_tokens": 100,
        "temperature": 0.5,
        "p": 0.99,
        "k": 7,
        "seed": 3,
        "stop_sequences": ["END"],
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "logprobs": True,
        "thinking": {"type": "enabled", "token_budget": 500},
    }


@pytest.mark.parametrize(
    ("choice", "written", "offered"),
    [
        (None, None, ["look", "see"]),
        (ToolChoice(), None, ["look", "see"]),
        (ToolChoice(names=["see"]), None, ["see"]),
        (ToolChoice(mode="none"), "NONE", ["look", "see"]),
        (ToolChoice(mode="required"), "REQUIRED", ["look", "see"]),
        (ToolChoice(mode="tool", names=["see"]), "REQUIRED", ["see"]),
    ],
)
def test_every_tool_choice_without_loss(choice, written, offered):
    found = write(ask(tools=[TOOL, Tool(name="see")], tool_choice=choice))
    assert found.body.get("tool_choice") == written
    assert [tool["function"]["name"] for tool in found.body["tools"]] == offered
    assert found.lossy == []


def test_strictness_is_all_or_nothing():
    strict = Tool(name="a", strict=True)
    assert write(ask(tools=[strict])).body["strict_tools"] is True
    mixed = write(ask(tools=[strict, TOOL]))
    assert "strict_tools" not in mixed.body
    assert mixed.lossy == ["tools.strict"]


@pytest.mark.parametrize(
    ("thinking", "written"),
    [
        (Thinking(mode="off"), {"type": "disabled"}),
        (Thinking(effort="none"), {"type": "disabled"}),
        (Thinking(budget=0), {"type": "disabled"}),
        (Thinking(mode="on"), {"type": "enabled"}),
        (Thinking(mode="adaptive"), {"type": "enabled"}),
        (Thinking(budget=-1), {"type": "enabled"}),
        (Thinking(effort="low"), {"type": "enabled", "token_budget": 2048}),
        (Thinking(visible=True), None),
    ],
)
def test_every_way_to_ask_for_thinking(thinking, written):
    assert write(ask(thinking=thinking)).body.get("thinking") == written


def test_structured_output_does_not_go_with_tools():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    output = OutputFormat(kind="json_schema", name="it", schema=schema)
    assert write(ask(output=output)).body["response_format"] == {"type": "json_object", "json_schema": schema}
    assert write(ask(output=OutputFormat(kind="json"))).body["response_format"] == {"type": "json_object"}
    assert write(ask(output=output, tools=[TOOL])).lossy == ["output"]


def test_coheres_own_fields_pass_from_any_client():
    own = {"safety_mode": "STRICT", "documents": ["doc"], "citation_options": {"mode": "FAST"}, "priority": 3}
    cited = Message(role="user", parts=[Text(text="hi"), Media(kind="document", text="proof", cited=True)])
    written = write(ask(messages=[cited], extra={**own, "prediction": {}}))
    assert written.lossy == ["prediction"]
    assert written.body["safety_mode"] == "STRICT"
    assert written.body["documents"] == ["doc", {"data": {"text": "proof"}}]


def test_what_cannot_be_said_is_named():
    written = write(
        ask(
            messages=[
                Message(
                    role="user",
                    name="ann",
                    parts=[Text(text="hi", cache=CacheMark()), Opaque(dialect="x", kind="y", data={})],
                ),
                Message(role="assistant", parts=[Reasoning(text="Hm.", dialect="anthropic")]),
                Message(role="user", parts=[ToolResult(call_id="1", content=[Text(text="bad")], is_error=True)]),
                Message(role="assistant", parts=[Text(text="ho", citations=[Citation(url="https://x")])]),
            ],
            tools=[Tool(name="web", kind="provider", raw={"type": "web_search"})],
            stop=list("abcdef"),
            frequency_penalty=-1,
            top_logprobs=3,
            parallel_tool_calls=False,
            n=2,
            user="ann",
        )
    )
    assert set(written.lossy) == {
        "messages.name", "messages.cache_control", "messages.y", "reasoning", "messages.is_error",
        "messages.citations", "tools.web_search", "stop", "frequency_penalty", "top_logprobs",
        "parallel_tool_calls", "n", "user",
    }  # fmt: skip
    assert written.body["stop_sequences"] == list("abcde")
    assert [message["role"] for message in written.body["messages"]] == ["user", "tool", "assistant"]


@pytest.mark.parametrize(
    "media",
    [
        Media(kind="audio", data="AAAA", mime="audio/wav"),
        Media(kind="document", data="AAAA", mime="application/pdf"),
        Media(kind="image", file_id="file_1"),
    ],
)
def test_media_that_cohere_cannot_take_are_refused_with_the_mend(media):
    with pytest.raises(Unsayable, match="choose a model"):
        write(ask(messages=[Message(role="user", parts=[media])]))


def test_a_forced_provider_tool_is_refused():
    web = Tool(name="web", kind="provider", dialect="anthropic", raw={"type": "web_search_20250305"})
    with pytest.raises(Unsayable, match="web_search_20250305"):
        write(ask(tools=[web], tool_choice=ToolChoice(mode="tool", names=["web"])))


def test_a_custom_tool_is_a_function_with_one_text():
    call = ToolCall(id="1", name="sh", arguments="ls", kind="custom")
    turn = Message(role="assistant", parts=[call])
    body = write(ask(messages=[turn], tools=[Tool(name="sh", kind="custom")])).body
    assert body["messages"][0]["tool_calls"][0]["function"]["arguments"] == '{"input":"ls"}'
    assert body["tools"][0]["function"]["parameters"]["required"] == ["input"]


def test_what_the_provider_refuses_is_left_out_and_named():
    written = write(ask(seed=1), Quirks(refuses=frozenset({"seed"})))
    assert "seed" not in written.body
    assert written.lossy == ["seed"]
