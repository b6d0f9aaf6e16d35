"""Turn taking, on an audio clock of 16 ms frames."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.voice.detection import Detection, Interruption, detection
from dragoman.voice.turns import (
    _TABLE,
    Effect,
    FalseAlarm,
    Frame,
    Hushed,
    Idled,
    Lasting,
    Paused,
    Resumed,
    Signal,
    Started,
    State,
    Stopped,
    Turns,
)

HOP = 16
PLAIN = Detection(silence_ms=500)
LOCAL = Detection()


class Listening:
    """Feeds `Turns` and keeps what it says."""

    def __init__(self, settings: Detection | None = LOCAL, interruption: Interruption | None = None) -> None:
        self.turns = Turns(settings, interruption)
        self.now = 0
        self.said: list[Effect] = []

    def hears(self, *probabilities: float) -> list[Effect]:
        heard: list[Effect] = []
        for probability in probabilities:
            self.now += HOP
            heard += self.turns.hear(Frame(self.now, probability))
        self.said += heard
        return heard

    def speech(self, ms: int) -> list[Effect]:
        return self.hears(*[0.9] * (ms // HOP))

    def silence(self, ms: int) -> list[Effect]:
        return self.hears(*[0.1] * (ms // HOP))

    def pause(self) -> int:
        return next(effect.pause for effect in reversed(self.said) if isinstance(effect, Paused))


def kinds(effects: Iterable[Effect]) -> list[str]:
    """Without the questions to the judge, which have tests of their own."""
    return [type(effect).__name__ for effect in effects if not isinstance(effect, Lasting)]


def test_a_turn_begins_pauses_and_ends() -> None:
    user = Listening(PLAIN)
    user.silence(800)
    user.speech(320)
    user.silence(800)
    assert kinds(user.said) == ["Started", "Paused", "Stopped"]
    assert user.said[0] == Started(500)  # 800 less the padding
    assert user.said[2] == Stopped(1632, 1120, "silence", None)  # the first frame with 500 ms of silence


def test_padding_does_not_reach_before_the_first_sound() -> None:
    assert Listening().speech(48) == [Started(0)]


def test_one_frame_of_speech_is_a_click() -> None:
    user = Listening()
    user.hears(0.1, 0.9, 0.1, 0.9, 0.1)
    assert user.said == []


def test_speech_within_the_turn_takes_the_pause_back() -> None:
    user = Listening(PLAIN)
    user.speech(320)
    user.silence(160)
    assert kinds(user.speech(16)) == ["Resumed"]
    assert kinds(user.silence(800)) == ["Paused", "Stopped"]


def test_a_turn_that_is_surely_complete_is_over_at_once() -> None:
    user = Listening()
    user.speech(320)
    user.silence(144)
    assert kinds(user.turns.judged(user.pause(), 0.97)) == ["Stopped"]


def test_the_surer_the_judge_the_shorter_the_wait() -> None:
    def waited(complete: float) -> float:
        user = Listening()
        user.speech(320)
        user.silence(32)
        user.turns.judged(user.pause(), complete)
        user.silence(3000)
        stopped = user.said[-1]
        assert isinstance(stopped, Stopped)
        return stopped.at_ms - stopped.ended_ms

    waits = [waited(complete / 20) for complete in range(21)]
    assert waits == sorted(waits, reverse=True)
    assert waits[0] > 1000
    assert waits[-1] < 160


def test_an_answer_to_an_earlier_pause_ends_nothing() -> None:
    user = Listening()
    user.speech(320)
    user.silence(160)
    early = user.pause()
    user.speech(320)
    user.silence(160)
    assert user.turns.judged(early, 1.0) == []
    assert kinds(user.turns.judged(user.pause(), 1.0)) == ["Stopped"]


def test_a_judge_that_does_not_answer_is_not_waited_for_for_ever() -> None:
    user = Listening()
    user.speech(320)
    user.silence(3000)
    assert user.said[-1] == Stopped(1584, 320, "patience", None)


def test_speech_over_the_assistants_hushes_it_first_and_interrupts_when_it_goes_on() -> None:
    user = Listening()
    user.silence(1600)
    user.turns.assistant(True)
    assert user.speech(64) == [Hushed(1300)]
    assert user.speech(400) == [Started(1300, barge=True)]


def test_a_nod_leaves_the_assistant_its_turn() -> None:
    user = Listening()
    user.turns.assistant(True)
    user.speech(240)
    user.silence(48)
    assert kinds(user.turns.understood(user.pause(), "Mm-hmm.")) == ["FalseAlarm"]
    assert user.silence(3000) == []


def test_a_short_word_that_is_meant_interrupts() -> None:
    user = Listening()
    user.turns.assistant(True)
    user.speech(240)
    user.silence(48)
    pause = user.pause()
    assert kinds(user.turns.understood(pause, "Stop!")) == ["Started"]
    assert kinds(user.turns.judged(pause, 0.99)) == []
    assert kinds(user.silence(112)) == ["Stopped"]


def test_fewer_words_than_asked_for_are_no_interruption() -> None:
    user = Listening(LOCAL, Interruption(words=2, sure_ms=1000))
    user.turns.assistant(True)
    user.speech(240)
    user.silence(48)
    assert kinds(user.turns.understood(user.pause(), "Stop!")) == ["FalseAlarm"]


def test_a_noise_without_words_is_let_go() -> None:
    user = Listening()
    user.turns.assistant(True)
    user.speech(64)
    user.silence(1000)
    assert kinds(user.said) == ["Hushed", "Paused", "FalseAlarm"]


def test_speech_that_may_not_interrupt_starts_a_turn_without_a_barge() -> None:
    user = Listening(Detection(interrupts=False))
    user.turns.assistant(True)
    assert user.speech(64) == [Started(0, barge=False)]


def test_a_user_who_says_nothing_is_told_once() -> None:
    user = Listening(Detection(silence_ms=500, idle_ms=5000))
    user.silence(800)
    assert user.said == []
    user.turns.assistant(True)
    user.silence(8000)
    user.turns.assistant(False)
    ended = user.now
    user.silence(12_000)
    assert user.said == [Idled(ended + 5008, ended)]


def test_without_detection_nothing_is_said() -> None:
    user = Listening(None)
    user.speech(800)
    user.silence(8000)
    assert user.said == []


def test_a_forgotten_turn_begins_anew() -> None:
    user = Listening()
    user.speech(320)
    user.turns.forget()
    assert kinds(user.silence(3000)) == []
    assert kinds(user.speech(64)) == ["Started"]


def test_settings_are_read_as_openai_says_them() -> None:
    assert detection(None) is None
    explicit = {"type": "server_vad", "threshold": 0.7, "prefix_padding_ms": 0, "silence_duration_ms": 200}
    assert detection(explicit) == Detection(threshold=0.7, prefix_ms=0, silence_ms=200)
    assert detection({"type": "server_vad", "idle_timeout_ms": 6000}) == Detection(idle_ms=6000)
    semantic = detection({"type": "semantic_vad", "eagerness": "low", "interrupt_response": False})
    assert semantic == Detection(eagerness="low", interrupts=False)
    assert semantic is not None
    assert semantic.longest_ms == 8000
    assert detection({"type": "semantic_vad", "eagerness": None}) == LOCAL


def test_the_table_has_a_way_out_of_every_state_and_a_use_for_every_signal() -> None:
    for state in State:
        assert any(to is not state for (at, _), (to, _) in _TABLE.items() if at is state)
    assert {signal for _, signal in _TABLE} == set(Signal)
    reached, new = set(), {State.QUIET}
    while new:
        reached |= new
        new = {to for (at, _), (to, _) in _TABLE.items() if at in reached} - reached
    assert reached == set(State)


# What may follow what is said, whatever is heard. "": nothing yet, or the turn is over.
_FOLLOWS = {
    "": {"Started", "Hushed", "Idled"},
    "Started": {"Paused", "Stopped"},  # "Stopped": after a short interruption, whose pause came first
    "Hushed": {"Started", "Paused"},
    "HushedPaused": {"Started", "Resumed", "FalseAlarm", "Lasting"},
    "HushedLasting": {"Started", "Resumed", "FalseAlarm"},
    "HushedResumed": {"Started", "Paused"},
    "Paused": {"Resumed", "Stopped", "Lasting"},
    "Lasting": {"Resumed", "Stopped"},
    "Resumed": {"Paused"},
    "StartedPaused": {"Resumed", "Stopped", "Lasting"},
    "StartedLasting": {"Resumed", "Stopped"},
}

_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("frames"), st.sampled_from([0.0, 0.2, 0.5, 0.6, 1.0]), st.integers(1, 60)),
        st.tuples(st.just("judged"), st.floats(0, 1), st.integers(0, 2)),
        st.tuples(st.just("words"), st.sampled_from(["", "mhm", "stop", "I would like a"]), st.integers(0, 2)),
        st.tuples(st.just("assistant"), st.booleans(), st.just(0)),
    ),
    max_size=60,
)
_DETECTIONS = st.builds(
    Detection,
    silence_ms=st.one_of(st.none(), st.integers(0, 1000)),
    eagerness=st.sampled_from(["low", "medium", "high", "auto"]),
    idle_ms=st.one_of(st.none(), st.integers(500, 3000)),
    interrupts=st.booleans(),
)


def _played(settings: Detection, steps: list[tuple[str, float | str | bool, int]]) -> Listening:
    user = Listening(settings)
    for what, value, count in steps:
        pauses = [effect.pause for effect in user.said if isinstance(effect, Paused)]
        pause = pauses[-1] - count if pauses else count
        if what == "frames":
            user.hears(*[float(value)] * count)
        elif what == "judged":
            user.said += user.turns.judged(pause, float(value))
        elif what == "words":
            user.said += user.turns.understood(pause, str(value))
        else:
            user.turns.assistant(bool(value))
    return user


@given(_DETECTIONS, _STEPS)
def test_whatever_is_heard_is_said_in_order(
    settings: Detection, steps: list[tuple[str, float | str | bool, int]]
) -> None:
    user = _played(settings, steps)
    at = ""
    for effect in user.said:
        kind = type(effect).__name__
        assert kind in _FOLLOWS[at], (at, kind)
        if kind in ("Stopped", "FalseAlarm", "Idled"):
            at = ""
        elif at.startswith("Hushed") and kind != "Started":
            at = "Hushed" + kind
        elif at in ("HushedPaused", "HushedLasting"):
            at = at.replace("Hushed", "Started")
        else:
            at = kind


@given(_DETECTIONS, _STEPS)
def test_a_wait_is_never_longer_than_the_longest(
    settings: Detection, steps: list[tuple[str, float | str | bool, int]]
) -> None:
    for effect in _played(settings, steps).said:
        if isinstance(effect, Stopped):
            longest = settings.silence_ms if settings.silence_ms is not None else settings.longest_ms
            late = 600 if effect.ended_ms else 0  # a short interruption is only a turn when its words are known
            assert effect.at_ms - effect.ended_ms <= max(longest, HOP, late) + HOP
            assert settings.silence_ms is None or effect.why == "silence"


@given(st.integers(0, 2000), st.integers(2, 40))
def test_silence_that_was_named_is_waited_for_to_the_frame(silence_ms: int, frames: int) -> None:
    user = Listening(Detection(silence_ms=silence_ms))
    user.speech(frames * HOP)
    user.silence(3000)
    stopped = user.said[-1]
    assert isinstance(stopped, Stopped)
    assert silence_ms <= stopped.at_ms - stopped.ended_ms < max(silence_ms, 1) + HOP


@given(_STEPS)
def test_nobody_is_interrupted_who_is_silent(steps: list[tuple[str, float | str | bool, int]]) -> None:
    alone = [step for step in steps if step[0] != "assistant"]
    for effect in _played(LOCAL, alone).said:
        assert not isinstance(effect, Hushed | FalseAlarm)
        assert not (isinstance(effect, Started) and effect.barge)


def test_the_judge_is_asked_once_in_a_pause_when_it_has_lasted() -> None:
    user = Listening()
    user.speech(320)
    user.silence(800)
    (pause,) = [effect for effect in user.said if isinstance(effect, Paused)]
    assert [effect for effect in user.said if isinstance(effect, Lasting)] == [Lasting(pause.pause, 416)]


def test_each_longer_pause_is_judged_anew_and_short_ones_are_not() -> None:
    user = Listening()
    for silence in (112, 64, 112):
        user.speech(320)
        user.silence(silence)
    asked = [effect.pause for effect in user.said if isinstance(effect, Lasting)]
    assert len(asked) == len(set(asked)) == 2


def test_nobody_is_asked_where_the_silence_was_named() -> None:
    user = Listening(PLAIN)
    user.speech(320)
    user.silence(400)
    assert not any(isinstance(effect, Lasting) for effect in user.said)


def test_resumed_names_the_time() -> None:
    user = Listening(PLAIN)
    user.speech(160)
    user.silence(160)
    assert user.speech(16) == [Resumed(336)]


@pytest.mark.parametrize("settings", [{"type": "server_vad"}, {"type": "semantic_vad", "eagerness": "low"}])
def test_where_nobody_judges_half_a_second_of_silence_ends_a_turn(settings: dict[str, str]) -> None:
    told = detection(settings, judged=False)
    assert told is not None and told.silence_ms == 500


def test_where_nobody_judges_the_silence_that_was_named_holds() -> None:
    told = detection({"type": "server_vad", "silence_duration_ms": 300}, judged=False)
    assert told is not None and told.silence_ms == 300
