"""What is heard of a conversation, and when: with events at given times."""

import base64
from typing import Any

import pytest
from msgspec import convert

from dragoman.cli.recording import LEVEL
from dragoman.cli.voice_player import Player
from dragoman.cli.voice_turns import ServerEvent, Turn, Turns
from fakes.talker import hush, tone

SECOND = tone(1.0)


def turns(recording: bytes = tone(1.0) + hush(0.2)) -> "Follow":
    return Follow(Turns(recording, LEVEL))


class Follow:
    """`Turns` that take events as a server writes them."""

    def __init__(self, of: Turns) -> None:
        self.of = of

    def at(self, now: float, kind: str, **fields: Any) -> list[dict[str, Any]]:
        return self.of.take(convert({"type": kind, **fields}, ServerEvent), now)

    def turn(self, now: float, number: int = 1) -> None:
        """The person has spoken, and a response begins."""
        self.at(now, "input_audio_buffer.committed", item_id=f"said_{number}")
        self.at(
            now, "conversation.item.input_audio_transcription.completed", item_id=f"said_{number}", transcript="Hi."
        )
        self.at(now, "response.created", response={"id": f"resp_{number}"})

    def sound(self, now: float, pcm: bytes, number: int = 1) -> None:
        delta = base64.b64encode(pcm).decode()
        self.at(
            now, "response.output_audio.delta", delta=delta, item_id=f"reply_{number}", response_id=f"resp_{number}"
        )

    def done(self, now: float, number: int = 1, **more: Any) -> None:
        self.at(now, "response.done", response={"id": f"resp_{number}", "status": "completed"} | more)

    @property
    def one(self) -> Turn:
        (turn,) = self.of.all
        return turn


def test_latency_is_from_the_last_audible_sample_to_the_first() -> None:
    heard = turns()
    heard.turn(1.2)
    heard.sound(1.3, hush(0.05) + tone(0.1))
    assert heard.one.speech_end == pytest.approx(1.0, abs=0.001)
    assert heard.one.latency_ms == pytest.approx(350, abs=1)


def test_silence_at_the_head_counts_over_chunks() -> None:
    heard = turns()
    heard.turn(1.2)
    heard.sound(1.3, hush(0.3))
    heard.sound(1.31, tone(0.1))  # it waits for the end of the silence
    assert heard.one.latency_ms == pytest.approx(600, abs=1)


def test_a_pause_in_speech_is_not_its_end() -> None:
    heard = turns(tone(0.5) + hush(0.5) + tone(0.5) + hush(0.5))
    heard.turn(1.7)
    assert heard.one.speech_end == pytest.approx(1.5, abs=0.001)


def test_a_turn_that_is_taken_too_early_ends_where_speech_was_until_then() -> None:
    heard = turns(tone(0.5) + hush(0.5) + tone(0.5) + hush(0.5))
    heard.turn(0.7)
    assert heard.one.speech_end == pytest.approx(0.5, abs=0.001)


def test_a_reply_that_is_spoken_into_stops_and_what_was_heard_is_told() -> None:
    heard = turns(tone(1.0) + hush(1.0) + tone(1.0))
    heard.turn(1.2)
    heard.sound(1.5, SECOND)
    heard.done(1.5)
    truncate = heard.at(2.1, "input_audio_buffer.speech_started", item_id="said_2")
    assert truncate == [
        {"type": "conversation.item.truncate", "item_id": "reply_1", "content_index": 0, "audio_end_ms": 600}
    ]
    assert heard.one.broken_into_ms == 600
    heard.sound(2.2, SECOND)
    assert heard.of.player.heard() == SECOND[: round(0.6 * 24_000) * 2], "what comes late is not played"


def test_speech_after_the_reply_stops_nothing() -> None:
    heard = turns()
    heard.turn(1.2)
    heard.sound(1.5, SECOND)
    assert heard.at(2.6, "input_audio_buffer.speech_started", item_id="said_2") == []
    assert heard.one.broken_into_ms is None


def test_a_reply_that_was_stopped_before_it_sounded_was_not_heard() -> None:
    heard = turns()
    heard.turn(1.2)
    heard.sound(1.3, hush(0.5) + SECOND)
    heard.at(1.5, "input_audio_buffer.speech_started", item_id="said_2")
    assert heard.one.latency_ms is None


def test_it_is_over_when_all_that_was_said_is_answered_and_heard() -> None:
    heard = turns()
    assert not heard.of.over(1.2, patience=15)
    heard.turn(1.2)
    heard.sound(1.3, SECOND)
    heard.done(1.3)
    assert not heard.of.over(2.2, patience=15), "it still sounds"
    assert heard.of.over(2.7, patience=15)


def test_it_is_not_over_while_something_said_is_uncommitted() -> None:
    heard = turns(tone(0.5) + hush(0.5) + tone(0.5) + hush(0.5))
    heard.turn(0.7)
    heard.done(0.8)
    assert not heard.of.over(2.0, patience=15)
    assert heard.of.over(16.0, patience=15)


def test_what_nobody_committed_is_waited_for_no_longer_than_patience() -> None:
    heard = turns()
    heard.at(0.5, "input_audio_buffer.speech_started", item_id="said_1")
    assert not heard.of.over(15.4, patience=15)
    assert heard.of.over(15.6, patience=15)


def test_stages_belong_to_the_oldest_turn_without_them() -> None:
    heard = turns()
    for number in (1, 2):
        heard.turn(number, number)
        heard.done(number, number)
    heard.at(3, "dragoman.turn", stages_ms={"total": 1.0})
    heard.at(3, "dragoman.turn", stages_ms={"total": 2.0})
    assert [turn.stages_ms["total"] for turn in heard.of.all] == [1.0, 2.0]


def test_a_response_without_speech_is_a_turn_without_latency() -> None:
    heard = turns()
    heard.turn(1.2)
    heard.at(9, "response.created", response={"id": "resp_2"})
    heard.sound(9, SECOND, 2)
    assert [turn.latency_ms is None for turn in heard.of.all] == [True, True]
    assert heard.of.all[1].heard == pytest.approx(9.0, abs=0.001)


def test_a_player_sounds_one_chunk_after_the_other() -> None:
    player = Player(LEVEL)
    assert player.play("a", tone(1.0), 5.0) == pytest.approx(5.0, abs=0.001)
    assert player.play("b", tone(1.0), 5.1) == pytest.approx(6.0, abs=0.001)
    assert player.play("b", hush(0.5), 9.0) is None
    assert player.end == 9.5


def test_a_player_knows_what_it_played_of_the_item_it_was_at() -> None:
    player = Player(LEVEL)
    player.play("a", tone(1.0), 0.0)
    player.play("b", tone(1.0), 0.5)
    assert player.stop(1.25) == ("b", 250)
    assert player.stop(1.25) is None
    assert len(player.heard()) == round(1.25 * 24_000) * 2
