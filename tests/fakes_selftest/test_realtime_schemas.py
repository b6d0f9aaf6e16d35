"""The schemas of realtime events take what the originals send, and nothing else."""

import pytest

from fakes.realtime_schemas import assert_valid_client_event, assert_valid_server_event

PCM = {"type": "audio/pcm", "rate": 24000}
TOLD = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_1",
    "model": "gpt-realtime",
    "output_modalities": ["audio"],
    "instructions": "Be kind.",
    "tools": [{"type": "function", "name": "weather", "description": "", "parameters": {"type": "object"}}],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "tracing": None,
    "truncation": "auto",
    "prompt": None,
    "expires_at": 1_780_000_000,
    "audio": {
        "input": {"format": PCM, "transcription": None, "noise_reduction": None, "turn_detection": None},
        "output": {"format": PCM, "voice": "marin", "speed": 1.0},
    },
    "include": None,
}
BETA = {
    "id": "sess_1",
    "object": "realtime.session",
    "model": "gpt-4o-realtime",
    "modalities": ["audio", "text"],
    "input_audio_format": "pcm16",
    "output_audio_format": "g711_ulaw",
    "turn_detection": {"type": "server_vad", "threshold": 0.5},
}
WHERE = {"event_id": "e", "response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}

SERVER = [
    ("ga", {"type": "session.created", "event_id": "e", "session": TOLD}),
    ("ga", {"type": "response.output_audio.delta", **WHERE, "delta": "AAAA"}),
    ("ga", {"type": "response.content_part.added", **WHERE, "part": {"type": "audio", "transcript": ""}}),
    ("ga", {"type": "dragoman.turn", "turn": 1}),
    ("beta", {"type": "session.created", "event_id": "e", "session": BETA}),
    ("beta", {"type": "response.audio.delta", **WHERE, "delta": "AAAA"}),
    ("voicelive", {"type": "response.audio.delta", **WHERE, "delta": "AAAA"}),
    (
        "voicelive",
        {"type": "session.updated", "session": {"id": "s", "turn_detection": {"type": "azure_semantic_vad"}}},
    ),
    ("gemini", {"setupComplete": {}}),
    ("gemini", {"serverContent": {"turnComplete": True}, "usageMetadata": {"totalTokenCount": 3}}),
    ("live", {"type": "session.output_audio.delta", "delta": "AAAA", "start_ms": 0, "end_ms": 10}),
]
CLIENT = [
    ("ga", {"type": "session.update", "session": {"type": "realtime", "instructions": "x", "tracing": "auto"}}),
    ("ga", {"type": "input_audio_buffer.append", "audio": "AAAA"}),
    ("beta", {"type": "session.update", "session": {"modalities": ["text"], "model": "any"}}),
    ("beta", {"type": "response.create", "response": {"max_output_tokens": 3}}),
    ("voicelive", {"type": "session.update", "session": {"voice": {"type": "azure-standard", "name": "en-US-Ava"}}}),
    ("gemini", {"setup": {"model": "models/m", "generationConfig": {"responseModalities": ["AUDIO"]}}}),
    ("gemini", {"realtime_input": {"audio": {"data": "AAAA", "mimeType": "audio/pcm;rate=16000"}}}),
    ("gemini", {"client_content": {"turns": [{"role": "user", "parts": [{"text": "hi"}]}], "turn_complete": True}}),
    ("live", {"type": "session.start", "session": {"model": "gpt-live-1"}}),
]


@pytest.mark.parametrize(("dialect", "event"), SERVER)
def test_what_servers_send_is_valid(dialect, event):
    assert_valid_server_event(event, dialect)


@pytest.mark.parametrize(("dialect", "event"), CLIENT)
def test_what_clients_send_is_valid(dialect, event):
    assert_valid_client_event(event, dialect)


@pytest.mark.parametrize(
    ("dialect", "event"),
    [
        ("ga", {"type": "response.audio.delta", **WHERE, "delta": "AAAA"}),
        ("ga", {"type": "response.output_audio.delta", **WHERE, "delta": "A-_A"}),
        ("ga", {"type": "response.output_audio.delta", "delta": "AAAA"}),
        ("ga", {"type": "response.output_audio.delta", **WHERE, "delta": "AAAA", "more": 1}),
        ("ga", {"type": "session.created", "event_id": "e", "session": {**TOLD, "voice": "x"}}),
        ("ga", {"type": "response.done", "event_id": "e", "response": {"status": "finished"}}),
        ("beta", {"type": "conversation.item.added", "event_id": "e", "item": {}}),
        ("beta", {"type": "session.created", "event_id": "e", "session": {**BETA, "output_modalities": ["text"]}}),
        ("voicelive", {"type": "response.output_audio.delta", **WHERE, "delta": "AAAA"}),
        ("voicelive", {"type": "session.updated", "session": {"turn_detection": {"type": "semantic_vad"}}}),
        ("gemini", {"setup_complete": {}}),
        ("gemini", {"setupComplete": {}, "goAway": {}}),
        ("gemini", {"serverContent": {"modelTurn": {"parts": [{"audio": "AAAA"}]}}}),
        ("gemini", {}),
        ("live", {"type": "session.created"}),
    ],
)
def test_what_no_server_sends_is_not(dialect, event):
    with pytest.raises(AssertionError):
        assert_valid_server_event(event, dialect)


@pytest.mark.parametrize(
    ("dialect", "event"),
    [
        ("ga", {"type": "session.update", "session": {"instructions": "x"}}),
        ("ga", {"type": "response.make"}),
        ("ga", {"type": "input_audio_buffer.append", "audio": 3}),
        ("beta", {"type": "session.update", "session": {"type": "realtime"}}),
        ("voicelive", {"type": "session.update", "session": {"voice": {"type": "azure-standard"}}}),
        ("gemini", {"setup": {"voice": "x"}}),
        ("gemini", {"realtime_input": {"audio": {"data": "AAAA"}}, "setup": {}}),
        ("live", {"type": "session.start", "session": {}}),
    ],
)
def test_what_no_client_may_send_is_not(dialect, event):
    with pytest.raises(AssertionError):
        assert_valid_client_event(event, dialect)
