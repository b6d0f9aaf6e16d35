"""The numbers of the cost-quality curve, on cases that can be worked out by hand."""

import numpy as np
import pytest

from dragoman.routing import evaluate

GAIN = np.array([1.0, 0.0, 1.0, 0.0])


def test_the_perfect_order_recovers_the_gap_first() -> None:
    assert evaluate.apgr(GAIN, GAIN) == pytest.approx((0.25 + 0.75 + 1 + 1) / 4)
    assert evaluate.apgr(-GAIN, GAIN) == pytest.approx(1 - (0.25 + 0.75 + 1 + 1) / 4)


def test_a_choice_by_lot_recovers_half() -> None:
    rng = np.random.default_rng(0)
    gain = rng.choice([-1.0, 0.0, 1.0], 4000, p=[0.1, 0.5, 0.4])
    assert evaluate.apgr(rng.random(4000), gain) == pytest.approx(0.5, abs=0.05)


def test_cpt_is_the_least_share_of_strong_calls() -> None:
    assert evaluate.cpt(GAIN, GAIN, 0.5) == 0.25
    assert evaluate.cpt(GAIN, GAIN, 0.8) == 0.5


def test_without_a_gap_there_is_no_apgr() -> None:
    with pytest.raises(ValueError, match="no better"):
        evaluate.apgr(GAIN, np.zeros(4))


def test_the_saving_is_read_where_the_line_reaches_the_floor() -> None:
    points = np.array([[1.0, 0.5], [5.0, 1.0], [10.0, 1.0]])
    assert evaluate.saving(points, (10.0, 1.0)) == pytest.approx(1 - (1 + 4 * 0.98) / 10)
    assert evaluate.saving(np.array([[1.0, 0.5]]), (10.0, 1.0)) == 0


def test_the_hull_leaves_out_what_a_mix_beats() -> None:
    points = np.array([[0.0, 0.0], [1.0, 0.2], [2.0, 1.0], [3.0, 0.9]])
    assert evaluate.hull(points).tolist() == [[0, 0], [2, 1]]


def test_foresight_saves_most_and_a_blind_router_as_much_as_the_cheaper_model_allows() -> None:
    rng = np.random.default_rng(1)
    easy = rng.random(600) < 0.5
    quality = np.stack((np.ones(600), easy.astype(float)), 1)
    cost = np.tile([1.0, 0.1], (600, 1))
    sees, blind = quality, np.tile(quality.mean(0), (600, 1))
    one, _ = evaluate.savings("ab", evaluate.Table(quality, cost, sees, cost), rng, resamples=20)
    two, curves = evaluate.savings("ab", evaluate.Table(quality, cost, blind, cost), rng, resamples=20)
    assert one.best == "a"
    assert one.router.value == pytest.approx(one.oracle)
    assert one.oracle > 0.4
    assert one.router.low <= one.router.value <= one.router.high
    assert two.router.value == pytest.approx(two.hull, abs=0.01)
    assert curves.singles["b"].cost == pytest.approx(0.1)
