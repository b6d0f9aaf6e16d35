"""The steward's rules, in virtual time; and that the script in Redis keeps the same ones."""

from collections.abc import Callable
from importlib.resources import files
from random import Random
from typing import TYPE_CHECKING

import msgspec
import pytest

from dragoman.accounts.steward import MONEY, QUIET, RATE, SLOTS, TTL, Claim, Group, News, Reply, Report, Steward, Used

if TYPE_CHECKING:
    from services import RedisServer

T0 = 1_790_000_000.0


class Worker:
    """What one says, in short."""

    def __init__(self, steward: Steward, name: str) -> None:
        self.steward = steward
        self.name = name
        self.number = 0
        self.heard = 0
        self.run = "r"

    def say(self, now: float, *used: Used, claim: dict[str, float] | None = None, count: int = 1, **more) -> Reply:
        self.number += 1
        claims = [Claim("m", count, more.pop("firm", True), claim)] if claim else []
        groups = [Group("account|a", list(used), claims)] if used else []
        reply = self.steward.report(Report(self.name, self.number, self.run, self.heard, groups, **more), now)
        self.heard = reply.heard
        return reply


def held(reply: Reply, name: str) -> float:
    return {share.name: share.held for _, shares in reply.groups for share in shares}[name]


@pytest.fixture
def house() -> Callable[[str], Worker]:
    steward = Steward()
    steward.run = "r"  # it begins with the first worker: nobody can hold anything
    return lambda name: Worker(steward, name)


def slots(held: float, used: float, most: float = 4) -> Used:
    return Used("slots", SLOTS, held, used, -1, most)


def test_a_worker_alone_holds_the_whole_limit(house: Callable[[str], Worker]) -> None:
    assert held(house("a").say(T0, slots(0, 0)), "slots") == 4


def test_each_is_told_how_many_wait_at_the_others(house: Callable[[str], Worker]) -> None:
    a, b, c = house("a"), house("b"), house("c")
    a.say(T0, slots(0, 0))
    a.say(T0, slots(4, 4), claim={"slots": 1}, count=2)
    b.say(T0, slots(0, 0), claim={"slots": 1}, count=3)
    ((_, (share,)),) = c.say(T0, slots(0, 0), claim={"slots": 1}, count=7).groups
    assert share.queued == 5


def test_the_second_is_given_what_the_first_does_not_use_once_it_waits(house: Callable[[str], Worker]) -> None:
    a, b = house("a"), house("b")
    a.say(T0, slots(0, 0))
    reply = b.say(T0, slots(0, 0), claim={"slots": 1})
    assert held(reply, "slots") == 0 and reply.poke == ["a"]
    ((_, (share,)),) = a.say(T0).groups
    assert share.pressed and share.held == 4
    reply = a.say(T0, slots(1, 1))
    assert held(reply, "slots") == 1 and reply.poke == ["b"]
    assert held(b.say(T0), "slots") == 1


def test_bundles_are_granted_whole_or_not_at_all(house: Callable[[str], Worker]) -> None:
    a, b = house("a"), house("b")
    tokens = Used("tokens", RATE, 0, 0, -1, 100)
    a.say(T0, slots(0, 0), tokens, claim={"slots": 4, "tokens": 80})
    reply = b.say(T0, slots(0, 0), tokens, claim={"slots": 1, "tokens": 20})
    assert held(reply, "slots") == 0 and held(reply, "tokens") == 0  # a slot is missing, so no tokens either


def test_those_who_wait_are_served_in_turn_one_call_each(house: Callable[[str], Worker]) -> None:
    a, b, c = house("a"), house("b"), house("c")
    a.say(T0, slots(0, 0, 6))
    a.say(T0, slots(6, 6, 6))
    b.say(T0, slots(0, 0, 6), claim={"slots": 1}, count=50)
    c.say(T0, slots(0, 0, 6), claim={"slots": 1}, count=3)
    a.say(T0, slots(2, 2, 6))
    assert (held(b.say(T0), "slots"), held(c.say(T0), "slots")) == (2, 2)


def test_a_large_one_that_is_first_in_turn_is_not_overtaken_for_ever(house: Callable[[str], Worker]) -> None:
    a, b, c = house("a"), house("b"), house("c")

    def tokens(used: float) -> Used:
        return Used("tokens", RATE, used, used, -1, 100)

    a.say(T0, tokens(0))
    a.say(T0, tokens(90))
    b.say(T0, tokens(0), claim={"tokens": 80})
    assert held(c.say(T0, tokens(0), claim={"tokens": 5}), "tokens") == 0  # the 10 that are free are kept for b
    a.say(T0 + 1, tokens(20))
    assert held(b.say(T0 + 1), "tokens") == 80


@pytest.mark.parametrize(("kind", "back"), [(SLOTS, 0.0), (RATE, 60.0), (MONEY, None)])
def test_what_a_dead_worker_held_comes_back_as_its_kind_says(
    house: Callable[[str], Worker], kind: int, back: float | None
) -> None:
    a, b = house("a"), house("b")

    def limit(held: float) -> Used:
        return Used("x", kind, held, held, -1, 10)

    a.say(T0, limit(0))
    a.say(T0, limit(10))
    now, granted = T0, 0.0
    dead = T0 + TTL
    for second in range(4000):
        now = T0 + 1 + second
        reply = b.say(now, limit(granted), claim={"x": 10})
        granted = held(reply, "x")
        if granted:
            break
    assert (granted == 10 and dead + back <= now <= dead + back + 1) if back is not None else granted == 0


def test_who_was_taken_for_dead_keeps_only_what_it_uses(house: Callable[[str], Worker]) -> None:
    a, b = house("a"), house("b")
    a.say(T0, slots(0, 0))
    b.say(T0 + TTL, slots(0, 0), claim={"slots": 3})
    reply = a.say(T0 + TTL + 1, slots(4, 1))
    assert held(reply, "slots") == 1


def test_one_that_comes_back_empty_grants_nothing_until_all_have_said_what_they_hold(
    house: Callable[[str], Worker],
) -> None:
    steward = Steward()
    a, b = Worker(steward, "a"), Worker(steward, "b")
    reply = b.say(T0, slots(0, 0), claim={"slots": 1})
    assert reply.quiet and held(reply, "slots") == 0
    assert held(a.say(T0 + 0.5, slots(4, 4)), "slots") == 4
    reply = b.say(T0 + QUIET, slots(0, 0), claim={"slots": 1})
    assert not reply.quiet and held(reply, "slots") == 0


def test_an_answer_that_was_lost_takes_its_grant_back(house: Callable[[str], Worker]) -> None:
    a = house("a")
    a.say(T0, slots(0, 0))  # 4 were granted, and it never knew
    assert held(a.say(T0, Used("slots", SLOTS, 0, 0, 0, 4)), "slots") == 0


def test_a_report_that_comes_late_changes_nothing(house: Callable[[str], Worker]) -> None:
    a = house("a")
    a.say(T0, slots(0, 0))
    a.number = 0
    assert a.say(T0, slots(2, 2)).workers == 0
    a.number = 5
    assert held(a.say(T0, slots(4, 1)), "slots") == 4


def test_what_one_worker_learns_of_a_limit_holds_for_all(house: Callable[[str], Worker]) -> None:
    a, b = house("a"), house("b")

    def learned(cut: float = -1, raised: float = 0, held: float = 0) -> Used:
        return Used("slots|m", SLOTS, held, 0, -1, -1, cut, raised)

    assert b.say(T0, learned()).groups[0][1][0].limit == -1
    a.say(T0, learned(cut=9.5))
    ((_, (share,)),) = b.say(T0, learned()).groups
    assert (share.limit, share.learned) == (9, 9.5)
    b.say(T0, learned(raised=0.75))
    assert a.say(T0, learned(raised=0.25)).groups[0][1][0].learned == 10.5


def test_rests_and_an_operators_words_are_told_to_all_once(house: Callable[[str], Worker]) -> None:
    a, b = house("a"), house("b")
    b.say(T0)
    reply = a.say(T0, news=[News("seat|x|m", "rate_limited", 20, 1), News("flag|x", "disabled", -1)])
    assert reply.poke == ["b"] and not reply.news
    rest, flag = b.say(T0 + 5).news
    assert (rest.name, rest.kind, rest.seconds, rest.strikes) == ("seat|x|m", "rate_limited", 15, 1)
    assert (flag.kind, flag.seconds) == ("disabled", -1)
    assert b.say(T0 + 5).news == []
    late = house("c").say(T0 + 30).news
    assert [news.seconds for news in late] == [0, -1]


def test_who_leaves_gives_all_back_but_what_it_spent(house: Callable[[str], Worker]) -> None:
    a, b = house("a"), house("b")
    money = Used("day|1", MONEY, 0, 0, -1, 10)
    a.say(T0, slots(0, 0), money)
    a.say(T0, slots(4, 0), Used("day|1", MONEY, 10, 3, -1, 10), bye=True)
    reply = b.say(T0, slots(0, 0), money)
    assert (held(reply, "slots"), held(reply, "day|1")) == (4, 7)


def test_what_the_books_say_was_spent_counts_where_the_steward_knows_less(house: Callable[[str], Worker]) -> None:
    reply = house("a").say(T0, Used("day|1", MONEY, 0, 0, -1, 10, spent=8))
    assert held(reply, "day|1") == 2


# -- the script in Redis ----------------------------------------------------------------------------------------------


def test_what_is_used_for_good_is_told_from_what_calls_under_way_may_give_back(
    house: Callable[[str], Worker],
) -> None:
    a, b = house("a"), house("b")
    a.say(T0, Used("day|1", MONEY, 0, 0, -1, 10))
    a.say(T0, Used("day|1", MONEY, 8, 8, -1, 10, pending=5))

    def seen() -> tuple[float, float]:
        ((_, (share,)),) = b.say(T0, Used("day|1", MONEY, 0, 0, -1, 10)).groups
        return share.others, share.gone

    assert seen() == (8, 3)
    a.say(T0, Used("day|1", MONEY, 8, 8, -1, 10))
    assert seen() == (8, 8)


def _anything(rng: Random, name: str, number: int, heard: int, view: dict[str, dict[str, float]]) -> Report:
    """A report such as a worker might send that holds what `view` says."""
    groups = []
    for group in rng.sample(["account|a", "account|ß", "key|k"], rng.randint(0, 3)):
        shares = view.setdefault(group, {})
        used = []
        for limit, kind, most in (
            ("slots", SLOTS, 3), ("requests", RATE, 10), ("tokens", RATE, 1000), ("day|1", MONEY, 10**15),
            ("slots|m", SLOTS, -1),
        ):  # fmt: skip
            holds = shares.get(limit, 0.0)
            taken = float(rng.randint(0, int(holds * 1.1)))
            said = Used(limit, kind, max(taken, rng.choice([holds, taken])), taken, rng.choice([-1, -1, 5]), most)
            if most < 0:
                said.cut, said.raised = rng.choice([(-1, 0), (-1, 0.25), (4.5, 0), (2.0, 0)])
            if kind == MONEY and rng.random() < 0.2:
                said.spent = float(rng.randint(0, 10**14))
            said.pending = float(rng.randint(0, int(taken)))
            used.append(said)
            shares[limit] = said.held
        claims = [
            Claim(
                model, rng.randint(1, 4), rng.random() < 0.5,
                {"slots": 1.0, "requests": 1.0, "tokens": float(rng.randint(1, 700)), "day|1": float(10**13)},
            )
            for model in rng.sample(["m", "n"], rng.randint(0, 2))
        ]  # fmt: skip
        groups.append(Group(group, used, claims))
    news = []
    if rng.random() < 0.2:
        news = [News(rng.choice(["seat|a|m", "host|h", "flag|a"]), "k", rng.choice([-1.0, 0.0, 2.5, 30.0]), 2)]
    return Report(name, number, "", heard, groups, news, rng.random() < 0.03)


@pytest.mark.parametrize("seed", range(8))
def test_the_script_in_redis_answers_word_for_word_the_same(seed: int, redis_server: "RedisServer") -> None:
    import redis

    client = redis.Redis(unix_socket_path=str(redis_server.socket))
    script = client.register_script((files("dragoman.accounts") / "steward.lua").read_text("utf-8"))
    rng, steward, now, run = Random(seed), Steward(), T0, 1
    numbers = dict.fromkeys("abcd", 0)
    views: dict[str, dict[str, dict[str, float]]] = {name: {} for name in numbers}
    heard = dict.fromkeys(numbers, 0)
    grants = 0
    for _ in range(400):
        now += rng.choice([0.0, 0.01, 0.2, 0.2, 2.0, rng.choice([0.5, 5.0, 70.0])])
        name = rng.choice("abcd")
        numbers[name] += rng.random() > 0.02
        run += rng.random() < 0.01
        report = _anything(rng, name, numbers[name], heard[name], views[name])
        report.run = str(run)
        expected = steward.report(report, now)
        packed = script(keys=["t:"], args=[msgspec.msgpack.encode(report), repr(now)])
        assert msgspec.msgpack.decode(packed, type=Reply, strict=False) == expected
        heard[name] = expected.heard
        for group, shares in expected.groups:
            before = views[name].setdefault(group, {})
            grants += sum(share.held > before.get(share.name, 0.0) for share in shares)
            before.update({share.name: share.held for share in shares})
        if report.bye:
            views[name] = {}
    assert grants > 50
    client.close()
