"""What the words so far are taken for."""

from hypothesis import given
from hypothesis import strategies as st

from dragoman.voice.wording import SLOTS, last_sentence, runs


def test_only_the_last_sentence_counts_and_a_full_stop_at_the_end_does_not() -> None:
    assert last_sentence("I do. I think that America does.") == ["i", "think", "that", "america", "does"]
    assert last_sentence("I would like the") == last_sentence("I would like the.")


def test_numbers_are_of_one_kind() -> None:
    assert runs(["four"]) == runs(["9"])
    assert runs(["four"]) != runs(["fours"])


@given(st.text(max_size=200))
def test_any_text_has_its_numbers(text: str) -> None:
    slots = runs(last_sentence(text))
    assert len(slots) == len(runs([]))
    assert all(0 <= slot < SLOTS for slot in slots)
