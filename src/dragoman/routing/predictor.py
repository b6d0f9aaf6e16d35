"""What a trained artifact expects of each model, for a query: a few small matrix products."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from dragoman.routing import artifact, features, lexicon
from dragoman.routing.estimate import Estimate, Estimates, Predictor, Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

KIND = "router"
DENSE_SCALE = 0.14  # of form and meaning as they are, beside the random features made of them
MOST_REMEMBERED = 256  # sets of models whose places are kept


SHARPNESS = 6.0  # of the guess of a category
CAUTION, MORE_CAUTION = 0.1, 0.5  # of quality: how far the best single model must be beaten where the category is not
# told; and how much further if the query is entirely novel
BEHIND = 0.02  # of quality: where those end up that do not
VOICES = ("meaning and form", "words", "category, guessed", "meaning alone")
"""What speaks for a model's quality. An artifact's `weights` say how much each is believed, first of what all models
share and then of what sets them apart, in three rows: category told, category guessed, query strange."""


class Task(Struct, frozen=True, forbid_unknown_fields=True):
    """What was learned of a task. `key` heads the names of its arrays; `lengths` says of which models it knows how long
    their answers are; `words` whether single words are listened to."""

    key: str
    models: list[str]
    categories: list[str]
    lengths: list[bool]
    questions: int
    words: bool = True


class About(Struct, frozen=True, forbid_unknown_fields=True):
    """An artifact's description of itself. `pooled` is for queries of other tasks."""

    voices: tuple[str, ...]
    lexicon: str
    tasks: dict[str, Task]
    pooled: Task | None
    questions: int
    seed: int


class _Heads(NamedTuple):
    """One task's arrays for a choice of models, folded together so that a prediction takes few products.

    What they give has these parts, each with a number for each model but the last: logarithms of the answers' lengths;
    quality; where the category is not told, also by how much quality changes as the query gets strange, and the scores
    of the categories. `words` has each bucket's weight in it, and that weight's square as its last column."""

    names: list[str]
    meaning: "NDArray[Any]"
    offset: "NDArray[Any]"
    words: "NDArray[Any] | None"
    mix: "NDArray[Any]"
    effects: "NDArray[Any]"
    spread: "NDArray[Any]"
    lengths: list[bool] | None
    best: int


class Trained:
    """The predictor in an artifact. Models that it does not know are left to `otherwise`."""

    def __init__(self, file: artifact.File, words: lexicon.Lexicon, otherwise: Predictor | None = None) -> None:
        try:
            self.about = msgspec.json.decode(file.about, type=About)
        except msgspec.MsgspecError as error:
            raise artifact.ArtifactError(f"{file.name}: not of this version ({error}): train it anew") from None
        if self.about.voices != VOICES:
            raise artifact.ArtifactError(f"{file.name}: was trained by another version: train it anew")
        if self.about.lexicon != words.name:
            raise artifact.ArtifactError(
                f'{file.name}: was trained with "{self.about.lexicon}", here is "{words.name}": train it anew'
            )
        self.name = file.name
        self._lexicon = words
        self._otherwise = otherwise
        self._arrays = {
            name: array if array.dtype == np.int8 else array.astype("f4") for name, array in file.arrays.items()
        }
        get = self._arrays.__getitem__
        self._waves = len(get("phase"))
        self._first, self._first_offset = self._first_layer()
        self._scale, self._middle = (each[len(features.FORM) :] for each in (get("scale"), get("middle")))
        self._middle = self._middle * self._scale
        self._usual, self._far = get("usual").tolist()
        self._heads: dict[tuple[str, bool, tuple[str, ...]], _Heads] = {}
        self._words: dict[str, NDArray[Any]] = {}

    @property
    def models(self) -> list[str]:
        """All models that it knows."""
        return sorted({model for task in self.about.tasks.values() for model in task.models})

    def predict(self, query: Query, models: Sequence[str]) -> Estimates:
        """Pure: the same query gives the same estimates."""
        reading = features.read(query.prompt, self._lexicon)
        raw = np.concatenate((np.array(reading.form, np.float32), reading.meaning))
        first = raw.dot(self._first) + self._first_offset
        phi = np.concatenate((np.cos(first[: self._waves]), raw))
        nearest = float(np.minimum.reduce(first[self._waves :]))
        task, told, novelty = self._place(query, self._strangeness(reading.meaning, nearest))
        heads = self._chosen(task, told >= 0, tuple(models))
        count = len(heads.names)
        found = phi.dot(heads.meaning) + heads.offset
        if heads.words is not None:
            found[count:] += self._said(reading.buckets, heads.words, heads.mix)
        if told >= 0:
            found += heads.effects[told]
            quality = found[count:].tolist()
        else:
            if len(task.categories) > 1:
                found[: 3 * count] += expected(found[3 * count :], heads.effects)
            quality = (found[count : 2 * count] + novelty * found[2 * count : 3 * count]).tolist()
            if count > 1:
                quality = _cautious(quality, heads.best, CAUTION + MORE_CAUTION * novelty)
        quality = [0.0 if one < 0.0 else 1.0 if one > 1.0 else one for one in quality]
        spread = (heads.spread * (1 + 2 * novelty)).tolist()
        if heads.lengths is None:
            made = map(Estimate, quality, spread)
        else:
            lengths = np.exp(np.minimum(found[:count], 12.0)).tolist()
            if not all(heads.lengths):
                lengths = [many if sure else None for many, sure in zip(lengths, heads.lengths, strict=True)]
            made = map(Estimate, quality, spread, lengths)
        candidates = dict(zip(heads.names, made, strict=True))
        return self._whole(query, models, Estimates(novelty, candidates))

    def _whole(self, query: Query, models: Sequence[str], found: Estimates) -> Estimates:
        """With what is left to `otherwise`, in the order asked for."""
        if len(found.candidates) == len(models):
            return found
        missing = [model for model in models if model not in found.candidates]
        if not missing or self._otherwise is None:
            return found
        other = self._otherwise.predict(query, missing).candidates
        both = found.candidates | other
        return Estimates(found.novelty, {model: both[model] for model in models if model in both})

    def _first_layer(self) -> "tuple[NDArray[Any], NDArray[Any]]":
        """What form and meaning are multiplied with first, and what is added then: it gives the phases of the random
        features, and the squared distances to the centres but for a part that all of them share."""
        get, form = self._arrays.__getitem__, len(features.FORM)
        scale, middle = get("scale")[:, None], get("middle") * get("scale")
        away = np.zeros((len(middle), len(get("centres"))), np.float32)
        away[form:] = -2 * get("centres").T
        both = np.concatenate((get("kernel"), away), axis=1)
        offset = np.concatenate((get("phase"), (get("centres") ** 2).sum(1)))
        return np.ascontiguousarray(scale * both), offset - middle @ both

    def _folded(self, heads: "NDArray[Any]") -> "tuple[NDArray[Any], NDArray[Any]]":
        """`heads` over `predict`'s waves and plain numbers, and an offset. They were learned over scaled ones."""
        scale = self._arrays["scale"] * np.float32(DENSE_SCALE)
        waves, dense = heads[: self._waves], heads[self._waves :]
        return (
            np.concatenate((waves * np.float32((2 / self._waves) ** 0.5), dense * scale[:, None])),
            -(self._arrays["middle"] * scale) @ dense,
        )

    def _place(self, query: Query, strangeness: float) -> tuple[Task, int, float]:
        """The task whose heads answer, the number of the query's category (-1: none of the task's), and its novelty."""
        tasks = self.about.tasks
        task = tasks.get(query.task or "")
        if task is None:
            other = self.about.pooled or next(iter(tasks.values()))
            return other, -1, strangeness if query.task is None else max(strangeness, 0.9)
        if query.category is None:
            return task, -1, strangeness
        if query.category in task.categories:
            return task, task.categories.index(query.category), 0.3 * strangeness
        return task, -1, max(strangeness, 0.9)

    def _strangeness(self, meaning: "NDArray[Any]", nearest: float) -> float:
        """0 among the training data, 1 far from all of it. `nearest`: the squared distance to the nearest centre, but
        for the squared length of `meaning`."""
        scaled = meaning * self._scale - self._middle
        beyond = max(0.0, nearest + float(scaled.dot(scaled))) ** 0.5 - self._usual
        return float(min(1.0, max(0.0, beyond / (4 * (self._far - self._usual) + 1e-9))))

    def _said(self, buckets: "NDArray[Any]", words: "NDArray[Any]", mix: "NDArray[Any]") -> "NDArray[Any]":
        """What words and pairs say."""
        total = np.ones(len(buckets), np.float32).dot(words.take(buckets, 0))  # faster than a sum
        total *= float(total[-1] + 1e-12) ** -0.5
        return np.asarray(total[:-1].dot(mix))

    def _chosen(self, task: Task, told: bool, models: tuple[str, ...]) -> _Heads:
        """The task's arrays for these models, made once."""
        key = (task.key, told, models)
        found = self._heads.get(key)
        if found is None:
            if len(self._heads) >= MOST_REMEMBERED:
                self._heads.clear()
            found = self._heads[key] = self._fold(task, told, models)
        return found

    def _fold(self, task: Task, told: bool, models: tuple[str, ...]) -> _Heads:
        """Weights and heads made one: only what depends on the query is left."""
        names = [model for model in dict.fromkeys(models) if model in task.models]
        at = [task.models.index(name) for name in names]
        total, key, get = len(task.models), task.key, self._arrays.__getitem__
        weights = get(f"{key}.weights")
        rows = [weights[0]] if told else [weights[1], weights[2] - weights[1]]

        def voiced(table: "NDArray[Any]", voice: int) -> "NDArray[Any]":
            """Quality as a voice sees it, weighed; then the scores of the categories, where they are needed and it has
            them."""
            parts = [row[2 * voice + 1] * table[..., at] + row[2 * voice] * table[..., total, None] for row in rows]
            return np.concatenate(parts if told else [*parts, table[..., total + 1 :]], axis=-1)

        effects = get(f"{key}.effects")
        common = effects.mean(1, keepdims=True)
        apart = effects - common
        if told:
            effect = [effects[:, at]]
        else:
            effect = [row[5] * apart[:-1, at] + row[4] * common[:-1] for row in rows]
        known = [task.lengths[place] for place in at]
        none = np.zeros((1, len(at)), np.float32)
        length, length_offset, length_effects = none, none[0], np.zeros((len(effects), len(at)), np.float32)
        if any(known):
            length = get(f"{key}.tokens")[:, at]
            length_offset = (get(f"{key}.tokens.base") + np.log(get(f"{key}.tokens.stretch")))[at]
            length_effects = get(f"{key}.tokens.effects")[:, at]
        meaning, offset = voiced(get(f"{key}.meaning"), 0), voiced(get(f"{key}.offset"), 0)
        offset[: len(at)] += get(f"{key}.base")[at]
        plain, plain_offset = voiced(get(f"{key}.plain"), 3), voiced(get(f"{key}.plain.offset"), 3)
        meaning[-len(plain) :, : plain.shape[1]] += plain
        offset[: len(plain_offset)] += plain_offset
        both, more = self._folded(np.concatenate((np.broadcast_to(length, (len(meaning), len(at))), meaning), axis=1))
        return _Heads(
            names=names,
            meaning=both,
            offset=np.concatenate((length_offset, offset)) + more,
            words=self._weighed(key) if task.words else None,
            mix=np.ascontiguousarray(voiced(get(f"{key}.mix"), 1)) if task.words else none,
            effects=np.concatenate((length_effects if told else length_effects[:-1], *effect), axis=1),
            spread=get(f"{key}.spread")[at],
            lengths=known if any(known) else None,
            best=int(get(f"{key}.base")[at].argmax()) if at else 0,
        )

    def _weighed(self, key: str) -> "NDArray[Any]":
        """A task's table of words, each row times the bucket's weight; in the last column that weight's square."""
        if key not in self._words:
            rarity = self._arrays["rarity"][:, None]
            table = self._arrays[f"{key}.words"] * rarity
            self._words[key] = np.ascontiguousarray(np.concatenate((table, rarity**2), axis=1), np.float32)
        return self._words[key]


def _cautious(quality: list[float], best: int, margin: float) -> list[float]:
    """Whoever is said to beat the model that is best in the mean must do so by more than `margin`; else it is put just
    behind. Order is kept but for that one model."""
    top = quality[best]
    slope = BEHIND / (margin + BEHIND)
    kept = [
        one - margin
        if one > top + margin
        else top + (one - top + BEHIND) * slope - BEHIND
        if one > top - BEHIND
        else one
        for one in quality
    ]
    kept[best] = top
    return kept


def guess(scores: "NDArray[Any]") -> "NDArray[Any]":
    """How likely each category is, by the scores of a regression on 0 and 1."""
    above = np.exp(SHARPNESS * (scores - scores.max(axis=-1, keepdims=True)))
    return np.asarray(above / above.sum(axis=-1, keepdims=True))


def expected(scores: "NDArray[Any]", effects: "NDArray[Any]") -> "NDArray[Any]":
    """The mean of the categories' effects, each as likely as `guess` has it; of one query, and faster."""
    above = np.exp((scores - np.maximum.reduce(scores)) * np.float32(SHARPNESS))
    return np.asarray(above.dot(effects) / np.add.reduce(above))


def load(path: Path, otherwise: Predictor | None = None) -> Trained:
    """The predictor at `path`. Raises `ArtifactError`, and `OSError` where the file can't be read."""
    return Trained(artifact.read(path, KIND), lexicon.shipped(), otherwise)


def default(otherwise: Predictor | None = None) -> Trained:
    """The one that is part of the package: see `docs/router.md` for what it was trained on."""
    return load(Path(__file__).with_name("default.dgm"), otherwise)
