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


def test_people_vote_without_names(prompts: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(*_: object, **__: object) -> str:
        asked.append("")
        return "1" if len(asked) == 1 else "q"

    monkeypatch.setattr("dragoman.cli.compare.typer.prompt", answer)
    out = run("compare", "prompts.jsonl", "--models", "small,large", "--vote")[1]
    told = json.loads((prompts / "comparison" / "report.json").read_text())
    assert [each["judge"] for each in told["verdicts"]] == ["you"] and "- you: " in out
    blind = out[out.index("===") : out.index("model ")]
    assert "small" not in blind and "large" not in blind


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
