"""Models side by side: the same prompts to each, through the gateway's own path; and what judges say of the answers."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from dragoman.canon import Message, Request, Text
from dragoman.catalog.prices import PICO
from dragoman.gateway.inside import Inside, Words
from dragoman.ledger.row import Row
from dragoman.routing.blind import Pair, ballot, last_votes
from dragoman.routing.panel import Judged, judged, question, scores, verdict

if TYPE_CHECKING:
    from dragoman.gateway.gateway import Gateway


class Answered(Struct, kw_only=True):
    """One model's answer to one prompt. Times are milliseconds, `cost_usd` None where no price is known."""

    prompt: str
    model: str
    text: str = ""
    target: str | None = None
    error: str | None = None
    output_tokens: int = 0
    cost_usd: float | None = None
    ttft_ms: float | None = None
    total_ms: float | None = None

    @staticmethod
    def of(prompt: str, model: str, said: Words, row: Row | None) -> "Answered":
        """What `model` said, and what its booked row tells of that."""
        return Answered(
            prompt=prompt, model=model, text=said.text, error=None if said.failure is None else said.failure.message,
            target=row.target if row else None, output_tokens=row.output if row else 0, cost_usd=_usd(row),
            ttft_ms=row.ttft if row else None, total_ms=row.total if row else None,
        )  # fmt: skip


class Prompt(Struct, kw_only=True):
    """One line of the prompts file. What else is in it is left alone. `answers`: those of models that were asked
    already, as shadow calls are."""

    prompt: str
    id: str = ""
    task: str | None = None
    category: str | None = None
    answers: list[Answered] = field(default_factory=list)


class Comparison(Struct, kw_only=True):
    """Everything that was asked and said."""

    models: list[str]
    prompts: list[Prompt]
    answers: list[Answered]
    judges: list[str] = field(default_factory=list)
    verdicts: list[Judged] = field(default_factory=list)
    judging_usd: float = 0.0
    votes: list[Judged] = field(default_factory=list)  # people's, without names in sight
    seed: int = 0  # of the votes' order and places

    def said(self) -> list[Judged]:
        """What models and people said; of a person's votes on the same two answers, the last."""
        return [*self.verdicts, *last_votes(self.votes)]

    def ballot(self, voter: str) -> tuple[list[Pair], set[int]]:
        """What `voter` is shown, and the numbers of those pairs on which they have voted."""
        texts: dict[str, list[str]] = {}
        for each in self.answers:
            if not each.error:
                texts.setdefault(each.prompt, []).append(each.model)
        pairs = ballot(texts, self.seed, voter)
        own = [each for each in self.votes if each.judge == voter]
        return pairs, {number for number, pair in enumerate(pairs) if any(map(pair.same, own))}

    def text(self, prompt: str, model: str) -> str:
        """The model's answer to the prompt of that id."""
        return next(each.text for each in self.answers if (each.prompt, each.model) == (prompt, model))

    def asked(self, prompt: str) -> str:
        """The prompt of that id."""
        return next(each.prompt for each in self.prompts if each.id == prompt)

    def of(self, model: str) -> list[Answered]:
        """The model's answers."""
        return [each for each in self.answers if each.model == model]

    def outcomes(self) -> list[dict[str, object]]:
        """For `dragoman router train`: quality is the score by judges and people. What nobody judged has none."""
        found = scores(self.said())
        lines: list[dict[str, object]] = []
        for prompt in self.prompts:
            outcomes: dict[str, dict[str, object]] = {}
            for each in self.answers:
                quality = found.get(prompt.id, {}).get(each.model)
                if each.prompt == prompt.id and quality is not None:
                    outcomes[each.model] = {"quality": quality, "output_tokens": each.output_tokens}
                    if each.cost_usd is not None:
                        outcomes[each.model]["cost_usd"] = each.cost_usd
            if outcomes:
                line: dict[str, object] = {"id": prompt.id, "prompt": prompt.prompt, "outcomes": outcomes}
                lines.append(line | {k: v for k in ("task", "category") if (v := getattr(prompt, k)) is not None})
        return lines


async def compared(
    ask: Callable[[str], Awaitable[str]], prompt: Prompt, judge: str, pair: tuple[Answered, Answered]
) -> Judged | None:
    """What `judge`, asked by `ask`, says of both answers, shown in both orders; None where it gave no verdict."""
    one, other = pair
    straight, swapped = [
        verdict(await ask(question(prompt.prompt, first.text, second.text)))
        for first, second in ((one, other), (other, one))
    ]
    return judged(prompt.id, judge, (one.model, other.model), straight, swapped)


class Comparer:
    """Asks models through `gateway`. `rows` is filled by the gateway's `observe`: the booked rows by request id."""

    def __init__(self, gateway: "Gateway", rows: dict[str, Row], parallel: int) -> None:
        self._gateway = gateway
        self._rows = rows
        self._places = asyncio.Semaphore(parallel)

    async def compare(
        self, models: Sequence[str], prompts: Sequence[Prompt], judges: Sequence[str], done: Callable[[str], None]
    ) -> Comparison:
        """All prompts to all models (but to those that a prompt has answers of, to nobody), then all pairs to all
        judges. `done` is told of every answer and verdict."""
        given = [each for prompt in prompts for each in prompt.answers if each.model in models]
        asked = [(prompt, model) for prompt in prompts if not prompt.answers for model in models]
        answers = given + await asyncio.gather(*(self._answer(prompt, model, done) for prompt, model in asked))
        made = Comparison(models=list(models), prompts=list(prompts), answers=answers, judges=list(judges))
        texts = {(each.prompt, each.model): each for each in answers}
        work = [
            self._judge(prompt, judge, (texts[prompt.id, one], texts[prompt.id, other]), made, done)
            for prompt in prompts
            for one, other in itertools.combinations(models, 2)
            if (prompt.id, one) in texts and (prompt.id, other) in texts
            for judge in judges
        ]
        made.verdicts = [each for each in await asyncio.gather(*work) if each is not None]
        return made

    async def _answer(self, prompt: Prompt, model: str, done: Callable[[str], None]) -> Answered:
        said, row = await self._ask(model, prompt.prompt)
        found = Answered.of(prompt.id, model, said, row)
        done(f"{model}: {prompt.id}: {found.error or 'answered'}")
        return found

    async def _judge(
        self, prompt: Prompt, judge: str, pair: tuple[Answered, Answered], made: Comparison, done: Callable[[str], None]
    ) -> Judged | None:
        if all(each.error for each in pair):
            return None

        async def ask(text: str) -> str:
            said, row = await self._ask(judge, text)
            made.judging_usd += _usd(row) or 0.0
            return said.text

        found = await compared(ask, prompt, judge, pair)
        done(f"{judge}: {prompt.id}: {'no verdict' if found is None else f'{pair[0].model} {found.score:g}'}")
        return found

    async def _ask(self, model: str, prompt: str) -> tuple[Words, Row | None]:
        request = Request(dialect="inside", messages=[Message(role="user", parts=[Text(text=prompt)])])
        asked = Inside(self._gateway, model, surface="compare").ask(request)
        async with self._places:
            words = await asked.words()
        return words, self._rows.pop(asked.request_id, None)


def _usd(row: Row | None) -> float | None:
    return None if row is None or row.cost is None else row.cost / PICO
