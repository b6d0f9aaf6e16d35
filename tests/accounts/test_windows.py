"""Windows, ceilings, allowances and purses, in virtual time."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.accounts.limits import NEVER, Allowance, Ceiling, Purse, Window

T0 = datetime(2026, 11, 30, 23, 0, tzinfo=UTC).timestamp()


@given(
    limit=st.integers(1, 20),
    gaps=st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=80),
    amounts=st.lists(st.integers(1, 8), min_size=80, max_size=80),
)
def test_no_minute_ever_holds_more_than_the_limit(limit: int, gaps: list[float], amounts: list[int]) -> None:
    window, now, taken = Window(limit), T0, []
    for gap, amount in zip(gaps, amounts, strict=False):
        now += gap
        amount = min(amount, limit)
        if window.room(amount, now):
            window.take(amount, now)
            taken.append((now, amount))
        last_minute = sum(amount for at, amount in taken if at > now - 60)
        assert last_minute <= limit and window.used >= last_minute


@given(limit=st.integers(1, 10), gaps=st.lists(st.floats(0, 5, allow_nan=False), min_size=10, max_size=40))
def test_a_window_opens_when_it_says(limit: int, gaps: list[float]) -> None:
    window, now = Window(limit), T0
    for gap in gaps:
        now += gap
        opens = window.opens(1, now)
        if opens > now:
            assert not window.room(1, opens - 0.001)
            assert opens <= now + 60.25
            now = opens
        assert window.room(1, now)
        window.take(1, now)


def test_under_steady_demand_a_window_is_used_to_its_limit() -> None:
    window, taken = Window(100), 0
    for tick in range(6000):
        now = T0 + tick * 0.1
        if window.room(1, now):
            window.take(1, now)
            taken += 1
    assert taken >= 0.99 * 1000


def test_what_an_estimate_held_too_much_is_free_again_at_once() -> None:
    window = Window(1000)
    entry = window.take(900, T0)
    assert not window.room(200, T0 + 1)
    window.correct(entry, -400, T0 + 2)
    assert window.room(200, T0 + 2) and window.used == 500
    window.correct(entry, 100, T0 + 100)  # it has left the window
    assert window.room(1000, T0 + 100)


def test_what_is_more_than_a_whole_limit_fits_an_empty_window() -> None:
    window = Window(10)
    assert window.room(50, T0)
    window.take(50, T0)
    assert not window.room(1, T0 + 59) and window.room(1, T0 + 61)


def test_a_ceiling_falls_by_a_tenth_once_for_all_that_was_under_way_and_rises_again() -> None:
    ceiling = Ceiling()
    assert ceiling.whole == NEVER
    for began in (0.0, 1.0, 2.0):
        ceiling.refused(100, began, now=3.0, keep=0.9)
    assert ceiling.value == 90
    ceiling.accepted(10, 1.0)
    assert ceiling.value == 90  # far below it, a call says nothing
    ceiling.accepted(90, 1.0)
    assert 91 <= ceiling.value < 91.1
    for _ in range(10_000):
        ceiling.accepted(ceiling.value, 1.0)
    assert ceiling.value > 1000


def test_a_ceiling_never_rises_above_what_is_declared_nor_falls_below_one() -> None:
    ceiling = Ceiling(5)
    for i in range(50):
        ceiling.refused(ceiling.value, i, i + 0.5, keep=0.9)
    assert ceiling.whole == 1
    for _ in range(10_000):
        ceiling.accepted(ceiling.value, 1.0)
    assert ceiling.value == 5


def test_an_allowance_that_refills_opens_bit_by_bit_and_a_fixed_one_all_at_once() -> None:
    bucket, fixed = Allowance(), Allowance()
    bucket.told(0, 60, T0 + 60, True, T0)
    fixed.told(0, 60, T0 + 60, False, T0)
    assert abs(bucket.opens(1, T0) - (T0 + 1)) < 0.01
    assert fixed.opens(1, T0) == T0 + 60
    assert bucket.room(1, bucket.opens(1, T0)) and fixed.room(1, T0 + 60)


def test_an_allowance_counts_what_was_sent_since() -> None:
    allowance = Allowance()
    assert allowance.room(10**9, T0)
    allowance.told(2, 10, T0 + 60, False, T0)
    allowance.take(2)
    assert not allowance.room(1, T0 + 59) and allowance.left(T0 + 59) == 0


def test_a_purse_holds_back_what_is_reserved_and_is_full_again_the_next_day() -> None:
    purse = Purse(daily=100, monthly=None)
    assert purse.opens(60, T0) == T0
    purse.reserve(60)
    assert purse.opens(60, T0) == T0 + 3600  # midnight, UTC
    purse.settle(60, 30, T0)
    assert purse.opens(60, T0) == T0
    purse.settle(0, 70, T0)
    assert purse.opens(1, T0) == T0 + 3600 and purse.opens(1, T0 + 3600) == T0 + 3600
    assert purse.opens(101, T0) == NEVER


def test_a_month_outlasts_a_day() -> None:
    purse = Purse(daily=None, monthly=100)
    purse.settle(0, 100, T0 - 86400)  # the 29th
    assert purse.opens(1, T0 - 86400) == T0 + 3600  # the 1st
    assert purse.opens(1, T0) == T0 + 3600


def test_a_ceiling_between_two_whole_numbers_is_not_stuck_there() -> None:
    ceiling = Ceiling()
    ceiling.refused(2, 0.0, 1.0, keep=0.9)
    assert ceiling.whole == 1
    for _ in range(20):
        ceiling.accepted(ceiling.whole, 0.4 / ceiling.value)
    assert ceiling.whole >= 4


def test_a_window_drains_when_what_is_taken_has_left_it_turn_by_turn() -> None:
    window = Window(10)
    for second in range(10):
        window.take(1, T0 + second)
    assert window.drains(1, T0 + 20) - T0 == pytest.approx(60, abs=0.5)
    assert window.drains(5, T0 + 20) - T0 == pytest.approx(64, abs=0.5)
    assert window.drains(15, T0 + 20) - T0 == pytest.approx(124, abs=0.5)  # five of them after those that go first
    assert Window(10).drains(10, T0) == T0


def test_a_shared_window_drains_though_what_was_taken_is_corrected_to_nothing() -> None:
    window = Window(10)
    window.correct(window.take(10, T0), -10, T0)
    window.others = 10
    assert window.drains(1, T0 + 1) == T0 + 61


def test_a_shared_window_drains_as_if_the_others_had_taken_theirs_alike() -> None:
    window = Window(10)
    window.take(2, T0)
    window.take(2, T0 + 5)
    window.others = 6.0
    assert window.drains(5, T0 + 20) - T0 == pytest.approx(60, abs=0.5)
    assert window.drains(6, T0 + 20) - T0 == pytest.approx(65, abs=0.5)
    unused = Window(10)
    unused.others = 10.0
    assert unused.drains(1, T0) == T0 + 60  # at the latest


def test_what_the_books_say_counts_until_its_period_ends() -> None:
    purse = Purse(daily=100, monthly=1000)
    purse.load(90, 950, T0)
    assert purse.room(10, T0) and not purse.room(11, T0)
    assert purse.room(50, T0 + 3600)  # the next day; it is the next month's first, too
