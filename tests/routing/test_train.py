"""What is learned from made outcomes, and what is expected of queries then."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.routing import artifact, lexicon, predictor, train
from dragoman.routing.estimate import Estimates, Query
from dragoman.routing.priors import Priors
from routing.made import LARGE, SMALL, outcomes

SUM = "Compute the matrix of the integral for 12 = x^2 and the polynomial."
TALK = "Tell me about the garden and the river, and what you think of the music."


@cache
def made() -> predictor.Trained:
    return learned(outcomes())


def learned(rows: list[train.Answered]) -> predictor.Trained:
    words = lexicon.shipped()
    return predictor.Trained(artifact.unpack(train.train(rows, words), "router", "made"), words)


def gap(prompt: str, task: str | None = "made", category: str | None = None) -> float:
    found = made().predict(Query(prompt=prompt, task=task, category=category), (LARGE, SMALL)).candidates
    return found[LARGE].quality - found[SMALL].quality


def test_the_large_model_is_worth_more_where_the_small_one_fails() -> None:
    assert gap(SUM) > 0.5
    assert abs(gap(TALK)) < 0.25


def test_a_told_category_counts() -> None:
    assert gap("What now?", category="sums") > gap("What now?", category="talk") + 0.3


def test_answers_are_as_long_as_they_were() -> None:
    talk, sums = (made().predict(Query(prompt=p, task="made"), (LARGE,)).candidates[LARGE] for p in (TALK, SUM))
    assert talk.output_tokens == pytest.approx(40, rel=0.3)
    assert sums.output_tokens == pytest.approx(400, rel=0.3)


def test_the_same_outcomes_and_seed_give_the_same_file() -> None:
    rows = outcomes(60)
    first = train.train(rows, lexicon.shipped(), 3)
    assert first == train.train(rows, lexicon.shipped(), 3)
    assert first != train.train(rows, lexicon.shipped(), 4)


def test_a_strange_query_is_novel_and_believed_less() -> None:
    at_home = made().predict(Query(prompt=SUM, task="made"), (LARGE,))
    abroad = made().predict(Query(prompt="Bonjour, votre chien mange?", task="other"), (LARGE,))
    assert at_home.novelty < 0.5 < abroad.novelty
    assert at_home.candidates[LARGE].quality_se < abroad.candidates[LARGE].quality_se


def test_on_an_unknown_category_the_best_single_model_stays() -> None:
    rows = [row for row in outcomes(400) if row.category == "talk"]
    found = learned(rows).predict(Query(prompt="Define osmosis.", task="made", category="biology"), (LARGE, SMALL))
    means = {m: sum(row.outcomes[m].quality for row in rows) for m in (LARGE, SMALL)}
    best = max(found.candidates, key=lambda m: found.candidates[m].quality)
    assert best == max(means, key=means.__getitem__)


def test_a_small_lead_over_the_best_single_model_is_not_believed_where_the_category_is_not_told() -> None:
    quality = [0.60, 0.65, 0.595, 0.3]
    kept = predictor._cautious(quality, 0, 0.1)
    assert kept[0] > kept[1] > kept[2] > kept[3]
    sure = predictor._cautious(quality, 0, 0.01)
    assert sure[1] > sure[0] > sure[2]


@settings(deadline=None)
@given(st.text(max_size=200))
def test_estimates_are_in_bounds_and_blind_to_white_space(prompt: str) -> None:
    found = made().predict(Query(prompt=prompt, task="made"), (LARGE, SMALL))
    again = made().predict(Query(prompt=f" {prompt}\n", task="made"), (LARGE, SMALL))
    assert found == again
    assert 0 <= found.novelty <= 1
    assert all(0 <= one.quality <= 1 and one.quality_se > 0 for one in found.candidates.values())


def test_models_without_outcomes_are_left_to_the_priors() -> None:
    words = lexicon.shipped()
    file = artifact.unpack(train.train(outcomes(60), words), "router", "made")
    both = predictor.Trained(file, words, Priors({"mine": 0.7}))
    found = both.predict(Query(prompt=TALK), ("mine", LARGE)).candidates
    assert list(found) == ["mine", LARGE]
    assert found["mine"].quality == 0.7
    assert "mine" not in made().predict(Query(prompt=TALK), ("mine",)).candidates


def test_answers_that_are_missing_do_no_harm() -> None:
    rows = [
        train.Answered(id=r.id, task=r.task, category=r.category, prompt=r.prompt, outcomes={m: r.outcomes[m]})
        for number, r in enumerate(outcomes(400))
        for m in [(LARGE, SMALL)[number // 2 % 2]]
    ]
    found = [estimates(learned(rows), prompt).candidates for prompt in (SUM, TALK)]
    assert found[0][LARGE].quality - found[0][SMALL].quality > found[1][LARGE].quality - found[1][SMALL].quality + 0.2


def estimates(trained: predictor.Trained, prompt: str) -> Estimates:
    return trained.predict(Query(prompt=prompt, task="made"), (LARGE, SMALL))


def test_several_tasks_speak_for_one_that_was_not_trained() -> None:
    trained = learned([*outcomes(120, 1, task="one"), *outcomes(120, 2, task="two", categories=False)])
    sums, talk = (
        trained.predict(Query(prompt=prompt, task="three"), (LARGE, SMALL)).candidates for prompt in (SUM, TALK)
    )
    assert sums[LARGE].quality - sums[SMALL].quality > talk[LARGE].quality - talk[SMALL].quality


def test_too_few_questions_are_refused() -> None:
    with pytest.raises(train.TrainingError, match='task "made": 3 questions: expected 8 or more'):
        train.train(outcomes(3), lexicon.shipped())


def test_an_artifact_of_another_lexicon_is_refused() -> None:
    words = lexicon.shipped()
    file = artifact.unpack(train.train(outcomes(60), words), "router", "made")
    about = file.about.replace(words.name.encode(), b"lexicon-000000000000")
    with pytest.raises(artifact.ArtifactError, match="train it anew"):
        predictor.Trained(artifact.File(file.name, about, file.arrays), words)


def test_the_shipped_artifact_loads_and_knows_the_permitted_tasks_only() -> None:
    shipped = predictor.default()
    assert set(shipped.about.tasks) == {"mmlu", "mmlu_pro", "zeroeval", "paretobandit"}
