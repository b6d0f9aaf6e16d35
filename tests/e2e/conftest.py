"""The world of the tests, and the table they print."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from e2e.columns import COLUMNS, Column
from e2e.rows import ROWS
from e2e.world import World


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """One gateway with every fake behind it, for all tests of a process."""
    running = World().start()
    yield running
    running.stop()


class Cell:
    """One cell of the matrix: a client in one of its modes, and an upstream."""

    def __init__(self, world: World, row: str, column: str) -> None:
        self.row, self.column = row, COLUMNS[column]
        self.client, self.mode = ROWS[row]
        self.world, self.fake = world, world.fakes[column]

    @property
    def shows_thinking(self) -> bool:
        """Whether thinking that was asked for can be seen.

        Azure's responses show it, its chat completions don't. OpenAI's responses show it only to who asks to see it,
        for which chat completions have no word.
        """
        if self.column.name == "openai-responses":
            return self.client.can_ask_to_see
        return self.column.shows or (self.column.name == "azure" and self.client.surface == "openai-responses")

    def talk(self, model: str | None = None, **wishes: Any) -> Any:
        """A conversation through this cell."""
        name = self.column.name + (f".{model}" if model else "")
        return self.client(self.world.gateway.url, self.mode, name, **wishes)


@pytest.fixture(params=ROWS)
def row(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=COLUMNS)
def column(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cell(world: World, row: str, column: str, record_property: Callable[[str, Any], None]) -> Iterator[Cell]:
    """A cell; the fake behind it must come out of the test unbroken."""
    record_property("cell", f"{row} {column}")
    made = Cell(world, row, column)
    yield made
    assert made.fake.crashes == []


_results: defaultdict[str, Counter[str]] = defaultdict(Counter)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    cell = next((str(value) for name, value in report.user_properties if name == "cell"), None)
    if cell is not None and (report.when == "call" or report.failed):
        _results[cell][report.outcome] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Clients × upstreams: how many scenarios passed in each cell."""
    if not _results:
        return
    write = terminalreporter.write
    terminalreporter.section("clients (rows) through the gateway onto upstreams (columns): scenarios passed")
    names = list(COLUMNS)
    width = max(map(len, ROWS)) + 1
    terminalreporter.write_line(" " * width + " ".join(f"{name:>16}" for name in names))
    for row in ROWS:
        write(f"{row:<{width}}")
        for name in names:
            counts = _results[f"{row} {name}"]
            passed, total = counts["passed"], sum(counts.values())
            text = f"{passed}/{total}" if total else "-"
            write(f"{text:>16} ", green=bool(total) and passed == total, red=passed < total)
        terminalreporter.write_line("")


__all__ = ["Cell", "Column"]
