"""Workers' sides of shared limits against a steward, message by message, in virtual time."""

import contextlib
from datetime import UTC, datetime
from random import Random

import pytest

from dragoman.access.limits import Limiter, Refused, Short
from dragoman.access.principal import Principal
from dragoman.access.visits import Visits
from dragoman.accounts import lease as given
from dragoman.accounts.capacity import AccountSpec
from dragoman.accounts.desk import Candidate, Desk
from dragoman.accounts.lease import Lease, Outcome, Want
from dragoman.accounts.limits import Limits
from dragoman.accounts.queue import Ticket
from dragoman.accounts.shares import Shares
from dragoman.accounts.steward import QUIET, TTL, Steward

T0 = datetime(2026, 11, 30, 23, 0, tzinfo=UTC).timestamp()
MIDNIGHT = T0 + 3600


class House:
    """Workers and a steward, whose messages take no time."""

    def __init__(self, count: int, limits: Limits) -> None:
        self.steward = Steward()
        self.steward.run = self.run = "1"
        self.limits = limits
        self.now = T0
        self.workers: list[Worker] = []
        for i in range(count):
            self.workers.append(Worker(self, f"w{i}"))

    def talk(self, rounds: int = 4) -> None:
        """All say what they have to say, until the answers have settled."""
        for _ in range(rounds):
            for worker in self.workers:
                worker.talk()


class Worker:
    def __init__(self, house: House, name: str) -> None:
        self.house = house
        self.desk = Desk(lambda: 0.5, shared=True)
        self.desk.declare(AccountSpec(name="a", host="h", limits=house.limits), house.now)
        self.roster = self.desk.roster([[Candidate("a", "m", price=(1, 0))]])
        self.limiter = Limiter(shared=True)
        self.visits = Visits(shared=True)
        self.shares = Shares(name, self.desk, self.limiter, self.visits, workers=2, rank=int(name[1:]))

    def talk(self) -> None:
        report = self.shares.report(self.house.now, self.house.run)
        if report is not None:
            reply = self.house.steward.report(report, self.house.now)
            self.shares.hear(reply, self.house.now)
            for worker in self.house.workers:
                if worker.shares.worker in reply.poke:
                    worker.shares.poked = True

    def ask(self, tokens: int = 1) -> Lease | Ticket | None:
        """None: the money is spent or held, as far as known."""
        want = Want(roster=self.roster, deadline=self.house.now + 600, input_tokens=tokens)
        answer = self.desk.acquire(want, self.house.now)
        if not isinstance(answer, Lease | Ticket):
            assert answer.why == "cooling" and answer.retry_after
            return None
        return answer

    def settle(self, lease: Lease, cost: int | None = None) -> None:
        self.desk.settle(lease, Outcome(tokens_in=lease.tokens, cost=cost), self.house.now)

    def holds(self, limit: str) -> float:
        return next(share.held for share in self.shares.shown("a", self.house.now) if share.limit.startswith(limit))


def test_nothing_may_be_used_before_the_first_word_of_the_steward() -> None:
    house = House(1, Limits(max_in_flight=2, rpm=10))
    ticket = house.workers[0].ask()
    assert isinstance(ticket, Ticket)
    house.talk()
    assert isinstance(ticket.answer, Lease)


def test_where_the_share_suffices_no_report_is_due() -> None:
    house = House(2, Limits(max_in_flight=100))
    house.talk()
    worker = house.workers[0]
    assert isinstance(worker.ask(), Lease)
    assert worker.shares.report(house.now + 0.5, "1") is None and not worker.shares.hungry
    assert worker.shares.report(house.now + 1.1, "1") is not None


def test_a_limit_of_one_goes_round_among_more_workers() -> None:
    house = House(4, Limits(max_in_flight=1))
    waiting = {worker.shares.worker: worker.ask() for worker in house.workers}
    served = []
    for _ in range(4):
        house.talk()
        held = [(w, waiting[w.shares.worker].answer) for w in house.workers if w.desk.accounts["a"].in_flight]  # type: ignore[union-attr]  # all wait
        ((worker, lease),) = held
        served.append(worker.shares.worker)
        assert isinstance(lease, Lease)
        worker.settle(lease)
    assert sorted(served) == ["w0", "w1", "w2", "w3"]


@pytest.mark.parametrize("seed", range(6))
def test_a_budget_is_never_overspent_and_all_of_it_can_be_spent(seed: int) -> None:
    rng = Random(seed)
    house = House(rng.randint(1, 5), Limits(daily=1000, monthly=1500 if seed % 2 else None))
    crashes = seed % 3 == 0
    under_way: list[tuple[Worker, Lease]] = []
    waiting: list[tuple[Worker, Ticket]] = []
    spent = 0  # by all who ever were
    for step in range(3000):
        house.now += 0.05
        worker = rng.choice(house.workers)
        if len(waiting) < 5:
            answer = worker.ask(rng.randint(1, 40))
            if isinstance(answer, Lease):
                under_way.append((worker, answer))
            elif answer is not None:
                waiting.append((worker, answer))
        worker.talk()
        under_way += [(w, t.answer) for w, t in waiting if isinstance(t.answer, Lease)]
        waiting = [(w, t) for w, t in waiting if t.answer is None]
        for w in house.workers:
            w.desk.answered()
        if under_way and rng.random() < 0.7:
            w, lease = under_way.pop(rng.randrange(len(under_way)))
            cost = rng.randint(0, lease.cost)
            spent += cost
            w.settle(lease, cost)
        assert spent + sum(lease.cost for _, lease in under_way) <= 1000
        if crashes and step % 700 == 500:
            gone = house.workers.pop(0)
            spent += sum(lease.cost for w, lease in under_way if w is gone)  # what it sent may have been served
            under_way = [(w, lease) for w, lease in under_way if w is not gone]
            waiting = [(w, ticket) for w, ticket in waiting if w is not gone]
            house.workers.append(Worker(house, f"w{step}"))
        if spent > 990:
            break
    assert spent >= (700 if crashes else 940)


def test_a_new_day_has_its_own_money_and_none_of_the_old_days_grants() -> None:
    house = House(2, Limits(daily=100))
    first, second = house.workers
    house.talk()
    lease = first.ask(100)
    house.talk()
    lease = lease.answer if isinstance(lease, Ticket) else lease
    assert isinstance(lease, Lease)
    first.settle(lease)
    house.now = MIDNIGHT
    late = second.ask(60)
    assert isinstance(late, Ticket)  # not by what was granted yesterday
    house.talk()
    assert isinstance(late.answer, Lease) and second.holds("day|2026-12-01") >= 60


def test_a_steward_without_a_memory_hears_what_is_held_before_it_grants() -> None:
    house = House(2, Limits(max_in_flight=3))
    first, second = house.workers
    house.talk()
    leases = [first.ask(), first.ask()]
    house.talk()
    house.steward, house.run = Steward(), "2"
    waiting = [second.ask(), second.ask()]
    second.talk()  # it comes first, and the steward knows of nobody
    assert sum(isinstance(w, Lease) or w.answer is not None for w in waiting) <= 1
    house.talk()
    house.now += QUIET
    house.talk()
    assert sum(isinstance(w, Lease) or w.answer is not None for w in waiting) == 1
    first.settle(leases[0] if isinstance(leases[0], Lease) else leases[0].answer)  # type: ignore[arg-type]  # granted
    house.talk()
    assert all(isinstance(w, Lease) or w.answer is not None for w in waiting)


def test_alone_the_parts_are_exact_and_the_remainder_is_the_first_ones() -> None:
    house = House(2, Limits(max_in_flight=5, rpm=7, daily=100))
    house.talk()
    for worker in house.workers:
        worker.shares.away(house.now, degrade=True)
        worker.shares.away(house.now + 100, degrade=True)
    assert [(w.holds("slots"), w.holds("requests")) for w in house.workers] == [(3, 4), (2, 3)]
    assert sum(w.holds("day") for w in house.workers) <= 100


def test_what_the_books_say_an_account_spent_before_counts_for_all_workers() -> None:
    house = House(2, Limits(daily=100))
    for worker in house.workers:
        worker.desk.accounts["a"].purse.load(90, 90, house.now)  # type: ignore[union-attr]  # it has one
    house.talk()
    assert sum(worker.holds("day") for worker in house.workers) <= 10
    assert all(worker.ask(11) is None for worker in house.workers)


def taking_all(house: House, limit: int) -> list[Lease]:
    """The first worker's calls, as many as the limit lets it make; the second waits for one of them."""
    first, second = house.workers
    waiting = [first.ask() for _ in range(limit)]
    house.talk()
    house.now += 1.0
    house.talk()
    second.ask()
    house.talk()
    leases = [each if isinstance(each, Lease) else each.answer for each in waiting if each is not None]
    assert all(isinstance(lease, Lease) for lease in leases)
    return leases  # type: ignore[return-value]  # they are


def go_away(house: House) -> None:
    for worker in house.workers:
        worker.shares.away(house.now, degrade=True)


@pytest.mark.parametrize("limits", [Limits(rpm=10), Limits(max_in_flight=10)])
def test_alone_who_held_nothing_has_at_once_its_part_of_what_is_not_used(limits: Limits) -> None:
    house, name = House(2, limits), "requests" if limits.rpm else "slots"
    first, second = house.workers
    leases = taking_all(house, 10)
    assert second.holds(name) == 0
    for lease in leases[:8]:
        first.settle(lease)
    if limits.rpm:
        house.now += 61  # they are in no minute any more, and nobody speaks
    else:
        second.desk.accounts["a"].give_up()
        second.shares._groups["account|a"].meters[name].others = 2.0  # as it heard before
    go_away(house)
    assert second.holds(name) >= 4


def test_alone_nobody_takes_what_others_have_used_up_before_it_counts_no_more() -> None:
    house = House(2, Limits(rpm=10))
    _, second = house.workers
    taking_all(house, 10)
    go_away(house)
    assert second.holds("requests") == 0
    house.now += 63
    go_away(house)
    assert second.holds("requests") == 0
    house.now += 1
    go_away(house)
    assert second.holds("requests") == 5


@pytest.mark.parametrize("seed", range(50))
def test_alone_what_is_used_and_may_be_is_never_more_than_the_limit(seed: int) -> None:
    rng, whole = Random(seed), 30
    house = House(rng.randint(2, 6), Limits(rpm=whole))
    for worker in house.workers:
        worker.shares.workers = len(house.workers)
    for _ in range(rng.randint(0, 60)):
        rng.choice(house.workers).ask()
        house.talk(rng.randint(0, 3))
    for _ in range(3):  # all say all again, and hear of the others
        house.now += 1.0
        for worker in house.workers:
            worker.shares.lost()
        house.talk()
    go_away(house)
    used = [worker.desk.accounts["a"].requests.used for worker in house.workers]  # type: ignore[union-attr]  # it has a rate
    may = [max(worker.holds("requests"), taken) for worker, taken in zip(house.workers, used, strict=True)]
    assert sum(may) <= whole and sum(may) >= min(whole, sum(used) + 1) - len(house.workers)


def test_without_a_steward_who_refuses_turns_away_those_that_wait_too() -> None:
    house = House(1, Limits(max_in_flight=1))
    house.talk()
    (worker,) = house.workers
    worker.ask()
    ticket = worker.ask()
    assert isinstance(ticket, Ticket)
    worker.shares.away(house.now, degrade=False)
    assert isinstance(ticket.answer, given.Refused) and ticket.answer.why == "away"


def test_a_worker_that_was_away_too_long_keeps_only_what_it_uses() -> None:
    house = House(2, Limits(max_in_flight=4))
    first, second = house.workers
    house.talk()
    assert isinstance(first.ask(), Lease)
    house.now += TTL + 1
    waiting = [second.ask() for _ in range(3)]
    second.talk()
    second.talk()
    assert all(isinstance(w, Lease) or isinstance(w.answer, Lease) for w in waiting)
    house.talk()
    assert first.holds("slots") == 1


def test_an_account_that_is_removed_gives_its_share_back() -> None:
    house = House(2, Limits(max_in_flight=4))
    first, second = house.workers
    house.talk()
    first.desk.remove("a", house.now)
    house.talk()
    leases = [second.ask() for _ in range(4)]
    house.talk()
    assert all(isinstance(lease, Lease) or isinstance(lease.answer, Lease) for lease in leases)


def test_what_a_provider_tells_one_worker_of_its_limits_holds_for_all() -> None:
    house = House(2, Limits())
    first, second = house.workers
    lease = first.ask()
    assert isinstance(lease, Lease)
    seat = first.desk.accounts["a"].seat("m")
    seat._limit("requests", 50)
    first.settle(lease)
    house.talk()
    assert second.desk.accounts["a"].seat("m").requests.whole == 50


def test_a_key_cannot_be_overdrawn_by_calls_at_once_at_many_workers() -> None:
    house = House(3, Limits())
    who = Principal(id="k", budget=1000, rpm=100_000, tpm=10**9)
    rng, reserved, spent, admitted = Random(5), list[tuple[Worker, int]](), 0, 0
    for _ in range(2000):
        house.now += 0.01
        worker = rng.choice(house.workers)
        amount = rng.randint(1, 30)
        try:
            worker.limiter.admit(who, house.now)
            amount = worker.limiter.reserve(who, amount, house.now)
        except Short:
            house.talk(2)
        except Refused as refused:
            assert refused.kind in ("budget_spent", "rate_limited")
        else:
            reserved.append((worker, amount))
            admitted += 1
        if reserved and rng.random() < 0.6:
            worker, amount = reserved.pop(rng.randrange(len(reserved)))
            cost = rng.randint(0, amount)
            worker.limiter.settle(who, house.now, cost=cost, tokens=5, reserved=amount)
            spent += cost
        assert spent + sum(amount for _, amount in reserved) <= 1000
    assert spent >= 950 and admitted > 50


def test_a_budget_that_other_workers_hold_for_calls_under_way_is_not_called_spent() -> None:
    house = House(2, Limits())
    first, second = house.workers
    who = Principal(id="k", budget=1000)

    def ask(worker: Worker, amount: int) -> Refused | None:
        """What is said in the end."""
        said: Refused | None = None
        for _ in range(4):
            try:
                worker.limiter.admit(who, house.now)
                worker.limiter.reserve(who, amount, house.now)
            except Refused as refused:
                said = refused
            else:
                return None
            house.talk()
        return said

    assert ask(first, 900) is None
    house.talk()
    said = ask(second, 200)
    assert said is not None and (said.status, said.kind, said.retry_after) == (429, "rate_limited", 1.0)

    first.limiter.settle(who, house.now, cost=850, reserved=900)
    house.now += 1.0
    house.talk()
    said = ask(second, 200)
    assert said is not None and said.kind == "budget_spent"


def test_a_keys_rate_is_exact_over_all_workers() -> None:
    house = House(3, Limits())
    who, admitted = Principal(id="k", rpm=20), list[float]()
    rng = Random(3)
    for _ in range(3000):
        house.now += 0.1
        worker = rng.choice(house.workers)
        try:
            worker.limiter.admit(who, house.now)
        except Refused:
            house.talk(1)
        else:
            admitted.append(house.now)
            assert len([at for at in admitted if at > house.now - 60]) <= 20
    assert len(admitted) >= 0.95 * 20 * 5


def held(house: House, each: int) -> int:
    """How many calls are under way once every worker has asked for so many more."""
    for worker in house.workers:
        for _ in range(each):
            worker.ask()
    for _ in range(8):
        house.now += 0.3
        house.talk()
    return sum(worker.desk.accounts["a"].in_flight for worker in house.workers)


@pytest.mark.parametrize(
    ("before", "after", "most"),
    [
        (Limits(max_in_flight=4), Limits(max_in_flight=10), 10),
        (Limits(max_in_flight=10), Limits(max_in_flight=4), 4),
        (Limits(rpm=4), Limits(rpm=10), 10),
        (Limits(), Limits(max_in_flight=6), 6),
        (Limits(), Limits(rpm=6), 9),  # three went before there was a limit
        (Limits(), Limits(daily=6), 9),
        (Limits(daily=3), Limits(daily=8), 8),
        (Limits(max_in_flight=3), Limits(rpm=7), 10),
        (Limits(max_in_flight=3, rpm=50), Limits(rpm=7), 7),
    ],
)
def test_a_limit_that_is_declared_anew_holds_for_all_workers_together(before: Limits, after: Limits, most: int) -> None:
    house = House(3, before)
    assert held(house, 1) == 3
    for worker in house.workers:  # one after another, as each sees the file change
        worker.desk.declare(AccountSpec(name="a", host="h", limits=after), house.now)
        house.now += 0.3
        house.talk()
    assert held(house, 8) == most


def test_nobody_is_refused_for_one_accounts_rate_while_this_worker_has_all_slots_of_another() -> None:
    house = House(2, Limits(rpm=1))
    for worker in house.workers:
        worker.desk.declare(AccountSpec(name="b", host="h", limits=Limits(max_in_flight=2)), house.now)
        worker.roster = worker.desk.roster([[Candidate("a", "m"), Candidate("b", "m")]])
    first, second = house.workers
    house.talk()

    def ask(worker: Worker, account: str | None) -> Lease | Ticket | given.Refused:
        only = None if account is None else frozenset({account})
        return worker.desk.acquire(Want(roster=worker.roster, deadline=house.now + 30, only=only), house.now)

    asked = [ask(second, "a"), ask(first, "b"), ask(first, "b")]
    house.talk()
    assert all(isinstance(one.answer if isinstance(one, Ticket) else one, Lease) for one in asked)
    house.now += 1.1
    house.talk()
    assert isinstance(ask(first, "a"), Ticket)  # it hears now that the others have used it up
    house.talk()
    assert isinstance(ask(first, "a"), given.Refused)
    assert isinstance(ask(first, None), Ticket)


def test_a_key_has_no_more_sessions_than_it_may_whatever_workers_they_are_at() -> None:
    house = House(3, Limits())
    house.talk()

    def enters(worker: Worker) -> bool:
        for _ in range(4):
            try:
                worker.visits.enter("k", 3, house.now)
                return True
            except Short:
                house.now += 0.2
                house.talk()
            except Refused:
                return False
        return False

    first, second, third = house.workers
    assert [enters(worker) for worker in (first, second, second, third, first)] == [True, True, True, False, False]
    house.now += 2.0  # who was refused waits no more
    house.talk()
    second.visits.leave("k")
    assert enters(third)
    assert not enters(second)
    for worker in (first, second, third):
        worker.visits.leave("k")
    house.now += 2.0
    house.talk()
    assert [enters(first) for _ in range(4)] == [True, True, True, False]


def test_the_sessions_of_a_worker_that_died_are_free_again() -> None:
    house = House(2, Limits())
    house.talk()
    gone, other = house.workers
    with pytest.raises(Short):
        gone.visits.enter("k", 1, house.now)
    house.talk()
    gone.visits.enter("k", 1, house.now)
    house.talk()
    house.workers.remove(gone)
    for _ in range(8):
        house.now += 1.0
        with contextlib.suppress(Short):
            other.visits.enter("k", 1, house.now)
            return
        house.talk()
    raise AssertionError("nobody may enter")
