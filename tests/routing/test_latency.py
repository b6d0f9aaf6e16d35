"""How fast targets are, from what was measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.routing.latency import HALF_LIFE, PRIOR_TTFT, Histogram, LatencyBook, Pace, loaded


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=60), st.floats(0.01, 1))
def test_a_quantile_is_right_to_the_width_of_a_bucket(values: list[float], share: float) -> None:
    made = Histogram()
    for value in values:
        made.add(value, 0.0)
    ordered = sorted(values)
    exact = next(value for k, value in enumerate(ordered, 1) if k >= share * len(values) - 1e-9)
    assert exact / 1.13 < made.quantile(share) < exact * 1.13


def test_old_samples_fade() -> None:
    made = Histogram()
    for _ in range(100):
        made.add(1000, 0.0)
    for _ in range(10):
        made.add(10, 10 * HALF_LIFE)
    assert made.quantile(0.5) == pytest.approx(10, rel=0.13)
    assert made.weight(10 * HALF_LIFE) == pytest.approx(10 + 100 / 1024)


def test_a_year_of_samples_neither_overflows_nor_grows() -> None:
    made = Histogram()
    for hour in range(24 * 365):
        made.add(100 + hour % 7, hour * 3600.0)
    assert made.weight(24 * 365 * 3600.0) == pytest.approx(2.0**-6 / (1 - 2.0**-6), rel=0.01)
    assert made.quantile(0.5) == pytest.approx(103, rel=0.13)


def test_until_there_is_traffic_priors_stand_in_and_rule_nothing_out() -> None:
    book = LatencyBook()
    assert book.pace("a", 0.0) == Pace() and not book.pace("a", 0.0).measured
    book.declare("b", 200.0, 30.0)
    assert book.pace("b", 0.0) == Pace(200.0, 30.0, 200.0, 30.0, True)


def test_traffic_replaces_the_prior_and_goes_stale() -> None:
    book = LatencyBook()
    for second in range(10):
        book.observe(second, "a", ttft_ms=100.0, total_ms=1100.0, output_tokens=50)
    pace = book.pace("a", 10.0)
    assert pace.measured
    assert (pace.ttft_ms, pace.speed, pace.output_tokens) == (
        pytest.approx(100, rel=0.07), pytest.approx(50, rel=0.07), pytest.approx(50, rel=0.07),
    )  # fmt: skip
    stale = book.pace("a", 10.0 + 3 * HALF_LIFE)
    assert not stale.measured and stale.ttft_ms == PRIOR_TTFT


def test_answers_that_are_not_streamed_tell_only_when_they_end() -> None:
    book = LatencyBook()
    for second in range(4):
        book.observe(second, "a", None, total_ms=800.0, output_tokens=100)
    pace = book.pace("a", 5.0)
    assert pace.whole_ms == pytest.approx(800, rel=0.07) and not pace.measured


def test_a_busy_pool_is_a_slow_one() -> None:
    idle = Pace(100.0, 50.0, 150.0, 40.0, True, 10.0, 1000.0, 2000.0)
    assert loaded(idle, 0, 0) is idle
    busy = loaded(idle, 1.0, 500.0)
    assert (busy.ttft_ms, busy.speed, busy.whole_ms, busy.output_tokens) == (700.0, 25.0, 2500.0, 10.0)
    assert loaded(Pace(), 0, 500.0).measured  # a wait is known, whatever comes after it


def test_made_up_targets_do_not_fill_the_memory() -> None:
    book = LatencyBook()
    for number in range(5000):
        book.observe(0.0, f"mine/{number}", 1.0, 2.0, 1)
    assert len(book._targets) <= 4096
