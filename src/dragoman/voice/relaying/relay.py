"""A realtime session at a provider, event for event; and its going on at another when the provider is gone.

Two tasks bring the events, one each way; `memory` sees each of them pass. When the provider's end is gone, or
is to go soon, another is opened (`Reopen`) and told the session; the client's socket stays as it is, and its events
wait meanwhile.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from dragoman.accounts.lease import Outcome
from dragoman.canon import Failed, Failure, Usage
from dragoman.voice.relaying import usage
from dragoman.voice.relaying.bridges import error_event
from dragoman.voice.relaying.ends import End, Line, text
from dragoman.voice.relaying.heads import OURS, Head, plain, read
from dragoman.voice.relaying.memory import Memory

log = logging.getLogger("dragoman")
EARLY = 120.0  # seconds before a provider closes a session by its rules, from which on a quiet moment is used to leave
LATEST = 10.0  # seconds before that at which it is left, quiet or not
FRUITLESS = 3  # providers' ends in a row that came to nothing, after which the session is given up
LASTED = 30.0  # seconds; an end that lasted so long came to something, though nobody spoke
LEAVING = "dragoman.go_away"  # a provider's codec says so that its end is going to close
_CODES = {"budget_spent": 1008, "rate_limited": 1013, "unauthorized": 1008, "forbidden": 1008}


class Turn(Struct, kw_only=True):
    """What is booked: a response that has ended (`usage` None: nobody counted), or what the user said, written down
    (`seconds` of it, where those are what is sold).
    `started`, `ended`: on the event loop's clock; `sounded`: when the first of it went to the client."""

    target: str
    account: str
    usage: Usage | None
    started: float
    ended: float
    sounded: float | None = None
    seconds: float | None = None
    status: str = "completed"
    resumed: int = 0
    broke: bool = False  # it did not come to its end: its provider was lost


Reopen: TypeAlias = Callable[[], Awaitable[Line]]  # raises `Failed`
Book: TypeAlias = Callable[[Turn], Failure | None]  # gives why no further turn may come, if so


class Counts(Struct):
    """What happened to the sessions of a worker: how many are `open`, and how often a fault of ours came up in one;
    and of those at providers, turns that ended, ends of providers that were lost, and goings on elsewhere."""

    open: int = 0
    broken: int = 0
    turns: int = 0
    lost: int = 0
    resumed: int = 0


class Relay:
    """One session. `run` brings it to its end."""

    def __init__(
        self,
        line: Line,
        reopen: Reopen,
        book: Book,
        *,
        new_id: Callable[[], str],
        session: dict[str, Any] | None = None,
        asked: str = "",
        turns: bool = False,
        decision: str | None = None,
        counts: Counts | None = None,
    ) -> None:
        """`line` is open. `session`: the configuration it is to begin with. `asked`: what the client calls the model,
        for which the provider is told its own name. `turns`: the client wants to be told the
        times of each turn, and `decision`, by which the target was chosen."""
        self._line: Line | None = line
        self._reopen = reopen
        self._book = book
        self._new_id = new_id
        self._model = asked
        self._turns = turns
        self._decision = decision
        self._counts = counts or Counts()
        self._memory = Memory(line.names, session=session, new_id=new_id)
        self._opened: asyncio.Future[None] | None = None  # while there is no line
        self._fruitless = 0
        self._resumed = 0
        self._moving = False
        self._failed: str | None = None
        self._taken = Usage()
        self._asked = 0.0  # when the user's turn ended, or an answer was asked for
        self._sounded: float | None = None  # when the answer's first sound came
        self._passed = 0.0  # milliseconds it took to pass it on
        self._since = 0.0  # when the line was opened
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._closing = (1000, "")

    async def run(self, client: End) -> tuple[int, str]:
        """Until one side is gone for good; the code and the reason to close the client's end with."""
        line = self._line
        assert line is not None
        self._asked = self._loop.time()
        self._watch(line)
        await self._tell(client, line)
        ways = [asyncio.create_task(self._from_client(client)), asyncio.create_task(self._from_provider(client))]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            if self._timer is not None:
                self._timer.cancel()
            if (line := self._line) is not None:
                self._settle(line, None)
                await line.end.close()
        return self._closing

    async def _tell(self, client: End, line: Line) -> None:
        """Tells the session to a provider that knows nothing of it."""
        for event in line.end.begin():
            await self._bring(client, line, event)
        for message in self._memory.replay():
            await self._send(client, line, self._named(message, line))

    async def _send(self, client: End, line: Line, event: str) -> None:
        for echo in await line.end.send(event):
            await self._bring(client, line, echo)

    async def _show(self, client: End, event: str) -> None:
        for echo in await client.send(event):
            await self._pass_on(client, echo)

    async def _from_client(self, client: End) -> None:
        while (events := await client.receive()) is not None:
            for event in events:
                while self._opened is not None:
                    await asyncio.shield(self._opened)
                await self._pass_on(client, event)

    async def _pass_on(self, client: End, event: str) -> None:
        """An event of the client's, to the provider; where there is none now, the next one is told of it."""
        head = read(event)
        self._memory.sent(event, head)
        if head.type == "response.create":
            self._asked = self._loop.time()
        if (line := self._line) is not None:
            await self._send(client, line, self._named(event, line) if head.type == "session.update" else event)

    def _named(self, event: str, line: Line) -> str:
        """The event with the provider's name of the model, where an update has the client's."""
        own = line.target.partition("/")[2]
        if not self._model or self._model == own or self._model not in event:
            return event
        head = read(event)
        session = plain(head.session)
        if head.type != "session.update" or session.get("model") != self._model:
            return event
        return text(msgspec.json.decode(event) | {"session": session | {"model": own}})

    async def _from_provider(self, client: End) -> None:
        while True:
            line = self._line
            if line is None:
                return
            events = await line.end.receive()
            if events is None:
                if not await self._go_on(client, line):
                    return
                continue
            for event in events:
                if not await self._bring(client, line, event):
                    return
            if self._moving and self._memory.idle:
                await self._leave(line)

    async def _bring(self, client: End, line: Line, event: str) -> bool:
        """A provider's event, to the client. Whether the session goes on."""
        came = self._loop.time()
        head = read(event)
        if head.type == LEAVING:
            self._moving = True
            return True
        shown: str | None = event
        try:
            shown = self._memory.came(event, head)
        except Exception:  # a shape that nobody has seen: it passes, as everything does
            log.exception("%s at account %s: an event (%s) was not understood", line.target, line.account, head.type)
        kind = OURS.get(head.type, head.type)
        after = _AFTER.get(kind)
        refused = after(self, line, head, came) if after is not None else None
        if shown is not None:
            await self._show(client, shown)
        if self._sounded == came:
            self._passed = (self._loop.time() - came) * 1000
        if kind == "response.done":
            await self._tell_turn(client, line, plain(head.response).get("id"))
        if refused is not None:
            await client.send(text(error_event(refused)))
            self._closing = (_CODES.get(refused.kind, 1011), refused.message)
            return False
        return True

    # what is counted in passing

    def _turn_ended(self, line: Line, head: Head, now: float) -> None:
        self._asked = now

    def _sounds(self, line: Line, head: Head, now: float) -> None:
        if self._sounded is None:
            self._sounded = now

    def _responded(self, line: Line, head: Head, now: float) -> Failure | None:
        response = plain(head.response)
        self._number += 1
        self._counts.turns += 1
        self._fruitless = 0
        return self._booked(line, usage.of_response(response), str(response.get("status") or "completed"))

    def _transcribed(self, line: Line, head: Head, now: float) -> Failure | None:
        said, model = plain(head.usage), self._memory.transcriber
        taken, seconds = usage.of_transcription(said), usage.seconds(said)
        if model is None or (taken is None and seconds is None):
            return None
        provider = line.target.partition("/")[0]
        return self._book(
            Turn(
                target=f"{provider}/{model}", account=line.account, usage=taken, started=now, ended=now, seconds=seconds
            )
        )

    def _booked(self, line: Line, taken: Usage | None, status: str, broke: bool = False) -> Failure | None:
        if taken is not None:
            self._taken.input += taken.input
            self._taken.output += taken.output
        return self._book(
            Turn(
                target=line.target, account=line.account, usage=taken, started=self._asked, ended=self._loop.time(),
                sounded=self._sounded, status=status, resumed=self._resumed, broke=broke,
            )
        )  # fmt: skip

    async def _tell_turn(self, client: End, line: Line, response_id: object) -> None:
        sounded, self._sounded, self._resumed = self._sounded, None, 0
        if not self._turns:
            return
        stages: dict[str, float] = {}
        if sounded is not None:
            stages = {"send": round(self._passed, 1), "total": round((sounded - self._asked) * 1000 + self._passed, 1)}
        turn = {
            "type": "dragoman.turn", "event_id": self._new_id(), "turn": self._number, "response_id": response_id,
            "stages_ms": stages, "target": line.target, "account": line.account, "decision": self._decision,
        }  # fmt: skip
        await client.send(text(turn))

    # the change of providers

    def _watch(self, line: Line) -> None:
        """Leaves the provider in time before it closes the session by its rules."""
        self._since = self._loop.time()
        if line.until is not None:
            self._timer = self._loop.call_at(line.until - EARLY, self._due, line)

    def _due(self, line: Line) -> None:
        self._moving = True
        late = line.until is not None and self._loop.time() >= line.until - LATEST
        if self._memory.idle or late:
            self._leaving = self._loop.create_task(self._leave(line))
        elif line.until is not None:
            self._timer = self._loop.call_at(line.until - LATEST, self._due, line)

    async def _leave(self, line: Line) -> None:
        """Closes the provider's end, as if it had gone by itself."""
        if self._line is line and self._moving:
            await line.end.close()

    async def _go_on(self, client: End, gone: Line) -> bool:
        """The provider's end is gone: ends for the client what was open, and goes on elsewhere. Whether it does."""
        planned, self._moving = self._moving, False
        self._line, self._opened = None, self._loop.create_future()
        if self._timer is not None:
            self._timer.cancel()
        if planned:
            self._settle(gone, None)
        else:
            self._counts.lost += 1
            log.warning("%s at account %s: the session's connection is lost", gone.target, gone.account)
            self._settle(gone, "stream_broken")
        await gone.end.close()
        fruitless = not (planned or self._memory.progress or self._loop.time() - self._since > LASTED)
        self._fruitless = self._fruitless + 1 if fruitless else 0
        for event in self._memory.lost():
            if event["type"] == "response.done":
                self._booked(gone, None, event["response"]["status"], broke=True)
            await self._show(client, text(event))
        try:
            if self._fruitless >= FRUITLESS:
                raise Failed(Failure(kind="upstream_error", status=502, message="the provider ends every session"))
            line = await self._reopen()
        except Failed as error:
            await client.send(text(error_event(error.failure)))
            self._closing = (_CODES.get(error.failure.kind, 1011), error.failure.message)
            return False
        self._resumed += 1
        self._counts.resumed += 1
        try:
            await self._tell(client, line)
        except BaseException:  # the client has left
            self._settle(line, None)
            await line.end.close()
            raise
        self._line = line
        self._watch(line)
        opened, self._opened = self._opened, None
        opened.set_result(None)
        return True

    def _settle(self, line: Line, kind: str | None) -> None:
        taken, self._taken = self._taken, Usage()
        line.settle(Outcome(kind=kind, tokens_in=taken.input, tokens_out=taken.output))


_After = Callable[[Relay, Line, Head, float], Failure | None]
_AFTER: dict[str, _After] = {
    "input_audio_buffer.speech_stopped": Relay._turn_ended,
    "input_audio_buffer.committed": Relay._turn_ended,
    "response.output_audio.delta": Relay._sounds,
    "response.output_text.delta": Relay._sounds,
    "response.done": Relay._responded,
    "conversation.item.input_audio_transcription.completed": Relay._transcribed,
}
