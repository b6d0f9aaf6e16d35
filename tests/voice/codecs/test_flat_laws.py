"""The laws of the dialects with flat sessions (the beta, Voice Live), for everything that they and GA both can say."""

import json
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.dialects.fields import Malformed
from dragoman.voice.codecs import CLIENTS, UPSTREAMS
from fakes.realtime_order import in_order
from fakes.realtime_schemas import assert_valid_client_event, assert_valid_server_event

from .said import CLIENT_EVENT, numbers, server_events

FLAT = pytest.mark.parametrize("dialect", ["beta", "voicelive"])


def told(messages):
    return [json.loads(message) for message in messages]


@given(CLIENT_EVENT)
def test_the_strategies_say_what_ga_clients_may_say(event):
    assert_valid_client_event(event)


@given(server_events())
def test_the_strategies_say_what_a_ga_server_says(events):
    for event in events:
        assert_valid_server_event(event)
    in_order(events)


@FLAT
@given(event=CLIENT_EVENT)
def test_what_a_client_says_is_the_same_after_the_way_through_a_flat_dialect(dialect, event):
    upstream, client = UPSTREAMS[dialect](numbers()), CLIENTS[dialect](numbers())
    (message,) = upstream.write(deepcopy(event))
    assert_valid_client_event(json.loads(message), dialect)
    (back,) = client.read(message)
    assert back == event
    assert upstream.lossy == client.lossy == []


@FLAT
@given(events=server_events())
def test_what_a_server_says_is_the_same_after_the_way_through_a_flat_dialect(dialect, events):
    client, upstream = CLIENTS[dialect](numbers("c")), UPSTREAMS[dialect](numbers("u"))
    back = []
    for event in events:
        for message in client.write(deepcopy(event)):
            assert_valid_server_event(json.loads(message), dialect)
            back.extend(upstream.read(message))
    for event in back:
        assert_valid_server_event(event)
    in_order(back)
    assert [without_ids(event) for event in back] == [without_ids(event) for event in events]


def without_ids(event):
    """An event without what a flat dialect tells once for two, or not at all, or fills up."""
    event = deepcopy(event)
    event.pop("event_id")
    event.get("session", {}).pop("object", None)
    if event["type"] == "conversation.item.done":
        event["item"] = event["item"]["id"]
    if event["type"] == "conversation.item.input_audio_transcription.completed":
        event.pop("usage")
    if event["type"] == "response.done":
        event["response"].pop("usage")
        event["response"].pop("status_details")
    return event


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(
    ["session.update", "transcription_session.update", "conversation.item.create", "response.create", "response.done",
     "input_audio_buffer.append", "response.output_item.added", "response.output_item.done", "session.created",
     "conversation.item.created", "response.content_part.added", "error", "input_audio.turn.append", "input_text.delta",
     "input_text.done", "session.avatar.connect", "input_audio_buffer.speech_stopped", "no.such.event"]
)  # fmt: skip
FIELDS = st.sampled_from(
    ["session", "item", "response", "audio", "part", "error", "delta", "item_id", "id", "audio_end_ms"]
)
SPOILT = st.builds(
    lambda kind, fields: {"type": kind, **fields}, TYPES | JSON, st.dictionaries(FIELDS, JSON, max_size=3)
)


@pytest.mark.parametrize("dialect", ["ga", "beta", "voicelive"])
@pytest.mark.parametrize("side", [CLIENTS, UPSTREAMS])
@given(message=st.binary(max_size=30) | JSON.map(json.dumps) | SPOILT.map(json.dumps))
def test_garbage_is_malformed_or_rides_along(dialect, side, message):
    codec = side[dialect](numbers())
    try:
        events = codec.read(message)
    except Malformed as error:
        assert str(error)
        if side is CLIENTS:
            (refused,) = told(codec.refuse(error))
            assert_valid_server_event(refused, dialect)
    else:
        assert all(isinstance(event["type"], str) for event in events)
