"""A decision, told."""

from dragoman.routing.constraints import Constraints
from dragoman.routing.decide import decide
from dragoman.routing.latency import Pace
from dragoman.routing.narrate import explained, nearest_relaxation, table, why_nothing_fits
from routing.cases import case, option

SMALL, LARGE = option("small", 0.1), option("large", 10.0)


def test_where_nothing_fits_every_candidate_is_named_with_all_that_rules_it_out() -> None:
    made = case(
        (SMALL, 0.5), (option("large", 10.0, window=800), 0.9), (option("text", capabilities=("tools",)), 0.9),
        limits=Constraints(max_cost_usd=0.0015, min_quality=0.8), capabilities=("vision",), max_output_tokens=100,
    )  # fmt: skip
    made.paces = [Pace()] * 3
    assert why_nothing_fits("auto", made) == (
        'no model of "auto" fits. small: quality 0.50, min_quality is 0.8. '
        "large: about 1,000 tokens in and up to 100 out, its context window is 800; "
        "costs about $0.015, max_cost_usd is 0.0015. "
        "text: lacks vision. Nearest: with min_quality=0.5, small would do"
    )


def test_the_nearest_relaxation_is_the_fewest_limits_and_then_the_least_change() -> None:
    limits = Constraints(max_cost_usd=0.001, min_quality=0.8)
    made = case((option("near", 1.0), 0.85), (option("far", 2.0), 0.9), (option("two", 1.0), 0.1), limits=limits)
    found = nearest_relaxation(made)
    assert found is not None and found.model == "near" and found.keys == {"max_cost_usd": 0.002}
    assert nearest_relaxation(case((option("blind", capabilities=()), 0.5), capabilities=("vision",))) is None


def test_the_nearest_relaxation_really_helps() -> None:
    for usd in (0.123456, 7.77777, 3e-5):
        made = case((option("a", usd), 0.654321), limits=Constraints(max_cost_usd=0, min_quality=0.9))
        found = nearest_relaxation(made)
        assert found is not None
        made.limits = Constraints(**found.keys)  # type: ignore[arg-type]
        assert decide(made).reason == "only"


def test_counterfactuals_say_what_would_have_changed_the_choice() -> None:
    made = case((SMALL, 0.5), (LARGE, 0.9), limits=Constraints(max_cost_usd=0.0196))
    told = explained(made, decide(made))
    assert told["chosen"] == "small"
    assert "would choose large if max_cost_usd were 0.0004 higher" in told["counterfactuals"]


def test_a_table_has_a_line_a_candidate_the_chosen_first() -> None:
    unpriced = option("unpriced", None, capabilities=())
    made = case((unpriced, 0.9), (SMALL, 0.5), (LARGE, 0.55), capabilities=("tools",), streams=True)
    lines = table(explained(made, decide(made)))
    assert [(line[0], line[1]) for line in lines] == [("→", "small"), ("", "large"), ("✗", "unpriced")]
    assert lines[0][2:6] == ("0.50 ± 0.10", "$0.0002", "900 ms?", "4,233 ms?")
    assert lines[0][7] == "the best by the mode's utility"
    assert lines[1][7].startswith("quality +0.550, cost -0.100")
    assert lines[2][7] == "lacks tools"
