"""Replies, whole and streamed: read from Gemini, and shown to its clients."""

import base64
import json
from typing import Any

import pytest
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.canon import (
    Begin,
    Broken,
    Choice,
    Citation,
    End,
    Failure,
    Finish,
    Media,
    PartDelta,
    PartEnd,
    PartPatch,
    PartStart,
    Reasoning,
    Reply,
    Request,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
    Used,
    fold,
    unfold,
)
from dragoman.dialects import gemini
from dragoman.dialects.dialect import Seen
from dragoman.dialects.fields import Malformed
from dragoman.dialects.gemini.names import FINISH
from dragoman.dialects.gemini.parts import UNVERIFIED

REQUEST = Request(dialect="gemini")


def chunk(*parts: Any, finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": index}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-3-pro", "responseId": "r1", **more}


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(c, ensure_ascii=False).encode() + b"\r\n\r\n" for c in chunks)


def read(data: bytes, cuts: tuple[int, ...] = ()) -> list[Any]:
    reader, events, start = gemini.StreamReader(), [], 0
    for cut in [*sorted(cuts), len(data)]:
        events += reader.feed(data[start:cut])
        start = max(start, cut)
    return events + reader.close()


def said(reply: Reply) -> dict[str, Any]:
    body = json.loads(gemini.write_reply(reply, REQUEST))
    types.GenerateContentResponse.model_validate(body)
    return body


def chunks_of(data: bytes) -> list[Any]:
    return [json.loads(frame[6:]) for frame in data.split(b"\r\n\r\n") if frame]


CALL = {"functionCall": {"name": "f", "args": {"x": [1]}}, "thoughtSignature": "QUJD"}
USAGE = {
    "promptTokenCount": 10,
    "candidatesTokenCount": 4,
    "thoughtsTokenCount": 6,
    "cachedContentTokenCount": 3,
    "toolUsePromptTokenCount": 5,
    "totalTokenCount": 25,
    "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 8}, {"modality": "TEXT", "tokenCount": 2}],
}
STREAM = (
    chunk({"text": "hm", "thought": True}, usageMetadata={"promptTokenCount": 10}),
    chunk({"text": " hm", "thought": True}),
    chunk({"text": ""}),
    chunk({"text": "Grüß "}),
    chunk({"text": "dich"}, {"text": "", "thoughtSignature": "c2ln"}),
    chunk(CALL, {"functionCall": {"id": "c9", "name": "g"}}),
    chunk({"text": ""}, finish="STOP", usageMetadata=USAGE),
)


def test_a_stream_is_read_part_by_part():
    reply = fold(read(sse(*STREAM)))
    assert reply.choices == [
        Choice(
            parts=[
                Reasoning(text="hm hm", summary=True, dialect="gemini"),
                Text(text="Grüß dich", signature="c2ln", dialect="gemini"),
                ToolCall(id="call_r1_0", name="f", arguments='{"x":[1]}', signature="QUJD", dialect="gemini"),
                ToolCall(id="c9", name="g", arguments="{}", dialect="gemini"),
            ],
            finish="tool_calls",
            raw_finish="STOP",
        )
    ]
    assert (reply.id, reply.model, reply.dialect) == ("r1", "gemini-3-pro", "gemini")


def test_usage_counts_tool_use_as_input_and_thoughts_as_output():
    usage = fold(read(sse(*STREAM))).usage
    assert (usage.input, usage.output, usage.cached, usage.reasoning, usage.audio_input) == (15, 10, 3, 6, 8)
    written = json.loads(gemini.write_reply(Reply(dialect="gemini", usage=usage), REQUEST))["usageMetadata"]
    assert written == USAGE


def test_usage_of_another_dialect_is_stated_gemini_s_way():
    usage = Usage(input=10, output=7, reasoning=5, cached=2, extra={"queue_time": 1})
    body = said(Reply(dialect="openai-chat", model="m", choices=[Choice()], usage=usage))
    assert body["usageMetadata"] == {
        "promptTokenCount": 10,
        "candidatesTokenCount": 2,
        "thoughtsTokenCount": 5,
        "cachedContentTokenCount": 2,
        "totalTokenCount": 17,
    }


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, len(sse(*STREAM))), max_size=8))
def test_any_cut_gives_the_same_reply(cuts):
    assert fold(read(sse(*STREAM), tuple(cuts))) == fold(read(sse(*STREAM)))


def test_every_byte_alone_gives_the_same_events():
    data = sse(*STREAM)
    assert read(data, tuple(range(len(data)))) == read(data)


texts = st.fixed_dictionaries(
    {"text": st.text(max_size=6)}, optional={"thought": st.just(True), "thoughtSignature": st.just("QUJD")}
)
parts = texts | st.sampled_from([CALL, {"executableCode": {"code": "1", "language": "PYTHON"}}])


@settings(max_examples=150, deadline=None)
@given(st.lists(parts, max_size=6))
def test_folding_a_stream_equals_the_whole_reply(items):
    whole = gemini.read_reply(json.dumps(chunk(*items, finish="STOP", usageMetadata=USAGE)).encode())
    pieces = [chunk(item) for item in items] + [chunk(finish="STOP", usageMetadata=USAGE)]
    assert fold(read(sse(*pieces))) == whole


@settings(max_examples=150, deadline=None)
@given(st.lists(parts, max_size=6))
def test_a_reply_written_and_read_again_is_the_same(items):
    reply = gemini.read_reply(json.dumps(chunk(*items, finish="STOP", usageMetadata=USAGE)).encode())
    assert gemini.read_reply(gemini.write_reply(reply, REQUEST)) == reply
    data = gemini.StreamWriter(REQUEST).write(unfold(reply))
    for one in chunks_of(data):
        types.GenerateContentResponse.model_validate(one)
    assert fold(read(data)) == reply
    assert json.loads(gemini.ArrayStreamWriter(REQUEST).write(unfold(reply))) == chunks_of(data)


def test_a_stream_without_a_finish_reason_is_broken():
    events = read(sse(*STREAM[:-1]))
    assert isinstance(events[-1], Broken)
    assert events[-1].failure.kind == "stream_broken"
    assert not any(isinstance(event, Finish | End) for event in events)


def test_one_candidate_without_a_finish_reason_breaks_the_stream():
    events = read(sse(chunk({"text": "a"}, finish="STOP"), chunk({"text": "b"}, index=1)))
    assert isinstance(events[-1], Broken)


def test_chunks_after_the_finish_reason_still_count():
    reply = fold(read(sse(chunk({"text": "a"}, finish="STOP"), chunk({"text": "b"}, usageMetadata=USAGE))))
    assert reply.choices[0].parts == [Text(text="ab", dialect="gemini")]
    assert reply.usage.input == 15


def test_the_last_event_may_lack_its_blank_line():
    assert fold(read(sse(*STREAM).rstrip())) == fold(read(sse(*STREAM)))


def test_an_error_in_mid_stream_breaks_it():
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    for frame in (sse(error), json.dumps([error]).encode(), json.dumps(error, indent=1).encode()):
        events = read(sse(chunk({"text": "a"})) + frame)
        assert isinstance(events[-1], Broken), frame
        assert (events[-1].failure.kind, events[-1].failure.status) == ("overloaded", 503)


def test_an_event_that_is_not_json_breaks_the_stream():
    events = read(b"data: {oops\r\n\r\n" + sse(*STREAM))
    assert [type(event) for event in events] == [Broken]


def test_a_blocked_prompt_is_one_filtered_choice():
    body = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}, "modelVersion": "m"}
    whole = gemini.read_reply(json.dumps(body).encode())
    assert [choice.finish for choice in whole.choices] == ["content_filter"]
    assert said(whole)["promptFeedback"] == {"blockReason": "SAFETY"}
    assert fold(read(sse(body))).choices == whole.choices
    assert "candidates" not in said(whole)


def test_a_reply_with_neither_answer_nor_reason_is_malformed():
    with pytest.raises(Malformed):
        gemini.read_reply(b'{"usageMetadata": {}}')
    with pytest.raises(Malformed):
        gemini.read_reply(b"<html>")


def test_every_finish_reason_of_the_sdk_is_known_and_comes_back():
    for reason in types.FinishReason:
        assert reason.value in FINISH
        reply = gemini.read_reply(json.dumps(chunk({"text": "a"}, finish=reason.value)).encode())
        assert said(reply)["candidates"][0]["finishReason"] == reason.value


def test_vertex_s_call_in_pieces_is_one_call():
    def piece(path: str, text: str, **more: Any) -> dict[str, Any]:
        return {
            "functionCall": {"partialArgs": [{"jsonPath": path, "stringValue": text}], "willContinue": True, **more}
        }

    data = sse(
        chunk({"functionCall": {"name": "f", "id": "c", "willContinue": True}, "thoughtSignature": "QUJD"}),
        chunk(piece("$.city", "New ")),
        chunk(piece("$.city", "Delhi")),
        chunk(piece("$.days[0].name", "Mon")),
        chunk({"functionCall": {}}),
        chunk(finish="STOP"),
    )
    (call,) = fold(read(data)).choices[0].parts
    assert json.loads(call.arguments) == {"city": "New Delhi", "days": [{"name": "Mon"}]}
    assert (call.id, call.name, call.signature) == ("c", "f", "QUJD")


def test_grounding_is_cited_by_characters_not_bytes():
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"web": {"uri": "https://b", "title": "B"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 7, "endIndex": 11, "text": "dich"}, "groundingChunkIndices": [0]}
        ],
    }
    body = chunk({"text": "Grüß dich"}, finish="STOP")
    body["candidates"][0]["groundingMetadata"] = grounding
    reply = gemini.read_reply(json.dumps(body).encode())
    (text,) = reply.choices[0].parts
    assert text.citations == [
        Citation(url="https://a", title="A", start=5, end=9, cited_text="dich", dialect="gemini"),
        Citation(url="https://b", title="B", dialect="gemini"),
    ]
    reply.dialect = "openai-chat"  # so that it is written out of the citations
    assert said(reply)["candidates"][0]["groundingMetadata"] == grounding


def test_logprobs_both_ways():
    result = {
        "chosenCandidates": [{"token": "a", "logProbability": -0.1}],
        "topCandidates": [{"candidates": [{"token": "a", "logProbability": -0.1}]}],
    }
    body = chunk({"text": "a"}, finish="STOP")
    body["candidates"][0]["logprobsResult"] = result
    tokens = fold(read(sse(body))).choices[0].parts[0].logprobs
    assert tokens == [TokenLogprob(token="a", logprob=-0.1, top=[TokenLogprob(token="a", logprob=-0.1)])]
    reply = Reply(dialect="openai-chat", choices=[Choice(parts=[Text(text="a", logprobs=tokens)])])
    assert said(reply)["candidates"][0]["logprobsResult"] == result


def test_unknown_fields_of_a_whole_reply_ride_along():
    body = chunk({"text": "a"}, finish="STOP", createTime="2026-11-01T00:00:00.123456Z")
    body["candidates"][0] |= {"avgLogprobs": -0.2, "safetyRatings": []}
    reply = gemini.read_reply(json.dumps(body).encode())
    assert reply.choices[0].extra == {"avgLogprobs": -0.2, "safetyRatings": []}
    assert reply.created == 1793491200
    assert said(reply)["candidates"][0]["avgLogprobs"] == -0.2


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "candidates",
                        "content",
                        "parts",
                        "text",
                        "functionCall",
                        "index",
                        "usageMetadata",
                        "error",
                        "promptFeedback",
                        "groundingMetadata",
                        "logprobsResult",
                        "inlineData",
                        "name",
                        "args",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_no_provider_answer_crashes_the_reader(value):
    body = json.dumps(value).encode()
    read(b"data: " + body + b"\n\n")
    gemini.read_error(500, body)
    gemini.usage_of(body)
    gemini.tap(b"data: " + body + b"\n\n", Seen())
    try:
        gemini.read_reply(body)
    except Malformed:
        return


# What clients are shown of other dialects' replies


def foreign(*parts: Any, finish: Any = "stop") -> Reply:
    return Reply(dialect="anthropic", id="m1", model="claude", choices=[Choice(parts=list(parts), finish=finish)])


REASONED = (
    Reasoning(text="because", signature="s1", dialect="anthropic"),
    Text(text="Well"),
    Reasoning(encrypted="e2", dialect="anthropic"),
    ToolCall(id="t1", name="f", arguments='{"a":1}'),
    ToolCall(id="t2", name="f", arguments="{}"),
)


def as_the_sdk_returns(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Through google-genai's types and back onto the wire, where bytes are URL-safe base64."""
    content = types.Content.model_validate({"role": "model", "parts": parts}).model_dump(
        by_alias=True, exclude_none=True
    )
    for part in content["parts"]:
        if "thoughtSignature" in part:
            part["thoughtSignature"] = base64.urlsafe_b64encode(part["thoughtSignature"]).decode()
    return content["parts"]


def read_back(parts: list[dict[str, Any]]) -> list[Any]:
    return gemini.read_request({"contents": [{"role": "model", "parts": parts}]}).messages[0].parts


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("thoughts_kept", [False, True])
def test_foreign_reasoning_survives_a_gemini_client(streamed, thoughts_kept):
    reply = foreign(*REASONED, finish="tool_calls")
    if streamed:
        shown = [
            part
            for one in chunks_of(gemini.StreamWriter(REQUEST).write(unfold(reply)))
            for part in one["candidates"][0]["content"]["parts"]
            if part != {"text": ""}
        ]
    else:
        shown = said(reply)["candidates"][0]["content"]["parts"]
    assert {"text": "because", "thought": True} in shown
    kept = [part for part in as_the_sdk_returns(shown) if thoughts_kept or not part.get("thought")]
    back = read_back(kept)
    assert [type(part) for part in back] == [Reasoning, Text, Reasoning, ToolCall, ToolCall]
    assert (back[0], back[2]) == (REASONED[0], REASONED[2])
    assert back[3].id == "t1"
    assert back[4].signature is None


@pytest.mark.parametrize("streamed", [False, True])
def test_reasoning_before_a_plain_answer_survives_too(streamed):
    reply = foreign(Reasoning(text="hm", signature="s", dialect="anthropic"), Text(text="Yes"))
    if streamed:
        data = gemini.StreamWriter(REQUEST).write(unfold(reply))
        shown = [part for one in chunks_of(data) for part in one["candidates"][0]["content"]["parts"]]
    else:
        shown = said(reply)["candidates"][0]["content"]["parts"]
    assert read_back(as_the_sdk_returns(shown)) == list(reply.choices[0].parts)


def test_a_signed_foreign_call_keeps_its_signature():
    reply = foreign(ToolCall(id="t", name="f", arguments="{}", signature="zzz", dialect="other"))
    (call,) = read_back(said(reply)["candidates"][0]["content"]["parts"])
    assert (call.signature, call.dialect) == ("zzz", "other")


def test_an_unsigned_foreign_call_is_shown_with_the_signature_gemini_takes_unverified():
    reply = foreign(ToolCall(id="t", name="f", arguments="{}"), ToolCall(id="u", name="f", arguments="{}"))
    first, second = said(reply)["candidates"][0]["content"]["parts"]
    assert first["thoughtSignature"] == UNVERIFIED
    assert "thoughtSignature" not in second


def test_interleaved_calls_are_written_whole_and_in_order():
    events = [
        Begin(id="m", model="x", dialect="openai-chat"),
        PartStart(index=0, part=ToolCall(id="a", name="f")),
        PartStart(index=1, part=ToolCall(id="b", name="g")),
        PartDelta(index=1, text='{"y"'),
        PartDelta(index=0, text='{"x":'),
        PartDelta(index=1, text=":2}"),
        PartEnd(index=1),
        PartDelta(index=0, text="1}"),
        PartEnd(index=0),
        Finish(reason="tool_calls"),
        Used(usage=Usage(input=1, output=2)),
        End(),
    ]
    one, last = chunks_of(gemini.StreamWriter(REQUEST).write(events))
    calls = [part["functionCall"] for part in one["candidates"][0]["content"]["parts"]]
    assert calls == [{"id": "a", "name": "f", "args": {"x": 1}}, {"id": "b", "name": "g", "args": {"y": 2}}]
    assert last["candidates"][0]["finishReason"] == "STOP"
    assert last["usageMetadata"]["totalTokenCount"] == 3


def test_text_goes_out_at_once():
    writer = gemini.StreamWriter(REQUEST)
    writer.write([Begin(id="m", model="x"), PartStart(index=0, part=Text())])
    (one,) = chunks_of(writer.write([PartDelta(index=0, text='a\u2028"b')]))
    assert one["candidates"][0]["content"]["parts"] == [{"text": 'a\u2028"b'}]


def test_a_broken_stream_ends_with_an_error_and_no_finish_reason():
    events = [
        Begin(id="m", model="x"),
        PartStart(index=0, part=Text()),
        PartDelta(index=0, text="a"),
        Broken(failure=Failure(kind="stream_broken", message="cut", status=502)),
        End(),
    ]
    data = gemini.StreamWriter(REQUEST).write(events)
    assert chunks_of(data)[-1]["error"] == {"code": 502, "message": "cut", "status": "UNAVAILABLE"}
    assert b"finishReason" not in data
    array = json.loads(gemini.ArrayStreamWriter(REQUEST).write(events))
    assert array[-1]["error"]["message"] == "cut"


def test_media_and_late_signatures_are_shown():
    image = Media(kind="image", mime="image/png", data="AAAA")
    reply = Reply(dialect="gemini", choices=[Choice(parts=[image, Text(text="x", signature="QUJD", dialect="gemini")])])
    shown = said(reply)["candidates"][0]["content"]["parts"]
    assert shown == [
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"text": "x", "thoughtSignature": "QUJD"},
    ]
    assert fold(read(gemini.StreamWriter(REQUEST).write(unfold(reply)))).choices[0].parts == reply.choices[0].parts


def test_several_candidates_keep_apart():
    reply = Reply(dialect="openai-chat", choices=[Choice(parts=[Text(text="a")]), Choice(parts=[Text(text="b")])])
    back = fold(read(gemini.StreamWriter(REQUEST).write(unfold(reply))))
    assert [choice.parts[0].text for choice in back.choices] == ["a", "b"]


def test_a_citation_patch_ends_up_as_grounding():
    events = [
        Begin(model="x"),
        PartStart(index=0, part=Text()),
        PartDelta(index=0, text="äb"),
        PartPatch(index=0, citation=Citation(url="https://a", title="A", start=1, end=2)),
        PartEnd(index=0),
        Finish(reason="stop"),
        End(),
    ]
    *_, last = chunks_of(gemini.StreamWriter(REQUEST).write(events))
    (support,) = last["candidates"][0]["groundingMetadata"]["groundingSupports"]
    assert support["segment"] == {"startIndex": 2, "endIndex": 3, "text": "b"}
