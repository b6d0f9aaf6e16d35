"""`dragoman router`, end to end on small made outcomes."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from routing.made import LARGE, SMALL, outcomes

Run = Callable[..., tuple[int, str, str]]


def written(path: Path, rows: list[object]) -> str:
    text = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return str(path)


@pytest.fixture
def artifact(home: Path, run: Run) -> str:
    learn = written(home / "learn.jsonl.gz", [*outcomes(300, 1)])
    status, out, _ = run("router", "train", learn, "--out", str(home / "r.dgm"))
    assert status == 0
    assert "300 questions, 2 models" in out
    return str(home / "r.dgm")


def test_scores_are_one_object_a_line(artifact: str, home: Path, run: Run) -> None:
    queries = written(home / "q.jsonl", [{"id": "a", "prompt": "Compute the matrix of the integral."}])
    assert run("router", "score", artifact, queries, "--out", str(home / "s.jsonl"))[0] == 0
    (line,) = (home / "s.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert found["id"] == "a"
    assert 0 <= found["novelty"] <= 1
    assert set(found["candidates"]) == {LARGE, SMALL}
    assert set(found["candidates"][LARGE]) == {"quality", "quality_se", "output_tokens"}
    assert run("router", "score", artifact, queries, "--out", "-")[1].strip() == line


def test_training_is_the_same_for_the_same_seed(artifact: str, home: Path, run: Run) -> None:
    again = str(home / "again.dgm")
    run("router", "train", str(home / "learn.jsonl.gz"), "--out", again, "--seed", "0")
    assert Path(again).read_bytes() == Path(artifact).read_bytes()


def test_evaluation_prints_the_numbers_and_draws_the_curve(artifact: str, home: Path, run: Run) -> None:
    test = written(home / "test.jsonl", [*outcomes(200, 2)])
    status, out, _ = run("router", "eval", artifact, test, "--plot", str(home / "curve.svg"))
    assert status == 0
    for word in ("APGR", "CPT50", "CPT80", "saving at 99 %", "oracle"):
        assert word in out
    assert ElementTree.parse(home / "curve.svg").getroot().tag.endswith("svg")  # it is our own
    found = json.loads(run("router", "eval", artifact, test, "--json")[1])
    assert found["pair"]["strong"] == LARGE
    assert found["pair"]["apgr"]["value"] > 0.7
    assert found["savings"]["hull"] <= found["savings"]["router"]["value"] <= found["savings"]["oracle"]


def test_models_that_are_missing_from_many_rows_are_compared_on_those_that_have_them(
    artifact: str, home: Path, run: Run
) -> None:
    rows = [*outcomes(200, 2)]
    for row in rows[::4]:
        del row.outcomes[SMALL]
    found = json.loads(run("router", "eval", artifact, written(home / "test.jsonl", rows), "--json")[1])
    assert (found["questions"], found["pair"]["strong"]) == (150, LARGE)


def test_outcomes_without_costs_say_what_is_missing(artifact: str, home: Path, run: Run) -> None:
    bare = [
        {
            "id": row.id,
            "prompt": row.prompt,
            "outcomes": {model: {"quality": one.quality} for model, one in row.outcomes.items()},
        }
        for row in outcomes(60, 3)
    ]
    test = written(home / "bare.jsonl", bare)
    _, out, _ = run("router", "eval", artifact, test)
    assert "--price MODEL=USD" in out
    _, out, _ = run("router", "eval", artifact, test, "--price", f"{LARGE}=10", "--price", f"{SMALL}=1")
    assert "saving at 99 %" in out


def test_a_certificate_has_what_the_contract_says(artifact: str, home: Path, run: Run) -> None:
    test = written(home / "test.jsonl", [*outcomes(600, 5)])
    words = ["--strong", LARGE, "--weak", SMALL, "--epsilon", "0.05", "--out", str(home / "c.json")]
    assert run("router", "certify", artifact, test, *words)[0] == 0
    found = json.loads((home / "c.json").read_text())
    assert found["labels"] == 600
    assert found["epsilon"] == 0.05 and found["delta"] == 0.05
    assert 0.2 < found["weak_share"] < 0.6
    assert isinstance(found["threshold"], float)
    assert found["measured_loss"] <= 0.05


def test_what_cannot_be_certified_is_null(artifact: str, home: Path, run: Run) -> None:
    test = written(home / "few.jsonl", [*outcomes(20, 5)])
    words = ["--strong", LARGE, "--weak", SMALL, "--epsilon", "0.02", "--out", "-"]
    assert json.loads(run("router", "certify", artifact, test, *words)[1])["threshold"] is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id": "a", ', "line 3: "),
        ('{"id": "a", "prompt": "x"}', "missing required field `outcomes`"),
        ('{"id": "a", "prompt": "x", "outcomes": {"m": {"quality": 7}}}', "quality"),
    ],
)
def test_a_bad_line_is_named_with_its_mend(line: str, said: str, home: Path, run: Run) -> None:
    good = msgspec.json.encode(outcomes(1)[0]).decode()
    (home / "bad.jsonl").write_text(f"{good}\n\n{line}\n")
    status, _, error = run("router", "train", str(home / "bad.jsonl"), "--out", str(home / "r.dgm"))
    assert status == 1
    assert "bad.jsonl: line 3" in error and said in error and "expected {" in error
    assert not (home / "r.dgm").exists()


def test_files_of_windows_are_read(home: Path, run: Run) -> None:
    file = Path(written(home / "w.jsonl", [*outcomes(60, 1)]))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert run("router", "train", str(file), "--out", str(home / "w.dgm"))[0] == 0


def test_a_cut_archive_is_named(home: Path, run: Run) -> None:
    written(home / "cut.jsonl.gz", [*outcomes(9)])
    (home / "cut.jsonl.gz").write_bytes((home / "cut.jsonl.gz").read_bytes()[:-30])
    status, _, error = run("router", "train", str(home / "cut.jsonl.gz"), "--out", str(home / "r.dgm"))
    assert status == 1 and "not a whole gzip file" in error


def test_a_model_that_the_artifact_does_not_know_is_named(artifact: str, home: Path, run: Run) -> None:
    test = written(home / "t.jsonl", [*outcomes(9)])
    words = ["--strong", "gpt-9", "--weak", SMALL, "--epsilon", "0.02", "--out", "-"]
    status, _, error = run("router", "certify", artifact, test, *words)
    assert status == 1 and "gpt-9" in error


def test_a_file_that_is_no_artifact_is_refused(home: Path, run: Run) -> None:
    (home / "r.dgm").write_text("hello")
    status, _, error = run("router", "score", str(home / "r.dgm"), str(home / "r.dgm"), "--out", "-")
    assert status == 1 and "not a router artifact" in error
