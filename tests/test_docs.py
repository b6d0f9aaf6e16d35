"""The documentation says what is so: its configs load, its links lead somewhere, its references are whole."""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from dragoman import config
from dragoman.catalog.directory import Directory
from dragoman.catalog.prices import PriceBook
from dragoman.catalog.providers import PROVIDERS
from dragoman.cli import COMMANDS, assemble
from dragoman.server import surfaces
from dragoman.server.calls.desk import Calls
from dragoman.server.pages import Pages

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WRITTEN_LATER = {"BENCHMARKS.md"}  # by `make bench`
HTTP = (ROOT / "docs" / "http.md").read_text()


def blocks() -> Iterator[Any]:
    for page in PAGES:
        for number, text in enumerate(re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.M | re.S)):
            if not text.startswith("# ~/"):  # another program's config
                yield pytest.param(text, id=f"{page.name}-{number}")


class Anything(Mapping[str, str]):
    """An environment with every variable there may be."""

    def __getitem__(self, name: str) -> str:
        return "value"

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize("text", blocks())
def test_a_config_in_the_documentation_loads(text: str, tmp_path: Path) -> None:
    (tmp_path / "sa.json").write_text("{}")
    settings = config.parse(text.encode(), "dragoman.toml", tmp_path, Anything())
    Directory(settings, PriceBook(settings))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, _, heading in re.findall(r"\]\((?!http)([^)#]*)(#([^)]*))?\)", page.read_text()):
        path = page.parent / target if target else page
        if path.name in WRITTEN_LATER:
            continue
        assert path.is_file(), target
        if heading:
            anchors = [re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
                       for line in re.findall(r"^#+ (.+)$", path.read_text(), re.M)]  # fmt: skip
            assert heading in anchors, f"{target}#{heading}"


def test_the_config_page_has_every_key_and_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import config_reference

    assert config_reference.missing() == set()
    assert config_reference.PAGE.read_text() == config_reference.page(), "run scripts/config_reference.py"
    sys.modules.pop("config_reference")


def commands(group: Any, prefix: str = "dragoman") -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}"


def test_the_command_line_page_has_every_command_and_no_other() -> None:
    app: typer.Typer = assemble(list(COMMANDS))
    page = (ROOT / "docs" / "cli.md").read_text()
    assert sorted(re.findall(r"^## `(dragoman .+)`$", page, re.M)) == sorted(commands(get_command(app)))


# what the page says of all in one sentence each
TWINS = (
    "/v1/v1/",
    "/messages",
    "/anthropic/messages",
    "/openai/",
    "/v1beta/openai/",
    "/v1alpha/",
    "/v1beta1/",
    "/models",
    "/realtime/",
)


def test_the_http_page_has_every_surface() -> None:
    paths = [path for path in surfaces._EXACT if not path.startswith(TWINS) and path.startswith(("/v1", "/a"))]
    paths += [f"/v1beta/models/{{model}}:{op}" for op in surfaces._GEMINI_OPS]
    assert [path for path in paths if f"{path}`" not in HTTP] == []


def test_the_http_page_has_every_page() -> None:
    pages = Pages(None, None, lambda: False, None)  # type: ignore[arg-type]  # only its tables are looked at
    prefixes = {path for _, path, _ in pages._by_prefix if path.startswith(("/v1", "/anthropic"))}
    paths = [path for _, path in pages._exact] + [f"{path}{{id}}" for path in prefixes]
    assert [path for path in paths if not path.startswith(TWINS) and f"{path}`" not in HTTP] == []


def test_the_http_page_has_no_surface_that_is_not_there() -> None:
    pages = Pages(None, None, lambda: False, None)  # type: ignore[arg-type]  # only its tables are looked at
    calls = Calls(None, None, lambda: None, lambda: None)  # type: ignore[arg-type]  # its paths are
    for method, path in re.findall(r"^\| `(GET|POST|DELETE) ([^`?]+)`", HTTP, re.M):
        there = surfaces.find(path) if method == "POST" else None
        assert there or calls.find(method, path) or pages.find(method, path), f"{method} {path}"


def test_the_providers_page_has_every_provider_and_its_variables() -> None:
    page = (ROOT / "docs" / "providers.md").read_text()
    for provider in PROVIDERS.values():
        row = next((line for line in page.splitlines() if line.startswith(f"| `{provider.name}` |")), "")
        assert all(f"`{name}`" in row for name in provider.env), provider.name
        assert all(name in row for name in provider.dialects), provider.name


def test_every_test_that_the_page_of_reports_names_is_there() -> None:
    """And would be run: it is no helper, and stands in a file of tests."""
    page = (ROOT / "docs" / "field.md").read_text()
    named = re.findall(r"`(tests/[\w/]+/test_\w+\.py)::(test_\w+)`", page) + re.findall(
        r"`(tests/test_\w+\.py)::(test_\w+)`", page
    )
    assert len(named) > 40
    assert [name for file, name in named if f"def {name}(" not in (ROOT / file).read_text()] == []
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    assert [row for row in rows if "::test_" not in row] == []
