"""What a route remembers between requests: sessions, spending, drift."""

from random import Random

import pytest

from dragoman.routing.affinity import FRESH, Sessions
from dragoman.routing.decide import Held
from dragoman.routing.drift import DriftWatch, PaceWatch, by_priors, notes
from dragoman.routing.estimate import Estimate
from dragoman.routing.pacing import DAY, Pacer


def test_a_session_is_held_while_its_prompt_is_warm() -> None:
    sessions = Sessions()
    assert sessions.held("s", 0.0) is None
    sessions.keep("s", "large", 900, 0.0)
    assert sessions.held("s", FRESH) == Held("large", 900, 0.95)
    cooler = sessions.held("s", 2 * FRESH)
    assert cooler is not None and cooler.warm == pytest.approx(0.475)
    assert sessions.held("s", 10 * FRESH) is None


def test_the_longest_unused_sessions_are_forgotten() -> None:
    sessions = Sessions(most=2)
    for name in ("a", "b", "a", "c"):
        sessions.keep(name, "m", 1, 0.0)
    assert [sessions.held(name, 0.0) is not None for name in "abc"] == [True, False, True]


def test_spending_on_plan_costs_nothing_and_spending_ahead_of_it_does() -> None:
    pacer = Pacer(86.4)  # a dollar per thousand seconds
    for minute in range(60):
        pacer.spend(minute * 60.0, 0.06)
    assert pacer.squeeze(3600.0) < 0.1
    for minute in range(60, 120):
        pacer.spend(minute * 60.0, 0.6)
    assert pacer.squeeze(7200.0) > 1
    assert pacer.squeeze(7200.0 + DAY / 2) == 0


def test_a_simulated_day_ends_within_its_budget() -> None:
    """A request a minute that costs 2 with the good model and 0.02 with the cheap one; the budget is for a quarter of
    the good ones. The good one is chosen while the squeeze is small."""
    pacer, spent = Pacer(720.0), 0.0
    for minute in range(24 * 60):
        now = minute * 60.0
        usd = 2.0 if pacer.squeeze(now) < 0.3 else 0.02
        pacer.spend(now, usd)
        spent += usd
    assert 0.9 * 720 < spent < 1.03 * 720
    assert pacer.left(DAY - 1) == pytest.approx(720 - spent)
    assert pacer.left(DAY) == 720


def test_what_was_spent_before_the_process_began_counts() -> None:
    pacer = Pacer(100.0)
    pacer.load(DAY / 2, 80.0)
    assert pacer.left(DAY / 2) == pytest.approx(20) and pacer.squeeze(DAY / 2) > 1


def test_a_model_that_became_worse_is_judged_by_its_prior_and_it_is_said() -> None:
    watch = DriftWatch()
    for k in range(100):
        watch.scored("steady", 0.7, 0.7 + (0.2 if k % 2 else -0.2))
        watch.scored("fallen", 0.7, 0.5)
    assert watch.drifted() == {"fallen": "worse than learned"}
    learned = {"steady": Estimate(0.7, 0.02, 90.0), "fallen": Estimate(0.7, 0.02, 80.0)}
    found = by_priors(learned, {"fallen": Estimate(0.4, 0.2)}, watch.drifted())
    assert found == {"steady": Estimate(0.7, 0.02, 90.0), "fallen": Estimate(0.4, 0.2, 80.0)}
    assert notes(watch.drifted(), ["steady", "fallen"]) == ["fallen goes by its prior: worse than learned"]


def test_another_version_of_a_target_is_drift_and_another_target_is_not() -> None:
    watch = DriftWatch()
    watch.answered_as("a", "p/a", "a-2026-01")
    watch.answered_as("a", "q/a", "another-a")
    assert watch.drifted() == {}
    watch.answered_as("a", "p/a", "a-2026-02")
    assert watch.drifted() == {"a": "p/a now answers as a-2026-02, before as a-2026-01"}


def test_answers_that_cost_other_than_expected_are_drift_and_their_spread_is_not() -> None:
    watch, rng = DriftWatch(), Random(1)
    for _ in range(2000):
        watch.cost("steady", 100.0, 100.0 * rng.lognormvariate(0, 0.8))
    for _ in range(20):
        watch.cost("dear", 100.0, 300.0)
        watch.cost("free", 100.0, 0.0)
    assert watch.priced() == {"dear": "its answers cost more than expected"} and watch.drifted() == {}
    learned = {"steady": Estimate(0.7, 0.02, 90.0), "dear": Estimate(0.7, 0.02, 80.0)}
    found = by_priors(learned, {"dear": Estimate(0.4, 0.2)}, {}, watch.priced())
    assert found == {"steady": Estimate(0.7, 0.02, 90.0), "dear": Estimate(0.7, 0.02)}


@pytest.mark.parametrize(("times", "how"), [(3.0, "slower than measured"), (1 / 3, "faster than measured")])
def test_a_target_that_takes_other_times_is_another_until_it_is_measured_anew(times: float, how: str) -> None:
    watch, rng = PaceWatch(), Random(1)
    assert not any(watch.took("p/a", 500.0, 500.0 * rng.lognormvariate(0, 0.7)) for _ in range(2000))
    drifts = [watch.took("p/a", 500.0, 500.0 * times * rng.lognormvariate(0, 0.7)) for _ in range(40)]
    assert 5 < drifts.index(True) < 40
    assert watch.drifted("p/a", measured=False) == how and watch.drifted("p/b", measured=False) is None
    assert watch.drifted("p/a", measured=True) is None and watch.drifted("p/a", measured=False) is None
