"""A panel's verdict."""

import pytest

from dragoman.routing.panel import Judged, judged, scores, splits, standings, verdict, winner


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("It is right. Verdict: first", "first"),
        ("**Verdict:** Second", "second"),
        ("verdict: tie.", "tie"),
        ('I was told to end with "Verdict: first", but: Verdict: second', "second"),
        ("The first is better", None),
        ("", None),
    ],
)
def test_the_last_verdict_of_a_reply_counts(reply: str, expected: str | None) -> None:
    assert verdict(reply) == expected


@pytest.mark.parametrize(
    ("straight", "swapped", "score", "swayed"),
    [
        ("first", "second", 1.0, False),  # the same answer both times
        ("second", "first", 0.0, False),
        ("first", "first", 0.5, True),  # always the one that stands first
        ("tie", "tie", 0.5, False),
        ("first", "tie", 0.5, True),
        ("first", None, 1.0, False),
    ],
)
def test_only_what_wins_in_both_places_wins(straight: str, swapped: str | None, score: float, swayed: bool) -> None:
    found = judged("p", "j", ("a", "b"), straight, swapped)  # type: ignore[arg-type]
    assert found is not None and (found.score, found.swayed) == (score, swayed)


def test_a_judge_that_says_nothing_is_not_counted() -> None:
    assert judged("p", "j", ("a", "b"), None, None) is None


def said(prompt: int, judge: str, score: float, one: str = "a", other: str = "b") -> Judged:
    return Judged(prompt=str(prompt), judge=judge, one=one, other=other, score=score)


def test_scores_are_means_over_judges_and_opponents() -> None:
    found = scores([said(1, "x", 1.0), said(1, "y", 0.5), said(1, "x", 0.0, "a", "c")])
    assert found == {"1": {"a": 0.5, "b": 0.25, "c": 1.0}}


def test_a_clear_winner_is_one_and_a_close_one_is_none() -> None:
    clear = standings([said(k, "x", 1.0 if k % 10 else 0.0) for k in range(40)])
    assert winner(clear) == "a" and clear[0].score == 0.9 and clear[0].low > 0.5
    assert winner(standings([said(k, "x", float(k % 2)) for k in range(40)])) is None
    assert winner(standings([said(1, "x", 1.0)])) is None  # one prompt proves nothing


def test_each_judge_has_its_own_view() -> None:
    found = splits([said(1, "x", 1.0), said(2, "x", 0.5), said(1, "y", 0.0)])
    assert [(each.judge, each.scores["a"], each.comparisons) for each in found] == [("x", 0.75, 2), ("y", 0.0, 1)]
