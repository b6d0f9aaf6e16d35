"""What providers say about their limits, in each of their forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.accounts.ratelimits import NOTHING, Rate, Told, duration, read, read_gemini

NOW = 1_790_000_000.0


def told(**headers: str) -> Told:
    return read([(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()], NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("20ms", 0.02), ("6m0s", 360), ("2m59.56s", 179.56), ("1h2m3s", 3723), ("7.66s", 7.66), ("12", 12),
     ("1d", 86400), ("0", 0), ("soon", None), ("", None), ("-3", None), ("3 s", None), ("nan", None), ("5s?", None)],
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    assert duration(text) == (seconds if seconds is None else pytest.approx(seconds))


def test_openai_says_what_a_minute_holds() -> None:
    said = told(
        x_ratelimit_limit_requests="500", x_ratelimit_remaining_requests="499", x_ratelimit_reset_requests="120ms",
        x_ratelimit_limit_tokens="30000", x_ratelimit_remaining_tokens="29000", x_ratelimit_reset_tokens="2s",
    )  # fmt: skip
    requests, tokens = said.rates
    assert requests == Rate(resource="requests", limit=500, remaining=499, reset=0.12, window=60.0, refills=True)
    assert tokens == Rate(resource="tokens", limit=30000, remaining=29000, reset=2.0, window=60.0, refills=True)


def test_groqs_requests_are_a_days() -> None:
    said = told(
        x_ratelimit_limit_requests="14400",
        x_ratelimit_remaining_requests="14370",
        x_ratelimit_reset_requests="2m59.56s",
    )
    assert said.rates[0].window == 86400.0


def test_anthropic_tells_the_time() -> None:
    said = told(
        anthropic_ratelimit_input_tokens_limit="10000",
        anthropic_ratelimit_input_tokens_remaining="5000",
        anthropic_ratelimit_input_tokens_reset="2026-09-21T14:13:50Z",
        retry_after="12",
    )
    assert said.retry_after == 12
    assert said.rates[0].resource == "input_tokens" and said.rates[0].reset == 30.0 and said.rates[0].window == 60.0


def test_a_window_that_is_named_is_believed() -> None:
    said = told(x_ratelimit_limit_requests_day="1000", x_ratelimit_remaining_requests_day="3",
                x_ratelimit_reset_requests_day="33011.38")  # fmt: skip
    assert said.rates[0].window == 86400.0 and said.rates[0].reset == 33011.38
    said = told(x_ratelimit_limit_req_minute="60", x_ratelimit_remaining_req_minute="59")
    assert (said.rates[0].resource, said.rates[0].limit, said.rates[0].window) == ("requests", 60, 60.0)


def test_an_epoch_is_a_moment_in_seconds_or_milliseconds() -> None:
    for reset in (f"{NOW + 9:.0f}", f"{(NOW + 9) * 1000:.0f}"):
        (rate,) = told(x_ratelimit_limit="20", x_ratelimit_remaining="0", x_ratelimit_reset=reset).rates
        assert rate.reset == pytest.approx(9) and not rate.refills


def test_milliseconds_go_before_seconds_and_dates_are_read() -> None:
    assert told(retry_after_ms="350", retry_after="1").retry_after == pytest.approx(0.35)
    assert told(retry_after="1", retry_after_ms="350").retry_after == pytest.approx(0.35)
    assert told(x_ms_retry_after_ms="40").retry_after == 0.04
    assert told(retry_after="Mon, 21 Sep 2026 14:13:30 GMT").retry_after == 10
    assert told(retry_after="Mon, 21 Sep 2020 14:13:30 GMT").retry_after == 0


def test_nonsense_is_as_good_as_nothing() -> None:
    assert told(content_type="text/plain") is NOTHING
    assert told(retry_after="later").retry_after is None
    assert told(retry_after="99999999999").retry_after is None
    assert told(retry_after_ms="3000000000").retry_after is None
    assert told(x_ratelimit_limit_requests="many").rates[0].limit is None


_NAMES = [
    b"x-ratelimit-limit-requests", b"x-ratelimit-reset-tokens", b"anthropic-ratelimit-tokens-reset", b"retry-after",
    b"retry-after-ms", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset", b"ratelimit-reset", b"x-ratelimit-limit",
]  # fmt: skip
_VALUES = st.one_of(st.binary(max_size=20), st.from_regex(r"-?[0-9.e]{1,30}[smhd]?", fullmatch=True).map(str.encode))


@given(st.dictionaries(st.sampled_from(_NAMES), _VALUES))
def test_nothing_a_provider_says_can_break_it(headers: dict[bytes, bytes]) -> None:
    said = read(list(headers.items()), NOW)
    assert said.retry_after is None or 0 <= said.retry_after <= 86400 * 31
    assert all(rate.reset is None or 0 <= rate.reset <= 86400 * 31 for rate in said.rates)


def test_gemini_says_it_in_the_body() -> None:
    body = b"""{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [
      {"@type": "type.googleapis.com/google.rpc.Help", "links": []},
      {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [
        {"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "quotaValue": "15"},
        {"quotaId": "GenerateContentPaidTierInputTokensPerModelPerMinute", "quotaValue": "4000000"}]},
      {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "45.837906927s"}]}}"""
    said = read_gemini(body)
    assert said.retry_after == pytest.approx(45.8379, abs=1e-3)
    assert [(rate.resource, rate.limit, rate.window) for rate in said.rates] == [
        ("requests", 15, 60.0),
        ("input_tokens", 4000000, 60.0),
    ]
    for other in (b"", b"<html>", b"[]", b'{"error": "no"}', b"\xff"):
        assert read_gemini(other) is NOTHING
