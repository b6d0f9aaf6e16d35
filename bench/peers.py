"""The other gateways, for `python -m bench`: how each is started as a proxy of the scripted provider, in one worker.

A peer is measured where it is found, or where `--peer NAME=PROGRAM` says it is:

| name | program | from |
|---|---|---|
| litellm | the command `litellm` | `pip install 'litellm[proxy]'`, best into an environment of its own |
| portkey | `node_modules/@portkey-ai/gateway/build/start-server.js` | `npm install @portkey-ai/gateway` |
| switchyard | a Python that has it | `pip install nemo-switchyard` |

Each does what it does as it comes: none of them writes a ledger then, or counts a key's limits, as Dragoman does here.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_MASTER = "sk-bench-58d1f3c0a94e4b7f8f1f6a2b"
_SWITCHYARD = """
import sys, threading
from switchyard_rust.server import Server
server = Server(sys.argv[1], int(sys.argv[2]))
threading.Event().wait()
"""


@dataclass(frozen=True)
class Started:
    """`headers`: what its clients have to send. `ready`: a path that is answered once it serves."""

    command: list[str]
    headers: dict[str, str]
    ready: str = "/"
    environment: dict[str, str] | None = None


@dataclass(frozen=True)
class Peer:
    name: str
    title: str
    start: Callable[[str, Path, int, int], Started]  # program, folder, its port, the provider's
    program: str | None = None  # the command it is found by


def _litellm(program: str, folder: Path, port: int, to: int) -> Started:
    file = folder / "litellm.yaml"
    one = {"model": "hosted_vllm/mock-1", "api_base": f"http://127.0.0.1:{to}/v1", "api_key": "sk-bench-0123456789"}
    settings = {
        "model_list": [{"model_name": "mock-1", "litellm_params": one}],
        "general_settings": {"master_key": _MASTER},
    }
    file.write_text(json.dumps(settings))  # JSON is YAML
    command = [program, "--config", str(file), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    return Started(command, {"authorization": f"Bearer {_MASTER}"}, "/health/liveliness")


def _portkey(program: str, folder: Path, port: int, to: int) -> Started:
    headers = {
        "authorization": "Bearer sk-bench-0123456789",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{to}/v1",
    }
    command = [shutil.which("node") or "node", program, "--headless", f"--port={port}"]
    return Started(command, headers, environment={"TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"})


def _switchyard(program: str, folder: Path, port: int, to: int) -> Started:
    file = folder / "routes.toml"
    file.write_text(
        f"""schema_version = 1
[llm_clients.bench]
format = "openai_chat"
base_url = "http://127.0.0.1:{to}/v1"
api_key_env = "BENCH_KEY"
[targets.one]
id = "mock-1"
llm_client = "bench"
[routes.mock-1]
id = "mock-1"
type = "passthrough"
target = "one"
"""
    )
    command = [program, "-c", _SWITCHYARD, str(file), str(port)]
    return Started(command, {}, environment={"BENCH_KEY": "sk-bench-0123456789"})


PEERS = (
    Peer("litellm", "LiteLLM", _litellm, "litellm"),
    Peer("portkey", "Portkey", _portkey),
    Peer("switchyard", "Switchyard", _switchyard),
)


def found(said: list[str]) -> list[tuple[Peer, str]]:
    """The peers that can be measured, with their programs. `said`: NAME=PROGRAM. Raises `SystemExit`."""
    programs = {peer.name: path for peer in PEERS if peer.program and (path := shutil.which(peer.program))}
    for word in said:
        name, _, program = word.partition("=")
        if not program or name not in {peer.name for peer in PEERS}:
            names = ", ".join(peer.name for peer in PEERS)
            raise SystemExit(f"--peer {word}: expected NAME=PROGRAM, NAME one of {names}")
        programs[name] = program
    return [(peer, programs[peer.name]) for peer in PEERS if peer.name in programs]
