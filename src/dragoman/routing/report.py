"""What `dragoman router eval` says of an artifact: every number that the outcomes allow, and why others are missing."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dragoman.canon import Usage
from dragoman.catalog.prices import PriceBook, cost, usd
from dragoman.config import Config
from dragoman.routing import evaluate
from dragoman.routing.estimate import Query
from dragoman.routing.outcomes import Answered
from dragoman.routing.predictor import Trained

if TYPE_CHECKING:
    from numpy.typing import NDArray

USUAL_TOKENS = 200.0  # of an answer whose length nobody knows
_SOURCES = (
    *("openai", "anthropic", "google", "mistral", "groq", "deepseek", "x-ai", "cohere", "aws", "azure"),
    *("together", "fireworks", "cerebras", "perplexity", "openrouter"),
)  # of the price table, in the order in which a bare model name is looked for


class EvaluationError(RuntimeError):
    """Nothing to compare, or not what was asked for."""


class Beside(Struct, frozen=True):
    """Mean quality of the alternatives: a model by lot, the best single one, the best for each question."""

    random: float
    best_single: float
    oracle: float


class Report(Struct, frozen=True, kw_only=True):
    """`quality` is that of the model with the highest estimate (mode `quality`). `remarks` say what is missing."""

    artifact: str
    questions: int
    models: list[str]
    quality: evaluate.Measure
    beside: Beside
    pair: evaluate.Pair | None
    savings: evaluate.Savings | None
    curves: evaluate.Curves | None
    remarks: list[str]


def report(
    trained: Trained,
    rows: Sequence[Answered],
    *,
    strong: str | None = None,
    weak: str | None = None,
    prices: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Report:
    """Compares on the rows that all models answered. `prices`: US dollars for a million output tokens, by model.
    Raises `EvaluationError` where there is nothing to compare."""
    import numpy as np

    rng = np.random.default_rng(seed)
    models, left_out = _compared(trained, rows, {strong, weak})
    rows = [row for row in rows if all(model in row.outcomes for model in models)]
    if len(models) < 2 or not rows:
        raise EvaluationError("expected questions that two or more of the artifact's models answered")
    quality = np.array([[row.outcomes[model].quality for model in models] for row in rows])
    expected, lengths = _expected(trained, rows, models)
    remarks = [f"{len(rows):,} questions that all of {len(models)} models answered"]
    if left_out:
        remarks.append("not compared, as fewer questions have them: " + ", ".join(left_out))
    costs, expected_costs, unpriced = _costs(rows, models, lengths, prices or {})
    priced = [number for number, model in enumerate(models) if model not in unpriced]
    savings = curves = None
    if unpriced:
        remarks.append(f"without cost: {', '.join(unpriced)}: give --price MODEL=USD, or cost_usd in the outcomes")
    if len(priced) > 1:
        table = evaluate.Table(*(array[:, priced] for array in (quality, costs, expected, expected_costs)))
        savings, curves = evaluate.savings([models[n] for n in priced], table, rng)
    means = dict(zip(models, quality.mean(0).tolist(), strict=True))
    names = (strong or max(models, key=means.__getitem__), weak or min(models, key=means.__getitem__))
    for name in names:
        if name not in models:
            raise EvaluationError(f'"{name}" is not among the compared models: {", ".join(models)}')
    remarks.append(f"pair: {names[0]} ({means[names[0]]:.3f}) and {names[1]} ({means[names[1]]:.3f})")
    pair = None
    if means[names[0]] > means[names[1]]:
        at = [models.index(name) for name in names]
        pair = evaluate.pair(names, quality[:, at], expected[:, at[0]] - expected[:, at[1]], rng)
    else:
        remarks.append("no APGR: the strong model is no better than the weak one here")
    return Report(
        artifact=trained.name,
        questions=len(rows),
        models=models,
        quality=evaluate.mean(quality[range(len(quality)), expected.argmax(1)], rng),
        beside=Beside(float(quality.mean()), max(means.values()), float(quality.max(1).mean())),
        pair=pair,
        savings=savings,
        curves=curves,
        remarks=remarks,
    )


def _compared(trained: Trained, rows: Sequence[Answered], wanted: "set[str | None]") -> tuple[list[str], list[str]]:
    """The artifact's models that the rows know; and those that are left out, as few rows know them. The two that most
    rows know are compared in any case, and so are those that are `wanted`."""
    counts: dict[str, int] = {}
    for row in rows:
        for model in row.outcomes:
            counts[model] = counts.get(model, 0) + 1
    known = sorted(set(trained.models) & counts.keys(), key=lambda model: (-counts[model], model))
    enough = min([0.9 * len(rows), *(counts[model] for model in known[1:2])])
    kept = {model for model in known if counts[model] >= enough or model in wanted}
    return sorted(kept), [model for model in known if model not in kept]


def _expected(trained: Trained, rows: Sequence[Answered], models: list[str]) -> "tuple[NDArray[Any], NDArray[Any]]":
    import numpy as np

    quality, lengths = [], []
    for row in rows:
        found = trained.predict(Query(prompt=row.prompt, task=row.task, category=row.category), models).candidates
        quality.append([found[model].quality for model in models])
        lengths.append([found[model].output_tokens or USUAL_TOKENS for model in models])
    return np.array(quality), np.array(lengths)


def _costs(
    rows: Sequence[Answered], models: list[str], lengths: "NDArray[Any]", prices: Mapping[str, float]
) -> "tuple[NDArray[Any], NDArray[Any], list[str]]":
    """What each answer cost and was expected to, in US dollars, and the models of which nobody knows."""
    import numpy as np

    book = PriceBook(Config())
    costs, expected = np.zeros(lengths.shape), np.zeros(lengths.shape)
    unpriced = []
    for number, model in enumerate(models):
        outcomes = [row.outcomes[model] for row in rows]
        if model not in prices and all(outcome.cost_usd is not None for outcome in outcomes):
            costs[:, number] = [outcome.cost_usd or 0.0 for outcome in outcomes]
            expected[:, number] = costs[:, number].mean()  # what it costs in the mean is no secret
            continue
        of = _price(model, book, prices)
        if of is None:
            unpriced.append(model)
            continue
        for line, row in enumerate(rows):
            asked = round(len(row.prompt) / 4)
            tokens = row.outcomes[model].output_tokens
            costs[line, number] = of(asked, USUAL_TOKENS if tokens is None else tokens)
            expected[line, number] = of(asked, lengths[line, number])
    return costs, expected, unpriced


def _price(model: str, book: PriceBook, prices: Mapping[str, float]) -> Any:
    """What a question and an answer of so many tokens cost."""
    if model in prices:
        return lambda asked, answered: prices[model] * answered / 10**6
    for source in _SOURCES:
        price = book.find(source, model, now=0.0)
        if price is not None:
            return lambda asked, answered: usd(cost(Usage(input=asked, output=round(answered)), price))
    return None
