"""The gateway as its users run it: `python -m dragoman serve`, in a process of its own."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

import httpx

_LISTENS = re.compile(r"listens on (https?://\S+)")


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
        case list() | tuple() | set() | frozenset():
            return "[" + ", ".join(map(toml, value)) + "]"
        case _:
            return json.dumps(value)


def config(**tables: Any) -> str:
    """A config file: a dict is a table, a list of dicts an array of tables."""
    lines: list[str] = []
    for name, table in tables.items():
        for entry in table if isinstance(table, list) else [table]:
            lines.append(f"[[{name}]]" if isinstance(table, list) else f"[{name}]")
            lines += [f"{key} = {toml(value)}" for key, value in entry.items() if value is not None]
    return "\n".join(lines) + "\n"


class GatewayProcess(AbstractContextManager["GatewayProcess"]):
    """A running gateway with a config and a state directory of its own.

    `log` holds what it wrote to its standard error so far.
    """

    def __init__(self, *, environ: dict[str, str] | None = None, **tables: Any) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dragoman-e2e-")
        self.folder = Path(self._folder.name)
        self.state = self.folder / "state"
        self.file = self.folder / "dragoman.toml"
        self.tables = {"state": {"dir": str(self.state)}, **tables}
        self.log: list[str] = []
        self.url = ""
        self._environ = environ
        self._news = threading.Condition()
        self.write(**self.tables)

    def write(self, **tables: Any) -> None:
        """Replaces the config file in one step."""
        fresh = self.folder / "fresh.toml"
        fresh.write_text(config(**tables))
        fresh.replace(self.file)

    def start(self) -> Self:
        """Starts it on a free port and waits until it answers."""
        command = [sys.executable, "-m", "dragoman", "serve", "--config", str(self.file), "--port", "0"]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=self._environ, start_new_session=True
        )
        threading.Thread(target=self._listen, daemon=True).start()
        self.url = _LISTENS.search(self.wait_log("listens on"))[1]  # type: ignore[index]  # it was just seen
        return self

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.log.append(line)
                self._news.notify_all()
        with self._news:
            self.log.append("")
            self._news.notify_all()

    def wait_log(self, text: str, timeout: float = 15.0) -> str:
        """The first line of the log with `text` in it, as soon as it is there."""

        def found() -> str | None:
            return next((line for line in self.log if text in line), None)

        with self._news:
            self._news.wait_for(lambda: found() is not None or (self.log and self.log[-1] == ""), timeout)
            line = found()
        if line is None:
            raise AssertionError(f"the gateway never said {text!r}, only:\n" + "".join(self.log))
        return line

    def reload(self) -> None:
        """SIGHUP."""
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """Ends it as an operator would. Returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def kill(self) -> None:
        """Ends it as a crash would, with all its workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(15)

    def children(self) -> list[int]:
        """The processes it has started: with several workers, its steward first (none with a Redis), then they."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def rows(self) -> list[dict[str, Any]]:
        """What `dragoman usage --rows --json` says."""
        return [json.loads(line) for line in self.run("usage", "--rows", "--json").stdout.splitlines()]

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Another command of the program, on the same config."""
        command = [sys.executable, "-m", "dragoman", *arguments, "--config", str(self.file)]
        return subprocess.run(command, check=check, capture_output=True, text=True, timeout=60)

    def http(self, **options: Any) -> httpx.Client:
        """A plain HTTP client for it."""
        return httpx.Client(base_url=self.url, timeout=30, **options)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()
