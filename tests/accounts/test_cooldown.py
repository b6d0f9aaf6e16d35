"""Rests: how long, how they end, and what does not lengthen them."""

import pytest

from dragoman.accounts.cooldown import DUE, OPEN, PROBING, RESTING, RULES, TRIPS, Cooldown, Host


def failed(cooldown: Cooldown, kind: str, now: float, retry_after: float | None = None, draw: float = 0.0) -> None:
    cooldown.failed(kind, RULES[kind], now, since=now, draw=draw, retry_after=retry_after)


def test_a_rest_lasts_as_long_as_the_provider_says() -> None:
    cooldown = Cooldown()
    failed(cooldown, "rate_limited", 100.0, retry_after=7.5)
    assert cooldown.allows(107.4) == 0 and cooldown.opens(100.0) == 107.5
    assert cooldown.allows(107.5) == 2


def test_without_a_word_rests_double_up_to_their_longest() -> None:
    cooldown, now, rests = Cooldown(), 0.0, []
    for _ in range(9):
        failed(cooldown, "overloaded", now)
        rests.append(cooldown.until - now)
        now = cooldown.until
        assert cooldown.allows(now) == 2
        assert cooldown.leased()
    assert rests == [2, 4, 8, 16, 30, 30, 30, 30, 30]


def test_who_says_now_and_refuses_again_is_not_believed_twice() -> None:
    cooldown, now = Cooldown(), 0.0
    for expected in (0.0, 1.0, 2.0, 4.0):
        failed(cooldown, "rate_limited", now, retry_after=0.0)
        assert cooldown.until - now == expected
        now = cooldown.until


@pytest.mark.parametrize("draw", [0.0, 0.5, 1.0])
def test_jitter_makes_a_rest_longer_never_shorter(draw: float) -> None:
    cooldown = Cooldown()
    failed(cooldown, "rate_limited", 0.0, draw=draw)
    assert cooldown.until == 1 + 0.1 * draw


@pytest.mark.parametrize("draw", [0.0, 0.5, 1.0])
def test_a_rest_that_was_told_is_as_told(draw: float) -> None:
    cooldown = Cooldown()
    failed(cooldown, "rate_limited", 0.0, retry_after=7, draw=draw)
    assert cooldown.until == 7


def test_fifty_calls_that_break_together_are_one_failure() -> None:
    cooldown = Cooldown()
    for _ in range(50):
        cooldown.failed("upstream_error", RULES["upstream_error"], 10.0, since=9.0, draw=0.0)
    assert cooldown.strikes == 1 and cooldown.until == 11.0


def test_a_better_word_on_how_long_it_lasts_is_taken_from_a_late_refusal() -> None:
    cooldown = Cooldown()
    failed(cooldown, "rate_limited", 10.0)
    cooldown.failed("rate_limited", RULES["rate_limited"], 10.5, since=9.0, draw=0.0, retry_after=20.0)
    assert cooldown.until == 30.5 and cooldown.strikes == 1


def test_one_probe_at_a_time_and_its_verdict_decides() -> None:
    cooldown = Cooldown()
    failed(cooldown, "rate_limited", 0.0, retry_after=5)
    assert cooldown.state is RESTING
    assert cooldown.allows(5.0) == 2 and cooldown.state is DUE
    assert cooldown.leased() and cooldown.state is PROBING
    assert cooldown.allows(6.0) == 0
    cooldown.dropped()
    assert cooldown.state is DUE and cooldown.leased()
    assert cooldown.proved(since=5.5) and cooldown.state is OPEN and cooldown.strikes == 0


def test_a_call_from_before_the_rest_proves_nothing() -> None:
    cooldown = Cooldown()
    failed(cooldown, "rate_limited", 10.0, retry_after=5)
    assert not cooldown.proved(since=9.0) and cooldown.state is RESTING


def test_a_few_broken_calls_make_it_the_last_resort_and_more_shut_it() -> None:
    cooldown, now = Cooldown(), 0.0
    levels = []
    for _ in range(5):
        failed(cooldown, "upstream_error", now)
        levels.append(cooldown.allows(now))
        now += 0.5
    assert levels == [1, 1, 1, 0, 0]


def test_a_host_opens_its_breaker_after_failures_in_a_row_and_closes_it_with_one_success() -> None:
    host = Host("h")
    for i in range(TRIPS - 1):
        assert not host.failed(float(i), float(i), 0.0)
    host.proved(3.0)
    opened = [host.failed(10.0 + i, 10.0 + i, 0.0) for i in range(TRIPS)]
    assert opened == [False] * (TRIPS - 1) + [True]
    assert host.cooldown.allows(14.5) == 0
    assert host.cooldown.allows(16.0) == 2 and host.cooldown.leased()
    assert host.proved(16.0) and host.cooldown.state is OPEN


def test_only_the_account_is_at_fault_for_its_key_and_only_the_model_for_its_rate() -> None:
    assert RULES["unauthorized"].scope == RULES["budget_spent"].scope == "account"
    assert RULES["rate_limited"].scope == RULES["overloaded"].scope == "model"
