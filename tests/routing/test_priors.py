"""What is expected of models of which nothing was learned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.routing.estimate import Query
from dragoman.routing.priors import KINDS, UNKNOWN, Priors, family, of, table
from dragoman.routing.text import normalise


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("openai/gpt-5.2", "openai/gpt-5-mini"),
        ("gpt-5-mini", "gpt-5-nano"),
        ("anthropic/claude-opus-5", "anthropic/claude-haiku-4-5"),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", "claude-3-haiku-20240307"),
        ("gemini-2.5-pro", "gemini-2.5-flash-lite"),
        ("meta-llama/Llama-3.1-70B-Instruct", "llama-3.1-8b-instruct"),
        ("gpt-4o", "gpt-4o-mini"),
        ("llama-3.1-8b-instruct", "local"),
    ],
)
def test_the_larger_of_a_family_is_expected_to_be_better(better: str, worse: str) -> None:
    for kind in ("general", "math", "code", "writing"):
        assert of(better, kind).quality > of(worse, kind).quality


def test_what_is_declared_goes_before_the_table() -> None:
    found = Priors({"gpt-5.2": 0.3}).predict(Query(prompt="Hello"), ["gpt-5.2", "gpt-4o", "never-heard-of"])
    assert found.candidates["gpt-5.2"].quality == 0.3
    assert found.candidates["gpt-4o"] == of("gpt-4o", "general")
    assert found.candidates["never-heard-of"] == UNKNOWN


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        (Query(prompt="Write a python function that sorts a list"), "code"),
        (Query(prompt="Solve $x^2 = 4$ for x"), "math"),
        (Query(prompt="Draft an apology to my aunt"), "writing"),
        (Query(prompt="Who was Ada Lovelace?"), "general"),
        (Query(prompt="Who was Ada Lovelace?", category="code-review"), "code"),
    ],
)
def test_the_kind_of_question_is_told_or_guessed(query: Query, kind: str) -> None:
    assert family(query) == kind


def test_every_prior_is_a_quality() -> None:
    assert all(0 < value < 1 for prior in table() for value in (prior.general, prior.math, prior.code, prior.writing))


PIECES = (*"ab 1+$\\-", "solve ", "def ", "poem ", "sql ", "write ", "translate ", "traceback ", "summarise ", "essay ")


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_the_quick_look_for_signs_overlooks_nothing(text: str) -> None:
    plain = normalise(text)
    found = next((kind for kind, looks in KINDS.items() if looks.search(plain)), "general")
    assert family(Query(prompt=text)) == found
