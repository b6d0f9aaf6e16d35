"""The lock files are whole: all that is declared is in them, pinned and hashed, and they name no place to get it."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKED = ["core", "dev"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-") for requirement in requirements}


def locked(name: str) -> dict[str, str]:
    """Package -> its entry: the version, and a hash a line."""
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.M)[1:]
    return {entry.partition("==")[0]: entry for entry in entries}


def test_the_core_lock_has_what_the_core_needs() -> None:
    assert names(PROJECT["dependencies"]) <= locked("core").keys()


def test_the_core_stays_small() -> None:
    assert len(locked("core")) <= 34, "35 packages with our own"


@pytest.mark.parametrize("extra", ["local", "voice", "train", "postgres", "otel", "dev"])
def test_the_development_lock_has_the_extra(extra: str) -> None:
    assert names(EXTRAS[extra]) <= locked("dev").keys()


def test_development_and_core_agree_on_versions() -> None:
    everything = locked("dev")
    assert {name: entry.split()[0] for name, entry in locked("core").items()} == {
        name: everything[name].split()[0] for name in locked("core")
    }


@pytest.mark.parametrize("name", LOCKED)
def test_every_package_is_pinned_and_hashed(name: str) -> None:
    assert [
        package for package, entry in locked(name).items() if "==" not in entry or "--hash=sha256:" not in entry
    ] == []


@pytest.mark.parametrize("name", LOCKED)
def test_a_lock_names_no_index_and_no_host(name: str) -> None:
    assert "://" not in (ROOT / "requirements" / f"{name}.lock").read_text()
    assert not re.search(
        r"^\s*-", re.sub(r"--hash=\S+", "", (ROOT / "requirements" / f"{name}.lock").read_text()), re.M
    )
