"""What is heard at the far end of a call."""

from hypothesis import given
from hypothesis import strategies as st

from dragoman.server.calls.loudspeaker import MS, Heard, Loudspeaker, Mark

FRAME = 20 * MS


def sound(ms: float, value: int = 1) -> bytes:
    return bytes([value]) * round(ms * MS)


def test_silence_where_there_is_nothing_to_say() -> None:
    assert Loudspeaker().take(FRAME) == (bytes(FRAME), [])


def test_sound_comes_out_in_order_and_marks_where_it_begins_and_ends() -> None:
    speaker = Loudspeaker()
    speaker.add("r1", "i1", sound(10, 1))
    speaker.add("r1", "i1", sound(20, 2))
    assert speaker.take(FRAME) == (sound(10, 1) + sound(10, 2), [Mark("started", "r1")])
    speaker.finish("r1")
    assert speaker.take(FRAME) == (sound(10, 2) + bytes(10 * MS), [Mark("stopped", "r1")])
    assert speaker.take(FRAME) == (bytes(FRAME), [])


def test_a_response_whose_sound_is_late_has_not_stopped() -> None:
    speaker = Loudspeaker()
    speaker.add("r1", "i1", sound(20))
    assert speaker.take(FRAME)[1] == [Mark("started", "r1")]
    assert speaker.take(FRAME)[1] == []
    speaker.add("r1", "i1", sound(20))
    assert speaker.take(FRAME)[1] == []
    speaker.finish("r1")
    assert speaker.take(FRAME)[1] == [Mark("stopped", "r1")]


def test_one_response_after_the_other_within_a_frame() -> None:
    speaker = Loudspeaker()
    speaker.add("r1", "i1", sound(10))
    speaker.finish("r1")
    speaker.add("r2", "i2", sound(10))
    assert speaker.take(FRAME)[1] == [Mark("started", "r1"), Mark("stopped", "r1"), Mark("started", "r2")]


def test_clearing_tells_what_was_heard_of_the_item() -> None:
    speaker = Loudspeaker()
    speaker.add("r1", "i1", sound(500))
    for _ in range(7):
        speaker.take(FRAME)
    assert speaker.clear() == Heard("r1", "i1", 140)
    assert speaker.take(FRAME) == (bytes(FRAME), [])
    assert speaker.clear() is None


def test_clearing_before_anything_was_heard() -> None:
    speaker = Loudspeaker()
    speaker.add("r1", "i1", sound(500))
    assert speaker.clear() == Heard("r1", "i1", 0)


def test_clearing_counts_the_item_that_is_heard_not_those_before() -> None:
    speaker = Loudspeaker()
    speaker.add("r1", "i1", sound(20))
    speaker.finish("r1")
    speaker.add("r2", "i2", sound(100))
    for _ in range(3):
        speaker.take(FRAME)
    assert speaker.clear() == Heard("r2", "i2", 40)


def test_what_still_comes_of_a_response_that_was_cut_is_not_heard() -> None:
    speaker = Loudspeaker()
    speaker.add("r1", "i1", sound(100))
    speaker.take(FRAME)
    speaker.clear()
    speaker.add("r1", "i1", sound(100))
    assert speaker.take(FRAME) == (bytes(FRAME), [])
    speaker.finish("r1")
    speaker.add("r2", "i2", sound(20))
    assert speaker.take(FRAME)[0] == sound(20)


def test_a_response_without_sound_leaves_nothing_behind() -> None:
    speaker = Loudspeaker()
    speaker.finish("r1")
    assert speaker.take(FRAME) == (bytes(FRAME), [])
    assert not speaker._whole


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(1, 3), st.integers(0, 50)),
            st.tuples(st.just("finish"), st.integers(1, 3), st.just(0)),
            st.tuples(st.just("take"), st.just(0), st.just(0)),
            st.tuples(st.just("clear"), st.just(0), st.just(0)),
        )
    )
)
def test_marks_always_pair(steps: list[tuple[str, int, int]]) -> None:
    """Whatever happens: one response sounds at a time, each beginning has one end, and nothing is heard twice."""
    speaker, sounding, added, heard = Loudspeaker(), "", 0, 0
    for step, number, ms in steps:
        match step:
            case "add":
                speaker.add(f"r{number}", f"i{number}", sound(ms))
                added += ms * MS
            case "finish":
                speaker.finish(f"r{number}")
            case "clear":
                cleared = speaker.clear()
                assert cleared is not None or not sounding
                assert cleared is None or not sounding or cleared.response == sounding
                sounding = ""
            case "take":
                frame, marks = speaker.take(FRAME)
                heard += len(frame.rstrip(b"\0"))
                for mark in marks:
                    assert (mark.kind == "started") == (not sounding)
                    assert sounding in ("", mark.response)
                    sounding = mark.response if mark.kind == "started" else ""
    assert heard <= added
