"""The dialects with flat sessions, by example: what becomes of what only one side can say."""

import base64
import json

import pytest

from dragoman.dialects.fields import Malformed
from dragoman.voice.codecs import CLIENTS, UPSTREAMS
from fakes.realtime_order import in_order
from fakes.realtime_schemas import assert_valid_client_event, assert_valid_server_event

from .said import numbers


def client(dialect, **options):
    return CLIENTS[dialect](numbers("c"), **options)


def upstream(dialect):
    return UPSTREAMS[dialect](numbers("u"))


def update(codec, **session):
    """The session that an update becomes, on the way through a client's codec."""
    event = {"type": "session.update", "session": session}
    assert_valid_client_event(event, codec_dialect(codec))
    (update,) = codec.read(json.dumps(event))
    assert_valid_client_event(update)
    return update["session"]


def codec_dialect(codec):
    return type(codec).__module__.split(".")[3]


def said(codec, **session):
    """The session that an update becomes, on the way through a provider's codec."""
    event = {"type": "session.update", "session": {"type": "realtime", **session}}
    assert_valid_client_event(event)
    (message,) = map(json.loads, codec.write(event))
    assert_valid_client_event(message, codec_dialect(codec))
    return message["session"]


def told(codec):
    return [json.loads(message) for message in codec.answers()]


# --- what is lost ----------------------------------------------------------------------------------------------------


def test_the_beta_s_temperature_is_lost_and_named():
    codec = client("beta")
    assert update(codec, temperature=0.7, voice="alloy") == {
        "type": "realtime",
        "audio": {"output": {"voice": "alloy"}},
    }
    assert codec.lossy == ["session.temperature"]
    assert told(codec) == []


def test_a_client_that_asked_for_notices_hears_of_what_is_lost_once():
    codec = client("beta", notices="on")
    update(codec, temperature=0.7)
    (notice,) = told(codec)
    assert (notice["type"], notice["fields"]) == ("dragoman.lossy", ["session.temperature"])
    update(codec, temperature=0.8)
    assert told(codec) == []


def test_a_strict_client_gets_an_error_for_it():
    codec = client("beta", notices="strict")
    update(codec, temperature=0.7)
    (error,) = told(codec)
    assert_valid_server_event(error, "beta")
    assert (error["error"]["code"], error["error"]["param"]) == ("unsupported_parameter", "session.temperature")


def test_what_ga_says_and_a_provider_does_not_know_is_an_echo():
    codec = upstream("beta")
    turns = {"type": "server_vad", "threshold": 0.4, "idle_timeout_ms": 6000}
    mcp = {"type": "mcp", "server_label": "x", "server_url": "https://x.example"}
    session = said(codec, audio={"input": {"turn_detection": turns}}, tools=[mcp], parallel_tool_calls=False)
    assert session == {"turn_detection": {"type": "server_vad", "threshold": 0.4}, "tools": []}
    (lost,) = codec.echoes()
    assert lost["fields"] == [
        "session.audio.input.turn_detection.idle_timeout_ms", "session.tools[0]", "session.parallel_tool_calls"
    ]  # fmt: skip


def test_an_image_has_no_place_in_the_beta_but_in_voice_live():
    parts = [{"type": "input_text", "text": "See?"}, {"type": "input_image", "image_url": "data:image/png;base64,AA=="}]
    create = {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": parts}}
    beta, voicelive = upstream("beta"), upstream("voicelive")
    (event,) = map(json.loads, beta.write(create))
    assert event["item"]["content"] == parts[:1]
    assert beta.lossy == ["item.content[1]"]
    (event,) = map(json.loads, voicelive.write(create))
    assert_valid_client_event(event, "voicelive")
    assert event["item"]["content"] == parts


def test_an_item_that_a_provider_cannot_take_is_refused_for_it():
    codec = upstream("beta")
    item = {"id": "i", "type": "mcp_approval_response", "approval_request_id": "a", "approve": True}
    assert codec.write({"type": "conversation.item.create", "item": item, "event_id": "mine"}) == []
    (error,) = codec.echoes()
    assert_valid_server_event(error)
    assert error["error"]["event_id"] == "mine"


# --- what rides along ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["ga", "beta", "voicelive"])
def test_what_nobody_knows_rides_along_to_who_refuses_it(dialect):
    codec = client(dialect)
    (event,) = codec.read('{"type": "session.update", "session": {"colour": "red"}}')
    assert event["session"]["colour"] == "red"
    (event,) = codec.read('{"type": "weather.change", "to": "sun"}')
    assert event == {"type": "weather.change", "to": "sun"}


@pytest.mark.parametrize("dialect", ["beta", "voicelive"])
def test_an_error_names_the_field_by_its_name_in_the_client_s_dialect(dialect):
    error = {"type": "invalid_request_error", "code": "invalid_value", "message": "No.", "event_id": None}
    event = {"type": "error", "event_id": "e", "error": {**error, "param": "session.audio.input.turn_detection.type"}}
    (told,) = map(json.loads, client(dialect).write(event))
    assert told["error"]["param"] == "session.turn_detection.type"
    (back,) = upstream(dialect).read(json.dumps(told))
    assert back["error"]["param"] == "session.audio.input.turn_detection.type"


@pytest.mark.parametrize("dialect", ["ga", "beta", "voicelive"])
def test_url_safe_base64_becomes_standard(dialect):
    (event,) = client(dialect).read('{"type": "input_audio_buffer.append", "audio": "_-8"}')
    assert event["audio"] == "/+8="


def test_a_session_that_only_transcribes_has_events_of_its_own_name():
    codec = client("beta")
    (event,) = codec.read('{"type": "transcription_session.update", "session": {"input_audio_format": "pcm16"}}')
    assert event["session"] == {
        "type": "transcription", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}}}
    }  # fmt: skip
    (told,) = map(json.loads, codec.write({"type": "session.updated", "event_id": "e", "session": event["session"]}))
    assert told["type"] == "transcription_session.updated"
    (back,) = upstream("beta").read(json.dumps(told))
    assert (back["type"], back["session"]) == ("session.updated", event["session"])


# --- items in GA's order ---------------------------------------------------------------------------------------------

ITEM = {"id": "item_a", "object": "realtime.item", "type": "message", "role": "assistant", "status": "in_progress",
        "content": []}  # fmt: skip
ON = {"response_id": "r", "output_index": 0}
ABOUT = {"id": "r", "object": "realtime.response", "conversation_id": "c", "output": []}
ADDED = {"type": "response.output_item.added", **ON, "item": ITEM}
CREATED = {"type": "conversation.item.created", "previous_item_id": None, "item": ITEM}
DONE = {**ITEM, "status": "completed", "content": [{"type": "text", "text": "Hi"}]}


@pytest.mark.parametrize("items", [[ADDED, CREATED], [CREATED, ADDED], [ADDED]], ids=["after", "before", "never"])
def test_however_a_provider_tells_an_item_it_comes_in_ga_s_order(items):
    at = {**ON, "item_id": "item_a", "content_index": 0}
    events = [
        {"type": "session.created", "session": {"modalities": ["text"]}},
        {"type": "response.created", "response": {**ABOUT, "status": "in_progress"}},
        *items,
        {"type": "response.content_part.added", **at, "part": {"type": "text", "text": ""}},
        {"type": "response.text.delta", **at, "delta": "Hi"},
        {"type": "response.text.done", **at, "text": "Hi"},
        {"type": "response.content_part.done", **at, "part": {"type": "text", "text": "Hi"}},
        {"type": "response.output_item.done", **ON, "item": DONE},
        {"type": "response.done", "response": {**ABOUT, "status": "completed", "output": [DONE]}},
    ]
    codec = upstream("voicelive")
    back = [event for said in events for event in codec.read(json.dumps(said))]
    for event in back:
        assert_valid_server_event(event)
    in_order(back)


def test_a_call_s_name_is_filled_in_where_a_provider_leaves_it_out():
    codec = upstream("beta")
    item = {
        "id": "f",
        "type": "function_call",
        "name": "weather",
        "call_id": "c1",
        "arguments": "",
        "status": "in_progress",
    }
    codec.read(json.dumps({"type": "response.output_item.added", **ON, "item": item}))
    done = {"type": "response.function_call_arguments.done", **ON, "item_id": "f", "call_id": "c1", "arguments": "{}"}
    *_, event = codec.read(json.dumps(done))
    assert event["name"] == "weather"


def test_a_transcription_costs_the_seconds_of_the_speech_where_nobody_says_what():
    codec = upstream("voicelive")
    codec.read('{"type": "input_audio_buffer.speech_started", "item_id": "u", "audio_start_ms": 500}')
    codec.read('{"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 2000}')
    completed = {"type": "conversation.item.input_audio_transcription.completed", "item_id": "u", "content_index": 0,
                 "transcript": "Hi"}  # fmt: skip
    (event,) = codec.read(json.dumps(completed))
    assert_valid_server_event(event)
    assert event["usage"] == {"type": "duration", "seconds": 1.5}


# --- Voice Live's own ------------------------------------------------------------------------------------------------


def test_voice_live_s_own_words_become_ga_s_and_the_rest_is_told_as_a_warning():
    codec = client("voicelive")
    session = update(
        codec,
        voice={"type": "azure-standard", "name": "en-US-AvaNeural"},
        turn_detection={"type": "azure_semantic_vad_en", "threshold": 0.3, "interrupt_response": False},
        input_audio_noise_reduction={"type": "azure_deep_noise_suppression"},
        input_audio_echo_cancellation={"type": "server_echo_cancellation"},
        input_audio_transcription={"model": "azure-speech", "phrase_list": ["Ulm"]},
        avatar={"character": "lisa", "customized": False},
        modalities=["text", "audio", "animation"],
        reasoning_effort="low",
    )  # fmt: skip
    assert session == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "transcription": {"model": "gpt-4o-transcribe", "keywords": ["Ulm"]},
                "noise_reduction": {"type": "near_field"},
                "turn_detection": {"type": "semantic_vad", "interrupt_response": False},
            }
        },
        "reasoning": {"effort": "low"},
    }
    (warning,) = told(codec)
    assert_valid_server_event(warning, "voicelive")
    assert set(codec.lossy) == {
        "session.voice", "session.turn_detection.threshold", "session.input_audio_noise_reduction.type",
        "session.input_audio_echo_cancellation", "session.input_audio_transcription.model", "session.avatar",
        "session.modalities.animation",
    }  # fmt: skip


def test_a_client_is_told_of_the_turn_detection_that_it_asked_for():
    codec = client("voicelive")
    update(codec, turn_detection={"type": "azure_semantic_vad_en"})
    ga = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "auto"}}}}
    (told,) = map(json.loads, codec.write({"type": "session.updated", "event_id": "e", "session": ga}))
    assert_valid_server_event(told, "voicelive")
    assert told["session"]["turn_detection"] == {"type": "azure_semantic_vad_en"}


def test_sound_at_other_rates_is_resampled_both_ways():
    codec = client("voicelive")
    update(codec, input_audio_sampling_rate=16000, output_audio_format="pcm16_8000hz")
    sound = base64.b64encode(bytes(3200)).decode()
    (append,) = codec.read(json.dumps({"type": "input_audio_buffer.append", "audio": sound}))
    assert len(base64.b64decode(append["audio"])) == pytest.approx(4800, abs=200)
    at = {"event_id": "e", **ON, "item_id": "item_a", "content_index": 0}
    delta = {"type": "response.output_audio.delta", **at, "delta": base64.b64encode(bytes(4800)).decode()}
    messages = codec.write(delta) + codec.write({"type": "response.output_audio.done", **at})
    *sounds, done = map(json.loads, messages)
    assert sum(len(base64.b64decode(event["delta"])) for event in sounds) == pytest.approx(1600, abs=10)
    assert done["type"] == "response.audio.done"


def test_half_a_sample_is_no_sound():
    codec = client("voicelive")
    update(codec, input_audio_sampling_rate=16000)
    with pytest.raises(Malformed):
        codec.read('{"type": "input_audio_buffer.append", "audio": "AAAA"}')


def test_a_response_brings_along_what_voice_live_lets_come_with_it():
    codec = client("voicelive")
    codec.write(
        {"type": "session.updated", "event_id": "e", "session": {"type": "realtime", "instructions": "Be kind."}}
    )
    codec.write({"type": "response.created", "event_id": "e", "response": {"id": "r"}})
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    create = {
        "type": "response.create",
        "response": {"commit": True, "cancel_previous": True, "append_input_items": [item]},
        "additional_instructions": "Be brief.",
    }
    assert_valid_client_event(create, "voicelive")
    assert codec.read(json.dumps(create)) == [
        {"type": "input_audio_buffer.commit"},
        {"type": "response.cancel"},
        {"type": "conversation.item.create", "item": item},
        {"type": "response.create", "response": {"instructions": "Be kind.\n\nBe brief."}},
    ]


def test_text_that_comes_in_pieces_is_one_item():
    codec = client("voicelive")
    for piece in ("Hello", " there"):
        assert codec.read(json.dumps({"type": "input_text.delta", "id": "t", "delta": piece})) == []
    (event,) = codec.read('{"type": "input_text.done", "id": "t"}')
    assert event["item"]["content"] == [{"type": "input_text", "text": "Hello there"}]


def test_turns_of_sound_are_the_buffer():
    codec = client("voicelive")
    kinds = ["start", "append", "end", "cancel"]
    events = [
        codec.read(json.dumps({"type": f"input_audio.turn.{kind}", "turn_id": "t", "audio": "AAAA"})) for kind in kinds
    ]
    assert [event["type"] for found in events for event in found] == [
        "input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear"
    ]  # fmt: skip


def test_an_avatar_is_refused():
    codec = client("voicelive")
    assert codec.read('{"type": "session.avatar.connect", "client_sdp": "v=0", "event_id": "mine"}') == []
    (error,) = told(codec)
    assert_valid_server_event(error, "voicelive")
    assert error["error"]["event_id"] == "mine"


def test_ga_s_semantic_turns_are_azure_s():
    codec = upstream("voicelive")
    turns = {"type": "semantic_vad", "eagerness": "high", "create_response": False}
    session = said(codec, audio={"input": {"turn_detection": turns}, "output": {"speed": 1.2}})
    assert session == {"turn_detection": {"type": "azure_semantic_vad", "create_response": False}}
    assert codec.lossy == ["session.audio.input.turn_detection.eagerness", "session.audio.output.speed"]


def test_what_only_voice_live_tells_is_told_to_nobody_and_named():
    codec = upstream("voicelive")
    assert codec.read('{"type": "response.audio_timestamp.done", "response_id": "r"}') == []
    assert codec.lossy == ["response.audio_timestamp.done"]
