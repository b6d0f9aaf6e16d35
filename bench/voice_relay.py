"""What a relayed realtime session costs: the time an event takes through the gateway, and memory a session.

    python bench/voice_relay.py [--sessions 200] [--seconds 20] [--every 0.1]

Three processes: a provider, the gateway (`dragoman serve`, one worker), and the clients. Every client appends a piece
of sound (`--every` seconds of 24 kHz PCM) in its turn, and the provider answers each with a piece as large. Both say
when they sent it, on the machine's one clock; the time to the other end is measured through the gateway and, in the
same way, without it. The difference is what the gateway adds to an event. All sessions are open at the same time.
"""

import argparse
import asyncio
import base64
import json
import multiprocessing
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from dragoman.server.http import Connection, Listener, Request
from dragoman.server.response import Response
from dragoman.wire.upgrade import connect
from dragoman.wire.websocket import Socket

CREATED = json.dumps(
    {
        "type": "session.created",
        "event_id": "event_0",
        "session": {
            "type": "realtime",
            "id": "sess_0",
            "model": "gpt-realtime",
            "audio": {"input": {"turn_detection": None}},
        },
    }
)
_SENT = re.compile(r'"event_id":"t(\d+)"')


def piece(seconds: float) -> str:
    return base64.b64encode(os.urandom(int(seconds * 48_000))).decode()


def event(kind: str, fields: str) -> str:
    return f'{{"type":"{kind}","event_id":"t{time.monotonic_ns()}",{fields}}}'


def taken(message: str) -> float | None:
    """Milliseconds that a message was on its way."""
    found = _SENT.search(message[:200])
    return None if found is None else (time.monotonic_ns() - int(found[1])) / 1e6


def provide(port_out, seconds: float) -> None:
    """The provider, in a process of its own; answers `GET /times` with what it has measured."""
    fields = f'"response_id":"r","item_id":"i","output_index":0,"content_index":0,"delta":"{piece(seconds)}"'
    times: list[float] = []

    async def application(request: Request, out: Response) -> None:
        if not request.upgrade:
            body = json.dumps(times).encode()
            times.clear()
            await out.whole(200, b"content-type: application/json\r\n", body)
            return
        socket = out.accept()
        await socket.send(CREATED)
        while (message := await socket.receive()) is not None:
            if (ms := taken(message)) is not None:
                times.append(ms)
            await socket.send(event("response.output_audio.delta", fields))

    async def main() -> None:
        listener = Listener(application, lambda: 1000)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(listener), "127.0.0.1", 0, backlog=1024)
        port_out.send(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    uvloop.run(main())


async def times_of(port: int) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /times HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    answer = await reader.read(-1)
    writer.close()
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def drive(url: str, sessions: int, seconds: float, every: float) -> list[float]:
    """Talks on `sessions` sessions at once; what the events took on their way to the clients."""
    fields = f'"audio":"{piece(every)}"'
    back: list[float] = []

    async def listen(socket: Socket) -> None:
        while (message := await socket.receive()) is not None:
            if (ms := taken(message)) is not None:
                back.append(ms)

    async def talk(socket: Socket) -> None:
        await asyncio.sleep(random.random() * every)
        end = time.monotonic() + seconds
        due = time.monotonic()
        while time.monotonic() < end:
            await socket.send(event("input_audio_buffer.append", fields))
            due += every
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    sockets = [await connect(url, [(b"authorization", b"Bearer x")]) for _ in range(sessions)]
    ears = [asyncio.create_task(listen(socket)) for socket in sockets]
    await asyncio.gather(*map(talk, sockets))
    await asyncio.sleep(0.5)
    await asyncio.gather(*(socket.close() for socket in sockets))
    await asyncio.gather(*ears)
    return back


def quantiles(times: list[float]) -> tuple[float, float]:
    ordered = sorted(times)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]


def resident(pid: int) -> float:
    """MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu(pid: int) -> float:
    """Seconds of CPU so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--every", type=float, default=0.1, help="seconds of sound in an event")
    wish = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    provider = multiprocessing.Process(target=provide, args=(theirs, wish.every), daemon=True)
    provider.start()
    port = ours.recv()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "dragoman.toml"
        file.write_text(
            f'[state]\ndir = "{folder}/state"\n[[accounts]]\nname = "a"\nprovider = "openai"\nkey = "x"\n'
            f'base_url = "http://127.0.0.1:{port}/v1"\nmax_in_flight = 100000\n'
        )
        gateway = subprocess.Popen(
            [sys.executable, "-m", "dragoman", "serve", "--config", str(file), "--port", "0"],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            line = next(line for line in gateway.stderr if "listens on" in line)
            through = re.search(r"(http://\S+)", line)[1]
            straight = f"ws://127.0.0.1:{port}/v1/realtime?model=gpt-realtime"
            relayed = through.replace("http", "ws") + "/v1/realtime?model=openai/gpt-realtime"
            uvloop.run(drive(relayed, 5, 1.0, wish.every))  # warm
            uvloop.run(times_of(port))
            before = resident(gateway.pid)
            found = {}
            for name, url in (("straight", straight), ("relayed", relayed)):
                used = cpu(gateway.pid)
                back = uvloop.run(drive(url, wish.sessions, wish.seconds, wish.every))
                there = uvloop.run(times_of(port))
                found[name] = quantiles(there), quantiles(back)
                spent = cpu(gateway.pid) - used
                print(
                    f"{name:>9}: to the provider p50 {found[name][0][0]:.3f} p99 {found[name][0][1]:.3f} ms; "
                    f"to the client p50 {found[name][1][0]:.3f} p99 {found[name][1][1]:.3f} ms; "
                    f"{len(there)} + {len(back)} events"
                )
            events = len(there) + len(back)
            for way, index in (("to the provider", 0), ("to the client", 1)):
                p50 = found["relayed"][index][0] - found["straight"][index][0]
                p99 = found["relayed"][index][1] - found["straight"][index][1]
                print(f"added {way}: p50 {p50:.3f} ms, p99 {p99:.3f} ms")
            print(f"gateway: {spent / events * 1e6:.0f} µs of CPU an event, {spent / wish.seconds:.0%} of a core")
            print(
                f"memory: {(resident(gateway.pid) - before) / wish.sessions:.3f} MB a session ({before:.0f} MB before)"
            )
        finally:
            gateway.terminate()
            gateway.wait()
            provider.terminate()


if __name__ == "__main__":
    main()
