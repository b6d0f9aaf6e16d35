"""Runs the program in this process, in an empty directory."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from dragoman.cli import main


class Ran(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a config whose state is beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dragoman.toml").write_text('[state]\ndir = "state"\n')
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """`run("keys", "list")` -> status, what was printed, and what was said on stderr."""

    def start(*words: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["dragoman", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Ran(int(ended.value.code or 0), out, err)

    return start
