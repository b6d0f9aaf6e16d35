"""`dragoman compare`, against fakes of providers."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes import start
from fakes.fake import Fake

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def provider() -> Iterator[Fake]:
    with start("openai-chat") as fake:
        yield fake


@pytest.fixture
def prompts(home: Path, provider: Fake) -> Path:
    (home / "dragoman.toml").write_text(
        f"""
[state]
dir = "state"
[[accounts]]
name = "a"
provider = "openai"
key = "{provider.key}"
base_url = "{provider.base_url}"
[[models]]
name = "small"
targets = ["openai/gpt-small"]
price = {{ input = 1, output = 4 }}
[[models]]
name = "large"
targets = ["openai/gpt-large"]
[[models]]
name = "broken"
targets = ["anthropic/nobody"]
"""
    )
    lines = [{"id": "p1", "prompt": "one & only", "task": "math"}, {"prompt": "<two>"}]
    (home / "prompts.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return home


def test_answers_price_and_speed_side_by_side(prompts: Path, run: Run) -> None:
    status, out, _ = run("compare", "prompts.jsonl", "--models", "small,large")
    assert status == 0
    assert "small" in out and "unknown" in out and "No verdict: nobody judged" in out
    told = json.loads((prompts / "comparison" / "report.json").read_text())
    small, large = told["models"]
    assert (small["answers"], small["errors"], large["cost_per_answer_usd"]) == (2, 0, None)
    assert small["cost_per_thousand_usd"] == pytest.approx(1000 * small["cost_per_answer_usd"])
    assert small["total_ms"] >= small["ttft_ms"] > 0
    page = (prompts / "comparison" / "report.html").read_text()
    assert "one &amp; only" in page and "&lt;two&gt;" in page and "<two>" not in page
    assert "You said: one &amp; only" in page
    assert (prompts / "comparison" / "outcomes.jsonl").read_text() == ""  # no quality without a verdict


def test_a_judge_that_always_prefers_a_place_is_swayed_and_decides_nothing(
    prompts: Path, run: Run, provider: Fake
) -> None:
    """The fake repeats what it was asked: its last verdict is the example's, always a tie; so nothing is decided."""
    status, out, _ = run("compare", "prompts.jsonl", "--models", "small,large", "--judges", "small", "--json")
    told = json.loads(out)
    assert status == 0 and told["winner"] is None
    assert [judge["judge"] for judge in told["judges"]] == ["small"]
    assert len(told["verdicts"]) == 2 and told["judging_usd"] > 0
    lines = [json.loads(line) for line in (prompts / "comparison" / "outcomes.jsonl").read_text().splitlines()]
    assert [(line["id"], line.get("task")) for line in lines] == [("p1", "math"), ("line-2", None)]
    assert lines[0]["outcomes"]["small"]["quality"] == 0.5 and lines[0]["outcomes"]["small"]["cost_usd"] > 0
    assert "cost_usd" not in lines[0]["outcomes"]["large"]


@pytest.fixture
def votes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the person at the terminal says, one after the other; then they stop."""
    said: list[str] = []
    monkeypatch.setattr("dragoman.cli.compare.typer.prompt", lambda *_, **__: said.pop(0) if said else "q")
    return said


def test_people_vote_without_names(prompts: Path, run: Run, votes: list[str]) -> None:
    votes += ["l"]
    out = run("compare", "prompts.jsonl", "--models", "small,large", "--vote")[1]
    told = json.loads((prompts / "comparison" / "report.json").read_text())
    assert [each["judge"] for each in told["verdicts"]] == ["you"] and "- you: " in out
    blind = out[out.index("===") : out.index("model ")]
    assert "small" not in blind and "large" not in blind
    assert "you (a person, blind)" in (prompts / "comparison" / "report.html").read_text()


def test_a_comparison_is_voted_on_later_by_several_and_all_of_it_becomes_outcomes(
    prompts: Path, run: Run, votes: list[str], provider: Fake
) -> None:
    run("compare", "prompts.jsonl", "--models", "small,large", "--judges", "small")
    asked = len(provider.requests)
    votes += ["l", "r"]
    run("compare", "comparison", "--vote", "--voter", "ann")
    votes += ["t"]
    out = run("compare", "comparison", "--vote", "--voter", "bob")[1]
    assert len(provider.requests) == asked
    assert "- ann: " in out and "1 of 2: " in out
    told = json.loads((prompts / "comparison" / "report.json").read_text())
    assert [(each["judge"], each["person"], each["comparisons"]) for each in told["judges"]] == [
        ("ann", True, 2),
        ("bob", True, 1),
        ("small", False, 2),
    ]
    scores = {(each["judge"], each["prompt"]): each["score"] for each in told["verdicts"]}
    lines = [json.loads(line) for line in (prompts / "comparison" / "outcomes.jsonl").read_text().splitlines()]
    assert len(scores) == 5 and {line["id"] for line in lines} == {"p1", "line-2"}
    assert all(set(line["outcomes"]) == {"small", "large"} for line in lines)
    assert run("compare", "comparison", "--vote", "--voter", "ann")[1].count("===") == 0  # she has seen all


def test_votes_are_not_lost_to_another_comparison_in_their_folder(prompts: Path, run: Run, votes: list[str]) -> None:
    votes += ["l"]
    run("compare", "prompts.jsonl", "--models", "small,large", "--vote")
    status, _, err = run("compare", "prompts.jsonl", "--models", "small,large")
    assert status == 2 and "take another folder" in " ".join(err.replace("│", " ").split())
    assert run("compare", "prompts.jsonl", "--models", "small,large", "--out", "more")[0] == 0


def test_a_judge_s_name_is_no_voter_s(prompts: Path, run: Run) -> None:
    run("compare", "prompts.jsonl", "--models", "small,large", "--judges", "small")
    assert run("compare", "comparison", "--vote", "--voter", "small")[0] == 2


def test_a_folder_without_a_comparison_is_told(prompts: Path, run: Run) -> None:
    status, _, err = run("compare", ".")
    assert status == 2 and "is no comparison" in " ".join(err.replace("│", " ").split())


def test_a_model_that_fails_is_counted_and_told(prompts: Path, run: Run) -> None:
    status, out, err = run("compare", "prompts.jsonl", "--models", "small,broken", "--limit", "1", "--json")
    told = json.loads(out)
    assert (status, told["models"][1]["errors"], told["prompts"]) == (0, 1, 1)
    assert "broken: p1: " in err


@pytest.mark.parametrize(
    ("content", "words", "mend"),
    [
        ('{"id": "x"}', ("--models", "a,b"), "line 1"),
        ("", ("--models", "a,b"), "has no prompts"),
        ('{"prompt": "x"}', ("--models", "a"), "two models at least"),
        ('{"prompt": "x", "id": "1"}\n{"prompt": "y", "id": "1"}', ("--models", "a,b"), "the same id"),
    ],
)
def test_bad_usage_is_told(prompts: Path, run: Run, content: str, words: tuple[str, ...], mend: str) -> None:
    (prompts / "prompts.jsonl").write_text(content)
    status, _, err = run("compare", "prompts.jsonl", *words)
    assert status == 2 and mend in " ".join(err.replace("│", " ").split())
