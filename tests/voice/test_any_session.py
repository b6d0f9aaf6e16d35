"""Whatever happens in whatever order: valid events in the right order, an end to everything, nothing left behind."""

from random import Random

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from .simulation import Simulation

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # another seed is another session: there is nothing to shrink


@settings(max_examples=120, deadline=None, phases=PHASES)
@given(st.integers(0, 2**32), st.integers(1, 80))
def test_any_session_keeps_to_the_protocol_and_comes_to_rest(seed: int, steps: int) -> None:
    session = Simulation(Random(seed))
    for _ in range(steps):
        session.step()
    session.settle()
    answers = session.dialogue.answers
    assert answers.active is None
    assert len(session.events) > 1
    session.end()


@settings(max_examples=40, deadline=None, phases=PHASES)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_any_session_may_end_at_any_point(seed: int, steps: int) -> None:
    session = Simulation(Random(seed))
    for _ in range(steps):
        session.step()
    session.end()


@settings(max_examples=30, deadline=None, phases=PHASES)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_a_session_that_only_listens_never_answers(seed: int, steps: int) -> None:
    session = Simulation(Random(seed), kind="transcription")
    for _ in range(steps):
        session.step()
    session.settle()
    assert not [event for event in session.events if event["type"].startswith("response.")]
    session.end()
