"""A provider of realtime sessions without sockets or time: it takes a client's event, and makes its own, one by one."""

import itertools
import json
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

WORDS = ["one ", "two ", "three ", "four ", "five"]
_SESSION = {"type": "realtime", "audio": {"input": {"turn_detection": None}}, "output_modalities": ["audio"]}


class VirtualProvider:
    """One session at it. `take` an event; `step` makes progress; `out` is what it has said and nobody has read."""

    def __init__(self, ids: Iterator[int]) -> None:
        self._ids = ids
        self.out: deque[str] = deque()
        self.items: list[dict[str, Any]] = []
        self.instructions: list[str] = []
        self.created = 0  # responses that were asked for
        self.sound: list[str] = []
        self._answering: Iterator[None] | None = None
        self._session = {"id": self._id("sess"), **_SESSION}
        self._say("session.created", session=self._session)

    def _id(self, kind: str) -> str:
        return f"{kind}_{next(self._ids)}"

    def _say(self, kind: str, **fields: Any) -> None:
        self.out.append(json.dumps({"type": kind, "event_id": self._id("event"), **fields}))

    def _refuse(self, event: dict[str, Any], code: str) -> None:
        self._say("error", error={"type": "x", "code": code, "message": code, "event_id": event.get("event_id")})

    def take(self, message: str) -> None:
        event = json.loads(message)
        match event["type"]:
            case "session.update":
                if "instructions" in event["session"]:
                    self.instructions.append(event["session"]["instructions"])
                self._say("session.updated", session=self._session)
            case "conversation.item.create":
                self._add({"id": self._id("item"), **event["item"]}, event.get("previous_item_id"))
            case "conversation.item.delete":
                known = any(item["id"] == event["item_id"] for item in self.items)
                self.items = [item for item in self.items if item["id"] != event["item_id"]]
                if known:
                    self._say("conversation.item.deleted", item_id=event["item_id"])
                else:
                    self._refuse(event, "item_not_found")
            case "input_audio_buffer.append":
                self.sound.append(event["audio"])
            case "input_audio_buffer.commit":
                if not self.sound:
                    self._refuse(event, "input_audio_buffer_commit_empty")
                    return
                item = {"id": self._id("item"), "type": "message", "role": "user"}
                previous = self.items[-1]["id"] if self.items else None
                self._say("input_audio_buffer.committed", item_id=item["id"], previous_item_id=previous)
                self._add({**item, "content": [{"type": "input_audio", "audio": "".join(self.sound)}]}, None)
                self.sound = []
            case "response.create":
                if self._answering is not None:
                    self._refuse(event, "conversation_already_has_active_response")
                else:
                    self.created += 1
                    self._answering = self._answer()

    def _add(self, item: dict[str, Any], after: str | None) -> None:
        ids = [each["id"] for each in self.items]
        at = 0 if after == "root" else ids.index(after) + 1 if after in ids else len(ids)
        previous = ids[at - 1] if at else None
        self.items.insert(at, item)
        shown = {**item, "content": [{k: v for k, v in part.items() if k != "audio"} for part in item["content"]]}
        self._say("conversation.item.added", item=shown, previous_item_id=previous)
        self._say("conversation.item.done", item=shown, previous_item_id=previous)

    def step(self) -> bool:
        """Goes on with an answer. Whether there was one."""
        if self._answering is None:
            return False
        if next(self._answering, "ended") == "ended":
            self._answering = None
        return True

    def said(self) -> list[str]:
        """The words of the answer that the end of the conversation has."""
        text = ""
        for item in reversed(self.items):
            if item["role"] != "assistant":
                break
            text = "".join(part.get("text") or part.get("transcript") or "" for part in item["content"]) + text
        return [word for number, word in enumerate(WORDS) if text.replace(" ", "").startswith(
            "".join(WORDS[: number + 1]).replace(" ", ""))]  # fmt: skip

    def _answer(self) -> Iterator[None]:
        left = WORDS[len(self.said()) :]
        response = {"id": self._id("resp"), "object": "realtime.response", "conversation_id": "conv", "output": []}
        item = {"id": self._id("item"), "type": "message", "role": "assistant", "content": []}
        at = {"response_id": response["id"], "item_id": item["id"], "output_index": 0, "content_index": 0}
        self._say("response.created", response={**response, "status": "in_progress"})
        yield
        self._say("response.output_item.added", response_id=response["id"], output_index=0, item=item)
        yield
        previous = self.items[-1]["id"] if self.items else None
        self.items.append(item)
        self._say("conversation.item.added", item=item, previous_item_id=previous)
        yield
        self._say("response.content_part.added", part={"type": "audio", "transcript": ""}, **at)
        spoken = ""
        for word in left:
            yield
            self._say("response.output_audio_transcript.delta", delta=word, **at)
            yield
            spoken += word
            item["content"] = [{"type": "output_audio", "transcript": spoken}]
            self._say("response.output_audio.delta", delta=f"{word.strip()}====", **at)
        yield
        self._say("response.output_audio.done", **at)
        yield
        self._say("response.output_audio_transcript.done", transcript=spoken, **at)
        yield
        self._say("response.content_part.done", part={"type": "audio", "transcript": spoken}, **at)
        yield
        self._say("conversation.item.done", item=item)
        yield
        self._say("response.output_item.done", response_id=response["id"], output_index=0, item=item)
        yield
        self._say("response.done", response={**response, "status": "completed", "output": [item]})


def numbers() -> Callable[[], str]:
    """Ids for a memory."""
    counted = itertools.count()
    return lambda: f"ours_{next(counted)}"
