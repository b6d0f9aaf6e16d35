"""What the codecs make of what clients say is taken by a session that refuses all it does not know."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.voice import events, items
from dragoman.voice.codecs import CLIENTS, UPSTREAMS
from dragoman.voice.dialogue import Wanted
from dragoman.voice.refusal import checked
from dragoman.voice.session import Session

from .said import CLIENT_EVENT, numbers, sessions


def take(event):
    """As a session takes it that refuses all that it does not know."""
    events.read(event)
    match event["type"]:
        case "session.update":
            Session("sess", "m", 0, event["session"]["type"]).update(event["session"])
        case "conversation.item.create":
            items.made(event["item"], "item", "item_new")
        case "response.create" if "response" in event:
            checked(event["response"], Wanted, "response")


@pytest.mark.parametrize("dialect", ["ga", "beta", "voicelive"])
@given(said=st.lists(CLIENT_EVENT, min_size=1, max_size=3))
def test_a_session_takes_what_came_through_a_dialect(dialect, said):
    upstream, client = UPSTREAMS[dialect](numbers()), CLIENTS[dialect](numbers())
    for event in said:
        for message in upstream.write(event):
            for heard in client.read(message):
                take(heard)


@given(sessions(), st.lists(CLIENT_EVENT, max_size=3))
def test_a_session_takes_what_came_through_gemini(session, said):
    upstream, client = UPSTREAMS["gemini"](numbers(), "m"), CLIENTS["gemini"](numbers())
    messages = upstream.write({"type": "session.update", "session": session})
    for event in said:
        messages += upstream.write(event)
    upstream.read('{"setupComplete": {}}')
    for message in messages + upstream.answers():
        for heard in client.read(message):
            take(heard)


SAID = {
    "beta": [
        {"type": "session.update", "session": {
            "modalities": ["text", "audio"], "voice": "alloy", "temperature": 0.8, "input_audio_format": "g711_ulaw",
            "input_audio_noise_reduction": {"type": "near_field"}, "tracing": "auto", "speed": 1.1,
            "max_response_output_tokens": "inf", "turn_detection": {"type": "semantic_vad", "eagerness": "high"},
        }},
        {"type": "response.create", "response": {"max_response_output_tokens": 100, "temperature": 0.7}},
        {"type": "transcription_session.update", "session": {"input_audio_transcription": {"model": "whisper-1"}}},
    ],
    "voicelive": [
        {"type": "session.update", "session": {
            "voice": {"type": "azure-standard", "name": "en-US-Ava"}, "input_audio_sampling_rate": 16000,
            "turn_detection": {"type": "azure_semantic_vad_multilingual", "remove_filler_words": True,
                               "end_of_utterance_detection": {"model": "semantic_detection_v1"}},
            "input_audio_noise_reduction": {"type": "azure_deep_noise_suppression"},
            "input_audio_echo_cancellation": {"type": "server_echo_cancellation"},
            "input_audio_transcription": {"model": "azure-speech", "phrase_list": ["Ulm"]},
            "reasoning_effort": "low", "include": ["file_search_call.results"],
        }},
        {"type": "response.create", "response": {"input_items": [], "commit": True}, "additional_instructions": "Now."},
        {"type": "input_text.delta", "id": "t", "delta": "Hello"},
        {"type": "input_text.done", "id": "t"},
        {"type": "input_audio.turn.append", "turn_id": "t", "audio": "AAAAAAAA"},
    ],
    "gemini": [
        {"setup": {
            "model": "m", "generationConfig": {"maxOutputTokens": 9, "thinkingConfig": {"thinkingLevel": "LOW"}},
            "inputAudioTranscription": {"languageCodes": ["en-US"], "customVocabulary": ["Ulm"]},
            "realtimeInputConfig": {"automaticActivityDetection": {"endOfSpeechSensitivity": "END_SENSITIVITY_HIGH"}},
            "contextWindowCompression": {"slidingWindow": {}},
        }},
        {"realtimeInput": {"text": "Hello"}},
        {"toolResponse": {"functionResponses": [{"id": "c", "name": "f", "response": {"output": "x"}}]}},
    ],
    "live": [
        {"type": "session.start", "session": {
            "model": "m", "input": [{"role": "developer", "content": "Be kind."}], "delegation": {"type": "client"},
            "audio": {"format": {"type": "audio/pcm", "rate": 16000}, "output": {"voice": "marin"}},
        }},
        {"type": "session.thinking.append", "content": "Hm.", "delegation_id": None},
        {"type": "session.commentary.append", "content": "Yes.", "delegation_id": None},
    ],
}  # fmt: skip


@pytest.mark.parametrize("dialect", SAID)
def test_a_session_takes_each_dialect_s_own_words(dialect):
    client = CLIENTS[dialect](numbers())
    for message in SAID[dialect]:
        for heard in client.read(json.dumps(message)):
            take(heard)
