"""Whatever happens in whatever order: valid events in the right order, an end to everything, nothing left behind.

A seed is a session, of up to eighty things that happen; there is nothing to shrink. `DRAGOMAN_SESSIONS` sets how many
there are of each kind: 200 with every run of the tests, thousands on occasion.
"""

import os
from random import Random

import pytest

from .simulation import Simulation

SESSIONS = int(os.environ.get("DRAGOMAN_SESSIONS", "200"))
PART = 25  # sessions of one test


def seeds(part: int) -> range:
    return range(part, min(part + PART, SESSIONS))


@pytest.mark.parametrize("part", range(0, SESSIONS, PART))
def test_any_session_keeps_to_the_protocol_and_comes_to_rest(part: int) -> None:
    for seed in seeds(part):
        session = Simulation(Random(seed))
        for _ in range(1 + seed % 80):
            session.step()
        session.settle()
        assert session.dialogue.answers.active is None, seed
        assert len(session.events) > 1
        session.end()


@pytest.mark.parametrize("part", range(0, SESSIONS, PART))
def test_any_session_may_end_at_any_point(part: int) -> None:
    for seed in seeds(part):
        session = Simulation(Random(seed + 10**6))
        for _ in range(1 + seed % 60):
            session.step()
        session.end()


@pytest.mark.parametrize("part", range(0, SESSIONS, PART))
def test_a_session_that_only_listens_never_answers(part: int) -> None:
    for seed in seeds(part):
        session = Simulation(Random(seed), kind="transcription")
        for _ in range(1 + seed % 60):
            session.step()
        session.settle()
        assert not [event for event in session.events if event["type"].startswith("response.")], seed
        session.end()


def test_a_turn_that_was_open_when_turn_detection_changed_is_not_taken_for_idleness() -> None:
    session = Simulation(Random(10**6 + 48))  # which does so
    for _ in range(49):
        session.step()
    session.end()


@pytest.mark.parametrize("after", range(40))
def test_an_answer_may_be_broken_into_at_every_point(after: int) -> None:
    """One answer, of which so many steps are made before somebody speaks into it."""
    for seed in range(3):
        session = Simulation(Random(seed))
        session.dialogue.client({"type": "response.create"}, session.now)
        session.follow()
        for _ in range(after):
            session.progress()
        session.hear(800)
        session.hear(800, loud=False)
        session.settle()
        assert session.dialogue.answers.active is None
        session.end()
