"""A session's memory, without sockets and time: whatever is lost whenever, the next provider knows the session, and the
client has seen one."""

import itertools
import json
import os
from collections import deque
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual import WORDS, VirtualProvider, numbers

from dragoman.voice.relaying.heads import BETA, read
from dragoman.voice.relaying.items import at_word
from dragoman.voice.relaying.memory import MARK, Memory

Event = dict[str, Any]


class Run:
    """A client, a memory, and one provider after the other. `seen`: what the client has read."""

    def __init__(self, session: Event | None = None) -> None:
        self._ids = itertools.count()
        self.memory = Memory(session=session, new_id=numbers())
        self.provider = VirtualProvider(self._ids)
        self.under_way: deque[str] = deque(self.memory.replay())
        self.seen: list[Event] = []
        self.providers = 1

    def say(self, event: Event) -> None:
        text = json.dumps(event)
        self.memory.sent(text, read(text))
        self.under_way.append(text)

    def arrives(self) -> bool:
        """The next of the client's events is at the provider."""
        if not self.under_way:
            return False
        self.provider.take(self.under_way.popleft())
        return True

    def comes(self) -> bool:
        """The next of the provider's events is here."""
        if not self.provider.out:
            return False
        text = self.provider.out.popleft()
        shown = self.memory.came(text, read(text))
        if shown is not None:
            self.seen.append(json.loads(shown))
        return True

    def lose(self) -> None:
        """The provider is gone, with all that was under way."""
        self.seen += self.memory.lost()
        self.provider = VirtualProvider(self._ids)
        self.providers += 1
        self.under_way = deque(self.memory.replay())

    def rest(self) -> None:
        """Nothing more is lost."""
        while self.arrives() or self.comes() or self.provider.step():
            pass

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.seen]


def user(text: str, item_id: str) -> Event:
    content = [{"type": "input_text", "text": text}]
    return {"type": "conversation.item.create",
            "item": {"id": item_id, "type": "message", "role": "user", "content": content}}  # fmt: skip


TALK: list[Event] = [
    {"type": "session.update", "session": {"type": "realtime", "instructions": "first"}},
    user("a", "item_a"),
    user("b", "item_b"),
    {"type": "session.update", "session": {"type": "realtime", "instructions": "second"}},
    {"type": "conversation.item.delete", "item_id": "item_b"},
    {**user("c", "item_c"), "previous_item_id": "root"},
    {"type": "input_audio_buffer.append", "audio": "AAAA"},
    {"type": "input_audio_buffer.append", "audio": "BBBB"},
    {"type": "input_audio_buffer.commit"},
    {"type": "response.create", "event_id": "asked"},
]
SESSIONS = int(os.environ.get("DRAGOMAN_SESSIONS", "1000"))
PART = 100  # sessions of one test
STEPS = ("say", "arrives", "comes", "comes", "step") * 6 + ("lose",)


@pytest.mark.parametrize("part", range(0, SESSIONS, PART))
def test_whatever_is_lost_whenever_there_is_one_session_and_nothing_is_heard_twice(part: int) -> None:
    for seed in range(part, min(part + PART, SESSIONS)):
        random = Random(seed)
        _one_session([random.choice(STEPS) for _ in range(random.randint(100, 200))])


def _one_session(steps: list[str]) -> None:
    run, left = Run(), deque(TALK)
    for step in steps:
        if step == "say":
            if left:
                run.say(left.popleft())
        elif step == "step":
            run.provider.step()
        else:
            getattr(run, step)()
    while left:
        run.say(left.popleft())
    run.rest()
    heard = [event["delta"].strip("=") for event in run.seen if event["type"] == "response.output_audio.delta"]
    assert heard == [word.strip() for word in WORDS]
    kinds = run.kinds()
    assert kinds.count("session.created") == 1
    assert kinds.count("session.updated") == 2
    assert kinds.count("input_audio_buffer.committed") == 1
    assert kinds.count("conversation.item.deleted") == 1
    assert "error" not in kinds
    added = [event["item"]["id"] for event in run.seen if event["type"] == "conversation.item.added"]
    assert len(added) == len(set(added))
    assert {"item_a", "item_b", "item_c"} <= set(added)
    begun = [event["response"]["id"] for event in run.seen if event["type"] == "response.created"]
    ended = [event["response"]["id"] for event in run.seen if event["type"] == "response.done"]
    assert begun == ended
    assert run.provider.instructions[-1:] == ["second"]
    users = [item for item in run.provider.items if item["role"] == "user"]
    assert [item["id"] for item in users[:2]] == ["item_c", "item_a"]
    assert len(users) == 3  # and what was said by sound
    assert run.provider.said() == WORDS
    assert run.provider.created <= 1
    assert len({event["session"]["id"] for event in run.seen if "session" in event}) == 1
    if run.providers == 1:
        assert run.provider.created == 1


@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_a_secret_s_configuration_is_in_force_before_the_client_sees_its_session(before: int) -> None:
    run = Run({"type": "realtime", "instructions": "from the secret"})
    for _ in range(before):
        _ = run.arrives() or run.comes()
    if before:
        run.lose()
    run.rest()
    assert run.kinds() == ["session.created"]
    assert run.provider.instructions == ["from the secret"]


def test_a_secret_s_configuration_that_is_refused_does_not_keep_the_session_from_beginning() -> None:
    memory = Memory(session={"voice": "nobody"}, new_id=numbers())
    (update,) = memory.replay()
    created = '{"type":"session.created","session":{"id":"sess_1"}}'
    assert memory.came(created, read(created)) is None
    mark = json.loads(update)["event_id"]
    assert mark.startswith(MARK)
    refused = json.dumps({"type": "error", "error": {"event_id": mark, "message": "no"}})
    assert memory.came(refused, read(refused)) == created
    assert memory.replay() == []


def feed(memory: Memory, *events: Event) -> list[str | None]:
    texts = [json.dumps(event) for event in events]
    return [memory.came(text, read(text)) for text in texts]


def tell(memory: Memory, *events: Event) -> None:
    for event in events:
        memory.sent(json.dumps(event), read(json.dumps(event)))


def test_an_update_that_was_refused_is_not_told_to_the_next() -> None:
    memory = Memory(new_id=numbers())
    bad = {"type": "session.update", "session": {"type": "realtime", "speed": 9}}
    good = {"type": "session.update", "session": {"type": "realtime", "speed": 1}}
    tell(memory, bad, good)
    feed(memory, {"type": "error", "error": {"code": "invalid_value", "param": "session.speed", "event_id": None}},
         {"type": "session.updated", "session": {"id": "s"}})  # fmt: skip
    assert [json.loads(text)["session"] for text in memory.replay()] == [good["session"]]


def test_many_updates_are_told_as_few_that_mean_the_same() -> None:
    memory = Memory(new_id=numbers())
    for number in range(200):
        session = {"audio": {"output": {"speed": number}}, f"x{number}": 1}
        tell(memory, {"type": "session.update", "session": session})
        feed(memory, {"type": "session.updated", "session": {"id": "s"}})
    told = [json.loads(text)["session"] for text in memory.replay()]
    assert len(told) <= 64
    assert told[-1]["audio"] == {"output": {"speed": 199}}
    assert {name for session in told for name in session if name.startswith("x")} == {f"x{n}" for n in range(200)}


def response(kind: str, **fields: Any) -> Event:
    return {"type": kind, "response_id": "r", "output_index": 0, **fields}


CALL = {"id": "item_f", "type": "function_call", "name": "f", "call_id": "c", "arguments": ""}
BEGUN = [
    {"type": "response.created", "response": {"id": "r", "conversation_id": "conv"}},
    response("response.output_item.added", item=CALL),
    {"type": "conversation.item.added", "item": CALL},
    response("response.function_call_arguments.delta", item_id="item_f", delta='{"a":'),
]


def test_a_call_of_a_function_that_broke_off_is_forgotten_and_asked_for_again() -> None:
    memory = Memory(new_id=numbers())
    feed(memory, *BEGUN)
    *_, item, done = memory.lost()
    assert (item["type"], item["item"]["status"]) == ("response.output_item.done", "incomplete")
    assert item["item"]["arguments"] == '{"a":'
    assert done["response"]["status"] == "incomplete"
    assert [json.loads(text)["type"] for text in memory.replay()] == ["response.create"]


def test_a_call_of_a_function_that_was_whole_is_not_made_twice() -> None:
    memory = Memory(new_id=numbers())
    whole = {**CALL, "arguments": '{"a": 1}', "status": "completed"}
    feed(memory, *BEGUN, response("response.output_item.done", item=whole))
    (done,) = memory.lost()
    assert (done["type"], done["response"]["status"]) == ("response.done", "completed")
    (told,) = memory.replay()
    assert json.loads(told)["item"] == {k: v for k, v in whole.items() if k != "status"}


def test_several_answers_at_once_are_each_asked_for_again() -> None:
    memory = Memory(new_id=numbers())
    for name in ("x", "y"):
        tell(memory, {"type": "response.create", "response": {"conversation": "none", "metadata": {"of": name}}})
        feed(memory, {"type": "response.created", "response": {"id": f"r_{name}", "conversation_id": None}})
    assert [event["type"] for event in memory.lost()] == ["response.done", "response.done"]
    asked = [json.loads(text)["response"]["metadata"]["of"] for text in memory.replay()]
    assert asked == ["x", "y"]


def test_the_beta_s_names_are_understood_and_spoken() -> None:
    memory = Memory(BETA, new_id=numbers())
    item = {"id": "i", "type": "message", "role": "assistant", "content": []}
    feed(
        memory,
        {"type": "response.created", "response": {"id": "r", "conversation_id": "conv"}},
        response("response.output_item.added", item=item),
        {"type": "conversation.item.created", "item": item},
        response("response.content_part.added", item_id="i", part={"type": "audio"}),
        response("response.audio_transcript.delta", item_id="i", delta="hello"),
        response("response.audio.delta", item_id="i", delta="AAAA"),
    )
    assert [event["type"] for event in memory.lost()] == [
        "response.audio.done", "response.audio_transcript.done", "response.content_part.done",
        "response.output_item.done", "response.done",
    ]  # fmt: skip
    told, create = map(json.loads, memory.replay())
    assert told["item"]["content"] == [{"type": "text", "text": "hello"}]
    assert create["type"] == "response.create"
    seen = feed(memory, {"type": "session.created", "session": {"id": "s"}},
                {"type": "conversation.item.created", "item": {**item, "id": "i"}})  # fmt: skip
    assert seen[1] is None


def test_sound_is_kept_within_bounds() -> None:
    memory = Memory(new_id=numbers())
    piece = "A" * 64_000  # a second of 24 kHz
    for _ in range(600):
        tell(memory, {"type": "input_audio_buffer.append", "audio": piece})
    assert sum(map(len, memory.replay())) < 1024 * 1024
    for number in range(5):
        tell(memory, {"type": "input_audio_buffer.append", "audio": piece * 10})
        tell(memory, {"type": "input_audio_buffer.commit"})
        feed(memory, {"type": "input_audio_buffer.committed", "item_id": f"i{number}"})
    assert sum(map(len, memory.replay())) < 1024 * 1024


def test_silence_is_not_kept_where_the_provider_listens_for_speech() -> None:
    memory = Memory(new_id=numbers())
    listening = {"id": "s", "audio": {"input": {"turn_detection": {"type": "server_vad"}}}}
    feed(memory, {"type": "session.created", "session": listening})
    for _ in range(100):
        tell(memory, {"type": "input_audio_buffer.append", "audio": "A" * 6400})  # 100 ms
    assert len(memory.replay()) <= 11
    feed(memory, {"type": "input_audio_buffer.speech_started", "audio_start_ms": 9900, "item_id": "i"})
    for _ in range(50):
        tell(memory, {"type": "input_audio_buffer.append", "audio": "A" * 6400})
    assert len(memory.replay()) >= 50


BROKEN = [
    "", "no JSON", "[]", "{}", '{"type": 5}', '{"type": "session.update", "session": 5}', "[" * 100_000,
    '{"type":"response.done","response":[]}', '{"type":"conversation.item.added","item":{"id":7,"content":"x"}}',
]  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_no_event_passes_and_does_no_harm(broken: str) -> None:
    memory = Memory(new_id=numbers())
    memory.sent(broken, read(broken))
    assert memory.came(broken, read(broken)) == broken
    memory.lost()
    memory.replay()


@given(st.text(), st.integers(0, 100))
def test_a_cut_is_a_beginning_at_a_word(text: str, length: int) -> None:
    cut = at_word(text, length)
    assert text.startswith(cut)
    assert len(cut) <= length or cut == text
