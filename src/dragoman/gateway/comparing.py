"""Models side by side: the same prompts to each, through the gateway's own path; and what judges say of the answers."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field

from dragoman import dialects
from dragoman.canon import Broken, Event, PartDelta, PartStart, Refusal, Text
from dragoman.catalog.prices import PICO
from dragoman.gateway.call import Call
from dragoman.ledger.row import Row
from dragoman.routing.panel import Judged, judged, question, scores, verdict

if TYPE_CHECKING:
    from dragoman.dialects.dialect import Dialect
    from dragoman.gateway.gateway import Gateway


class Prompt(Struct, kw_only=True):
    """One line of the prompts file. What else is in it is left alone."""

    prompt: str
    id: str = ""
    task: str | None = None
    category: str | None = None


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


class Comparison(Struct, kw_only=True):
    """Everything that was asked and said."""

    models: list[str]
    prompts: list[Prompt]
    answers: list[Answered]
    judges: list[str] = field(default_factory=list)
    verdicts: list[Judged] = field(default_factory=list)
    judging_usd: float = 0.0

    def of(self, model: str) -> list[Answered]:
        """The model's answers."""
        return [each for each in self.answers if each.model == model]

    def outcomes(self) -> list[dict[str, object]]:
        """For `dragoman router train`: quality is the panel's score. Without a verdict, an answer has none."""
        found = scores(self.verdicts)
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


class Collected:
    """An `Out` that keeps the text of a streamed answer."""

    def __init__(self, dialect: "Dialect") -> None:
        self._dialect = dialect
        self._reader = dialect.StreamReader()
        self._texts: set[int] = set()
        self.text = ""
        self.error: str | None = None

    async def whole(self, status: int, head: bytes, body: bytes) -> None:
        self.error = self._dialect.read_error(status, body).message

    async def start(self, status: int, head: bytes) -> None:
        pass

    def push(self, data: bytes) -> bool:
        self._take(self._reader.feed(data))
        return True

    async def drained(self) -> None:
        pass

    async def finish(self, data: bytes = b"") -> None:
        self._take(self._reader.feed(data))

    def abort(self) -> None:
        self.error = "the answer broke off"

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, PartStart) and isinstance(event.part, Text | Refusal):
                self._texts.add(event.index)
                self.text += event.part.text
            elif isinstance(event, PartDelta) and event.index in self._texts:
                self.text += event.text
            elif isinstance(event, Broken):
                self.error = event.failure.message


class Comparer:
    """Asks models through `gateway`. `rows` is filled by the gateway's `observe`: the booked rows by request id."""

    def __init__(self, gateway: "Gateway", rows: dict[str, Row], parallel: int) -> None:
        self._gateway = gateway
        self._rows = rows
        self._places = asyncio.Semaphore(parallel)

    async def compare(
        self, models: Sequence[str], prompts: Sequence[Prompt], judges: Sequence[str], done: Callable[[str], None]
    ) -> Comparison:
        """All prompts to all models, then all pairs to all judges. `done` is told of every answer and verdict."""
        asked = [(prompt, model) for prompt in prompts for model in models]
        answers = await asyncio.gather(*(self._answer(prompt, model, done) for prompt, model in asked))
        made = Comparison(models=list(models), prompts=list(prompts), answers=list(answers), judges=list(judges))
        texts = {(each.prompt, each.model): each for each in answers}
        work = [
            self._judge(prompt, judge, (texts[prompt.id, one], texts[prompt.id, other]), made, done)
            for prompt in prompts
            for one, other in itertools.combinations(models, 2)
            for judge in judges
        ]
        made.verdicts = [each for each in await asyncio.gather(*work) if each is not None]
        return made

    async def _answer(self, prompt: Prompt, model: str, done: Callable[[str], None]) -> Answered:
        text, error, row = await self._ask(model, prompt.prompt)
        done(f"{model}: {prompt.id}: {error or 'answered'}")
        return Answered(
            prompt=prompt.id, model=model, text=text, error=error, target=row.target if row else None,
            output_tokens=row.output if row else 0, cost_usd=_usd(row), ttft_ms=row.ttft if row else None,
            total_ms=row.total if row else None,
        )  # fmt: skip

    async def _judge(
        self, prompt: Prompt, judge: str, pair: tuple[Answered, Answered], made: Comparison, done: Callable[[str], None]
    ) -> Judged | None:
        one, other = pair
        if one.error and other.error:
            return None
        said = []
        for first, second in ((one, other), (other, one)):
            text, _, row = await self._ask(judge, question(prompt.prompt, first.text, second.text))
            said.append(verdict(text))
            made.judging_usd += _usd(row) or 0.0
        found = judged(prompt.id, judge, (one.model, other.model), *said)
        done(f"{judge}: {prompt.id}: {'no verdict' if found is None else f'{one.model} {found.score:g}'}")
        return found

    async def _ask(self, model: str, prompt: str) -> tuple[str, str | None, Row | None]:
        dialect = dialects.client("openai-chat")
        body = {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": True}
        call, out = Call(dialect=dialect, body=msgspec.json.encode(body), headers={}), Collected(dialect)
        async with self._places:
            await self._gateway.answer(call, out)
        return out.text, out.error, self._rows.pop(call.id, None)


def _usd(row: Row | None) -> float | None:
    return None if row is None or row.cost is None else row.cost / PICO
