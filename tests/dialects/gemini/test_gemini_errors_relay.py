"""Errors both ways, the relay lane, paths and token counts."""

import copy
import json

import pytest
from google.genai import errors
from msgspec import Raw

from dragoman.canon import Failure, Request, Text
from dragoman.dialects import gemini
from dragoman.dialects.dialect import Seen
from dragoman.dialects.fields import Malformed
from dragoman.dialects.quirks import Quirks

QUOTA = {
    "error": {
        "code": 429,
        "message": "You exceeded your current quota",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"},
        ],
    }
}


def error(code, status, message="x", reason=None):
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
    return json.dumps({"error": {"code": code, "message": message, "status": status, "details": details}}).encode()


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_quota_error_says_when_to_come_back(wrapped):
    body = json.dumps([QUOTA] if wrapped else QUOTA).encode()
    failure = gemini.read_error(429, body)
    assert (failure.kind, failure.status, failure.retry_after) == ("rate_limited", 429, 34.5)
    assert (failure.type, failure.dialect) == ("RESOURCE_EXHAUSTED", "gemini")
    written = json.loads(gemini.write_error(failure))["error"]
    assert written["details"] == [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]


@pytest.mark.parametrize(
    ("status", "body", "kind", "answered"),
    [
        (400, error(400, "INVALID_ARGUMENT"), "bad_request", 400),
        (400, error(400, "INVALID_ARGUMENT", "API key not valid.", "API_KEY_INVALID"), "unauthorized", 401),
        (
            400,
            error(
                400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8)."
            ),
            "context_length",
            400,
        ),
        (400, error(400, "FAILED_PRECONDITION", "User location is not supported"), "forbidden", 403),
        (401, error(401, "UNAUTHENTICATED"), "unauthorized", 401),
        (403, error(403, "PERMISSION_DENIED"), "forbidden", 403),
        (404, error(404, "NOT_FOUND", "models/x is not found"), "unknown_model", 404),
        (404, error(404, "NOT_FOUND", "no such file"), "not_found", 404),
        (500, error(500, "INTERNAL"), "upstream_error", 502),
        (503, error(503, "UNAVAILABLE"), "overloaded", 503),
        (504, error(504, "DEADLINE_EXCEEDED"), "upstream_timeout", 504),
        (502, b"<html>Bad Gateway</html>", "upstream_error", 502),
        (500, b"", "upstream_error", 502),
        (429, b'{"error": {"mess', "rate_limited", 429),
        (400, b"[]", "bad_request", 400),
        (418, b'{"error": "teapot"}', "bad_request", 418),
    ],
)
def test_errors_are_told_apart(status, body, kind, answered):
    failure = gemini.read_error(status, body)
    assert (failure.kind, failure.status) == (kind, answered)
    assert failure.message


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (404, "NOT_FOUND"),
        (429, "RESOURCE_EXHAUSTED"),
        (502, "UNAVAILABLE"),
        (422, "INVALID_ARGUMENT"),
        (507, "INTERNAL"),
    ],
)
def test_a_failure_is_told_as_the_sdk_reads_it(status, name):
    body = json.loads(gemini.write_error(Failure(kind="bad_request", message="why", status=status)))
    raised = errors.APIError(status, body)
    assert (raised.status, raised.message, raised.code) == (name, "why", status)


def test_paths():
    assert gemini.path("gemini-3-pro", False) == "/models/gemini-3-pro:generateContent"
    assert gemini.path("models/gemini-3-pro", True) == "/models/gemini-3-pro:streamGenerateContent?alt=sse"
    assert gemini.path("tunedModels/a b", False) == "/tunedModels/a%20b:generateContent"
    assert gemini.count_path("x") == "/models/x:countTokens"


def test_retarget_changes_nothing_but_a_model_in_the_body():
    fields = {"contents": Raw(b"[1]"), "model": Raw(b'"models/a"')}
    gemini.retarget(fields, "b", True, Quirks())
    assert {name: bytes(value) for name, value in fields.items()} == {"contents": b"[1]", "model": b'"models/b"'}
    fields = {"contents": Raw(b"[1]")}
    gemini.retarget(fields, "b", True, Quirks())
    assert list(fields) == ["contents"]


def frame(body):
    return b"data: " + json.dumps(body).encode() + b"\r\n\r\n"


def test_the_tap_sees_the_end_the_usage_and_errors():
    seen = Seen()
    content = frame({"candidates": [{"content": {"parts": [{"text": '"finishReason"'}]}}]})
    assert not any(mark in content for mark in gemini.TAP_MARKS)
    last = frame(
        {
            "candidates": [{"finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2},
            "modelVersion": "m",
        }
    )
    assert any(mark in last for mark in gemini.TAP_MARKS)
    assert gemini.tap(last, seen)
    assert (seen.ended, seen.model, seen.usage.input, seen.usage.output) == (True, "m", 3, 2)
    seen = Seen()
    assert gemini.tap(frame({"promptFeedback": {"blockReason": "SAFETY"}}), seen)
    assert seen.ended
    seen = Seen()
    assert gemini.tap(frame(QUOTA), seen)
    assert (seen.failure.kind, seen.ended) == ("rate_limited", False)
    assert gemini.tap(b"data: {bro\n\n", Seen())


def test_usage_is_read_off_a_whole_reply():
    body = json.dumps({"candidates": [], "usageMetadata": {"promptTokenCount": 3, "thoughtsTokenCount": 4}}).encode()
    usage = gemini.usage_of(body)
    assert (usage.input, usage.output) == (3, 4)
    assert gemini.usage_of(b"{}") is None
    assert gemini.usage_of(b"nonsense") is None


def test_a_relayed_stream_becomes_an_array():
    relay = gemini.ArrayFrames()
    data = relay.add(frame({"a": 1})) + relay.add(b": comment\n\n") + relay.add(frame({"b": 2})) + relay.close()
    assert json.loads(data) == [{"a": 1}, {"b": 2}]
    assert json.loads(gemini.ArrayFrames().close()) == []


def test_count_tokens_both_ways():
    contents = [{"role": "user", "parts": [{"text": "hi"}]}]
    request = gemini.read_count_request({"contents": copy.deepcopy(contents)})
    assert gemini.write_count_request(request, Quirks()).body == {"contents": contents}
    inner = {"contents": contents, "systemInstruction": {"parts": [{"text": "s"}]}}
    request = gemini.read_count_request({"generate_content_request": {"model": "models/x", **copy.deepcopy(inner)}})
    assert request.messages[0].parts == [Text(text="s")]
    request.model = "gemini-3-pro"
    body = gemini.write_count_request(request, Quirks()).body
    assert body == {"generateContentRequest": {"model": "models/gemini-3-pro", **inner}}
    assert gemini.read_count_reply(gemini.write_count_reply(7)) == 7
    with pytest.raises(Malformed):
        gemini.read_count_reply(b'{"tokens": 1}')


def test_the_dialect_has_every_name():
    names = {name: getattr(gemini, name) for name in ("NAME", "STREAM_TYPE", "FIELD_NAMES", "TAP_MARKS")}
    assert names["NAME"] == "gemini"
    assert set(names["FIELD_NAMES"]) <= set(Request.__struct_fields__)
