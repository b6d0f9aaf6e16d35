"""Realtime sessions in numbers: how soon a reply falls silent when somebody speaks into it, how many can talk at once
on one core, whether memory stays flat, and how soon sound comes again when a provider is lost.

    python -m bench.voice_sessions interruptions [--clips N]
    python -m bench.voice_sessions crowd [--sessions 20] [--seconds 60]
    python -m bench.voice_sessions memory [--sessions 50] [--minutes 10]
    python -m bench.voice_sessions losses [--count 100]

The gateway is a process of its own (`dragoman serve`, one worker); models are fakes that answer at once, so that no
language model's time is in it. Recordings are played in real time; those of `tests/speech.py`.

**interruptions**: a long reply of the embedded voice is being heard; one second into it, a recording is played. Counted
from the recording's true onset, at the moment a microphone delivers it (the first 50 ms that are no more than 25 dB
below its loud parts: breath, clicks and noise before it are not yet speech): to the event at which players fall silent
that know it, and calls over WebRTC (`dragoman.paused`), to that at which all others do
(`input_audio_buffer.speech_started`), and to that which tells how much was heard (`conversation.item.truncated`).
`kept`: replies that nothing stopped.

**crowd**: so many sessions, each talked to without a pause by recordings, on one core (`taskset`): latency as in
`bench.voice`, and the core's load. It holds up where p50 stays what it is for one session and nobody is cut off.

**memory**: relayed sessions that take turn after turn, and begin anew after `TURNS` of them (a session remembers its
conversation, to go on elsewhere: some 2 KB a turn); the slope of a line through the gateway's resident memory.

**losses**: a provider's connection is reset in the midst of an answer; from there to the next sound at the client.
"""

import argparse
import asyncio
import base64
import contextlib
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from bench.__main__ import cpu, free_port, rss, running
from bench.levels import spoken
from bench.voice import _at_24k
from dragoman.cli import recording
from dragoman.cli.voice_session import FRAME, play, session_url
from dragoman.cli.voice_turns import Turns

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import speech
from fakes.openai import OpenAI
from fakes.realtime import Fate, RealtimeFake

LONG, SHORT = "words:400", "words:12"
BYTES = round(FRAME * recording.RATE) * 2
STOPS = ("dragoman.paused", "input_audio_buffer.speech_started", "conversation.item.truncated")
AHEAD = 1.0  # seconds of a reply that are heard before somebody speaks into it
TURNS = 20  # of one relayed session
WARM = 20.0  # seconds of turns before memory is looked at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["interruptions", "crowd", "memory", "losses"])
    parser.add_argument("--clips", type=int, default=None)
    parser.add_argument("--sessions", type=int, default=None)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--count", type=int, default=100)
    wish = parser.parse_args()
    match wish.what:
        case "interruptions":
            found = asyncio.run(interruptions(wish.clips))
        case "crowd":
            found = asyncio.run(crowd(wish.sessions or 20, wish.seconds))
        case "memory":
            found = asyncio.run(memory(wish.sessions or 50, wish.minutes))
        case _:
            found = asyncio.run(losses(wish.count))
    print(json.dumps(found, indent=1))


# --- what stands around ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def gateway(accounts: list[tuple[str, str, str]], *prefix: str) -> Iterator[tuple[str, int]]:
    """A gateway with these accounts (provider, key, base URL); its address and process id. `prefix`: of its command."""
    with tempfile.TemporaryDirectory() as name:
        port, config = free_port(), Path(name) / "dragoman.toml"
        tables = "".join(
            f'[[accounts]]\nname = "a{at}"\nprovider = "{provider}"\nkey = "{key}"\nbase_url = "{url}"\n'
            "max_in_flight = 100000\n"
            for at, (provider, key, url) in enumerate(accounts)
        )
        config.write_text(f'[server]\nport = {port}\n[state]\ndir = "{name}/state"\n{tables}')
        command = [*prefix, sys.executable, "-m", "dragoman", "serve", "--config", str(config)]
        with running(command, port, "/readyz") as (process, _):
            yield f"http://127.0.0.1:{port}", process.pid


def times(ms: list[float]) -> dict[str, Any]:
    found: dict[str, Any] = {"count": len(ms)}
    if ms:
        found |= {f"p{q}_ms": round(float(np.quantile(ms, q / 100)), 1) for q in (50, 95, 100)}
    return found


@contextlib.asynccontextmanager
async def session(url: str) -> AsyncIterator[ClientConnection]:
    async with connect(url, compression=None, max_size=None, proxy=None) as socket:
        yield socket


async def say(socket: ClientConnection, kind: str, **fields: Any) -> None:
    await socket.send(json.dumps({"type": kind, **fields}))


async def write(socket: ClientConnection, text: str) -> None:
    """Asks for an answer to `text`."""
    content = [{"type": "input_text", "text": text}]
    await say(socket, "conversation.item.create", item={"type": "message", "role": "user", "content": content})
    await say(socket, "response.create")


async def until(socket: ClientConnection, *kinds: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            event: dict[str, Any] = json.loads(await socket.recv())
            if event["type"] in kinds:
                return event


# --- interruptions ---------------------------------------------------------------------------------------------------


async def interruptions(count: int | None) -> dict[str, Any]:
    found: dict[str, list[float]] = {kind: [] for kind in STOPS}
    with OpenAI() as fake, gateway([("openai", fake.key, fake.base_url)]) as (url, _):
        pausing = session_url(url, "openai/gpt-4.1")
        other = pausing.replace("dragoman_turns=1", "dragoman_turns=0")
        for clip in (speech.recordings()[0], *speech.recordings()[:count]):  # the first warms up
            sound = _at_24k(clip.pcm)
            heard = await _interrupted(other, sound)
            heard[STOPS[0]] = (await _interrupted(pausing, sound)).get(STOPS[0], float("inf"))
            print(clip.text, heard, file=sys.stderr)
            for kind, ms in heard.items():
                found[kind].append(ms)
    kept = len(speech.recordings()[:count]) + 1 - len(found[STOPS[-1]])
    return {kind: times(ms[1:]) for kind, ms in found.items()} | {"kept": kept}


async def _interrupted(address: str, sound: bytes) -> dict[str, float]:
    """Milliseconds from the true onset of `sound` to the events that end the reply it is spoken into."""
    onset, _ = spoken(sound)
    found: dict[str, float] = {}
    async with session(address) as socket:
        await write(socket, LONG)
        await until(socket, "response.output_audio.delta")
        clock = asyncio.get_running_loop().time
        began = clock() + AHEAD

        async def listen() -> None:
            while True:
                kind = json.loads(await socket.recv())["type"]
                if kind in STOPS:
                    found.setdefault(kind, round((clock() - began - onset) * 1000, 1))

        listening = asyncio.create_task(listen())
        quiet = bytes(BYTES)
        frames = itertools.chain(
            [quiet] * round(AHEAD / FRAME), (sound[at : at + BYTES] for at in range(0, len(sound), BYTES)), [quiet] * 50
        )
        for number, frame in enumerate(frames, 1):  # a frame can be sent when all of it has sounded
            await asyncio.sleep(began - AHEAD + number * FRAME - clock())
            await say(socket, "input_audio_buffer.append", audio=base64.b64encode(frame.ljust(BYTES, b"\0")).decode())
            if "conversation.item.truncated" in found:
                break
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    return found


# --- crowd -----------------------------------------------------------------------------------------------------------


async def crowd(sessions: int, seconds: float) -> dict[str, Any]:
    clips = [_at_24k(clip.pcm) for clip in speech.recordings()]
    with OpenAI() as fake, gateway([("openai", fake.key, fake.base_url)], "taskset", "-c", "0") as (url, pid):
        address = session_url(url, "openai/gpt-4.1")
        await _talk(address, itertools.repeat(clips[0]), 0.0)  # loads the engines
        alone = await _talk(address, itertools.cycle(clips), min(seconds, 30.0))
        used, began = cpu(pid), time.monotonic()
        talks = (
            _talk(address, itertools.cycle(clips[at % 14 :] + clips[: at % 14]), seconds) for at in range(sessions)
        )
        each = await asyncio.gather(*talks)
        load = (cpu(pid) - used) / (time.monotonic() - began)
    together = [latency for latencies in each for latency in latencies]
    return {
        "alone": times(alone), "together": times(together), "sessions": sessions,
        "least turns of a session": min(map(len, each)), "load of the core": round(load, 2),
    }  # fmt: skip


async def _talk(address: str, clips: Iterator[bytes], seconds: float) -> list[float]:
    """Plays one recording after the other, each once the one before is answered; the latencies."""
    end = time.monotonic() + seconds
    found: list[float] = []
    while True:
        sound = next(clips)
        turns = Turns(sound, recording.LEVEL)
        await play(address, sound, turns, lambda event: None, key=None, tls=None, patience=8)
        found += [turn.latency_ms for turn in turns.all if turn.latency_ms is not None]
        if time.monotonic() >= end:
            return found


# --- memory ----------------------------------------------------------------------------------------------------------


async def memory(sessions: int, minutes: float) -> dict[str, Any]:
    turns = 0
    samples: list[tuple[float, float]] = []
    with RealtimeFake() as fake, gateway([("openai", "sk-fake", fake.base_url)]) as (url, pid):
        address = session_url(url, "openai/gpt-realtime")
        loud, quiet = (base64.b64encode(sound * 24000).decode() for sound in (b"\x10\x20", b"\0\0"))
        end = time.monotonic() + WARM + minutes * 60

        async def converse() -> None:
            while time.monotonic() < end:
                await talk()

        async def talk() -> None:
            nonlocal turns
            async with session(address) as socket:
                for _ in range(TURNS):
                    if time.monotonic() >= end:
                        return
                    await say(socket, "input_audio_buffer.append", audio=loud)
                    await say(socket, "input_audio_buffer.append", audio=quiet)
                    await until(socket, "response.done")
                    turns += 1
                    await asyncio.sleep(0.5)

        async def look() -> None:
            await asyncio.sleep(WARM)
            while True:
                samples.append((time.monotonic(), rss(pid)))
                fake.talks[:] = [talk for talk in fake.talks if not talk.over]  # it remembers what it was told
                await asyncio.sleep(2.0)

        looking = asyncio.create_task(look())
        await asyncio.gather(*(converse() for _ in range(sessions)))
        looking.cancel()
    slope = np.polyfit(*map(np.array, zip(*samples, strict=True)), 1)[0]
    return {
        "sessions": sessions, "turns": turns, "minutes": minutes,
        "mb": [round(mb, 1) for _, mb in samples[:: max(1, len(samples) // 20)]],
        "slope_mb_an_hour": round(float(slope) * 3600, 2),
    }  # fmt: skip


# --- losses ----------------------------------------------------------------------------------------------------------


async def losses(count: int) -> dict[str, Any]:
    found: list[float] = []
    with RealtimeFake() as first, RealtimeFake() as second:
        lost_at = [0.0]
        die = RealtimeFake.session

        def dying(fake: RealtimeFake, talk: Any, connection: Any) -> Any:
            made = die(fake, talk, connection)
            ends = made.die

            async def timed() -> None:
                lost_at[0] = time.monotonic()
                await ends()

            made.die = timed
            return made

        RealtimeFake.session = dying  # type: ignore[method-assign]
        accounts = [("openai", "sk-fake", fake.base_url) for fake in (first, second)]
        with gateway(accounts) as (url, _):
            address = session_url(url, "openai/gpt-realtime")
            for number in range(count):
                words = itertools.count()
                fate = Fate(
                    when=lambda event, words=words: event["type"] == "response.output_audio.delta" and next(words) == 2
                )
                first.fates[:], second.fates[:] = [fate], [fate]
                async with session(address) as socket:
                    lost_at[0] = 0.0
                    await write(socket, "Go on.")
                    while True:
                        event = await until(socket, "response.output_audio.delta", "response.done")
                        if lost_at[0] and event["type"] == "response.output_audio.delta":
                            found.append((time.monotonic() - lost_at[0]) * 1000)
                            break
                        if event["type"] == "response.done" and event["response"]["status"] == "completed":
                            break
                print(number, found[-1:], file=sys.stderr)
    return {"lost": count, "median_ms": round(statistics.median(found), 1), "sound again": times(found)}


if __name__ == "__main__":
    main()
