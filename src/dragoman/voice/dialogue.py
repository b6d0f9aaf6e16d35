"""A spoken conversation as a pure machine: what the client says, and what the engines and the model make of it, go in;
orders come out (`orders.py`). No clock, no task, no socket: `pipeline.py` has those.

How it works. A client event is checked and done (`client`). Sound goes to `listening.py`, which says when somebody has
the turn, has its words transcribed while they are spoken, and where the session allows begins an answer at the first
pause. `answers.py` has the answers, the one that is prepared and those that the client sees. Times are seconds of a
clock that only goes forward.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from dragoman.canon import Event, Failure
from dragoman.voice import events, items, orders, session
from dragoman.voice.answers import Answers
from dragoman.voice.conversation import Conversation, Entry
from dragoman.voice.detection import Interruption
from dragoman.voice.ear import Cleaner
from dragoman.voice.engine import Sound, VoiceActivity, Words
from dragoman.voice.events import JSON, event
from dragoman.voice.listening import Listening
from dragoman.voice.refusal import Refused, Strict, checked
from dragoman.voice.runs import Plan

SESSION_SECONDS = 60 * 60.0  # how long a session lives, as the original's
MOST_ITEMS = 2_000

T = TypeVar("T", bound=Struct)


class _AudioOut(Strict, kw_only=True, frozen=True):
    format: session.Format | None = None
    voice: str | session.VoiceId | None = None
    speed: float | None = None


class _Audio(Strict, kw_only=True, frozen=True):
    output: _AudioOut | None = None


class Wanted(Strict, kw_only=True, frozen=True):
    """What a client says of the response it wants; what it does not say is the session's."""

    conversation: str | None = None
    input: list[JSON] | None = None
    instructions: str | None = None
    output_modalities: session.Modalities | None = None
    audio: _Audio | None = None
    tools: list[session.Tool] | None = None
    tool_choice: session.ToolChoice | None = None
    max_output_tokens: session.MaxTokens | None = None
    metadata: dict[str, str] | None = None
    reasoning: session.Reasoning | None = None
    parallel_tool_calls: bool | None = None
    prompt: JSON | None = None


class Dialogue:
    """One session. Every method may leave orders behind, to be taken with `orders`."""

    def __init__(
        self, config: session.Session, activity: VoiceActivity, *, new_id: Callable[[str], str], now: float,
        seconds: float = SESSION_SECONDS, may_speculate: Callable[[], bool] = lambda: True,
        drafts: bool = True, judged: bool = True, cleaner: Callable[[], Cleaner | None] = lambda: None,
        window: int | None = None, interruption: Interruption | None = None,
    ) -> None:  # fmt: skip
        self.session = config
        self._cleaner = cleaner
        self.over = False
        self._ends = now + seconds
        self._minutes = round(seconds / 60)
        self._new_id = new_id
        self._orders: list[orders.Order] = []
        self.conversation = Conversation(new_id("conv"))
        self.answers = Answers(
            config,
            self.conversation,
            emit=self._emit,
            new_id=new_id,
            audible=self._audible,
            window=window,
        )
        self.listening = Listening(
            config, self.conversation, self.answers, activity, emit=self._emit, new_id=new_id,
            may_speculate=may_speculate, drafts=drafts, judged=judged, interruption=interruption,
        )  # fmt: skip

    def begin(self) -> None:
        """The session is told."""
        self._clean()
        self._send(event("session.created", session=self.session.shown()))
        conversation = {"id": self.conversation.id, "object": "realtime.conversation"}
        if self.session.talks:
            self._send(event("conversation.created", conversation=conversation))
            self.answers.warm()

    def take(self) -> list[orders.Order]:
        """The orders since the last time."""
        taken, self._orders = self._orders, []
        return taken

    # the client

    def client(self, said: object, now: float) -> None:
        """The client's next event; what can't be done is told by an `error`, and changes nothing."""
        try:
            self._done(events.read(said), now)
        except Refused as refused:
            self._send(events.error(refused, events.event_id(said)))
        self.listening.answer_owed(now)

    def _done(self, said: events.ClientEvent, now: float) -> None:
        match said:
            case events.Append():
                self.listening.append(said.audio, now)
            case events.SessionUpdate():
                self._update_session(said.session)
            case events.Commit():
                self.listening.commit(now)
            case events.Clear():
                self.listening.clear()
            case events.ClearOutput():
                self.answers.silence(now)
            case events.ItemCreate():
                self._create_item(said)
            case events.ItemRetrieve():
                found = self.conversation.find(said.item_id, to="retrieve")
                self._send(event("conversation.item.retrieved", item=found.item))
            case events.ItemDelete():
                self.conversation.delete(said.item_id)
                self._send(event("conversation.item.deleted", item_id=said.item_id))
            case events.ItemTruncate():
                self.answers.truncate(said.item_id, said.content_index, said.audio_end_ms, now)
            case events.ResponseCreate():
                self._create_response(said, now)
            case events.ResponseCancel():
                self._cancel_response(said, now)

    def _update_session(self, said: JSON) -> None:
        before = self.session.config
        self.session.update(said)
        self.listening.configure()
        after = self.session.config
        if (before.audio.input.noise_reduction is None) != (after.audio.input.noise_reduction is None):
            self._clean()
        self._send(event("session.updated", session=self.session.shown()))
        if self.session.talks and _prompt(before) != _prompt(after):
            self.answers.warm()

    def _clean(self) -> None:
        wanted = self.session.config.audio.input.noise_reduction is not None
        self.listening.ear.clean(self._cleaner() if wanted else None)

    def _create_item(self, said: events.ItemCreate) -> None:
        if len(self.conversation) >= MOST_ITEMS:
            message = f"The conversation has {MOST_ITEMS} items, and no room for more: delete some."
            raise Refused(message, "invalid_value", "item")
        item = items.made(said.item, "item", self._new_id("item"))
        previous = self.conversation.add(Entry(item=item), said.previous_item_id)
        for kind in ("conversation.item.added", "conversation.item.done"):
            self._send(event(kind, previous_item_id=previous, item=item))

    def _create_response(self, said: events.ResponseCreate, now: float) -> None:
        if not self.session.talks:
            raise Refused("A transcription session has no responses.", "invalid_value", "type")
        given = said.response if isinstance(said.response, dict) else {}
        session.refuse_remote(given.get("tools"), "response.tools")
        plan = self._plan(checked(given, Wanted, "response"))
        self.answers.check_free(plan)
        self.answers.drop_prepared()
        self.answers.create(plan, now)

    def _plan(self, said: Wanted) -> Plan:
        config = self.session.realtime
        over: dict[str, Any] = {
            "instructions": said.instructions, "tools": said.tools, "tool_choice": said.tool_choice,
            "output_modalities": said.output_modalities, "max_output_tokens": said.max_output_tokens,
            "reasoning": said.reasoning, "parallel_tool_calls": said.parallel_tool_calls,
        }  # fmt: skip
        output = config.audio.output
        if said.audio is not None and said.audio.output is not None:
            changed = {name: getattr(said.audio.output, name) for name in ("format", "voice", "speed")}
            output = _replaced(output, changed)
        config = _replaced(config, over)
        config = _replaced(config, {"audio": _replaced(config.audio, {"output": output})})
        plan = self.answers.plan(config)
        if said.conversation not in (None, "auto", "none", self.conversation.id):
            message = "Invalid value: conversation must be 'auto' or 'none'."
            raise Refused(message, "invalid_value", "response.conversation")
        changes: dict[str, Any] = {"metadata": said.metadata}
        if said.conversation == "none":
            changes["conversation"] = None
        params = _replaced(plan.params, changes, nulls=frozenset({"conversation"}))
        context = None if said.input is None else [self._context(i, each) for i, each in enumerate(said.input)]
        return _replaced(plan, {"params": params, "context": context})

    def _context(self, index: int, said: JSON) -> JSON | str:
        where = f"response.input[{index}]"
        if said.get("type") == "item_reference":
            item_id = items.reference(said, where)
            self.conversation.find(item_id, f"{where}.id")
            return item_id
        if "id" in said and isinstance(said["id"], str) and "type" not in said and self.conversation.has(said["id"]):
            return said["id"]
        return items.made(said, where, self._new_id("item"))

    def _cancel_response(self, said: events.ResponseCancel, now: float) -> None:
        run = self.answers.find(said.response_id) if said.response_id else self.answers.active
        if run is None or run is self.answers.prepared:
            raise Refused("Cancellation failed: no active response found", "response_cancel_not_active")
        self.answers.cancel(run, "client_cancelled", now)

    # the engines and the model

    @property
    def busy(self) -> bool:
        """There is sound to listen to: call `listen`."""
        return self.listening.busy

    def listen(self, now: float) -> None:
        """Looks at a frame of the sound that has come."""
        self.listening.listen(now)
        if not self.busy:
            self.listening.listened()
        self.listening.answer_owed(now)

    def understood(self, utterance: int, pause: int, words: Words | None, now: float) -> None:
        """The answer to `Understand`; None where the engine failed."""
        self.listening.understood(utterance, pause, words, now)

    def finished(self, utterance: int, words: Words | None, message: str, now: float) -> None:
        """The answer to `Finish`; None where the engine failed, for the reason that `message` gives."""
        self.listening.finished(utterance, words, message, now)

    def judged(self, pause: int, complete: float, now: float) -> None:
        """The answer to `Judge`."""
        self.listening.judged(pause, complete, now)

    def answered(self, run: str, target: str | None, decision: str | None, route: float | None) -> None:
        """Who answers an `Ask`. `route`: seconds that the choice took."""
        self.answers.answered(run, target, decision, route)

    def model(self, run: str, said: Event, now: float) -> None:
        """The next of an answer to `Ask`; it ends in `End` or `Broken`."""
        self.answers.model(run, said, now)
        self.listening.answer_owed(now)

    def sound(self, run: str, sound: Sound, now: float) -> None:
        """The next of what `Speak` has said."""
        self.answers.sound(run, sound, now)

    def spoken(self, run: str, failed: str | None, now: float) -> None:
        """It has been said, or could not be: for the reason that `failed` gives."""
        found = self.answers.find(run)
        if failed is not None and found is not None:
            self.answers.fail(found, Failure(kind="upstream_error", status=502, message=failed), now)
        else:
            self.answers.spoken(run, now)
        self.listening.answer_owed(now)

    # time

    def tick(self, now: float) -> None:
        """Time has passed."""
        if now >= self._ends and not self.over:
            message = f"Your session hit the maximum duration of {self._minutes} minutes."
            self._send(events.error(Refused(message, "session_expired"), None))
            self.close()
            self._emit(orders.Close(1001, message))
            return
        self.listening.go_on(now)
        self.answers.go_on(now)

    def wake(self, now: float) -> float:
        """When `tick` is due at the latest."""
        due = (self._ends, self.answers.wake(now), self.listening.wake())
        return min(each for each in due if each is not None)

    def close(self) -> None:
        """The session is over: nothing is wanted any more."""
        self.over = True
        self.listening.close()
        self.answers.close()

    def _audible(self, heard: bool) -> None:
        self.listening.ear.turns.assistant(heard)

    def _send(self, told: JSON) -> None:
        self._emit(orders.Send(told))

    def _emit(self, order: orders.Order) -> None:
        self._orders.append(order)


def _prompt(config: session.Config) -> object:
    """What a question to the model begins with."""
    return (config.instructions, config.tools) if isinstance(config, session.Realtime) else None


def _replaced(of: T, changes: dict[str, Any], nulls: frozenset[str] = frozenset()) -> T:
    """With these fields, where they say something."""
    said = {name: value for name, value in changes.items() if value is not None or name in nulls}
    return msgspec.structs.replace(of, **said)
