"""The promise is kept: simulated, with a seed."""

import numpy as np
import pytest

from dragoman.routing import certify


def world(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores that tell something of how much the weak model loses, and what it lost."""
    score = rng.random(count) * 0.4 - 0.05
    right = rng.random(count) < np.clip(score, 0, 1)
    lucky = rng.random(count) < 0.06
    return score, right.astype(float) - (lucky & ~right)


def test_the_promised_floor_is_broken_no_more_often_than_delta() -> None:
    rng = np.random.default_rng(11)
    truth = world(rng, 200_000)
    broken = given = 0
    for _ in range(400):
        found = certify.threshold(*world(rng, 1000), 0.02, 0.05)
        if found is not None:
            given += 1
            broken += np.where(truth[0] < found, truth[1], 0).mean() > 0.02
    assert given > 300
    assert broken / 400 <= 0.05


def test_nothing_is_promised_where_the_weak_model_loses_everywhere() -> None:
    rng = np.random.default_rng(2)
    assert certify.threshold(rng.random(1000), np.ones(1000), 0.02, 0.05) is None


def test_nothing_is_promised_on_a_handful_of_labels() -> None:
    assert certify.threshold(np.linspace(0, 1, 29), np.zeros(29), 0.02, 0.05) is None


def test_too_few_labels_say_how_many_would_do() -> None:
    score, loss = world(np.random.default_rng(3), 4000)
    count = certify.needed(score[:100], loss[:100], 0.02, 0.05)
    assert certify.threshold(score[:100], loss[:100], 0.02, 0.05) is None
    assert count is not None and 100 < count < 4000
    assert certify.threshold(score, loss, 0.02, 0.05) is not None
    assert certify.needed(score, np.ones(4000), 0.02, 0.05) is None


def test_a_weak_model_that_loses_nothing_answers_everything() -> None:
    score = np.linspace(0, 1, 1000)
    assert certify.threshold(score, np.zeros(1000), 0.02, 0.05) > 1


@pytest.mark.parametrize("epsilon", [0.01, 0.02, 0.05])
def test_a_higher_price_buys_a_higher_threshold(epsilon: float) -> None:
    score, loss = world(np.random.default_rng(5), 4000)
    low, high = (certify.threshold(score, loss, e, 0.05) for e in (epsilon, 2 * epsilon))
    assert low is not None and high is not None and low <= high
