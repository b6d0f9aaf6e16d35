"""The desk: who gets a lease, who waits, who is refused and when to come back, one situation at a time."""

from collections import Counter
from random import Random

import pytest
from msgspec import structs

from dragoman.accounts.capacity import AccountSpec
from dragoman.accounts.desk import Candidate, Desk
from dragoman.accounts.lease import Lease, Outcome, Refused, Want
from dragoman.accounts.limits import Limits
from dragoman.accounts.queue import Phase, Ticket
from dragoman.accounts.ratelimits import Rate
from dragoman.accounts.retries import RetryBudget
from dragoman.accounts.roster import Roster
from dragoman.accounts.view import LimitView, view

T0 = 1_790_000_000.0
OK = Outcome(seconds=1.0, ttft=0.3)


def desk_of(*limits: Limits, weights: tuple[float, ...] = (), hosts: tuple[str, ...] = (), **options) -> Desk:
    desk = Desk(Random(1).random, **options)
    for i, limit in enumerate(limits):
        weight = weights[i] if weights else 1.0
        desk.declare(AccountSpec(name=f"a{i}", host=hosts[i] if hosts else f"h{i}", limits=limit, weight=weight), T0)
    return desk


def roster_of(desk: Desk) -> Roster:
    return desk.roster([[Candidate(name, "m") for name in desk.accounts]])


def want(roster: Roster, now: float = T0, patience: float = 30.0, **fields) -> Want:
    return Want(roster=roster, deadline=now + patience, **fields)


def leased(answer: Lease | Ticket | Refused) -> Lease:
    assert isinstance(answer, Lease), answer
    return answer


def waits(answer: Lease | Ticket | Refused) -> Ticket:
    assert isinstance(answer, Ticket), answer
    return answer


def refused(answer: Lease | Ticket | Refused) -> Refused:
    assert isinstance(answer, Refused), answer
    return answer


def test_who_finds_all_busy_waits_and_is_woken_by_the_next_that_ends() -> None:
    desk = desk_of(Limits(max_in_flight=1))
    roster = roster_of(desk)
    first = leased(desk.acquire(want(roster), T0))
    second = waits(desk.acquire(want(roster), T0 + 1))
    assert desk.next_event() == T0 + 30
    desk.settle(first, OK, T0 + 2)
    assert desk.answered() == [second] and desk.answered() == []
    assert leased(second.answer).account == "a0" and desk.next_event() is None


def test_one_lease_is_settled_once() -> None:
    desk = desk_of(Limits(max_in_flight=2))
    roster = roster_of(desk)
    lease = leased(desk.acquire(want(roster), T0))
    for _ in range(3):
        desk.settle(lease, OK, T0)
    assert desk.accounts["a0"].in_flight == 0 and desk.accounts["a0"].served == 1


def test_above_a_rate_one_waits_until_the_window_has_room() -> None:
    desk = desk_of(Limits(rpm=2))
    roster = roster_of(desk)
    for _ in range(2):
        desk.settle(leased(desk.acquire(want(roster), T0)), OK, T0)
    ticket = waits(desk.acquire(want(roster, patience=90), T0 + 1))
    event = desk.next_event()
    assert event is not None and T0 + 60 <= event <= T0 + 60.25
    desk.tick(event)
    assert desk.answered() == [ticket] and leased(ticket.answer)


def test_a_deadline_that_no_window_meets_is_refused_at_once_with_the_true_time() -> None:
    desk = desk_of(Limits(rpm=1))
    roster = roster_of(desk)
    leased(desk.acquire(want(roster), T0))
    answer = refused(desk.acquire(want(roster, T0 + 10), T0 + 10))
    assert answer.why == "cooling" and answer.retry_after == pytest.approx(50, abs=0.3)
    assert desk.queue.waiting == 0


def test_when_every_account_rests_for_too_long_all_who_wait_are_told_at_once() -> None:
    desk = desk_of(Limits(max_in_flight=1))
    roster = roster_of(desk)
    lease = leased(desk.acquire(want(roster), T0))
    tickets = [waits(desk.acquire(want(roster, patience=p), T0)) for p in (10.0, 100.0)]
    desk.settle(lease, Outcome(kind="rate_limited", retry_after=50.0), T0 + 1)
    assert desk.answered() == tickets[:1]
    answer = refused(tickets[0].answer)
    assert answer.why == "cooling" and 50 <= (answer.retry_after or 0) <= 55
    assert [rest.kind for rest in answer.rests] == ["rate_limited"]
    event = desk.next_event()
    assert event is not None and T0 + 51 <= event <= T0 + 56
    desk.tick(event)
    assert desk.answered() == tickets[1:]


def test_tenants_are_served_in_turn_however_many_one_sends() -> None:
    desk = desk_of(Limits(max_in_flight=1))
    roster = roster_of(desk)
    lease = leased(desk.acquire(want(roster), T0))
    for _ in range(20):
        waits(desk.acquire(want(roster, patience=1000, tenant="greedy"), T0))
    for _ in range(3):
        waits(desk.acquire(want(roster, patience=1000, tenant="modest"), T0))
    served = []
    for i in range(6):
        desk.settle(lease, OK, T0 + i)
        (ticket,) = desk.answered()
        served.append(ticket.want.tenant)
        lease = leased(ticket.answer)
    assert Counter(served) == {"greedy": 3, "modest": 3}


def test_within_a_tenant_the_first_is_first_and_priority_goes_before_all() -> None:
    desk = desk_of(Limits(max_in_flight=1))
    roster = roster_of(desk)
    lease = leased(desk.acquire(want(roster), T0))
    low, first, second, urgent = (waits(desk.acquire(want(roster, priority=p), T0)) for p in (2, 1, 1, 0))
    order = []
    for _ in range(4):
        desk.settle(lease, OK, T0)
        (ticket,) = desk.answered()
        order.append(ticket)
        lease = leased(ticket.answer)
    assert order == [urgent, first, second, low]


def test_small_ones_do_not_eat_up_what_a_large_one_waits_for() -> None:
    desk = desk_of(Limits(tpm=1000))
    roster = roster_of(desk)
    for i in range(9):
        leased(desk.acquire(want(roster, input_tokens=100), T0 + i))
    large = waits(desk.acquire(want(roster, input_tokens=900, patience=200), T0 + 10))
    small = waits(desk.acquire(want(roster, input_tokens=100, patience=200), T0 + 10))
    while large.phase is Phase.WAITING:
        event = desk.next_event()
        assert event is not None and event < T0 + 70
        desk.tick(event)
        assert small.phase is Phase.WAITING or large.phase is not Phase.WAITING
    assert leased(large.answer)


def test_a_large_one_that_waits_does_not_hold_up_other_seats() -> None:
    desk = desk_of(Limits(tpm=1000), Limits(tpm=1000))
    roster = roster_of(desk)
    for i in range(2):
        for _ in range(5):
            leased(desk.acquire(want(roster, input_tokens=100, only=frozenset({f"a{i}"})), T0 + i))
    waits(desk.acquire(want(roster, input_tokens=900, patience=200), T0 + 2))
    assert leased(desk.acquire(want(roster, input_tokens=100), T0 + 3)).account == "a1"


def test_whoever_comes_does_not_overtake_whoever_waits() -> None:
    desk = desk_of(Limits(rpm=1))
    roster = roster_of(desk)
    desk.settle(leased(desk.acquire(want(roster), T0)), OK, T0)
    waiting = waits(desk.acquire(want(roster, patience=100), T0 + 1))
    late = desk.acquire(want(roster, T0 + 61, patience=100), T0 + 61)  # before the timer had a chance
    assert isinstance(late, Ticket) and late.phase is Phase.WAITING
    assert desk.answered() == [waiting] and leased(waiting.answer)


def test_who_leaves_before_being_woken_gives_the_lease_to_the_next() -> None:
    desk = desk_of(Limits(max_in_flight=1))
    roster = roster_of(desk)
    lease = leased(desk.acquire(want(roster), T0))
    first, second = (waits(desk.acquire(want(roster), T0)) for _ in range(2))
    desk.settle(lease, OK, T0)
    assert desk.answered() == [first]
    desk.cancel(first, T0)
    assert desk.answered() == [second] and leased(second.answer)


def test_a_dead_holders_lease_is_taken_back_and_a_live_one_kept() -> None:
    desk = desk_of(Limits(max_in_flight=2), lease_seconds=100.0)
    roster = roster_of(desk)
    dead, alive = (leased(desk.acquire(want(roster), T0)) for _ in range(2))
    desk.renew(alive, T0 + 50)
    ticket = waits(desk.acquire(want(roster, T0 + 60, patience=100), T0 + 60))
    assert desk.next_event() == T0 + 100
    desk.tick(T0 + 100)
    assert desk.answered() == [ticket] and desk.accounts["a0"].in_flight == 2
    desk.settle(dead, OK, T0 + 101)
    assert desk.accounts["a0"].in_flight == 2


def test_a_full_queue_refuses_with_how_long_it_takes() -> None:
    desk = desk_of(Limits(max_in_flight=1), max_waiting=2)
    roster = roster_of(desk)
    desk.settle(leased(desk.acquire(want(roster), T0)), Outcome(seconds=4.0, ttft=0.1), T0)
    leased(desk.acquire(want(roster), T0))
    for _ in range(2):
        waits(desk.acquire(want(roster), T0))
    answer = refused(desk.acquire(want(roster), T0))
    assert answer.why == "full" and answer.retry_after == pytest.approx(12)


def test_who_would_wait_far_beyond_its_deadline_is_refused_at_once() -> None:
    desk = desk_of(Limits(max_in_flight=1))
    roster = roster_of(desk)
    desk.settle(leased(desk.acquire(want(roster), T0)), Outcome(seconds=10.0, ttft=0.1), T0)
    leased(desk.acquire(want(roster), T0))
    for _ in range(5):
        waits(desk.acquire(want(roster, patience=100), T0))
    assert refused(desk.acquire(want(roster, patience=5), T0)).why == "hopeless"


def test_shares_follow_weights() -> None:
    desk = desk_of(Limits(), Limits(), weights=(3, 1))
    roster = roster_of(desk)
    idle = Counter()
    for _ in range(4000):
        lease = leased(desk.acquire(want(roster), T0))
        idle[lease.account] += 1
        desk.settle(lease, OK, T0)
    busy = Counter(leased(desk.acquire(want(roster), T0)).account for _ in range(400))
    assert 0.71 < idle["a0"] / 4000 < 0.79
    assert 0.70 < busy["a0"] / 400 < 0.80


def test_the_slow_and_the_failing_get_less() -> None:
    desk = desk_of(Limits(), Limits(), Limits())
    roster = roster_of(desk)
    got: Counter[str] = Counter()
    for i in range(900):
        lease = leased(desk.acquire(want(roster, output_tokens=100), T0 + i))
        got[lease.account] += 1
        slow = 5.0 if lease.account == "a1" else 0.5
        desk.began(lease, slow, T0 + i)
        desk.settle(lease, Outcome(ttft=slow, seconds=slow + 1, tokens_out=100), T0 + i)
    assert got["a1"] < 0.6 * got["a0"] and got["a1"] < 0.6 * got["a2"]
    assert got["a1"] > 20  # but it is not forgotten


def test_the_first_tier_is_used_while_it_can_be() -> None:
    desk = desk_of(Limits(max_in_flight=1), Limits())
    roster = desk.roster([[Candidate("a0", "m")], [Candidate("a1", "m")]])
    assert [leased(desk.acquire(want(roster), T0)).account for _ in range(3)] == ["a0", "a1", "a1"]


def test_a_well_second_tier_goes_before_an_ailing_first() -> None:
    desk = desk_of(Limits(), Limits())
    roster = desk.roster([[Candidate("a0", "m")], [Candidate("a1", "m")]])
    desk.settle(leased(desk.acquire(want(roster), T0)), Outcome(kind="upstream_error"), T0)
    assert leased(desk.acquire(want(roster), T0)).account == "a1"
    desk.serve("a1", False, T0)
    assert leased(desk.acquire(want(roster), T0)).account == "a0"  # the last resort


def test_a_conversation_stays_at_home_until_home_is_too_full() -> None:
    desk = desk_of(*[Limits()] * 5)
    roster = roster_of(desk)
    homes = {}
    for key in "abcdefghij":
        leases = [leased(desk.acquire(want(roster, affinity=key), T0)) for _ in range(3)]
        (homes[key],) = {lease.account for lease in leases}
        for lease in leases:
            desk.settle(lease, OK, T0)
    assert len(set(homes.values())) > 2
    spread = Counter(leased(desk.acquire(want(roster, affinity="a"), T0)).account for _ in range(100))
    assert spread[homes["a"]] == max(spread.values()) and max(spread.values()) <= 0.27 * 100


def test_affinity_moves_few_conversations_when_an_account_goes() -> None:
    desk = desk_of(*[Limits()] * 5)
    roster, fewer = roster_of(desk), desk.roster([[Candidate(f"a{i}", "m") for i in range(4)]])

    def home(roster: Roster, key: str) -> str:
        lease = leased(desk.acquire(want(roster, affinity=key), T0))
        desk.settle(lease, OK, T0)
        return lease.account

    keys = [f"session {i}" for i in range(200)]
    assert all(home(fewer, key) == home(roster, key) for key in keys if home(roster, key) != "a4")


def test_what_only_some_accounts_can_read_goes_nowhere_else() -> None:
    desk = desk_of(Limits(max_in_flight=1), Limits())
    roster = roster_of(desk)
    bound = frozenset({"a0"})
    lease = leased(desk.acquire(want(roster, only=bound), T0))
    ticket = waits(desk.acquire(want(roster, only=bound), T0))
    assert leased(desk.acquire(want(roster), T0)).account == "a1"
    desk.settle(lease, OK, T0)
    assert desk.answered() == [ticket]
    assert refused(desk.acquire(want(roster, only=frozenset({"gone"})), T0)).why == "no_seat"


def test_what_was_tried_is_not_tried_again_and_a_pin_is_tried_first() -> None:
    desk = desk_of(Limits(), Limits(), Limits())
    roster = roster_of(desk)
    tried = frozenset({("a0", "m"), ("a2", "m")})
    assert {leased(desk.acquire(want(roster, avoid=tried), T0)).account for _ in range(9)} == {"a1"}
    assert {leased(desk.acquire(want(roster, prefer="a2"), T0)).account for _ in range(9)} == {"a2"}


def test_a_bad_key_rests_the_account_and_a_full_rate_only_the_model() -> None:
    desk = desk_of(Limits(), Limits())
    one, two = (desk.roster([[Candidate("a0", model), Candidate("a1", model)]]) for model in ("m", "n"))
    desk.settle(leased(desk.acquire(want(one, prefer="a0"), T0)), Outcome(kind="rate_limited", retry_after=9), T0)
    assert {leased(desk.acquire(want(one), T0)).account for _ in range(9)} == {"a1"}
    assert {leased(desk.acquire(want(two), T0)).account for _ in range(20)} == {"a0", "a1"}
    desk.settle(leased(desk.acquire(want(two, prefer="a0"), T0)), Outcome(kind="unauthorized", message="no"), T0)
    assert {leased(desk.acquire(want(two), T0)).account for _ in range(9)} == {"a1"}
    assert desk.accounts["a0"].last_error == "no"


def test_one_probe_goes_to_what_was_at_rest_and_its_first_token_opens_it() -> None:
    desk = desk_of(Limits())
    roster = roster_of(desk)
    desk.settle(leased(desk.acquire(want(roster), T0)), Outcome(kind="overloaded"), T0)
    tickets = [waits(desk.acquire(want(roster, T0 + 1), T0 + 1)) for _ in range(3)]
    event = desk.next_event()
    assert event is not None
    desk.tick(event)
    assert desk.answered() == tickets[:1]
    desk.began(leased(tickets[0].answer), 0.2, event + 0.2)
    assert desk.answered() == tickets[1:]


def test_a_probe_whose_client_leaves_lets_the_next_one_probe() -> None:
    desk = desk_of(Limits())
    roster = roster_of(desk)
    desk.settle(leased(desk.acquire(want(roster), T0)), Outcome(kind="overloaded"), T0)
    first, second = (waits(desk.acquire(want(roster, T0 + 1), T0 + 1)) for _ in range(2))
    desk.tick(desk.next_event() or 0)
    assert desk.answered() == [first]
    desk.settle(leased(first.answer), Outcome(dropped=True), T0 + 5)
    assert desk.answered() == [second]


def test_a_host_that_fails_for_one_account_is_spared_by_the_others() -> None:
    desk = desk_of(Limits(), Limits(), Limits(), hosts=("h", "h", "other"))
    roster = roster_of(desk)
    leases = [leased(desk.acquire(want(roster, prefer="a0"), T0)) for _ in range(5)]
    for lease in leases:
        desk.settle(lease, Outcome(kind="unreachable"), T0 + 1)
    assert {leased(desk.acquire(want(roster), T0 + 1.1)).account for _ in range(9)} == {"a2"}


def test_who_waits_for_an_account_of_a_host_whose_probe_failed_is_served_when_the_host_is_due_again() -> None:
    desk = desk_of(Limits(), Limits(), hosts=("h", "h"))
    roster = roster_of(desk)
    for lease in [leased(desk.acquire(want(roster, prefer="a0"), T0)) for _ in range(5)]:
        desk.settle(lease, Outcome(kind="upstream_error"), T0)
    host = desk.accounts["a0"].host.cooldown
    probe = leased(desk.acquire(want(roster, host.until, prefer="a0"), host.until))
    ticket = waits(desk.acquire(want(roster, host.until, only=frozenset({"a1"})), host.until))
    desk.settle(probe, Outcome(kind="upstream_error"), host.until + 1)
    assert desk.next_event() == host.until
    desk.tick(host.until)
    assert leased(ticket.answer).account == "a1"


def test_a_limit_that_headers_tell_is_kept() -> None:
    desk = desk_of(Limits())
    roster = roster_of(desk)
    lease = leased(desk.acquire(want(roster), T0))
    rate = Rate(resource="requests", limit=3, remaining=2, reset=20.0, window=60.0, refills=True)
    desk.settle(lease, Outcome(rates=(rate,)), T0)
    for _ in range(2):
        leased(desk.acquire(want(roster), T0))
    assert isinstance(desk.acquire(want(roster, patience=100), T0), Ticket)


def test_what_others_use_of_the_same_quota_is_seen_in_what_is_left() -> None:
    desk = desk_of(Limits(rpm=1000))
    roster = roster_of(desk)
    lease = leased(desk.acquire(want(roster), T0))
    rate = Rate(resource="requests", limit=1000, remaining=0, reset=30.0, refills=False)
    desk.settle(lease, Outcome(rates=(rate,)), T0)
    answer = refused(desk.acquire(want(roster, patience=10), T0))
    assert answer.why == "cooling" and answer.retry_after == pytest.approx(30)


def test_an_unknown_rate_is_found_and_then_kept() -> None:
    desk = desk_of(Limits())
    roster = roster_of(desk)
    refusals = [0, 0]
    taken: list[float] = []
    now = T0
    for i in range(9000):
        now += 0.1
        answer = desk.acquire(want(roster, now, patience=0, patient=False), now)
        if not isinstance(answer, Lease):
            continue
        if len([at for at in taken[-100:] if at > now - 60]) < 60:
            taken.append(now)
            desk.settle(answer, OK, now)
        else:
            refusals[i // 4500] += 1
            desk.settle(answer, Outcome(kind="rate_limited"), now)
    assert refusals[1] <= 8
    assert len([at for at in taken if at > T0 + 450]) >= 0.8 * 60 * 7.5


def test_money_of_a_day_is_never_overspent() -> None:
    desk = desk_of(Limits(daily=1000))
    roster = desk.roster([[Candidate("a0", "m", price=(1, 2))]])
    spent, leases = 0, []
    for _ in range(20):
        answer = desk.acquire(want(roster, input_tokens=50, output_tokens=50), T0)
        if isinstance(answer, Lease):
            leases.append(answer)
    assert len(leases) == 6  # of 150 each
    for lease in leases:
        spent += 100
        desk.settle(lease, Outcome(cost=100, tokens_in=50, tokens_out=25), T0)
    while isinstance(answer := desk.acquire(want(roster, input_tokens=50, output_tokens=50), T0), Lease):
        spent += 150
        desk.settle(answer, Outcome(cost=150), T0)
    assert 850 < spent <= 1000
    assert refused(answer).why == "cooling" and (refused(answer).retry_after or 0) > 3600


def test_retries_at_ailing_accounts_have_a_share_of_the_traffic_and_no_more() -> None:
    desk = desk_of(*[Limits()] * 3, retries=RetryBudget(share=0.1, most=5))
    roster = roster_of(desk)
    calls = 0
    for i in range(500):
        now = T0 + i
        for attempt in (1, 2, 3):
            answer = desk.acquire(want(roster, now, patience=0, attempt=attempt), now)
            if not isinstance(answer, Lease):
                break
            calls += 1
            desk.settle(answer, Outcome(kind="upstream_error"), now)
    assert calls <= 500 * 1.1 + 5 + 20


def test_a_retry_at_an_account_that_is_well_costs_nothing() -> None:
    desk = desk_of(Limits(), Limits(), retries=RetryBudget(share=0.0, most=0.0))
    roster = roster_of(desk)
    for i in range(50):
        assert leased(desk.acquire(want(roster, T0 + i, attempt=2), T0 + i))


def test_a_hedge_waits_for_nobody_and_overtakes_nobody() -> None:
    desk = desk_of(Limits(max_in_flight=1), Limits(max_in_flight=1))
    roster = roster_of(desk)
    leased(desk.acquire(want(roster, prefer="a0"), T0))
    hedge = want(roster, patient=False, avoid=frozenset({("a0", "m")}))
    assert leased(desk.acquire(hedge, T0)).account == "a1"
    assert refused(desk.acquire(hedge, T0)).why == "busy"


def test_a_hedge_is_due_at_the_p95_of_the_seats_own_first_tokens() -> None:
    desk = desk_of(Limits())
    roster, rng = roster_of(desk), Random(3)
    assert desk.hedge_after(leased(desk.acquire(want(roster), T0))) is None
    for _ in range(3000):
        lease = leased(desk.acquire(want(roster), T0))
        desk.began(lease, rng.uniform(0.2, 1.2), T0)
        desk.settle(lease, OK, T0)
    assert 1.0 < (desk.hedge_after(leased(desk.acquire(want(roster), T0))) or 0) < 1.3


def test_a_disabled_account_takes_nothing_new_and_who_waited_for_it_alone_is_told() -> None:
    desk = desk_of(Limits(max_in_flight=1))
    roster = roster_of(desk)
    lease = leased(desk.acquire(want(roster), T0))
    ticket = waits(desk.acquire(want(roster), T0))
    desk.serve("a0", False, T0)
    assert desk.answered() == [ticket] and refused(ticket.answer).why == "no_seat"
    desk.settle(lease, OK, T0)
    assert refused(desk.acquire(want(roster), T0)).why == "no_seat"
    desk.serve("a0", True, T0)
    assert leased(desk.acquire(want(roster), T0))


def test_accounts_come_go_and_change_at_run_time() -> None:
    desk = desk_of(Limits(rpm=1))
    old = roster_of(desk)
    lease = leased(desk.acquire(want(old), T0))
    desk.declare(AccountSpec(name="a0", host="h0", limits=Limits(rpm=1)), T0)  # the same again: goes on as it was
    assert not isinstance(desk.acquire(want(old, patience=1), T0), Lease)
    desk.declare(AccountSpec(name="a0", host="h0", limits=Limits(rpm=9)), T0)
    assert leased(desk.acquire(want(roster_of(desk)), T0))
    desk.settle(lease, OK, T0)
    desk.remove("a0", T0)
    assert desk.accounts == {} and refused(desk.acquire(want(roster_of(desk)), T0)).why == "no_seat"


def test_another_declaration_keeps_what_is_under_way_used_and_resting() -> None:
    desk = desk_of(Limits(max_in_flight=3, rpm=10, daily=1000))
    roster = desk.roster([[Candidate("a0", "m", price=(1, 1))]])
    held = [leased(desk.acquire(want(roster), T0)) for _ in range(2)]
    spec = desk.accounts["a0"].spec
    desk.declare(structs.replace(spec, weight=5.0, limits=Limits(max_in_flight=2, rpm=10, tpm=99, daily=2000)), T0)
    assert desk.accounts["a0"].in_flight == 2
    waits(desk.acquire(want(roster, patience=9), T0))  # two are under way, and two may be
    desk.settle(held[0], Outcome(cost=7, seconds=1.0), T0)
    assert view(desk.accounts["a0"], T0).spent_today == 7
    assert desk.accounts["a0"].requests is not None and desk.accounts["a0"].requests.used == 3
    for lease in desk.answered():
        desk.settle(leased(lease.answer), Outcome(kind="unauthorized"), T0)
    desk.declare(structs.replace(spec, limits=Limits()), T0)
    assert refused(desk.acquire(want(roster), T0)).why == "cooling"
    desk.settle(held[1], OK, T0)
    assert desk.accounts["a0"].in_flight == 0


def test_a_model_s_other_declaration_keeps_what_was_learned_below_it() -> None:
    desk = desk_of(Limits())
    seat = desk.accounts["a0"].seat("m")
    seat.parallel.value = 5.0
    seat.learned()
    spec = desk.accounts["a0"].spec
    for declared, whole in ((8, 5), (6, 5), (None, 5), (3, 3)):
        desk.declare(structs.replace(spec, models={"m": Limits(max_in_flight=declared, rpm=7)}), T0)
        assert (seat.concurrency, seat.requests.limit) == (whole, 7)


def test_a_wider_limit_serves_those_who_wait_for_it() -> None:
    desk = desk_of(Limits(max_in_flight=1))
    roster = roster_of(desk)
    leased(desk.acquire(want(roster), T0))
    ticket = waits(desk.acquire(want(roster, patience=9), T0))
    desk.declare(structs.replace(desk.accounts["a0"].spec, limits=Limits(max_in_flight=2)), T0)
    assert desk.answered() == [ticket] and leased(ticket.answer)


def test_what_a_call_with_the_old_key_comes_to_begins_no_rest() -> None:
    desk = desk_of(Limits())
    roster = roster_of(desk)
    old = leased(desk.acquire(want(roster), T0))
    desk.wake("a0", T0 + 1)
    desk.settle(old, Outcome(kind="unauthorized"), T0 + 2)
    new = leased(desk.acquire(want(roster), T0 + 3))
    desk.settle(new, Outcome(kind="unauthorized"), T0 + 4)
    assert refused(desk.acquire(want(roster), T0 + 5)).why == "cooling"


def test_a_rest_can_be_ended_by_hand() -> None:
    desk = desk_of(Limits())
    roster = roster_of(desk)
    desk.settle(leased(desk.acquire(want(roster), T0)), Outcome(kind="unauthorized"), T0)
    ticket = waits(desk.acquire(want(roster, patience=1000), T0))
    desk.wake("a0", T0 + 1)
    assert desk.answered() == [ticket] and leased(ticket.answer)


def test_an_operator_sees_limits_load_health_and_why_it_rests() -> None:
    desk = desk_of(Limits(rpm=50, daily=1000))
    roster = desk.roster([[Candidate("a0", "m", price=(1, 1))]])
    desk.settle(leased(desk.acquire(want(roster), T0)), Outcome(cost=7, ttft=0.5, seconds=1.0), T0)
    leased(desk.acquire(want(roster), T0))
    lease = leased(desk.acquire(want(roster), T0))
    desk.settle(lease, Outcome(kind="rate_limited", retry_after=20.0, message="slow down"), T0)
    seen = view(desk.accounts["a0"], T0 + 1)
    assert (seen.in_flight, seen.served, seen.failed, seen.last_error) == (1, 1, 1, "slow down")
    assert (seen.spent_today, seen.rest, seen.host_rest) == (7, None, None)
    (seat,) = seen.seats
    assert (seat.model, seat.in_flight, seat.limits["requests"].used) == ("m", 1, 3)
    assert seen.limits["requests"] == LimitView(3, 50, "declared")
    assert seat.rest and (seat.rest.state, seat.rest.kind, seat.rest.soft) == ("resting", "rate_limited", False)
    assert 19 <= seat.rest.seconds <= 21


def test_a_burst_at_an_unknown_number_of_slots_finds_it_at_once_whatever_the_order_of_the_refusals() -> None:
    for order in (range(3, 25), reversed(range(3, 25))):
        desk = desk_of(Limits())
        leases = [leased(desk.acquire(want(roster_of(desk)), T0 + i / 1000)) for i in range(25)]
        for i in order:
            desk.settle(leases[i], Outcome(kind="rate_limited"), T0 + 0.1)
        for lease in leases[:3]:
            desk.settle(lease, OK, T0 + 1)
        seat = desk.accounts["a0"].seat("m")
        assert (seat.parallel.whole, seat.rate.value) == (3, float("inf"))


def test_a_retry_that_no_budget_pays_for_waits_for_one_that_is_well() -> None:
    desk = desk_of(Limits(), Limits(max_in_flight=1), retries=RetryBudget(share=0.0, most=0.0))
    roster = roster_of(desk)
    for i in range(2):
        lease = leased(desk.acquire(want(roster, T0 + i, only=frozenset({"a0"})), T0 + i))
        desk.settle(lease, Outcome(kind="upstream_error"), T0 + i)
    busy = leased(desk.acquire(want(roster, T0 + 5, only=frozenset({"a1"})), T0 + 5))
    ticket = waits(desk.acquire(want(roster, T0 + 5, attempt=2), T0 + 5))
    desk.settle(busy, OK, T0 + 6)
    assert leased(ticket.answer).account == "a1"


def test_what_a_retry_paid_for_ailing_accounts_is_given_back_where_it_gets_none() -> None:
    desk = desk_of(Limits(), Limits(), retries=RetryBudget(share=0.0, most=1.0))
    roster = roster_of(desk)
    for i in range(2):
        lease = leased(desk.acquire(want(roster, T0 + i, only=frozenset({"a0"})), T0 + i))
        desk.settle(lease, Outcome(kind="upstream_error"), T0 + i)
    for _ in range(5):
        assert leased(desk.acquire(want(roster, T0 + 2, attempt=2), T0 + 2)).account == "a1"
    assert desk.retries.spend() and not desk.retries.spend()
