"""Realtime services with flat sessions, strict both ways: Azure OpenAI's beta, and Azure Voice Live.

The conversation is that of `realtime`; what comes is held to the dialect's schemas and read, what goes is written and
held to them, by hand, so that the codecs have somebody to disagree with.
"""

import json
from typing import Any

from websockets.asyncio.server import ServerConnection

from .realtime import RealtimeFake, Session, Talk
from .realtime_schemas import Dialect, assert_valid_server_event, check
from .shape import Wrong

Event = dict[str, Any]

_KINDS = {
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "conversation.item.added": "conversation.item.created",
}
_FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
_NAMES = {kind: name for name, kind in _FORMATS.items()}
_AZURE = {"azure_semantic_vad": "semantic_vad"}
_ALIKE = ("id", "model", "instructions", "tools", "tool_choice")


class FlatFake(RealtimeFake):
    """A provider on loopback that speaks `beta` or `voicelive`."""

    def __init__(self, dialect: Dialect = "beta", **options: Any) -> None:
        super().__init__(beta=True, **options)
        self.dialect = dialect

    def session(self, talk: Talk, connection: ServerConnection) -> Session:
        return _Flat(self, talk, connection)


class _Flat(Session):
    fake: FlatFake

    async def on(self, event: Event) -> None:
        try:
            check(event, self.fake.dialect, "client")
        except Wrong as wrong:
            self.talk.wrong.append(f"{event.get('type')}: {wrong}")
            await self.refuse(event, str(wrong), "invalid_value")
            return
        if event["type"] == "session.update":
            event = {**event, "session": _nested(event["session"])}
        elif event["type"] == "conversation.item.create":
            event = {**event, "item": _item(event["item"], {"text": "output_text"})}
        await super().on(event)

    async def say(self, kind: str, **fields: Any) -> None:
        if kind == "conversation.item.done":
            return
        event = {"type": _KINDS.get(kind, kind), "event_id": self.fake.id("event"), **json.loads(json.dumps(fields))}
        voicelive = self.fake.dialect == "voicelive"
        if "session" in event:
            event["session"] = _flat(event["session"], voicelive)
        if "item" in event:
            event["item"] = _item(event["item"], {"output_audio": "audio", "output_text": "text"})
        if voicelive and kind.endswith("transcription.completed"):
            del event["usage"]
        if "response" in event:
            event["response"] = _response(event["response"], voicelive)
        assert_valid_server_event(event, self.fake.dialect)
        self.talk.sent.append(event)
        await self.connection.send(json.dumps(event))


def _nested(flat: Event) -> Event:
    """The session of an update as the fake keeps it."""
    heard, spoken = {}, {}
    if "input_audio_format" in flat:
        heard["format"] = {"type": _FORMATS[flat["input_audio_format"]]}
    if "input_audio_transcription" in flat:
        heard["transcription"] = flat["input_audio_transcription"]
    if "turn_detection" in flat:
        heard["turn_detection"] = turns = flat["turn_detection"]
        if turns is not None:
            kind = turns["type"]
            whole = {"silence_duration_ms": 200, "create_response": True, "interrupt_response": True}
            heard["turn_detection"] = {**whole, **turns, "type": _AZURE.get(kind, kind)}
    if "voice" in flat:
        spoken["voice"] = flat["voice"]
    session = {name: flat[name] for name in _ALIKE if name in flat}
    if "modalities" in flat:
        session["output_modalities"] = ["audio"] if "audio" in flat["modalities"] else ["text"]
    return {**session, "audio": {"input": heard, "output": spoken}}


def _flat(session: Event, voicelive: bool) -> Event:
    heard, spoken = session["audio"]["input"], session["audio"]["output"]
    turns = heard["turn_detection"]
    if turns is not None and turns["type"] == "semantic_vad":
        kept = {name: turns[name] for name in ("create_response", "interrupt_response")}
        turns = {**kept, "type": "azure_semantic_vad" if voicelive else "semantic_vad"}
    return {
        **{name: session[name] for name in _ALIKE},
        **({} if voicelive else {"object": "realtime.session"}),
        "expires_at": session["expires_at"],
        "modalities": ["audio", "text"],
        "voice": spoken["voice"],
        "input_audio_format": _NAMES[heard["format"]["type"]],
        "output_audio_format": "pcm16",
        "input_audio_transcription": heard["transcription"],
        "turn_detection": turns,
        "temperature": 0.8,
    }


def _item(item: Event, names: dict[str, str]) -> Event:
    item = dict(item)
    if item["type"] == "function_call_output":
        item.pop("status", None)
    if item.get("role") == "assistant":
        item["content"] = [{**part, "type": names.get(part["type"], part["type"])} for part in item["content"]]
    return item


def _response(response: Event, voicelive: bool) -> Event:
    told = {key: value for key, value in response.items() if key != "output_modalities"}
    names = {"output_audio": "audio", "output_text": "text"}
    told |= {"modalities": ["audio", "text"], "output": [_item(item, names) for item in response["output"]]}
    if voicelive and told.get("usage"):
        cached = {"text_tokens": 20, "audio_tokens": 30, "image_tokens": 0}
        details = {**told["usage"]["input_token_details"], "cached_tokens_details": cached}
        told["usage"] = {**told["usage"], "input_token_details": details}
    return told
