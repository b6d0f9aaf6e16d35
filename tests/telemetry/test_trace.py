"""What a request is part of, and whether it is recorded."""

import pytest

from dragoman.canon import Usage
from dragoman.telemetry.trace import Attempt, Parent, Trace, parent_of, sampler

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def header(text: str, state: str = "") -> dict[bytes, bytes]:
    return {b"traceparent": text.encode(), b"tracestate": state.encode()}


def test_a_clients_span_is_the_parent() -> None:
    assert parent_of(header(f"00-{TRACE}-{SPAN}-01", "a=1,b=2")) == Parent(TRACE, SPAN, True, b"a=1,b=2")
    assert parent_of(header(f"00-{TRACE}-{SPAN}-02")) == Parent(TRACE, SPAN, False)


def test_a_later_version_may_say_more() -> None:
    assert parent_of(header(f"01-{TRACE}-{SPAN}-01-more")) == Parent(TRACE, SPAN, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\r\nx: y",
    ],
)
def test_what_is_not_valid_is_as_if_it_were_not_there(text: str) -> None:
    assert parent_of(header(text)) is None


def test_more_state_than_one_has_to_pass_on_is_dropped() -> None:
    assert parent_of(header(f"00-{TRACE}-{SPAN}-01", "a=" + "1" * 511)) == Parent(TRACE, SPAN, True)


@pytest.mark.parametrize(
    ("name", "argument", "alone", "with_yes", "with_no"),
    [
        ("always_on", "", True, True, True),
        ("always_off", "", False, False, False),
        ("parentbased_always_on", "", True, True, False),
        ("parentbased_always_off", "", False, True, False),
        ("traceidratio", "0", False, False, False),
        ("traceidratio", "1", True, True, True),
        ("parentbased_traceidratio", "0", False, True, False),
        ("parentbased_traceidratio", "", True, True, False),
    ],
)
def test_the_sampler_heeds_its_parent_or_not(
    name: str, argument: str, alone: bool, with_yes: bool, with_no: bool
) -> None:
    sampled = sampler(name, argument)
    parents = [None, Parent(TRACE, SPAN, True), Parent(TRACE, SPAN, False)]
    assert [sampled(parent, TRACE) for parent in parents] == [alone, with_yes, with_no]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_share_takes_the_traces_that_the_sdks_own_sampler_takes(share: float) -> None:
    from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

    ours, theirs = sampler("traceidratio", str(share)), TraceIdRatioBased(share)
    for number in range(0, 2**128, 2**120 + 0x1234567890ABCDEF):
        trace = f"{number:032x}"
        assert ours(None, trace) == (theirs.should_sample(None, number, "").decision is Decision.RECORD_AND_SAMPLE)


@pytest.mark.parametrize(("name", "argument"), [("jaeger_remote", ""), ("traceidratio", "2"), ("traceidratio", "x")])
def test_a_sampler_that_is_not_known_is_an_error(name: str, argument: str) -> None:
    with pytest.raises(ValueError, match=r"expected|could not"):
        sampler(name, argument)


def made(**more: object) -> Trace:
    return Trace(id=TRACE, span=SPAN, sampled=True, op="generate", **more)  # type: ignore[arg-type]


def attempt(account: str, started: float = 0.0) -> Attempt:
    return Attempt("openai/x", account, "host", 443, started)


def test_every_attempt_is_told_of_a_span_of_its_own() -> None:
    trace = made(state="a=1")
    first, second = dict(trace.begin(attempt("a"))), dict(trace.begin(attempt("b")))
    assert first[b"traceparent"] == f"00-{TRACE}-{trace.child(1)}-01".encode()
    assert second[b"traceparent"] == f"00-{TRACE}-{trace.child(2)}-01".encode()
    assert len({trace.span, trace.child(1), trace.child(2), trace.turn(1).span, trace.turn(2).span}) == 5
    assert first[b"tracestate"] == b"a=1"


def test_a_span_id_has_its_sixteen_digits_also_at_the_end_of_the_numbers() -> None:
    trace = Trace(id=TRACE, span="f" * 16, sampled=False, op="generate")
    assert [trace.child(2), len(trace.child(2))] == ["0000000000000001", 16]


def test_nobody_is_told_where_it_is_not_to_be_passed_on() -> None:
    trace = made(passed=False)
    assert trace.begin(attempt("a")) == []
    assert len(trace.attempts) == 1


def test_the_end_of_an_attempt_is_told_of_the_one_under_way_there() -> None:
    trace = made()
    for account in ("a", "b", "a"):
        trace.begin(attempt(account))
        trace.end("openai/x", "a", "overloaded", len(trace.attempts))
    trace.end("openai/x", "nobody", "overloaded", 9.0)
    assert [(a.account, a.ended, a.failure) for a in trace.attempts] == [
        ("a", 1, "overloaded"),
        ("b", None, None),
        ("a", 3, "overloaded"),
    ]


def test_what_an_attempt_took_that_was_not_the_last_is_its_own() -> None:
    trace = made()
    trace.begin(attempt("a"))
    trace.took("openai/x", "a", Usage(input=3, output=4), None, 5.0)
    trace.begin(attempt("b"))
    trace.took("openai/x", "b", Usage(input=7), "late", 6.0)
    assert [(a.input, a.output, a.ended) for a in trace.attempts] == [(3, 4, None), (7, 0, 6.0)]
