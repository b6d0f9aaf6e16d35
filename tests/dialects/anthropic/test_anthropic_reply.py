"""Whole replies, errors, counts and the relay lane."""

import copy
import json

import msgspec
import pytest
from anthropic.types import Message as SdkMessage
from anthropic.types import MessageTokensCount
from anthropic.types.shared import ErrorResponse

from dragoman.canon import (
    Choice,
    Citation,
    Failure,
    Media,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Reply,
    Request,
    Text,
    Tool,
    ToolCall,
    Usage,
)
from dragoman.dialects import anthropic
from dragoman.dialects.dialect import Seen
from dragoman.dialects.estimate import estimate
from dragoman.dialects.fields import Malformed
from dragoman.dialects.quirks import Quirks
from dragoman.dialects.seal import unseal
from dragoman.dialects.thinking import BUDGETS, budget_for, effort_for

ASK = Request(dialect="anthropic", model="m")
WHOLE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [
        {"type": "thinking", "thinking": "hmm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {
            "type": "text",
            "text": "so",
            "citations": [
                {
                    "type": "web_search_result_location",
                    "cited_text": "c",
                    "encrypted_index": "e",
                    "title": "t",
                    "url": "https://u",
                }
            ],
        },
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}, "caller": {"type": "direct"}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "stop_details": None,
    "container": {"id": "c", "expires_at": "2026-11-23T00:00:00Z"},
    "usage": {
        "input_tokens": 10,
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 100,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
        "output_tokens": 20,
        "output_tokens_details": {"thinking_tokens": 5},
        "service_tier": "standard",
        "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0},
        "inference_geo": "eu",
    },
}


def reply_of(*parts, finish="stop", dialect="openai-chat", **fields) -> Reply:
    choice = Choice(parts=list(parts), finish=finish)
    return Reply(dialect=dialect, id="r1", model="m", choices=[choice], **fields)


def wrote(reply: Reply):
    body = json.loads(anthropic.write_reply(reply, ASK))
    SdkMessage.model_validate(body)
    return body


def test_a_reply_is_written_as_it_was_read():
    assert wrote(anthropic.read_reply(json.dumps(WHOLE).encode())) == WHOLE


def test_usage_counts_cached_tokens_inside_the_total_here_and_beside_it_there():
    usage = anthropic.read_reply(json.dumps(WHOLE).encode()).usage
    assert (usage.input, usage.cached, usage.cache_write, usage.cache_write_1h) == (117, 100, 7, 4)
    assert (usage.output, usage.reasoning) == (20, 5)
    said = wrote(reply_of(usage=Usage(input=117, cached=100, output=3)))["usage"]
    assert (said["input_tokens"], said["cache_read_input_tokens"]) == (17, 100)


@pytest.mark.parametrize(
    "body",
    [
        {"content": [{"type": "text"}, {"type": "tool_use"}, {"type": "thinking", "thinking": None}, 3, {}]},
        {"content": [], "usage": {"input_tokens": None, "cache_creation": None, "x": 1}, "stop_reason": None},
    ],
)
def test_a_sloppy_reply_is_still_read(body):
    wrote(anthropic.read_reply(json.dumps(body).encode()))


def test_a_stop_reason_of_tomorrow_reads_as_a_stop_and_goes_on_as_it_is():
    reply = anthropic.read_reply(b'{"content": [], "stop_reason": "brand_new"}')
    assert reply.choices[0].finish == "stop"
    assert json.loads(anthropic.write_reply(reply, ASK))["stop_reason"] == "brand_new"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"content": "x"}'])
def test_what_is_no_reply_is_malformed(body):
    with pytest.raises(Malformed):
        anthropic.read_reply(body)


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
        ("refusal", "refusal"),
        ("context_length", "model_context_window_exceeded"),
        ("pause", "pause_turn"),
        ("error", "end_turn"),
    ],
)
def test_every_finish_has_a_stop_reason(finish, reason):
    assert wrote(reply_of(Text(text="x"), finish=finish))["stop_reason"] == reason


def test_foreign_thinking_is_shown_and_sealed():
    thought = Reasoning(text="hmm", signature="s", id="rs_1", dialect="gemini")
    hidden = Reasoning(encrypted="enc", dialect="openai-responses")
    direct = {"caller": {"type": "direct"}}
    call = ToolCall(id="c", name="f", arguments='{"a":1}', signature="cs", dialect="gemini", extra=direct)
    content = wrote(reply_of(thought, hidden, call, finish="tool_calls"))["content"]
    assert [block["type"] for block in content] == ["thinking", "redacted_thinking", "redacted_thinking", "tool_use"]
    assert unseal(content[0]["signature"]) == [Reasoning(signature="s", id="rs_1", dialect="gemini")]
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": content}]}
    assert anthropic.read_request(body).messages[0].parts == [thought, hidden, call]


def test_what_this_dialect_cannot_show_is_said_as_well_as_it_can():
    content = wrote(
        reply_of(
            Text(text=""),
            Refusal(text="no"),
            Media(kind="audio", data="aa", transcript="spoken"),
            Opaque(dialect="openai-responses", kind="web_search_call", data={}),
            Text(text="t", citations=[Citation(url="https://u", title="T", dialect="openai-chat")]),
        )
    )
    assert [block.get("text") for block in content["content"]] == ["no", "spoken", "t"]
    assert content["content"][2]["citations"][0]["url"] == "https://u"
    assert content["stop_reason"] == "refusal"


def test_text_without_citations_has_an_empty_list_of_them():
    """Vercel's AI SDK refuses a reply in which `citations` is null, the published schema one without the key."""
    said = wrote(
        reply_of(Text(text="hello"), Refusal(text="no"), Text(text="x", citations=[Citation(dialect="gemini")]))
    )
    assert [block["citations"] for block in said["content"]] == [[], [], []]


def test_a_citation_we_made_up_never_reaches_the_provider():
    content = wrote(reply_of(Text(text="t", citations=[Citation(url="https://u", dialect="openai-chat")])))["content"]
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": content}]}
    sent = anthropic.write_request(anthropic.read_request(body), Quirks()).body["messages"][0]["content"]
    assert sent == "t"


@pytest.mark.parametrize(
    ("status", "body", "kind", "shown"),
    [
        (400, {"type": "invalid_request_error", "message": "x"}, "bad_request", 400),
        (400, {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}, "context_length", 400),
        (400, {"type": "invalid_request_error", "message": "Your credit balance is too low"}, "budget_spent", 402),
        (401, {"type": "authentication_error", "message": "x"}, "unauthorized", 401),
        (402, {"type": "billing_error", "message": "x"}, "budget_spent", 402),
        (403, {"type": "permission_error", "message": "x"}, "forbidden", 403),
        (404, {"type": "not_found_error", "message": "model: claude-y"}, "unknown_model", 404),
        (404, {"type": "not_found_error", "message": "no such path"}, "not_found", 404),
        (413, {"type": "request_too_large", "message": "x"}, "too_large", 413),
        (429, {"type": "rate_limit_error", "message": "x"}, "rate_limited", 429),
        (500, {"type": "api_error", "message": "x"}, "upstream_error", 502),
        (500, {"type": "overloaded_error", "message": "x"}, "overloaded", 529),
        (504, {"type": "timeout_error", "message": "x"}, "upstream_timeout", 504),
        (529, {"type": "overloaded_error", "message": "x"}, "overloaded", 529),
        (409, {"type": "conflict_error", "message": "x"}, "bad_request", 409),
    ],
)
def test_errors_are_read_by_status_and_type_and_written_back(status, body, kind, shown):
    failure = anthropic.read_error(status, json.dumps({"type": "error", "error": body}).encode())
    assert (failure.kind, failure.status, failure.message) == (kind, shown, body["message"])
    back = json.loads(anthropic.write_error(failure))
    assert back == {"type": "error", "error": body}


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad gateway</html>", b'{"error": "x"}', b'{"error"', b"[]", b"\xff", b"3"]
)
@pytest.mark.parametrize("status", [400, 429, 502, 503])
def test_any_body_is_an_error_with_a_message(status, body):
    failure = anthropic.read_error(status, body)
    assert failure.message and 400 <= failure.status < 600


@pytest.mark.parametrize(
    ("status", "type"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (429, "rate_limit_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
    ],
)
def test_errors_of_other_dialects_get_the_type_of_their_status(status, type):
    failure = Failure(kind="internal", message="m", status=status, type="server_error", dialect="openai-chat")
    body = json.loads(anthropic.write_error(failure))
    assert body["error"] == {"type": type, "message": "m"}
    ErrorResponse.model_validate(body)


def test_the_relay_lane_replaces_model_and_stream_only():
    fields = msgspec.json.decode(b'{"model":"a","x": [1, 2],"stream":true}', type=dict[str, msgspec.Raw])
    anthropic.retarget(fields, "b", False, Quirks())
    assert msgspec.json.encode(fields) == b'{"model":"b","x":[1, 2],"stream":false}'


def test_the_relay_lane_reads_usage_off_a_whole_reply():
    assert anthropic.usage_of(json.dumps(WHOLE).encode()).input == 117
    assert anthropic.usage_of(b"<html>") is None
    assert anthropic.usage_of(b"{}") is None


def test_the_tap_sums_up_a_stream():
    seen = Seen()
    frames = [
        {"type": "message_start", "message": {"model": "claude-x", "usage": WHOLE["usage"]}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 99}},
        {"type": "message_stop"},
    ]
    for data in frames:
        frame = f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()
        assert any(mark in frame for mark in anthropic.TAP_MARKS)
        assert anthropic.tap(frame, seen)
    assert (seen.model, seen.ended, seen.usage.input, seen.usage.output) == ("claude-x", True, 117, 99)
    assert (seen.usage.cache_write, seen.usage.cache_write_1h) == (7, 4)
    anthropic.tap(b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n', seen)
    assert seen.failure.kind == "overloaded"


def test_content_is_never_taken_for_an_event():
    head = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":'
    plain = head + b'"a message_stop, an error"}}\n\n'
    assert not any(mark in plain for mark in anthropic.TAP_MARKS)
    seen = Seen()
    assert anthropic.tap(head + json.dumps('{"type":"error"} "message_stop"').encode() + b"}}\n\n", seen)
    assert seen == Seen()


def test_counting_needs_no_max_tokens_and_sends_none():
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "system": "s", "context_management": {}}
    request = anthropic.read_count_request(copy.deepcopy(body))
    assert anthropic.write_count_request(request, Quirks()).body == body
    assert anthropic.read_count(b'{"input_tokens": 5}') == 5
    MessageTokensCount.model_validate_json(anthropic.write_count(5))
    with pytest.raises(Malformed):
        anthropic.read_count(b"{}")


def test_counting_for_another_dialects_request_sends_only_what_counts():
    request = Request(
        dialect="openai-chat", model="m", messages=[Message(role="user", parts=[Text(text="x")])], stop=["a"]
    )
    assert anthropic.write_count_request(request, Quirks()).body.keys() == {"model", "messages"}


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("The quick brown fox jumps over the lazy dog. " * 40, 320, 480),
        ("def f(x):\n    return {'a': x[0], 'b': (x[1] + 2) * 3}\n" * 20, 330, 640),
        ("你好，世界。今天天气很好。" * 40, 350, 620),
        ("Съешь ещё этих мягких французских булок. " * 20, 200, 520),
        ("", 1, 10),
    ],
)
def test_the_estimate_is_near(text, low, high):
    request = Request(dialect="x", messages=[Message(role="user", parts=[Text(text=text)])])
    assert low <= estimate(request) <= high


def test_the_estimate_counts_tools_and_media():
    bare = Request(dialect="x", messages=[])
    tools = Request(dialect="x", tools=[Tool(name="f", parameters={"type": "object"})])
    image = Request(dialect="x", messages=[Message(role="user", parts=[Media(kind="image", url="u")])])
    assert estimate(bare) == 1 and estimate(tools) > 250 and estimate(image) > 1500


def test_effort_to_budget_to_effort_gives_the_effort_back():
    assert [effort_for(budget_for(effort)) for effort in BUDGETS] == list(BUDGETS)
    assert effort_for(-1) is None and effort_for(31_999) == "max" and budget_for("high", 8000) == 4000
