"""OpenAI Live's clients: no turns, nothing taken back that was sent, delegated tasks."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.dialects.fields import Malformed
from dragoman.voice.codecs import live
from dragoman.voice.codecs.live import client as live_client
from fakes.realtime_schemas import assert_valid_client_event, assert_valid_server_event

from .said import numbers, server_events

TENTH = base64.b64encode(bytes(4800)).decode()  # of a second at 24 kHz
AT = {"response_id": "r", "item_id": "item_a", "output_index": 0, "content_index": 0}


def told(messages):
    events = [json.loads(message) for message in messages]
    for event in events:
        assert_valid_server_event(event, "live")
    return events


def begun(**session):
    """A client's codec whose session has started."""
    codec = live.Client(numbers())
    start = {"type": "session.start", "session": {"model": "m", **session}}
    assert_valid_client_event(start, "live")
    update, *items = codec.read(json.dumps(start))
    assert_valid_client_event(update)
    told(codec.answers())
    (started,) = told(codec.write({"type": "session.updated", "session": update["session"]}))
    assert started["type"] == "session.started"
    return codec, update["session"], items


def hear(codec, sound=TENTH):
    events = codec.read(json.dumps({"type": "session.input_audio.append", "audio": sound}))
    return events, [event["delta"] for event in told(codec.answers())]


def say(codec, number):
    """So many tenths of a second are said."""
    events = []
    for _ in range(number):
        events += told(codec.write({"type": "response.output_audio.delta", **AT, "delta": TENTH}))
    return [event["delta"] for event in events]


def test_a_reply_goes_out_as_its_listener_hears_it():
    codec, _, _ = begun()
    assert len(say(codec, 10)) == 3
    sent = 3
    while sent < 10:
        events, sounds = hear(codec)
        assert [event["type"] for event in events] == ["input_audio_buffer.append"]
        assert len(sounds) == 1
        sent += 1
    assert hear(codec)[1] == []


def test_what_is_held_is_never_sent_once_somebody_breaks_in():
    codec, _, _ = begun()
    say(codec, 10)
    for _ in range(2):
        hear(codec)
    codec.write({"type": "input_audio_buffer.speech_started", "item_id": "item_u", "audio_start_ms": 0})
    (truncate,) = codec.echoes()
    assert truncate == {
        "type": "conversation.item.truncate", "item_id": "item_a", "content_index": 0, "audio_end_ms": 200
    }  # fmt: skip
    assert hear(codec)[1] == []


def test_nobody_breaks_in_who_is_muted_so_nothing_is_held():
    codec, _, _ = begun()
    say(codec, 5)
    codec.read('{"type": "session.input_audio.mute"}')
    *sounds, muted = told(codec.answers())
    assert (len(sounds), muted["type"]) == (2, "session.input_audio.muted")
    assert len(say(codec, 5)) == 5
    assert hear(codec) == ([], [])


def test_sound_at_16_khz_becomes_24_and_back():
    codec, session, _ = begun(audio={"format": {"type": "audio/pcm", "rate": 16000}})
    assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    (append,), _ = hear(codec, base64.b64encode(bytes(3200)).decode())
    assert len(base64.b64decode(append["audio"])) == pytest.approx(4800, abs=200)
    (sound,) = say(codec, 1)
    assert len(base64.b64decode(sound)) == pytest.approx(3200, abs=200)


def test_telephone_sound_passes_as_it_is_and_as_slowly():
    codec, session, _ = begun(audio={"format": {"type": "audio/pcmu", "rate": 8000}})
    assert session["audio"]["output"]["format"] == {"type": "audio/pcmu"}
    (append,), _ = hear(codec, TENTH)
    assert append["audio"] == TENTH
    tenth = base64.b64encode(bytes(800)).decode()
    delta = {"type": "response.output_audio.delta", **AT, "delta": tenth}
    assert [len(told(codec.write(delta))) for _ in range(4)] == [1, 1, 1, 0]
    assert hear(codec, tenth)[1] == [tenth]


def test_a_task_for_the_client_is_a_call_that_its_commentary_answers():
    codec, session, _ = begun(delegation={"type": "client"})
    assert [tool["name"] for tool in session["tools"]] == ["delegate"]
    item = {"id": "i", "type": "function_call", "name": "delegate", "call_id": "call_1", "arguments": "{}"}
    (created,) = told(codec.write({"type": "response.output_item.done", "response_id": "r", "item": item}))
    delegation = created["delegation"]
    assert delegation["target"] == "client"
    answer = {"type": "session.commentary.append", "content": "It is grey.", "delegation_id": delegation["id"]}
    output, create = codec.read(json.dumps(answer))
    assert output["item"] == {"type": "function_call_output", "call_id": "call_1", "output": "It is grey."}
    assert create == {"type": "response.create"}
    (appended,) = told(codec.answers())
    assert appended["type"] == "session.commentary.appended"


def test_a_task_for_a_backend_is_a_call_of_one_of_its_functions():
    backend = {"model": "gpt-5.2", "instructions": "Be exact.", "tools": [
        {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True},
        {"type": "web_search"},
    ]}  # fmt: skip
    codec, session, _ = begun(instructions="Be kind.", delegation={"type": "responses", "responses": backend})
    assert session["instructions"] == "Be kind.\n\nBe exact."
    assert session["tools"] == [{"type": "function", "name": "weather", "parameters": {"type": "object"}}]
    assert codec.lossy == ["session.delegation.responses.tools", "session.delegation.responses.model"]
    item = {"id": "i", "type": "function_call", "name": "weather", "call_id": "call_1", "arguments": "{}"}
    created, call, over = told(codec.write({"type": "response.output_item.done", "response_id": "r", "item": item}))
    assert created["delegation"]["target"] == "responses"
    assert call["event"]["item"]["call_id"] == "call_1"
    assert over["event"]["type"] == "response.completed"
    output = {"type": "function_call_output", "call_id": "call_1", "output": "grey"}
    assert codec.read(json.dumps({"type": "response.item.create", "item": output})) == [
        {"type": "conversation.item.create", "item": output}
    ]
    assert codec.read('{"type": "response.create"}') == [{"type": "response.create"}]


def test_what_a_session_with_turns_has_not_is_refused_and_what_it_loses_is_told():
    codec = live.Client(numbers())
    codec.read('{"type": "session.start", "session": {"model": "m", "store": true, "safety_identifier": "x"}}')
    (info,) = told(codec.answers())
    assert info["message"] == "Ignored here: session.store, session.safety_identifier"
    assert codec.read('{"type": "session.output_audio.fixture.play", "audio": "", "event_id": "mine"}') == []
    (error,) = told(codec.answers())
    assert error["error"]["client_event_id"] == "mine"


def test_the_session_starts_first_and_once():
    codec = live.Client(numbers())
    with pytest.raises(Malformed) as early:
        codec.read('{"type": "session.close"}')
    (refused,) = told(codec.refuse(early.value))
    assert refused["error"]["type"] == "invalid_request_error"
    codec.read('{"type": "session.start", "session": {"model": "m"}}')
    with pytest.raises(Malformed):
        codec.read('{"type": "session.start", "session": {"model": "m"}}')


@given(server_events())
def test_whatever_a_server_says_is_told_in_live_s_words(events):
    codec, _, _ = begun()
    codec.read('{"type": "session.input_audio.mute"}')
    codec.answers()
    said = [heard for event in events for heard in told(codec.write(event))]
    words = [e["delta"] for e in events if e["type"] == "response.output_audio_transcript.delta"]
    assert [e["delta"] for e in said if e["type"] == "session.output_transcript.delta"] == words


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["session", "model", "audio", "format", "rate", "type", "delegation", "responses", "tools",
                          "input", "content", "item", "instructions", "role", "event_id"])  # fmt: skip
SPOILT = st.recursive(
    JSON, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(FIELDS, inner, max_size=3), max_leaves=12
)
SAID = st.builds(
    lambda kind, fields: json.dumps({**fields, "type": kind}),
    st.sampled_from(sorted(live_client._READ)),
    st.dictionaries(FIELDS, SPOILT, max_size=3),
)


@given(st.lists(st.binary(max_size=20) | SPOILT.map(json.dumps) | SAID, max_size=4))
def test_garbage_is_malformed_or_rides_along(messages):
    codec = live.Client(numbers())
    for message in messages:
        try:
            codec.read(message)
        except Malformed as error:
            told(codec.refuse(error))
