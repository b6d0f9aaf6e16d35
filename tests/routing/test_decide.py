"""The decision: what fits, and what of that fits best."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.routing.constraints import Constraints
from dragoman.routing.decide import Case, Decision, Held, Pair, decide
from dragoman.routing.latency import Pace
from dragoman.routing.narrate import contributions, obstacles
from routing.cases import case, cases, option

SMALL, LARGE = option("small", 0.1), option("large", 10.0)


def choice(made: Case) -> str | None:
    chosen = decide(made).chosen(made)
    return chosen.name if chosen else None


# laws


def turned(made: Case, order: list[int]) -> Case:
    return msgspec.structs.replace(
        made,
        options=[made.options[i] for i in order],
        estimates=[made.estimates[i] for i in order],
        paces=[made.paces[i] for i in order],
    )


@given(cases(), st.randoms(use_true_random=False))
def test_the_decision_does_not_depend_on_the_order_of_the_options(made: Case, chance: object) -> None:
    order = list(range(len(made.options)))
    chance.shuffle(order)  # type: ignore[attr-defined]
    other = turned(made, order)
    one, two = decide(made), decide(other)
    assert [made.options[i].name for i in one.order] == [other.options[i].name for i in two.order]
    assert (one.reason, one.margin, one.propensity) == (two.reason, two.margin, two.propensity)


def relaxed(made: Case, key: str, by: float) -> Case:
    """The case with one limit wider or gone."""
    limits = made.limits
    value = getattr(limits, key, None)
    if key == "capabilities":
        return msgspec.structs.replace(made, capabilities=made.capabilities[1:])
    if value is None:
        return made
    wider = None if by > 1 else value * (1 - by) if key == "min_quality" else value * (1 + by)
    return msgspec.structs.replace(made, limits=msgspec.structs.replace(limits, **{key: wider}))


@given(
    cases(),
    st.sampled_from(["max_cost_usd", "max_ttft_ms", "max_total_ms", "min_quality", "capabilities"]),
    st.floats(0, 2),
)
def test_relaxing_a_limit_never_rules_out_what_fitted(made: Case, key: str, by: float) -> None:
    assert set(decide(made).order) <= set(decide(relaxed(made, key, by)).order)


@given(cases())
def test_a_case_that_was_written_and_read_is_decided_the_same(made: Case) -> None:
    again = msgspec.json.decode(msgspec.json.encode(made), type=Case)
    assert again == made and decide(again) == decide(made)


@given(cases())
def test_words_and_numbers_agree_on_what_fits(made: Case) -> None:
    fits = {i for i in range(len(made.options)) if not obstacles(made, i)}
    assert set(decide(made).order) == fits


@given(cases())
def test_a_utility_is_the_sum_of_its_contributions(made: Case) -> None:
    decided, parts = decide(made), contributions(made)
    assert set(parts) == set(decided.order)
    for i, each in parts.items():
        assert sum(each.values()) == pytest.approx(decided.utilities[i], abs=1e-9)


@given(cases())
def test_the_propensities_of_all_draws_are_how_often_each_option_comes(made: Case) -> None:
    """Whatever is drawn, an option has one propensity; and those of all that can be chosen add up to 1."""
    made.explore = 0.01
    decisions = [msgspec.structs.replace(made, draw=(k + 0.5) / 12_000) for k in (*range(120), 6000)]
    found: dict[int, set[float]] = {}
    for each in decisions:
        decided = decide(each)
        if decided.order:
            found.setdefault(decided.order[0], set()).add(round(decided.propensity, 12))
    assert all(len(each) == 1 for each in found.values())
    if found:
        assert sum(each.pop() for each in found.values()) == pytest.approx(1.0)


# modes


def test_each_mode_has_its_own_choice() -> None:
    fast = Pace(100.0, 300.0, 150.0, 250.0, True)
    quick, cheap, good = option("quick", 2.0), option("cheap", 0.05), option("good", 10.0)
    found = {}
    for mode in ("cost", "quality", "latency"):
        made = case((quick, 0.6), (cheap, 0.55), (good, 0.8), limits=Constraints(mode=mode), streams=True)
        made.paces = [fast, Pace(), Pace()]
        found[mode] = choice(made)
    assert found == {"cost": "cheap", "quality": "good", "latency": "quick"}


@pytest.mark.parametrize(("gap", "best"), [(0.05, "small"), (0.3, "large")])
def test_balanced_pays_for_quality_where_it_is_worth_it(gap: float, best: str) -> None:
    assert choice(case((SMALL, 0.6), (LARGE, 0.6 + gap))) == best


def test_mode_quality_takes_the_best_estimate_whatever_it_costs() -> None:
    made = case((SMALL, 0.7), (LARGE, 0.7001), limits=Constraints(mode="quality"))
    assert choice(made) == "large"


def test_equals_go_by_cost_and_then_by_name() -> None:
    made = case((option("b"), 0.5), (option("a"), 0.5), (option("c", 0.5), 0.5), limits=Constraints(mode="quality"))
    decided = decide(made)
    assert [made.options[i].name for i in decided.order] == ["c", "a", "b"]


def test_an_unknown_price_counts_as_the_dearest_not_as_nothing() -> None:
    made = case((option("unpriced", None), 0.7), (SMALL, 0.7), (LARGE, 0.7), limits=Constraints(mode="cost"))
    decided = decide(made)
    assert [made.options[i].name for i in decided.order] == ["small", "large", "unpriced"]
    assert decided.utilities[0] == decided.utilities[2]


# limits


@pytest.mark.parametrize(
    ("limits", "fits"),
    [
        (Constraints(max_cost_usd=0.001), ["small"]),
        (Constraints(min_quality=0.7), ["large"]),
        (Constraints(min_quality=0.95), []),
        (Constraints(max_cost_usd=0.001, min_quality=0.7), []),
    ],
)
def test_hard_limits_are_kept(limits: Constraints, fits: list[str]) -> None:
    made = case((SMALL, 0.6), (LARGE, 0.8), limits=limits)
    decided = decide(made)
    assert [made.options[i].name for i in decided.order] == fits
    assert decided.reason == {0: "none", 1: "only"}[len(fits)]


def test_a_limit_on_cost_refuses_what_has_no_price() -> None:
    made = case((option("unpriced", None), 0.9), limits=Constraints(max_cost_usd=100))
    assert choice(made) is None


def test_a_limit_on_time_goes_by_the_slower_quarter_and_only_by_what_was_measured() -> None:
    made = case((SMALL, 0.6), (LARGE, 0.8), limits=Constraints(max_ttft_ms=300, mode="quality"), streams=True)
    assert choice(made) == "large"
    made.paces = [Pace(), Pace(200.0, 80.0, 400.0, 60.0, True)]
    assert choice(made) == "small"


def test_no_request_goes_where_it_cannot_fit() -> None:
    made = case((option("small", 0.1, window=1500), 0.6), (LARGE, 0.8), limits=Constraints(mode="cost"))
    assert choice(made) == "small"
    made.max_output_tokens = 501
    assert choice(made) == "large"


def test_known_capabilities_go_before_unknown_ones() -> None:
    seeing = option("seeing", capabilities=("vision",))
    unknown = option("unknown", capabilities=None, unsure=("vision",))
    assert choice(case((seeing, 0.1), (unknown, 0.9), capabilities=("vision",))) == "seeing"
    assert choice(case((seeing, 0.1), (unknown, 0.9), capabilities=("audio",))) == "unknown"


def test_a_model_that_nobody_can_serve_now_is_passed_over() -> None:
    assert choice(case((SMALL, 0.9), (LARGE, 0.8), down={"small": "cooling for 12 s"})) == "large"


# affinity


def test_a_session_keeps_its_model_for_a_small_gain_and_leaves_it_for_a_large_one() -> None:
    held = Held("small", 900, 0.95)
    for better, best in ((0.61, "small"), (0.9, "large")):
        made = case((SMALL, 0.6), (LARGE, better), held=held, limits=Constraints(mode="quality"))
        decided = decide(made)
        assert made.options[decided.order[0]].name == best
    made = case((SMALL, 0.6), (LARGE, 0.61), held=held, limits=Constraints(mode="quality"))
    assert decide(made).reason == "held"


def test_the_cold_cache_is_in_the_sum() -> None:
    """Two like models; the session's has the prompt in its cache, which halves its price."""
    price = msgspec.structs.replace(option("x", 1.0).price, cached=0)
    one, other = option("one", price=price), option("other", price=price)
    made = case((one, 0.5), (other, 0.5), held=Held("other", 1000, 1.0), limits=Constraints(mode="cost"))
    parts = contributions(made)
    assert parts[1]["cost"] > parts[0]["cost"] and choice(made) == "other"


def test_in_a_tool_loop_a_session_is_held_more_firmly() -> None:
    made = case((SMALL, 0.6), (LARGE, 0.64), held=Held("small", 0, 1.0), limits=Constraints(mode="quality"))
    assert choice(made) == "large"
    made.stage = "executing"
    assert choice(made) == "small"


def test_recovering_from_an_error_pays_for_quality_sooner() -> None:
    made = case((SMALL, 0.6), (LARGE, 0.68))
    assert choice(made) == "small"
    made.stage = "recovering"
    assert choice(made) == "large"


# before utility


def test_a_certified_pair_follows_its_threshold() -> None:
    for threshold, best in ((0.1, "large"), (0.2, "small")):
        made = case((SMALL, 0.6), (LARGE, 0.75), (option("other"), 0.9), pair=Pair("large", "small", threshold))
        decided = decide(made)
        assert (made.options[decided.order[0]].name, decided.reason) == (best, "certified")


def test_a_certified_pair_of_which_one_does_not_fit_says_nothing() -> None:
    made = case((SMALL, 0.6), (LARGE, 0.75), (option("o"), 0.7), pair=Pair("large", "small", 1), down={"large": "ill"})
    assert decide(made).reason == "best"


def test_a_query_unlike_the_training_goes_to_the_best_single_model() -> None:
    made = case((SMALL, 0.6), (LARGE, 0.65), predictor="abc123", novelty=0.97)
    decided = decide(made)
    assert (made.options[decided.order[0]].name, decided.reason) == ("large", "novel")
    made.predictor = "priors"  # which know no query from another
    assert choice(made) == "small"


def test_a_budget_spent_too_fast_makes_money_dearer() -> None:
    made = case((SMALL, 0.6), (LARGE, 0.9), squeeze=0.0)
    assert choice(made) == "large"
    made.squeeze = 5.0
    assert choice(made) == "small"


def test_exploring_is_drawn_and_keeps_to_the_limits() -> None:
    made = case((SMALL, 0.6), (LARGE, 0.9), (option("ruled", ruled="no"), 0.9), explore=0.01)
    found: list[Decision] = []
    for draw in (0.0, 0.006, 0.5):
        made.draw = draw
        found.append(decide(made))
    assert [made.options[each.order[0]].name for each in found] == ["large", "small", "large"]
    assert [each.reason for each in found] == ["best", "explored", "best"]
    assert [each.propensity for each in found] == pytest.approx([0.995, 0.005, 0.995])
