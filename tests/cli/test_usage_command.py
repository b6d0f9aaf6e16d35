"""`dragoman usage`, as the contract has it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dragoman.ledger.journal import Journal
from dragoman.ledger.row import Row

Run = Callable[..., tuple[int, str, str]]
T0 = 1_795_000_000.0  # 2026-11-18


@pytest.fixture
def gateway(home: Path) -> Journal:
    """The journal of a gateway that is still running."""
    book = Journal(home / "state")
    for number in range(4):
        book.append(
            Row(
                request_id=f"req_{number}",
                time=T0 + 86400 * number,
                key="key_1" if number % 2 else None,
                key_name="ci" if number % 2 else None,
                dialect="anthropic",
                model="m",
                target="openai/x",
                account="a",
                attempts=1,
                input=100,
                cached=40,
                output=10,
                cost=1_500_000_000_000,
                total=12.5,
            )
        )
    book.append(Row(request_id="req_refused", time=T0 + 5, model="nope", status=404, error="unknown_model"))
    book.append(Row(request_id="req_unpriced", time=T0 + 6, model="m", target="mine/y", input=1, output=1))
    return book


def ask(run: Run, *words: str) -> Any:
    status, out, err = run("usage", "--json", *words)
    assert (status, err) == (0, "")
    return json.loads(out)


def test_totals_are_requests_tokens_and_money(gateway: Journal, run: Run) -> None:
    found = ask(run)
    assert (found["requests"], found["errors"], found["cost_usd"], found["unpriced"]) == (6, 1, 6.0, 1)
    assert (found["tokens"]["input"], found["tokens"]["cached"], found["tokens"]["output"]) == (401, 160, 41)
    assert set(found["tokens"]) == {
        "input", "cached", "cache_write", "output", "reasoning", "audio_input", "audio_output",
    }  # fmt: skip


def test_asking_twice_counts_nothing_twice_and_new_rows_count(gateway: Journal, run: Run) -> None:
    assert ask(run)["requests"] == ask(run)["requests"] == 6
    gateway.append(Row(request_id="req_new", time=T0))
    assert ask(run)["requests"] == 7


def test_without_anything_the_totals_are_zero(home: Path, run: Run) -> None:
    found = ask(run)
    assert (found["requests"], found["cost_usd"]) == (0, 0)


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("key", ["key_1", None]),
        ("model", ["m", "nope"]),
        ("target", ["openai/x", None, "mine/y"]),
        ("account", ["a", None]),
        ("day", ["2026-11-18", "2026-11-19", "2026-11-20", "2026-11-21"]),
    ],
)
def test_totals_for_each(by: str, names: list[str], gateway: Journal, run: Run) -> None:
    found = ask(run, "--by", by)
    assert found["by"] == by
    assert sorted(str(group[by]) for group in found["groups"]) == sorted(str(name) for name in names)
    assert sum(group["requests"] for group in found["groups"]) == found["requests"] == 6
    assert sum(group["cost_usd"] for group in found["groups"]) == found["cost_usd"]


def test_rows_are_one_object_a_finished_request(gateway: Journal, run: Run) -> None:
    status, out, _ = run("usage", "--rows", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [row["request_id"] for row in rows] == ["req_0", "req_refused", "req_unpriced", "req_1", "req_2", "req_3"]
    row = rows[3]
    assert (row["key"], row["model"], row["target"], row["account"], row["status"]) == (
        "key_1",
        "m",
        "openai/x",
        "a",
        200,
    )
    assert (row["tokens"]["input"], row["tokens"]["cached"], row["tokens"]["output"]) == (100, 40, 10)
    assert (row["cost_usd"], row["times"]["total"], row["time"]) == (1.5, 12.5, T0 + 86400)
    assert (rows[1]["status"], rows[1]["error"], rows[1]["target"]) == (404, "unknown_model", None)
    assert rows[2]["cost_usd"] is None  # unknown is not zero


@pytest.mark.parametrize(
    ("words", "requests"),
    [
        (("--since", "2026-11-20"), 2),
        (("--until", "2026-11-19"), 3),
        (("--since", "2026-11-19", "--until", "2026-11-20T00:00+00:00"), 1),
        (("--since", "1s"), 0),
        (("--since", "5000w"), 6),
    ],
)
def test_a_range_of_time_takes_only_what_is_in_it(
    words: tuple[str, ...], requests: int, gateway: Journal, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dragoman.cli.usage.time.time", lambda: T0 + 30 * 86400)
    assert ask(run, *words)["requests"] == requests
    status, out, _ = run("usage", "--rows", "--json", *words)
    assert status == 0 and len(out.splitlines()) == requests


def test_people_get_tables(gateway: Journal, run: Run) -> None:
    assert "$6.00" in run("usage")[1]
    assert "total" in run("usage", "--by", "model")[1]
    out = run("usage", "--rows")[1]
    assert "404 unknown_model" in out and "unknown" in out and "2026-11-18" in out
