"""When turns are taken to be over: latency of the decision beside false cut-ins, on recordings.

    python -m bench.turns FOLDER… [--judge FILE] [--most 40]

FOLDER: WAV files, each one turn of one speaker (Debian's pocketsphinx-testdata has some). Each is heard as it is, with
a pause of 500 and of 900 ms put into mid-sentence (at a dip of the level, drawn by the file's name), with noise, louder
and softer. Engines are the real ones; time is the sound's, in which their answers arrive as late as they were measured
to take. `--judge`: other weights, such as those that never heard these speakers.

The true end of speech is read off the waveform, not told by an engine: the last 10 ms louder than 23 dB below the loud
parts (the 95th percentile of 10 ms), and than 10 dB above the recording's own quiet (the 5th). Silence follows. A
cut-in is a decision after which there is speech: 50 ms within 18 dB of the loud parts. Latency is from the true end to
the decision; the first sound comes with it, where the engines, which began at the pause, are ready by then.
"""

import argparse
import statistics
import wave
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dragoman.voice.detection import Detection
from dragoman.voice.engine import HEARD
from dragoman.voice.engines import local_stt, moonshine, turn_judge, vad
from dragoman.voice.turns import Frame, Lasting, Paused, Stopped, Turns

STT_MS, JUDGE_MS = 35.0, 15.0  # what they take on two cores
READY = STT_MS + 75.0 + 12.0  # words, the reply's first clause, its first sound
LEAD_MS, REST_MS = 300, 4000  # of silence around the recording
BLOCK = HEARD // 100

Samples = Any  # float32, -1..1


@dataclass
class Recording:
    name: str
    sound: Samples
    clean: Samples  # without the noise

    def goes_on(self, ms: float) -> bool:
        """Whether there is speech after `ms`: 50 ms within 18 dB of the loud parts."""
        loud = levels(self.clean)
        return bool((loud[int(ms / 10) :] > np.percentile(loud, 95) - 18).sum() >= 5)

    @property
    def end(self) -> float:
        """Ms of the true end of speech."""
        loud = levels(self.clean)
        floor = max(np.percentile(loud, 95) - 23, np.percentile(loud, 5) + 10)
        return float(np.nonzero(loud > floor)[0][-1] + 1) * 10


@dataclass
class Outcome:
    cut_in: bool
    late: float  # ms from the true end to the decision
    why: str
    complete: float | None


class Engines:
    def __init__(self, judge: Path | None) -> None:
        self.silero = vad.load()
        self.moonshine = moonshine.load()
        self.ear, self.weights = turn_judge.load()
        if judge is not None:
            self.weights = turn_judge.shipped(judge)

    def complete(self, heard: bytes, then: bytes) -> float:
        """The judge's answer, with the words of `heard` and the sound of `then`."""
        words = local_stt.listen(self.moonshine, heard, local_stt.Heard()).words().text
        return self.weights.complete(self.ear.hear(then), words)


def hear(recording: Recording, engines: Engines, detection: Detection, answers: dict[int, float]) -> Outcome | None:
    """One session, until its turn is over; None if no speech was heard.

    `answers`: the judge's so far, by samples heard; what is asked is added."""
    pcm = (np.clip(recording.sound, -1, 1) * 32767).astype("<i2").tobytes()
    turns, silero = Turns(detection), vad.Silero(engines.silero)
    pending: list[tuple[float, int, int, int]] = []  # when the answer comes, to which pause, its samples, those heard
    paused = 0
    for at in range(silero.FRAME, len(pcm) // 2 + 1, silero.FRAME):
        now = at * 1000 / HEARD
        effects = turns.hear(Frame(now, silero.probability(pcm[2 * (at - silero.FRAME) : 2 * at])))
        while pending and pending[0][0] <= now:
            _due, pause, spoken, heard = pending.pop(0)
            if heard not in answers:
                answers[heard] = engines.complete(pcm[: 2 * spoken], pcm[: 2 * heard])
            effects += turns.judged(pause, answers[heard])
        for effect in effects:
            if isinstance(effect, Paused):
                pending, paused = [], at
            elif isinstance(effect, Lasting):
                pending = [(now + JUDGE_MS, effect.pause, paused, at)]
            elif isinstance(effect, Stopped):
                late = effect.at_ms - recording.end
                return Outcome(recording.goes_on(effect.at_ms), late, effect.why, effect.complete)
    return None


def variants(name: str, sound: Samples) -> Iterator[tuple[str, Recording]]:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    sound = sound * 10 ** ((-22 - np.percentile(levels(sound), 95)) / 20)
    quiet = float(np.percentile(levels(sound), 5))

    def room(ms: float, level: float = quiet) -> Samples:
        return (rng.standard_normal(int(ms * HEARD / 1000)) * 10 ** (level / 20)).astype(np.float32)

    def framed(*parts: Samples) -> Recording:
        heard = np.concatenate([room(LEAD_MS), *parts, room(REST_MS)])
        return Recording(name, heard, heard)

    yield "plain", framed(sound)
    places = dips(sound)
    if places:
        cut = int(rng.choice(places))
        for ms in (500, 900):
            yield f"{ms} ms pause", framed(sound[:cut], room(ms), sound[cut:])
    whole = framed(sound)
    for snr in (20, 10):
        noise = rng.standard_normal(len(whole.sound)).astype(np.float32) * 10 ** ((-25 - snr) / 20)
        yield f"noise {snr} dB", Recording(name, whole.sound + noise, whole.clean)
    for gain in (6, -6):
        louder = whole.sound * 10 ** (gain / 20)
        yield f"{gain:+} dB", Recording(name, louder, louder)


def levels(sound: Samples) -> Samples:
    """dBFS of each 10 ms."""
    blocks = sound[: len(sound) // BLOCK * BLOCK].reshape(-1, BLOCK)
    return 10 * np.log10((blocks**2).mean(1) + 1e-10)


def dips(sound: Samples) -> list[int]:
    """Where the level of 20 ms is lowest within 80 ms either way, 8 dB below what is around, and speech goes on both
    before and after for at least 0.3 s."""
    power = np.convolve(sound**2, np.ones(320) / 320, "same")[::80]
    loud = 10 * np.log10(power + 1e-10)
    spoken = np.nonzero(loud > np.percentile(loud, 95) - 23)[0]
    return [
        at * 80
        for at in range(spoken[0] + 60, spoken[-1] - 60)
        if loud[at] == loud[at - 16 : at + 17].min()
        and loud[at - 30 : at].max() - loud[at] > 8
        and loud[at + 1 : at + 31].max() - loud[at] > 8
    ]


def read(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (HEARD, 1, 2):
            raise SystemExit(f"{path}: 16 kHz, mono, 16 bits are wanted")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def report(outcomes: dict[str, list[Outcome]]) -> None:
    print("| condition | clips | cut-ins | decision p50 | p95 | first sound p50 | p95 | not within 300 ms |")
    print("|---|---|---|---|---|---|---|---|")
    for condition, some in outcomes.items():
        late = [one.late for one in some if not one.cut_in]
        sound = [max(ms, READY + 32) for ms in late]
        cuts = sum(one.cut_in for one in some)
        slow = sum(ms > 300 for ms in sound)
        numbers = (f"{at(late, share):.0f}" for late in (late, sound) for share in (0.5, 0.95))
        print(f"| {condition} | {len(some)} | {cuts} ({cuts / len(some):.1%}) |", " | ".join(numbers), f"| {slow} |")


def at(values: list[float], share: float) -> float:
    if len(values) < 2:
        return values[0] if values else float("nan")
    return statistics.quantiles(values, n=100, method="inclusive")[round(100 * share) - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--judge", type=Path)
    parser.add_argument("--most", type=int, default=1000, help="files of each folder")
    parser.add_argument("--eagerness", default="auto")
    given = parser.parse_args()
    engines, outcomes = Engines(given.judge), dict[str, list[Outcome]]()
    for folder in given.folders:
        for path in sorted(folder.glob("*.wav"), key=lambda path: zlib.crc32(path.name.encode()))[: given.most]:
            for condition, recording in variants(path.name, read(path)):
                outcome = hear(recording, engines, Detection(eagerness=given.eagerness), {})
                if outcome is None:
                    print(f"{path.name} {condition}: no speech was heard")
                    continue
                outcomes.setdefault(condition, []).append(outcome)
                if outcome.cut_in or outcome.late > 300:
                    print(f"{path.name} {condition}: {outcome}")
    report(outcomes)


if __name__ == "__main__":
    main()
