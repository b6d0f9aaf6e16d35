"""Learning from outcomes (`dragoman router train`).

How this works. For each task, what a model scores is taken apart: the model's mean; the category's departure from it,
shrunk by how much categories differ at all (empirical Bayes); and what the text says of the rest. The text speaks
through its meaning and form (random features of a kernel, ridge regression) and through its words (hashed words and
pairs, ridge regression); where the category is not told, both guess it. Every voice is believed as far as it deserves:
weights for the part that all models share (how hard the question is) and for what sets models apart are measured on
questions that were held out at random.

Where a query is unlike the training data, other weights rule, measured with whole categories held out. There the
meaning alone speaks (a plain ridge regression on all of a model's departure from its mean): what was learned inside of
categories, or of words, hardly holds in a new one. Of such weights the least counts that is found when each fold in
turn is left out, so the text falls silent where it proves nothing, and the best single model stays.

Beside the tasks stands one model of all tasks together, for queries of a task that was not trained.

Everything is linear algebra and seeded: on one machine the same outcomes and seed give the same file, bit for bit.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dragoman.routing import artifact, features
from dragoman.routing.lexicon import Lexicon
from dragoman.routing.outcomes import Answered
from dragoman.routing.predictor import DENSE_SCALE, KIND, VOICES, About, Task, guess

if TYPE_CHECKING:
    from numpy.typing import NDArray

RANDOM_FEATURES = 384
WIDTH = 0.02  # of the kernel: exp(-WIDTH |x - y|²)
FORM_SCALE = 0.3  # of a form number, beside a meaning's
RIDGE = 20.0  # of meaning and form
PLAIN_RIDGE = 2.0  # of meaning alone
WORD_RIDGE = 16.0  # of words, where they speak for quality
CATEGORY_RIDGE = 1.0  # of words, where they speak for a category: that is plainer to see
FOLDS = 5
FACTORS = 24  # that the heads over words are boiled down to
CENTRES = 48
POOLED = (0.5, 0.25, *(0.0,) * 6)  # how much to believe of the text on a task that was not trained
TOLD_OF_LENGTH = 0.7  # how much to believe of the text on an answer's length
TURNS = 6  # of learning and filling in what is missing
LEAST = 8  # questions of a task


class Text(NamedTuple):
    """Prompts in numbers: `phi` is meaning and form, `words` is sparse."""

    phi: "NDArray[Any]"
    words: Any

    def at(self, rows: Any) -> "Text":
        """Some of them."""
        return Text(self.phi[rows], self.words[rows])


class Answers(NamedTuple):
    """A number for each question and model (nan: not asked), and the number of each question's category, of so many
    (-1: none)."""

    table: "NDArray[Any]"
    group: "NDArray[Any]"
    categories: int

    def at(self, rows: Any) -> "Answers":
        """Some of them."""
        return Answers(self.table[rows], self.group[rows], self.categories)


class TrainingError(RuntimeError):
    """Outcomes from which nothing can be learned."""


def train(rows: Sequence[Answered], lexicon: Lexicon, seed: int = 0) -> bytes:
    """The artifact's bytes. Raises `TrainingError`."""
    import numpy as np

    rng = np.random.default_rng(seed)
    readings = [features.read(row.prompt, lexicon) for row in rows]
    arrays: dict[str, Any] = {}
    text = Text(_semantic(readings, arrays, rng), _words(readings, arrays))
    tasks: dict[str, Task] = {}
    for name in sorted({row.task or "" for row in rows}):
        at = [number for number, row in enumerate(rows) if (row.task or "") == name]
        if len(at) < LEAST:
            raise TrainingError(f'task "{name}": {len(at)} questions: expected {LEAST} or more')
        tasks[name] = _task(f"t{len(tasks)}", [rows[i] for i in at], text.at(at), arrays, rng)
    pooled = _pooled(rows, text.phi, tasks, arrays) if len(tasks) > 1 else None
    about = About(voices=VOICES, lexicon=lexicon.name, tasks=tasks, pooled=pooled, questions=len(rows), seed=seed)
    return artifact.pack(KIND, about, arrays)


def _semantic(readings: "Sequence[features.Reading]", arrays: dict[str, Any], rng: Any) -> "NDArray[Any]":
    """Meaning and form of every prompt as random features of a kernel, followed by themselves."""
    import numpy as np

    form = np.array([reading.form for reading in readings], float)
    meaning = np.array([reading.meaning for reading in readings], float)
    spread = meaning.std(0) + 1e-6
    middle = np.concatenate((form.mean(0), meaning.mean(0)))
    scale = np.concatenate((FORM_SCALE / np.maximum(form.std(0), 0.02), 1 / np.sqrt(spread * spread.max())))
    dense = (np.concatenate((form, meaning), 1) - middle) * scale
    arrays["middle"] = middle.astype("f4")
    arrays["scale"] = scale.astype("f4")
    arrays["kernel"] = (rng.normal(size=(dense.shape[1], RANDOM_FEATURES)) * (2 * WIDTH) ** 0.5).astype("f2")
    arrays["phase"] = rng.uniform(0, 2 * np.pi, RANDOM_FEATURES).astype("f4")
    centres = _centres(dense[:, len(features.FORM) :], rng)
    nearest = _distances(dense[:, len(features.FORM) :], centres)
    arrays["centres"] = centres.astype("f4")
    arrays["usual"] = np.quantile(nearest, (0.5, 0.95)).astype("f4")
    waves = np.cos(dense @ arrays["kernel"].astype(float) + arrays["phase"]) * (2 / RANDOM_FEATURES) ** 0.5
    return np.asarray(np.concatenate((waves, dense * DENSE_SCALE), 1))


def _centres(points: "NDArray[Any]", rng: Any) -> "NDArray[Any]":
    """Centres of clusters (Lloyd's algorithm)."""
    import numpy as np

    centres = points[rng.choice(len(points), min(CENTRES, len(points)), replace=False)]
    for _ in range(12):
        nearest = ((points[:, None, :] - centres[None]) ** 2).sum(2).argmin(1)
        centres = np.array(  # a centre that lost all its points stays
            [
                points[nearest == number].mean(0) if (nearest == number).any() else centre
                for number, centre in enumerate(centres)
            ]
        )
    return np.asarray(centres)


def _distances(points: "NDArray[Any]", centres: "NDArray[Any]") -> "NDArray[Any]":
    import numpy as np

    return np.asarray(np.sqrt(((points[:, None, :] - centres[None]) ** 2).sum(2).min(1)))


def _words(readings: "Sequence[features.Reading]", arrays: dict[str, Any]) -> Any:
    """Every prompt's words and pairs as a sparse row of length one, rare ones weighing more."""
    import numpy as np
    from scipy import sparse

    row = np.repeat(np.arange(len(readings)), [len(reading.buckets) for reading in readings])
    column = np.concatenate([reading.buckets for reading in readings]).astype(np.int64)
    counts = sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=(len(readings), features.BUCKETS))
    seen = np.asarray((counts > 0).sum(0)).ravel()
    arrays["rarity"] = np.where(seen < 2, 0, np.log((len(readings) + 1) / (seen + 1))).astype("f2")
    return _rows(row, column, arrays["rarity"].astype(float), len(readings))


def _rows(row: "NDArray[Any]", column: "NDArray[Any]", rarity: "NDArray[Any]", count: int) -> Any:
    """As the predictor weighs them: each occurrence with its rarity, over the root of the sum of their squares."""
    import numpy as np
    from scipy import sparse

    weight = rarity[column]
    norm = np.sqrt(np.bincount(row, weight**2, count)) + 1e-9
    return sparse.csr_matrix((weight / norm[row], (row, column)), shape=(count, features.BUCKETS))


def _task(key: str, rows: Sequence[Answered], text: Text, arrays: dict[str, Any], rng: Any) -> Task:
    """Learns one task; its numbers go to `arrays` under `key`."""
    import numpy as np

    models = sorted({model for row in rows for model in row.outcomes})
    if not models:
        raise TrainingError(f'task "{rows[0].task or ""}": no outcomes')
    categories = sorted({row.category for row in rows if row.category is not None})
    place = {category: number for number, category in enumerate(categories)}
    group = np.array([-1 if row.category is None else place[row.category] for row in rows])
    table = np.array([[row.outcomes[m].quality if m in row.outcomes else np.nan for m in models] for row in rows])
    base, effects = _levels(Answers(table, group, len(categories)))
    answers = Answers(_filled(Answers(table, group, len(categories)), text.phi), group, len(categories))
    random = rng.permutation(len(rows)) % FOLDS
    apart = _group_folds(group, rng) if len(categories) > 1 else _clusters(text.phi, rng)
    told, guessed, strange = _weights(answers, text, random, apart)
    residual = answers.table - base - effects[group]
    wanted = np.concatenate((_split(residual), _one_hot(group, len(categories))), axis=1)
    heads = _ridge(text.phi, wanted).astype("f2")
    arrays[f"{key}.meaning"] = heads
    arrays[f"{key}.offset"] = (wanted.mean(0) - text.phi.mean(0) @ heads.astype(float)).astype("f4")
    plain = _split(_ridge(_meaning(text.phi), answers.table - base, PLAIN_RIDGE)).astype("f2")
    arrays[f"{key}.plain"] = plain
    arrays[f"{key}.plain.offset"] = (-_meaning(text.phi).mean(0) @ plain.astype(float)).astype("f4")
    arrays[f"{key}.words"], arrays[f"{key}.mix"] = _factors(_word_ridge(text.words, wanted, len(models) + 1))
    arrays[f"{key}.weights"] = np.array([told, guessed, strange], "f4")
    arrays[f"{key}.base"] = base.astype("f4")
    arrays[f"{key}.effects"] = effects.astype("f4")
    observed = (~np.isnan(table)).sum(0)
    arrays[f"{key}.spread"] = np.sqrt(np.nanvar(table, axis=0) / np.maximum(observed, 1) + 1e-6).astype("f4")
    tokens = Answers(np.array([_tokens(row, models) for row in rows]), group, len(categories))
    lengths = _lengths(key, tokens, text.phi, arrays)
    return Task(key=key, models=models, categories=categories, lengths=lengths, questions=len(rows))


def _levels(answers: Answers) -> "tuple[NDArray[Any], NDArray[Any]]":
    """Each model's mean, and each category's departure from it, shrunk by how much of it may be chance. The last row
    of the departures is for no category."""
    import numpy as np

    table, group, categories = answers
    base = np.nan_to_num(np.nanmean(table, axis=0), nan=0.5)
    effects = np.zeros((categories + 1, table.shape[1]))
    there, departures, noise = [], [], []
    for number in range(categories):
        own = table[group == number] - base
        if len(own) == 0:  # it was held out
            continue
        there.append(number)
        count = np.maximum((~np.isnan(own)).sum(0), 1)
        mean = np.nan_to_num(np.nansum(own, axis=0) / count)
        departures.append(np.stack((np.full(len(mean), mean.mean()), mean - mean.mean())))
        variance = np.nan_to_num(np.nanvar(own, axis=0)) + 0.01
        noise.append(np.stack((np.full(len(mean), variance.mean() / count.mean() * 0.5), variance / count * 0.5)))
    if departures:
        seen, chance = np.array(departures), np.array(noise)
        real = np.maximum((seen**2 - chance).mean(axis=(0, 2)), 1e-6)[None, :, None]
        effects[there] = (seen * real / (real + chance)).sum(1)
    return base, effects


def _filled(answers: Answers, phi: "NDArray[Any]") -> "NDArray[Any]":
    """Where a model was not asked: what text and category lead to expect, by turns of expecting and learning."""
    import numpy as np

    missing = np.isnan(answers.table)
    base, effects = _levels(answers)
    level = base + effects[answers.group]
    filled = np.where(missing, level, answers.table)
    for _ in range(TURNS if missing.any() else 0):
        expected = level + (phi - phi.mean(0)) @ _ridge(phi, filled - level)
        filled = np.where(missing, expected, answers.table)
    return filled


def _group_folds(group: "NDArray[Any]", rng: Any) -> "NDArray[Any]":
    """Whole categories to folds."""
    import numpy as np

    labels = rng.permutation(int(group.max()) + 2)
    return np.asarray(labels[group] % min(FOLDS, len(labels)))


def _clusters(phi: "NDArray[Any]", rng: Any) -> "NDArray[Any]":
    """Without categories: clusters of alike questions to folds."""
    import numpy as np

    dense = _meaning(phi)
    centres = _centres(dense, rng)[: 2 * FOLDS]
    return np.asarray(((dense[:, None, :] - centres[None]) ** 2).sum(2).argmin(1) % FOLDS)


def _weights(
    answers: Answers, text: Text, random: "NDArray[Any]", apart: "NDArray[Any]"
) -> "tuple[NDArray[Any], NDArray[Any], NDArray[Any]]":
    """How much of each voice to believe (see `predictor.VOICES`): where the category is told, where it is guessed, and
    where the query is strange. Least squares on what each voice said of questions that it had not seen; for strange
    ones, whole categories were held out, and the least counts that is found when each fold in turn is left out."""
    import numpy as np

    voices, truth, level = _heard(answers, text, random)
    told = _listen(voices[:2], truth - level)
    guessed = _listen(voices[:3], truth)
    voices, truth, _ = _heard(answers, text, apart)
    each = [_listen(voices[3:, apart != fold], truth[apart != fold]) for fold in np.unique(apart)]
    return np.pad(told, (0, 4)), np.pad(guessed, (0, 2)), np.pad(np.min(each, axis=0), (6, 0))


def _heard(answers: Answers, text: Text, folds: "NDArray[Any]") -> "tuple[NDArray[Any], NDArray[Any], NDArray[Any]]":
    """What each voice says of the questions of each fold, having learned from the others; the truth beside each model's
    mean; and the effect of the true category."""
    import numpy as np

    table, group, categories = answers
    models = table.shape[1]
    voices = np.zeros((len(VOICES), *table.shape))
    truth, level = np.zeros_like(table), np.zeros_like(table)
    for fold in np.unique(folds):
        out = folds == fold
        seen, learned = text.at(~out), answers.at(~out)
        base, effects = _levels(learned)
        residual = learned.table - base - effects[learned.group]
        wanted = np.concatenate((residual, _one_hot(learned.group, categories)), axis=1)
        meaning = (text.phi[out] - seen.phi.mean(0)) @ _ridge(seen.phi, wanted) + wanted.mean(0)
        said = text.words[out] @ _word_ridge(seen.words, wanted, models)
        voices[0, out], voices[1, out] = meaning[:, :models], said[:, :models]
        if categories > 1:
            voices[2, out] = guess(meaning[:, models:] + said[:, models:]) @ effects[:-1]
        own, whole = _meaning(seen.phi), learned.table - base
        voices[3, out] = (_meaning(text.phi[out]) - own.mean(0)) @ _ridge(own, whole, PLAIN_RIDGE)
        truth[out] = table[out] - base
        level[out] = effects[group[out]]
    return voices, truth, level


def _one_hot(group: "NDArray[Any]", categories: int) -> "NDArray[Any]":
    import numpy as np

    return np.asarray(group[:, None] == np.arange(categories), float)


def _listen(voices: "NDArray[Any]", truth: "NDArray[Any]") -> "NDArray[Any]":
    """Weights between 0 and 1.5 of the voices, for the shared part and for the models' departures from it, by turns."""
    import numpy as np
    from scipy.optimize import lsq_linear

    found = []
    for part in (_shared, _apart):
        heard = np.array([part(voice).ravel() for voice in voices])
        square = heard @ heard.T + 1e-9 * np.eye(len(voices))
        root = np.linalg.cholesky(square)
        target = np.linalg.solve(root, heard @ part(truth).ravel())
        found.append(lsq_linear(root.T, target, (0, 1.5)).x)
    return np.stack(found, axis=1).ravel()


def _shared(table: "NDArray[Any]") -> "NDArray[Any]":
    import numpy as np

    return np.asarray(table.mean(1, keepdims=True))


def _apart(table: "NDArray[Any]") -> "NDArray[Any]":
    import numpy as np

    return np.asarray(table - table.mean(1, keepdims=True))


def _meaning(phi: "NDArray[Any]") -> "NDArray[Any]":
    """The columns that are meaning alone."""
    return phi[:, RANDOM_FEATURES + len(features.FORM) :]


def _ridge(phi: "NDArray[Any]", residual: "NDArray[Any]", penalty: float = RIDGE) -> "NDArray[Any]":
    import numpy as np

    centred = phi - phi.mean(0)
    square = centred.T @ centred + penalty * np.eye(phi.shape[1])
    return np.asarray(np.linalg.solve(square, centred.T @ (residual - residual.mean(0))))


def _word_ridge(words: Any, residual: "NDArray[Any]", models: int) -> "NDArray[Any]":
    """Ridge regression on sparse rows by conjugate gradients, all columns at once: models first, then categories."""
    import numpy as np

    penalty = np.where(np.arange(residual.shape[1]) < models, WORD_RIDGE, CATEGORY_RIDGE)
    target = residual - residual.mean(0)
    across = words.T.tocsr()
    gradient = across @ target
    heads = np.zeros_like(gradient)
    direction = gradient.copy()
    size = (gradient**2).sum(0)
    start = size.copy()
    for _ in range(25):
        step = across @ (words @ direction) + penalty * direction
        length = size / np.maximum((direction * step).sum(0), 1e-30)
        heads += length * direction
        gradient -= length * step
        renewed = (gradient**2).sum(0)
        if (renewed <= 1e-6 * start).all():
            break
        direction = gradient + renewed / np.maximum(size, 1e-30) * direction
        size = renewed
    return np.asarray(heads)


def _split(heads: "NDArray[Any]") -> "NDArray[Any]":
    """Heads that give each model's departure from the shared part, and, in a last column, the shared part."""
    import numpy as np

    shared = heads.mean(1, keepdims=True)
    return np.concatenate((heads - shared, shared), axis=1)


def _factors(heads: "NDArray[Any]") -> "tuple[NDArray[Any], NDArray[Any]]":
    """Heads over words as a table of bytes, times a small matrix."""
    import numpy as np

    square = heads.T @ heads
    _, vectors = np.linalg.eigh(square)
    basis = vectors[:, ::-1][:, :FACTORS]
    left = heads @ basis
    scale = np.maximum(np.abs(left).max(0) / 127, 1e-12)
    return np.round(left / scale).astype("i1"), (scale[:, None] * basis.T).astype("f4")


def _tokens(row: Answered, models: list[str]) -> list[float]:
    """How long each model's answer was, in tokens; nan where that is not known."""
    found = (row.outcomes.get(model) for model in models)
    return [float("nan") if one is None or one.output_tokens is None else one.output_tokens for one in found]


def _lengths(key: str, tokens: Answers, phi: Any, arrays: dict[str, Any]) -> list[bool]:
    """Learns how long each model's answers are; says of which models something is known."""
    import numpy as np

    have = (~np.isnan(tokens.table)).sum(0) >= LEAST
    if have.any():
        length = np.where(have, tokens.table, 0)
        logs = tokens._replace(table=np.log1p(length))
        base, effects = _levels(logs)
        filled = _filled(logs, phi)
        head = TOLD_OF_LENGTH * _ridge(phi, filled - base - effects[tokens.group])
        said = base + effects[tokens.group] + (phi - phi.mean(0)) @ head
        stretch = np.nanmean(length + 1, axis=0) / np.exp(np.minimum(said, 12)).mean(axis=0)
        arrays[f"{key}.tokens"] = head.astype("f2")
        arrays[f"{key}.tokens.base"] = (base - phi.mean(0) @ head).astype("f4")
        arrays[f"{key}.tokens.effects"] = effects.astype("f4")
        arrays[f"{key}.tokens.stretch"] = stretch.astype("f4")
    return [bool(one) for one in have]


def _pooled(rows: Sequence[Answered], phi: Any, tasks: dict[str, Task], arrays: dict[str, Any]) -> Task:
    """All tasks as one, for queries of a task that was not trained: how good each model is beside the others that were
    asked the same, and what it made of texts like this one, whatever the task that they came from."""
    import numpy as np

    models = sorted({model for task in tasks.values() for model in task.models})
    place = {model: number for number, model in enumerate(models)}
    table = np.full((len(rows), len(models)), np.nan)
    for number, row in enumerate(rows):
        for model, outcome in row.outcomes.items():
            table[number, place[model]] = outcome.quality
    names = list(tasks)
    task = np.array([names.index(row.task or "") for row in rows])
    means = np.array([_means(table[task == number]) for number in range(len(names))])
    base = _ability(means)
    seen = ~np.isnan(table)
    weight = (len(rows) / np.bincount(task)[task] / len(names))[:, None] ** 0.5  # no task drowns another
    heads = np.zeros((phi.shape[1], len(models)))
    for columns in _alike(seen):
        at = seen[:, columns[0]]
        heads[:, columns] = _ridge(phi[at] * weight[at], (table[np.ix_(at, columns)] - base[columns]) * weight[at])
    split = _split(heads).astype("f2")
    arrays["p.meaning"] = split
    arrays["p.offset"] = (-phi.mean(0) @ split.astype(float)).astype("f4")
    arrays["p.base"] = base.astype("f4")
    arrays["p.effects"] = np.zeros((1, len(models)), "f4")
    arrays["p.plain"] = np.zeros((_meaning(phi).shape[1], split.shape[1]), "f2")
    arrays["p.plain.offset"] = np.zeros(split.shape[1], "f4")
    arrays["p.weights"] = np.array([POOLED, POOLED, POOLED], "f4")
    arrays["p.spread"] = (0.1 + 0.1 / np.sqrt(np.maximum(seen.sum(0), 1) / 100)).astype("f4")
    return Task(key="p", models=models, categories=[], lengths=[False] * len(models), questions=len(rows), words=False)


def _means(table: "NDArray[Any]") -> "NDArray[Any]":
    """Each model's mean; nan for one that was not asked."""
    import numpy as np

    asked = (~np.isnan(table)).sum(0)
    return np.where(asked > 0, np.nansum(table, axis=0) / np.maximum(asked, 1), np.nan)


def _alike(seen: "NDArray[Any]") -> "list[list[int]]":
    """Columns of models that were asked the same questions."""
    found: dict[bytes, list[int]] = {}
    for column in range(seen.shape[1]):
        found.setdefault(seen[:, column].tobytes(), []).append(column)
    return list(found.values())


def _ability(means: "NDArray[Any]") -> "NDArray[Any]":
    """Each model's quality over tasks that not all were asked: mean of tasks and model's departure, by turns, the
    latter shrunk as if each model had done one more task just as well as the others."""
    import numpy as np

    known = ~np.isnan(means)
    task = np.nanmean(means, axis=1, keepdims=True)
    ability = np.zeros(means.shape[1])
    for _ in range(50):
        ability = np.nansum(means - task, axis=0) / (known.sum(0) + 1)
        task = np.nanmean(means - ability, axis=1, keepdims=True)
    return np.asarray(np.clip(task.mean() + ability, 0.02, 0.98))
