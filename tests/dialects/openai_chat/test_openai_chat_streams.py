"""Streams of `openai-chat`: providers' habits on the way in, OpenAI's exact chunks on the way out."""

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from dragoman.canon import (
    Begin,
    Broken,
    Choice,
    Citation,
    End,
    Event,
    Failure,
    Finish,
    Media,
    PartDelta,
    PartEnd,
    PartPatch,
    PartStart,
    Reasoning,
    Refusal,
    Reply,
    Request,
    Text,
    TokenLogprob,
    Tool,
    ToolCall,
    Usage,
    Used,
    fold,
    unfold,
)
from dragoman.dialects import openai_chat
from dragoman.dialects.openai_chat.turns import read_annotation, write_annotation
from dragoman.dialects.seal import unseal_id

NAME = "openai-chat"
DONE = b"data: [DONE]\n\n"
REQUEST = Request(dialect=NAME, model="m", stream=True, include_usage=True)


def frame(delta: dict | None = None, finish: str | None = None, **fields: object) -> bytes:
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish}
    return chunk([choice], **fields)


def chunk(choices: list, **fields: object) -> bytes:
    head = {"id": "r", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return b"data: " + msgspec.json.encode(head | fields) + b"\n\n"


def calls(*deltas: dict) -> bytes:
    return frame({"tool_calls": list(deltas)})


def call(index: int | None, id: str | None, name: str | None, arguments: str | None) -> dict:
    delta = {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return {key: value for key, value in delta.items() if value is not None}


def read(*frames: bytes) -> list[Event]:
    reader = openai_chat.StreamReader()
    return [event for one in frames for event in reader.feed(one)] + reader.close()


def parts(*frames: bytes) -> list:
    return fold(read(*frames, DONE)).choices[0].parts


def write(events: list[Event], request: Request = REQUEST) -> list[dict]:
    """The chunks written, each held to the SDK's type; the end mark as `{}`."""
    data = openai_chat.StreamWriter(request).write(events)
    found = []
    for one in data.split(b"\n\n")[:-1]:
        payload = one.removeprefix(b"data: ")
        if payload == b"[DONE]":
            found.append({})
            continue
        found.append(msgspec.json.decode(payload))
        if "error" not in found[-1] and b'"custom"' not in payload:
            ChatCompletionChunk.model_validate_json(payload, strict=True)
    return found


def written(reply: Reply, request: Request = REQUEST) -> list[dict]:
    return write(list(unfold(reply)), request)


def deltas(chunks: list[dict]) -> list[dict]:
    return [one["choices"][0]["delta"] for one in chunks if one.get("choices")]


# reading: which call a delta belongs to

F = ToolCall(id="a", name="f", arguments='{"x":1}')
G = ToolCall(id="b", name="g", arguments='{"y":2}')

CALL_STREAMS = {
    "OpenAI, interleaved": [
        calls(call(0, "a", "f", "")),
        calls(call(1, "b", "g", "")),
        calls(call(0, None, None, '{"x"')),
        calls(call(1, None, None, '{"y":'), call(0, None, None, ":1}")),
        calls(call(1, None, None, "2}")),
    ],
    "no index, id in every chunk": [
        calls(call(None, "a", "f", '{"x"')),
        calls(call(None, "b", "g", '{"y":')),
        calls(call(None, "a", None, ":1}")),
        calls(call(None, "b", None, "2}")),
    ],
    "id and name repeated": [
        calls(call(0, "a", "f", '{"x"')),
        calls(call(0, "a", "f", ":1}")),
        calls(call(1, "b", "g", '{"y":')),
        calls(call(1, "b", "g", "2}")),
    ],
    "whole calls in one chunk": [calls(call(0, "a", "f", '{"x":1}'), call(1, "b", "g", '{"y":2}'))],
    "whole calls without index": [calls(call(None, "a", "f", '{"x":1}'), call(None, "b", "g", '{"y":2}'))],
    "all at index 0 with different ids": [calls(call(0, "a", "f", '{"x":1}')), calls(call(0, "b", "g", '{"y":2}'))],
    "all at index 0, continued without ids": [
        calls(call(0, "a", "f", '{"x"')),
        calls(call(0, None, None, ":1}")),
        calls(call(0, "b", "g", '{"y":')),
        calls(call(0, None, None, "2}")),
    ],
    "a fresh id in every chunk": [
        calls(call(0, "a", "f", '{"x"')),
        calls(call(0, "zz", None, ":1}")),
        calls(call(1, "b", "g", '{"y":')),
        calls(call(1, "yy", None, "2}")),
    ],
    "indexes from 1, empty strings, nulls": [
        calls(call(1, "a", "f", None)),
        calls({"index": 1, "id": "", "function": {"name": "", "arguments": '{"x":1}'}}),
        calls({"index": 2, "id": "b", "type": None, "function": {"name": "g", "arguments": None}}),
        calls({"index": 2, "id": None, "function": {"name": None, "arguments": '{"y":2}'}}),
    ],
    "the name comes late": [
        calls(call(0, "a", None, '{"x"')),
        calls(call(0, None, "f", ":1}")),
        calls(call(1, "b", "g", '{"y":2}')),
    ],
    "arguments as objects": [
        calls({"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": 1}}}),
        calls({"index": "1", "id": "b", "function": {"name": "g", "arguments": {"y": 2}}}),
    ],
}


@pytest.mark.parametrize("habit", CALL_STREAMS)
def test_parallel_calls_are_kept_apart(habit: str) -> None:
    assert parts(frame({"role": "assistant", "content": None}), *CALL_STREAMS[habit]) == [F, G]


def test_calls_without_ids_get_some_and_are_told_apart_by_whole_arguments() -> None:
    found = parts(calls(call(0, None, "f", '{"x":1}')), calls(call(0, "", "f", '{"x":2}')))
    assert found == [
        ToolCall(id="call_r_0", name="f", arguments='{"x":1}'),
        ToolCall(id="call_r_1", name="f", arguments='{"x":2}'),
    ]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    assert parts(calls(call(0, "a", "f", ""))) == [ToolCall(id="a", name="f", arguments="{}")]


def test_custom_and_legacy_calls_and_googles_signature_are_read() -> None:
    free = {"index": 0, "id": "a", "type": "custom", "custom": {"name": "c", "input": ""}}
    signed = call(1, "b", "g", "{}") | {"extra_content": {"google": {"thought_signature": "s"}}}
    assert parts(
        calls(free),
        calls({"index": 0, "custom": {"input": "xy"}}),
        calls(signed),
    ) == [
        ToolCall(id="a", name="c", kind="custom", arguments="xy"),
        ToolCall(id="b", name="g", arguments="{}", signature="s", dialect=NAME),
    ]
    assert parts(
        frame({"function_call": {"name": "f", "arguments": ""}}), frame({"function_call": {"arguments": "{}"}})
    ) == [ToolCall(id="call_r_0", name="f", arguments="{}")]


# reading: the rest


def test_empty_deltas_open_and_close_nothing() -> None:
    events = read(
        frame({"role": "assistant", "content": ""}),
        frame({"content": None, "refusal": None, "tool_calls": None, "reasoning_content": "", "audio": None}),
        frame({"content": "", "tool_calls": []}),
        frame({"content": "a"}),
        frame({"content": ""}),
        frame({"content": "b", "refusal": ""}, finish="stop"),
        DONE,
    )
    assert events == [
        Begin(id="r", model="m", created=1, dialect=NAME),
        PartStart(index=0, part=Text()),
        PartDelta(index=0, text="a"),
        PartDelta(index=0, text="b"),
        PartEnd(index=0),
        Finish(reason="stop", raw="stop"),
        End(),
    ]


def test_an_empty_text_delta_between_arguments_leaves_the_call_open() -> None:
    found = parts(
        calls(call(0, "a", "f", '{"x"')),
        frame({"content": ""}),
        calls(call(0, None, None, ":1}")),
        frame({"content": ""}),
    )
    assert found == [F]


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@pytest.mark.parametrize(
    "frames",
    [
        [frame({"content": "a"}, finish="stop"), chunk([], usage=USAGE)],
        [frame({"content": "a"}), frame({}, finish="stop", usage=USAGE)],
        [frame({"content": "a"}, usage=None), frame({}, finish="stop", x_groq={"id": "x", "usage": USAGE})],
        [frame({"content": "a"}), chunk([{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}])],
        [frame({"content": "a"}, finish="stop"), frame({}, finish="stop", usage=USAGE)],
    ],
)
def test_usage_is_found_wherever_a_provider_puts_it(frames: list[bytes]) -> None:
    reply = fold(read(*frames, DONE))
    assert reply.usage == Usage(input=3, output=2)
    assert reply.choices[0].parts == [Text(text="a")]
    assert reply.choices[0].finish == "stop"


def test_comments_events_and_azures_empty_first_chunk_are_passed_over() -> None:
    azure = b'data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[]}\n\n'
    events = read(
        azure, b": OPENROUTER PROCESSING\n\n", b"event: ping\n\n", b"data:\n\n", frame({"content": "a"}), DONE
    )
    assert events[0] == Begin(id="r", model="m", created=1, dialect=NAME)
    assert isinstance(events[-1], End)


def test_several_answers_are_kept_apart() -> None:
    def at(index: int, **delta: object) -> dict:
        return {"index": index, "delta": delta, "finish_reason": None}

    reply = fold(
        read(
            chunk([at(1, content="b"), at(0, content="a")]),
            chunk([at(0, content="A"), {**at(1, content="B"), "finish_reason": "length"}]),
            DONE,
        )
    )
    assert [choice.parts for choice in reply.choices] == [[Text(text="aA")], [Text(text="bB")]]
    assert [choice.finish for choice in reply.choices] == ["stop", "length"]


def test_audio_refusals_logprobs_thinking_citations_and_images_are_read() -> None:
    token = {"token": "a", "logprob": -1.0, "bytes": None, "top_logprobs": []}
    citation = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 1, "url": "u", "title": "t"}}
    encrypted = {"type": "reasoning.encrypted", "data": "e", "index": 1}
    found = parts(
        frame({"reasoning": "h", "reasoning_details": [{"type": "reasoning.text", "text": "h", "index": 0}]}),
        frame(
            {"reasoning": "m", "reasoning_details": [{"type": "reasoning.text", "text": "m", "index": 0}, encrypted]}
        ),
        chunk([{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [token], "refusal": None}}]),
        frame({"annotations": [citation]}),
        frame({"refusal": "no"}),
        frame({"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]}),
        frame({"audio": {"id": "audio_1", "transcript": "he"}}),
        frame({"audio": {"data": "AAAA"}}),
        frame({"audio": {"data": "BBBB", "transcript": "y"}}, finish="stop"),
        frame({"audio": {"expires_at": 5}}),
    )
    thinking, text, refusal, image, audio = found
    details = [{"type": "reasoning.text", "text": "hm", "index": 0}, encrypted]
    assert thinking.text == "hm"
    assert msgspec.json.decode(thinking.encrypted) == details
    assert (text.text, text.logprobs[0].token, text.citations[0].url) == ("a", "a", "u")
    assert refusal == Refusal(text="no")
    assert image == Media(kind="image", mime="image/png", data="AA")
    assert audio == Media(kind="audio", id="audio_1", data="AAAABBBB", transcript="hey")


def test_thinking_content_in_arrays_is_read() -> None:
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]
    found = parts(frame({"content": thinking}), frame({"content": [{"type": "text", "text": "a"}]}))
    assert found == [Reasoning(text="hm", dialect=NAME), Text(text="a")]


@pytest.mark.parametrize(
    ("last", "kind", "words"),
    [
        (b'data: {"error":{"message":"out","code":503}}\n\n', "overloaded", "out"),
        (frame({"content": ""}, finish="error", error={"message": "died", "code": 502}), "upstream_error", "died"),
        (b'event: error\ndata: {"message":"bad"}\n\n', "upstream_error", "bad"),
        (b'data: {"object":"error","message":"too long","code":400}\n\n', "bad_request", "too long"),
        (b"data: {nonsense\n\n", "stream_broken", "no chat.completion.chunk"),
        (b'data: {"choices":7}\n\n', "stream_broken", "no chat.completion.chunk"),
    ],
)
def test_an_error_in_mid_stream_breaks_it(last: bytes, kind: str, words: str) -> None:
    events = read(frame({"content": "a"}), last, frame({"content": "b"}), DONE)
    broken = events[-1]
    assert isinstance(broken, Broken)
    assert broken.failure.kind == kind
    assert words in broken.failure.message
    assert PartDelta(index=0, text="b") not in events


def test_a_cut_stream_is_broken_even_after_its_finish_reason() -> None:
    events = read(frame({"content": "a"}, finish="stop"))
    assert isinstance(events[-1], Broken)
    assert events[-1].failure.kind == "stream_broken"


@pytest.mark.parametrize("ending", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r\n", b"data:[DONE]\r\n\r\n"])
def test_the_end_mark_counts_however_its_line_ends(ending: bytes) -> None:
    assert isinstance(read(frame({"content": "a"}), ending)[-1], End)


def test_nothing_comes_after_the_end() -> None:
    reader = openai_chat.StreamReader()
    reader.feed(frame({"content": "a"}) + DONE)
    assert reader.feed(frame({"content": "b"})) == []
    assert reader.close() == []


WHOLE_STREAM = b"".join(
    [
        b": hello\r\n\r\n",
        frame({"role": "assistant", "content": ""}),
        frame({"reasoning_content": "hm"}),
        frame({"content": "grüß"}).replace(b"\n\n", b"\r\n\r\n"),
        *CALL_STREAMS["OpenAI, interleaved"],
        frame({}, finish="tool_calls"),
        chunk([], usage=USAGE),
        DONE,
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, len(WHOLE_STREAM)), max_size=12))
def test_any_cut_of_the_bytes_gives_the_same_events(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE_STREAM)]
    pieces = [WHOLE_STREAM[a:b] for a, b in itertools.pairwise(edges)]
    assert read(*pieces) == read(WHOLE_STREAM)


# laws: a stream amounts to its whole reply

text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
json_text = st.dictionaries(text, st.integers() | text, max_size=3).map(lambda v: msgspec.json.encode(v).decode())


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    """Replies as this dialect can say them: at most one part of each kind, and any number of calls."""
    choices = []
    for number in range(draw(st.integers(1, 2))):
        found: list = []
        if draw(st.booleans()):
            found.append(Reasoning(text=draw(text), dialect=NAME))
        if draw(st.booleans()):
            citations = draw(
                st.lists(st.builds(Citation, url=text, title=text, start=st.just(0), end=st.just(1)), max_size=2)
            )
            found.append(Text(text=draw(text), citations=[_raw(c) for c in citations]))
        found += [
            ToolCall(id=f"call_{number}_{place}", name=draw(text), arguments=draw(json_text))
            for place in range(draw(st.integers(0, 3)))
        ]
        called = any(isinstance(part, ToolCall) for part in found)
        raw = "tool_calls" if called else draw(st.sampled_from(["stop", "length", "content_filter"]))
        choices.append(Choice(parts=found, finish=raw, raw_finish=raw))  # type: ignore[arg-type]
    usage = Usage(input=draw(st.integers(0, 99)), output=draw(st.integers(0, 99)), cached=draw(st.integers(0, 9)))
    return Reply(dialect=NAME, id="r", model="m", created=1, choices=choices, usage=usage)


def _raw(citation: Citation) -> Citation:
    found = read_annotation(write_annotation(citation, 0, 0))
    assert found is not None
    return found


@settings(max_examples=150, deadline=None)
@given(replies())
def test_a_written_stream_reads_as_the_reply_it_was_made_from(reply: Reply) -> None:
    data = openai_chat.StreamWriter(REQUEST).write(unfold(reply))
    assert plain(fold(read(data))) == plain(reply)


@settings(max_examples=150, deadline=None)
@given(replies())
def test_a_written_reply_reads_as_the_reply_it_was_made_from(reply: Reply) -> None:
    body = openai_chat.write_reply(reply, REQUEST)
    ChatCompletion.model_validate_json(body, strict=True)
    assert plain(openai_chat.read_reply(body)) == plain(reply)


def plain(reply: Reply) -> Reply:
    """Without the zero counters that writing adds."""
    assert reply.usage is not None
    return msgspec.structs.replace(reply, usage=msgspec.structs.replace(reply.usage, extra=None))


@settings(max_examples=150, deadline=None)
@given(json_text, json_text, st.lists(st.tuples(st.booleans(), st.integers(1, 4)), min_size=1, max_size=40))
def test_any_split_of_interleaved_arguments_keeps_them_whole(one: str, two: str, steps: list) -> None:
    left = {0: one, 1: two}
    frames = [calls(call(0, "a", "f", ""), call(1, "b", "g", ""))]
    for second, size in [*steps, (False, len(one)), (True, len(two))]:
        index = int(second)
        piece, left[index] = left[index][:size], left[index][size:]
        frames.append(calls({"index": index, "function": {"arguments": piece}}))
    found = parts(*frames)
    assert [part.arguments for part in found] == [one, two]


# writing


def test_chunks_are_openais_own() -> None:
    events: list[Event] = [
        Begin(id="r", model="m", created=7, service_tier="default", dialect=NAME),
        PartStart(index=0, part=Text()),
        PartDelta(index=0, text='a"\n'),
        PartEnd(index=0),
        Finish(reason="stop", raw="stop"),
        Used(usage=Usage(input=3, output=2)),
        End(),
    ]
    head = {"id": "r", "object": "chat.completion.chunk", "created": 7, "model": "m", "service_tier": "default"}

    def one(delta: dict, finish: str | None = None) -> dict:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**head, "choices": [choice], "usage": None}

    *chunks, usage, end = write(events)
    assert chunks == [
        one({"role": "assistant", "content": "", "refusal": None}),
        one({"content": 'a"\n'}),
        one({}, "stop"),
    ]
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 5
    assert end == {}


def test_usage_is_kept_from_a_client_that_did_not_ask() -> None:
    events: list[Event] = [
        Begin(id="r"),
        PartStart(index=0, part=Text(text="a")),
        PartEnd(index=0),
        Finish(reason="stop"),
    ]
    chunks = write([*events, Used(usage=Usage(input=3)), End()], Request(dialect=NAME, include_usage=False))
    assert not any("usage" in one for one in chunks)
    assert chunks[-1] == {}


def test_calls_get_indexes_from_one_table_and_never_empty_arguments() -> None:
    events: list[Event] = [
        Begin(id="r", dialect="anthropic"),
        PartStart(index=0, part=Text(text="so")),
        PartStart(index=3, part=ToolCall(id="a", name="f")),
        PartStart(index=5, part=ToolCall(id="b", name="g")),
        PartDelta(index=5, text='{"y"'),
        PartEnd(index=3),
        PartDelta(index=5, text=":2}"),
        PartEnd(index=5),
        Finish(reason="tool_calls"),
        End(),
    ]
    found = [one for delta in deltas(write(events)) for one in delta.get("tool_calls", ())]
    arguments: dict[int, str] = {0: "", 1: ""}
    for one in found:
        arguments[one["index"]] += one["function"]["arguments"]
    assert arguments == {0: "{}", 1: '{"y":2}'}
    assert [one["id"] for one in found if "id" in one] == ["a", "b"]


def test_a_broken_stream_ends_in_an_error_and_never_cleanly() -> None:
    events: list[Event] = [
        Begin(id="r"),
        PartStart(index=0, part=Text(text="a")),
        Broken(failure=Failure(kind="stream_broken", message="gone", status=502)),
        PartDelta(index=0, text="b"),
        End(),
    ]
    chunks = write(events)
    assert chunks[-1] == {"error": {"message": "gone", "type": "server_error", "param": None, "code": "stream_broken"}}
    assert "b" not in [delta.get("content") for delta in deltas(chunks[:-1])]


def test_foreign_signed_thinking_is_shown_and_sealed_into_the_call() -> None:
    events: list[Event] = [
        Begin(id="r", dialect="anthropic"),
        PartStart(index=0, part=Reasoning(dialect="anthropic")),
        PartDelta(index=0, text="h"),
        PartDelta(index=0, text="m"),
        PartPatch(index=0, signature="s"),
        PartEnd(index=0),
        PartStart(index=1, part=ToolCall(id="a", name="f", signature="g", dialect="gemini")),
        PartEnd(index=1),
        Finish(reason="tool_calls"),
        End(),
    ]
    found = deltas(write(events))
    assert "".join(delta.get("reasoning_content", "") for delta in found) == "hm"
    sealed = next(delta["tool_calls"][0]["id"] for delta in found if "tool_calls" in delta)
    assert unseal_id(sealed) == (
        "a",
        [Reasoning(text="hm", signature="s", dialect="anthropic"), ToolCall(signature="g", dialect="gemini")],
    )


def test_a_custom_tool_played_by_a_function_streams_its_text() -> None:
    request = msgspec.structs.replace(REQUEST, tools=[Tool(name="c", kind="custom")])
    events: list[Event] = [
        Begin(id="r"),
        PartStart(index=0, part=ToolCall(id="a", name="c")),
        PartDelta(index=0, text='{"inp'),
        PartDelta(index=0, text='ut":"xy"}'),
        PartEnd(index=0),
        Finish(reason="tool_calls"),
        End(),
    ]
    found = [one for delta in deltas(write(events, request)) for one in delta.get("tool_calls", ())]
    assert found == [
        {"index": 0, "id": "a", "type": "custom", "custom": {"name": "c", "input": ""}},
        {"index": 0, "custom": {"input": "xy"}},
    ]


def test_a_client_that_sent_functions_gets_function_call_deltas() -> None:
    request = openai_chat.read_request(
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "functions": [{"name": "f"}]}
    )
    events: list[Event] = [
        Begin(id="r"),
        PartStart(index=0, part=ToolCall(id="a", name="f")),
        PartEnd(index=0),
        PartStart(index=1, part=ToolCall(id="b", name="g")),
        PartEnd(index=1),
        Finish(reason="tool_calls"),
        End(),
    ]
    chunks = write(events, request)
    assert deltas(chunks)[1:] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
        {},
    ]
    assert chunks[-2]["choices"][0]["finish_reason"] == "function_call"


def test_audio_citations_and_logprobs_are_written() -> None:
    events: list[Event] = [
        Begin(id="r"),
        PartStart(index=0, part=Text()),
        PartDelta(index=0, text="ab", logprobs=[TokenLogprob(token="ab", logprob=-1.0)]),
        PartPatch(index=0, citation=Citation(url="u", title="t")),
        PartEnd(index=0),
        PartStart(index=1, part=Media(kind="audio", id="audio_1", data="")),
        PartDelta(index=1, text="hey"),
        PartDelta(index=1, data="AAAA"),
        PartEnd(index=1),
        Finish(reason="stop"),
        End(),
    ]
    chunks = write(events)
    assert chunks[1]["choices"][0]["logprobs"]["content"][0]["token"] == "ab"
    assert deltas(chunks)[2:-1] == [
        {
            "annotations": [
                {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "url": "u", "title": "t"}}
            ]
        },
        {"audio": {"id": "audio_1"}},
        {"audio": {"transcript": "hey"}},
        {"audio": {"data": "AAAA"}},
    ]
