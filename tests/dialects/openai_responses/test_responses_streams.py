import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from responses_wire import ask, events, heard, response, sse, stream

from dragoman.canon import (
    Begin,
    Broken,
    Choice,
    Citation,
    End,
    Event,
    Failure,
    Finish,
    Opaque,
    Part,
    PartDelta,
    PartEnd,
    PartPatch,
    PartStart,
    Reasoning,
    Refusal,
    Reply,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
    Used,
    fold,
    unfold,
)
from dragoman.dialects import openai_responses as dialect
from dragoman.dialects.dialect import Seen

TOOLS = [{"type": "custom", "name": "patch"}, {"type": "tool_search", "execution": "client", "parameters": {}}]
CREATED = {
    "type": "response.created",
    "response": {"id": "resp_1", "model": "m", "created_at": 3, "service_tier": "flex"},
}


def done(status: str = "completed", **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{status}", "response": {"id": "resp_1", "status": status, "output": [], **fields}}


def kinds(data: bytes) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events(data)]


def test_a_text_reply_is_the_exact_row_of_events() -> None:
    data = stream(Reply(dialect="ollama", id="r", model="m", choices=[Choice(parts=[Text(text="hi")])]))
    assert kinds(data) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    delta = events(data)[4]
    assert (delta["item_id"], delta["output_index"], delta["content_index"]) == ("msg_r_0", 0, 0)


def test_thinking_calls_and_a_refusal_are_rows_of_their_own() -> None:
    parts: list[Part] = [
        Reasoning(text="hm", dialect="anthropic"),
        Reasoning(text="raw", dialect="openai-responses", encrypted="g"),
        ToolCall(id="a", name="f", arguments='{"x":1}'),
        ToolCall(id="b", name="patch", arguments="+1", kind="custom"),
        ToolCall(id="c", name="patch", arguments='{"input":"+2"}'),
        ToolCall(id="d", name="tool_search"),
        Refusal(text="no"),
    ]
    data = stream(Reply(dialect="anthropic", id="r", choices=[Choice(parts=parts, finish="tool_calls")]), tools=TOOLS)
    item = ["output_item.added", "output_item.done"]
    assert kinds(data)[2:-1] == [
        item[0],
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        item[1],
        item[0],
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        item[1],
        item[0],
        "function_call_arguments.delta",
        "function_call_arguments.done",
        item[1],
        item[0],
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        item[1],
        item[0],
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        item[1],
        *item,
        item[0],
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        item[1],
    ]


def test_every_event_about_an_item_says_where_it_stands() -> None:
    parts: list[Part] = [
        Text(text="a", id="msg_x"),
        Text(text="b", id="msg_x"),
        Text(text="c", id="msg_y"),
        ToolCall(id="t", name="f"),
    ]
    found = events(stream(Reply(dialect="openai-responses", id="resp_r", choices=[Choice(parts=parts)])))
    places = [(e["output_index"], e.get("content_index"), e["item_id"]) for e in found if "item_id" in e]
    assert places == [
        *[(0, 0, "msg_x")] * 4,
        *[(0, 1, "msg_x")] * 4,
        *[(1, 0, "msg_y")] * 4,
        *[(2, None, "fc_r_2")] * 2,
    ]
    assert found[-1]["response"]["output"][0]["content"][1]["text"] == "b"


def test_annotations_and_logprobs_come_as_they_are_known() -> None:
    writer = dialect.StreamWriter(ask())
    data = writer.write(
        [
            Begin(id="r"),
            PartStart(index=0, part=Text()),
            PartDelta(index=0, text="hi", logprobs=[TokenLogprob(token="hi", logprob=-1.0)]),
            PartPatch(index=0, citation=Citation(url="u", start=0, end=2)),
            PartDelta(index=0, text="!"),
            PartEnd(index=0),
            Finish(reason="stop"),
            End(),
        ]
    )
    found = {event["type"]: event for event in events(data)}
    logprob = {"token": "hi", "logprob": -1.0, "bytes": [104, 105], "top_logprobs": []}
    assert found["response.output_text.annotation.added"]["annotation_index"] == 0
    part = found["response.content_part.done"]["part"]
    assert (part["text"], part["logprobs"], part["annotations"][0]["url"]) == ("hi!", [logprob], "u")


def test_interleaved_calls_come_one_after_another_with_their_own_arguments() -> None:
    mixed: list[Event] = [
        Begin(id="r"),
        PartStart(index=0, part=ToolCall(id="a", name="f")),
        PartStart(index=1, part=ToolCall(id="b", name="g")),
        PartDelta(index=0, text='{"x"'),
        PartDelta(index=1, text='{"y"'),
        PartDelta(index=0, text=":1}"),
        PartDelta(index=1, text=":2}"),
        PartEnd(index=0),
        PartEnd(index=1),
        Finish(reason="tool_calls"),
        End(),
    ]
    final = events(dialect.StreamWriter(ask()).write(mixed))[-1]["response"]
    assert [(item["call_id"], item["arguments"]) for item in final["output"]] == [("a", '{"x":1}'), ("b", '{"y":2}')]


def test_a_break_is_an_error_and_a_failed_response_and_never_a_clean_end() -> None:
    writer = dialect.StreamWriter(ask())
    data = writer.write([Begin(id="r"), PartStart(index=0, part=Text()), PartDelta(index=0, text="hal")])
    data += writer.write([Broken(failure=Failure(kind="stream_broken", message="gone", status=502))])
    found = events(data)
    assert kinds(data)[-2:] == ["error", "failed"]
    assert found[-2]["message"] == found[-2]["error"]["message"] == "gone"
    assert found[-1]["response"]["error"] == {"code": "server_error", "message": "gone"}
    assert found[-1]["response"]["status"] == "failed"


def test_a_break_of_a_stream_that_is_not_ours_is_an_error_and_no_new_response() -> None:
    broken = Broken(failure=Failure(kind="stream_broken", message="gone", status=502))
    data = dialect.StreamWriter(ask()).write([broken])
    assert [event["type"] for event in events(data)] == ["error"]


def test_a_stream_may_come_event_by_event() -> None:
    reply = Reply(dialect="x", id="r", choices=[Choice(parts=[Text(text="hi"), ToolCall(id="a", name="f")])])
    writer = dialect.StreamWriter(ask())
    assert b"".join(writer.write([event]) for event in unfold(reply)) == stream(reply)


def test_the_stream_ends_with_usage_and_the_whole_response() -> None:
    reply = Reply(
        dialect="anthropic",
        id="r",
        model="m",
        created=4,
        usage=Usage(input=5, output=6, cached=2, reasoning=1),
        choices=[Choice(parts=[Text(text="hi")], finish="length")],
    )
    final = events(stream(reply))[-1]
    assert final["type"] == "response.incomplete"
    assert final["response"] == response(reply)
    assert final["response"]["usage"]["total_tokens"] == 11


# the reader


def test_encrypted_reasoning_arrives_with_the_done_item() -> None:
    item = {"id": "rs_1", "type": "reasoning", "summary": []}
    full = {**item, "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]}
    data = sse(
        CREATED,
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "a"},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 1, "delta": "b"},
        {"type": "response.output_item.done", "output_index": 0, "item": {**full, "encrypted_content": "g"}},
        done(usage={"input_tokens": 1, "output_tokens": 2}),
    )
    assert heard(data) == [
        Begin(id="resp_1", model="m", created=3, service_tier="flex", dialect="openai-responses"),
        PartStart(index=0, part=Reasoning(id="rs_1", summary=True, dialect="openai-responses")),
        PartDelta(index=0, text="a"),
        PartDelta(index=0, text="\n\nb"),
        PartPatch(index=0, encrypted="g"),
        PartEnd(index=0),
        Finish(reason="stop", raw="completed"),
        Used(usage=Usage(input=1, output=2)),
        End(),
    ]


def test_reasoning_without_a_summary_keeps_its_proof() -> None:
    item = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "g"}
    data = sse(CREATED, {"type": "response.output_item.done", "output_index": 0, "item": item}, done())
    assert fold(heard(data)).choices[0].parts == [
        Reasoning(id="rs_1", encrypted="g", summary=True, dialect="openai-responses")
    ]


def test_parallel_calls_with_interleaved_arguments_are_kept_apart() -> None:
    def added(i: int, **item: Any) -> dict[str, Any]:
        return {
            "type": "response.output_item.added",
            "output_index": i,
            "item": {"type": "function_call", "id": f"fc_{i}", "call_id": f"c{i}", "arguments": "", **item},
        }

    def grown(i: int, delta: str) -> dict[str, Any]:
        return {"type": "response.function_call_arguments.delta", "output_index": i, "delta": delta}

    parts = (
        fold(
            heard(
                sse(
                    CREATED,
                    added(0, name="f"),
                    added(1, name="g", namespace="n"),
                    grown(0, '{"a"'),
                    grown(1, "{"),
                    grown(0, ":1}"),
                    grown(1, ""),
                    grown(1, "}"),
                    done(),
                )
            )
        )
        .choices[0]
        .parts
    )
    assert [(part.name, part.arguments) for part in parts if isinstance(part, ToolCall)] == [
        ("f", '{"a":1}'),
        ("n__g", "{}"),
    ]


@pytest.mark.parametrize("how", ["content_part.done", "output_item.done", "completed"])
def test_text_that_no_delta_brought_still_arrives(how: str) -> None:
    part = {"type": "output_text", "text": "hi", "annotations": [{"type": "url_citation", "url": "u"}]}
    item = {"id": "msg_1", "type": "message", "content": [part]}
    rows: dict[str, dict[str, Any]] = {
        "content_part.done": {
            "type": "response.content_part.done",
            "output_index": 0,
            "content_index": 0,
            "part": part,
        },
        "output_item.done": {"type": "response.output_item.done", "output_index": 0, "item": item},
        "completed": done(output=[item]),
    }
    parts = fold(heard(sse(CREATED, rows[how], done()))).choices[0].parts
    assert [(p.text, len(p.citations)) for p in parts if isinstance(p, Text)] == [("hi", 1)]


def test_provider_side_items_come_whole_and_go_back_whole() -> None:
    item = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
    data = sse(
        CREATED,
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress"}},
        {"type": "response.web_search_call.searching", "output_index": 0, "item_id": "ws_1"},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        done(),
    )
    opaque = Opaque(dialect="openai-responses", kind="web_search_call", data=item)
    assert fold(heard(data)).choices[0].parts == [opaque]
    assert events(dialect.StreamWriter(ask()).write(heard(data)))[-1]["response"]["output"] == [item]


def test_unknown_events_and_late_deltas_change_nothing() -> None:
    text = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "hi"}
    item = {"id": "msg_1", "type": "message", "content": [{"type": "output_text", "text": "hi"}]}
    data = b": ping\n\n" + sse(
        CREATED,
        {"type": "response.future", "delta": {"x": 1}, "output_index": "0"},
        {**text, "delta": ""},
        text,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        text,
        done(),
    )
    assert fold(heard(data + b"data: [DONE]\n\n")).choices[0].parts == [Text(text="hi")]


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (
            {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "slow"}}},
            "rate_limited",
        ),
        (
            {"type": "response.failed", "response": {"error": {"code": "context_length_exceeded", "message": "slow"}}},
            "context_length",
        ),
        ({"type": "error", "code": "server_error", "message": "slow", "param": None}, "upstream_error"),
        ({"type": "error", "error": {"type": "x", "code": "server_is_overloaded", "message": "slow"}}, "overloaded"),
    ],
)
def test_an_error_in_the_stream_breaks_it(event: dict[str, Any], kind: str) -> None:
    last = heard(sse(CREATED, event, done()))[-1]
    assert isinstance(last, Broken)
    assert (last.failure.kind, last.failure.message) == (kind, "slow")


@pytest.mark.parametrize("tail", [b"", b'data: {"type":"respo', b"event: response.completed\n"])
def test_a_cut_stream_is_broken(tail: bytes) -> None:
    last = heard(sse(CREATED) + tail)[-1]
    assert isinstance(last, Broken)
    assert (last.failure.kind, last.failure.status) == ("stream_broken", 502)


def test_an_end_mark_without_its_blank_line_still_counts() -> None:
    assert heard(sse(CREATED, done())[:-2])[-1] == End()


def test_an_event_that_is_not_json_breaks_the_stream() -> None:
    assert isinstance(heard(sse(CREATED) + b"data: <html>\n\n" + sse(done()))[-1], Broken)


def test_after_the_end_there_is_nothing() -> None:
    reader = dialect.StreamReader()
    assert reader.feed(sse(CREATED, done(output=[])))[-1] == End()
    assert reader.feed(sse(CREATED)) == reader.close() == []
    assert reader.response is not None and reader.response["id"] == "resp_1"


# laws

WORDS = st.text(min_size=1, max_size=10)
OWN = "openai-responses"
PARTS = st.one_of(
    st.builds(lambda t, i: Text(text=t, id=f"msg_{i}"), WORDS, st.integers(0, 2)),
    st.builds(lambda t: Refusal(text=t, id="msg_9"), WORDS),
    st.builds(
        lambda t, s, e: Reasoning(text=t, summary=s or not t, encrypted=e, dialect=OWN),
        st.text(max_size=9),
        st.booleans(),
        st.none() | WORDS,
    ),
    st.builds(lambda t: Reasoning(text=t, signature="s", dialect="anthropic"), st.text(max_size=9)),
    st.builds(
        lambda n, a, g: ToolCall(
            id="c", name=n, arguments=json.dumps({"a": a}), signature=g, dialect="gemini" if g else ""
        ),
        st.sampled_from(["f", "patch", "tool_search"]),
        WORDS,
        st.none() | WORDS,
    ),
    st.builds(lambda a: ToolCall(id="c", name="patch", arguments=a, kind="custom"), WORDS),
    st.builds(
        lambda q: Opaque(
            dialect=OWN,
            kind="web_search_call",
            data={
                "type": "web_search_call",
                "id": "ws_1",
                "status": "completed",
                "action": {"type": "search", "query": q},
            },
        ),
        WORDS,
    ),
)
REPLIES = st.builds(
    lambda parts, finish: Reply(
        dialect=OWN,
        id="resp_1",
        model="m",
        created=1,
        usage=Usage(input=3, output=4),
        choices=[Choice(parts=parts, finish=finish)],
    ),
    st.lists(PARTS, max_size=6),
    st.sampled_from(["stop", "length", "content_filter"]),
)


@settings(max_examples=150)
@given(REPLIES)
def test_the_streams_last_word_is_the_whole_reply(reply: Reply) -> None:
    assert events(stream(reply, tools=TOOLS))[-1]["response"] == response(reply, tools=TOOLS)


@settings(max_examples=150)
@given(REPLIES)
def test_folding_a_stream_equals_the_whole_reply(reply: Reply) -> None:
    folded = fold(heard(stream(reply, tools=TOOLS)))
    whole = dialect.read_reply(dialect.write_reply(reply, ask(tools=TOOLS)))
    assert (folded.choices, folded.usage) == (whole.choices or [Choice()], whole.usage)
    assert (folded.id, folded.model, folded.created) == (whole.id, whole.model, whole.created)


@settings(max_examples=100)
@given(REPLIES, st.lists(st.integers(0, 6000), max_size=12), st.booleans())
def test_any_cut_of_the_bytes_gives_the_same_events(reply: Reply, cuts: list[int], returns: bool) -> None:
    data = stream(reply, tools=TOOLS)
    if returns:
        data = data.replace(b"\n", b"\r\n")
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reader = dialect.StreamReader()
    found = [event for a, b in itertools.pairwise(places) for event in reader.feed(data[a:b])]
    assert [*found, *reader.close()] == heard(data)


@settings(max_examples=100)
@given(REPLIES)
def test_what_a_client_sends_back_is_what_it_was_given(reply: Reply) -> None:
    output = response(reply, tools=TOOLS)["output"]
    parts = [part for message in ask(input=output, tools=TOOLS).messages for part in message.parts]
    signed = [p.signature for p in parts if isinstance(p, ToolCall | Reasoning) and p.signature]
    said = [p for p in reply.choices[0].parts if isinstance(p, ToolCall | Reasoning) and p.signature]
    assert signed == [p.signature for p in said]


@settings(max_examples=200)
@given(WORDS)
def test_no_delta_holds_a_mark(text: str) -> None:
    quoted = "".join(mark.decode() for mark in dialect.TAP_MARKS) + text
    found = stream(
        Reply(dialect="x", choices=[Choice(parts=[Text(text=quoted), ToolCall(id="c", name="f", arguments=quoted)])])
    )
    deltas = [frame for frame in found.split(b"\n\n") if b".delta\n" in frame]
    assert len(deltas) == 2
    assert not any(mark in frame for frame in deltas for mark in dialect.TAP_MARKS)


# the relay lane


def tapped(data: bytes) -> Seen:
    seen = Seen()
    for frame in data.split(b"\n\n")[:-1]:
        if any(mark in frame for mark in dialect.TAP_MARKS):
            assert dialect.tap(frame + b"\n\n", seen)
    return seen


def test_the_tap_reads_model_usage_and_end() -> None:
    reply = Reply(
        dialect="x", id="r", model="m", choices=[Choice(parts=[Text(text="a")])], usage=Usage(input=5, output=6)
    )
    assert tapped(stream(reply)) == Seen(usage=Usage(input=5, output=6), model="m", ended=True)
    assert tapped(b'data: {"type":"response.completed","response":3}\n\ndata: {"error"\n\n') == Seen()


def test_the_tap_reads_failures() -> None:
    for event in (
        {"type": "error", "message": "no"},
        {"type": "response.failed", "response": {"error": {"message": "no"}}},
    ):
        data = json.dumps(event).encode().replace(b'": "', b'":"')
        seen = tapped(b"data: " + data.replace(b'"message"', b'"error":null,"message"', 1) + b"\n\n")
        assert seen.failure is not None and not seen.ended


def test_retargeting_touches_only_the_model_and_the_stream() -> None:
    import msgspec

    from dragoman.dialects.quirks import Quirks

    body = b'{"model":"a","input":[ {"x" : 1} ],"stream":false,"unknown":1.0}'
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    dialect.retarget(fields, "b", False, Quirks())
    assert msgspec.json.encode(fields) == body.replace(b'"a"', b'"b"')
    dialect.retarget(fields, "b", True, Quirks())
    assert bytes(fields["stream"]) == b"true"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"usage":3}', b"{}"])
def test_a_body_without_usage_has_none(body: bytes) -> None:
    assert dialect.usage_of(body) is None


def test_the_usage_of_a_whole_reply_is_read() -> None:
    assert dialect.usage_of(b'{"output":[1],"usage":{"input_tokens":1,"output_tokens":2}}') == Usage(input=1, output=2)
