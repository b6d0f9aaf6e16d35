"""`dragoman chat` with the embedded model."""

import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., tuple[int, str, str]]
CONFIG = '[state]\ndir = "state"\n[[accounts]]\nname = "home"\nprovider = "local"\n'


@pytest.fixture
def house(home: Path) -> Path:
    """The working directory, with a config that has the embedded model."""
    (home / "dragoman.toml").write_text(CONFIG)
    return home


@pytest.fixture
def rows(house: Path, run: Run) -> Callable[[], list[dict[str, Any]]]:
    """The ledger's rows."""
    return lambda: [json.loads(line) for line in run("usage", "--rows", "--json")[1].splitlines()]


def test_a_prompt_is_answered_by_the_default_model_and_booked(
    house: Path, run: Run, rows: Callable[[], list[dict[str, Any]]]
) -> None:
    status, out, err = run("chat", "Say hello.")
    assert (status, err) == (0, "")
    assert out.strip()
    (row,) = rows()
    assert row["target"] == "local/local"
    assert row["tokens"]["output"] > 0


def test_json_prints_the_reply_object(house: Path, run: Run) -> None:
    status, out, _ = run("chat", "--json", "-m", "local", "Say hello.")
    assert status == 0
    reply = json.loads(out)
    assert reply["object"] == "chat.completion"
    assert reply["choices"][0]["message"]["content"]


@pytest.mark.parametrize("words", [("chat",), ("chat", "-")])
def test_piped_text_is_the_prompt(house: Path, run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("Say hello.\n"))
    status, out, _ = run(*words)
    assert status == 0
    assert out.strip()


def test_nothing_to_ask_is_bad_usage(house: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    status, out, err = run("chat", "-")
    assert (status, out) == (2, "")
    assert "nothing to ask" in err


def test_an_unknown_model_is_said_on_stderr(house: Path, run: Run, rows: Callable[[], list[dict[str, Any]]]) -> None:
    status, out, err = run("chat", "-m", "nope", "hi")
    assert (status, out) == (1, "")
    assert 'no model is named "nope"' in err
    assert rows()[0]["error"] == "unknown_model"


def test_without_any_model_the_mend_is_named(home: Path, run: Run) -> None:
    status, _, err = run("chat", "hi")
    assert status == 2
    assert "-m provider/model-id" in err


def test_keys_are_for_those_who_come_over_the_network(house: Path, run: Run) -> None:
    (house / "dragoman.toml").write_text(CONFIG + '[access]\nmode = "keys"\n')
    assert run("chat", "Say hello.")[0] == 0


def test_a_conversation_keeps_what_was_said(
    house: Path, run: Run, monkeypatch: pytest.MonkeyPatch, rows: Callable[[], list[dict[str, Any]]]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    lines: Iterator[str] = iter(["Say hello.", "", "Say it again."])

    def ask(_: str) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("builtins.input", ask)
    status, _, err = run("chat")
    assert status == 0
    assert "You talk to local" in err
    first, second = rows()
    assert second["tokens"]["input"] >= first["tokens"]["input"] + first["tokens"]["output"]


def test_ctrl_c_ends_the_answer_and_books_it(house: Path, rows: Callable[[], list[dict[str, Any]]]) -> None:
    command = [sys.executable, "-m", "dragoman", "chat", "Write a very long story about ten dragons."]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, b"")
    (row,) = rows()
    assert row["error"] == "client_left"
