"""What takes long to import is imported in a thread, when it is first needed: requests go on meanwhile."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, json, sys, threading
from pathlib import Path

asked = {}

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("sqlalchemy", "prometheus_client", "numpy"):
            asked.setdefault(name, "loop" if threading.current_thread() is threading.main_thread() else "thread")

sys.meta_path.insert(0, Watch())
from dragoman.access.keys import KeyBook
from dragoman.config import parse
from dragoman.gateway import Gateway
from dragoman.ledger.journal import Journal
from dragoman.ledger.responses import Kept
from dragoman.server.metrics import Metrics
from dragoman.server.pages import Ask, Pages
from dragoman.wire.client import Client

async def main(state, what):
    config = f'[state]\\ndir = "{state}"\\n[[models]]\\nname = "m"\\ntargets = ["openai/x"]\\n[[routes]]\\nname = "auto"\\nmodels = ["m"]'
    settings = parse(config.encode(), "dragoman.toml", Path(state), {})
    keys, journal, metrics = KeyBook(settings.state), Journal(settings.state.path), Metrics()
    gateway = Gateway(settings, client=Client(), journal=journal, keys=keys, observe=metrics.observe)
    if what == "a stored response":
        await gateway.responses.save(Kept(id="resp_1", items=[], response={}))
    else:
        method, path = what.split(" ")
        pages = Pages(gateway, metrics, lambda: False, None)
        handler, rest = pages.find(method, path)
        body = b'{"decision": "dec_1", "score": 1}'
        print((await pages.answer(handler, Ask(method, path, rest, {}, {}, body))).status, file=sys.stderr)
    await gateway.close()

assert not asked, asked
asyncio.run(main(*sys.argv[1:]))
print(json.dumps(asked))
"""  # noqa: E501 - a program


@pytest.mark.parametrize(
    ("what", "package"),
    [
        ("a stored response", "sqlalchemy"),
        ("GET /dragoman/v1/usage", "sqlalchemy"),
        ("GET /dragoman/v1/accounts", "sqlalchemy"),
        ("GET /dragoman/v1/decisions", "sqlalchemy"),
        ("GET /dragoman/v1/decisions/dec_1", "sqlalchemy"),
        ("POST /dragoman/v1/feedback", "sqlalchemy"),
        ("GET /metrics", "prometheus_client"),
    ],
)
def test_the_first_use_holds_up_nobody(tmp_path: Path, what: str, package: str) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), what]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {package: "thread"}
