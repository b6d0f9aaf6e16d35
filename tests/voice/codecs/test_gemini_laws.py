"""The laws of Gemini Live, for everything that it and OpenAI's Realtime API both can say."""

import json
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.dialects.fields import Malformed
from dragoman.voice.codecs import gemini
from fakes.realtime_order import in_order
from fakes.realtime_schemas import assert_valid_client_event, assert_valid_server_event

from .said import (
    CLIENT_EVENT,
    EAGER,
    FUNCTIONS,
    HEARING,
    ITEM,
    MODALITIES,
    TEXT,
    numbers,
    server_events,
    sessions,
    some,
)


def told(messages):
    return [json.loads(message) for message in messages]


VAD = st.one_of(
    st.none(),
    some(prefix_padding_ms=st.integers(0, 900), interrupt_response=st.just(False)).map(
        lambda vad: {"type": "server_vad", "silence_duration_ms": 500, **vad}
    ),
    EAGER.filter(lambda eager: eager in ("low", "high")).map(
        lambda eager: {"type": "semantic_vad", "eagerness": eager}
    ),
)


@st.composite
def setups(draw):
    """A session that Gemini can say."""
    session = draw(some(max_output_tokens=st.integers(1, 4096), instructions=TEXT.filter(bool)))
    heard = draw(
        some(turn_detection=VAD, transcription=HEARING.map(lambda t: {**t, "model": "gpt-4o-mini-transcribe"}))
    )
    spoken = draw(some(voice=st.sampled_from(["Puck", "Kore"])))
    audio = {name: value for name, value in (("input", heard), ("output", spoken)) if value}
    tools = draw(FUNCTIONS)
    return {
        "type": "realtime",
        "output_modalities": draw(MODALITIES),
        **session,
        **({"audio": audio} if audio else {}),
        **({"tools": tools} if tools else {}),
    }


@given(setups())
def test_a_session_is_the_same_after_the_way_through_a_setup(session):
    upstream, client = gemini.Upstream(numbers(), "m"), gemini.Client(numbers())
    (message,) = upstream.write({"type": "session.update", "session": deepcopy(session)})
    assert_valid_client_event(json.loads(message), "gemini")
    (back,) = client.read(message)
    assert back == {"type": "session.update", "session": session}
    assert client.model == "m"
    assert upstream.lossy == client.lossy == []


def ready(session=None, names=""):
    """An upstream that is set up, and its codec's first events taken."""
    upstream = gemini.Upstream(numbers(names), "m")
    upstream.write({"type": "session.update", "session": session or {"type": "realtime"}})
    upstream.read('{"setupComplete": {}}')
    upstream.echoes()
    return upstream


BLANK = [{"type": "input_text", "text": " "}]  # after the model's own turn


@given(ITEM.filter(lambda item: item.get("role") != "system" and item.get("content") != []))
def test_an_item_is_the_same_after_the_way_through_contents(item):
    upstream, client = ready(), gemini.Client(numbers())
    client.read('{"setup": {"model": "m"}}')
    assert upstream.write({"type": "conversation.item.create", "item": deepcopy(item)}) == []
    message, _ = upstream.write({"type": "input_audio_buffer.append", "audio": "AAA="})
    assert_valid_client_event(json.loads(message), "gemini")
    back = [event["item"] for event in client.read(message)]
    if item.get("role") != "user":
        back = [each for each in back if each.get("content") != BLANK]
    if item["type"] == "message":
        assert [part for each in back for part in each["content"]] == item["content"]
        assert {each["role"] for each in back} == {item["role"]}
    else:
        assert [{**each, "arguments": json.loads(each.get("arguments", "0"))} for each in back] == [
            {**item, "arguments": json.loads(item.get("arguments", "0"))}
        ]


@given(st.lists(CLIENT_EVENT, max_size=5), sessions())
def test_whatever_a_client_says_gemini_hears_what_it_knows(events, session):
    upstream = gemini.Upstream(numbers("u"), "m")
    echoes = upstream.echoes()
    messages = upstream.write({"type": "session.update", "session": session})
    for event in events:
        messages += upstream.write(deepcopy(event))
        echoes += upstream.echoes()
    echoes += upstream.read('{"setupComplete": {}}') + upstream.echoes()
    for message in messages + upstream.answers():
        assert_valid_client_event(json.loads(message), "gemini")
    assert "setup" in told(messages)[0]
    for event in echoes:
        assert_valid_server_event(event)


@given(server_events(aside=False))
def test_what_a_server_says_is_heard_in_gemini_s_words_and_comes_back_in_order(events):
    client, upstream = gemini.Client(numbers()), gemini.Upstream(numbers("u"), "m")
    (update,) = client.read(
        '{"setup": {"model": "m", "inputAudioTranscription": {}, "outputAudioTranscription": {}, '
        '"generationConfig": {"responseModalities": ["TEXT"]}}}'
    )
    upstream.write(update)
    back = upstream.echoes()
    said = []
    for event in events:
        if event["type"] == "response.created":
            upstream.write({"type": "response.create"})
        for message in client.write(deepcopy(event)):
            assert_valid_server_event(json.loads(message), "gemini")
            said.append(json.loads(message))
            back += upstream.read(message) + upstream.echoes()
    assert next(iter(said)) == {"setupComplete": {}}
    for event in back:
        assert_valid_server_event(event)
    in_order(back)
    assert words(back) == words(events)
    assert calls(back) == calls(events)


def words(events):
    """All that the model said, in pieces."""
    return [e["delta"] for e in events if e["type"].endswith(("output_text.delta", "output_audio_transcript.delta"))]


def calls(events):
    """All calls that the client may answer."""
    done = [e["response"] for e in events if e["type"] == "response.done"]
    items = [item for response in done if response["status"] == "completed" for item in response["output"]]
    return [
        (item["name"], item["call_id"], json.loads(item["arguments"]))
        for item in items
        if item["type"] == "function_call"
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KINDS = ["setup", "clientContent", "realtimeInput", "toolResponse", "contextUpdate", "serverContent", "toolCall",
         "usageMetadata", "goAway", "sessionResumptionUpdate", "toolCallCancellation", "voiceActivity"]  # fmt: skip
FIELDS = st.sampled_from(
    ["model", "tools", "generationConfig", "turns", "turnComplete", "audio", "media_chunks", "text", "activityEnd",
     "functionResponses", "modelTurn", "parts", "inlineData", "mimeType", "data", "functionCalls", "inputTranscription",
     "interrupted", "timeLeft", "newHandle", "ids", "realtimeInputConfig", "systemInstruction", "speechConfig"]
)  # fmt: skip
SPOILT = st.recursive(
    JSON, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(FIELDS, inner, max_size=3), max_leaves=12
)
MESSAGES = (
    st.binary(max_size=30)
    | JSON.map(json.dumps)
    | st.builds(lambda kind, value: json.dumps({kind: value}), st.sampled_from(KINDS), SPOILT)
)


@given(st.lists(MESSAGES, max_size=4))
def test_garbage_from_a_client_closes_as_gemini_does(messages):
    client = gemini.Client(numbers())
    client.read('{"setup": {"model": "m"}}')
    for message in messages:
        try:
            client.read(message)
        except Malformed as error:
            assert client.refuse(error) == []
            assert client.closing[0] == 1007
            assert len(client.closing[1].encode()) <= 123


@given(st.lists(MESSAGES, max_size=4))
def test_garbage_from_a_provider_is_malformed_or_passed_over(messages):
    upstream = ready()
    for message in messages:
        try:
            events = upstream.read(message)
        except Malformed as error:
            assert str(error)
        else:
            for event in events:
                if not event["type"].startswith("dragoman."):
                    assert_valid_server_event(event)


def test_a_message_is_of_one_kind_and_the_setup_is_the_first():
    client = gemini.Client(numbers())
    for message in ('{"clientContent": {}}', '{"setup": {"model": "m"}, "clientContent": {}}', '{"hello": {}}'):
        with pytest.raises(Malformed):
            client.read(message)
    client.read('{"setup": {"model": "m"}}')
    with pytest.raises(Malformed):
        client.read('{"setup": {"model": "m"}}')
