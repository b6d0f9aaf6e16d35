"""Makes the weights of the turn judge (`voice/engines/turn.dgm`): needs scikit-learn and the extra `voice`.

    python -m bench.train_turns --speech FOLDER… --text FILE… --out turn.dgm [--hold-out FOLDER]

FOLDER: WAV files (16 kHz, mono, 16 bits), each one whole turn; a folder is a group of speakers. FILE: sentences, one a
line. A turn that is complete is a recording up to its end. One that is not is the same up to a dip of the level where
the words are the beginning of the whole's; two are taken of each. Silence of 48 to 120 ms follows, digital, noise or
the recording's own, for both alike, lest the judge learn to tell silences apart; a third gets noise at 10 or 20 dB.
The weights of runs of words come from the sentences and their beginnings. The sum over the sound is fitted first; what
it says of recordings it was not fitted to goes into the sum over both. Of a group that is held out, the area under the
curve is printed.
"""

import argparse
import random
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.turns import BLOCK, Samples, dips, levels, read
from dragoman.routing import artifact
from dragoman.voice import wording
from dragoman.voice.engine import HEARD
from dragoman.voice.engines import moonshine, turn_judge

CUTS, SURE = 2, 0.72  # of each recording; what the transcriber must be of it


class Example(NamedTuple):
    group: str
    recording: str
    complete: bool
    sound: Samples
    text: str


def examples(folder: Path, rng: Any) -> list[Example]:
    found: list[Example] = []
    for path in sorted(folder.glob("*.wav")):
        sound = read(path)
        sound = sound * 10 ** ((-22 - np.percentile(levels(sound), 95)) / 20)
        loud = np.nonzero(levels(sound) > -45)[0]
        whole = sound[: (loud[-1] + 1) * BLOCK] if len(loud) else sound[:0]
        if not HEARD // 4 < len(whole) < 14 * HEARD:
            continue
        said = moonshine.load().transcribe(whole)
        words = wording.spoken(said.text)
        if said.sure < SURE or not words:
            continue
        found.append(_example(folder.name, path.name, True, whole, sound, said.text, rng))
        seen: set[int] = set()
        for cut in rng.permutation(dips(whole))[: 3 * CUTS].astype(int):
            text = moonshine.load().transcribe(whole[:cut]).text
            begun = wording.spoken(text)
            many = len(begun)
            if len(seen) < CUTS and many not in seen and 0 < many < len(words) and words[:many] == begun:
                seen.add(many)
                found.append(_example(folder.name, path.name, False, whole[:cut], sound, text, rng))
    return found


def _example(group: str, name: str, complete: bool, spoken: Samples, of: Samples, text: str, rng: Any) -> Example:
    length = int(rng.integers(48, 121)) * HEARD // 1000
    quiet = np.percentile(levels(of), 5)
    after = (rng.standard_normal(length) * 10 ** (quiet / 20)).astype(np.float32)
    kind = rng.choice(["digital", "noise", "own"])
    if kind == "digital":
        after[:] = 0
    elif kind == "own":
        least = int(np.convolve(of**2, np.ones(BLOCK * 4), "valid").argmin())
        after = np.resize(of[least : least + BLOCK * 4], length)
    heard = np.concatenate([spoken, after])
    if rng.random() < 1 / 3:
        heard = heard + rng.standard_normal(len(heard)).astype(np.float32) * 10 ** ((-25 - rng.choice([10, 20])) / 20)
    return Example(group, name, complete, turn_judge.load()[0].hear(_pcm(heard)), text)


def _pcm(heard: Samples) -> bytes:
    return bytes((np.clip(heard, -1, 1) * 32767).astype("<i2").tobytes())


def weights_of_runs(files: list[Path]) -> tuple[Any, Any]:
    """Whole numbers, and their scale."""
    chance = random.Random(2)
    said: list[list[str]] = []
    whole: list[bool] = []
    weight: list[float] = []
    for file in files:
        for sentence in re.findall(r"[^.?!\n]+[.?!](?!\.)", file.read_text()):
            words = wording.spoken(sentence)
            if not 1 <= len(words) <= 25:
                continue
            begun = chance.sample(range(1, len(words)), min(4, len(words) - 1))
            said += [words, *(words[:count] for count in begun)]
            whole += [True, *[False] * len(begun)]
            weight += [1.0, *[1 / len(begun) for _ in begun]]
    slots = [wording.runs(words) for words in said]
    ends = np.cumsum([0, *map(len, slots)])
    flat = np.concatenate([np.asarray(some) for some in slots])
    table = csr_matrix((np.ones(len(flat), np.float32), flat, ends), shape=(len(slots), wording.SLOTS))
    fitted = LogisticRegression(C=0.1, max_iter=60, solver="liblinear").fit(table, whole, sample_weight=weight)
    scale = abs(fitted.coef_[0]).max() / 127
    return np.round(fitted.coef_[0] / scale).astype(np.int8), np.array([scale], np.float32)


def fit(some: list[Example], runs: Any, scale: Any) -> dict[str, Any]:
    complete = np.array([one.complete for one in some])
    heard = np.array([one.sound for one in some])
    sound = make_pipeline(StandardScaler(), LogisticRegression(C=3e-4, max_iter=200))
    recordings = [f"{one.group}/{one.recording}" for one in some]
    unseen = cross_val_predict(sound, heard, complete, cv=GroupKFold(4), groups=recordings, method="decision_function")
    sound.fit(heard, complete)
    told = [wording.numbers(one.text, _whole(one.text, runs, scale)) for one in some]
    both = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=400))
    both.fit(np.column_stack([told, unseen]), complete)
    return {"sound": _plain(sound), "runs": runs, "scale": scale, "words": _plain(both)}


def _whole(text: str, runs: Any, scale: Any) -> float:
    return float(runs[wording.runs(wording.last_sentence(text))].sum() * scale[0])


def _plain(fitted: Any) -> Any:
    """Weights of what goes in as it is, and at the end what is added."""
    scaler, linear = fitted
    weights = linear.coef_[0] / scaler.scale_
    return np.append(weights, linear.intercept_[0] - (weights * scaler.mean_).sum()).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", nargs="+", type=Path, required=True)
    parser.add_argument("--text", nargs="+", type=Path, required=True)
    parser.add_argument("--hold-out", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    arrays = fit([one for folder in given.speech for one in examples(folder, rng)], *weights_of_runs(given.text))
    given.out.write_bytes(artifact.pack(turn_judge.KIND, {"speech": [f.name for f in given.speech]}, arrays))
    if given.hold_out:
        judge, others = turn_judge.shipped(given.out), examples(given.hold_out, rng)
        judged = [judge.complete(one.sound, one.text) for one in others]
        print(f"{given.hold_out.name}: {roc_auc_score([one.complete for one in others], judged):.3f} of {len(others)}")


if __name__ == "__main__":
    main()
