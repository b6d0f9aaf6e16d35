"""What does not change the answer does not change the prompt."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.routing.text import MOST_CHARACTERS, normalise, words

QUESTION = "what is the capital of france?"


@pytest.mark.parametrize(
    "prompt",
    [
        "What is the capital of France?",
        "  What is\n\nthe capital\tof France? ",
        "Please answer the following question: What is the capital of France?",
        "Could you please help me with this question? What is the capital of France?",
        "Hello! What is the capital of France?",
        "Hi there, can you tell me: What is the capital of France?",
        "What is the capital of France? Thanks!",
        "What is the capital of France? Thank you very much in advance.",
        "What is the capital of France? Thanks a lot for your help!",
    ],
)
def test_courtesies_and_layout_leave_no_trace(prompt: str) -> None:
    assert normalise(prompt) == QUESTION


def test_typographic_variants_are_one() -> None:
    assert normalise("“It’s” – so…") == normalise('"it\'s" - so...')


@pytest.mark.parametrize("prompt", ["Thanks", "Please", "hello", ""])
def test_a_courtesy_alone_stays(prompt: str) -> None:
    assert normalise(prompt) == prompt.lower()


@settings(deadline=None)
@given(st.text(max_size=300))
def test_normalising_ignores_case_of_ascii_and_white_space(prompt: str) -> None:
    assert normalise("\n " + prompt.replace(" ", "  ") + "\t") == normalise(prompt)
    if prompt.isascii():
        assert normalise(prompt.upper()) == normalise(prompt)


def test_of_a_long_prompt_head_and_tail_are_read() -> None:
    normal = normalise("first " + "x " * 10_000 + "last")
    assert normal.startswith("first x") and normal.endswith("x last") and len(normal) <= MOST_CHARACTERS + 1


def test_words_numbers_and_signs_are_told_apart() -> None:
    assert words("x^2 + 10_000 élan?") == ["x", "^", "2", "+", "10", "_", "000", "élan", "?"]
    assert words("x^2 + 10_000 elan?") == ["x", "^", "2", "+", "10", "_", "000", "elan", "?"]
