"""Whole replies and errors of `openai-chat`, held to the openai SDK's own types."""

import msgspec
import pytest
from openai.types.chat import ChatCompletion

from dragoman.canon import (
    Choice,
    Citation,
    Failure,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Reply,
    Request,
    Text,
    TokenLogprob,
    Tool,
    ToolCall,
    Usage,
)
from dragoman.dialects import openai_chat
from dragoman.dialects.fields import Malformed
from dragoman.dialects.seal import unseal_id

REQUEST = Request(dialect="openai-chat", model="m")
CITATION = {
    "type": "url_citation",
    "url_citation": {"start_index": 0, "end_index": 2, "url": "https://x", "title": "X"},
}
TOKEN = {"token": "hi", "logprob": -0.5, "bytes": [104, 105]}
GOLDEN = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-x",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hi", "refusal": None, "annotations": [CITATION]},
            "logprobs": {"content": [{**TOKEN, "top_logprobs": [TOKEN]}], "refusal": None},
            "finish_reason": "stop",
        },
        {
            "index": 1,
            "message": {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [],
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "call_2", "type": "custom", "custom": {"name": "c", "input": "x"}},
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        },
        {
            "index": 2,
            "message": {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [],
                "audio": {"id": "audio_1", "data": "AAAA", "expires_at": 9, "transcript": "hi"},
            },
            "logprobs": None,
            "finish_reason": "length",
        },
        {
            "index": 3,
            "message": {"role": "assistant", "content": None, "refusal": "no", "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        },
    ],
    "usage": {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1, "audio_tokens": 2, "image_tokens": 3},
        "completion_tokens_details": {
            "reasoning_tokens": 2,
            "audio_tokens": 1,
            "accepted_prediction_tokens": 1,
            "rejected_prediction_tokens": 0,
        },
    },
    "service_tier": "default",
    "system_fingerprint": "fp",
}


def encode(value: object) -> bytes:
    return msgspec.json.encode(value)


def read(value: object) -> Reply:
    return openai_chat.read_reply(encode(value))


def write(reply: Reply, request: Request = REQUEST) -> dict:
    body = openai_chat.write_reply(reply, request)
    ChatCompletion.model_validate_json(body, strict=True)
    return msgspec.json.decode(body)


def whole(message: dict, finish: str | None = "stop", **fields: object) -> dict:
    return {"id": "r", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": finish}], **fields}


def test_a_reply_is_written_as_it_was_read() -> None:
    assert write(read(GOLDEN)) == GOLDEN


def test_canon_says_what_the_reply_means() -> None:
    reply = read(GOLDEN)
    token = TokenLogprob(token="hi", logprob=-0.5, bytes=[104, 105])
    text = reply.choices[0].parts[0]
    assert isinstance(text, Text)
    assert text.logprobs == [msgspec.structs.replace(token, top=[token])]
    assert text.citations[0].url == "https://x"
    assert reply.choices[1].parts == [
        ToolCall(id="call_1", name="f", arguments="{}"),
        ToolCall(id="call_2", name="c", arguments="x", kind="custom"),
    ]
    assert [choice.finish for choice in reply.choices] == ["stop", "tool_calls", "length", "refusal"]
    assert reply.usage == Usage(
        input=10, output=5, cached=4, cache_write=1, reasoning=2, audio_input=2, audio_output=1,
        extra={
            "prompt_tokens_details": {"image_tokens": 3},
            "completion_tokens_details": {"accepted_prediction_tokens": 1, "rejected_prediction_tokens": 0},
        },
    )  # fmt: skip


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": "a", "reasoning_content": "t"}, [Reasoning(text="t", dialect="openai-chat"), Text(text="a")]),
        ({"content": "a", "reasoning": "t"}, [Reasoning(text="t", dialect="openai-chat"), Text(text="a")]),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "t"}]},
                    {"type": "text", "text": "a"},
                ]
            },
            [Reasoning(text="t", dialect="openai-chat"), Text(text="a")],
        ),
        (
            {"content": None, "reasoning": "t", "reasoning_details": [{"type": "reasoning.encrypted", "data": "e"}]},
            [Reasoning(text="t", encrypted='[{"type":"reasoning.encrypted","data":"e"}]', dialect="openai-chat")],
        ),
        ({"function_call": {"name": "f", "arguments": ""}}, [ToolCall(id="call_r_0", name="f", arguments="{}")]),
        (
            {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}, {"function": {"name": "g"}}]},
            [ToolCall(id="call_r_0", name="f", arguments='{"a":1}'), ToolCall(id="call_r_1", name="g", arguments="{}")],
        ),
        (
            {
                "tool_calls": [
                    {
                        "id": "1",
                        "function": {"name": "f", "arguments": "{}"},
                        "extra_content": {"google": {"thought_signature": "s"}},
                    }
                ]
            },
            [ToolCall(id="1", name="f", arguments="{}", signature="s", dialect="openai-chat")],
        ),
        (
            {"content": "", "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]},
            [Media(kind="image", mime="image/png", data="AA")],
        ),
        ({"content": 7, "tool_calls": "none", "refusal": 1, "annotations": {}, "audio": []}, []),
    ],
)
def test_replies_of_compatible_providers_are_understood(message: dict, parts: list) -> None:
    reply = read(whole(message))
    assert reply.choices[0].parts == parts
    write(reply)


@pytest.mark.parametrize(
    ("raw", "finish"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        (None, "stop"),
        ("brand_new", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("model_length", "context_length"),
        ("insufficient_system_resource", "error"),
    ],
)
def test_finish_reasons_are_understood(raw: str | None, finish: str) -> None:
    assert read(whole({"content": "a"}, raw)).choices[0].finish == finish


def test_tool_calls_that_end_in_stop_still_ask_for_tools() -> None:
    reply = read(whole({"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}, "stop"))
    assert reply.choices[0].finish == "tool_calls"
    assert reply.choices[0].raw_finish == "stop"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}, (9, 1, 4, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 3}, (9, 1, 3, 0)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 1,
                "total_tokens": 15,
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
            (9, 6, 0, 5),
        ),
        ({"prompt_tokens": None, "completion_tokens": "x", "prompt_tokens_details": None}, (0, 0, 0, 0)),
    ],
)
def test_counts_of_compatible_providers_end_up_in_one_convention(usage: dict, expected: tuple) -> None:
    found = read(whole({"content": "a"}, usage=usage)).usage
    assert found is not None
    assert (found.input, found.output, found.cached, found.reasoning) == expected


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"error":{"message":"out"}}', b'{"choices":null}'])
def test_what_is_no_reply_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        openai_chat.read_reply(body)


def foreign(*parts: object, **fields: object) -> Reply:
    choice = Choice(parts=list(parts), **fields)  # type: ignore[arg-type]
    return Reply(dialect="anthropic", id="msg_1", model="claude", created=1, choices=[choice], usage=Usage(input=1))


def test_foreign_thinking_is_shown_and_sealed_into_the_first_call() -> None:
    signed = Reasoning(text="hm", signature="s", dialect="anthropic")
    redacted = Reasoning(encrypted="e", dialect="anthropic")
    body = write(
        foreign(
            signed,
            redacted,
            Text(text="so"),
            ToolCall(id="toolu_1", name="f", arguments=""),
            ToolCall(id="toolu_2", name="g", arguments="{}", signature="g", dialect="gemini"),
            finish="tool_calls",
        )
    )
    message = body["choices"][0]["message"]
    assert message["reasoning_content"] == "hm"
    first, second = message["tool_calls"]
    assert first["function"]["arguments"] == "{}"
    assert unseal_id(first["id"]) == ("toolu_1", [signed, redacted])
    assert unseal_id(second["id"]) == ("toolu_2", [ToolCall(signature="g", dialect="gemini")])


def test_unsigned_thinking_needs_no_seal() -> None:
    body = write(foreign(Reasoning(text="hm", dialect="ollama"), ToolCall(id="call_1", name="f"), finish="tool_calls"))
    assert body["choices"][0]["message"]["tool_calls"][0]["id"] == "call_1"


def test_what_a_foreign_reply_says_has_its_place() -> None:
    body = write(
        foreign(
            Text(text="ab"),
            Text(text="cd", citations=[Citation(url="https://x", start=1, end=2), Citation(kind="document")]),
            Opaque(dialect="anthropic", kind="server_tool_use", data={}),
            Media(kind="image", mime="image/png", data="AA"),
            finish="pause",
        )
    )
    message = body["choices"][0]["message"]
    assert message["content"] == "abcd"
    assert message["annotations"] == [
        {"type": "url_citation", "url_citation": {"start_index": 3, "end_index": 4, "url": "https://x", "title": ""}}
    ]
    assert message["images"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]
    assert body["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("finish", "parts", "written"),
    [
        ("refusal", [Refusal(text="no")], "stop"),
        ("refusal", [], "content_filter"),
        ("context_length", [Text(text="a")], "length"),
        ("error", [], "length"),
        ("content_filter", [], "content_filter"),
    ],
)
def test_foreign_finish_reasons_are_said_in_openais_words(finish: str, parts: list, written: str) -> None:
    assert write(foreign(*parts, finish=finish))["choices"][0]["finish_reason"] == written


def test_a_custom_tool_played_by_a_function_answers_in_text() -> None:
    request = Request(dialect="openai-chat", tools=[Tool(name="c", kind="custom")])
    body = write(foreign(ToolCall(id="1", name="c", arguments='{"input":"x\\ny"}'), finish="tool_calls"), request)
    assert body["choices"][0]["message"]["tool_calls"] == [
        {"id": "1", "type": "custom", "custom": {"name": "c", "input": "x\ny"}}
    ]


def test_a_client_that_sent_functions_gets_a_function_call() -> None:
    request = openai_chat.read_request(
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "functions": [{"name": "f"}]}
    )
    body = write(foreign(ToolCall(id="1", name="f", arguments=""), finish="tool_calls"), request)
    choice = body["choices"][0]
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "function_call"


# errors


@pytest.mark.parametrize(
    ("status", "body", "kind", "client_status", "words"),
    [
        (400, b'{"error":{"message":"bad","type":"t","param":"p","code":"c"}}', "bad_request", 400, "bad"),
        (400, b'{"error":{"message":"x","code":"context_length_exceeded"}}', "context_length", 400, "x"),
        (400, b'{"message":"maximum context length is 5","code":400}', "context_length", 400, "maximum"),
        (400, b'{"error":{"message":"x","code":"content_filter"}}', "content_filter", 400, "x"),
        (401, b'{"error":"no key"}', "unauthorized", 401, "no key"),
        (402, b"{}", "budget_spent", 402, "402"),
        (403, b"", "forbidden", 403, "403"),
        (404, b'{"error":{"message":"x","code":"model_not_found"}}', "unknown_model", 404, "x"),
        (404, b'{"detail":"Not Found"}', "not_found", 404, "Not Found"),
        (408, b"", "upstream_timeout", 504, "408"),
        (413, b"", "too_large", 413, "413"),
        (422, b'{"detail":[{"msg":"bad"}]}', "bad_request", 422, "bad"),
        (429, b'[{"error":{"message":"slow","code":429,"status":"RESOURCE_EXHAUSTED"}}]', "rate_limited", 429, "slow"),
        (500, b"<html>oops</html>", "upstream_error", 502, "500"),
        (503, b'{"error":', "overloaded", 503, "503"),
        (529, b"", "overloaded", 503, "529"),
        (504, b"\xff\xfe", "upstream_timeout", 504, "504"),
        (418, b"null", "bad_request", 418, "418"),
    ],
)
def test_a_providers_error_becomes_a_failure(
    status: int, body: bytes, kind: str, client_status: int, words: str
) -> None:
    failure = openai_chat.read_error(status, body)
    assert (failure.kind, failure.status) == (kind, client_status)
    assert words in failure.message


def test_openais_own_words_survive_a_round_trip() -> None:
    body = b'{"error":{"message":"bad","type":"t","param":"p","code":"c"}}'
    assert openai_chat.write_error(openai_chat.read_error(400, body)) == body


def test_a_foreign_failure_is_said_in_openais_words() -> None:
    failure = Failure(kind="rate_limited", status=429, message="slow", type="rate_limit_error", dialect="anthropic")
    assert msgspec.json.decode(openai_chat.write_error(failure)) == {
        "error": {"message": "slow", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
    }
