"""What a request needs is read off it."""

import json
from typing import Any

import pytest

from dragoman import dialects
from dragoman.routing.needs import PROMPT_LIMIT, Needs, read_needs

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def needs(*messages: Any, **fields: Any) -> Needs:
    body = {"model": "auto", "messages": list(messages) or [user("hello")]} | fields
    return read(body)


def read(body: dict[str, Any], dialect: str = "openai-chat") -> Needs:
    return read_needs(dialects.client(dialect).read_request(json.loads(json.dumps(body))))


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
FILE = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (needs, ()),
        (lambda: needs(tools=[TOOL]), ("tools",)),
        (lambda: needs(user([IMAGE])), ("vision",)),
        (lambda: needs(user([SOUND])), ("audio",)),
        (lambda: needs(user([FILE])), ("documents",)),
        (lambda: needs(response_format=SCHEMA), ("json_schema",)),
        (lambda: needs(response_format={"type": "json_object"}), ()),
        (lambda: needs(reasoning_effort="high"), ("reasoning",)),
        (lambda: needs(reasoning_effort="none"), ()),
        (lambda: needs(modalities=["text", "audio"], audio={"voice": "a", "format": "wav"}), ("audio",)),
        (lambda: needs(user([IMAGE, SOUND]), tools=[TOOL]), ("audio", "tools", "vision")),
    ],
)
def test_capabilities(made: Any, expected: tuple[str, ...]) -> None:
    assert made().capabilities == expected


def test_anthropics_thinking_needs_reasoning() -> None:
    body = {"model": "auto", "max_tokens": 5000, "messages": [user("hi")]}
    for thinking, expected in (
        ({"type": "enabled", "budget_tokens": 2000}, ("reasoning",)),
        ({"type": "disabled"}, ()),
    ):
        found = read(body | {"thinking": thinking}, "anthropic")
        assert (found.capabilities, found.max_output_tokens) == (expected, 5000)


CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}


def test_the_stage_in_a_tool_loop() -> None:
    result = {"role": "tool", "tool_call_id": "c1", "content": "42"}
    assert needs(user("hi")).stage == "asking"
    assert needs(user("hi"), tools=[TOOL]).stage == "planning"
    assert needs(user("hi"), CALL, result, tools=[TOOL]).stage == "executing"
    assert needs(user("hi"), CALL, result, user("and now?"), CALL, result, tools=[TOOL]).stage == "executing"
    answered = {"role": "assistant", "content": "it is 42"}
    assert needs(user("hi"), CALL, result, answered, user("thanks. again?"), tools=[TOOL]).stage == "planning"


def test_a_tools_error_is_recovered_from() -> None:
    use = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "no such file", "is_error": True}
    body = {
        "model": "auto", "max_tokens": 9, "messages": [user("hi"), use, user([result])],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    }  # fmt: skip
    assert read(body, "anthropic").stage == "recovering"


def test_the_prompt_is_the_last_thing_a_person_said() -> None:
    found = needs({"role": "system", "content": "be brief"}, user("first"), CALL, user("second"), tools=[TOOL])
    assert found.prompt == "second"
    assert found.input_tokens > needs(user("x")).input_tokens


def test_of_a_long_prompt_the_predictor_sees_both_ends() -> None:
    found = needs(user("a" * 9000 + "b" * 9000)).prompt
    assert found.startswith("aaa") and found.endswith("bbb") and len(found) < PROMPT_LIMIT + 10


def test_turns_of_one_conversation_are_one_thread_and_other_conversations_are_not() -> None:
    first = needs({"role": "system", "content": "s"}, user("hello"))
    later = needs(
        {"role": "system", "content": "s"}, user("hello"), {"role": "assistant", "content": "hi"}, user("so?")
    )
    other = needs({"role": "system", "content": "t"}, user("hello"))
    assert first.thread == later.thread != other.thread
    assert (first.goes_on, later.goes_on) == (False, True)
    assert first.digest != later.digest
