"""What a trained artifact expects of each model, for a query: a few small matrix products."""

from collections.abc import Sequence
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Struct

from dragoman.routing import artifact, features, lexicon
from dragoman.routing.estimate import Estimate, Estimates, Predictor, Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

KIND = "router"
DENSE_SCALE = 0.14  # of form and meaning as they are, beside the random features made of them
MOST_REMEMBERED = 256  # sets of models whose places are kept


SHARPNESS = 6.0  # of the guess of a category
VOICES = ("meaning and form", "words", "category, guessed")
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

    lexicon: str
    tasks: dict[str, Task]
    pooled: Task | None
    questions: int
    seed: int


class _Heads(NamedTuple):
    """One task's arrays, for a choice of models, ready to be multiplied.

    The columns of what `meaning` and `words` give: each model's departure from what all share, that, and the scores of
    the categories. The last column of `effects` is what all share."""

    base: "NDArray[Any]"
    effects: "NDArray[Any]"
    meaning: "NDArray[Any]"
    offset: "NDArray[Any]"
    words: "NDArray[Any] | None"
    mix: "NDArray[Any]"
    spread: "NDArray[Any]"
    tokens: "NDArray[Any] | None"
    tokens_base: "NDArray[Any]"
    tokens_effects: "NDArray[Any]"


class Trained:
    """The predictor in an artifact. Models that it does not know are left to `otherwise`."""

    def __init__(self, file: artifact.File, words: lexicon.Lexicon, otherwise: Predictor | None = None) -> None:
        import numpy as np

        try:
            self.about = msgspec.json.decode(file.about, type=About)
        except msgspec.MsgspecError as error:
            raise artifact.ArtifactError(f"{file.name}: not of this version ({error}): train it anew") from None
        if self.about.lexicon != words.name:
            raise artifact.ArtifactError(
                f'{file.name}: was trained with "{self.about.lexicon}", here is "{words.name}": train it anew'
            )
        self.name = file.name
        self._lexicon = words
        self._otherwise = otherwise
        whole = {name: array.astype("f4") for name, array in file.arrays.items() if array.dtype != np.int8}
        self._arrays = whole | {name: array for name, array in file.arrays.items() if array.dtype == np.int8}
        self._heads: dict[tuple[str, tuple[str, ...]], tuple[list[str], _Heads]] = {}
        self._waves = np.float32((2 / len(whole["phase"])) ** 0.5)

    @property
    def models(self) -> list[str]:
        """All models that it knows."""
        return sorted({model for task in self.about.tasks.values() for model in task.models})

    def predict(self, query: Query, models: Sequence[str]) -> Estimates:
        """Pure: the same query gives the same estimates."""
        import numpy as np

        reading = features.read(query.prompt, self._lexicon)
        arrays = self._arrays
        dense = (np.concatenate((reading.form, reading.meaning)) - arrays["middle"]) * arrays["scale"]
        dense = dense.astype(np.float32)
        waves = np.cos(dense @ arrays["kernel"] + arrays["phase"]) * self._waves
        phi = np.concatenate((waves, dense * DENSE_SCALE))
        task, told, novelty = self._place(query, self._strangeness(dense[len(features.FORM) :]))
        names, heads = self._chosen(task, tuple(models))
        count = len(names)
        weights = arrays[f"{task.key}.weights"]
        weight = (weights[0] if told >= 0 else weights[1] + novelty * (weights[2] - weights[1])).tolist()
        meaning = phi @ heads.meaning + heads.offset
        quality = heads.base + weight[1] * meaning[:count] + weight[0] * meaning[count]
        said = None
        if heads.words is not None:
            said = self._said(reading.buckets, heads)
            quality += weight[3] * said[:count] + weight[2] * said[count]
        likely = None
        if told >= 0:
            quality += heads.effects[told, :count] + heads.effects[told, count]
        elif said is not None and len(task.categories) > 1:
            likely = guess((meaning + said)[count + 1 :])
            effect = likely @ heads.effects[:-1]
            quality += weight[5] * effect[:count] + weight[4] * effect[count]
        quality = np.minimum(np.maximum(quality, 0.0), 1.0)
        spread = heads.spread * (1 + 2 * novelty)
        tokens: Sequence[float | None] = [None] * len(names)
        if heads.tokens is not None:
            logs = phi @ heads.tokens + heads.tokens_base
            logs += heads.tokens_effects[told] if likely is None else likely @ heads.tokens_effects[:-1]
            tokens = [None if length != length else exp(min(length, 12.0)) for length in logs.tolist()]
        candidates = dict(zip(names, map(Estimate, quality.tolist(), spread.tolist(), tokens), strict=True))
        return self._whole(query, models, Estimates(novelty, candidates))

    def _whole(self, query: Query, models: Sequence[str], found: Estimates) -> Estimates:
        """With what is left to `otherwise`, in the order asked for."""
        missing = [model for model in models if model not in found.candidates]
        if not missing or self._otherwise is None:
            return found
        other = self._otherwise.predict(query, missing).candidates
        both = found.candidates | other
        return Estimates(found.novelty, {model: both[model] for model in models if model in both})

    def _place(self, query: Query, strangeness: float) -> tuple[Task, int, float]:
        """The task whose heads answer, the number of the query's category (-1: not one of the task's), and its novelty."""
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

    def _strangeness(self, meaning: "NDArray[Any]") -> float:
        """0 among the training data, 1 far from all of it."""
        centres = self._arrays["centres"]
        usual, far = self._arrays["usual"].tolist()
        gap = centres - meaning
        nearest = float((gap * gap).sum(axis=1).min()) ** 0.5
        return min(1.0, max(0.0, (nearest - usual) / (4 * (far - usual) + 1e-9)))

    def _said(self, buckets: "NDArray[Any]", heads: _Heads) -> "NDArray[Any]":
        """What words and pairs say."""
        import numpy as np

        assert heads.words is not None
        rarity = self._arrays["rarity"][buckets]
        length = float(rarity @ rarity) ** 0.5
        said: NDArray[Any] = (rarity @ heads.words[buckets].astype(np.float32)) @ heads.mix
        return said / length if length else said * 0

    def _chosen(self, task: Task, models: tuple[str, ...]) -> tuple[list[str], _Heads]:
        """The task's arrays for these models, made once."""
        key = (task.key, models)
        found = self._heads.get(key)
        if found is None:
            if len(self._heads) >= MOST_REMEMBERED:
                self._heads.clear()
            found = self._heads[key] = self._choose(task, models)
        return found

    def _choose(self, task: Task, models: tuple[str, ...]) -> tuple[list[str], _Heads]:
        import numpy as np

        names = [model for model in dict.fromkeys(models) if model in task.models]
        at = [task.models.index(name) for name in names]
        rest = range(len(task.models), len(task.models) + 1 + len(task.categories))
        both = [*at, *rest]
        key = task.key
        get = self._arrays.__getitem__
        effects = get(f"{key}.effects")
        shared = effects.mean(1, keepdims=True)
        known = [task.lengths[place] for place in at]
        none = np.zeros((1, len(at)), np.float32)
        stretch = np.where(known, np.log(get(f"{key}.tokens.stretch")[at]), np.nan) if any(known) else none[0]
        return names, _Heads(
            base=get(f"{key}.base")[at],
            effects=np.concatenate((effects[:, at] - shared, shared), axis=1),
            meaning=np.ascontiguousarray(get(f"{key}.meaning")[:, both]),
            offset=get(f"{key}.offset")[both],
            words=get(f"{key}.words") if task.words else None,
            mix=np.ascontiguousarray(get(f"{key}.mix")[:, both]) if task.words else none,
            spread=get(f"{key}.spread")[at],
            tokens=np.ascontiguousarray(get(f"{key}.tokens")[:, at]) if any(known) else None,
            tokens_base=get(f"{key}.tokens.base")[at] + stretch if any(known) else none[0],
            tokens_effects=get(f"{key}.tokens.effects")[:, at] if any(known) else none,
        )


def guess(scores: "NDArray[Any]") -> "NDArray[Any]":
    """How likely each category is, by the scores of a regression on 0 and 1."""
    import numpy as np

    above = np.exp(SHARPNESS * (scores - scores.max(axis=-1, keepdims=True)))
    return np.asarray(above / above.sum(axis=-1, keepdims=True))


def load(path: Path, otherwise: Predictor | None = None) -> Trained:
    """The predictor at `path`. Raises `ArtifactError`, and `OSError` where the file can't be read."""
    return Trained(artifact.read(path, KIND), lexicon.shipped(), otherwise)
