"""One answer: from the model's stream of events to the events that the client gets, spoken or written.

How it works. What the model says is read part by part; each part is an output item, one after another in the client's
view however they interleave at the model (`Sequence`). A text is cut into clauses (`clauses.py`); each is said by the
speaker, and goes out as a piece of transcript followed by its sound. While a clause is being said the model's further
parts wait. A response goes through these states, and every step of it is in `_NEXT`:

    made     what it is to be is known; the client may not know of it yet
    asked    the model has been asked
    ending   the model has said everything; the last sound is on its way
    done     `response.done` is out
"""

import base64
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec

from dragoman.canon import (
    Broken,
    End,
    Event,
    Failure,
    Finish,
    FinishReason,
    PartDelta,
    PartEnd,
    PartStart,
    Refusal,
    Sequence,
    Text,
    ToolCall,
    Usage,
    Used,
)
from dragoman.dialects.estimate import estimate_text
from dragoman.voice import endings, items
from dragoman.voice.clauses import Clauses
from dragoman.voice.conversation import words
from dragoman.voice.engine import SPOKEN, Sound
from dragoman.voice.events import JSON, event
from dragoman.voice.pcm import Outward
from dragoman.voice.playback import Alignment
from dragoman.voice.speakable import Speakable
from dragoman.voice.steps import Closed, Do, Hush, Opened, Params, Say, Tell
from dragoman.voice.usage import response_usage

State: TypeAlias = Literal["made", "asked", "ending", "done"]
CancelReason: TypeAlias = Literal["turn_detected", "client_cancelled"]
_NEXT: dict[tuple[State, str], State] = {
    ("made", "ask"): "asked",
    ("made", "close"): "done",
    ("asked", "end"): "ending",
    ("asked", "close"): "done",
    ("ending", "close"): "done",
}


class _Speech:
    """The spoken message that is open: its clauses, and what of it is out."""

    def __init__(self) -> None:
        self.clauses = Clauses()
        self.speakable = Speakable()
        self.waiting: deque[str] = deque()
        self.alignment = Alignment()
        self.saying: tuple[int, int, int] | None = None  # of the clause: first character, characters, spoken ones
        self.ended = False  # the model has ended it
        self.told = False  # the clause that is being said is out as text


class Response:
    """One response. Every method returns what is to be done, in order.

    `outward` makes of sound at `SPOKEN` what goes over the wire. `room` says whether more may be said now: a client is
    sent no more than it can use soon. `on_item` is told of every item as it is opened and as it is completed.
    """

    def __init__(
        self, response_id: str, params: Params, *, new_id: Callable[[str], str], outward: Outward,
        room: Callable[[], bool],
    ) -> None:  # fmt: skip
        self.id = response_id
        self.params = params
        self.state: State = "made"
        self.status = "in_progress"
        self.output: list[JSON] = []
        self.alignments: dict[str, Alignment] = {}  # of its spoken items
        self.usage: Usage | None = None
        self.input_audio_ms = 0.0  # how much of the speech it answers has not been counted yet
        self.first_clause = False  # a clause has been handed to the speaker
        self._new_id = new_id
        self._outward = outward
        self._room = room
        self._do: list[Do] = []
        self._sequence = Sequence()
        self._events: deque[Event] = deque()
        self._speech: _Speech | None = None
        self._begins = False  # a text has begun that has no word yet
        self._finish: FinishReason = "stop"

    @property
    def open(self) -> bool:
        return self.state != "done"

    @property
    def waits(self) -> bool:
        """There is more to be said, and nothing is being said: `go_on` when there is room."""
        speech = self._speech
        return speech is not None and speech.saying is None and bool(speech.waiting)

    def begin(self) -> list[Do]:
        """The client is told that it exists: as it begins, however far it has come meanwhile."""
        opening: JSON = {"status": "in_progress", "status_details": None, "output": [], "usage": None}
        self._tell("response.created", response={**self.shown(), **opening})
        self._tell("rate_limits.updated", rate_limits=[])
        return self._done()

    def asked(self) -> None:
        self._step("ask")

    def take(self, said: Event) -> list[Do]:
        """The model's next event."""
        if self.state == "asked":
            self._events.extend(self._sequence.add(said))
            self._pump()
        return self._done()

    def sound(self, sound: Sound) -> list[Do]:
        """The next piece of the clause that is being said."""
        speech = self._speech
        if speech is None or speech.saying is None or not self.open:
            return []
        self._tell_clause(speech)
        ms = len(sound.pcm) / (2 * SPOKEN) * 1000
        begin, length, spoken = speech.saying
        share = min(1.0, sound.spoken / spoken) if spoken else 1.0
        speech.alignment.mark(ms, begin + round(share * length))
        if sound.pcm:
            delta = base64.b64encode(self._outward.feed(sound.pcm)).decode()
            self._do.append(Tell(event("response.output_audio.delta", **self._at(), delta=delta), ms))
        return self._done()

    def said(self) -> list[Do]:
        """The clause that was being said is over."""
        speech = self._speech
        if speech is not None and speech.saying is not None and self.open:
            self._tell_clause(speech)
            speech.saying = None
            self._pump()
        return self._done()

    def go_on(self) -> list[Do]:
        """There may be room to say more."""
        if self.open:
            self._pump()
        return self._done()

    def cancel(self, reason: CancelReason) -> list[Do]:
        """It is not wanted any more; what is out stays."""
        self._close("cancelled", {"type": "cancelled", "reason": reason})
        return self._done()

    def fail(self, failure: Failure) -> list[Do]:
        """The model or an engine failed."""
        self._fail(failure)
        return self._done()

    def _fail(self, failure: Failure) -> None:
        self._close("failed", endings.failed(failure))

    def shown(self, details: JSON | None = None) -> JSON:
        params = self.params
        usage = None
        if not self.open:
            spoken = sum(each.ms for each in self.alignments.values())
            usage = response_usage(self.usage or self._estimated(), self.input_audio_ms, spoken)
        return {
            "object": "realtime.response", "id": self.id, "status": self.status, "status_details": details,
            "output": [_copy(item) for item in self.output], "conversation_id": params.conversation,
            "output_modalities": [params.modality], "max_output_tokens": params.max_tokens,
            "audio": {"output": {"format": msgspec.to_builtins(params.format), "voice": params.voice}},
            "usage": usage, "metadata": params.metadata,
        }  # fmt: skip

    def _estimated(self) -> Usage:
        """What an answer took that was cut off before the model told."""
        said = "".join(words(item) for item in self.output)
        return Usage(output=estimate_text(said) if said else 0, estimated=True)

    # the model's events

    def _pump(self) -> None:
        """Goes on with what has come, as far as what is being said allows."""
        while self.open:
            if self._speech is not None and self._speaks(self._speech):
                return
            if not self._events:
                return
            self._event(self._events.popleft())

    def _event(self, said: Event) -> None:
        match said:
            case PartStart(part=ToolCall() as call):
                self._open_call(call)
            case PartStart(part=Text() | Refusal() as part):
                self._begins = True
                self._text(part.text)
            case PartDelta():
                self._delta(said.text)
            case PartEnd():
                self._end_part()
            case Finish():
                self._finish = said.reason
            case Used():
                self.usage = said.usage
            case Broken():
                self._fail(said.failure)
            case End():
                self._step("end")
                self._complete()

    def _complete(self) -> None:
        details = endings.incomplete(self._finish)
        self._close("completed" if details is None else "incomplete", details)

    def _delta(self, text: str) -> None:
        item = self._item()
        if item is None and not self._begins:
            return  # of a part that is not shown: thinking
        if item is not None and item["type"] == "function_call":
            item["arguments"] += text
            self._tell("response.function_call_arguments.delta", **self._place(), call_id=item["call_id"], delta=text)
        else:
            self._text(text)

    def _text(self, text: str) -> None:
        if self._begins:
            text = text.lstrip()
        if not text:
            return
        if self._begins:  # a message begins with its first word: one without any is none
            self._begins = False
            self._open_message()
        if self._speech is not None:
            self._speech.waiting.extend(self._speech.clauses.add(text))
        else:
            self.output[-1]["content"][0]["text"] += text
            self._tell("response.output_text.delta", **self._at(), delta=text)

    def _end_part(self) -> None:
        self._begins = False
        if self._item() is None:
            return
        if self._speech is not None:
            self._speech.waiting.extend(self._speech.clauses.rest())
            self._speech.ended = True
        else:
            self._close_item("completed")

    # speech

    def _speaks(self, speech: _Speech) -> bool:
        """Has the next clause said. Whether what comes after must wait for it."""
        while speech.saying is None and speech.waiting:
            if not self._room():
                return speech.ended
            text = speech.waiting.popleft()
            spoken = speech.speakable.say(text)
            speech.saying, speech.told = (len(speech.alignment.text), len(text), len(spoken)), False
            speech.alignment.text += text
            if spoken:
                self.first_clause = True
                self._do.append(Say(spoken, self.params.voice, self.params.speed))
            else:  # nothing in it to be said
                self._tell_clause(speech)
                speech.alignment.mark(0.0, len(speech.alignment.text))
                speech.saying = None
        if not speech.ended:
            return False
        if speech.saying is not None or speech.waiting:
            return True
        self._close_item("completed")
        return False

    def _tell_clause(self, speech: _Speech) -> None:
        """The clause's text goes out right ahead of its sound."""
        if speech.told or speech.saying is None:
            return
        speech.told = True
        begin, length, _ = speech.saying
        text = speech.alignment.text[begin : begin + length]
        self.output[-1]["content"][0]["transcript"] += text
        self._tell("response.output_audio_transcript.delta", **self._at(), delta=text)

    # items

    def _item(self) -> JSON | None:
        """The item that is open."""
        item = self.output[-1] if self.output else None
        return item if item is not None and item["status"] == "in_progress" else None

    def _open_message(self) -> None:
        spoken = self.params.modality == "audio"
        item = items.assistant(self._new_id("item"))
        self._open_item(item)
        if spoken:
            self._speech = _Speech()
            self.alignments[item["id"]] = self._speech.alignment
            item["content"] = [{"type": "output_audio", "transcript": ""}]
            part = {"type": "audio", "transcript": ""}
        else:
            item["content"] = [{"type": "output_text", "text": ""}]
            part = {"type": "text", "text": ""}
        self._tell("response.content_part.added", **self._at(), part=part)

    def _open_call(self, call: ToolCall) -> None:
        item_id = self._new_id("item")
        self._open_item(items.function_call(item_id, call.id or self._new_id("call"), call.name))
        if call.arguments:
            self._delta(call.arguments)

    def _open_item(self, item: JSON) -> None:
        self.output.append(item)
        self._tell("response.output_item.added", response_id=self.id, output_index=len(self.output) - 1,
                   item=_copy(item))  # fmt: skip
        if self.params.conversation is not None:
            self._do.append(Opened(_copy(item)))

    def _close_item(self, status: str) -> None:
        item = self._item()
        if item is None:
            return
        if item["type"] == "function_call":
            item["arguments"] = item["arguments"] or ("{}" if status == "completed" else "")
            self._tell("response.function_call_arguments.done", **self._place(), call_id=item["call_id"],
                       name=item["name"], arguments=item["arguments"])  # fmt: skip
        else:
            self._close_content(item["content"][0])
        self._speech = None
        item["status"] = status
        if self.params.conversation is not None:
            self._do.append(Closed(_copy(item)))
        self._tell("response.output_item.done", response_id=self.id, output_index=len(self.output) - 1,
                   item=_copy(item))  # fmt: skip

    def _close_content(self, content: JSON) -> None:
        at = self._at()
        if content["type"] == "output_audio":
            transcript = content["transcript"]
            if rest := self._outward.finish():
                self._tell("response.output_audio.delta", **at, delta=base64.b64encode(rest).decode())
            self._tell("response.output_audio.done", **at)
            self._tell("response.output_audio_transcript.done", **at, transcript=transcript)
            self._tell("response.content_part.done", **at, part={"type": "audio", "transcript": transcript})
        else:
            self._tell("response.output_text.done", **at, text=content["text"])
            self._tell("response.content_part.done", **at, part={"type": "text", "text": content["text"]})

    # the end

    def _close(self, status: str, details: JSON | None) -> None:
        if not self.open:
            return
        if self._speech is not None:
            if self._speech.saying is not None:
                self._do.append(Hush())
            self._forget_unsaid(self._speech)
        self._close_item("incomplete" if status != "completed" else "completed")
        self._events.clear()
        self.status = status
        self._step("close")
        self._tell("response.done", response=self.shown(details))

    def _forget_unsaid(self, speech: _Speech) -> None:
        """Text whose sound never began is not in the transcript, so not in the alignment either."""
        speech.alignment.text = self.output[-1]["content"][0]["transcript"]
        speech.waiting.clear()

    def _step(self, signal: str) -> None:
        self.state = _NEXT[self.state, signal]

    def _tell(self, kind: str, **fields: Any) -> None:
        self._do.append(Tell(event(kind, **fields)))

    def _place(self) -> JSON:
        return {"response_id": self.id, "output_index": len(self.output) - 1, "item_id": self.output[-1]["id"]}

    def _at(self) -> JSON:
        return {**self._place(), "content_index": 0}

    def _done(self) -> list[Do]:
        done, self._do = self._do, []
        return done


def _copy(item: JSON) -> JSON:
    """The item as it is now: it grows."""
    return {**item, "content": [dict(part) for part in item["content"]]} if "content" in item else dict(item)
