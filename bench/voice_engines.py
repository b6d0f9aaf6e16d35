"""What the embedded speech engines take, and how well they hear.

    python -m bench.voice_engines [--rounds 5] [--drafts 0.8]

The recordings are those of the tests (`tests/speech.py`): 14 short clips of six people, a reader with pauses, a reader
of a long sentence. All runs on one thread; times are of the thread, so what
others do on the machine counts little; the least and the median are told.

- VAD, silence known: from the last audible sample (the embedded voice's, so it is known) to the end of the first frame
  from which on all is told to be no speech.
- STT: from when the sound is there to the words: "whole" of a first pass; "draft" of one with the words of 0.8 s
  before; "final" where only silence came since the last.
- TTS: from the sentence to its first piece, which is audible from its third millisecond on.
- CPU of a session: a person talks, and is answered as long. VAD all the time, a draft every 0.8 s, one more and the
  judge at the pause, the answer's speech.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import speech
from dragoman.voice.engine import HEARD, SPOKEN
from dragoman.voice.engines import hibari, moonshine, turn_judge, vad
from dragoman.voice.engines.echo import FRAME, Cleaner
from dragoman.voice.engines.local_stt import Heard, listen
from dragoman.voice.engines.vad import Silero
from dragoman.voice.pcm import Resampler, floats, pcm_of

SENTENCES = (
    "Sure, I can help.",
    "It is sunny today.",
    "What would you like to know about it?",
    "I have put the meeting at nine in the morning, and told everybody who is invited.",
)
SECOND = 2 * HEARD  # bytes
AUDIBLE = 10 ** (-45 / 20)  # of full scale


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--drafts", type=float, default=0.8, help="seconds between drafts while somebody speaks")
    options = parser.parse_args()
    clips = [*speech.recordings(), speech.beckett()]
    activity()
    transcripts(clips, options.rounds, options.drafts)
    speaking(options.rounds)
    pcm = clips[0].pcm
    judge, cleaner, rates = turn_judge.load()[0], Cleaner(echo=True, noise=True), Resampler(SPOKEN, HEARD)
    tell("judge, ms", timed(lambda: judge.hear(pcm), 10 * options.rounds))
    frame = pcm[SECOND : SECOND + 2 * FRAME]
    tell("echo and noise, us a frame of 10 ms", timed(lambda: cleaner.process(frame, frame), 500), 1e3)
    tell("resampling, us a piece of 20 ms", timed(lambda: rates.feed(pcm[: SPOKEN // 25]), 500), 1e3)
    load(clips, options.drafts)


def activity() -> None:
    model, known = vad.load(), []
    for size in (0.0001, 0.001, 0.005):
        for sentence in SENTENCES:
            said = speech.spoken(sentence)
            end = SECOND // 4 + int(np.flatnonzero(np.abs(floats(said)) > AUDIBLE)[-1])
            pcm = bytes(SECOND // 2) + said + bytes(SECOND)
            noise = np.random.default_rng(1).standard_normal(len(pcm) // 2).astype(np.float32) * size
            frames = probabilities(Silero(model), pcm_of(floats(pcm) + noise))
            last = max(at for at, one in enumerate(frames) if one > 0.5)
            known.append(((last + 2) * Silero.FRAME - end) * 1000 / HEARD)
    listening, frame = Silero(model), said[SECOND // 2 : SECOND // 2 + 2 * Silero.FRAME]
    tell("VAD, us a frame of 16 ms", timed(lambda: listening.probability(frame), 2000), 1e3)
    print(f"VAD, silence known after, ms: median {statistics.median(known):.0f}, most {max(known):.0f}")


def transcripts(clips: list[speech.Clip], rounds: int, drafts: float) -> None:
    model = moonshine.load()
    whole, drafted, final = [], [], []
    for clip in clips:
        before = clip.pcm[: max(SECOND // 2, len(clip.pcm) - int(drafts * SECOND) // 2 * 2)]
        draft = listen(model, before, Heard())
        heard = listen(model, clip.pcm, Heard())
        whole += [timed(lambda c=clip: listen(model, c.pcm, Heard()), rounds)]
        drafted += [timed(lambda c=clip, d=draft: listen(model, c.pcm, d), rounds)]
        final += [timed(lambda c=clip, h=heard: listen(model, c.pcm + bytes(SECOND // 10), h), rounds)]
    lengths = [len(clip.pcm) / SECOND for clip in clips]
    print(f"STT, clips of {min(lengths):.1f} to {max(lengths):.1f} s, median {statistics.median(lengths):.1f} s")
    for name, times in (("whole", whole), ("draft", drafted), ("final", final)):
        tell(f"STT, {name}, ms", [statistics.median(min(one) for one in times), statistics.median(map(max, times))])
    for name, some in (("people", clips), ("long", [speech.two_cities()])):
        wrong = sum(speech.word_errors(clip.text, listen(model, clip.pcm, Heard()).words().text) for clip in some)
        count = sum(len(speech.words(clip.text)) for clip in some)
        print(f"STT, word error rate, {name}: {wrong / count:.1%} of {count} words")


def speaking(rounds: int) -> None:
    model = hibari.load()
    for sentence in SENTENCES:
        first = sentence[slice(*next(hibari.phrases(sentence, model.split_sentences(sentence))))]
        heard = floats(next(hibari.spoken(model, first, 1.0))[0])
        lead = int((np.abs(heard) > AUDIBLE).argmax()) * 1000 / SPOKEN
        times = timed(lambda part=first: next(hibari.spoken(model, part, 1.0)), 5 * rounds)
        tell(f"TTS, first audible after {lead:.1f} ms of sound, ms, {sentence[:24]!r}", times)


def load(clips: list[speech.Clip], drafts: float) -> None:
    """CPU of this process, told for each second."""
    judge, transcriber, voice, model = turn_judge.load()[0], moonshine.load(), hibari.load(), vad.load()
    parts = dict.fromkeys(("VAD", "drafts", "pause", "judge", "speech"), 0.0)
    seconds = 0.0
    for clip in clips:
        pcm, heard = clip.pcm, Heard()
        with Charged(parts, "VAD"):  # while it talks, and while it listens to the answer
            probabilities(Silero(model), pcm * 2)
        with Charged(parts, "drafts"):
            for at in range(int(drafts * SECOND), len(pcm), int(drafts * SECOND)):
                heard = listen(transcriber, pcm[: at // 2 * 2], heard)
        with Charged(parts, "pause"):
            listen(transcriber, pcm, heard)
        with Charged(parts, "judge"):
            judge.hear(pcm)
        with Charged(parts, "speech"):
            sum(len(piece) for piece, _ in hibari.spoken(voice, clip.text, 1.0))
        seconds += 2 * len(pcm) / SECOND
    whole = sum(parts.values()) / seconds
    told = ", ".join(f"{name} {cpu / seconds:.4f}" for name, cpu in parts.items())
    print(f"CPU of a session, seconds a second: {whole:.4f} ({told}): {1 / whole:.0f} sessions a core")


class Charged:
    """Adds the CPU time that is taken within."""

    def __init__(self, parts: dict[str, float], name: str) -> None:
        self._parts, self._name = parts, name

    def __enter__(self) -> None:
        self._start = time.process_time()

    def __exit__(self, *error: object) -> None:
        self._parts[self._name] += time.process_time() - self._start


def probabilities(listening: Silero, pcm: bytes) -> list[float]:
    size = 2 * Silero.FRAME
    return [listening.probability(pcm[at : at + size]) for at in range(0, len(pcm) - size + 1, size)]


def timed(work: Callable[[], object], rounds: int) -> list[float]:
    """Milliseconds of each round: this thread's, not those in which others had its core."""
    times = []
    for _ in range(rounds):
        start = time.thread_time()
        work()
        times.append((time.thread_time() - start) * 1000)
    return times


def tell(name: str, times: list[float], scale: float = 1.0) -> None:
    print(f"{name}: least {min(times) * scale:.1f}, median {statistics.median(times) * scale:.1f}")


if __name__ == "__main__":
    main()
