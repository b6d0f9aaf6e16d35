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

    The last column of what `meaning` and `words` give is the part that all models share."""

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
        self._heads: dict[tuple[str, int, tuple[str, ...]], tuple[list[str], _Heads]] = {}
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
        task, number, novelty = self._place(query, self._strangeness(dense[len(features.FORM) :]))
        category = task.categories.index(query.category) if query.category in task.categories else -1
        names, heads = self._chosen(task, number, tuple(models))
        weights = arrays[f"{task.key}.weights"]
        weight = weights[0] if number == 0 else weights[1] + novelty * (weights[2] - weights[1])
        shared_meaning, shared_words, apart_meaning, apart_words = weight.tolist()
        meaning = phi @ heads.meaning + heads.offset
        quality = heads.base + heads.effects[category] + apart_meaning * meaning[:-1] + shared_meaning * meaning[-1]
        if heads.words is not None and (shared_words or apart_words):
            said = self._said(reading.buckets, heads)
            quality += apart_words * said[:-1] + shared_words * said[-1]
        quality = np.minimum(np.maximum(quality, 0.0), 1.0)
        spread = heads.spread * (1 + 2 * novelty)
        tokens: Sequence[float | None] = [None] * len(names)
        if heads.tokens is not None:
            logs = phi @ heads.tokens + heads.tokens_base + heads.tokens_effects[category]
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
        """The task whose heads answer, which of its heads (0: the category is known), and the query's novelty."""
        tasks = self.about.tasks
        task = tasks.get(query.task or "")
        if task is None:
            other = self.about.pooled or next(iter(tasks.values()))
            return other, 1, strangeness if query.task is None else max(strangeness, 0.9)
        if query.category is None:
            return task, 1, strangeness
        known = query.category in task.categories
        return task, 0 if known else 1, 0.3 * strangeness if known else max(strangeness, 0.9)

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

    def _chosen(self, task: Task, number: int, models: tuple[str, ...]) -> tuple[list[str], _Heads]:
        """The task's arrays for these models, made once."""
        key = (task.key, number, models)
        found = self._heads.get(key)
        if found is None:
            if len(self._heads) >= MOST_REMEMBERED:
                self._heads.clear()
            found = self._heads[key] = self._choose(task, number, models)
        return found

    def _choose(self, task: Task, number: int, models: tuple[str, ...]) -> tuple[list[str], _Heads]:
        import numpy as np

        names = [model for model in dict.fromkeys(models) if model in task.models]
        at = [task.models.index(name) for name in names]
        both = [*at, len(task.models)]
        get = self._arrays.__getitem__
        own, part = task.key, f"{task.key}.{number}"
        known = [task.lengths[place] for place in at]
        none = np.zeros((1, len(at)), np.float32)
        stretch = np.where(known, np.log(get(f"{own}.tokens.stretch")[at]), np.nan) if any(known) else none
        return names, _Heads(
            base=get(f"{own}.base")[at],
            effects=get(f"{own}.effects")[:, at],
            meaning=np.ascontiguousarray(get(f"{part}.meaning")[:, both]),
            offset=get(f"{part}.offset")[both],
            words=get(f"{part}.words") if task.words else None,
            mix=np.ascontiguousarray(get(f"{part}.mix")[:, both]) if task.words else none,
            spread=get(f"{own}.spread")[at],
            tokens=np.ascontiguousarray(get(f"{own}.tokens")[:, at]) if any(known) else None,
            tokens_base=get(f"{own}.tokens.base")[at] + stretch if any(known) else none[0],
            tokens_effects=get(f"{own}.tokens.effects")[:, at] if any(known) else none,
        )


def load(path: Path, otherwise: Predictor | None = None) -> Trained:
    """The predictor at `path`. Raises `ArtifactError`, and `OSError` where the file can't be read."""
    return Trained(artifact.read(path, KIND), lexicon.shipped(), otherwise)
