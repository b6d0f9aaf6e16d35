"""Whole replies and streams of the ollama dialect."""

import contextlib
import copy
import datetime
import itertools

import httpx
import msgspec
import ollama as sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.spoil import spoiled
from dragoman.canon import (
    Begin,
    Broken,
    Choice,
    End,
    Failure,
    Message,
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
    fold,
    unfold,
)
from dragoman.dialects import ollama
from dragoman.dialects.dialect import Seen
from dragoman.dialects.fields import Malformed
from dragoman.dialects.ollama import generate, models
from dragoman.dialects.quirks import Quirks

WHEN = "2026-11-23T07:00:00.123456789Z"
REQUEST = Request(dialect="ollama", model="m", stream=True)


def line(**fields):
    return msgspec.json.encode({"model": "qwen3", "created_at": WHEN, **fields}) + b"\n"


def piece(**message):
    return line(message={"role": "assistant", "content": "", **message}, done=False)


LAST = line(
    message={"role": "assistant", "content": ""}, done=True, done_reason="stop", total_duration=9,
    prompt_eval_count=11, eval_count=5,
)  # fmt: skip
LOGPROB = {"token": "It", "logprob": -0.5, "bytes": [73, 116], "top_logprobs": [{"token": "It", "logprob": -0.5}]}
CALL = {"id": "call_x", "function": {"index": 0, "name": "look", "arguments": {"at": "sky"}}}
NAMELESS = {"function": {"name": "look", "arguments": {}}}
STREAM = (
    piece(thinking="Let me")
    + piece(thinking=" think.")
    + piece(content="")
    + line(message={"role": "assistant", "content": "It"}, done=False, logprobs=[LOGPROB])
    + piece(content=" is ünï.")
    + piece(tool_calls=[CALL])
    + piece(tool_calls=[NAMELESS])
    + LAST
)
WHOLE = line(
    message={
        "role": "assistant", "content": "It is ünï.", "thinking": "Let me think.", "tool_calls": [CALL, NAMELESS],
    },
    logprobs=[LOGPROB], done=True, done_reason="stop", total_duration=9, prompt_eval_count=11, eval_count=5,
)  # fmt: skip


def events_of(data, cut=None, reader=ollama.StreamReader):
    reader = reader()
    if cut is None:
        events = reader.feed(data)
    else:
        events = [event for at in range(0, len(data), cut) for event in reader.feed(data[at : at + cut])]
    return events + reader.close()


def test_a_folded_stream_equals_the_whole_reply():
    streamed, whole = fold(events_of(STREAM)), ollama.read_reply(WHOLE)
    whole.extra = None
    assert streamed == whole
    assert whole.created == 1795417200
    assert whole.usage == Usage(input=11, output=5)
    assert whole.choices[0].finish == "tool_calls"
    assert [part.id for part in whole.choices[0].parts[2:]] == ["call_x", f"call_{whole.id}_1"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
@settings(max_examples=100, deadline=None)
def test_any_cut_of_the_bytes_gives_the_same_events(cuts):
    reader, edges = ollama.StreamReader(), [0, *sorted(cuts), len(STREAM)]
    events = [event for a, b in itertools.pairwise(edges) for event in reader.feed(STREAM[a:b])]
    assert events + reader.close() == events_of(STREAM)


def test_a_last_line_without_its_line_end_counts():
    assert isinstance(events_of(STREAM.rstrip(b"\n"))[-1], End)


def test_a_cut_stream_is_broken():
    events = events_of(STREAM[: -len(LAST)])
    assert events[-1].failure.kind == "stream_broken"
    assert not any(isinstance(event, End) for event in events)


@pytest.mark.parametrize("bad", [b"<html>\n", b'{"message": \n', b"\xff\xfe\n"])
def test_a_line_that_is_no_json_breaks_the_stream(bad):
    assert isinstance(events_of(piece(content="a") + bad + LAST)[-1], Broken)


def test_an_error_line_breaks_the_stream_with_its_own_words():
    events = events_of(piece(content="a") + b'{"error":"the model crashed"}\n' + LAST)
    assert events[-1].failure.message == "the model crashed"
    assert events[-1].failure.kind == "upstream_error"


@pytest.mark.parametrize("odd", [b"[]\n", b'{"message":null,"done":false}\n', b'{"message":{"content":null}}\n', b"\n"])
def test_odd_lines_are_harmless(odd):
    assert fold(events_of(odd + piece(content="a") + LAST)).choices[0].parts == [Text(text="a")]


def test_empty_pieces_never_open_a_part():
    events = events_of(piece() + piece(thinking="") + LAST)
    assert not any(isinstance(event, PartStart | PartDelta | PartEnd) for event in events)


def test_logprobs_of_a_line_without_text_are_not_lost():
    events = events_of(
        piece(content="a") + line(message={"role": "assistant", "content": ""}, logprobs=[LOGPROB], done=False) + LAST
    )
    assert [token.token for token in fold(events).choices[0].parts[0].logprobs] == ["It"]


def test_a_reply_without_a_message_is_malformed():
    with pytest.raises(Malformed):
        ollama.read_reply(b'{"model":"m"}')


def test_a_reply_comes_back_as_it_was():
    body = msgspec.json.decode(WHOLE)
    written = msgspec.json.decode(ollama.write_reply(ollama.read_reply(WHOLE), REQUEST))
    body["created_at"] = "2026-11-23T07:00:00Z"
    body["message"]["tool_calls"][1]["id"] = written["message"]["tool_calls"][1]["id"]
    body["message"]["tool_calls"][1]["function"]["index"] = 1
    assert written == {**body, "load_duration": 0, "prompt_eval_duration": 0, "eval_duration": 0}


THOUGHT = Reasoning(text="Hm.", signature="sig", dialect="anthropic")
REDACTED = Reasoning(encrypted="secret", dialect="anthropic")
FOREIGN = Reply(
    dialect="anthropic",
    id="msg_1",
    model="claude",
    created=1795417200,
    choices=[
        Choice(
            parts=[
                THOUGHT,
                REDACTED,
                Text(text="Looking."),
                ToolCall(id="toolu_1", name="look", arguments='{"at":"sky"}'),
                ToolCall(id="toolu_2", name="look", arguments="{}", signature="s2", dialect="gemini"),
            ],
            finish="tool_calls",
        )
    ],
    usage=Usage(input=3, output=4),
)


def server(reply, module=ollama):
    """Ollama's own client before a gateway that gives `reply`, whole or streamed as asked."""

    def answer(http):
        request = module.read_request(msgspec.json.decode(http.content))
        seen.append(request)
        if not request.stream:
            return httpx.Response(200, content=module.write_reply(reply, request))
        body = module.StreamWriter(request).write(unfold(reply))
        return httpx.Response(200, content=body, headers={"content-type": module.STREAM_TYPE})

    seen = []
    return sdk.Client(transport=httpx.MockTransport(answer)), seen


@pytest.mark.parametrize("stream", [False, True])
def test_the_official_client_keeps_signatures_though_it_drops_call_ids(stream):
    client, seen = server(FOREIGN)
    messages = [{"role": "user", "content": "Look!"}]
    if stream:
        thinking, content, calls = "", "", []
        for chunk in client.chat("claude", messages, stream=True):
            thinking += chunk.message.thinking or ""
            content += chunk.message.content or ""
            calls += chunk.message.tool_calls or []
        messages.append({"role": "assistant", "thinking": thinking, "content": content, "tool_calls": calls})
    else:
        messages.append(client.chat("claude", messages).message)
    messages += [{"role": "tool", "tool_name": "look", "content": text} for text in ("a star", "a bird")]
    client.chat("claude", messages)
    turn, *results = seen[-1].messages[1:]
    assert turn.parts == FOREIGN.choices[0].parts
    assert [result.parts[0].call_id for result in results] == ["toolu_1", "toolu_2"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_keeps_ids_gives_everything_back_too(stream):
    if stream:
        lines = ollama.StreamWriter(REQUEST).write(unfold(FOREIGN)).splitlines()
        pieces = [msgspec.json.decode(one)["message"] for one in lines]
        calls = [call for one in pieces for call in one.get("tool_calls", ())]
        message = {"role": "assistant", "content": "".join(one["content"] for one in pieces), "tool_calls": calls}
    else:
        message = msgspec.json.decode(ollama.write_reply(FOREIGN, REQUEST))["message"]
        del message["thinking"]
    request = ollama.read_request({"model": "m", "messages": [message]})
    assert request.messages[0].parts == FOREIGN.choices[0].parts


def test_what_is_hidden_cannot_be_seen():
    shown = msgspec.json.decode(ollama.write_reply(FOREIGN, REQUEST))["message"]["thinking"]
    assert "".join(character for character in shown if ord(character) < 0xE0000) == "Hm."


def test_a_written_stream_reads_as_what_was_written():
    reply = ollama.read_reply(WHOLE)
    again = fold(events_of(ollama.StreamWriter(REQUEST).write(unfold(reply))))
    assert again.choices[0].parts == reply.choices[0].parts
    assert (again.usage, again.model, again.created) == (reply.usage, reply.model, reply.created)


def test_interleaved_calls_come_out_whole():
    events = [
        Begin(id="r", model="m", created=1),
        PartStart(index=0, part=ToolCall(id="a", name="f")),
        PartStart(index=1, part=ToolCall(id="b", name="g")),
        PartDelta(index=0, text='{"x"'),
        PartDelta(index=1, text='{"y":2}'),
        PartDelta(index=0, text=":1}"),
        PartEnd(index=0),
        PartEnd(index=1),
    ]
    lines = [msgspec.json.decode(one) for one in ollama.StreamWriter(REQUEST).write(events).splitlines()]
    functions = [call["function"] for one in lines for call in one["message"]["tool_calls"]]
    assert functions == [
        {"index": 0, "name": "f", "arguments": {"x": 1}},
        {"index": 1, "name": "g", "arguments": {"y": 2}},
    ]


def test_a_signature_that_comes_late_is_sealed_too():
    events = [
        Begin(id="r", model="m"),
        PartStart(index=0, part=Reasoning(dialect="anthropic")),
        PartDelta(index=0, text="Hm."),
        PartPatch(index=0, signature="sig"),
        PartEnd(index=0),
        PartStart(index=1, part=ToolCall(id="a", name="f")),
        PartEnd(index=1),
    ]
    lines = ollama.StreamWriter(REQUEST).write(events).splitlines()
    message = msgspec.json.decode(lines[-1])["message"]
    assert ollama.read_request({"model": "m", "messages": [message]}).messages[0].parts[0] == THOUGHT


def test_no_line_of_a_stream_has_another_line_break_in_it():
    text = "a\u2028b\u2029c\x85d\x0be\nf"
    reply = Reply(dialect="anthropic", model="m", choices=[Choice(parts=[Text(text=text)])])
    lines = ollama.StreamWriter(REQUEST).write(unfold(reply)).decode().splitlines()
    assert "".join(msgspec.json.decode(line)["message"]["content"] for line in lines) == text


def test_a_broken_stream_ends_with_an_error_line_and_no_end_mark():
    failure = Failure(kind="stream_broken", message="gone")
    out = ollama.StreamWriter(REQUEST).write([Begin(id="r", model="m"), Broken(failure=failure)])
    assert out == b'{"error":"gone"}\n'


def test_logprobs_reach_the_client_in_a_stream():
    token = TokenLogprob(token="a", logprob=-1.0, bytes=[97])
    out = ollama.StreamWriter(REQUEST).write(
        [
            Begin(id="r", model="m"),
            PartStart(index=0, part=Text()),
            PartDelta(index=0, text="a", logprobs=[token]),
        ]
    )
    assert msgspec.json.decode(out)["logprobs"] == [{"token": "a", "logprob": -1.0, "bytes": [97]}]


@pytest.mark.parametrize(
    ("status", "body", "kind", "towards_client"),
    [
        (404, b'{"error":"model \'x\' not found"}', "unknown_model", 404),
        (404, b"404 page not found", "not_found", 404),
        (400, b'{"error":"invalid format"}', "bad_request", 400),
        (400, b'{"error":"prompt exceeds the context length"}', "context_length", 400),
        (401, b'{"error":"unauthorized","signin_url":"x"}', "unauthorized", 401),
        (429, b'{"error":"slow down"}', "rate_limited", 429),
        (503, b'{"error":"server busy"}', "overloaded", 503),
        (500, b"", "upstream_error", 502),
        (502, b"<html>", "upstream_error", 502),
        (500, b'{"error":{"message":"nested"}}', "upstream_error", 502),
        (500, b'{"err', "upstream_error", 502),
        (418, b"[]", "bad_request", 418),
    ],
)
def test_errors_are_read_by_status_and_words(status, body, kind, towards_client):
    failure = ollama.read_error(status, body)
    assert (failure.kind, failure.status) == (kind, towards_client)
    assert failure.message


def test_the_official_client_raises_our_error():
    def answer(http):
        return httpx.Response(429, content=ollama.write_error(Failure(kind="rate_limited", message="slow down")))

    client = sdk.Client(transport=httpx.MockTransport(answer))
    with pytest.raises(sdk.ResponseError, match="slow down"):
        client.chat("m", [])


# ---------------------------------------------------------------- the relay lane


def test_retargeting_touches_the_model_and_nothing_else():
    body = b'{"model":"a","messages":[{"role":"user","content":"x"}],"options":{"z":1.10}}'
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    ollama.retarget(fields, "b", True, Quirks())
    assert msgspec.json.encode(fields) == body.replace(b'"a"', b'"b"')


def test_the_tap_sees_counts_end_and_errors():
    seen = Seen()
    frames = STREAM.splitlines(keepends=True)
    marked = [frame for frame in frames if any(mark in frame for mark in ollama.TAP_MARKS)]
    assert marked == [LAST]
    assert ollama.tap(LAST, seen)
    assert (seen.ended, seen.usage, seen.model) == (True, Usage(input=11, output=5), "qwen3")
    broken = Seen()
    assert ollama.tap(b'{"error":"x"}\n', broken)
    assert broken.failure.message == "x"
    assert not broken.ended
    assert ollama.tap(b'{"done":true', Seen())


def test_usage_of_a_whole_reply():
    assert ollama.usage_of(WHOLE) == Usage(input=11, output=5)
    assert ollama.usage_of(b"oops") is None


# ---------------------------------------------------------------- generate

GENERATE = {
    "model": "m", "prompt": "def f(", "suffix": "return 1", "system": "Code.", "stream": False, "raw": True,
    "options": {"num_predict": 10, "num_ctx": 99},
}  # fmt: skip


def test_a_generate_request_comes_back_as_it_was():
    written = generate.write_request(generate.read_request(copy.deepcopy(GENERATE)), Quirks())
    assert (written.body, written.lossy) == (GENERATE, [])


def test_a_generate_request_is_a_chat_of_one_message_elsewhere():
    request = generate.read_request(copy.deepcopy(GENERATE))
    assert request.messages == [
        Message(role="system", parts=[Text(text="Code.")]),
        Message(role="user", parts=[Text(text="def f(")]),
    ]
    assert set(ollama.write_request(request, Quirks()).lossy) == {"suffix", "raw"}


@pytest.mark.parametrize("stream", [False, True])
def test_the_official_client_generates(stream):
    client, _ = server(FOREIGN, generate)
    if stream:
        chunks = list(client.generate("claude", "Look!", stream=True))
        text, last = "".join(chunk.response for chunk in chunks), chunks[-1]
    else:
        last = client.generate("claude", "Look!")
        text = last.response
    assert text == "Looking."
    assert (last.done, last.eval_count, last.prompt_eval_count) == (True, 4, 3)


def test_a_generate_stream_folds_to_the_whole_reply():
    lines = [
        line(response="", thinking="Hm.", done=False),
        line(response="Yes", done=False),
        line(response="", done=True, done_reason="length", prompt_eval_count=1, eval_count=2, context=[1]),
    ]
    whole = line(
        response="Yes", thinking="Hm.", done=True, done_reason="length", prompt_eval_count=1, eval_count=2, context=[1]
    )
    streamed, reply = fold(events_of(b"".join(lines), 7, generate.StreamReader)), generate.read_reply(whole)
    assert reply.extra == {"context": [1]}
    reply.extra = None
    assert streamed == reply
    assert reply.choices[0].finish == "length"


# ---------------------------------------------------------------- listings

LISTED = models.Listed(
    name="auto",
    context_window=128000,
    capabilities=("tools", "vision", "json_schema", "reasoning"),
    modified=1795417200,
)


def listing_client():
    bodies = {
        "/api/tags": models.tags([LISTED]),
        "/api/ps": models.running([LISTED], 1795417200),
        "/api/show": models.show(LISTED),
    }
    return sdk.Client(transport=httpx.MockTransport(lambda http: httpx.Response(200, content=bodies[http.url.path])))


def test_the_official_client_lists_models():
    client = listing_client()
    (model,) = client.list().models
    assert (model.model, model.modified_at) == ("auto", datetime.datetime(2026, 11, 23, 7, tzinfo=datetime.UTC))
    assert len(model.digest) == 64
    (running,) = client.ps().models
    assert (running.name, running.context_length) == ("auto", 128000)


def test_an_editor_finds_the_context_window_and_the_capabilities():
    shown = listing_client().show("auto")
    assert shown.capabilities == ["completion", "tools", "vision", "thinking"]
    assert shown.modelinfo[f"{shown.modelinfo['general.architecture']}.context_length"] == 128000


def test_the_version_is_a_version():
    assert all(part.isdigit() for part in msgspec.json.decode(models.version())["version"].split("."))


# ---------------------------------------------------------------- spoiled answers


@given(spoiled(msgspec.json.decode(WHOLE)))
@settings(max_examples=150, deadline=None)
def test_a_spoiled_reply_is_read_as_far_as_it_goes_or_refused(data):
    body = msgspec.json.encode(data)
    with contextlib.suppress(Malformed):
        ollama.write_reply(ollama.read_reply(body), REQUEST)
    ollama.usage_of(body)
    ollama.tap(body, Seen())


@given(spoiled([msgspec.json.decode(one) for one in STREAM.splitlines()]))
@settings(max_examples=150, deadline=None)
def test_a_spoiled_stream_ends_whole_or_broken(lines):
    events = events_of(b"\n".join(msgspec.json.encode(one) for one in lines))
    assert isinstance(events[-1], End | Broken)
    ollama.StreamWriter(REQUEST).write(events)
