"""Whole sessions without time: a dialogue, a client that does anything, and engines and a model that answer when and
how chance has it. All that the client is sent is held to the protocol and its order, and nothing may be left behind."""

import json
from collections import deque
from random import Random
from typing import Any

from dragoman.canon import Broken, End, Event, Failure
from dragoman.voice import orders
from dragoman.voice.dialogue import Dialogue
from dragoman.voice.engine import SPOKEN, Sound, Words
from dragoman.voice.session import Session
from fakes.realtime_order import Order
from fakes.realtime_schemas import assert_valid_server_event

from .stage import Loudness, append, breaks, calls, says, silence, speech

TEXTS = [
    "Yes.",
    "Well, that is **so**: one, two 😀 three four five six. And then?\n\n",
    "mm",
    "`x`",
    "https://a.example/b ok. ",
]
HEARD = ["hello", "What time is it?", "uh-huh", "", "stop", "hello there my friend"]
USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
GARBAGE: list[Any] = [
    None,
    7,
    "session.update",
    [],
    {},
    {"type": 3},
    {"type": "nonsense"},
    {"type": "session.update"},
    {"type": "session.update", "session": 3},
    {"type": "session.update", "session": {"audio": {"output": {"speed": 9}}}},
    {"type": "session.update", "session": {"tools": [{"type": "mcp", "server_label": "x"}]}},
    {"type": "session.update", "session": {"audio": {"output": {"voice": "verse"}}}},
    {"type": "session.update", "session": {"unheard": 1}},
    {"type": "session.update", "session": {"type": "transcription"}},
    {"type": "input_audio_buffer.append"},
    {"type": "input_audio_buffer.append", "audio": "AAA"},
    {"type": "input_audio_buffer.append", "audio": "A?=="},
    {"type": "input_audio_buffer.append", "audio": ""},
    {"type": "conversation.item.create", "item": {"type": "message", "role": "assistant", "content": [{"type": "x"}]}},
    {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [{"type": "text"}]}},
    {"type": "conversation.item.create", "item": {"type": "function_call", "name": "f", "arguments": "{}"}},
    {"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "call_1", "output": "1"}},
    {"type": "conversation.item.create", "item": USER, "previous_item_id": "nobody"},
    {"type": "conversation.item.create", "item": {**USER, "id": "mine"}},
    {"type": "conversation.item.truncate", "item_id": "mine", "content_index": 0, "audio_end_ms": 5},
    {"type": "conversation.item.delete", "item_id": "nobody"},
    {"type": "conversation.item.retrieve", "item_id": "mine", "event_id": "e1"},
    {"type": "response.create", "response": {"conversation": "elsewhere"}},
    {"type": "response.create", "response": {"input": [{"type": "item_reference", "id": "nobody"}]}},
    {"type": "response.create", "response": {"max_output_tokens": -1}},
    {"type": "response.cancel", "response_id": "nobody"},
    {"type": "output_audio_buffer.clear"},
]  # fmt: skip
DETECTION: list[Any] = [
    None,
    {"type": "server_vad"},
    {"type": "server_vad", "silence_duration_ms": 300, "idle_timeout_ms": 1500},
    {"type": "server_vad", "interrupt_response": False},
    {"type": "server_vad", "create_response": False},
    {"type": "semantic_vad"},
    {"type": "semantic_vad", "eagerness": "high"},
]


class Simulation:
    """One session. `step` does one thing that could happen now."""

    def __init__(self, random: Random, *, kind: str = "realtime") -> None:
        self.random = random
        self.now = 1000.0
        self.events: list[dict[str, Any]] = []
        self.order = Order()
        self._ids = 0
        session = Session("sess_1", "m", 0, kind)
        self.dialogue = Dialogue(
            session, Loudness(), new_id=self._new_id, now=self.now,
            may_speculate=lambda: random.random() < 0.7, drafts=random.random() < 0.8,
        )  # fmt: skip
        self.words: deque[tuple[str, int, int]] = deque()  # what the transcriber owes
        self.verdicts: deque[int] = deque()
        self.asked: dict[str, deque[Event]] = {}
        self.saying: dict[str, deque[Sound]] = {}
        self.utterances: set[int] = set()
        self.unsure: set[str] = set()
        self.closed = False
        self.dialogue.begin()
        self.follow()

    def _new_id(self, kind: str) -> str:
        self._ids += 1
        return f"{kind}_{self._ids}"

    # what is ordered

    def follow(self) -> None:
        for order in self.dialogue.take():
            match order:
                case orders.Send():
                    self._sent(order.event)
                case orders.Listen():
                    self.utterances.add(order.utterance)
                case orders.Feed():
                    assert order.utterance in self.utterances and order.pcm
                case orders.Understand():
                    assert order.utterance in self.utterances
                    self.words.append(("draft", order.utterance, order.pause))
                case orders.Finish():
                    self.utterances.remove(order.utterance)
                    self.words.append(("final", order.utterance, 0))
                case orders.Drop():
                    self.utterances.discard(order.utterance)
                case orders.Judge():
                    self.verdicts.append(order.pause)
                case orders.Ask():
                    json.dumps(str(order.request))
                    assert order.run not in self.asked
                    self.asked[order.run] = deque(self._answer())
                    if order.speculative:
                        self.unsure.add(order.run)
                case orders.Warm():
                    json.dumps(str(order.request))
                case orders.Take():
                    self.unsure.remove(order.run)
                case orders.Cancel():
                    self.asked.pop(order.run, None)
                    self.unsure.discard(order.run)
                case orders.Forget():
                    self.asked.pop(order.run, None)
                    self.saying.pop(order.run, None)
                case orders.Speak():
                    assert order.run not in self.saying and order.text.strip()
                    self.saying[order.run] = deque(self._sounds(order.text))
                case orders.Hush():
                    self.saying.pop(order.run, None)
                case orders.Report():
                    assert order.turn.status in {"completed", "cancelled", "failed", "incomplete"}
                    assert all(ms is None or ms >= 0 for ms in order.turn.stages_ms().values())
                case orders.Close():
                    self.closed = True

    def _sent(self, event: dict[str, Any]) -> None:
        event = json.loads(json.dumps({"event_id": self._new_id("event"), **event}))
        assert_valid_server_event(event)
        self.order.see(event)
        self.events.append(event)

    def _answer(self) -> list[Event]:
        random = self.random
        pieces = [random.choice(TEXTS) for _ in range(random.randint(0, 3))]
        match random.randrange(6):
            case 0:
                return calls("f", '{"a"', ": 1}", call_id=f"call_{random.randrange(9)}")
            case 1:
                whole = says(*pieces, "word " * 3)
                return [
                    *whole[: random.randrange(len(whole))],
                    *breaks(random.choice(["rate_limited", "upstream_error"])),
                ]
            case 2:
                return says(*pieces, finish=random.choice(["length", "content_filter", "refusal"]))
            case _:
                return says(*(pieces or ["All is well. Really."]))

    def _sounds(self, text: str) -> list[Sound]:
        step = max(1, len(text) // self.random.randint(1, 4))
        return [Sound(bytes(SPOKEN // 20), min(len(text), end)) for end in range(step, len(text) + step, step)]

    # what may happen

    def step(self) -> None:
        random = self.random
        self.now += random.choice([0.0, 0.0, 0.01, 0.05, 0.2, 1.0])
        choices = [self._client] * 3 + [self._hear] * 4 + [self._tick]
        choices += [self._word] * 3 if self.words else []
        choices += [self._verdict] * 2 if self.verdicts else []
        choices += [self._model] * 4 if self.asked else []
        choices += [self._sound] * 4 if self.saying else []
        random.choice(choices)()
        self.follow()

    def _client(self) -> None:
        self.dialogue.client(self._said(), self.now)

    def _said(self) -> Any:
        random = self.random
        items = [entry.id for entry in self.dialogue.conversation.entries()] or ["nobody"]
        item = random.choice(items)
        match random.randrange(14):
            case 0 | 1:
                return random.choice(GARBAGE)
            case 2:
                return {"type": "conversation.item.create", "item": USER,
                        "previous_item_id": random.choice([None, "root", item])}  # fmt: skip
            case 3 | 4:
                return {"type": "response.create"}
            case 5:
                return {"type": "response.create", "response": {
                    "conversation": random.choice(["none", "auto"]), "metadata": {"k": "v"},
                    "output_modalities": [random.choice(["text", "audio"])],
                    "input": random.choice([[], [USER], [{"type": "item_reference", "id": item}]]),
                }}  # fmt: skip
            case 6:
                return {"type": "response.cancel"}
            case 7:
                return {"type": "conversation.item.truncate", "item_id": item, "content_index": 0,
                        "audio_end_ms": random.choice([-5, 0, 40, 120.5, 10**9])}  # fmt: skip
            case 8:
                kind = random.choice(["delete", "retrieve"])
                return {"type": f"conversation.item.{kind}", "item_id": item}
            case 9:
                return {"type": "input_audio_buffer.commit"}
            case 10:
                return {"type": "input_audio_buffer.clear"}
            case 11:
                changes = {"turn_detection": random.choice(DETECTION)}
                return {"type": "session.update", "session": {"type": "realtime", "audio": {"input": changes}}}
            case 12:
                changes = random.choice([
                    {"input": {"transcription": {"model": "whisper-1", "language": "en"}}},
                    {"input": {"format": {"type": "audio/pcmu"}}},
                    {"input": {"format": {"type": "audio/pcm", "rate": 24000}}},
                    {"output": {"format": {"type": "audio/pcma"}}},
                ])  # fmt: skip
                return {"type": "session.update", "session": {"audio": changes, "output_modalities": ["audio"]}}
            case _:
                return {"type": "output_audio_buffer.clear"}

    def _hear(self) -> None:
        kind = self.random.choice([speech, silence, silence])
        self.dialogue.client(append(kind(self.random.choice([20, 100, 300, 700]))), self.now)
        self._listen()

    def _listen(self) -> None:
        self.follow()
        while self.dialogue.busy:
            self.dialogue.listen(self.now)
            self.follow()

    def hear(self, ms: int, *, loud: bool = True) -> None:
        """Speech of that length, or silence, in pieces of 20 ms."""
        for _ in range(ms // 20):
            self.now += 0.02
            self.dialogue.client(append((speech if loud else silence)(20)), self.now)
            self._listen()

    def progress(self) -> None:
        """The next thing that engines or model do, if any is under way."""
        for under_way, act in ((self.words, self._word), (self.saying, self._sound), (self.asked, self._model)):
            if under_way:
                self.now += 0.01
                act()
                self.follow()
                return

    def _word(self) -> None:
        self.words.rotate(self.random.randrange(len(self.words)))
        kind, utterance, pause = self.words.popleft()
        words = None if self.random.random() < 0.1 else Words(self.random.choice(HEARD))
        if kind == "draft":
            self.dialogue.understood(utterance, pause, words, self.now)
        else:
            self.dialogue.finished(utterance, words, "the engine is ill", self.now)

    def _verdict(self) -> None:
        self.dialogue.judged(self.verdicts.popleft(), self.random.random(), self.now)

    def _model(self) -> None:
        run = self.random.choice(list(self.asked))
        said = self.asked[run].popleft()
        if isinstance(said, End | Broken):
            del self.asked[run]
        self.dialogue.answered(run, "fake/m", "dec_1", 0.01)
        self.dialogue.model(run, said, self.now)

    def _sound(self) -> None:
        run = self.random.choice(list(self.saying))
        if self.saying[run] and self.random.random() > 0.03:
            self.dialogue.sound(run, self.saying[run].popleft(), self.now)
        else:
            failed = "the speaker is ill" if self.saying[run] else None
            del self.saying[run]
            self.dialogue.spoken(run, failed, self.now)

    def _tick(self) -> None:
        self.dialogue.tick(self.now)
        self._listen()
        assert self.dialogue.over or self.dialogue.wake(self.now) > self.now  # else it would never rest

    # the end

    def settle(self) -> None:
        """Everything that is under way comes to its end, and time enough passes for it to be heard."""
        for _ in range(3000):
            if self.words:
                self._word()
            elif self.verdicts:
                self._verdict()
            elif self.saying:
                self._sound()
            elif self.asked:
                self._model()
            elif self.dialogue.answers.active is not None and self.dialogue.wake(self.now) < self.now + 3600:
                self.now = self.dialogue.wake(self.now)
                self._tick()
            else:
                return
            self.follow()
        raise AssertionError("it does not come to rest")

    def end(self) -> None:
        """The session is over, and nothing of it is left."""
        self.dialogue.close()
        self.follow()
        assert not self.utterances and not self.unsure
        assert not self.asked and not self.saying
        assert Failure  # the type of what breaks
