"""What the words so far are taken for."""

from hypothesis import given
from hypothesis import strategies as st

from dragoman.voice.wording import SLOTS, last_sentence, numbers, runs


def test_only_the_last_sentence_counts_and_a_full_stop_at_the_end_does_not() -> None:
    assert last_sentence("I do. I think that America does.") == ["i", "think", "that", "america", "does"]
    assert last_sentence("I would like the") == last_sentence("I would like the.")


def test_numbers_are_of_one_kind() -> None:
    assert runs(["four"]) == runs(["9"])
    assert runs(["four"]) != runs(["fours"])


def test_a_word_that_binds_to_the_next_is_told() -> None:
    bound, free = numbers("turn off the", 0.0), numbers("turn off lights", 0.0)
    assert bound != free
    assert len(bound) == len(free)


@given(st.text(max_size=200))
def test_any_text_has_its_numbers(text: str) -> None:
    assert all(0 <= slot < SLOTS for slot in runs(last_sentence(text)))
    assert len(numbers(text, 0.5)) == len(numbers("", 0.0))
