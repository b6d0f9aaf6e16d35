"""Limits, in virtual time: exact rates, true waits, money counted once."""

from copy import deepcopy
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.access.limits import WINDOW, Limiter, Refused, period_end, period_start
from dragoman.access.principal import Principal

T0 = datetime(2026, 11, 20, 12, 0, tzinfo=UTC).timestamp()
DAY = 86400.0
DOLLAR = 10**12


def refusal(limiter: Limiter, who: Principal, now: float, model: str | None = None) -> Refused | None:
    try:
        limiter.admit(who, now, model)
    except Refused as refused:
        return refused
    return None


def test_a_key_without_limits_is_always_admitted() -> None:
    limiter = Limiter()
    assert not any(refusal(limiter, Principal(id="k"), T0, "any") for _ in range(1000))


def test_an_expired_key_is_unauthorized() -> None:
    who = Principal(id="k", expires=T0 + 1)
    assert refusal(Limiter(), who, T0) is None
    refused = refusal(Limiter(), who, T0 + 1)
    assert refused and (refused.kind, refused.status) == ("unauthorized", 401)


def test_a_model_that_is_not_on_the_list_is_forbidden_and_the_list_is_told() -> None:
    who = Principal(id="k", models=frozenset({"small", "openai/gpt-4o"}), rpm=1)
    limiter = Limiter()
    refused = refusal(limiter, who, T0, "large")
    assert refused and (refused.kind, refused.status) == ("forbidden", 403)
    assert "large" in refused.message and "openai/gpt-4o, small" in refused.message
    assert refusal(limiter, who, T0, "small") is None  # the refused one did not count


def test_the_request_above_the_rate_is_told_when_to_come_back() -> None:
    limiter, who = Limiter(), Principal(id="k", rpm=3)
    for second in (0, 10, 20):
        assert refusal(limiter, who, T0 + second) is None
    refused = refusal(limiter, who, T0 + 30)
    assert refused and (refused.kind, refused.status, refused.retry_after) == ("rate_limited", 429, 30)
    assert refusal(limiter, who, T0 + 59.9) and refusal(limiter, who, T0 + 60) is None
    assert refusal(limiter, who, T0 + 60) is not None


def test_principals_do_not_share_a_rate() -> None:
    limiter = Limiter()
    for name in "abc":
        assert refusal(limiter, Principal(id=name, rpm=1), T0) is None


@given(st.integers(1, 8), st.lists(st.floats(0, 40), min_size=1, max_size=60))
def test_no_minute_ever_holds_more_than_the_rate_and_every_wait_is_true(rpm: int, gaps: list[float]) -> None:
    limiter, who, now, admitted = Limiter(), Principal(id="k", rpm=rpm), T0, list[float]()
    for gap in gaps:
        now += gap
        refused = refusal(limiter, who, now)
        recent = [at for at in admitted if now < at + WINDOW]
        assert (refused is None) == (len(recent) < rpm)
        if refused is None:
            admitted.append(now)
        else:
            assert refused.retry_after == pytest.approx(recent[0] + WINDOW - now)
            assert 0 < (refused.retry_after or 0) <= WINDOW


@given(st.integers(1, 500), st.lists(st.tuples(st.floats(0, 40), st.integers(0, 400)), min_size=1, max_size=50))
def test_the_wait_for_tokens_is_true_too(tpm: int, steps: list[tuple[float, int]]) -> None:
    limiter, who, now = Limiter(), Principal(id="k", tpm=tpm), T0
    for gap, tokens in steps:
        now += gap
        refused = refusal(limiter, who, now)
        if refused is None:
            limiter.settle(who, now, tokens=tokens)
        else:
            assert refused.kind == "rate_limited" and refused.retry_after
            assert 0 < refused.retry_after <= WINDOW + 1
            assert refusal(deepcopy(limiter), who, now + refused.retry_after - 0.001) is not None
            assert refusal(deepcopy(limiter), who, now + refused.retry_after) is None


def test_the_window_of_a_busy_key_takes_little_memory() -> None:
    limiter, who = Limiter(), Principal(id="k", rpm=100)
    for second in range(10_000):
        limiter.admit(who, T0 + second)
    window = limiter._accounts["k"].window
    assert window is not None and len(window._times) == 100


def test_a_rate_that_changes_holds_at_once() -> None:
    limiter = Limiter()
    limiter.admit(Principal(id="k", rpm=1), T0)
    assert refusal(limiter, Principal(id="k", rpm=2), T0 + 1) is None


def test_a_spent_budget_is_refused_until_the_key_has_another() -> None:
    limiter, who = Limiter(), Principal(id="k", budget=2 * DOLLAR)
    limiter.admit(who, T0)
    limiter.settle(who, T0, cost=2 * DOLLAR - 1)
    assert refusal(limiter, who, T0) is None
    limiter.settle(who, T0, cost=1)
    refused = refusal(limiter, who, T0 + 400 * DAY)
    assert refused and (refused.kind, refused.status, refused.retry_after) == ("budget_spent", 402, None)
    assert "$2" in refused.message
    assert refusal(limiter, Principal(id="k", budget=3 * DOLLAR), T0) is None


@pytest.mark.parametrize(("period", "begins_anew"), [("day", (2026, 11, 21)), ("month", (2026, 12, 1))])
def test_a_budget_with_a_period_begins_anew(period: str, begins_anew: tuple[int, int, int]) -> None:
    limiter, who = Limiter(), Principal(id="k", budget=DOLLAR, period=period)  # type: ignore[arg-type]  # the names
    limiter.settle(who, T0, cost=DOLLAR)
    refused = refusal(limiter, who, T0 + 60)
    until = datetime(*begins_anew, tzinfo=UTC).timestamp()
    assert refused and refused.retry_after == until - T0 - 60
    assert refusal(limiter, who, until - 1) is not None
    assert refusal(limiter, who, until) is None


def test_what_others_spent_counts_and_is_replaced_not_added_up() -> None:
    limiter, who = Limiter(), Principal(id="k", budget=10 * DOLLAR)
    limiter.settle(who, T0, cost=DOLLAR)
    for _ in range(3):
        limiter.load({"k": {"2026-11-19": 2 * DOLLAR, "2026-11-20": 3 * DOLLAR}})
        assert limiter.spent(who, T0) == 6 * DOLLAR
    limiter.load({})
    assert limiter.spent(who, T0) == DOLLAR


def test_yesterday_does_not_count_today() -> None:
    limiter = Limiter()
    limiter.load({"k": {"2026-11-19": 2 * DOLLAR, "2026-11-01": 5 * DOLLAR, "2026-10-31": 7 * DOLLAR}})
    assert limiter.spent(Principal(id="k", period="day"), T0) == 0
    assert limiter.spent(Principal(id="k", period="month"), T0) == 7 * DOLLAR
    assert limiter.spent(Principal(id="k"), T0) == 14 * DOLLAR


def test_money_held_back_for_requests_in_flight_counts() -> None:
    limiter, who = Limiter(), Principal(id="k", budget=10)
    limiter.admit(who, T0)
    limiter.reserve(who, 6, T0)
    limiter.admit(who, T0)
    with pytest.raises(Refused) as held:
        limiter.reserve(who, 5, T0)
    assert (held.value.kind, held.value.retry_after) == ("rate_limited", 1.0)  # some of it may come back
    with pytest.raises(Refused) as held:
        limiter.reserve(who, 11, T0)
    assert held.value.kind == "rate_limited"
    limiter.reserve(who, 4, T0)
    assert refusal(limiter, who, T0)
    limiter.settle(who, T0, cost=1, reserved=10)
    assert refusal(limiter, who, T0) is None and limiter.spent(who, T0) == 1


def test_a_call_that_is_alone_may_go_with_what_is_left_though_it_may_cost_more() -> None:
    limiter, who = Limiter(), Principal(id="k", budget=10)
    limiter.admit(who, T0)
    assert limiter.reserve(who, 500, T0) == 10
    with pytest.raises(Refused) as held:
        limiter.reserve(who, 1, T0)
    assert held.value.kind == "rate_limited"
    limiter.settle(who, T0, cost=9, reserved=10)
    assert limiter.reserve(who, 500, T0) == 1
    limiter.settle(who, T0, cost=1, reserved=1)
    with pytest.raises(Refused) as spent:
        limiter.reserve(who, 1, T0)
    assert spent.value.kind == "budget_spent"


def test_a_budget_of_nothing_allows_nothing() -> None:
    assert refusal(Limiter(), Principal(id="k", budget=0), T0)


@pytest.mark.parametrize(
    ("period", "now", "start", "end"),
    [
        ("day", (2026, 2, 28, 23, 59), "2026-02-28", (2026, 3, 1)),
        ("month", (2026, 12, 31, 23, 59), "2026-12-01", (2027, 1, 1)),
        ("month", (2028, 2, 29, 0, 0), "2028-02-01", (2028, 3, 1)),
        ("month", (2026, 1, 1, 0, 0), "2026-01-01", (2026, 2, 1)),
    ],
)
def test_periods_are_those_of_utc(
    period: str, now: tuple[int, int, int, int, int], start: str, end: tuple[int, int, int]
) -> None:
    moment = datetime(*now, tzinfo=UTC).timestamp()
    assert period_start(period, moment) == start  # type: ignore[arg-type]  # the names above
    assert period_end(period, moment) == datetime(*end, tzinfo=UTC).timestamp()  # type: ignore[arg-type]
