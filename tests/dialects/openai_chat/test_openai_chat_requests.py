"""Requests of `openai-chat`: what is read is written back, and what cannot be said is named or refused."""

import msgspec
import pytest

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
from dragoman.dialects import openai_chat
from dragoman.dialects.dialect import Unsayable, Written
from dragoman.dialects.fields import Malformed
from dragoman.dialects.quirks import Quirks
from dragoman.dialects.seal import seal_id

USER = {"role": "user", "content": "hi"}
PLAIN = Quirks()
# a provider that takes everything
WIDE = Quirks(reasoning_field="reasoning", cache_control=True, sampling_extras=True)


def read(body: dict) -> Request:
    """Reads a fresh copy, as a body from the wire is."""
    return openai_chat.read_request(msgspec.json.decode(msgspec.json.encode(body)))


def round_trip(body: dict, quirks: Quirks = PLAIN) -> Written:
    return openai_chat.write_request(read(body), quirks)


def ask(*messages: dict, **fields: object) -> dict:
    return {"model": "m", "messages": list(messages) or [USER], **fields}


CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
FUNCTION = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
}
CUSTOM = {
    "type": "custom",
    "custom": {
        "name": "c",
        "description": "d",
        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /a/"}},
    },
}

IDENTITIES = {
    "roles": ask(
        {"role": "system", "content": "s"},
        {"role": "developer", "content": "d", "name": "dev"},
        {"role": "user", "content": "u", "name": "ann"},
        {"role": "assistant", "content": "a", "name": "bot"},
    ),
    "text parts": ask({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
    "image url": ask(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "high"}},
            ],
        }
    ),
    "image data": ask(
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}
    ),
    "audio and files": ask(
        {
            "role": "user",
            "content": [
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "video_url", "video_url": {"url": "https://x/y.mp4"}},
                {"type": "audio_url", "audio_url": {"url": "https://x/y.ogg"}},
            ],
        }
    ),
    "cache breakpoint": ask(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "text", "text": "b", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
            ],
        }
    ),
    "tool turn": ask(
        USER,
        {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "call_2"}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "one"},
        {
            "role": "tool",
            "tool_call_id": "call_2",
            "content": [{"type": "text", "text": "two"}, {"type": "text", "text": "!"}],
        },
        {"role": "user", "content": "go on"},
    ),
    "custom call": ask(
        USER,
        {
            "role": "assistant",
            "content": "so",
            "tool_calls": [{"id": "call_1", "type": "custom", "custom": {"name": "c", "input": "x"}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "one"},
        tools=[CUSTOM],
    ),
    "google signature": ask(
        USER,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{**CALL, "extra_content": {"google": {"thought_signature": "c2ln"}}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "one"},
    ),
    "refusal and audio": ask(
        USER,
        {"role": "assistant", "content": None, "refusal": "no"},
        {"role": "assistant", "content": None, "audio": {"id": "audio_1"}},
        {"role": "assistant", "content": ""},
    ),
    "annotations": ask(
        {
            "role": "assistant",
            "content": "see",
            "annotations": [
                {
                    "type": "url_citation",
                    "url_citation": {"start_index": 0, "end_index": 3, "url": "https://x", "title": "X"},
                }
            ],
        },
        USER,
    ),
    "legacy functions": ask(
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
        functions=[{"name": "f", "description": "d", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
    ),
    "tools": ask(tools=[FUNCTION, CUSTOM, {"type": "browser_search"}], parallel_tool_calls=False),
    "choice auto": ask(tools=[FUNCTION], tool_choice="auto"),
    "choice none": ask(tools=[FUNCTION], tool_choice="none"),
    "choice required": ask(tools=[FUNCTION], tool_choice="required"),
    "choice function": ask(tools=[FUNCTION], tool_choice={"type": "function", "function": {"name": "f"}}),
    "choice custom": ask(tools=[CUSTOM], tool_choice={"type": "custom", "custom": {"name": "c"}}),
    "choice allowed": ask(
        tools=[FUNCTION, CUSTOM],
        tool_choice={
            "type": "allowed_tools",
            "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
        },
    ),
    "format text": ask(response_format={"type": "text"}),
    "format json": ask(response_format={"type": "json_object"}),
    "format schema": ask(
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "n", "description": "d", "schema": {"type": "object"}, "strict": True},
        }
    ),
    "format unknown": ask(response_format={"type": "grammar", "grammar": "g"}),
    "settings": ask(
        temperature=0.5, top_p=0.9, frequency_penalty=0.1, presence_penalty=0.2, logit_bias={"1": -100}, seed=7,
        stop=["a", "b"], n=2, logprobs=True, top_logprobs=3, verbosity="low", modalities=["text", "audio"],
        audio={"format": "wav", "voice": "alloy"}, service_tier="flex", metadata={"k": "v"}, safety_identifier="u",
        prompt_cache_key="k", store=True, reasoning_effort="xhigh", max_completion_tokens=9,
    ),
    "unknown": ask(
        {"role": "user", "content": [{"type": "text", "text": "a", "new": 1}], "odd": 2},
        prediction={"type": "content", "content": "x"},
        web_search_options={"search_context_size": "low"},
        prompt_cache_options={"mode": "explicit", "ttl": "30m"},
        prompt_cache_retention="24h",
        moderation={"model": "m"},
        provider={"order": ["a"]},
    ),
    "stream": ask(stream=True, stream_options={"include_usage": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", IDENTITIES)
def test_writing_what_was_read_gives_it_back(name: str) -> None:
    written = round_trip(IDENTITIES[name])
    assert written.body == IDENTITIES[name]
    assert written.lossy == []


@pytest.mark.parametrize(
    "body",
    [
        ask(
            USER,
            {"role": "assistant", "content": "a", "reasoning": "t", "reasoning_details": [{"type": "x", "data": "e"}]},
        ),
        ask(top_k=4, min_p=0.1, repetition_penalty=1.1),
        ask(
            {"role": "system", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            },
            cache_control={"type": "ephemeral"},
            tools=[{**FUNCTION, "cache_control": {"type": "ephemeral"}}],
        ),
    ],
)
def test_a_compatible_provider_gets_its_own_fields_back(body: dict) -> None:
    written = round_trip(body, WIDE)
    assert written.body == body
    assert written.lossy == []


def test_openai_itself_is_spared_what_it_rejects() -> None:
    body = ask(
        {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": "b", "reasoning_content": "t"},
        top_k=4,
    )
    written = round_trip(body)
    assert written.body == ask({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"})
    assert set(written.lossy) == {"top_k", "messages.cache_control", "reasoning"}


def test_normal_forms_mean_the_same() -> None:
    body = ask(
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {
            "role": "assistant",
            "content": [{"type": "refusal", "refusal": "no"}],
            "tool_calls": [{**CALL, "index": 0, "function": {"name": "f", "arguments": ""}}],
            "annotations": [],
            "audio": None,
            "function_call": None,
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
        stop="x",
        max_tokens=5,
        user="u",
        stream=True,
        stream_options={"include_obfuscation": False},
    )
    assert round_trip(body).body == ask(
        USER,
        {
            "role": "assistant",
            "content": None,
            "refusal": "no",
            "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
        stop=["x"],
        max_completion_tokens=5,
        safety_identifier="u",
        stream=True,
        stream_options={"include_usage": True},
    )


def test_usage_is_for_the_client_only_where_it_asked() -> None:
    assert read(ask(stream=True)).include_usage is False
    assert read(ask(stream=True, stream_options={"include_usage": True})).include_usage is True


def test_canon_says_what_the_fields_mean() -> None:
    request = read(
        ask(
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                    {"type": "text", "text": "t", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
                ],
            },
            reasoning_effort="none",
            max_tokens=3,
            tool_choice={
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
        )
    )
    image, text = request.messages[0].parts
    assert image == Media(kind="image", mime="image/png", data="AAAA", detail="low")
    assert text == Text(text="t", cache=CacheMark(ttl="30m"))
    assert request.thinking == Thinking(mode="off", effort="none")
    assert request.max_output_tokens == 3
    assert request.tool_choice is not None
    assert (request.tool_choice.mode, request.tool_choice.names) == ("auto", ["f"])


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"messages": [USER]}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": []}, "messages"),
        (ask({"role": "robot", "content": "x"}), "messages[0].role"),
        (ask({"role": "user"}), "messages[0].content"),
        (ask({"role": "user", "content": 3}), "messages[0].content"),
        (ask({"role": "user", "content": [{"text": "x"}]}), "messages[0].content[0].type"),
        (
            ask({"role": "user", "content": [{"type": "image_url", "image_url": "u"}]}),
            "messages[0].content[0].image_url",
        ),
        (ask({"role": "tool", "content": "x"}), "messages[0].tool_call_id"),
        (ask({"role": "assistant", "tool_calls": [{"id": "x"}]}), "messages[0].tool_calls[0].function"),
        (ask(tools=[{"type": "function"}]), "tools[0].function"),
        (ask(tool_choice="maybe"), "tool_choice"),
        (ask(response_format={"type": "json_schema"}), "response_format.json_schema"),
        (ask(temperature="hot"), "temperature"),
        (ask(logit_bias={"1": "x"}), "logit_bias.1"),
        (ask(metadata={"k": 1}), "metadata.k"),
        (ask(stop=[1]), "stop[0]"),
        (ask(n=1.5), "n"),
    ],
)
def test_a_malformed_request_names_the_place(body: dict, path: str) -> None:
    with pytest.raises(Malformed) as error:
        read(body)
    assert error.value.path == path


def test_seals_come_off_the_ids_and_give_their_parts_back() -> None:
    thinking = Reasoning(text="hm", signature="sig", dialect="anthropic")
    later = Reasoning(encrypted="enc", dialect="anthropic")
    first = seal_id("call_1", [thinking])
    second = seal_id("call_2", [later, ToolCall(signature="s2", dialect="gemini")])
    request = read(
        ask(
            USER,
            {
                "role": "assistant",
                "content": "so",
                "reasoning_content": "hm",
                "tool_calls": [{**CALL, "id": first}, {**CALL, "id": second}],
            },
            {"role": "tool", "tool_call_id": first, "content": "1"},
            {"role": "tool", "tool_call_id": second, "content": "2"},
        )
    )
    call = ToolCall(id="call_1", name="f", arguments='{"a":1}')
    signed = ToolCall(id="call_2", name="f", arguments='{"a":1}', signature="s2", dialect="gemini")
    assert request.messages[1].parts == [thinking, Text(text="so"), call, later, signed]
    assert [m.parts[0].call_id for m in request.messages[2:]] == ["call_1", "call_2"]  # type: ignore[union-attr]
    written = openai_chat.write_request(request, PLAIN)
    assert [call["id"] for call in written.body["messages"][1]["tool_calls"]] == ["call_1", "call_2"]
    assert "extra_content" not in written.body["messages"][1]["tool_calls"][1]
    assert written.lossy == ["reasoning"]


def foreign(*messages: Message, **fields: object) -> Request:
    return Request(dialect="anthropic", model="m", messages=list(messages), **fields)  # type: ignore[arg-type]


def test_a_foreign_turn_of_results_becomes_tool_messages_before_the_rest() -> None:
    image = Media(kind="image", mime="image/png", data="AAAA")
    request = foreign(
        Message(
            role="assistant",
            parts=[
                Reasoning(text="hm", signature="s", dialect="anthropic"),
                Text(text="so"),
                ToolCall(id="toolu_1", name="f", arguments=""),
                ToolCall(id="x" * 90, name="g", arguments="{}"),
            ],
        ),
        Message(
            role="user",
            parts=[
                ToolResult(call_id="toolu_1", content=[Text(text="one"), image], is_error=True),
                ToolResult(call_id="x" * 90, content=[Text(text="two")]),
                Text(text="and?"),
            ],
        ),
    )
    written = openai_chat.write_request(request, PLAIN)
    assistant, one, two, user = written.body["messages"]
    long_id = assistant["tool_calls"][1]["id"]
    assert assistant["tool_calls"][0]["function"]["arguments"] == "{}"
    assert one == {"role": "tool", "tool_call_id": "toolu_1", "content": "one"}
    assert two == {"role": "tool", "tool_call_id": long_id, "content": "two"}
    assert len(long_id) <= 40
    assert [part["type"] for part in user["content"]] == ["text", "image_url", "text"]
    assert set(written.lossy) == {"reasoning", "messages.is_error"}


def test_foreign_fields_are_mapped_or_named() -> None:
    request = foreign(
        Message(role="user", parts=[Text(text="hi", cache=CacheMark(ttl="5m"))], extra={"odd": 1}),
        thinking=Thinking(mode="on", budget=8192),
        output=OutputFormat(kind="json_schema", schema={"type": "object"}),
        tools=[
            Tool(name="f", parameters={"type": "object"}, strict=True),
            Tool(name="web_search", kind="provider", dialect="anthropic", raw={"type": "web_search_20260101"}),
        ],
        tool_choice=ToolChoice(mode="required", names=["f"]),
        service_tier="standard_only",
        top_k=3,
        extra={"container": {}},
    )
    quirks = Quirks(strict_tools=False, max_tokens_field="max_tokens")
    written = openai_chat.write_request(request, quirks)
    body = written.body
    assert body["reasoning_effort"] == "medium"
    assert body["response_format"]["json_schema"] == {"name": "response", "schema": {"type": "object"}}
    assert body["tools"] == [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    assert body["tool_choice"]["allowed_tools"] == {
        "mode": "required",
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }
    assert body["service_tier"] == "default"
    assert set(written.lossy) == {
        "top_k", "container", "messages.odd", "messages.cache_control", "tools.strict", "tools.web_search_20260101",
    }  # fmt: skip


def test_every_quirk_is_honoured() -> None:
    body = ask(
        {"role": "developer", "content": "d"},
        USER,
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "t",
            "tool_calls": [{"id": "1", "type": "custom", "custom": {"name": "c", "input": "x"}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "r"},
        tools=[CUSTOM],
        tool_choice={"type": "custom", "custom": {"name": "c"}},
        max_completion_tokens=5,
        safety_identifier="u",
        parallel_tool_calls=False,
        stop=["a", "b", "c"],
        store=True,
        logit_bias={"1": 1},
        stream=True,
    )
    quirks = Quirks(
        max_tokens_field="max_tokens", developer_role=False, stream_usage=False, reasoning_field="reasoning_content",
        user_field="user", parallel_tool_calls=False, custom_tools=False, refuses=frozenset({"store", "logit_bias"}),
        max_stop=2,
    )  # fmt: skip
    written = round_trip(body, quirks)
    out = written.body
    assert out["messages"][0]["role"] == "system"
    assert out["messages"][2]["reasoning_content"] == "t"
    assert out["messages"][2]["tool_calls"][0]["function"] == {"name": "c", "arguments": '{"input":"x"}'}
    assert out["tools"][0]["type"] == "function"
    assert "start: /a/" in out["tools"][0]["function"]["description"]
    assert out["tool_choice"] == {"type": "function", "function": {"name": "c"}}
    assert (out["max_tokens"], out["user"], out["stop"]) == (5, "u", ["a", "b"])
    assert not out.keys() & {"store", "logit_bias", "parallel_tool_calls", "stream_options"}
    assert set(written.lossy) == {"store", "logit_bias", "parallel_tool_calls", "stop"}


@pytest.mark.parametrize(
    ("part", "quirks"),
    [
        (Media(kind="audio", url="https://x/y.mp3"), PLAIN),
        (Media(kind="image", file_id="file_1"), PLAIN),
        (Media(kind="document", url="https://x/y.pdf"), PLAIN),
        (Media(kind="document", mime="application/pdf", data="AAAA"), Quirks(documents=False)),
    ],
)
def test_content_that_cannot_be_said_is_refused(part: Media, quirks: Quirks) -> None:
    with pytest.raises(Unsayable):
        openai_chat.write_request(foreign(Message(role="user", parts=[part])), quirks)


def test_a_text_document_goes_as_text() -> None:
    parts = [Media(kind="document", text="abc", title="T"), Media(kind="document", mime="text/plain", data="ZGVm")]
    written = openai_chat.write_request(foreign(Message(role="user", parts=list(parts))), Quirks(documents=False))
    assert [part["text"] for part in written.body["messages"][0]["content"]] == ["T\n\nabc", "def"]


def test_forcing_a_foreign_provider_tool_is_refused() -> None:
    tool = Tool(name="web_search", kind="provider", dialect="anthropic", raw={"type": "web_search"})
    request = foreign(
        Message(role="user", parts=[Text(text="x")]),
        tools=[tool],
        tool_choice=ToolChoice(mode="tool", names=["web_search"]),
    )
    with pytest.raises(Unsayable):
        openai_chat.write_request(request, PLAIN)
