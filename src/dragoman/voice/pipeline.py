"""A session on a text model: the actor that carries out what a `Dialogue` orders.

How it works. One loop owns the dialogue. Everything that happens (an event of the client, words, a judgement, something
the model says, a piece of sound, a moment that was waited for) is put into one inbox of bounded size as a function to
be called; after each, the orders are carried out. Each engine's work runs in a task of its own, which ends with the
session, whatever ends it. Events for the client go through a queue of bounded size, so that a slow client slows down
its own session and nothing else.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from functools import partial
from typing import Any, Protocol

import msgspec

from dragoman.canon import Broken, End, Event, Failure, Request
from dragoman.voice import orders
from dragoman.voice.detection import BOLD
from dragoman.voice.dialogue import SESSION_SECONDS, Dialogue
from dragoman.voice.ear import Cleaner
from dragoman.voice.engine import Book, EngineError, Sound, Speaker, Transcriber, TurnJudge, Utterance, VoiceActivity
from dragoman.voice.engines import echo
from dragoman.voice.events import JSON, error
from dragoman.voice.model import Answering, Model
from dragoman.voice.record import Turn
from dragoman.voice.refusal import Refused
from dragoman.voice.session import Session

log = logging.getLogger("dragoman")
_INBOX = 256  # happenings that wait; who brings more waits
_OUTBOX = 2048  # events the client has not taken
_FRAMES = 4  # of sound looked at before others have their turn


_BROKE = Refused("The server had an error while processing your event.", "internal_error", kind="server_error")


class Client(Protocol):
    """The other side: a codec over a socket, or a test."""

    async def receive(self) -> JSON | None:
        """The client's next event; None: it is gone."""
        ...

    async def send(self, event: JSON) -> None:
        """Waits while the client is slow; raises nothing when it is gone."""
        ...


class Ears(Protocol):
    """The engines of a worker, as `engines.Engines` has them."""

    transcriber: Transcriber
    speaker: Speaker
    judge: TurnJudge | None

    def activity(self) -> VoiceActivity: ...


class Pipeline:
    """One session. `run` it once.

    `kind`: `realtime` or `transcription`. `tells_turns`: the client asked for the event `dragoman.turn`;
    `tells_pauses`: it pauses its player at `dragoman.paused`, until `dragoman.resumed`. `observe` is
    given every turn's record, and says why no further one may come, if so. `speculations`: how many answers of a model
    that costs money may be begun in vain. `book` is told what providers' speech engines
    took, `broke` that a fault of ours has come up. `settings`: the configuration it begins with; raises `Refused`.
    """

    def __init__(
        self, model_name: str, model: Model, engines: Ears, *, kind: str = "realtime", tells_turns: bool = False,
        tells_pauses: bool = False,
        observe: Callable[[Turn], Failure | None] = lambda turn: None, speculations: int = 0,
        book: Book | None = None, seconds: float = SESSION_SECONDS, settings: JSON | None = None,
        broke: Callable[[], None] = lambda: None, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._model = model
        self._engines = engines
        self._now = clock
        self._tells_turns, self._tells_pauses = tells_turns, tells_pauses
        self._observe = observe
        self._speculations = speculations
        self._book = book
        self._broke = broke
        self._utterances: dict[int, Utterance] = {}
        self._asking: dict[str, tuple[Answering, asyncio.Task[None]]] = {}
        self._judging: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None
        self._unsure: set[str] = set()  # the runs whose answer may be in vain
        self._speaking: dict[str, asyncio.Task[None]] = {}
        self._understanding: dict[int, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._inbox: asyncio.Queue[Callable[[], None] | None] = asyncio.Queue(_INBOX)
        self._outbox: asyncio.Queue[JSON | None] = asyncio.Queue(_OUTBOX)
        self._closing: orders.Close | None = None
        session = Session(_new_id("sess"), model_name, int(time.time() + seconds), kind)
        if settings is not None:
            session.update(settings)
        self.session_id = session.id
        self._dialogue = Dialogue(
            session, engines.activity(), new_id=_new_id, now=self._now(), seconds=seconds,
            may_speculate=self._may_speculate, drafts=not engines.transcriber.metered,
            judged=engines.judge is not None, interruption=None if tells_pauses else BOLD,
            cleaner=_cleaner, window=model.window,
        )  # fmt: skip

    async def run(self, client: Client) -> orders.Close:
        """Until the client is gone or the session is over; returns how the connection is to be closed."""
        sending = asyncio.create_task(self._send_all(client))
        self._start(self._receive_all(client))
        try:
            if self._dialogue.session.config.audio.input.noise_reduction is not None:
                await asyncio.to_thread(echo.load)
            self._dialogue.begin()
            await self._carry_out()
            await self._work()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self._outbox.put(None)
                    await sending
        finally:
            self._dialogue.close()
            self._drop_all()
            await _ended([*self._tasks, sending])
        return self._closing or orders.Close()

    async def _work(self) -> None:
        """The loop that owns the dialogue."""
        while not self._dialogue.over:
            happening = await self._next()
            if happening is None:
                return
            try:
                happening()
                await self._carry_out()
                await self._listen()
            except Exception:  # nobody knows what state it is in: it ends
                log.exception("something broke in voice session %s", self.session_id)
                self._broke()
                await self._send(error(_BROKE, None))
                self._closing = orders.Close(1011, str(_BROKE))
                self._dialogue.close()

    async def _next(self) -> Callable[[], None] | None:
        """What happens next; None: the client is gone. Something does when the dialogue is to be woken."""
        while self._now() < (due := self._dialogue.wake(self._now())):
            timer = asyncio.get_running_loop().call_later(due - self._now(), self._nudge)
            happening = await self._inbox.get()
            timer.cancel()
            if happening is not _nothing:
                return happening
        return lambda: self._dialogue.tick(self._now())

    async def _listen(self) -> None:
        """The sound that has come is looked at, a few frames at a time: other sessions wait meanwhile."""
        count = 0
        while self._dialogue.busy and not self._dialogue.over:
            self._dialogue.listen(self._now())
            await self._carry_out()
            count += 1
            if count % _FRAMES == 0:
                await asyncio.sleep(0)

    def _nudge(self) -> None:
        with contextlib.suppress(asyncio.QueueFull):  # then something else wakes the loop
            self._inbox.put_nowait(_nothing)

    # what is ordered

    async def _carry_out(self) -> None:
        for order in self._dialogue.take():
            match order:
                case orders.Send():
                    await self._send(order.event)
                case orders.Listen():
                    self._utterances[order.utterance] = self._engines.transcriber.begin(
                        language=order.language, prompt=order.prompt, book=self._book
                    )
                case orders.Feed():
                    self._utterances[order.utterance].feed(order.pcm)
                case orders.Understand():
                    self._understand(order)
                case orders.Finish():
                    self._finish(order.utterance)
                case orders.Drop():
                    self._drop(order.utterance)
                case orders.Judge():
                    if self._judging is not None:
                        self._judging.cancel()  # of a pause that is over
                    self._judging = self._start(self._judge(order))
                case orders.Ask():
                    self._ask(order)
                case orders.Warm():
                    self._warm(order.request)
                case orders.Take():
                    self._unsure.discard(order.run)
                    if order.run in self._asking:
                        self._asking[order.run][0].take()
                case orders.Cancel():
                    self._cancel(order.run)
                case orders.Forget():
                    self._asking.pop(order.run, None)
                    self._speaking.pop(order.run, None)
                case orders.Speak():
                    self._speaking[order.run] = self._start(self._speak(order))
                case orders.Hush():
                    if speaking := self._speaking.pop(order.run, None):
                        speaking.cancel()
                case orders.Pause():
                    if self._tells_pauses:
                        await self._send({"type": "dragoman.paused" if order.on else "dragoman.resumed"})
                case orders.Report():
                    await self._report(order.turn)
                case orders.Close():
                    self._closing = order

    async def _send(self, event: JSON) -> None:
        await self._outbox.put({"event_id": _new_id("event"), **event})

    async def _report(self, turn: Turn) -> None:
        barred = self._observe(turn)
        if self._tells_turns:
            await self._send(turn.event())
        if barred is not None:
            await self._send(error(Refused(barred.message, barred.kind), None))
            self._closing = orders.Close(1008, barred.message)
            self._dialogue.close()

    # words

    def _understand(self, order: orders.Understand) -> None:
        utterance = self._utterances[order.utterance]

        async def understand() -> None:
            words = None
            try:
                words = await utterance.words()
            except Exception as failed:
                self._why(failed)
            await self._tell(lambda: self._dialogue.understood(order.utterance, order.pause, words, self._now()))

        self._understanding[order.utterance] = self._start(understand())

    def _finish(self, number: int) -> None:
        utterance = self._utterances.pop(number)
        self._understanding.pop(number, None)

        async def finish() -> None:
            words, message = None, ""
            try:
                words = await utterance.finish()
            except Exception as failed:
                message = self._why(failed)
            await self._tell(lambda: self._dialogue.finished(number, words, message, self._now()))

        self._start(finish())

    def _drop(self, number: int) -> None:
        if understanding := self._understanding.pop(number, None):
            understanding.cancel()
        if utterance := self._utterances.pop(number, None):
            utterance.drop()

    async def _judge(self, order: orders.Judge) -> None:
        judge = self._engines.judge
        if judge is None:
            return
        try:
            complete = await judge.complete(order.pcm, order.words)
        except Exception as failed:
            self._why(failed)
            return
        await self._tell(lambda: self._dialogue.judged(order.pause, complete, self._now()))

    # answers

    def _may_speculate(self) -> bool:
        return not self._model.metered or self._speculations > 0

    def _ask(self, order: orders.Ask) -> None:
        if self._warming is not None:
            self._warming.cancel()
            self._warming = None
        if order.speculative:
            self._unsure.add(order.run)
        answering = self._model.ask(order.request, speculative=order.speculative)
        self._asking[order.run] = (answering, self._start(self._hear_model(order.run, answering)))

    def _warm(self, request: Request) -> None:
        """Has a model that costs nothing read the prompt, until somebody has a real question."""
        if self._warming is not None:
            self._warming.cancel()
        if not self._model.metered:
            asked = self._model.ask(msgspec.structs.replace(request, max_output_tokens=1), speculative=True)
            self._warming = self._start(_read(asked))

    async def _hear_model(self, run: str, answering: Answering) -> None:
        told = ended = False
        failure = Failure(kind="internal", status=500, message="the gateway failed; its log has the details")
        try:
            async with contextlib.aclosing(answering.events()) as said:
                async for event in said:
                    if not told:
                        told = True
                        await self._tell(
                            lambda: self._dialogue.answered(run, answering.target, answering.decision, answering.route)
                        )
                    ended = isinstance(event, End | Broken)
                    await self._tell(partial(self._model_said, run, event))
        except Exception:
            log.exception("a model's answer broke a voice session")
            self._broke()
        if not ended:
            await self._tell(lambda: self._dialogue.model(run, Broken(failure=failure), self._now()))

    def _cancel(self, run: str) -> None:
        if found := self._asking.pop(run, None):
            answering, task = found
            answering.drop()
            task.cancel()
        if run in self._unsure:
            self._unsure.discard(run)
            self._speculations -= 1

    async def _speak(self, order: orders.Speak) -> None:
        failed = None
        try:
            said = self._engines.speaker.say(order.text, voice=order.voice, speed=order.speed, book=self._book)
            try:
                async for sound in said:
                    await self._tell(partial(self._sound, order.run, sound))
            finally:
                if isinstance(said, AsyncGenerator):
                    await said.aclose()
        except Exception as error:
            failed = self._why(error)
        await self._tell(lambda: self._dialogue.spoken(order.run, failed, self._now()))

    # plumbing

    def _why(self, failed: Exception) -> str:
        """What the client is told of an engine's failure; the log has it."""
        if isinstance(failed, EngineError):
            log.warning("a speech engine failed: %s", failed)
            return str(failed)
        log.error("a speech engine broke", exc_info=failed)
        self._broke()
        return "a speech engine failed; the gateway's log has the details"

    def _client_said(self, event: object) -> None:
        self._dialogue.client(event, self._now())

    def _model_said(self, run: str, event: Event) -> None:
        self._dialogue.model(run, event, self._now())

    def _sound(self, run: str, sound: Sound) -> None:
        self._dialogue.sound(run, sound, self._now())

    async def _tell(self, happening: Callable[[], None]) -> None:
        await self._inbox.put(happening)

    async def _receive_all(self, client: Client) -> None:
        while (event := await client.receive()) is not None:
            if b"noise_reduction" in _bytes_of_update(event):
                await asyncio.to_thread(echo.load)
            await self._tell(partial(self._client_said, event))
        await self._inbox.put(None)

    async def _send_all(self, client: Client) -> None:
        while (event := await self._outbox.get()) is not None:
            await client.send(event)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _drop_all(self) -> None:
        for answering, _ in self._asking.values():
            answering.drop()
        for utterance in self._utterances.values():
            utterance.drop()
        self._utterances.clear()
        for task in self._tasks:
            task.cancel()


def _bytes_of_update(event: object) -> bytes:
    """A change of the session's configuration, as JSON; of anything else, nothing."""
    is_update = isinstance(event, dict) and event.get("type") == "session.update"
    return msgspec.json.encode(event.get("session")) if is_update and isinstance(event, dict) else b""


def _cleaner() -> Cleaner | None:
    """What takes noise out, where it is installed."""
    try:
        return echo.Cleaner(echo=False, noise=True)
    except EngineError as missing:
        log.warning("noise_reduction: %s", missing)
        return None


async def _read(asked: Answering) -> None:
    """Lets the model answer, and does not listen. Whether the answer is wanted is never said: nobody asked."""
    async with contextlib.aclosing(asked.events()) as said:
        async for _ in said:
            pass


def _nothing() -> None:
    """What happens when only time has passed."""


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _new_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(10)}"
