"""The order of a realtime session's events is checked: what the original does passes, everything else is caught."""

import copy

import pytest

from fakes.realtime_order import Order, OutOfOrder, in_order
from fakes.realtime_schemas import assert_valid_server_event


def turn(item="item_u", reply="item_a", response="resp_1", status="completed", conversation="conv_1"):
    """What a server says of one spoken turn."""
    at = {"response_id": response, "item_id": reply, "output_index": 0, "content_index": 0}
    on = {"response_id": response, "output_index": 0}
    user = {"id": item, "type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": None}]}
    begun = {"id": reply, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_audio", "transcript": "Hello there."}
    ended = {**begun, "status": "completed", "content": [part]}
    about = {"id": response, "object": "realtime.response", "conversation_id": conversation}
    return [
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": item},
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 900, "item_id": item},
        {"type": "input_audio_buffer.committed", "item_id": item, "previous_item_id": None},
        {"type": "conversation.item.added", "item": user, "previous_item_id": None},
        {"type": "conversation.item.done", "item": user, "previous_item_id": None},
        {"type": "response.created", "response": {**about, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", **on, "item": begun},
        {"type": "conversation.item.added", "item": begun, "previous_item_id": item},
        {"type": "response.content_part.added", **at, "part": {"type": "audio", "transcript": ""}},
        {"type": "response.output_audio_transcript.delta", **at, "delta": "Hello "},
        {"type": "response.output_audio.delta", **at, "delta": "AAAA"},
        {"type": "response.output_audio_transcript.delta", **at, "delta": "there."},
        {"type": "response.output_audio.done", **at},
        {"type": "response.output_audio_transcript.done", **at, "transcript": "Hello there."},
        {"type": "response.content_part.done", **at, "part": {"type": "audio", "transcript": "Hello there."}},
        {"type": "conversation.item.done", "item": ended, "previous_item_id": item},
        {"type": "response.output_item.done", **on, "item": ended},
        {"type": "response.done", "response": {**about, "status": status, "output": [ended]}},
    ]


def session(*turns):
    begun = {"type": "session.created", "session": {"type": "realtime"}}
    return numbered([begun, *(event for each in turns for event in each)])


def numbered(events):
    return [{**copy.deepcopy(event), "event_id": f"event_{i}"} for i, event in enumerate(events)]


def test_a_spoken_turn_is_in_order_and_of_valid_events():
    events = session(turn(), turn("item_u2", "item_a2", "resp_2"))
    in_order(events)
    for event in events:
        assert_valid_server_event(event)


@pytest.mark.parametrize("missing", range(1, 18))
def test_no_event_of_a_turn_may_be_missing_but_deltas_and_the_start_of_speech(missing):
    events = session(turn())
    gone = events.pop(missing)
    may_be = gone["type"].endswith("output_audio.delta") or gone["type"].endswith("speech_stopped")
    if may_be:
        in_order(events)
    else:
        with pytest.raises(OutOfOrder):
            in_order(events)


@pytest.mark.parametrize("twice", range(18))
def test_no_event_of_a_turn_may_come_twice_but_a_delta_of_sound(twice):
    events = session(turn())
    again = {**events[twice], "event_id": "event_again"}
    events.insert(twice, again)
    if again["type"].endswith("output_audio.delta"):
        in_order(events)
    else:
        with pytest.raises(OutOfOrder):
            in_order(events)


def test_a_response_that_is_cancelled_may_leave_things_open():
    events = [e for e in turn(status="cancelled") if not e["type"].endswith((".done", "item.done"))]
    done = turn(status="cancelled")[-1]
    user_done = turn()[4]
    in_order(session([*events[:4], user_done, *events[4:], done], turn("item_u2", "item_a2", "resp_2")))


def test_one_response_at_a_time_in_the_conversation_but_others_beside_it():
    first, second = turn()[5:], turn("item_u", "item_b", "resp_2")[5:]
    with pytest.raises(OutOfOrder):
        in_order(session(turn()[:5], first[:3], second, first[3:]))
    aside = [
        e for e in turn("", "item_b", "resp_2", conversation=None)[5:] if not e["type"].startswith("conversation.")
    ]
    in_order(session(turn()[:5], first[:3], aside, first[3:]))


def test_a_function_call_is_told_whole():
    item = {"id": "item_f", "type": "function_call", "call_id": "call_1", "name": "weather", "arguments": ""}
    on, at = {"response_id": "r", "output_index": 0}, {"response_id": "r", "output_index": 0, "item_id": "item_f"}
    call = [
        {"type": "response.created", "response": {"id": "r", "status": "in_progress", "conversation_id": "c"}},
        {"type": "response.output_item.added", **on, "item": item},
        {"type": "conversation.item.added", "item": item},
        {"type": "response.function_call_arguments.delta", **at, "call_id": "call_1", "delta": '{"city"'},
        {"type": "response.function_call_arguments.delta", **at, "call_id": "call_1", "delta": ':"Ulm"}'},
        {"type": "response.function_call_arguments.done", **at, "call_id": "call_1", "arguments": '{"city":"Ulm"}'},
        {"type": "conversation.item.done", "item": item},
        {"type": "response.output_item.done", **on, "item": item},
        {"type": "response.done", "response": {"id": "r", "status": "completed", "output": [item]}},
    ]
    in_order(session(call))
    with pytest.raises(OutOfOrder):
        in_order(session([e for e in call if not e["type"].endswith("arguments.done")]))
    with pytest.raises(OutOfOrder):
        in_order(session([e for e in call if '"city"' not in str(e.get("delta"))]))


def test_transcriptions_come_when_they_are_ready_but_once():
    words = {"type": "conversation.item.input_audio_transcription.completed", "item_id": "item_u", "content_index": 0}
    for place in range(3, 18):
        events = turn()
        events.insert(place, words)
        in_order(session(events))
    with pytest.raises(OutOfOrder):
        in_order(session(turn(), [words, words]))
    with pytest.raises(OutOfOrder):
        in_order(session([words], turn()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "response.output_audio.delta", "response_id": "resp_1", "item_id": "item_x", "output_index": 0},
        {"type": "response.output_audio.delta", "response_id": "resp_9", "item_id": "item_a", "output_index": 0},
        {"type": "conversation.item.created", "item": {"id": "item_a"}},
        {"type": "conversation.item.truncated", "item_id": "item_x"},
        {"type": "conversation.item.added", "item": {"id": "item_y"}, "previous_item_id": "item_x"},
        {"type": "input_audio_buffer.speech_stopped", "item_id": "item_y"},
        {"type": "response.audio.delta", "response_id": "resp_1", "item_id": "item_a", "output_index": 0},
        {"type": "weather.changed"},
    ],
)
def test_what_belongs_to_nothing_is_caught(wrong):
    events = turn()
    events.insert(10, wrong)
    with pytest.raises(OutOfOrder):
        in_order(session(events))


def test_nothing_comes_before_the_session():
    with pytest.raises(OutOfOrder):
        Order().see({"type": "input_audio_buffer.speech_started", "item_id": "i"})
    in_order(numbered(turn()), started=True)


def test_no_two_events_have_one_id():
    events = session(turn())
    events[5]["event_id"] = events[2]["event_id"]
    with pytest.raises(OutOfOrder):
        in_order(events)
