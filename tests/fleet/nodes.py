"""Several gateways as real processes with several workers each, that share their limits over Redis."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from e2e.gateway import GatewayProcess

COUNT, WORKERS = 3, 2


@contextmanager
def nodes(
    redis: str, state: Path | None = None, fallback: str = "degrade", **tables: Any
) -> Iterator[list[GatewayProcess]]:
    """All of them, once they have found each other. `state`: one folder for all, that they may share keys."""
    shared = {"shared": redis, "shared_fallback": fallback}
    tables["server"] = {"workers": WORKERS, "queue_seconds": 50} | tables.get("server", {})
    with ExitStack() as stack:
        made = []
        for _ in range(COUNT):
            node = GatewayProcess(**tables)
            node.tables["state"] = {"dir": str(state or node.state)} | shared
            node.write(**node.tables)
            made.append(node)
        with ThreadPoolExecutor() as threads:
            list(threads.map(GatewayProcess.start, made))
        for node in made:
            stack.push(node.__exit__)
        yield made


def logged(node: GatewayProcess, text: str) -> int:
    """How often it has said so."""
    return sum(text in line for line in list(node.log))
