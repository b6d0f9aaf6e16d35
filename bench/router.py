"""The router's numbers on public outcomes: `python -m bench.router DIRECTORY [measure …]`.

DIRECTORY holds outcomes files (`routellm_mmlu.jsonl.gz`, `mmlupro.jsonl.gz`, `zeroeval.jsonl.gz`,
`paretobandit.jsonl.gz`, `alpaca_eval.jsonl.gz`). Every split is seeded; nothing is scored that was trained on.
"""

import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from dragoman.routing import artifact, certify, evaluate, lexicon, outcomes, predictor, train
from dragoman.routing.estimate import Query

Rows = Sequence[outcomes.Answered]
STRONG, WEAK = "gpt-4-1106-preview", "mixtral-8x7b-instruct-v0.1"
PRICES = {  # US dollars for a million tokens of output, as listed when these models were new
    "gemini-1.5-pro-002": 5.0, "gemini-1.5-flash-002": 0.3, "llama-3.1-70b-instruct": 0.88, "llama-3-70b": 0.9,
    "qwen1.5-110b": 1.8, "jamba-1.5-large": 8.0, "qwen1.5-72b-chat": 0.9, "llama-3.1-8b-instruct": 0.18,
    "mathstral-7b": 0.25, "yi-34b": 0.8, "mixtral-8x7b-instruct-v0.1": 0.6, "phi-3-mini-4k-instruct": 0.1,
    "o1-mini-2024-09-12": 12.0, "gpt-4o-2024-08-06": 10.0, "gpt-4o-2024-05-13": 15.0,
    "claude-3-5-sonnet-20240620": 15.0,
    "gpt-4o-mini-2024-07-18": 0.6, "mistral-large-2": 6.0, "llama-3.1-405b-instruct": 3.5, "llama-3.1-405b-inst": 3.5,
    "claude-3-5-haiku-20241022": 4.0, "deepseek-v2.5-0908": 0.28, "gemini-1.5-pro": 5.0, "claude-3-opus-20240229": 75.0,
    "gemini-1.5-flash": 0.3, "qwen2-72b-instruct": 0.9, "gemma-2-27b-it": 0.8, "llama-3-70b-instruct": 0.9,
    "athene-70b": 0.9, "yi-1.5-9b-chat": 0.3, "claude-3-haiku-20240307": 1.25, "reka-core-20240501": 6.0,
    "gpt-3.5-turbo-0125": 1.5, "qwen2-7b-instruct": 0.2, "yi-1.5-34b-chat": 0.8, "phi-3.5-mini-instruct": 0.1,
    "llama-3-8b-instruct": 0.2, "gemma-2-2b-it": 0.1,
}  # fmt: skip


def trained(rows: Rows, seed: int = 0) -> predictor.Trained:
    """A predictor of these rows, as `dragoman router train` makes it."""
    words = lexicon.shipped()
    return predictor.Trained(artifact.unpack(train.train(rows, words, seed), predictor.KIND, "trained here"), words)


def expected(router: predictor.Trained, rows: Rows, models: Sequence[str], tags: str = "task category") -> np.ndarray:
    found = []
    for row in rows:
        task, category = row.task if "task" in tags else None, row.category if "category" in tags else None
        estimates = router.predict(Query(prompt=row.prompt, task=task, category=category), models).candidates
        found.append([estimates[model].quality for model in models])
    return np.array(found)


def quality(rows: Rows, models: Sequence[str]) -> np.ndarray:
    return np.array([[row.outcomes[model].quality for model in models] for row in rows])


def split(rows: Rows, seed: int, first: int) -> tuple[Rows, Rows]:
    order = np.random.default_rng(seed).permutation(len(rows))
    return [rows[i] for i in order[:first]], [rows[i] for i in order[first:]]


def said(name: str, values: Iterable[float], unit: str = "") -> None:
    values = list(values)
    error = np.std(values) / max(1, len(values)) ** 0.5
    print(
        f"{name:72} {np.mean(values):8.3f} ± {error:.3f} {unit} (least {min(values):.3f}, {len(values)} splits)",
        flush=True,
    )


def pair_apgr(learn: Rows, test: Rows, tags: str, pair: tuple[str, str] = (STRONG, WEAK)) -> float:
    score = expected(trained(learn), test, pair, tags)
    return evaluate.apgr(score[:, 0] - score[:, 1], np.subtract(*quality(test, pair).T))


def folds(rows: Rows, count: int, seed: int = 0) -> Iterable[tuple[Rows, Rows]]:
    fold = np.random.default_rng(seed).permutation(len(rows)) % count
    for number in range(count):
        yield (
            [r for r, f in zip(rows, fold, strict=True) if f != number],
            [r for r, f in zip(rows, fold, strict=True) if f == number],
        )


def without_categories(rows: Rows, seed: int, share: float) -> tuple[Rows, Rows]:
    categories = sorted({row.category for row in rows})
    held = set(np.random.default_rng(seed).permutation(categories)[: max(1, round(share * len(categories)))])
    return [row for row in rows if row.category not in held], [row for row in rows if row.category in held]


def mmlu(data: dict[str, Rows]) -> None:
    """APGR of the pair: 1,500 labels, five folds, unseen subjects; with and without the subject told."""
    rows = data["routellm_mmlu"]
    for tags in ("task category", "task", ""):
        told = f"told: {tags or 'nothing'}"
        said(f"MMLU pair, 1,500 labels, APGR, {told}", (pair_apgr(*split(rows, s, 1500), tags) for s in range(5)))
        said(f"MMLU pair, five folds, APGR, {told}", (pair_apgr(a, b, tags) for a, b in folds(rows, 5)))
        said(
            f"MMLU pair, unseen subjects, APGR, {told}",
            (pair_apgr(*without_categories(rows, s, 0.3), tags) for s in range(8)),
        )


def gsm8k(data: dict[str, Rows]) -> None:
    """APGR of another pair on GSM8K, five folds: few of these questions set the two apart."""
    rows = [row for row in data["paretobandit"] if row.category == "gsm8k"]
    pair = ("mistral-large-2512", "llama-3.1-8b-instruct")
    said(f"GSM8K, {' / '.join(pair)}, five folds, APGR", (pair_apgr(a, b, "task", pair) for a, b in folds(rows, 5)))


def saving_of(router: predictor.Trained, test: Rows, models: Sequence[str], tags: str) -> evaluate.Savings:
    told = ("task" in tags, "category" in tags)
    costs, expected_costs, values = [], [], []
    for row in test:
        query = Query(prompt=row.prompt, task=row.task if told[0] else None, category=row.category if told[1] else None)
        found = router.predict(query, models).candidates
        values.append([found[m].quality for m in models])
        expected_costs.append([(found[m].output_tokens or 200) * PRICES[m] / 1e6 for m in models])
        costs.append([(row.outcomes[m].output_tokens or 0) * PRICES[m] / 1e6 for m in models])
    arrays = quality(test, models), np.array(costs), np.array(values), np.array(expected_costs)
    return evaluate.savings(models, evaluate.Table(*arrays), np.random.default_rng(0), resamples=0)[0]


def saving(data: dict[str, Rows]) -> None:
    """Saving at 99 % of the best single model's quality, halves."""
    for name, left_out in (("mmlupro", ""), ("zeroeval", ""), ("zeroeval", "o1-mini-2024-09-12")):
        rows = data[name]
        models = [m for m in PRICES if m in rows[0].outcomes and m != left_out]
        for tags in ("task", "task category"):
            found = [
                saving_of(trained(a), b, models, tags) for a, b in (split(rows, s, len(rows) // 2) for s in range(4))
            ]
            said(f"{name}, {len(models)} models, halves, saving, told: {tags}", (f.router.value for f in found))
        said("   hull", (f.hull for f in found))
        said("   oracle", (f.oracle for f in found))


def unseen(data: dict[str, Rows]) -> None:
    """Mode quality on unseen domains: points against the single model that was best in training, and in the test."""
    for name in ("mmlupro", "zeroeval", "paretobandit", "routellm_mmlu"):
        rows = data[name]
        models = sorted(rows[0].outcomes)
        for tags in ("task category", ""):
            lost, lost_best = [], []
            for category in sorted({row.category for row in rows}):
                learn, test = [r for r in rows if r.category != category], [r for r in rows if r.category == category]
                if len(test) < 60:
                    continue
                chosen = expected(trained(learn), test, models, tags).argmax(1)
                real = quality(test, models)
                got = real[np.arange(len(test)), chosen].mean()
                lost.append(100 * (got - real[:, quality(learn, models).mean(0).argmax()].mean()))
                lost_best.append(100 * (got - real.mean(0).max()))
            said(f"{name}, category left out, mode quality, told: {tags or 'nothing'}", lost, "points")
            said("   against the one that is best there", lost_best, "points")


def transfer(data: dict[str, Rows]) -> None:
    """Pairs on a task that was not trained."""
    for held, strong, weak in (
        ("alpaca_eval", STRONG, "mixtral-8x7b-instruct-v0.1_concise"),
        ("zeroeval", "llama-3.1-70b-instruct", "llama-3.1-8b-instruct"),
        ("mmlupro", "llama-3.1-70b-instruct", "llama-3.1-8b-instruct"),
        ("mmlupro", "llama-3.1-70b-instruct", WEAK),
    ):
        learn = [row for name, rows in data.items() if name != held for row in rows]
        router = trained(learn)
        known = weak if weak in router.models else WEAK
        test = data[held]
        score = expected(router, test, (strong, known), "")
        gain = np.subtract(*quality(test, (strong, weak)).T)
        said(f"{held} not trained: {strong} / {weak}, APGR", [evaluate.apgr(score[:, 0] - score[:, 1], gain)])


def floor(data: dict[str, Rows]) -> None:
    """A quality floor of 2 %, 95 % sure, 1,000 labels: how often it is broken, and what goes to the weak model."""
    rows = data["routellm_mmlu"]
    broken, shares = [], []
    for seed in range(3):
        learn, rest = split(rows, seed, 3000)
        score = np.subtract(*expected(trained(learn), rest, (STRONG, WEAK)).T)
        loss = np.subtract(*quality(rest, (STRONG, WEAK)).T)
        for again in range(200):
            order = np.random.default_rng(again).permutation(len(rest))
            labelled, later = order[:1000], order[1000:]
            cut = certify.threshold(score[labelled], loss[labelled], 0.02, 0.05)
            sent = score[later] < (-np.inf if cut is None else cut)
            broken.append(np.where(sent, loss[later], 0).mean() > 0.02)
            shares.append(sent.mean())
    said("MMLU pair, floor broken", np.array(broken, float))
    said("   share of the weak model", shares)


def typos(text: str, chance: random.Random) -> str:
    """Of 8 % of the letters: left out, doubled, or swapped with the next."""
    letters = list(text)
    for place in range(len(letters) - 1):
        if letters[place].isalpha() and chance.random() < 0.08:
            kind = chance.randrange(3)
            if kind < 2:
                letters[place] *= 2 * kind
            else:
                letters[place : place + 2] = letters[place + 1], letters[place]
    return "".join(letters)


def steadiness(data: dict[str, Rows]) -> None:
    """Decisions kept when only the form of the prompt changes: half to the strong model, MMLU pair; best of 12 less
    cost, MMLU-Pro."""
    changes: dict[str, Callable[[str, random.Random], str]] = {
        "lower case": lambda text, _: text.lower(),
        "white space": lambda text, _: f"  {text.replace(' ', '  ')}\n\n",
        "8 % of letters wrong": typos,
        "8 % of words wrong": lambda text, c: " ".join(
            word[1:2] + word[:1] + word[2:] if c.random() < 0.08 else word for word in text.split(" ")
        ),
        "polite prefix": lambda text, _: f"Please answer the following question. {text}",
        "thanks behind": lambda text, _: f"{text} Thank you very much!",
    }
    for name in ("routellm_mmlu", "mmlupro"):
        learn, test = split(data[name], 0, len(data[name]) // 2)
        test, router = test[:1000], trained(learn)
        models = [STRONG, WEAK] if name == "routellm_mmlu" else [m for m in PRICES if m in test[0].outcomes]
        plain = expected(router, test, models)
        rate = 0.0 if name == "routellm_mmlu" else 0.02
        price = np.array([0 if name == "routellm_mmlu" else rate * PRICES[m] for m in models])
        shift = np.array([np.median(plain[:, 0] - plain[:, 1]), 0]) if name == "routellm_mmlu" else price
        for change, how in changes.items():
            chance = random.Random(0)
            other = expected(
                router, [msgspec.structs.replace(row, prompt=how(row.prompt, chance)) for row in test], models
            )
            kept = (plain - shift).argmax(1) == (other - shift).argmax(1)
            said(f"{name}, {len(models)} models, decisions kept: {change}", [kept.mean()])


def speed(data: dict[str, Rows]) -> None:
    """A prediction for 19 models, category not told, prompts of MMLU: CPU time."""
    router = predictor.default()
    models = router.about.tasks["mmlu_pro"].models
    times = []
    for row in data["routellm_mmlu"][::3]:
        query = Query(prompt=row.prompt, task="mmlu_pro")
        start = time.process_time_ns()
        router.predict(query, models)
        times.append((time.process_time_ns() - start) / 1000)
    print(f"microseconds: p50 {np.median(times):.0f}, p99 {np.quantile(times, 0.99):.0f}")


MEASURES: dict[str, Callable[[dict[str, Rows]], None]] = {
    measure.__name__: measure for measure in (mmlu, gsm8k, saving, unseen, transfer, floor, steadiness, speed)
}


def main() -> None:
    directory = Path(sys.argv[1])
    data = {
        name: outcomes.answered([path])
        for name in ("routellm_mmlu", "mmlupro", "zeroeval", "paretobandit", "alpaca_eval")
        if (path := directory / f"{name}.jsonl.gz").exists()
    }
    for name in sys.argv[2:] or MEASURES:
        start = time.monotonic()
        print(f"-- {name}: {MEASURES[name].__doc__}")
        MEASURES[name](data)
        print(f"   ({time.monotonic() - start:.0f} s)")


if __name__ == "__main__":
    main()
