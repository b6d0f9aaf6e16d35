"""Makes the weights of the turn judge (`voice/engines/turn.dgm`): needs scikit-learn and the extra `voice`.

    python -m bench.train_turns --speech FOLDER:EVERY… --text FILE… --cache FILE --out turn.dgm [--share 0.55]

FOLDER: WAV files (16 kHz, mono, 16 bits), each one whole turn; a folder is a group of speakers. EVERY: of one recording
in so many the words are asked too (`turn_examples` says how complete and broken-off turns are made of each). `--share`:
so much of each folder is used, drawn by the files' names. FILE: sentences, one a line and more; one that is named like
a folder is that group's script. `--cache` keeps what was heard, which takes half an hour of one core; where it exists,
folders are not needed.

Three sums are fitted: runs of words on the sentences, on `phrases` and on their beginnings; the sound on all that was
heard; and both together, with what the sound's sum says of groups that it was not fitted to. For each group that is
left out of everything, it is told how well the rest judges it.
"""

import argparse
import pickle
import random
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.phrases import phrases
from bench.turn_examples import examples, pauses
from dragoman.routing import artifact
from dragoman.voice import wording
from dragoman.voice.engine import HEARD
from dragoman.voice.engines import moonshine, turn_judge

SURE, LONGEST = 0.66, 14  # what the transcriber must be of a whole recording; its seconds
PHRASES = 12_000
OWN = 2.0  # weight of a speaker's own pause: there are few, and they are what misleads
MARKS = (0.9, 0.8, 0.7, 0.6, 0.5)
LEAST = 20  # complete ones and others that a group must have for figures


class Heard(NamedTuple):
    group: str
    recording: str
    complete: bool
    told: Any
    text: str | None = None  # as the transcriber hears it; None: not asked, or of no use
    weight: float = 1.0


def heard(folder: Path, every: int, share: float) -> Iterator[Heard]:
    """A share of a folder, the words of one recording in `every`."""
    ear, transcriber = turn_judge.Ear(moonshine.load()), moonshine.load()
    paths = sorted(folder.glob("*.wav"), key=drawn)
    for path in paths[: round(len(paths) * share)]:
        whole, asked = None, drawn(path) % every == 0
        for example in examples(path):
            told = ear.told(example.heard[-turn_judge.LONGEST :]).astype(np.float16)
            said = None
            if asked and len(example.heard) < LONGEST * HEARD:
                said = transcriber.transcribe(example.heard)
                whole = whole or said
            useful = said is not None and whole is not None and of_use(example.complete, said.text, whole)
            yield Heard(folder.name, path.name, example.complete, told, said.text if said and useful else None)
        yield from paused(folder.name, path, ear, transcriber)


def paused(group: str, path: Path, ear: turn_judge.Ear, transcriber: moonshine.Moonshine) -> Iterator[Heard]:
    """The speaker's own pauses in mid-sentence."""
    whole = None
    if path.stat().st_size > 2 * HEARD * LONGEST:
        return
    for example in pauses(path):
        whole = whole or transcriber.transcribe(next(iter(examples(path))).heard)
        text = transcriber.transcribe(example.heard).text
        if of_use(False, text, whole):
            told = ear.told(example.heard[-turn_judge.LONGEST :]).astype(np.float16)
            yield Heard(group, path.name, False, told, text, OWN)


def drawn(path: Path) -> int:
    return zlib.crc32(path.name.encode())


def of_use(complete: bool, text: str, whole: moonshine.Written) -> bool:
    """Of what is broken off, where the words so far are the first of the whole, and none of its sentences ends there:
    in the middle of a word the sound tells enough."""
    words, begun = wording.spoken(whole.text), wording.spoken(text)
    if whole.sure < SURE or not begun:
        return False
    if complete:
        return True
    first = len(begun) < len(words) and words[: len(begun)] == begun
    return first and not re.search(r"[.?!]$", _first(whole.text, len(begun)))


def _first(text: str, count: int) -> str:
    """The first so many words, with their marks."""
    taken: list[str] = []
    for word in text.split():
        if count <= 0:
            break
        taken.append(word)
        count -= len(wording.spoken(word))
    return " ".join(taken)


def weights_of_runs(files: Iterable[Path]) -> tuple[Any, Any]:
    """Whole numbers, and their scale."""
    chance = random.Random(2)
    said: list[list[str]] = []
    whole: list[bool] = []
    weight: list[float] = []
    sentences = [line for file in files for line in re.findall(r"[^.?!\n]+[.?!](?!\.)", file.read_text())]
    for sentence in [*sentences, *phrases(PHRASES, random.Random(5))]:
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


def fit(some: list[Heard], runs: Any, scale: Any) -> dict[str, Any]:
    complete = np.array([one.complete for one in some])
    told = np.array([one.told for one in some], np.float32)
    weight = np.array([one.weight for one in some])
    groups = np.array([one.group for one in some])
    unseen = np.zeros(len(some))
    for group in sorted(set(groups)):
        rest = groups != group
        unseen[~rest] = _fitted(1e-3, told[rest], complete[rest], weight[rest]).decision_function(told[~rest])
    sound = _fitted(1e-3, told, complete, weight)
    asked = [at for at, one in enumerate(some) if one.text is not None]
    words = [_sum(some[at].text or "", runs, scale) for at in asked]
    both = _fitted(0.1, np.column_stack([words, unseen[asked]]), complete[asked], weight[asked])
    return {"sound": _plain(sound), "runs": runs, "scale": scale, "both": _plain(both)}


def _fitted(c: float, given: Any, complete: Any, weight: Any) -> Any:
    linear = LogisticRegression(C=c, max_iter=100, class_weight="balanced")
    return make_pipeline(StandardScaler(), linear).fit(given, complete, logisticregression__sample_weight=weight)


def _sum(text: str, runs: Any, scale: Any) -> float:
    return float(runs[wording.runs(wording.last_sentence(text))].sum() * scale[0])


def _plain(fitted: Any) -> Any:
    """Weights of what goes in as it is, and at the end what is added."""
    scaler, linear = fitted
    weights = linear.coef_[0] / scaler.scale_
    return np.append(weights, linear.intercept_[0] - (weights * scaler.mean_).sum()).astype(np.float32)


def packed(some: list[Heard], files: list[Path]) -> bytes:
    speech = sorted({one.group for one in some})
    about = {"speech": speech, "examples": len(some), "text": [file.stem for file in files]}
    return artifact.pack(turn_judge.KIND, about, fit(some, *weights_of_runs(files)))


def left_out(group: str, some: list[Heard], files: list[Path], out: Path) -> None:
    """Judges a group by weights that know nothing of it, which are left in `out`."""
    out.write_bytes(packed([one for one in some if one.group != group], [f for f in files if f.stem != group]))
    judge = turn_judge.shipped(out)
    judged = [(one.complete, judge.complete(one.told.astype(np.float32), one.text))
              for one in some if one.group == group and one.text is not None]  # fmt: skip
    complete, sure = np.array([one for one, _ in judged], bool), np.array([p for _, p in judged])
    if min(complete.sum(), (~complete).sum()) < LEAST:
        return
    shares = (f"{(sure[complete] >= p).mean():.0%} / {(sure[~complete] >= p).mean():.1%}" for p in MARKS)
    print(f"| {group} | {len(judged)} | {roc_auc_score(complete, sure):.3f} |", " | ".join(shares), "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", nargs="*", default=[])
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--text", nargs="+", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--left-out", nargs="*", default=[], help="groups; their weights go beside --out")
    given = parser.parse_args()
    if not given.cache.exists():
        each = [speech.rsplit(":", 1) for speech in given.speech]
        some = [one for folder, every in each for one in heard(Path(folder), int(every), given.share)]
        given.cache.write_bytes(pickle.dumps(some))
    some = [Heard(*one) for one in pickle.loads(given.cache.read_bytes())]
    given.out.write_bytes(packed(some, given.text))
    if given.left_out:
        print("| left out | examples | area | complete / broken off: 0.9 | 0.8 | 0.7 | 0.6 | 0.5 |\n|---|" + "---|" * 7)
    for group in given.left_out:
        left_out(group, some, given.text, given.out.with_stem(f"{given.out.stem}-without-{group}"))


if __name__ == "__main__":
    main()
