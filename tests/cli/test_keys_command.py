"""`dragoman keys`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dragoman.access.keys import KeyBook
from dragoman.config import State

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def state(home: Path) -> State:
    return State(dir=str(home / "state"))


def create(run: Run, *options: str) -> dict[str, Any]:
    status, out, err = run("keys", "create", "--json", *options)
    assert (status, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


def test_create_prints_id_name_and_key(home: Path, run: Run) -> None:
    made = create(run, "--name", "ci")
    assert set(made) == {"id", "name", "key"}
    assert made["name"] == "ci" and made["key"].startswith("dgm-")


def test_a_created_key_opens_with_its_limits(state: State, run: Run) -> None:
    made = create(
        run, "--budget", "0.1", "--period", "day", "--rpm", "5", "--tpm", "9", "--models", "a, openai/b", "--admin",
        "--expires", "2100-01-01",
    )  # fmt: skip
    book = KeyBook(state)
    book.load()
    who = book.find(made["key"])
    assert who is not None
    assert (who.id, who.budget, who.period, who.rpm, who.tpm) == (made["id"], 10**11, "day", 5, 9)
    assert (who.models, who.admin, who.expires) == (frozenset({"a", "openai/b"}), True, 4_102_444_800.0)
    book.close()


def test_an_empty_list_of_models_makes_no_key_for_everything(home: Path, run: Run) -> None:
    status, out, err = run("keys", "create", "--models", " , ")
    assert (status, out) == (2, "") and "--models" in err
    assert json.loads(run("keys", "list", "--json")[1]) == []


def test_list_shows_keys_and_never_a_secret(home: Path, run: Run) -> None:
    made = create(run, "--name", "ci", "--budget", "5")
    for words in (("keys", "list"), ("keys", "list", "--json")):
        status, out, _ = run(*words)
        assert status == 0 and made["id"] in out and "ci" in out
        assert made["key"] not in out and made["key"][4:] not in out
    listed = json.loads(out)
    assert listed[0]["budget_usd"] == 5 and listed[0]["spent_usd"] == 0 and listed[0]["revoked"] is None


def test_a_revoked_key_opens_nothing(state: State, run: Run) -> None:
    made = create(run)
    assert run("keys", "revoke", made["id"])[0] == 0
    book = KeyBook(state)
    book.load()
    assert book.find(made["key"]) is None
    book.close()
    assert "revoked" in run("keys", "list").out  # type: ignore[attr-defined]  # a named tuple


def test_revoking_a_key_that_is_not_there_fails_and_says_where_to_look(home: Path, run: Run) -> None:
    status, out, err = run("keys", "revoke", "key_none")
    assert (status, out) == (1, "") and "keys list" in err


def test_the_secret_is_shown_once_to_people_too(home: Path, run: Run) -> None:
    status, out, _ = run("keys", "create")
    assert status == 0 and out.startswith("dgm-") and "only time" in out
