"""docs/ARCHITECTURE.md tells the truth about what is where."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "dragoman"
PAGE = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
FLOORS = re.findall(r"^\| \d \| `(\w+)` \|", PAGE, re.M)
NAMED = sorted(set(re.findall(r"`((?:\w+/)+\w+\.(?:py|md|toml))`", PAGE)))
HELD_BY = sorted(set(re.findall(r"`(tests/[\w/.]+)`", PAGE)))


def packages() -> set[str]:
    """Every package and top-level module of the source that has code in it."""
    folders = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    return folders | {path.stem for path in SOURCE.glob("*.py") if not path.stem.startswith("__")}


def test_every_package_stands_on_a_floor() -> None:
    assert set(FLOORS) == packages()


@pytest.mark.parametrize("name", NAMED)
def test_a_module_that_is_named_exists(name: str) -> None:
    assert (SOURCE / name).is_file() or (ROOT / name).is_file()


@pytest.mark.parametrize("name", HELD_BY)
def test_a_test_that_is_named_exists(name: str) -> None:
    assert (ROOT / name).exists()


def test_the_import_floors_are_those_of_the_page() -> None:
    """The order of the page is the order that import-linter holds."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    linted = [name for layer in layers for name in re.findall(r"\w+", layer) if name != "__main__"]
    assert linted == FLOORS
