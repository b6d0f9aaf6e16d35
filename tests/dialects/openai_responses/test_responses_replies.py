import json
from pathlib import Path
from typing import Any

import llm_comply
import pytest
from llm_comply.schema import SpecLoader
from responses_wire import ask, read, response

from dragoman.canon import (
    Choice,
    Citation,
    Failure,
    FinishReason,
    Opaque,
    Reasoning,
    Refusal,
    Reply,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
)
from dragoman.dialects import openai_responses as dialect
from dragoman.dialects.fields import Malformed
from dragoman.dialects.seal import seal, unseal

SPEC = SpecLoader(str(Path(llm_comply.__file__).parent / "specs" / "openresponses.json"))

WIRE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1764967971,
    "status": "completed",
    "model": "gpt-6-sol-2026",
    "output": [
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
            "encrypted_content": "gA",
        },
        {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
        {
            "id": "msg_1",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "phase": "final_answer",
            "content": [
                {
                    "type": "output_text",
                    "text": "hi",
                    "annotations": [
                        {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 2}
                    ],
                    "logprobs": [{"token": "hi", "logprob": -1.0, "bytes": [104, 105], "top_logprobs": []}],
                }
            ],
        },
        {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "c1", "name": "f", "arguments": ""},
        {
            "id": "ctc_1",
            "type": "custom_tool_call",
            "status": "completed",
            "call_id": "c2",
            "name": "p",
            "input": "x",
            "namespace": "n",
        },
    ],
    "usage": {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 15,
    },
    "service_tier": "default",
    "tools": [],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "error": None,
    "tool_usage": {"web_search": {"num_requests": 1}},
}


def test_a_providers_reply_reads_whole() -> None:
    reply = dialect.read_reply(json.dumps(WIRE).encode())
    note = WIRE["output"][2]["content"][0]["annotations"][0]
    citation = Citation(url="u", title="t", start=0, end=2, dialect="openai-responses", raw=note)
    assert reply == Reply(
        dialect="openai-responses",
        id="resp_1",
        model="gpt-6-sol-2026",
        created=1764967971,
        service_tier="default",
        choices=[
            Choice(
                finish="tool_calls",
                raw_finish="completed",
                parts=[
                    Reasoning(text="a\n\nb", summary=True, encrypted="gA", id="rs_1", dialect="openai-responses"),
                    Opaque(dialect="openai-responses", kind="web_search_call", data=WIRE["output"][1]),
                    Text(
                        text="hi",
                        id="msg_1",
                        citations=[citation],
                        extra={"phase": "final_answer"},
                        logprobs=[TokenLogprob(token="hi", logprob=-1.0, bytes=[104, 105])],
                    ),
                    ToolCall(id="c1", name="f", arguments="{}", item_id="fc_1"),
                    ToolCall(
                        id="c2",
                        name="n__p",
                        arguments="x",
                        kind="custom",
                        item_id="ctc_1",
                        extra={"name": "p", "namespace": "n"},
                    ),
                ],
            )
        ],
        usage=Usage(input=10, output=5, cached=4, cache_write=2, reasoning=3),
        extra={"tool_usage": {"web_search": {"num_requests": 1}}},
    )


def test_a_reply_of_the_same_dialect_comes_out_as_it_went_in() -> None:
    reply = dialect.read_reply(json.dumps(WIRE).encode())
    written = json.loads(dialect.write_reply(reply, ask()))
    output = json.loads(json.dumps(WIRE["output"]))
    output[0]["summary"] = [{"type": "summary_text", "text": "a\n\nb"}]
    output[3]["arguments"] = "{}"
    assert written["output"] == output
    assert written["usage"] == WIRE["usage"]
    assert written["tool_usage"] == WIRE["tool_usage"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"status":"completed"}',
        b'{"output":null,"usage":null,"created_at":null}',
        b'{"output":[{},{"type":"message"}]}',
        b'{"output":[{"type":"message","content":[{"type":"output_text"}]},3],"usage":{"input_tokens":null}}',
    ],
)
def test_missing_fields_of_a_reply_never_crash(body: bytes) -> None:
    assert dialect.read_reply(body).dialect == "openai-responses"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"choices":[]}'])
def test_what_is_no_response_object_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        dialect.read_reply(body)


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("pause", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("context_length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
        ("refusal", "incomplete", "content_filter"),
    ],
)
def test_every_finish_has_its_status(finish: FinishReason, status: str, reason: str | None) -> None:
    written = response(Reply(dialect="anthropic", id="x", choices=[Choice(parts=[Text(text="a")], finish=finish)]))
    assert written["status"] == status == written["output"][-1]["status"]
    assert (written["incomplete_details"] or {}).get("reason") == reason


@pytest.mark.parametrize(
    ("status", "details", "finish"),
    [
        ("incomplete", {"reason": "max_output_tokens"}, "length"),
        ("incomplete", {"reason": "content_filter"}, "content_filter"),
        ("incomplete", None, "length"),
        ("failed", None, "error"),
        ("completed", None, "stop"),
    ],
)
def test_every_status_has_its_finish(status: str, details: Any, finish: str) -> None:
    body = json.dumps({"status": status, "incomplete_details": details, "output": []}).encode()
    assert dialect.read_reply(body).choices[0].finish == finish


def test_a_refusal_in_words_is_a_completed_response() -> None:
    written = response(Reply(dialect="openai-chat", choices=[Choice(parts=[Refusal(text="no")], finish="refusal")]))
    assert written["status"] == "completed"
    assert written["output"][0]["content"] == [{"type": "refusal", "refusal": "no"}]


def test_a_failed_reply_keeps_the_providers_error() -> None:
    error = {"code": "server_error", "message": "boom"}
    reply = dialect.read_reply(json.dumps({"status": "failed", "output": [], "error": error}).encode())
    assert response(reply)["error"] == error


def test_the_response_repeats_its_request() -> None:
    written = response(
        Reply(dialect="anthropic", id="msg_01", model="claude", created=7, service_tier="standard"),
        instructions="be brief",
        temperature=0.2,
        max_output_tokens=50,
        tool_choice="required",
        metadata={"a": "b"},
        reasoning={"effort": "low"},
        text={"format": {"type": "json_schema", "name": "n", "schema": {}}},
        tools=[{"type": "function", "name": "f"}, {"type": "web_search"}],
        previous_response_id="resp_0",
        parallel_tool_calls=False,
        store=False,
        safety_identifier="s",
        prompt_cache_key="k",
    )
    told = {
        "id": "resp_msg_01",
        "model": "claude",
        "created_at": 7,
        "instructions": "be brief",
        "temperature": 0.2,
        "max_output_tokens": 50,
        "tool_choice": "required",
        "metadata": {"a": "b"},
        "previous_response_id": "resp_0",
        "parallel_tool_calls": False,
        "store": False,
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "reasoning": {"effort": "low", "summary": None},
        "service_tier": "default",
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": False, "description": None}},
        "tools": [
            {"type": "function", "name": "f", "description": None, "parameters": None, "strict": True},
            {"type": "web_search"},
        ],
    }
    assert {key: written[key] for key in told} == told


def test_a_plain_response_meets_the_open_responses_specification() -> None:
    reply = Reply(
        dialect="anthropic",
        id="msg_01",
        model="claude",
        created=7,
        usage=Usage(input=1, output=2),
        choices=[
            Choice(
                parts=[
                    Reasoning(text="hm", dialect="anthropic"),
                    Text(text="hi"),
                    ToolCall(id="t", name="f", arguments='{"a":1}'),
                ],
                finish="tool_calls",
            )
        ],
    )
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object"}}]
    assert SPEC.validate(response(reply, tools=tools), "ResponseResource") == []


def test_ids_are_made_from_the_replys_id_and_the_place() -> None:
    parts = [Reasoning(text="hm", dialect="anthropic"), Text(text="a"), ToolCall(name="f"), ToolCall(id="t", name="g")]
    output = response(Reply(dialect="ollama", id="x y", choices=[Choice(parts=parts)]))["output"]
    assert [item["id"] for item in output] == ["rs_x_y_0", "msg_x_y_1", "fc_x_y_2", "fc_x_y_3"]
    assert [item["call_id"] for item in output[2:]] == ["call_x_y_2", "t"]
    assert output[2]["arguments"] == "{}"


def test_ids_stay_within_the_apis_64_characters() -> None:
    for reply_id in ("x" * 200, "resp_" + "y" * 200):
        output = response(Reply(dialect="bedrock", id=reply_id, choices=[Choice(parts=[Text(text="a")])]))["output"]
        assert len(output[0]["id"]) <= 64


def test_foreign_thinking_is_shown_and_survives_the_client() -> None:
    thought = Reasoning(text="hm", signature="s", dialect="anthropic")
    signed = ToolCall(id="c1", name="f", arguments="{}", signature="g", dialect="gemini")
    said = Text(text="ok", signature="t", dialect="gemini")
    output = response(Reply(dialect="anthropic", id="r", choices=[Choice(parts=[thought, said, signed])]))["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "reasoning", "reasoning", "function_call"]
    assert output[0]["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert unseal(output[0]["encrypted_content"]) == [thought]
    parts = ask(input=output).messages[0].parts
    assert parts[0] == thought
    assert isinstance(parts[1], Text) and (parts[1].signature, parts[1].dialect) == ("t", "gemini")
    assert isinstance(parts[2], ToolCall) and (parts[2].signature, parts[2].dialect) == ("g", "gemini")


def test_a_call_comes_back_in_the_clients_own_form() -> None:
    tools = [
        {"type": "custom", "name": "apply_patch"},
        {"type": "namespace", "name": "mcp", "description": "", "tools": [{"type": "function", "name": "f"}]},
        {"type": "tool_search", "execution": "client", "parameters": {}},
    ]
    calls = [
        ToolCall(id="1", name="apply_patch", arguments='{"input":"*** Begin"}'),
        ToolCall(id="2", name="mcp__f"),
        ToolCall(id="3", name="tool_search", arguments='{"query":"x"}'),
        ToolCall(id="4", name="unknown"),
    ]
    output = response(Reply(dialect="gemini", id="r", choices=[Choice(parts=[*calls])]), tools=tools)["output"]
    for item in output:
        del item["id"], item["status"], item["call_id"]
    assert output == [
        {"type": "custom_tool_call", "name": "apply_patch", "input": "*** Begin"},
        {"type": "function_call", "name": "f", "namespace": "mcp", "arguments": "{}"},
        {"type": "tool_search_call", "execution": "client", "arguments": {"query": "x"}},
        {"type": "function_call", "name": "unknown", "arguments": "{}"},
    ]


def test_a_call_in_the_default_namespace_goes_by_its_bare_name() -> None:
    tools = [
        {"type": "namespace", "name": "functions", "description": "", "tools": [{"type": "custom", "name": "exec"}]}
    ]
    call = ToolCall(id="1", name="exec", arguments='{"input":"ls"}')
    item = response(Reply(dialect="gemini", id="r", choices=[Choice(parts=[call])]), tools=tools)["output"][0]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "exec", "ls")
    assert "namespace" not in item


def test_foreign_citations_become_annotations() -> None:
    text = Text(
        text="hello",
        citations=[
            Citation(url="u", dialect="anthropic", raw={"x": 1}),
            Citation(kind="file", file_id="f", title="n", end=3),
            Citation(kind="document", cited_text="only here"),
        ],
    )
    output = response(Reply(dialect="anthropic", choices=[Choice(parts=[text])]))["output"]
    assert output[0]["content"][0]["annotations"] == [
        {"type": "url_citation", "url": "u", "title": "u", "start_index": 0, "end_index": 5},
        {"type": "file_citation", "file_id": "f", "filename": "n", "index": 3},
    ]


def test_what_other_dialects_only_can_say_is_left_out() -> None:
    parts = [Opaque(dialect="anthropic", kind="server_tool_use", data={}), Text(text="a")]
    output = response(Reply(dialect="anthropic", choices=[Choice(parts=parts)]))["output"]
    assert [item["type"] for item in output] == ["message"]


@pytest.mark.parametrize(
    ("status", "body", "kind", "shown"),
    [
        (400, {"code": "context_length_exceeded"}, "context_length", 400),
        (400, {"code": "unknown_parameter"}, "bad_request", 400),
        (401, {}, "unauthorized", 401),
        (403, {}, "forbidden", 403),
        (404, {"code": "model_not_found"}, "unknown_model", 404),
        (404, {}, "not_found", 404),
        (429, {"code": "insufficient_quota"}, "rate_limited", 429),
        (500, {"code": "server_error"}, "upstream_error", 502),
        (500, {}, "upstream_error", 502),
        (503, {}, "overloaded", 503),
        (418, {}, "upstream_error", 418),
        (504, {}, "upstream_timeout", 504),
    ],
)
def test_a_providers_error_finds_its_kind(status: int, body: dict[str, str], kind: str, shown: int) -> None:
    error = {"message": "why", "type": "some_error", "param": "input", **body}
    failure = dialect.read_error(status, json.dumps({"error": error}).encode())
    assert (failure.kind, failure.status, failure.message) == (kind, shown, "why")
    assert json.loads(dialect.write_error(failure))["error"]["type"] == "some_error"


@pytest.mark.parametrize(
    "body", [b"", b"<html>bad gateway</html>", b'{"error":', b"[]", b'{"error":null}', b'"x"', b"\xff"]
)
def test_an_error_body_of_any_kind_is_read(body: bytes) -> None:
    failure = dialect.read_error(502, body)
    assert (failure.kind, failure.status) == ("upstream_error", 502)
    assert "502" in failure.message


def test_our_own_failures_have_the_apis_words() -> None:
    failure = Failure(kind="rate_limited", message="slow down", status=429)
    assert json.loads(dialect.write_error(failure)) == {
        "error": {"message": "slow down", "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"}
    }


def test_a_seal_in_a_providers_reply_is_only_text() -> None:
    """What a model says cannot pass for our seal: only a client's own items are unpacked."""
    body = {
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": seal([Text(text="x")])}]}],
    }
    part = dialect.read_reply(json.dumps(body).encode()).choices[0].parts[0]
    assert isinstance(part, Text) and part.text.startswith("DgmSeal1")
    assert read({"model": "m", "input": part.text}).messages[0].parts == [Text(text=part.text)]
