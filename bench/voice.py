"""Spoken turns as they are heard: recordings of people are played in real time to a gateway of its own, with the
embedded engines and the embedded model, and the replies' latency is read off the waveforms.

    python -m bench.voice [--model local] [--clips N] [--pauses] [--json FILE]

Latency: from the true end of speech to the first sample of the reply above −45 dBFS, at the moment a player would sound
it. The end is told in two ways. By level: see `bench/levels.py`; what follows it is no speech. And as the last sample
of the recording above −45 dBFS (`dragoman.cli.voice_turns`): where a recording's own background is louder than that, as
in some of these, that is later than the end of speech, and the latency is told too short. False cut-in: the session
took a turn for over while more speech was to come. `--pauses` plays each clip again with 500 and with 900 ms of its own
background put into a gap between two words in its middle. The clips are Debian's `pocketsphinx-testdata` and one of the
`moonshine-voice` wheel (see `tests/speech.py`); the embedded judges were not trained on latency here, but on some of
these voices: figures on other recordings may differ.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.__main__ import free_port, running
from bench.levels import spoken
from dragoman.cli import recording
from dragoman.cli.voice_report import STAGES
from dragoman.cli.voice_session import play, session_url
from dragoman.cli.voice_turns import Turn, Turns
from dragoman.voice.pcm import Resampler

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import speech

GAP = 480  # samples of 24 kHz: how long a gap between words must at least be, and is looked for
Sound = NDArray[np.int16]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="local")
    parser.add_argument("--clips", type=int, default=None)
    parser.add_argument("--pauses", action="store_true")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    clips = {clip.text: _at_24k(clip.pcm) for clip in speech.recordings()[: options.clips]}
    sets = {"plain": clips}
    if options.pauses:
        for pause in (500, 900):
            sets[f"with a pause of {pause} ms"] = {text: paused(sound, pause) for text, sound in clips.items()}
    found = asyncio.run(_all(sets, options.model))
    print(report(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


def report(found: dict[str, list[dict[str, object]]]) -> str:
    """The tables, as Markdown."""
    lines = [
        "| clips | turns | by level: p50 ms | p95 ms | most ms | by −45 dBFS: p50 ms | p95 ms | most ms "
        "| false cut-ins | word error rate |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, clips in found.items():
        ways = [[clip[way] for clip in clips if clip[way] is not None] for way in ("by_level_ms", "latency_ms")]
        cut = sum(clip["turns"] > 1 for clip in clips)  # type: ignore[operator]
        errors, words = (sum(clip[key] for clip in clips) for key in ("errors", "words"))  # type: ignore[misc]
        numbers = [f"{_quantile(way, q):.0f}" if way else "-" for way in ways for q in (0.5, 0.95, 1.0)]
        lines.append(
            f"| {name} | {len(ways[0])} | {' | '.join(numbers)} | {cut} of {len(clips)} | {errors / words:.1%} |"
        )
    stages = {stage: [clip["stages_ms"].get(stage) for clips in found.values() for clip in clips] for stage in STAGES}  # type: ignore[attr-defined]
    medians = {stage: [value for value in values if value is not None] for stage, values in stages.items()}
    lines += ["", "| stage | " + " | ".join(STAGES) + " |", "|---|" + "---|" * len(STAGES)]
    cells = [f"{statistics.median(medians[stage]):.0f}" if medians[stage] else "-" for stage in STAGES]
    lines.append("| median ms | " + " | ".join(cells) + " |")
    return "\n".join(lines)


async def _all(sets: dict[str, dict[str, bytes]], model: str) -> dict[str, list[dict[str, object]]]:
    with tempfile.TemporaryDirectory() as name:
        port, config = free_port(), Path(name) / "dragoman.toml"
        config.write_text(
            f'[server]\nport = {port}\n[state]\ndir = "{name}"\n[[accounts]]\nname = "local"\nprovider = "local"\n'
        )
        url = session_url(f"http://127.0.0.1:{port}", model)
        with running([sys.executable, "-m", "dragoman", "serve", "--config", str(config)], port, "/readyz"):
            warm = next(iter(next(iter(sets.values())).values()))
            await _played(url, warm)  # loads engines and model
            found: dict[str, list[dict[str, object]]] = {}
            for kind, clips in sets.items():
                found[kind] = []
                for text, sound in clips.items():
                    turns = await _played(url, sound)
                    found[kind].append(_told(text, turns, spoken(sound)[1]))
                    print(kind, found[kind][-1], file=sys.stderr)
            return found


def _told(text: str, turns: list[Turn], end: float) -> dict[str, object]:
    """`end`: seconds into the recording at which its speech ends."""
    taken = [turn for turn in turns if turn.committed is not None]
    last = taken[-1] if taken else Turn(0)
    said = " ".join(turn.said or "" for turn in taken)
    by_level = None if last.heard is None else round((last.heard - end) * 1000, 1)
    return {
        "text": text, "turns": len(taken), "by_level_ms": by_level, "latency_ms": last.latency_ms, "said": said,
        "errors": speech.word_errors(text, said), "words": len(speech.words(text)), "stages_ms": last.stages_ms,
    }  # fmt: skip


async def _played(url: str, sound: bytes) -> list[Turn]:
    turns = Turns(sound, recording.LEVEL)
    await play(url, sound, turns, lambda event: None, key=None, tls=None, patience=8)
    return turns.all


def paused(sound: bytes, ms: int) -> bytes:
    """`sound` with so much of its own background put into the quietest gap of its middle."""
    samples: Sound = np.frombuffer(sound, np.int16)
    loud = np.flatnonzero(np.abs(samples) > 2**15 * 10 ** (recording.LEVEL / 20))
    begin, end = int(loud[0]), int(loud[-1])
    middle = range(begin + (end - begin) * 3 // 10, begin + (end - begin) * 7 // 10, GAP // 4)
    at = min(middle, key=lambda place: _loudness(samples[place : place + GAP])) + GAP // 2
    floor = min(
        range(0, len(samples) - 2 * GAP, GAP // 2), key=lambda place: _loudness(samples[place : place + 2 * GAP])
    )
    back = samples[floor : floor + 2 * GAP]
    wave = np.concatenate([back, back[::-1]])
    return np.concatenate([samples[:at], np.resize(wave, ms * recording.RATE // 1000), samples[at:]]).tobytes()


def _loudness(samples: Sound) -> float:
    return float(np.mean(samples.astype(np.float64) ** 2))


def _at_24k(pcm: bytes) -> bytes:
    rates = Resampler(16_000, recording.RATE)
    return rates.feed(pcm) + rates.finish()


def _quantile(values: list[float], share: float) -> float:
    return float(np.quantile(values, share))


if __name__ == "__main__":
    main()
