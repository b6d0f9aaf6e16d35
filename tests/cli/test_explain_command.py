"""`dragoman explain` and `dragoman decisions`."""

import json
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from dragoman import config
from dragoman.catalog.directory import Directory
from dragoman.catalog.prices import PriceBook
from dragoman.config import State
from dragoman.gateway.router import Router
from dragoman.ledger.decisions import Feedback, say
from dragoman.ledger.fold import fold
from dragoman.ledger.journal import Journal
from dragoman.ledger.row import Row
from dragoman.ledger.store import Store
from dragoman.routing.constraints import NOTHING
from dragoman.routing.needs import Needs, digest_of
from dragoman.routing.priors import Priors

Run = Callable[..., tuple[int, str, str]]
CONFIG = """
[state]
dir = "state"

[[accounts]]
name = "a"
provider = "openai"
key = "sk-very-secret-1234"

[[models]]
name = "small"
targets = ["openai/nano"]
price = { input = 0.1, output = 0.4 }
quality = 0.6

[[models]]
name = "large"
targets = ["openai/huge"]
price = { input = 10, output = 40 }
quality = 0.9
capabilities = ["vision"]

[[routes]]
name = "auto"
models = ["small", "large"]
mode = "cost"
"""


@pytest.fixture
def routes(home: Path) -> Path:
    (home / "dragoman.toml").write_text(CONFIG)
    return home


def ask(home: Path, **fields: object) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "What is a dragoman?"}]} | fields
    (home / "request.json").write_text(json.dumps(body))


def test_people_get_a_table_of_every_candidate(routes: Path, run: Run) -> None:
    ask(routes)
    status, out, err = run("explain", "request.json")
    assert (status, err) == (0, "")
    assert "Chosen: small (openai/nano): the best by the mode's utility" in out
    assert "→" in out and "large" in out and "would choose large with mode=quality" in out


def test_programs_get_numbers(routes: Path, run: Run) -> None:
    ask(routes, dragoman={"min_quality": 0.8})
    status, out, _ = run("explain", "request.json", "--json")
    found = json.loads(out)
    assert (status, found["chosen"], found["target"], found["reason"]) == (0, "large", "openai/huge", "only")
    chosen, ruled = found["candidates"]
    assert chosen["feasible"] and chosen["cost_usd"] > 0 and chosen["utility"] is not None
    assert (ruled["model"], ruled["ruled_out"]) == ("small", ["quality 0.60, min_quality is 0.8"])


def test_what_the_request_needs_is_seen(routes: Path, run: Run) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
    ask(routes, messages=[{"role": "user", "content": [image]}])
    found = json.loads(run("explain", "request.json", "--json")[1])
    assert (found["chosen"], found["needs"]) == ("large", ["vision"])
    assert found["candidates"][1]["ruled_out"] == ["lacks vision (declare it in its capabilities if it has)"]


def test_a_request_of_any_dialect_and_another_route_or_model(routes: Path, run: Run) -> None:
    (routes / "request.json").write_text('{"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}')
    assert json.loads(run("explain", "request.json", "--json")[1])["model"] == "auto"
    found = json.loads(run("explain", "request.json", "--json", "--model", "large")[1])
    assert [each["model"] for each in found["candidates"]] == ["large"]


def test_where_nothing_fits_the_nearest_relaxation_is_shown(routes: Path, run: Run) -> None:
    ask(routes)
    status, out, _ = run("explain", "request.json", "--constraints", "min_quality=0.95")
    assert status == 0 and "Nothing fits. Nearest: with min_quality=0.9, large would do" in out


@pytest.mark.parametrize(
    ("fields", "words", "mend"),
    [
        ({"dragoman": {"mod": "cost"}}, (), "did you mean mode?"),
        ({"model": "nobody"}, (), 'no model or route is named "nobody"'),
        ({}, ("--dialect", "morse"), "expected one of openai-chat"),
        ({"messages": "hi"}, (), "messages: expected"),
    ],
)
def test_nonsense_is_bad_usage(
    fields: dict[str, object], words: tuple[str, ...], mend: str, routes: Path, run: Run
) -> None:
    ask(routes, **fields)
    status, _, err = run("explain", "request.json", *words)
    assert status == 2 and mend in " ".join(err.replace("│", " ").split())


def test_constraints_of_a_route_that_make_no_sense_are_a_bad_config(routes: Path, run: Run) -> None:
    (routes / "dragoman.toml").write_text(CONFIG + "constraints = { needs = [''] }\n")
    ask(routes)
    status, _, err = run("explain", "request.json")
    assert status == 2 and 'routes "auto": constraints.needs: expected a list' in err


# decisions


@pytest.fixture
def booked(routes: Path) -> None:
    """One routed request and one for a plain model, with what was said of them."""
    found = config.load(routes / "dragoman.toml")
    prices = PriceBook(found)
    router = Router(found, Directory(found, prices), prices)
    choice = router.choose("auto", Needs(prompt="a private matter", digest="d1"), NOTHING, now=5.0)
    assert choice is not None
    now = time.time() - 60
    row = Row(request_id="req_1", time=now, model="auto", decision="dec_1", target="openai/nano", attempts=1)
    row.record = router.record(choice, row)
    with_journal = Journal(routes / "state")
    with_journal.append(row)
    with_journal.append(Row(request_id="req_2", time=now + 1, model="large", decision="dec_2", target="openai/huge"))
    with_journal.close()
    state = State(dir=str(routes / "state"))
    fold(state)
    with Store(state) as store:
        assert say(store, Feedback(decision="dec_1", time=now, quality=0.25, corrected="large", source="reviewer"))
        assert not say(store, Feedback(decision="dec_9", time=now, quality=1.0))


def test_a_decision_is_shown_whole(booked: None, run: Run) -> None:
    for name in ("dec_1", "req_1"):
        found = json.loads(run("decisions", name, "--json")[1])
        assert (found["id"], found["chosen"], found["route"], found["replays"]) == ("dec_1", "small", "auto", True)
        assert found["happened"]["target"] == "openai/nano" and found["features"]["digest"] == "d1"
        assert found["feedback"][0]["quality"] == 0.25
    out = run("decisions", "dec_1")[1]
    assert "Chosen: small" in out and "Happened: 200" in out
    assert "Feedback of reviewer: quality 0.25, better large" in out
    assert "private matter" not in out


def test_a_plain_model_has_a_decision_too(booked: None, run: Run) -> None:
    found = json.loads(run("decisions", "dec_2", "--json")[1])
    assert (found["chosen"], found["reason"], found["candidates"]) == ("large", "direct", [])
    assert "the model that was asked for" in run("decisions", "dec_2")[1]


def test_the_list_has_what_routes_chose_and_all_on_demand(booked: None, run: Run) -> None:
    out = run("decisions")[1]
    assert "dec_1" in out and "dec_2" not in out and "best" in out
    assert [json.loads(line)["id"] for line in run("decisions", "--all", "--json")[1].splitlines()] == [
        "dec_2",
        "dec_1",
    ]


def test_an_unknown_decision_fails(booked: None, run: Run) -> None:
    status, _, err = run("decisions", "dec_nope")
    assert status == 1 and "no decision or request has the id dec_nope" in err


def test_judged_decisions_become_outcomes_where_the_prompt_was_kept(booked: None, routes: Path, run: Run) -> None:
    out = run("decisions", "--outcomes", "mine.jsonl")[1]
    assert "0 outcomes; 1 judged ones have no prompt: set record_prompts on the route" in out


@pytest.fixture
def kept(routes: Path) -> None:
    """Ten judged decisions of a route that keeps prompts."""
    (routes / "dragoman.toml").write_text(CONFIG + "record_prompts = true\nexplore = 0.01\n")
    found = config.load(routes / "dragoman.toml")
    prices = PriceBook(found)
    router, book, now = Router(found, Directory(found, prices), prices), Journal(routes / "state"), time.time() - 60
    state = State(dir=str(routes / "state"))
    for k in range(10):
        needs = Needs(prompt=f"question {k}", digest=digest_of(f"question {k}"))
        choice = router.choose("auto", needs, NOTHING, now=now, draw=0.5)
        assert choice is not None
        row = Row(request_id=f"req_{k}", time=now, model="auto", decision=f"dec_{k}", target="openai/nano", output=7)
        row.cost, row.record = 10**9, router.record(choice, row)
        book.append(row)
    book.close()
    fold(state)
    with Store(state) as store:
        for k in range(10):
            assert say(store, Feedback(decision=f"dec_{k}", time=now, quality=k / 10))


def test_outcomes_have_what_training_needs(kept: None, routes: Path, run: Run) -> None:
    assert "10 outcomes" in run("decisions", "--outcomes", "mine.jsonl")[1]
    lines = {line["id"]: line for line in map(json.loads, (routes / "mine.jsonl").read_text().splitlines())}
    assert lines["dec_3"]["prompt"] == "question 3"
    assert lines["dec_3"]["outcomes"] == {"small": {"quality": 0.3, "output_tokens": 7, "cost_usd": 0.001}}


def test_another_artifact_is_valued_on_what_was_logged(kept: None, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("dragoman.routing.predictor")
    module.load = lambda path: Priors({"small": 0.9, "large": 0.1})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dragoman.routing.predictor", module)
    found = json.loads(run("decisions", "--evaluate", "new.dgm", "--json")[1])
    assert (found["decisions"], found["agreement"], found["overlap"]) == (10, 1.0, 1.0)
    assert found["logged"]["mean"] == pytest.approx(0.45) and found["ips"]["mean"] == pytest.approx(0.45, rel=0.01)
    out = run("decisions", "--evaluate", "new.dgm")[1]
    assert "doubly robust" in out and "10 judged decisions" in out
