"""The user's turns, from sound to words: when they begin and end, what they say, and when an answer is begun early."""

import re
from collections.abc import Callable, Sequence

from msgspec import Struct

from dragoman.canon import Failure
from dragoman.voice import items, orders, session, turns
from dragoman.voice.answers import Answers
from dragoman.voice.conversation import Conversation, Entry
from dragoman.voice.detection import Interruption
from dragoman.voice.ear import LEAST_MS, Ear
from dragoman.voice.engine import Token, VoiceActivity, Words
from dragoman.voice.events import JSON, event
from dragoman.voice.record import Turn
from dragoman.voice.refusal import Refused
from dragoman.voice.usage import transcription_usage

DRAFT_MS = 800.0  # of speech between two drafts of its words, which make the next one faster
GAP = 1.0  # seconds without any sound from the client, in a turn, after which it counts as silence
LULL = 0.1  # and in which steps it does then
DRAFT = 0  # as the number of a pause: there is none, it is only a draft


class Hearing(Struct, kw_only=True):
    """One turn of the user. Times are ms of sound. `fed`: how far the transcriber has heard it; `pause`: which of the
    turn policy's questions its words are awaited for."""

    item_id: str
    utterance: int
    begin: float
    fed: float
    ended: float = 0.0  # where speech ended, so far as known
    length: float = 0.0  # when it is over
    drafted: float = 0.0  # how far its words were asked for while it was spoken
    draft: str = ""
    understood: int | None = None  # the pause up to which `draft` goes
    prepared: str = ""  # the words that an answer was begun for
    judge: float | None = None  # seconds the last judgement took
    answer: bool = False  # it is to be answered as soon as its words are known
    turn: Turn | None = None


class Listening:
    """One session's. `emit` takes the orders."""

    def __init__(
        self, config: session.Session, conversation: Conversation, answers: Answers, activity: VoiceActivity, *,
        emit: Callable[[orders.Order], None], new_id: Callable[[str], str], may_speculate: Callable[[], bool],
        drafts: bool, judged: bool = True, interruption: Interruption | None = None,
    ) -> None:  # fmt: skip
        self.ear = Ear(
            activity, config.config.audio.input.format, config.detection, judged=judged, interruption=interruption
        )
        self._session = config
        self._conversation = conversation
        self._answers = answers
        self._emit = emit
        self._new_id = new_id
        self._may_speculate = may_speculate
        self._drafts = drafts  # the transcriber may be asked before the turn is over
        self._now = 0.0
        self._sounded = 0.0  # when sound last came
        self._quiet = False  # it has stopped coming
        self._count = 0
        self._hearing: Hearing | None = None  # the turn that is open
        self._overheard: Hearing | None = None  # speech over the assistant's: a turn or nothing
        self._finishing: dict[int, Hearing] = {}  # over, and their final words are awaited
        self._pause_now: int | None = None  # the pause that lasts
        self._unjudged: int | None = None  # one that is to be judged as soon as its words are there
        self._asked_judge: dict[int, float] = {}  # when, by pause
        self._owed = False  # a turn was over while an answer was open that it does not interrupt

    @property
    def busy(self) -> bool:
        """There is sound that has not been looked at."""
        return not self.ear.heard

    def configure(self) -> None:
        """The session's configuration has changed. A turn that the client was told of stays open, even where from now
        on the client has to commit it."""
        detects = self._session.detection
        self.ear.configure(self._session.config.audio.input.format, detects)
        if self._overheard is not None and self.ear.turns.state is turns.State.QUIET:
            self._drop(self._overheard)
            self._overheard = None
            self._answers.unhush(self._now)

    def append(self, audio: str, now: float) -> None:
        """Raises `Refused`."""
        self._now = self._sounded = now
        self._quiet = False
        self.ear.append(audio)

    def go_on(self, now: float) -> None:
        """Time has passed. Somebody whose sound has stopped coming in the middle of a turn has fallen silent: clients
        leave silence out, or stop sending."""
        due = self.wake()
        if due is not None and now >= due:
            self.ear.lull((now - self._sounded) * 1000)
            self._now = self._sounded = now
            self._quiet = True

    def wake(self) -> float | None:
        """When `go_on` is due; None: no time matters."""
        if not self._open_turn:
            return None
        return self._sounded + (LULL if self._quiet else GAP)

    @property
    def _open_turn(self) -> bool:
        return self.ear.detects and self.ear.turns.state is not turns.State.QUIET

    def listen(self, now: float) -> None:
        """Looks at one more frame."""
        self._now = now
        for effect in self.ear.listen():
            self._follow(effect)

    def listened(self) -> None:
        """All the sound there is has been looked at: the transcriber gets it too."""
        for hearing in (self._hearing, self._overheard):
            if hearing is not None:
                self._feed(hearing)
        hearing = self._hearing
        if hearing is None or not self._drafts or self.ear.turns.state is not turns.State.SPEAKING:
            return
        if hearing.fed - hearing.drafted >= DRAFT_MS:
            hearing.drafted = hearing.fed
            self._emit(orders.Understand(hearing.utterance, DRAFT))

    def clear(self) -> None:
        """The client throws away what it has not committed."""
        self._forget()
        self.ear.clear()
        self._emit(orders.Send(event("input_audio_buffer.cleared")))

    def commit(self, now: float) -> None:
        """The client says that its turn is over. Raises `Refused`."""
        self._now = now
        length = self.ear.length()
        if length < LEAST_MS:
            message = (
                f"Error committing input audio buffer: buffer too small. Expected at least {LEAST_MS:.0f}ms of audio, "
                f"but buffer only has {length:.2f}ms of audio."
            )
            raise Refused(message, "input_audio_buffer_commit_empty")
        hearing = self._hearing or self._begin(self.ear.now - length)
        self._drop(self._overheard)
        self._hearing = self._overheard = None
        self._answers.drop_prepared()
        self._over(hearing, self.ear.now)
        self.ear.clear()

    # what the turn policy says

    def _follow(self, effect: turns.Effect) -> None:
        match effect:
            case turns.Started():
                self._start(effect.at_ms)
            case turns.Hushed():
                self._overheard = self._begin(effect.at_ms)
                self._answers.hush()
            case turns.FalseAlarm():
                self._drop(self._overheard)
                self._overheard = None
                self._answers.unhush(self._now)
            case turns.Paused():
                self._pause(effect)
            case turns.Lasting():
                self._last(effect.pause)
            case turns.Resumed():
                self._pause_now = None
                self._answers.drop_prepared()
            case turns.Stopped():
                self._stop(effect)
            case turns.Idled():
                self._idle(effect)

    def _start(self, at: float) -> None:
        hearing = self._hearing or self._overheard or self._begin(at)
        if self._hearing is None:
            self._emit(orders.Send(event("input_audio_buffer.speech_started", audio_start_ms=int(at),
                                         item_id=hearing.item_id)))  # fmt: skip
        elif self._overheard is not None:
            self._drop(self._overheard)
        self._overheard, self._hearing = None, hearing
        if self._detection_says("interrupt_response"):
            self._answers.interrupt(self._now)
            self._owed = False
        else:
            self._answers.unhush(self._now)
        if self._session.talks:
            self._answers.warm()

    def _pause(self, paused: turns.Paused) -> None:
        hearing = self._hearing or self._overheard
        if hearing is None:
            return
        self._pause_now = paused.pause
        hearing.ended = paused.ended_ms
        self._feed(hearing)
        if self._drafts or hearing is self._overheard:
            hearing.drafted = hearing.fed
            hearing.understood = None
            self._emit(orders.Understand(hearing.utterance, paused.pause))
        else:
            hearing.understood = paused.pause

    def _last(self, pause: int) -> None:
        """The judge is asked when the words up to the pause are known: the last of them tell most."""
        hearing = self._hearing or self._overheard
        if hearing is None:
            return
        if hearing.understood == pause:
            self._judge(hearing, pause)
        else:
            self._unjudged = pause

    def _judge(self, hearing: Hearing, pause: int) -> None:
        self._unjudged = None
        self._asked_judge = {pause: self._now}
        self._emit(orders.Judge(pause, self.ear.since(hearing.begin, self.ear.seen), hearing.draft))

    def _stop(self, stopped: turns.Stopped) -> None:
        hearing, self._hearing = self._hearing, None
        if hearing is None:
            return
        hearing.ended = stopped.ended_ms
        self._emit(orders.Send(event("input_audio_buffer.speech_stopped", audio_end_ms=int(stopped.at_ms),
                                     item_id=hearing.item_id)))  # fmt: skip
        hearing.answer = self._session.talks and self._detection_says("create_response")
        self._over(hearing, stopped.at_ms)
        self.ear.cut()

    def _idle(self, idled: turns.Idled) -> None:
        """Nobody has said anything for long: the assistant is asked to go on."""
        if self._hearing is not None:  # a turn that was open when turn detection changed: it is the client's to commit
            return
        item_id = self._new_id("item")
        told = {"audio_start_ms": int(idled.since_ms), "audio_end_ms": int(idled.at_ms), "item_id": item_id}
        self._emit(orders.Send(event("input_audio_buffer.timeout_triggered", **told)))
        self._add(items.user_audio(item_id, ""), pending=False)
        if self._answers.active is None and self._session.talks:
            self._answers.create(self._answers.plan(self._session.realtime), self._now)

    # a turn

    def _begin(self, at: float) -> Hearing:
        self._count += 1
        said = self._session.config.audio.input.transcription
        self._emit(orders.Listen(self._count, said.language if said else None, said.prompt if said else None))
        return Hearing(item_id=self._new_id("item"), utterance=self._count, begin=at, fed=at, drafted=at)

    def _feed(self, hearing: Hearing) -> None:
        seen = self.ear.seen
        if seen > hearing.fed:
            self._emit(orders.Feed(hearing.utterance, self.ear.since(hearing.fed, seen)))
            hearing.fed = seen

    def _over(self, hearing: Hearing, at: float) -> None:
        """The turn is an item now; its words come when they come."""
        self._feed(hearing)
        hearing.length = at - hearing.begin
        turn = self._turn(hearing)
        turn.over, turn.judge = self._now, hearing.judge
        self._add(items.user_audio(hearing.item_id, None), pending=True)
        self._finishing[hearing.utterance] = hearing
        self._emit(orders.Finish(hearing.utterance))

    def _turn(self, hearing: Hearing) -> Turn:
        """The turn's record. Its speech ended as long ago as the sound since then is."""
        if hearing.turn is None:
            hearing.turn = self._answers.new_turn(self._now)
        hearing.turn.spoken = True
        ended = hearing.ended or self.ear.seen
        hearing.turn.began = self._now - max(0.0, self.ear.seen - ended) / 1000
        return hearing.turn

    def _add(self, item: JSON, *, pending: bool) -> None:
        previous = self._conversation.last()
        self._emit(orders.Send(event("input_audio_buffer.committed", previous_item_id=previous, item_id=item["id"])))
        self._conversation.add(Entry(item=item, pending=pending))
        for kind in ("conversation.item.added", "conversation.item.done"):
            self._emit(orders.Send(event(kind, previous_item_id=previous, item=item)))

    def _drop(self, hearing: Hearing | None) -> None:
        if hearing is not None:
            self._emit(orders.Drop(hearing.utterance))

    def close(self) -> None:
        """Nobody listens any more."""
        for hearing in (self._hearing, self._overheard, *self._finishing.values()):
            self._drop(hearing)
        self._hearing = self._overheard = None
        self._finishing.clear()

    def _forget(self) -> None:
        """The open turn is no turn."""
        self._drop(self._hearing)
        self._drop(self._overheard)
        self._hearing = self._overheard = None
        self._answers.drop_prepared()
        self._answers.unhush(self._now)

    # what the engines say

    def understood(self, utterance: int, pause: int, words: Words | None, now: float) -> None:
        """The words at a pause; None where the engine failed, which the final words will tell."""
        self._now = now
        hearing = self._open(utterance)
        if hearing is None:
            return
        text = words.text if words is not None else ""
        hearing.draft = text
        if pause != self._pause_now:
            return  # a mere draft, or of a pause that is over
        hearing.understood = pause
        if self._unjudged == pause:
            self._judge(hearing, pause)
        for effect in self.ear.turns.understood(pause, text):
            self._follow(effect)
        if self.ear.turns.state is turns.State.PAUSED and self._hearing is hearing:
            self._prepare(hearing, text)

    def judged(self, pause: int, complete: float, now: float) -> None:
        """The judge's answer."""
        self._now = now
        asked = self._asked_judge.pop(pause, None)
        if self._hearing is not None and asked is not None:
            self._hearing.judge = now - asked
        for effect in self.ear.turns.judged(pause, complete):
            self._follow(effect)

    def finished(self, utterance: int, words: Words | None, message: str, now: float) -> None:
        """The final words of a turn; None where the engine failed: `message` says why."""
        self._now = now
        hearing = self._finishing.pop(utterance, None)
        if hearing is None:
            return
        text = words.text.strip() if words is not None else ""
        if self._conversation.has(hearing.item_id):  # the client may have deleted it meanwhile
            self._tell_words(
                hearing, text if words is not None else None, message, words.tokens if words is not None else None
            )
            entry = self._conversation.find(hearing.item_id)
            entry.pending = False
            entry.item = items.user_audio(hearing.item_id, text)
        turn = self._turn_of(hearing)
        turn.words = now
        if hearing.answer:
            self._answer(hearing, turn, text, None if words is not None else message)
        self._answers.ask_waiting(now)

    def _turn_of(self, hearing: Hearing) -> Turn:
        return hearing.turn or self._turn(hearing)

    def _answer(self, hearing: Hearing, turn: Turn, text: str, failed: str | None) -> None:
        answers = self._answers
        prepared = answers.prepared
        if prepared is not None and prepared.turn is turn and text and _same(hearing.prepared, text):
            answers.release(self._now)
            return
        answers.drop_prepared()
        if not text and failed is None:
            return  # a noise: nobody said anything
        if answers.active is not None:
            self._owed = True
            return
        if prepared is not None and prepared.turn is turn:
            turn = _again(turn)
        plan = answers.plan(self._session.realtime)
        run = answers.create(plan, self._now, turn)
        run.response.input_audio_ms = hearing.length
        if failed is not None:
            answers.fail(run, Failure(kind="upstream_error", message=failed), self._now)

    def answer_owed(self, now: float) -> None:
        """The answer that was open is over: a turn that it had to end for is answered now."""
        if self._owed and self._answers.active is None and self._session.talks:
            self._owed = False
            self._answers.create(self._answers.plan(self._session.realtime), now)

    def _prepare(self, hearing: Hearing, text: str) -> None:
        answers = self._answers
        if not (self._session.talks and self._detection_says("create_response")):
            return
        if not text.strip() or answers.active is not None or self._finishing or not self._may_speculate():
            return
        if answers.prepared is not None:
            return
        turn, hearing.prepared = self._turn(hearing), text
        context = [entry.item for entry in self._conversation.entries()]
        context.append(items.user_audio(hearing.item_id, text.strip()))
        length = self.ear.seen - hearing.begin
        answers.prepare(answers.plan(self._session.realtime), turn, context, length, self._now)

    def _tell_words(
        self, hearing: Hearing, text: str | None, message: str, tokens: Sequence[Token] | None = None
    ) -> None:
        if self._session.config.audio.input.transcription is None:
            return
        about: JSON = {"item_id": hearing.item_id, "content_index": 0}
        kind = "conversation.item.input_audio_transcription"
        if text is None:
            error = {"type": "server_error", "code": "transcription_failed", "message": message, "param": None}
            self._emit(orders.Send(event(f"{kind}.failed", **about, error=error)))
            return
        if tokens is not None and session.LOGPROBS in (self._session.config.include or ()):
            about["logprobs"] = [_told(token) for token in tokens]
        if text:
            self._emit(orders.Send(event(f"{kind}.delta", **about, delta=text)))
        usage = transcription_usage(hearing.length)
        self._emit(orders.Send(event(f"{kind}.completed", **about, transcript=text, usage=usage)))

    def _open(self, utterance: int) -> Hearing | None:
        for hearing in (self._hearing, self._overheard):
            if hearing is not None and hearing.utterance == utterance:
                return hearing
        return None

    def _detection_says(self, name: str) -> bool:
        detects = self._session.config.audio.input.turn_detection
        return bool(detects is not None and getattr(detects, name))


def _told(token: Token) -> JSON:
    return {
        "token": token.said.decode("utf-8", "replace"), "bytes": list(token.said), "logprob": round(token.logprob, 6)
    }  # fmt: skip


def _same(one: str, other: str) -> bool:
    """Whether they are the same words."""
    return _words(one) == _words(other)


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def _again(turn: Turn) -> Turn:
    """The same turn, of which an answer was prepared that is not wanted."""
    return Turn(number=turn.number, began=turn.began, spoken=True, over=turn.over, judge=turn.judge, words=turn.words)
