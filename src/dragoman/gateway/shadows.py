"""Shadow calls: on a sample of a route's requests, another model is asked the same in the background, to learn how the
two compare.

How it works. The sample is drawn when the decision is made (`draw`), so that its record can name the shadow, and what
goes to the client is overheard. When the client has its reply (`begin`), the other model is asked from inside: nobody's
key, limits or budget, no waiting for an account, and none at all where accounts are short. Then the route's judge sees
both answers, twice, in both orders (`routing.panel`), and its word is kept as feedback on both decisions; without a
judge, both answers are kept for `dragoman compare`.

What the caller demanded of regions, providers and models holds for the shadow too; of regions and providers, for the
judge.
"""

import asyncio
import functools
import logging
import os
import random
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from dragoman import config
from dragoman.accounts.pool import Pool
from dragoman.canon import Message, Request, Text
from dragoman.catalog.prices import PICO
from dragoman.gateway.ask import Ask
from dragoman.gateway.call import Errand, Story
from dragoman.gateway.comparing import Answered, Prompt, compared
from dragoman.gateway.experience import SHADOW
from dragoman.gateway.inside import Inside, Words
from dragoman.gateway.overheard import Overheard, conversation
from dragoman.gateway.router import Choice
from dragoman.gateway.wards import Wards
from dragoman.ledger.row import Row
from dragoman.routing.constraints import Constraints
from dragoman.routing.pacing import Pacer
from dragoman.routing.panel import Judged
from dragoman.routing.record import Beside

if TYPE_CHECKING:
    from dragoman.gateway.gateway import Gateway

log = logging.getLogger("dragoman")
SURFACE = "shadow:"  # and the route: what the ledger calls the dialect of such calls
CALM = 0.5  # of its accounts' places that may be taken for a target to be asked


class Shadow(Struct):
    """One that was drawn: what is to be asked, of whom, and beside which answer."""

    route: str
    errand: Errand
    model: str
    beside: str  # the model that was chosen
    target: str
    request: Request
    prompt: Prompt
    limits: Constraints
    heard: Overheard


class Shadows:
    """The shadow calls of one config. Over a reload, what is under way and what was spent today is taken over."""

    def __init__(self, settings: config.Config, pool: Pool, wards: Wards, former: "Shadows | None" = None) -> None:
        self._queue = pool.leases.desk.queue
        self._wards = wards
        self._state = settings.state.path
        self._workers = settings.server.workers
        self._plans = {route.name: route.shadow for route in settings.routes if route.shadow is not None}
        self._pacers = {name: Pacer(plan.usd_per_day / self._workers) for name, plan in self._plans.items()}
        self._loaded = former is not None
        self._running: dict[asyncio.Task[None], str] = former._running if former else {}
        for name, pacer in former._pacers.items() if former else ():
            if name in self._pacers:
                self._pacers[name].load(now := time.time(), pacer.usd_per_day - pacer.left(now))

    def draw(self, ask: Ask, story: Story, choice: Choice) -> None:
        """Whether this request is one of the sample, and who is asked beside the chosen model."""
        plan = self._plans.get(choice.route)
        call = story.call
        if plan is None or call.writer is not None or call.errand is not None or random.random() >= plan.share:  # noqa: S311
            return
        options, order = choice.case.options, choice.decision.order
        others = [options[i] for i in order[1:] if options[i].price is not None and self._calm(options[i].target)]
        if not others or not self._room(choice.route, plan, story.row.time):
            return
        other = random.choice(others)  # noqa: S311 - a sample, not a secret
        request, query = ask.request(), choice.query
        errand = Errand(tags={"shadow": story.row.decision or ""})
        choice.shadow = Beside(decision="dec" + errand.id[3:], model=other.name, chance=plan.share / len(others))
        story.out = heard = Overheard(story.out, call.dialect, ask.stream)
        story.shadow = Shadow(
            route=choice.route, errand=errand, model=other.name, beside=options[order[0]].name, target=other.target,
            request=request, limits=choice.case.limits, heard=heard,
            prompt=Prompt(
                id=story.row.decision or "", prompt=conversation(request), task=query.task, category=query.category
            ),
        )  # fmt: skip

    def begin(self, shadow: Shadow, story: Story, gateway: "Gateway") -> None:
        """The client has its reply: asks in the background, if it was the chosen model's, and there is still room."""
        row, plan = story.row, self._plans.get(shadow.route)
        answered = row.status == 200 and row.error is None and not any(each.failure for each in story.attempts)
        if plan is None or not answered or not self._room(shadow.route, plan, time.time()):
            return
        if not self._calm(shadow.target):
            return
        task = asyncio.create_task(self._run(shadow, row, plan, gateway))
        self._running[task] = shadow.route
        task.add_done_callback(self._running.pop)

    async def close(self) -> None:
        """Ends what is under way; what it took is booked."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def budgeted(self) -> list[str]:
        """The dialects by which the ledger knows what was spent today before this process began."""
        return [] if self._loaded else [SURFACE + name for name in self._plans]

    def load_spending(self, spent: Mapping[str, int], now: float) -> None:
        """Pico-dollars by those dialects; each worker counts its part of them."""
        self._loaded = True
        for name, pacer in self._pacers.items():
            pacer.load(now, spent.get(SURFACE + name, 0) / PICO / self._workers)

    def _room(self, route: str, plan: config.Shadow, now: float) -> bool:
        """Within the route's bounds, and nobody waits for an account."""
        running = sum(1 for each in self._running.values() if each == route)
        return running < plan.max_in_flight and self._pacers[route].left(now) > 0 and not self._queue.waiting

    def _calm(self, target: str) -> bool:
        health = self._wards.health(target)
        return health.down is None and health.busy <= CALM

    async def _run(self, shadow: Shadow, row: Row, plan: config.Shadow, gateway: "Gateway") -> None:
        try:
            first = shadow.heard.words()
            if first is None or not first.text or first.failure is not None:
                return  # a call of tools, or what nobody could read: nothing to compare
            second = await self._ask(gateway, shadow, shadow.model, shadow.request, shadow.errand)
            if second.failure is not None or not second.text:
                return
            pair = (
                Answered.of(shadow.prompt.id, shadow.beside, first, row),
                Answered.of(shadow.prompt.id, shadow.model, second, shadow.errand.row),
            )
            if plan.judge is None:
                shadow.prompt.answers = list(pair)
                await asyncio.to_thread(_keep, self._state, shadow.route, shadow.prompt)
                return
            ask = functools.partial(self._ask_judge, gateway, shadow, plan.judge)
            verdict = await compared(ask, shadow.prompt, plan.judge, pair)
            if verdict is not None:
                await asyncio.to_thread(_say, gateway.settings.state, shadow, verdict)
        except Exception:
            log.exception("a shadow call broke", extra={"request": row.request_id})

    async def _ask(
        self, gateway: "Gateway", shadow: Shadow, model: str, request: Request, errand: Errand, *, judges: bool = False
    ) -> Words:
        demands = _demands(shadow.limits, judges)
        inside = Inside(gateway, model, constraints=demands, surface=SURFACE + shadow.route)
        try:
            return await inside.ask(request, errand=errand).words()
        finally:
            if errand.row is not None and errand.row.cost:
                self._pacers[shadow.route].spend(time.time(), errand.row.cost / PICO)

    async def _ask_judge(self, gateway: "Gateway", shadow: Shadow, judge: str, question: str) -> str:
        errand = Errand(tags={"judges": shadow.errand.tags["shadow"]})
        request = Request(dialect="inside", messages=[Message(role="user", parts=[Text(text=question)])])
        return (await self._ask(gateway, shadow, judge, request, errand, judges=True)).text


def _demands(limits: Constraints, judges: bool) -> str:
    """What holds for the shadow, or its judge, as the header has it."""
    said = {"region": limits.region or "", "providers": ",".join(limits.providers)}
    if not judges:
        said["models"] = ",".join(limits.models)
    return "; ".join(f"{key}={value}" for key, value in said.items() if value)


def _keep(state: Path, route: str, prompt: Prompt) -> None:
    """Adds a line for `dragoman compare`. It has content: only its owner may read it."""
    path = state / "shadows" / (re.sub(r"[^\w.-]", "_", route) + ".jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, msgspec.json.encode(prompt) + b"\n")
    finally:
        os.close(file)


def _say(state: config.State, shadow: Shadow, verdict: Judged) -> None:
    """The judge's word, as feedback on both decisions."""
    from dragoman.ledger.decisions import Feedback, say
    from dragoman.ledger.fold import fold
    from dragoman.ledger.store import Store

    fold(state)
    with Store(state) as store:
        for decision, quality in (
            (shadow.errand.tags["shadow"], verdict.score),
            ("dec" + shadow.errand.id[3:], 1.0 - verdict.score),
        ):
            source = SHADOW + verdict.judge
            say(store, Feedback(decision=decision, time=time.time(), quality=quality, source=source))
