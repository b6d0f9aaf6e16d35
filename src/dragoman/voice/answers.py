"""The answers of a session: each a `Run`, from the question to the model to the last sound at the client's.

One run of the conversation is open at a time, any number beside it. A run that was begun before its turn was over is
held back: nothing of it is seen until it is released, nothing at all if it is dropped.
"""

from collections.abc import Callable, Iterable
from typing import Any

from dragoman.canon import Broken, Event, Failure, PartDelta, PartStart, Request, Text
from dragoman.voice import orders, session
from dragoman.voice.conversation import Conversation, Entry, Memory, request
from dragoman.voice.ear import wire
from dragoman.voice.engine import SPOKEN, Sound
from dragoman.voice.events import JSON, event
from dragoman.voice.pcm import Outward
from dragoman.voice.playback import Playback
from dragoman.voice.record import Turn
from dragoman.voice.refusal import Refused
from dragoman.voice.response import CancelReason, Response
from dragoman.voice.runs import Plan, Run
from dragoman.voice.steps import Closed, Do, Hush, Opened, Params, Say, Tell

LEAD_MS = 30_000.0  # of sound a client is sent ahead of what it can have played
MOST_ASIDE = 16  # responses at a time that stand beside the conversation


class Answers:
    """A session's runs, its conversation and its loudspeaker. `emit` takes the orders. `ended` is called when a run of
    the conversation is over; `audible` is told whether the assistant can be heard."""

    def __init__(
        self, config: session.Session, conversation: Conversation, *, emit: Callable[[orders.Order], None],
        new_id: Callable[[str], str], audible: Callable[[bool], None], window: int | None = None,
    ) -> None:  # fmt: skip
        self.conversation = conversation
        self.playback = Playback()
        self._memory = Memory(window)
        self.active: Run | None = None  # of the conversation, seen
        self.prepared: Run | None = None  # of the conversation, held back
        self.hushed = False  # somebody may be interrupting: nothing goes out that sounds
        self.turns = 0
        self._session = config
        self._emit = emit
        self._new_id = new_id
        self._audible = audible
        self._runs: dict[str, Run] = {}
        self._now = 0.0
        self._full = False  # the client has been sent as much as is good for it
        self._sounds = False
        self._sounding: str | None = None  # the response that was heard last

    # made, asked

    def plan(self, said: session.Realtime, **changes: Any) -> Plan:
        """By the session's configuration."""
        voice = said.audio.output.voice
        params = Params(
            conversation=self.conversation.id, modality="audio" if "audio" in said.output_modalities else "text",
            voice=voice if isinstance(voice, str) else voice.id, speed=said.audio.output.speed,
            format=said.audio.output.format, max_tokens=said.max_output_tokens,
        )  # fmt: skip
        return Plan(
            params=params, instructions=said.instructions, tools=said.tools, choice=said.tool_choice,
            effort=said.reasoning.effort if said.reasoning else None, parallel=said.parallel_tool_calls,
        )  # fmt: skip

    def create(self, plan: Plan, now: float, turn: Turn | None = None) -> Run:
        """A response that the client is told of. Raises `Refused` where another is open."""
        self._now = now
        self.check_free(plan)
        run = self._make(plan, turn or self.new_turn(now))
        if not run.aside:
            self.active = run
        self._do(run, run.response.begin())
        self.ask(run, now)
        return run

    def check_free(self, plan: Plan) -> None:
        """Raises `Refused` where no response can be made now."""
        if plan.params.conversation is None:
            if sum(run.aside for run in self._runs.values()) >= MOST_ASIDE:
                raise Refused(f"More than {MOST_ASIDE} responses are in progress: wait until one is finished.",
                              "rate_limit_exceeded")  # fmt: skip
        elif self.active is not None:
            raise Refused(
                f"Conversation already has an active response in progress: {self.active.id}. Wait until the response "
                "is finished before creating a new one.",
                "conversation_already_has_active_response",
            )

    def new_turn(self, now: float) -> Turn:
        self.turns += 1
        return Turn(number=self.turns, began=now)

    def prepare(self, plan: Plan, turn: Turn, context: list[JSON], heard_ms: float, now: float) -> None:
        """Begins an answer that nobody may want. `context`: what it answers, `heard_ms` of speech included."""
        self._now = now
        run = self._make(plan, turn)
        run.held, run.speculative = [], True
        run.response.input_audio_ms = heard_ms
        turn.speculative = True
        self.prepared = run
        self._put(run, context, now)

    def release(self, now: float) -> None:
        """The prepared answer is wanted: it goes out as if it had just been made."""
        self._now = now
        run, self.prepared = self.prepared, None
        if run is None or run.held is None:
            raise RuntimeError("there is no prepared answer")
        held, run.held = run.held, None
        self.active = run if run.response.open else None
        self._emit(orders.Take(run.id))
        opening = run.response.begin()
        self._do(run, opening)
        self._do(run, held)

    def warm(self) -> None:
        """The model may read what every question begins with."""
        plan = self.plan(self._session.realtime)
        self._emit(orders.Warm(self._request(plan, [entry.item for entry in self.conversation.entries()])))

    def drop_prepared(self) -> None:
        """It is not wanted: nothing of it was seen."""
        run, self.prepared = self.prepared, None
        if run is not None:
            self._emit(orders.Cancel(run.id))
            self._emit(orders.Hush(run.id))
            self._runs.pop(run.id, None)

    def ask(self, run: Run, now: float) -> None:
        """Asks the model, unless words that belong to the question are still awaited."""
        if run.asked or not run.response.open:
            return
        entries = self._context(run.plan)
        if any(isinstance(entry, Entry) and entry.pending for entry in entries):
            return
        self._put(run, [entry.item if isinstance(entry, Entry) else entry for entry in entries], now)

    def ask_waiting(self, now: float) -> None:
        """Words have come: the runs that waited for them go on."""
        for run in list(self._runs.values()):
            if not run.asked and run.held is None:
                self.ask(run, now)

    def _context(self, plan: Plan) -> list[Entry | JSON]:
        if plan.context is None:
            return list(self.conversation.entries())
        return [
            self.conversation.find(each) if isinstance(each, str) else each
            for each in plan.context
            if not isinstance(each, str) or self.conversation.has(each)
        ]

    def _put(self, run: Run, context: Iterable[JSON], now: float) -> None:
        plan = run.plan
        run.asked = True
        run.response.asked()
        run.turn.ask(now)
        self._emit(orders.Ask(run.id, self._request(plan, context), run.speculative))

    def _request(self, plan: Plan, context: Iterable[JSON]) -> Request:
        told = list(context)
        if self._session.realtime.truncation != "disabled":
            told = self._memory.recalled(told, plan.instructions)
        return request(
            told, model=self._session.realtime.model, instructions=plan.instructions, tools=plan.tools,
            choice=plan.choice, max_tokens=plan.params.max_tokens, effort=plan.effort, parallel=plan.parallel,
        )  # fmt: skip

    def _make(self, plan: Plan, turn: Turn) -> Run:
        outward = Outward(wire(plan.params.format), SPOKEN)
        response = Response(self._new_id("resp"), plan.params, new_id=self._new_id, outward=outward, room=self._room)
        run = Run(response=response, plan=plan, turn=turn)
        self._runs[run.id] = run
        turn.response_id = run.id
        return run

    # answered

    def answered(self, run_id: str, target: str | None, decision: str | None, route: float | None) -> None:
        """Who answers, and how it was chosen. `route`: seconds it took to choose."""
        if run := self._runs.get(run_id):
            run.turn.target, run.turn.decision, run.turn.route = target, decision, route

    def model(self, run_id: str, said: Event, now: float) -> None:
        """The model's next event."""
        self._now = now
        run = self._runs.get(run_id)
        if run is None:
            return
        if run.speculative and isinstance(said, Broken) and run.held is not None:
            self.drop_prepared()  # let it fail in earnest, if it must
            return
        if run.turn.text is None and isinstance(said, PartDelta | PartStart) and _has_text(said):
            run.turn.text = now
        self._do(run, run.response.take(said))

    def sound(self, run_id: str, sound: Sound, now: float) -> None:
        """The next piece of what the run has said."""
        self._now = now
        if run := self._runs.get(run_id):
            if run.turn.sound is None:
                run.turn.sound = now
            self._do(run, run.response.sound(sound))

    def spoken(self, run_id: str, now: float) -> None:
        """The clause is over."""
        self._now = now
        if run := self._runs.get(run_id):
            self._do(run, run.response.said())

    def fail(self, run: Run, failure: Failure, now: float) -> None:
        self._now = now
        if run.held is not None and run.speculative:
            self.drop_prepared()
            return
        if run.asked:
            self._emit(orders.Cancel(run.id))
        self._do(run, run.response.fail(failure))

    def find(self, run_id: str) -> Run | None:
        return self._runs.get(run_id)

    # stopped

    def cancel(self, run: Run, reason: CancelReason, now: float) -> None:
        self._now = now
        self.unhush(now)
        if run.asked:
            self._emit(orders.Cancel(run.id))
        self._do(run, run.response.cancel(reason))

    def interrupt(self, now: float) -> None:
        """The user takes the turn: the open answer ends here, and what was not heard was not said."""
        if self.active is not None:
            self.cancel(self.active, "turn_detected", now)
        self.unhush(now)
        self._now = now
        self._cut_unheard(now)

    def silence(self, now: float) -> None:
        """The client wants to hear no more of what it was sent."""
        self._now = now
        unheard = self.playback.unheard(now)
        self._cut_unheard(now)
        if unheard and self._sounding is not None:
            self._tell(event("output_audio_buffer.cleared", response_id=self._sounding))

    def _cut_unheard(self, now: float) -> None:
        for item_id in self.playback.unheard(now):
            heard = self.playback.heard(item_id, now)
            if heard is not None and self.conversation.has(item_id):
                self._truncate(item_id, 0, heard)
        self.playback.flush(now)
        self.quieten(now)

    def truncate(self, item_id: str, content_index: int, audio_end_ms: float, now: float) -> None:
        """The client says what was heard. Raises `Refused`."""
        self._now = now
        self._truncate(item_id, content_index, audio_end_ms)
        self.playback.flush(now)
        self.quieten(now)

    def _truncate(self, item_id: str, content_index: int, audio_end_ms: float) -> None:
        end = self.conversation.truncate(item_id, content_index, audio_end_ms)
        self._tell(event("conversation.item.truncated", item_id=item_id, content_index=content_index, audio_end_ms=end))

    def hush(self) -> None:
        """Somebody speaks over the answer: hold what sounds, until it is known what is meant."""
        self.hushed = True
        self._emit(orders.Pause(True))
        for run in self._runs.values():
            if run.held is None:
                run.held = []

    def unhush(self, now: float) -> None:
        """It was nothing, or it is over: go on."""
        if not self.hushed:
            return
        self._now, self.hushed = now, False
        self._emit(orders.Pause(False))
        for run in list(self._runs.values()):
            if run is not self.prepared and run.held is not None:
                held, run.held = run.held, None
                self._do(run, held)
        self.go_on(now)

    def go_on(self, now: float) -> None:
        """Time has passed: there may be room for more, and silence."""
        self._now = now
        for run in list(self._runs.values()):
            self._do(run, run.response.go_on())
        self.quieten(now)

    def quieten(self, now: float) -> None:
        """Tells when the assistant is not heard any more."""
        if self._sounds and self.active is None and self.playback.lead(now) <= 0:
            self._sounds = False
            self._audible(False)

    def wake(self, now: float) -> float | None:
        """When `go_on` is due; None: no time matters."""
        if not self.hushed and any(run.response.waits for run in self._runs.values()):
            return now + max(0.0, self.playback.lead(now) - LEAD_MS * 0.9) / 1000
        return self.playback.ends(now) if self._sounds and self.active is None else None

    def close(self) -> None:
        """The session is over."""
        for run in self._runs.values():
            self._emit(orders.Cancel(run.id))
            self._emit(orders.Hush(run.id))
        self._runs.clear()
        self.active = self.prepared = None

    # out

    def _do(self, run: Run, dos: Iterable[Do]) -> None:
        for do in dos:
            match do:
                case Say():
                    if run.turn.clause is None:
                        run.turn.clause = self._now
                    self._emit(orders.Speak(run.id, do.text, do.voice, do.speed))
                case Hush():
                    self._emit(orders.Hush(run.id))
                case _ if run.held is not None:
                    run.held.append(do)
                case Opened():
                    entry = Entry(item=do.item, alignment=run.response.alignments.get(do.item["id"]))
                    previous = self.conversation.add(entry)
                    self._tell(event("conversation.item.added", previous_item_id=previous, item=do.item))
                case Closed():
                    self._close_item(do.item)
                case Tell():
                    self._out(run, do)

    def _close_item(self, item: JSON) -> None:
        previous = None
        if self.conversation.has(item["id"]):  # the client may have deleted it meanwhile
            self.conversation.complete(item)
            previous = self.conversation.before(item["id"])
        self._tell(event("conversation.item.done", previous_item_id=previous, item=item))

    def _out(self, run: Run, do: Tell) -> None:
        if do.sound_ms:
            self.playback.send(self._now, do.event["item_id"], do.sound_ms)
            if run.turn.sent is None:
                run.turn.sent = self._now
            self._session.spoken = True
            self._sounding = run.id
            if not self._sounds:
                self._sounds = True
                self._audible(True)
        if do.event["type"] == "response.done":
            self._end(run, do.event)
        else:
            self._tell(do.event)

    def _end(self, run: Run, done: JSON) -> None:
        self._runs.pop(run.id, None)
        self._emit(orders.Forget(run.id))
        if self.active is run:
            self.active = None
        run.turn.status = done["response"]["status"]
        run.turn.tokens = done["response"]["usage"]["total_tokens"]
        self._tell(done)
        if not run.aside:
            self._emit(orders.Report(run.turn))
        self.quieten(self._now)

    def _tell(self, told: JSON) -> None:
        self._emit(orders.Send(told))

    def _room(self) -> bool:
        """Whether more may be said. A client that has had enough is sent the next when a tenth of it is played."""
        if self.playback.lead(self._now) >= LEAD_MS:
            self._full = True
        elif self.playback.lead(self._now) <= LEAD_MS * 0.9 + 1.0:
            self._full = False
        return not self.hushed and not self._full


def _has_text(said: PartDelta | PartStart) -> bool:
    if isinstance(said, PartDelta):
        return bool(said.text)
    return isinstance(said.part, Text) and bool(said.part.text)
