"""What is said on a call's data channel, and what becomes sound."""

import base64
from itertools import count
from typing import Any

import pytest

from dragoman.server.calls.channel import Channel, Crossing
from dragoman.server.calls.loudspeaker import MS, Loudspeaker

FRAME = 20 * MS


class Call:
    """A channel whose sound is not changed on its way."""

    def __init__(self) -> None:
        ids = count(1)
        self.speaker = Loudspeaker()
        self.channel = Channel(self.speaker, lambda pcm: pcm, lambda: f"event_{next(ids)}")

    def says(self, kind: str, **fields: Any) -> Crossing:
        return self.channel.from_session({"type": kind, **fields})

    def sound(self, ms: int) -> Crossing:
        delta = base64.b64encode(b"\1" * ms * MS).decode()
        return self.says("response.output_audio.delta", delta=delta, response_id="r1", item_id="i1")


def test_sound_is_heard_and_not_said() -> None:
    call = Call()
    assert call.sound(20) == Crossing()
    assert call.speaker.take(FRAME)[0] == b"\1" * FRAME


@pytest.mark.parametrize("kind", ["response.created", "response.output_audio_transcript.delta", "rate_limits.updated"])
def test_all_else_is_said(kind: str) -> None:
    event = {"type": kind, "x": 1}
    assert Call().channel.from_session(event) == Crossing(client=[event])


def test_speech_stops_the_reply_and_the_session_learns_what_was_heard() -> None:
    call = Call()
    call.sound(500)
    call.speaker.take(FRAME)
    assert call.says("input_audio_buffer.speech_started", item_id="i2") == Crossing(
        client=[
            {"type": "input_audio_buffer.speech_started", "item_id": "i2"},
            {"type": "output_audio_buffer.cleared", "event_id": "event_1", "response_id": "r1"},
        ],
        session=[
            {
                "type": "conversation.item.truncate",
                "event_id": "event_2",
                "item_id": "i1",
                "content_index": 0,
                "audio_end_ms": 20,
            }
        ],
    )
    assert call.speaker.take(FRAME)[0] == bytes(FRAME)


def test_the_sound_pauses_while_somebody_may_be_interrupting_and_goes_on_where_it_did() -> None:
    call = Call()
    call.sound(100)
    assert call.speaker.take(FRAME)[0] == b"\1" * FRAME
    assert call.says("dragoman.paused") == Crossing()
    assert call.speaker.take(FRAME) == (bytes(FRAME), [])
    assert call.says("dragoman.resumed") == Crossing()
    assert call.speaker.take(FRAME)[0] == b"\1" * FRAME
    call.says("dragoman.paused")
    cleared = call.says("input_audio_buffer.speech_started", item_id="i2")
    assert cleared.session[0]["audio_end_ms"] == 40
    call.says("dragoman.resumed")
    assert call.speaker.take(FRAME)[0] == bytes(FRAME)


def test_speech_into_silence_stops_nothing() -> None:
    event = {"type": "input_audio_buffer.speech_started"}
    assert Call().channel.from_session(event) == Crossing(client=[event])


def test_speech_does_not_stop_a_reply_that_is_not_to_be_interrupted() -> None:
    call = Call()
    call.says("session.updated", session={"audio": {"input": {"turn_detection": {"interrupt_response": False}}}})
    call.sound(500)
    assert call.says("input_audio_buffer.speech_started").session == []
    assert call.speaker.take(FRAME)[0] == b"\1" * FRAME


@pytest.mark.parametrize("session", [{}, {"audio": {"input": {"turn_detection": None}}}, None])
def test_interruption_is_the_default(session: Any) -> None:
    call = Call()
    call.says("session.created", session=session)
    call.sound(500)
    assert call.says("input_audio_buffer.speech_started").session


def test_a_client_clears_the_sound() -> None:
    call = Call()
    call.sound(500)
    call.speaker.take(FRAME)
    crossing = call.channel.from_client({"type": "output_audio_buffer.clear"})
    assert [event["type"] for event in crossing.client] == ["output_audio_buffer.cleared"]
    assert [event["type"] for event in crossing.session] == ["conversation.item.truncate"]
    assert call.channel.from_client({"type": "output_audio_buffer.clear"}) == Crossing()


def test_a_response_has_ended_when_its_sound_has_been_heard() -> None:
    call = Call()
    call.sound(30)
    done = {"type": "response.done", "response": {"id": "r1"}}
    assert call.channel.from_session(done) == Crossing(client=[done])
    told = [call.channel.marked(mark) for _ in range(2) for mark in call.speaker.take(FRAME)[1]]
    assert told == [
        {"type": "output_audio_buffer.started", "event_id": "event_1", "response_id": "r1"},
        {"type": "output_audio_buffer.stopped", "event_id": "event_2", "response_id": "r1"},
    ]


def test_formats_of_a_client_are_left_out() -> None:
    audio = {"input": {"format": {"type": "audio/pcmu"}, "transcription": {"model": "m"}}, "output": {"voice": "v"}}
    asked = {"type": "session.update", "session": {"type": "realtime", "audio": audio}}
    (heard,) = Call().channel.from_client(asked).session
    assert heard["session"]["audio"] == {"input": {"transcription": {"model": "m"}}, "output": {"voice": "v"}}
    assert asked["session"]["audio"] is audio, "the event itself is left alone"
    assert "format" in audio["input"]


@pytest.mark.parametrize("session", [None, 3, {"audio": None}, {"audio": {"input": None}}, {"instructions": "x"}])
def test_odd_updates_are_for_the_session_to_judge(session: Any) -> None:
    event = {"type": "session.update", "session": session}
    assert Call().channel.from_client(event) == Crossing(session=[event])


def test_broken_sound_is_passed_over() -> None:
    call = Call()
    call.says("response.output_audio.delta", delta="?", response_id="r1", item_id="i1")
    assert call.speaker.take(FRAME) == (bytes(FRAME), [])
