"""The program as a whole: what it offers, and how it fails."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dragoman import __version__

Run = Callable[..., tuple[int, str, str]]


def test_help_names_every_command_that_is_there(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    for command in ("serve", "check", "keys", "usage", "import"):
        assert command in out


def test_the_version_is_told(run: Run) -> None:
    assert run("--version") == (0, f"dragoman {__version__}\n", "")


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("usage", "--nonsense"),
        ("usage", "--by", "moon"),
        ("usage", "--since", "yesterday-ish"),
        ("keys",),
        ("keys", "create", "--rpm", "0"),
        ("keys", "create", "--budget", "lots"),
        ("keys", "create", "--budget", "-1"),
        ("keys", "create", "--budget", "nan"),
        ("keys", "create", "--period", "day"),
        ("keys", "create", "--expires", "soon"),
        ("keys", "revoke"),
        ("import", "litellm"),
    ],
)
def test_bad_usage_ends_with_2(words: tuple[str, ...], home: Path, run: Run) -> None:
    assert run(*words)[0] == 2


def test_a_bad_config_ends_with_2_and_names_the_mend(home: Path, run: Run) -> None:
    (home / "dragoman.toml").write_text('[server]\nport = "many"\n')
    for words in (("check",), ("usage",), ("keys", "list")):
        assert run(*words) == (2, "", 'dragoman: dragoman.toml: server.port: expected a whole number, got "many"\n')


def test_a_config_that_is_not_there_ends_with_2(home: Path, run: Run) -> None:
    status, _, err = run("check", "--config", "none.toml")
    assert status == 2 and "none.toml: can't be read: No such file" in err


def test_a_state_that_cannot_be_used_ends_with_1(home: Path, run: Run) -> None:
    (home / "state").write_text("a file")
    status, out, err = run("keys", "create")
    assert (status, out) == (1, "") and err.startswith("dragoman: state") and "Traceback" not in err


def test_a_gateway_that_could_book_nothing_does_not_start(home: Path, run: Run) -> None:
    (home / "state").write_text("a file")
    status, out, err = run("serve", "--port", "0")
    assert (status, out) == (2, "") and "state.dir: can't write state" in err


def test_asking_for_help_loads_nothing_heavy() -> None:
    heavy = "{'sqlalchemy', 'numpy', 'uvicorn', 'genai_prices', 'yaml'}"
    code = (
        "import sys; sys.argv = ['dragoman', '--help']\n"
        "from dragoman.cli import main\n"
        "try: main()\n"
        f"except SystemExit: print('heavy', {heavy} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).endswith("heavy set()\n")
