"""One decision, one record, which replays bit for bit."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given

from dragoman.routing.decide import Case, decide
from dragoman.routing.estimate import Estimate, Estimates, Query
from dragoman.routing.needs import digest_of
from dragoman.routing.offpolicy import Logged, evaluate, rethought
from dragoman.routing.record import Record, Unreplayable, read, replay, written
from routing.cases import case, cases, option


class ByLength:
    """A predictor under which long prompts are hard for the small model."""

    name = "len1"

    def predict(self, query: Query, models: Sequence[str]) -> Estimates:
        small = 0.9 if len(query.prompt) < 10 else 0.2
        return Estimates(0.0, {model: Estimate(small if model == "small" else 0.8, 0.1, 200.0) for model in models})


def recorded(made: Case, **fields: str) -> Record:
    return Record(id="dec_1", time=1.0, route="auto", case=made, decision=decide(made), **fields)  # type: ignore[arg-type]


@given(cases())
def test_a_stored_record_replays_bit_for_bit(made: Case) -> None:
    record = recorded(made)
    again = read(written(record))
    assert again == record
    assert msgspec.json.encode(replay(again)) == msgspec.json.encode(record.decision)


def routed(prompt: str, keep: bool = True) -> Record:
    made = case((option("small", 0.1), 0.0), (option("large", 10.0), 0.0))
    found = ByLength().predict(Query(prompt=prompt), ["small", "large"])
    made.estimates = [found.candidates["small"], found.candidates["large"]]
    made.predictor = ByLength.name
    return recorded(made, digest=digest_of(prompt), **({"prompt": prompt} if keep else {}))


def test_with_the_artifact_and_the_prompt_the_estimates_are_replayed_too() -> None:
    for prompt in ("short", "a long and winding prompt"):
        record = routed(prompt)
        assert replay(read(written(record)), ByLength()) == record.decision
        assert replay(routed(prompt, keep=False), ByLength(), prompt) == record.decision


def test_a_record_keeps_no_prompt_unless_told_to() -> None:
    assert b"winding" not in bytes(written(routed("a long and winding prompt", keep=False)))


@pytest.mark.parametrize(
    ("change", "prompt", "why"),
    [
        ({}, None, "has no prompt"),
        ({}, "another prompt", "this is not the prompt"),
        ({"version": 99}, "short", "of version 99"),
    ],
)
def test_what_can_not_be_replayed_says_why(change: dict[str, int], prompt: str | None, why: str) -> None:
    record = msgspec.structs.replace(routed("short", keep=False), **change)
    with pytest.raises(Unreplayable, match=why):
        replay(record, ByLength(), prompt)


def test_another_artifact_can_not_replay() -> None:
    made = routed("short")
    made.case.predictor = "other"
    with pytest.raises(Unreplayable, match='made with "other"'):
        replay(made, ByLength())


# off policy


def logged(chosen: str, propensity: float, outcome: float, new: str) -> Logged:
    return Logged(chosen=chosen, propensity=propensity, outcome=outcome, new=new, predicted={"a": 0.5, "b": 0.6})


def test_a_policy_that_chooses_the_same_is_worth_what_happened() -> None:
    found = evaluate([logged("a", 1.0, value, "a") for value in (0.2, 0.4, 0.6)])
    for value in (found.logged, found.ips, found.snips, found.dr):
        assert value.mean == pytest.approx(0.4)
    assert (found.agreement, found.overlap) == (1.0, 1.0)


def test_another_policy_is_valued_right_from_explored_decisions() -> None:
    """`a` is worth 0.3 and `b` 0.9. The old policy takes `a` in 80 %, the new one always `b`."""
    decisions = [logged("a", 0.8, 0.3, "b")] * 800 + [logged("b", 0.2, 0.9, "b")] * 200
    found = evaluate(decisions)
    assert found.logged.mean == pytest.approx(0.42)
    for value in (found.ips, found.snips, found.dr):
        assert value.mean == pytest.approx(0.9)
    low, high = found.dr.interval()
    assert low < 0.9 < high and found.dr.se < found.ips.se


def test_records_are_thought_over_with_a_new_artifact() -> None:
    class Reverse(ByLength):
        name = "len2"

        def predict(self, query: Query, models: Sequence[str]) -> Estimates:
            return Estimates(0.0, {model: Estimate(0.9 if model == "large" else 0.1, 0.1) for model in models})

    found = rethought([(routed("short"), 1.0), (routed("hidden", keep=False), 1.0)], Reverse())
    assert [(each.chosen, each.new, each.possible) for each in found] == [("small", "large", False)]
    assert evaluate(found).overlap == 0.0
