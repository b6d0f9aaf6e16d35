"""Several workers' views of one account, merged into one; where a limit comes from."""

from hypothesis import given
from hypothesis import strategies as st

from dragoman.accounts.capacity import AccountSpec
from dragoman.accounts.desk import Candidate, Desk
from dragoman.accounts.lease import Lease, Outcome, Want
from dragoman.accounts.limits import Limits
from dragoman.accounts.ratelimits import Rate
from dragoman.accounts.view import AccountView, LimitView, RestView, SeatView, merged, view, waiting

T0 = 1_800_000_000.0
rests = st.none() | st.builds(
    RestView, st.just("resting"), st.sampled_from(["rate_limited", "overloaded"]), st.floats(0, 60),
    st.floats(T0, T0 + 60), st.booleans(),
)  # fmt: skip
counts = st.integers(0, 1000)
limits = st.dictionaries(
    st.sampled_from(["in_flight", "requests", "tokens"]),
    st.builds(LimitView, counts, st.none() | st.integers(1, 99), st.sampled_from(["declared", "told", "learned"])),
)
seats = st.builds(
    SeatView, model=st.sampled_from("xyz"), in_flight=counts, limits=limits,
    left=st.dictionaries(st.sampled_from(["requests", "tokens"]), counts), success=st.floats(0, 1),
    ttft=st.none() | st.floats(0, 9), speed=st.none() | st.floats(0, 99), rest=rests,
)  # fmt: skip
views = st.lists(
    st.builds(
        AccountView, name=st.just("a"), serving=st.booleans(), in_flight=counts, waiting=counts, limits=limits,
        served=counts, failures=st.dictionaries(st.sampled_from(["rate_limited", "unreachable"]), counts),
        last_error=st.text(), last_error_kind=st.text(), last_error_at=st.floats(0, T0), rest=rests, host_rest=rests,
        spent_today=st.none() | counts, spent_this_month=st.none() | counts,
        seats=st.lists(seats, unique_by=lambda seat: seat.model),
    ),
    min_size=1, max_size=4,
)  # fmt: skip


@given(views)
def test_counts_add_up_the_longest_rest_and_the_last_error_are_shown(each: list[AccountView]) -> None:
    whole = merged(each)
    for name in ("in_flight", "waiting", "served", "failed"):
        assert getattr(whole, name) == sum(getattr(view, name) for view in each)
    found = [view.rest.until for view in each if view.rest is not None]
    assert (whole.rest.until if whole.rest else None) == max(found, default=None)
    assert whole.last_error_at == max(view.last_error_at for view in each)
    assert {seat.model for seat in whole.seats} == {seat.model for view in each for seat in view.seats}
    assert sum(seat.in_flight for seat in whole.seats) == sum(s.in_flight for view in each for s in view.seats)
    for name, limit in whole.limits.items():
        assert limit.used == sum(view.limits[name].used for view in each if name in view.limits)


@given(views)
def test_one_view_alone_is_what_it_is(each: list[AccountView]) -> None:
    assert merged(each[:1]) == each[0]


def desk_of(limits: Limits, models: dict[str, Limits]) -> Desk:
    desk = Desk(lambda: 0.5)
    desk.declare(AccountSpec(name="a", host="h", limits=limits, models=models), T0)
    return desk


def call(desk: Desk, outcome: Outcome, now: float = T0) -> None:
    lease = desk.acquire(Want(roster=desk.roster([[Candidate("a", "x")]]), deadline=now), now)
    assert isinstance(lease, Lease)
    desk.settle(lease, outcome, now)


def test_a_limit_says_whether_it_was_declared_told_or_learned() -> None:
    desk = desk_of(Limits(max_in_flight=9, rpm=100), {"x": Limits(tpm=5000)})
    call(desk, Outcome(rates=(Rate(resource="requests", limit=60, window=60.0),)))
    for _ in range(3):
        call(desk, Outcome())
    desk.accounts["a"].seat("x").cooldown.until = 0.0
    call(desk, Outcome(kind="rate_limited", limited="tokens"))
    seen = view(desk.accounts["a"], T0)
    assert seen.limits == {"in_flight": LimitView(0, 9, "declared"), "requests": LimitView(5, 100, "declared")}
    (seat,) = seen.seats
    assert seat.limits["in_flight"] == LimitView(0)
    assert seat.limits["requests"] == LimitView(5, 60, "told")
    assert (seat.limits["tokens"].limit, seat.limits["tokens"].source) == (5000, "declared")


def test_a_refusal_teaches_a_limit() -> None:
    desk = desk_of(Limits(), {})
    roster = desk.roster([[Candidate("a", "x")]])
    leases = [desk.acquire(Want(roster=roster, deadline=T0), T0) for _ in range(8)]
    for lease in leases:
        assert isinstance(lease, Lease)
    desk.settle(leases[7], Outcome(kind="rate_limited", limited="concurrency"), T0)  # type: ignore[arg-type]
    (seat,) = view(desk.accounts["a"], T0).seats
    assert seat.limits["in_flight"].source == "learned"
    assert 1 <= (seat.limits["in_flight"].limit or 0) < 8


def test_those_who_wait_are_counted_at_every_account_they_wait_for() -> None:
    desk = Desk(lambda: 0.5)
    for name in ("a", "b", "c"):
        desk.declare(AccountSpec(name=name, host=name, limits=Limits(max_in_flight=1)), T0)
    both = desk.roster([[Candidate("a", "x"), Candidate("b", "x")]])
    for _ in range(5):
        desk.acquire(Want(roster=both, deadline=T0 + 9), T0)
    desk.acquire(Want(roster=both, deadline=T0 + 9, only=frozenset({"b"})), T0)
    assert waiting(desk.queue) == {"a": 3, "b": 4}
