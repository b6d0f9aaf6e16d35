import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from responses_wire import ask, read, rewritten

from dragoman.canon import (
    CacheMark,
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
from dragoman.dialects import openai_responses as dialect
from dragoman.dialects.dialect import Dialect, Unsayable
from dragoman.dialects.fields import Malformed
from dragoman.dialects.quirks import Quirks
from dragoman.dialects.seal import seal

CODEX: dict[str, Any] = {
    "model": "gpt-6-sol",
    "instructions": "You are Codex.",
    "input": [
        {
            "type": "message",
            "role": "developer",
            "content": [{"type": "input_text", "text": "<permissions>"}, {"type": "input_text", "text": "<skills>"}],
        },
        {"type": "message", "role": "user", "content": "fix the bug"},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Look"}],
            "encrypted_content": "gAAA",
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Looking.", "annotations": []}],
            "phase": "commentary",
        },
        {"type": "function_call", "name": "exec_command", "arguments": '{"cmd":"ls"}', "call_id": "call_1"},
        {"type": "function_call", "name": "search", "namespace": "mcp__docs", "arguments": "{}", "call_id": "call_2"},
        {"type": "function_call_output", "call_id": "call_1", "output": "a.py"},
        {
            "type": "function_call_output",
            "call_id": "call_2",
            "output": [
                {"type": "input_text", "text": "page"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "high"},
            ],
        },
        {"type": "custom_tool_call", "name": "apply_patch", "input": "*** Begin Patch", "call_id": "call_3"},
        {"type": "custom_tool_call_output", "call_id": "call_3", "output": "Done"},
        {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}},
        {"type": "message", "role": "user", "content": "go on"},
    ],
    "tools": [
        {
            "type": "function",
            "name": "exec_command",
            "description": "Runs",
            "strict": False,
            "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}},
        },
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "Edits",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: X"},
        },
        {
            "type": "namespace",
            "name": "mcp__docs",
            "description": "Docs",
            "tools": [
                {
                    "type": "function",
                    "name": "search",
                    "description": "S",
                    "parameters": {"type": "object"},
                    "strict": False,
                    "defer_loading": True,
                },
                {"type": "function", "name": "open", "description": "O", "parameters": {"type": "object"}},
            ],
        },
        {
            "type": "tool_search",
            "execution": "client",
            "description": "Finds tools",
            "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
        },
        {"type": "web_search", "external_web_access": True},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "high", "summary": "auto", "context": "all_turns"},
    "text": {"verbosity": "low"},
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "thread-1",
    "client_metadata": {"x-codex-installation-id": "1"},
    "store": False,
    "stream": True,
}

BODIES: dict[str, dict[str, Any]] = {
    "codex": CODEX,
    "settings": {
        "model": "m",
        "input": [{"type": "message", "role": "user", "content": "x"}],
        "max_output_tokens": 99,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_logprobs": 3,
        "service_tier": "flex",
        "metadata": {"a": "b"},
        "user": "u",
        "truncation": "auto",
        "background": True,
        "previous_response_id": "resp_1",
        "conversation": {"id": "conv_1"},
        "max_tool_calls": 3,
        "prompt": {"id": "pmpt_1"},
        "stream_options": {"include_obfuscation": False},
        "include": ["message.output_text.logprobs", "web_search_call.action.sources"],
        "presence_penalty": 0.1,
        "prompt_cache_options": {"ttl": "30m"},
        "something_new": [1],
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
        "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "mcp", "server_label": "s"}]},
    },
    "both user fields": {"model": "m", "input": [], "user": "u", "safety_identifier": "s", "truncation": "disabled"},
    "content": {
        "model": "m",
        "input": [
            {
                "type": "message",
                "role": "user",
                "id": "msg_1",
                "status": "completed",
                "content": [
                    {
                        "type": "input_text",
                        "text": "see",
                        "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"},
                    },
                    {"type": "input_image", "file_id": "file_1", "detail": "original"},
                    {"type": "input_image", "image_url": "https://x/y.png"},
                    {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"},
                    {"type": "input_file", "file_url": "https://x/y.pdf"},
                    {"type": "input_file", "file_data": "AAAA", "filename": "bare.bin"},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
                    {"type": "input_new", "thing": 1},
                ],
            },
            {
                "type": "message",
                "role": "assistant",
                "id": "msg_2",
                "status": "incomplete",
                "content": [
                    {
                        "type": "output_text",
                        "text": "a",
                        "annotations": [
                            {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1},
                            {"type": "file_path", "file_id": "f", "index": 0},
                        ],
                        "logprobs": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}],
                    },
                    {"type": "refusal", "refusal": "no"},
                ],
            },
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "one", "annotations": []}],
                "phase": "commentary",
            },
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "two", "annotations": []}],
                "phase": "final_answer",
            },
        ],
    },
    "items": {
        "model": "m",
        "input": [
            {"type": "item_reference", "id": "msg_9"},
            {"type": "compaction", "encrypted_content": "gAAA"},
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
            },
            {
                "type": "reasoning",
                "id": "rs_2",
                "summary": [{"type": "summary_text", "text": "s"}],
                "content": [{"type": "reasoning_text", "text": "raw"}],
            },
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "c1",
                "name": "f",
                "arguments": "{}",
                "status": "completed",
                "namespace": "unlisted",
                "caller": {"type": "direct"},
            },
            {"type": "function_call_output", "id": "fco_1", "call_id": "c1", "output": "", "status": "completed"},
            {"type": "computer_call_output", "call_id": "c4", "output": {"type": "computer_screenshot"}},
            {"type": "tool_search_call", "call_id": "c5", "execution": "client", "arguments": {"query": "cal"}},
            {
                "type": "tool_search_output",
                "call_id": "c5",
                "execution": "client",
                "status": "completed",
                "tools": [
                    {
                        "type": "namespace",
                        "name": "cal",
                        "description": "d",
                        "tools": [{"type": "function", "name": "add", "parameters": {"type": "object"}}],
                    }
                ],
            },
            {"type": "function_call", "call_id": "c6", "name": "add", "arguments": "{}", "namespace": "cal"},
            {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "late"}]},
            {"type": "mcp_approval_response", "approval_request_id": "a", "approve": True},
        ],
    },
}


def test_the_module_has_the_shape_of_a_dialect() -> None:
    module: Dialect = dialect
    assert module.NAME == "openai-responses"
    assert module.path("any", True) == "/responses"


@pytest.mark.parametrize("name", BODIES)
def test_writing_what_was_read_gives_it_back(name: str) -> None:
    assert rewritten(BODIES[name]) == BODIES[name]


def test_a_string_input_and_easy_messages_mean_the_same_as_the_long_form() -> None:
    easy = read({"model": "m", "input": "hi"})
    long = read({"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]})
    assert easy.messages == long.messages == [Message(role="user", parts=[Text(text="hi")])]


def test_a_codex_turn_is_one_assistant_message_and_one_of_results() -> None:
    roles = [message.role for message in read(CODEX).messages]
    assert roles == ["system", "developer", "user", "assistant", "user", "assistant", "user", "assistant", "user"]
    turn = read(CODEX).messages[3].parts
    assert [type(part) for part in turn] == [Reasoning, Text, ToolCall, ToolCall]
    assert [part.call_id for part in read(CODEX).messages[4].parts if isinstance(part, ToolResult)] == [
        "call_1",
        "call_2",
    ]


def test_a_codex_request_reaches_a_foreign_model_with_plain_names() -> None:
    request = read(CODEX)
    callable_tools = {tool.name: tool.kind for tool in request.tools if tool.kind != "provider"}
    assert callable_tools == {
        "exec_command": "function",
        "apply_patch": "custom",
        "mcp__docs__search": "function",
        "mcp__docs__open": "function",
        "tool_search": "function",
    }
    calls = [part.name for message in request.messages for part in message.parts if isinstance(part, ToolCall)]
    assert calls == ["exec_command", "mcp__docs__search", "apply_patch"]


def test_only_what_is_really_lost_counts_as_unknown() -> None:
    assert read(CODEX).extra == {"client_metadata": {"x-codex-installation-id": "1"}}
    assert read(CODEX).store is None


def test_tools_that_a_search_found_can_be_called_by_a_foreign_model_and_are_listed_once() -> None:
    request = read(BODIES["items"])
    assert [tool.name for tool in request.tools] == ["cal__add", "late"]
    results = [part for message in request.messages for part in message.parts if isinstance(part, ToolResult)]
    assert results[-1].content == [Text(text="Tools found: cal__add")]


def test_long_namespaces_still_give_a_name_that_every_dialect_takes() -> None:
    tool = {"type": "function", "name": "f" * 60, "parameters": {}}
    body = {
        "model": "m",
        "input": "x",
        "tools": [{"type": "namespace", "name": "n" * 60, "description": "", "tools": [tool]}],
    }
    assert len(read(body).tools[0].name) <= 64
    assert rewritten(body)["tools"] == body["tools"]


@pytest.mark.parametrize(
    ("choice", "canon"),
    [
        ("none", ToolChoice(mode="none")),
        ("required", ToolChoice(mode="required")),
        ({"type": "function", "name": "open"}, ToolChoice(mode="tool", names=["mcp__docs__open"])),
        ({"type": "custom", "name": "apply_patch"}, ToolChoice(mode="tool", names=["apply_patch"])),
        ({"type": "web_search"}, ToolChoice(mode="tool", names=["web_search"])),
        ({"type": "mcp", "server_label": "s", "name": "n"}, ToolChoice(mode="tool", names=["mcp"])),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "search"}]},
            ToolChoice(mode="auto", names=["mcp__docs__search"]),
        ),
    ],
)
def test_every_tool_choice_reads_and_comes_back(choice: Any, canon: ToolChoice) -> None:
    body = {**CODEX, "tool_choice": choice}
    found = read(body).tool_choice
    assert found is not None
    assert msgspec.structs.replace(found, raw=None) == canon
    assert rewritten(body)["tool_choice"] == choice


def test_settings_find_their_canon_names() -> None:
    request = ask(
        reasoning={"effort": "none"},
        text={"format": {"type": "json_object"}, "verbosity": "high"},
        include=["message.output_text.logprobs"],
        safety_identifier="u",
        prompt_cache_key="k",
        instructions="be",
    )
    assert request.thinking == Thinking(mode="off", effort="none")
    assert request.output == OutputFormat(kind="json")
    assert (request.verbosity, request.logprobs, request.user, request.cache_key) == ("high", True, "u", "k")
    assert request.messages[0] == Message(role="system", parts=[Text(text="be")], id="instructions")


def test_an_image_by_value_is_read_by_value() -> None:
    parts = read(BODIES["content"]).messages[0].parts
    assert parts[0] == Text(text="see", cache=CacheMark(ttl="30m"))
    assert parts[3] == Media(kind="document", mime="application/pdf", data="AAAA", name="a.pdf")
    assert parts[6] == Media(kind="audio", mime="audio/mpeg", data="AAAA")
    assert parts[7] == Opaque(dialect="openai-responses", kind="input_new", data={"type": "input_new", "thing": 1})


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"model": 3}, "model"),
        ({"input": None}, "input"),
        ({"input": 3}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"text": "x"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0]"),
        ({"input": [{"type": "function_call", "name": "f", "call_id": "c"}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        ({"input": [{}]}, "input[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": {}}, "tools"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"stream": "yes"}, "stream"),
        ({"max_output_tokens": "many"}, "max_output_tokens"),
    ],
)
def test_a_malformed_request_is_refused_with_the_path(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(Malformed) as caught:
        ask(**fields)
    assert caught.value.path == path


def test_a_foreign_request_is_not_stored_and_asks_for_encrypted_reasoning() -> None:
    request = Request(
        dialect="anthropic",
        model="gpt-6-sol",
        max_output_tokens=1,
        top_k=3,
        thinking=Thinking(budget=8000, visible=True),
        messages=[
            Message(role="system", parts=[Text(text="be", cache=CacheMark())]),
            Message(role="user", parts=[Text(text="hi")]),
            Message(
                role="assistant",
                parts=[
                    Reasoning(text="hm", signature="s", dialect="anthropic"),
                    Text(text="calling"),
                    ToolCall(id="toolu_1", name="f", arguments=""),
                ],
            ),
            Message(
                role="user",
                parts=[
                    ToolResult(
                        call_id="toolu_1", content=[Media(kind="image", mime="image/png", data="AA")], is_error=True
                    ),
                    Text(text="and?"),
                ],
            ),
        ],
        tools=[
            Tool(name="f", parameters={"type": "object"}),
            Tool(name="web_search", kind="provider", dialect="anthropic", raw={}),
        ],
        tool_choice=ToolChoice(mode="tool", names=["f"]),
        extra={"mcp_servers": []},
    )
    written = dialect.write_request(request, Quirks())
    assert written.body == {
        "model": "gpt-6-sol",
        "input": [
            {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "be"}]},
            {"type": "message", "role": "user", "content": "hi"},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "calling", "annotations": []}],
            },
            {"type": "function_call", "call_id": "toolu_1", "name": "f", "arguments": "{}"},
            {
                "type": "function_call_output",
                "call_id": "toolu_1",
                "output": [{"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "auto"}],
            },
            {"type": "message", "role": "user", "content": "and?"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}],
        "tool_choice": {"type": "function", "name": "f"},
        "max_output_tokens": 16,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    assert sorted(written.lossy) == [
        "max_output_tokens",
        "mcp_servers",
        "messages.cache",
        "messages.is_error",
        "reasoning",
        "tools.web_search",
        "top_k",
    ]


def test_its_own_reasoning_goes_back_exactly_from_a_foreign_client() -> None:
    own = Reasoning(text="plan", summary=True, encrypted="gAAA", id="rs_1", dialect="openai-responses")
    idle = Reasoning(id="rs_2", dialect="openai-responses")
    request = Request(
        dialect="openai-chat", model="o4-mini", messages=[Message(role="assistant", parts=[own, idle, Text(text="so")])]
    )
    written = dialect.write_request(request, Quirks())
    assert written.body["input"][:-1] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "plan"}],
            "encrypted_content": "gAAA",
        }
    ]
    assert written.lossy == []


def test_thinking_that_led_to_nothing_is_left_out() -> None:
    own = Reasoning(text="plan", summary=True, encrypted="gAAA", id="rs_1", dialect="openai-responses")
    messages = [Message(role="assistant", parts=[own]), Message(role="user", parts=[Text(text="go on")])]
    written = dialect.write_request(Request(dialect="anthropic", model="o3", messages=messages), Quirks())
    assert [item["type"] for item in written.body["input"]] == ["message"]
    assert written.lossy == ["reasoning"]


def test_a_foreign_schema_is_not_made_strict() -> None:
    output = OutputFormat(kind="json_schema", schema={"type": "object"})
    body = dialect.write_request(Request(dialect="gemini", model="m", output=output), Quirks()).body
    assert body["text"]["format"] == {
        "type": "json_schema",
        "name": "output",
        "schema": {"type": "object"},
        "strict": False,
    }


def test_a_model_that_does_not_reason_is_not_asked_to() -> None:
    request = Request(dialect="openai-chat", model="gpt-4.1", thinking=Thinking(effort="high"))
    written = dialect.write_request(request, Quirks())
    assert "include" not in written.body
    assert "reasoning" not in written.body
    assert written.lossy == ["thinking"]


@pytest.mark.parametrize(
    ("model", "effort"), [("gpt-5-mini", "minimal"), ("o3", "low"), ("gpt-5.6-sol", "none"), ("gpt-4o", None)]
)
def test_thinking_off_is_said_as_each_model_takes_it(model: str, effort: str | None) -> None:
    request = Request(dialect="anthropic", model=model, thinking=Thinking(mode="off"))
    body = dialect.write_request(request, Quirks()).body
    assert body.get("reasoning", {}).get("effort") == effort


def test_forcing_another_dialects_own_tool_is_unsayable() -> None:
    tool = Tool(name="web_search", kind="provider", dialect="anthropic", raw={})
    choice = ToolChoice(mode="tool", names=["web_search"])
    with pytest.raises(Unsayable, match="web_search"):
        dialect.write_request(Request(dialect="anthropic", tools=[tool], tool_choice=choice), Quirks())


def test_what_a_provider_refuses_is_dropped_and_named() -> None:
    written = dialect.write_request(ask(prompt_cache_key="k"), Quirks(refuses=frozenset({"prompt_cache_key"})))
    assert "prompt_cache_key" not in written.body
    assert written.lossy == ["prompt_cache_key"]


def test_sealed_thinking_and_signatures_are_unpacked() -> None:
    thought = Reasoning(text="hm", signature="s", dialect="anthropic")
    signed = ToolCall(id="c1", signature="g", dialect="gemini")
    request = ask(
        input=[
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "hm"}],
                "encrypted_content": seal([thought]),
            },
            {"type": "message", "role": "assistant", "content": "well"},
            {
                "type": "reasoning",
                "id": "rs_2",
                "summary": [],
                "encrypted_content": seal([Text(signature="t", dialect="gemini")]),
            },
            {"type": "reasoning", "id": "rs_3", "summary": [], "encrypted_content": seal([signed])},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "reasoning", "id": "rs_4", "summary": [], "encrypted_content": "DgmSeal1broken"},
        ]
    )
    assert request.messages == [
        Message(
            role="assistant",
            parts=[
                thought,
                Text(text="well", signature="t", dialect="gemini"),
                ToolCall(id="c1", name="f", arguments="{}", signature="g", dialect="gemini"),
            ],
        )
    ]


def test_a_sealed_compaction_is_the_text_it_holds() -> None:
    request = ask(input=[{"type": "compaction", "encrypted_content": seal([Text(text="so far")])}])
    assert request.messages == [Message(role="user", parts=[Text(text="so far")])]


WORDS = st.text(max_size=8)
ITEMS = st.one_of(
    st.builds(
        lambda role, text: {"type": "message", "role": role, "content": text},
        st.sampled_from(["user", "developer", "system"]),
        WORDS,
    ),
    st.builds(
        lambda text, n: {
            "type": "message",
            "role": "assistant",
            "id": f"msg_{n}",
            "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        },
        WORDS,
        st.integers(0, 3),
    ),
    st.builds(
        lambda text: {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        },
        WORDS,
    ),
    st.builds(
        lambda texts, secret: {
            "type": "reasoning",
            "id": "rs_1",
            "encrypted_content": secret,
            "summary": [{"type": "summary_text", "text": text} for text in texts],
        },
        st.lists(st.text(min_size=1), max_size=3),
        WORDS,
    ),
    st.builds(
        lambda name, space: {
            "type": "function_call",
            "call_id": "c",
            "name": name,
            "arguments": "{}",
            **({"namespace": space} if space else {}),
        },
        st.sampled_from(["f", "g"]),
        st.sampled_from(["", "n", "functions", "other"]),
    ),
    st.builds(lambda text: {"type": "custom_tool_call", "call_id": "d", "name": "p", "input": text}, WORDS),
    st.builds(lambda text: {"type": "function_call_output", "call_id": "c", "output": text}, WORDS),
    st.builds(
        lambda kind: {"type": kind, "id": "x_1", "new": [1]},
        st.sampled_from(["web_search_call", "shell_call_output", "item_reference", "future_thing"]),
    ),
)
TOOLS = [
    {"type": "function", "name": "f", "strict": True, "parameters": {}},
    {"type": "namespace", "name": "n", "description": "d", "tools": [{"type": "function", "name": "f"}]},
    {"type": "custom", "name": "p"},
]


@settings(max_examples=200)
@given(st.lists(ITEMS, max_size=8))
def test_any_history_comes_back_as_it_was(items: list[dict[str, Any]]) -> None:
    body = {"model": "m", "input": items, "tools": TOOLS}
    assert rewritten(body)["input"] == items


def test_an_unsent_field_stays_unsent() -> None:
    assert json.dumps(rewritten({"model": "m", "input": []})) == '{"model": "m", "input": []}'
