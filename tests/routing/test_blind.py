"""Blind votes: what a voter is shown, and what becomes of the votes."""

from hypothesis import given
from hypothesis import strategies as st

from dragoman.routing.blind import ballot, last_votes

ANSWERS = {f"p{number}": ["a", "b", "c"] for number in range(40)}


@given(st.integers(), st.text())
def test_every_pair_is_shown_once_and_the_same_again(seed: int, voter: str) -> None:
    pairs = ballot(ANSWERS, seed, voter)
    assert pairs == ballot(ANSWERS, seed, voter)
    assert len({(pair.prompt, frozenset((pair.left, pair.right))) for pair in pairs}) == len(pairs) == 120


def test_places_and_order_differ_between_voters_and_seeds() -> None:
    ann, bob, other = ballot(ANSWERS, 1, "ann"), ballot(ANSWERS, 1, "bob"), ballot(ANSWERS, 2, "ann")
    assert ann != bob and ann != other
    left = sum(pair.left < pair.right for pair in ann)
    assert 40 < left < 80, "no model has a place of its own"


def test_a_vote_is_for_the_model_that_stood_there() -> None:
    pair, *_ = ballot(ANSWERS, 1, "ann")
    for better, score in (("left", 1.0), ("right", 0.0), ("tie", 0.5)):
        vote = pair.voted("ann", better)  # type: ignore[arg-type]  # one of the three
        assert (vote.one, vote.other, vote.score, vote.judge) == (pair.left, pair.right, score, "ann")
        assert pair.same(vote)


def test_the_last_word_of_a_voter_on_a_pair_counts() -> None:
    first, second = ballot(ANSWERS, 1, "ann")[:2]
    votes = [first.voted("ann", "left"), second.voted("ann", "tie"), first.voted("bob", "left")]
    changed = first.voted("ann", "right")
    assert last_votes([*votes, changed]) == [changed, votes[1], votes[2]]
