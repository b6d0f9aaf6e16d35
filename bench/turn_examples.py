"""Turns that are complete and turns that are not, made of recordings of whole ones. For `train_turns`.

A turn that is complete is a recording up to its end, taken twice. One that is not is the same up to a dip of the level
that is no pause; of each recording `CUTS` are taken. The speaker's own pauses are taken apart. 30 to 110 ms of silence
follow, digital, noise or the recording's own, in half of them after what dies away, for both alike, lest silences be
told apart instead of voices; two in five get noise at 10 or 20 dB, half are louder or softer by 6 dB. All is drawn by
the file's name.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.turns import BLOCK, Samples, dips, levels, read
from dragoman.voice.engine import HEARD

CUTS = 4
LEVEL, SPEECH = -22, -45  # dBFS of the loud parts; of what is speech
LEAD = 3 * HEARD // 10  # samples ahead of the speech
PAUSE = 18  # blocks of quiet that are a pause of the speaker's own
DYING = {True: 200, False: 96}  # samples in which what follows dies away by e


class Example(NamedTuple):
    complete: bool
    heard: Samples
    clean: bool  # without noise


def examples(path: Path) -> Iterator[Example]:
    """Of one recording; of what has no speech, none."""
    chance, sound, end = _drawn(path, 9)
    if not end:
        return
    near = [(low - HEARD // 10, high + HEARD // 20) for low, high in _pauses(sound, end)]
    cuts = dips(sound[:end]) if end > HEARD * 3 // 4 else []
    cuts = [cut for cut in cuts if not any(low <= cut <= high for low, high in near)]
    chance.shuffle(cuts)
    for complete, cut in [(True, end), (True, end), *((False, cut) for cut in cuts[:CUTS])]:
        yield _example(complete, sound, cut, chance)


def pauses(path: Path) -> Iterator[Example]:
    """The speaker's own within a recording, at most two: the turn is not over, but what was said may be complete."""
    chance, sound, end = _drawn(path, 10)
    own = [low for low, high in _pauses(sound, end) if low > HEARD // 2 and high < end - HEARD // 4] if end else []
    chance.shuffle(own)
    for cut in own[:2]:
        yield _example(False, sound, cut, chance)


def _drawn(path: Path, seed: int) -> tuple[Any, Samples, int]:
    """What draws, the sound at an even level, from shortly before the speech, and where that ends; 0: nowhere."""
    chance = np.random.default_rng(zlib.crc32(path.name.encode()) + seed)
    sound = read(path)
    if len(sound) < HEARD // 5:
        return chance, sound, 0
    sound = sound * 10 ** ((LEVEL - np.percentile(levels(sound), 95)) / 20)
    loud = np.nonzero(levels(sound) > SPEECH)[0]
    if len(loud) < 8:
        return chance, sound, 0
    begin, end = max(0, loud[0] * BLOCK - LEAD), (loud[-1] + 1) * BLOCK
    return chance, sound[begin:], int(end - begin)


def _pauses(sound: Samples, end: int) -> list[tuple[int, int]]:
    """From where to where it is quiet for longer."""
    quiet = levels(sound) <= max(SPEECH, np.percentile(levels(sound), 5) + 8)
    found, at = [], int(np.argmax(~quiet))
    while at < end // BLOCK:
        until = at
        while until < end // BLOCK and quiet[until]:
            until += 1
        if until - at >= PAUSE:
            found.append((at * BLOCK, until * BLOCK))
        at = max(until, at + 1)
    return found


def _example(complete: bool, sound: Samples, cut: int, chance: Any) -> Example:
    length = int(chance.integers(30, 111)) * HEARD // 1000
    after = _silence(sound, length, chance)
    if chance.random() < 0.5:
        dying = min(len(sound) - cut, length, 960)
        after[:dying] += sound[cut : cut + dying] * np.exp(-np.arange(dying) / DYING[complete])
    loud = levels(sound[:cut])
    spoken = np.nonzero(loud > max(SPEECH, loud.max() - 35))[0]
    heard = np.concatenate([sound[: (spoken[-1] + 1) * BLOCK], after])
    ratio = int(chance.choice([99, 99, 99, 20, 10]))
    if ratio < 99:
        heard = heard + chance.standard_normal(len(heard)) * 10 ** ((-25 - ratio) / 20)
    heard = np.clip(heard * 10 ** (float(chance.choice([0, 0, -6, 6])) / 20), -1, 1)
    return Example(complete, heard.astype(np.float32), ratio == 99)


def _silence(of: Samples, length: int, chance: Any) -> Samples:
    kind = chance.integers(3)
    if kind == 0:
        return np.zeros(length, np.float32)
    if kind == 1:
        quiet = min(np.percentile(levels(of), 5), -48)
        return (chance.standard_normal(length) * 10 ** (quiet / 20)).astype(np.float32)
    least = int(np.convolve(of**2, np.ones(BLOCK * 8), "valid").argmin())
    own = of[least : least + BLOCK * 8]
    return np.resize(np.concatenate([own, own[::-1]]), length)
