"""Routes at run time: what the decision is told, and what is remembered of its outcome."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dragoman import config
from dragoman.accounts.lease import Lease, Outcome, Want
from dragoman.accounts.leases import Leases
from dragoman.accounts.pool import Pool
from dragoman.catalog.directory import Directory
from dragoman.catalog.prices import PriceBook
from dragoman.gateway.router import Choice, Health, Router
from dragoman.gateway.wards import Wards
from dragoman.ledger.row import Row
from dragoman.routing.constraints import NOTHING, Constraints
from dragoman.routing.estimate import Estimate, Estimates
from dragoman.routing.needs import Needs, digest_of
from dragoman.routing.record import read, replay

NOW = 1_795_000_000.0
ACCOUNTS = [
    config.Account(name="eu", provider="openai", key=config.Secret("sk"), region="eu", max_in_flight=2),
    config.Account(name="us", provider="openai", key=config.Secret("sk"), region="us", models=["nano"]),
]
MODELS = [
    config.Model(name="small", targets=["openai/nano"], quality=0.6, price=config.Price(input=0.1, output=0.4)),
    config.Model(name="large", targets=["openai/huge"], quality=0.9, price=config.Price(input=10, output=40)),
    config.Model(name="third", targets=["openai/third"], quality=0.7, price=config.Price(input=1, output=4)),
]


def settings(**route: Any) -> config.Config:
    fields: dict[str, Any] = {"name": "auto", "models": ["small", "large"], "mode": "cost"} | route
    return config.Config(accounts=ACCOUNTS, models=MODELS, routes=[config.Route(**fields)])


def router(former: Router | None = None, **route: Any) -> Router:
    found = settings(**route)
    prices = PriceBook(found)
    return Router(found, Directory(found, prices), prices, former)


def choose(
    made: Router, said: Constraints = NOTHING, name: str = "auto", needs: Needs | None = None, **how: Any
) -> Choice:
    choice = made.choose(
        name, needs or Needs(prompt="hello", digest=digest_of("hello"), thread="t"), said, now=NOW, **how
    )
    assert choice is not None
    return choice


def chosen(choice: Choice) -> str | None:
    option = choice.decision.chosen(choice.case)
    return option.name if option else None


def row(choice: Choice, **fields: Any) -> Row:
    option = choice.decision.chosen(choice.case)
    target = option.target if option else None
    return Row(**({"request_id": "req_1", "decision": "dec_1", "time": NOW, "target": target, "total": 900.0} | fields))


def test_the_plan_is_the_best_first_and_no_longer_than_a_few_attempts() -> None:
    plan = choose(router()).plan
    assert plan is not None and [[t.name for t in tier] for tier in plan.tiers] == [["openai/nano"], ["openai/huge"]]
    assert plan.only is None


def test_the_same_decision_has_the_same_plan() -> None:
    """The pool knows line-ups by the identity of their tiers."""
    made = router()
    assert choose(made).plan is choose(made).plan


def test_in_a_region_only_its_accounts_serve() -> None:
    plan = choose(router(), Constraints(region="us", mode="quality")).plan
    assert plan is not None and [[t.name for t in tier] for tier in plan.tiers] == [["openai/nano"]]
    assert plan.only == {"us"}


def test_a_name_that_there_is_not_has_no_choice() -> None:
    assert router().choose("nobody", Needs(), NOTHING, now=NOW) is None


def test_a_model_whose_accounts_all_rest_is_passed_over_but_not_if_nothing_else_fits() -> None:
    made = router()
    assert (
        chosen(choose(made, health=lambda target: Health(down="rests") if target == "openai/nano" else Health()))
        == "large"
    )
    assert chosen(choose(made, health=lambda target: Health(down="rests"))) == "small"


def test_measured_times_decide_where_latency_matters() -> None:
    made = router(mode="latency")
    for target, ms in (("openai/nano", 3000.0), ("openai/huge", 100.0)):
        for _ in range(5):
            made.observe(
                Row(request_id="r", time=NOW, target=target, total=ms + 500, ttft=ms, stream=True, output=50), None, NOW
            )
    assert chosen(choose(made, needs=Needs(streams=True))) == "large"
    assert chosen(choose(made, Constraints(max_ttft_ms=1000, mode="cost"), needs=Needs(streams=True))) == "large"


def test_failures_and_waits_of_the_gateway_are_no_times_of_the_target() -> None:
    made = router()
    for _ in range(5):
        made.observe(Row(request_id="r", time=NOW, target="openai/nano", total=5.0, status=502), None, NOW)
    assert made.latency.pace("openai/nano", NOW).whole_ms is None
    for _ in range(5):
        made.observe(Row(request_id="r", time=NOW, target="openai/nano", total=900.0, queue=800.0), None, NOW)
    assert made.latency.pace("openai/nano", NOW).whole_ms == pytest.approx(100, rel=0.07)


def test_a_session_is_remembered_when_its_answer_came_and_not_before() -> None:
    made = router()
    first = choose(made, Constraints(session="s"))
    assert choose(made, Constraints(session="s")).case.held is None
    made.observe(row(first, status=502), first, NOW)
    assert choose(made, Constraints(session="s")).case.held is None
    made.observe(row(first, input=70, output=30), first, NOW)
    held = choose(made, Constraints(session="s")).case.held
    assert held is not None and (held.model, held.tokens) == ("small", 100)
    assert choose(made, Constraints(session="s"), owner="another").case.held is None


def test_without_a_name_a_conversation_is_known_by_how_it_began_once_it_goes_on() -> None:
    made = router()
    first = choose(made)
    made.observe(row(first), first, NOW)
    assert choose(made).case.held is None  # somebody else may begin with the same words
    assert choose(made, needs=Needs(thread="t", goes_on=True)).case.held is not None
    assert choose(made, needs=Needs(thread="u", goes_on=True)).case.held is None


def test_a_fallback_that_answered_is_whom_the_session_is_with() -> None:
    made = router()
    first = choose(made, Constraints(session="s"))
    made.observe(row(first, target="openai/huge"), first, NOW)
    held = choose(made, Constraints(session="s")).case.held
    assert held is not None and held.model == "large"


def test_spending_squeezes_and_survives_a_reload_that_keeps_the_budget() -> None:
    made = router(mode="balanced", budget_usd_per_day=1.0)
    choice = choose(made)
    made.observe(row(choice, cost=999 * 10**9), choice, NOW)
    assert made.budget_left("auto", NOW) == pytest.approx(0.001)
    again = router(made, mode="balanced", budget_usd_per_day=1.0)
    assert again.budget_left("auto", NOW) == pytest.approx(0.001)
    assert (choose(again).case.squeeze or 0) > 1
    assert router(again, budget_usd_per_day=2.0).budget_left("auto", NOW) == 2.0


def test_what_was_spent_today_before_the_process_began_counts_once() -> None:
    made = router(budget_usd_per_day=1.0)
    assert made.budgeted() == ["auto"]
    made.load_spending({"auto": 750 * 10**9}, NOW)
    assert made.budget_left("auto", NOW) == pytest.approx(0.25)
    assert made.budgeted() == [] and router(made, budget_usd_per_day=1.0).budgeted() == []


def test_a_plain_model_under_constraints_is_a_route_of_one() -> None:
    found = choose(router(), Constraints(min_quality=0.8), name="small")
    assert found.decision.reason == "none" and [each.name for each in found.case.options] == ["small"]


def test_the_record_replays_and_keeps_the_prompt_only_where_told() -> None:
    for keep in (False, True):
        made = router(record_prompts=keep)
        choice = choose(made, Constraints(tags=(("task", "x"),)))
        record = read(made.record(choice, row(choice)))
        assert replay(record) == choice.decision
        assert (record.prompt, record.task) == ("hello" if keep else None, "x")


class Learned:
    name = "abc"

    def predict(self, query: Any, models: Any) -> Estimates:
        return Estimates(0.0, {model: Estimate(0.99 if model == "small" else 0.5, 0.01, 100.0) for model in models})


def test_a_model_that_drifted_goes_by_its_prior_and_the_record_says_so() -> None:
    made = router(mode="quality")
    made._predictors["auto"] = Learned()
    assert chosen(choose(made)) == "small"
    for _ in range(30):
        made.scored("auto", "small", predicted=0.99, observed=0.3)
    found = choose(made)
    assert found.case.estimates[0] == Estimate(0.6, 0.1, 100.0)
    assert found.notes == ["small goes by its prior: worse than learned"]


def test_answers_that_cost_more_than_learned_are_as_long_as_measured_and_the_record_says_so() -> None:
    made = router(mode="quality")
    made._predictors["auto"] = Learned()
    for _ in range(30):
        choice = choose(made)
        made.observe(row(choice, cost=200 * 10**6, output=500), choice, NOW)
    found = choose(made)
    assert found.case.estimates[0] == Estimate(0.99, 0.01)
    assert found.notes == ["small goes by its prior's length of answers: its answers cost more than expected"]


def test_a_target_that_became_slow_goes_by_its_prior_until_it_is_measured_anew() -> None:
    made = router()
    needs = Needs(streams=True, prompt="hello", digest=digest_of("hello"), thread="t")

    def answer(ms: float) -> Choice:
        choice = choose(made, needs=needs)
        made.observe(row(choice, ttft=ms, total=ms + 100, stream=True, output=50), choice, NOW)
        return choice

    for _ in range(200):
        answer(100.0)
    said = [answer(5000.0).notes for _ in range(10)]
    first = next(i for i, notes in enumerate(said) if notes)
    assert said[first] == ["small's times go by their prior: openai/nano is slower than measured"]
    for _ in range(3):
        answer(5000.0)
    made.latency._targets["openai/nano"].until = 0.0  # a second later
    found = choose(made, needs=needs)
    assert found.notes == [] and found.case.paces[0].ttft_ms == pytest.approx(5000, rel=0.07)


# certificates


def certificate(folder: Path, **fields: Any) -> str:
    path = folder / "floor.json"
    made = {"threshold": 0.4, "epsilon": 0.02, "delta": 0.05, "labels": 1000, "strong": "large", "weak": "small"}
    path.write_text(json.dumps(made | {"weak_share": 0.3} | fields))
    return str(path)


def test_a_certified_pair_is_followed_unless_another_mode_is_asked_for(tmp_path: Path) -> None:
    made = router(certificate=certificate(tmp_path), mode="quality")
    assert (chosen(choose(made)), choose(made).decision.reason) == ("small", "certified")
    assert chosen(choose(made, Constraints(mode="latency"))) == "large"
    assert made.certificates["auto"].status() == "certified: at most 2.0% below large, 95% sure (1,000 labels)"


def test_what_is_not_certified_yet_changes_nothing_and_says_so(tmp_path: Path) -> None:
    made = router(certificate=certificate(tmp_path, threshold=None, labels=640, labels_needed=1000), mode="quality")
    assert chosen(choose(made)) == "large"
    assert made.certificates["auto"].status() == "not certified yet: 640 of 1,000 labels"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"strong": "gpt-4"}, "it is for gpt-4 and small, and no model of the route is gpt-4"),
        ({"epsilon": "x"}, "epsilon"),
        ({"artifact": "router-abc"}, 'made with "router-abc", the route predicts with "priors": certify anew'),
    ],
)
def test_a_certificate_that_does_not_fit_the_route_is_a_bad_config(tmp_path: Path, fields: Any, why: str) -> None:
    with pytest.raises(config.ConfigError, match=why):
        router(certificate=certificate(tmp_path, **fields))


# health


@pytest.fixture
def pool() -> Pool:
    found = settings()
    prices = PriceBook(found)
    made = Pool(found, Directory(found, prices), Leases(), lambda target: None)
    made.open(None)
    return made


FOUND = settings()
NAMES = Directory(FOUND, PriceBook(FOUND))  # kept: the pool knows line-ups by the identity of their tiers


def acquire(pool: Pool, model: str) -> Lease:
    model_of = NAMES.find(model)
    assert model_of is not None
    lease = pool.leases.acquire(Want(roster=pool.line_up(model_of.tiers).roster, deadline=pool.leases.now() + 1))
    assert isinstance(lease, Lease)
    return lease


def test_health_is_how_full_the_least_full_account_is(pool: Pool) -> None:
    wards = Wards(pool)
    assert wards.health("openai/huge") == Health()
    acquire(pool, "large")
    assert wards.health("openai/huge").busy == 0.5
    assert wards.health("openai/nano").busy == 0.0  # the account in the us is idle


def test_a_target_all_of_whose_accounts_rest_is_down(pool: Pool) -> None:
    wards = Wards(pool)
    lease = acquire(pool, "large")
    pool.leases.settle(lease, Outcome(kind="rate_limited", retry_after=30.0))
    down = wards.health("openai/huge").down
    assert down is not None and down.startswith("all its accounts rest (rate_limited), the first is back in 3")
    assert wards.health("openai/nano").down is None
    assert msgspec.structs.asdict(wards.health("nobody/has-it"))["down"] is None


def test_a_candidate_is_known_to_the_predictor_by_its_name_or_by_its_targets() -> None:
    class Trained(Learned):
        models = ("nano", "large")
        asked: tuple[str, ...] = ()

        def predict(self, query: Any, models: Any) -> Estimates:
            self.asked = tuple(models)
            return Estimates(0.0, {name: Estimate(0.8, 0.1) for name in models})

    made = router()
    trained = made._predictors["auto"] = Trained()
    choice = choose(made)
    assert trained.asked == ("nano", "large")
    record = read(made.record(choice, row(choice)))
    assert record.known_as == ["nano", "large"] and replay(record, trained, "hello") == choice.decision


def test_an_artifact_that_can_not_be_read_is_a_bad_config(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match='routes "auto": artifact: '):
        router(artifact=str(tmp_path / "none.dgm"))


def test_what_answers_no_text_is_ruled_out_and_told_why() -> None:
    said = {
        "heard": config.Model(name="heard", targets=["openai/whisper-1"]),
        "spoken": config.Model(name="spoken", targets=["deepgram/aura-2"]),
        "live": config.Model(name="live", targets=["openai/my-model"], capabilities=["audio", "realtime"]),
        "mine": config.Model(name="mine", targets=["openai/my-whisper-chat"], capabilities=["tools"]),
        "both": config.Model(name="both", targets=["openai/gpt-4o-mini-tts", "openai/gpt-4o-mini"]),
    }
    accounts = [*ACCOUNTS, config.Account(name="d", provider="deepgram", key=config.Secret("sk"))]
    found = config.Config(
        accounts=accounts, models=list(said.values()), routes=[config.Route(name="auto", models=list(said))]
    )
    prices = PriceBook(found)
    choice = choose(Router(found, Directory(found, prices), prices))
    ruled = {option.name: option.ruled for option in choice.case.options}
    assert ruled == {
        "heard": "it only transcribes speech",
        "spoken": "deepgram has speech only",
        "live": "it answers in realtime sessions only",
        "mine": None,
        "both": None,
    }
    assert choice.plan is not None
    assert {target.name for tier in choice.plan.tiers for target in tier} == {
        "openai/my-whisper-chat",
        "openai/gpt-4o-mini",
    }
