"""What the gateway costs, beside nginx, in one run: CPU per request of the whole process, memory, start-up, size.

    python -m bench [--seconds 5] [--rounds 3] [--peer NAME=PROGRAM ...] [--out docs/BENCHMARKS.md]

It needs nginx and wrk (Debian packages). One worker of each; the load is wrk's, the provider is `bench/upstream.py`.
Other gateways are measured beside them where they are there: see `bench/peers.py`.
Rounds alternate between nginx and the gateway, and the ratio is taken within each round, so that a machine whose speed
drifts does not favour either. CPU is user + system time of the process, read from /proc.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import decision, peers

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
CHAT = {
    "model": "mock-1",
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Say something about foxes and dogs, please, in forty tokens."},
    ],
    "temperature": 0.7,
    "max_tokens": 100,
}
MESSAGES = {
    "model": "mock-1",
    "system": "You are a helpful assistant.",
    "messages": [{"role": "user", "content": "Say something about foxes and dogs, please, in forty tokens."}],
    "temperature": 0.7,
    "max_tokens": 100,
}


@dataclasses.dataclass
class Case:
    name: str
    path: str
    body: dict[str, object]
    connections: int
    goal: float


CASES = [
    Case("whole, relayed", "/v1/chat/completions", CHAT, 32, 3.5),
    Case("whole, converted (anthropic to openai-chat)", "/v1/messages", MESSAGES, 32, 6.0),
    Case("50-chunk stream, relayed", "/v1/chat/completions", CHAT | {"stream": True}, 64, 1.6),
    Case("50-chunk stream, converted (anthropic to openai-chat)", "/v1/messages", MESSAGES | {"stream": True}, 64, 2.2),
]
MANY = Case("whole, relayed, 100 accounts", "/v1/chat/completions", CHAT | {"model": "many"}, 32, 3.5)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu(pid: int) -> float:
    """Seconds of CPU the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss(pid: int) -> float:
    """Resident memory of the process, in MB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


@contextlib.contextmanager
def running(
    command: list[str], port: int, path: str = "/", environment: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """The process, and the seconds it took until it answered at `port`."""
    start = time.perf_counter()
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env=os.environ | (environment or {}))
    try:
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                    connection.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
                    if connection.recv(16):
                        break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit(f"{command[0]} ended with status {process.returncode}") from None
                time.sleep(0.005)
        yield process, time.perf_counter() - start
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def upstream(folder: Path) -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, str(HERE / "upstream.py"), str(port)])
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()


def nginx_config(folder: Path, port: int, to: int) -> list[str]:
    file = folder / "nginx.conf"
    file.write_text(
        f"""
worker_processes 1; daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  upstream provider {{ server 127.0.0.1:{to}; keepalive 256; keepalive_requests 10000000; }}
  server {{
    listen 127.0.0.1:{port}; keepalive_requests 10000000;
    location / {{
      proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""
    )
    return [shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(file)]


def gateway_config(folder: Path, port: int, to: int) -> list[str]:
    file = folder / "dragoman.toml"
    many = "".join(
        f"""
[[accounts]]
name = "many-{i}"
provider = "openai"
key = "sk-many-{i:010}"
base_url = "http://127.0.0.1:{to}/v1"
models = ["mock-many"]
max_in_flight = 1000
rpm = 1000000
tpm = 1000000000
"""
        for i in range(100)
    )
    file.write_text(
        many
        + f"""
[server]
port = {port}
[state]
dir = "{folder}/state"
[access]
mode = "keys"
[[accounts]]
name = "bench"
provider = "openai"
key = "sk-bench-0123456789"
base_url = "http://127.0.0.1:{to}/v1"
models = ["mock-1"]
max_in_flight = 10000
[[models]]
name = "mock-1"
targets = ["openai/mock-1"]
price = {{ input = 1.25, cached_input = 0.125, output = 10.0 }}
[[models]]
name = "many"
targets = ["openai/mock-many"]
price = {{ input = 1.25, cached_input = 0.125, output = 10.0 }}
"""
    )
    return [sys.executable, "-m", "dragoman", "serve", "--config", str(file)]


def make_key(folder: Path) -> str:
    command = [sys.executable, "-m", "dragoman", "keys", "create", "--name", "bench", "--rpm", "100000000", "--json"]
    made = subprocess.run([*command, "--config", str(folder / "dragoman.toml")], check=True, capture_output=True)
    return str(json.loads(made.stdout)["key"])


class Refused(Exception):
    """Not every answer was good."""


def load(
    folder: Path, case: Case, port: int, key: str, seconds: float, pid: int, headers: dict[str, str] | None = None
) -> float:
    """Microseconds of the process's CPU per request under wrk. Raises `Refused`."""
    script = folder / "load.lua"
    body = json.dumps(case.body, separators=(",", ":"))
    said = {"content-type": "application/json", "authorization": f"Bearer {key}"} | (headers or {})
    lines = "".join(f"wrk.headers['{name}'] = '{value}'\n" for name, value in said.items())
    script.write_text(f"wrk.method = 'POST'\nwrk.body = [==[{body}]==]\n{lines}")
    before = cpu(pid)
    command = ["wrk", "-t1", f"-c{case.connections}", f"-d{seconds:.0f}s", "--timeout", "30s", "-s", str(script)]
    out = subprocess.run([*command, f"http://127.0.0.1:{port}{case.path}"], check=True, capture_output=True, text=True)
    used = cpu(pid) - before
    found = re.search(r"(\d+) requests in", out.stdout)
    if "Non-2xx" in out.stdout or not found or not int(found[1]):
        raise Refused(f"{case.name}: not every answer was good:\n{out.stdout}")
    return used / int(found[1]) * 1e6


def of_peer(folder: Path, peer: peers.Peer, program: str, to: int, seconds: float) -> list[str]:
    """The columns of a peer: its four cases, seconds until it was ready, its memory then."""
    port = free_port()
    started = peer.start(program, folder, port, to)
    with running(started.command, port, started.ready, started.environment) as (process, ready):
        memory = rss(process.pid)
        cells = []
        for case in (dataclasses.replace(case, connections=8) for case in CASES):  # slow ones have no answer for more
            try:
                load(folder, case, port, "", seconds, process.pid, started.headers)  # warm
                cells.append(f"{load(folder, case, port, '', seconds, process.pid, started.headers):,.0f}")
            except Refused:
                cells.append("fails")
        return [*cells, f"{ready:.1f} s", f"{memory:.0f} MB"]


async def held_streams(port: int, key: str, count: int, pid: int) -> float:
    """Memory of the process, in MB, with `count` streams open at once."""
    body = json.dumps(CHAT | {"stream": True}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode()
    most = 0.0

    async def one() -> None:
        nonlocal most
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + body)
        await reader.readuntil(b"data: ")
        opened.append(1)
        if len(opened) == count:
            most = rss(pid)
            done.set()
        await done.wait()
        writer.close()

    opened: list[int] = []
    done = asyncio.Event()
    await asyncio.gather(*(one() for _ in range(count)))
    return most


async def latency(port: int, path: str, body: bytes, key: str, rate: float, seconds: float) -> list[float]:
    """Milliseconds of each request, sent at a steady `rate` a second, whatever the answers do (open loop)."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode()
    took: list[float] = []
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def one() -> None:
        reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        start = time.perf_counter()
        writer.write(head + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", answer)
        await reader.readexactly(int(found[1]) if found else 0)
        took.append((time.perf_counter() - start) * 1000)
        idle.append((reader, writer))

    loop = asyncio.get_running_loop()
    begin, tasks = loop.time(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begin + number / rate - loop.time()))
        tasks.append(loop.create_task(one()))
    await asyncio.gather(*tasks)
    return sorted(took[len(took) // 5 :])  # the first pay for the connections


def installed_size() -> tuple[int, float]:
    """Packages of the core lock (no extras), and their MB as installed here."""
    lock = (HERE.parent / "requirements" / "core.lock").read_text()
    names = re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)
    files = [file for name in names for file in importlib.metadata.files(name) or []]
    size = 0
    for file in files:
        with contextlib.suppress(OSError):
            size += Path(str(file.locate())).stat().st_size
    return len(names), size / 1e6


def import_time() -> float:
    """Milliseconds of `import dragoman`, the interpreter's own start taken off."""

    def run(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return (time.perf_counter() - start) * 1000

    return statistics.median(run("import dragoman") for _ in range(5)) - statistics.median(run("") for _ in range(5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PROGRAM")
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "BENCHMARKS.md")
    options = parser.parse_args()
    if not shutil.which("wrk") or not (shutil.which("nginx") or Path("/usr/sbin/nginx").exists()):
        raise SystemExit("this needs nginx and wrk: apt-get install nginx wrk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = measure(folder, options.seconds, options.rounds, peers.found(options.peer))
    print(report)
    if options.out:
        options.out.write_text(report + "\n")


def measure(folder: Path, seconds: float, rounds: int, others: list[tuple[peers.Peer, str]]) -> str:
    ports = free_port(), free_port()
    lines = [
        "# Benchmarks",
        "",
        f"One run of `make bench`: {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, one worker each, keys, limits, ledger and metrics on. CPU is of the whole "
        "process, user and system, per request; ratios are medians of rounds in which nginx and Dragoman took turns. "
        "The journal is folded into the database by a process of its own (16 µs a row), not in these figures.",
        "",
        "| work | nginx µs | Dragoman µs | ratio | goal |",
        "|---|---|---|---|---|",
    ]
    with (
        upstream(folder) as to,
        running(nginx_config(folder, ports[0], to), ports[0]) as (nginx, _),
    ):
        command = gateway_config(folder, ports[1], to)
        key = make_key(folder)
        with running(command, ports[1], "/readyz") as (gateway, ready):
            ready_rss = rss(gateway.pid)
            for case in [*CASES, MANY]:
                load(folder, case, ports[1], key, 1, gateway.pid)  # warm
                pairs = [
                    (
                        load(folder, case, ports[0], key, seconds, nginx.pid),
                        load(folder, case, ports[1], key, seconds, gateway.pid),
                    )
                    for _ in range(rounds)
                ]
                ratio = statistics.median(ours / theirs for theirs, ours in pairs)
                theirs, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
                lines.append(f"| {case.name} | {theirs:.0f} | {ours:.0f} | {ratio:.2f} | ≤ {case.goal} |")
                print(lines[-1], file=sys.stderr)
            most = asyncio.run(held_streams(ports[1], key, 1000, gateway.pid))
            body = json.dumps(CHAT).encode()
            rate = 800.0
            direct = asyncio.run(latency(to, "/v1/chat/completions", body, key, rate, seconds))
            through = asyncio.run(latency(ports[1], "/v1/chat/completions", body, key, rate, seconds))
        columns = {peer.title: of_peer(folder, peer, program, to, seconds) for peer, program in others}
    packages, megabytes = installed_size()
    decided, seldom, _ = decision.measure()
    foretold, rarely, _ = decision.measure(decision.SHIPPED)

    def added(share: float) -> float:
        return through[int(len(through) * share)] - direct[int(len(direct) * share)]

    lines += [
        "",
        "| measure | Dragoman | goal |",
        "|---|---|---|",
        f"| added latency at {rate:.0f} requests a second, p50 | {added(0.5):.2f} ms | ≤ 0.3 ms |",
        f"| the same, p99 | {added(0.99):.2f} ms | ≤ 2 ms |",
        f"| memory with 1,000 open streams | {most:.0f} MB | ≤ 120 MB |",
        f"| ready after start | {ready:.2f} s | < 1 s |",
        f"| memory when ready | {ready_rss:.0f} MB | < 80 MB |",
        f"| `import dragoman` | {import_time():.0f} ms | < 150 ms |",
        f"| routing decision, 20 candidates, by priors: p50, p99 | {decided:.0f} µs, {seldom:.0f} µs "
        "| ≤ 100 µs, ≤ 500 µs |",
        f"| the same, quality predicted from the text by the shipped artifact | {foretold:.0f} µs, {rarely:.0f} µs "
        "| ≤ 100 µs, ≤ 500 µs |",
        f"| core install | {packages} packages, {megabytes:.0f} MB | ≤ 35, ≤ 160 MB |",
    ]
    if columns:
        rows = [f"{case.name}, µs" for case in CASES] + ["ready after start", "memory when ready"]
        lines += [
            "",
            "Other gateways as they come, one worker each, in the same run (fails: not every answer was good):",
            "",
            f"| work | {' | '.join(columns)} |",
            f"|---|{'---|' * len(columns)}",
            *(f"| {row} | {' | '.join(cells)} |" for row, *cells in zip(rows, *columns.values(), strict=True)),
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
