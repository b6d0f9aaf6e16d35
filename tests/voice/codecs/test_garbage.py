"""Nothing that a client or a provider says brings a codec down, on whichever side it stands."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.voice.codecs import CLIENTS, UPSTREAMS
from dragoman.voice.events import CLIENT, SERVER
from fakes.realtime_schemas import assert_valid_server_event

from .said import numbers

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["session", "item", "response", "part", "error", "delta", "audio", "transcript", "item_id", "id", "type", "role",
     "content", "text", "usage", "output", "status", "status_details", "turn_detection", "input", "format", "tools",
     "voice", "name", "arguments", "call_id", "input_token_details", "message", "metadata", "output_modalities",
     "transcription", "max_output_tokens", "reasoning", "truncation", "conversation"]
)  # fmt: skip
TYPES = st.sampled_from(["message", "function_call", "function_call_output", "realtime", "server_vad", "input_text",
                         "audio/pcm", "function", "assistant", "user"])  # fmt: skip
SPOILT = st.recursive(
    JSON | TYPES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(FIELDS, inner, max_size=4), max_leaves=15
)
OBJECT = st.dictionaries(FIELDS, SPOILT, max_size=4)


def said(kinds):
    """An event of one of these kinds, with some of its fields and others, of any value."""
    return st.builds(
        lambda kind, fields, objects: {**fields, **objects, "type": kind},
        st.sampled_from(sorted(kinds)) | st.text(max_size=5),
        st.dictionaries(FIELDS, SPOILT, max_size=4),
        st.fixed_dictionaries({}, optional=dict.fromkeys(("session", "item", "response", "part", "error"), OBJECT)),
    )


def upstream(dialect):
    codec = UPSTREAMS[dialect](numbers(), "m")
    if dialect == "gemini":
        codec.write({"type": "session.update", "session": {"type": "realtime"}})
        codec.read('{"setupComplete": {}}')
    return codec


def client(dialect):
    codec = CLIENTS[dialect](numbers())
    begin = {"gemini": {"setup": {"model": "m"}}, "live": {"type": "session.start", "session": {"model": "m"}}}
    if dialect in begin:
        codec.read(json.dumps(begin[dialect]))
    codec.write({"type": "session.updated", "event_id": "e", "session": {"type": "realtime"}})
    return codec


@pytest.mark.parametrize("dialect", UPSTREAMS)
@settings(max_examples=40)
@given(events=st.lists(said(CLIENT), max_size=4))
def test_whatever_a_client_says_a_provider_s_codec_stands(dialect, events):
    codec = upstream(dialect)
    codec.echoes()
    for event in events:
        codec.write(event)
    if dialect == "gemini":
        for echo in codec.echoes():
            if not echo["type"].startswith("dragoman."):
                assert_valid_server_event(echo)


@pytest.mark.parametrize("dialect", CLIENTS)
@settings(max_examples=40)
@given(events=st.lists(said(SERVER), max_size=4))
def test_whatever_a_provider_says_a_client_s_codec_stands(dialect, events):
    codec = client(dialect)
    for event in events:
        codec.write(event)
        codec.echoes()
