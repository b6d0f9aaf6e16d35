"""Azure Voice Live, at `/voice-live/realtime`: the beta's names, and more.

| Voice Live | GA | lost |
|---|---|---|
| `voice`: a name, `{"type": "openai", "name"}` | `audio.output.voice` | Azure's voices |
| `turn_detection`: `server_vad` | `server_vad` | `end_of_utterance_detection`, `auto_truncate` |
| `azure_semantic_vad`, `…_en`, `…_multilingual` | `semantic_vad` | all but `create_`, `interrupt_response` |
| `input_audio_format`, `input_audio_sampling_rate` | `audio/pcm` at 24 kHz | resampled |
| `output_audio_format`: `pcm16_8000hz`, `pcm16_16000hz` | `audio/pcm` at 24 kHz | resampled |
| `input_audio_noise_reduction` | `audio.input.noise_reduction` | Azure's own is `near_field` |
| `input_audio_transcription` | `audio.input.transcription` | `custom_speech`; Azure's models |
| its `phrase_list` | its `keywords` |  |
| `reasoning_effort` | `reasoning.effort` | `none` |
| `temperature`, `input_audio_echo_cancellation`, `animation`, `avatar` |  | all of it |
| `output_audio_timestamp_types`, `interim_response`, `metadata`, `agent` |  | all of it |
| `response.create`: `input_items` | `input` |  |
| `append_input_items` | `conversation.item.create` before it |  |
| `commit` | `input_audio_buffer.commit` before it |  |
| `cancel_previous` | `response.cancel` before it, if one runs |  |
| `additional_instructions` | `instructions`, after the session's |  |
| `pre_generated_assistant_message`, `invoke_input` |  | all of it |
| `input_audio.turn.append`, `.end`, `.cancel` | `input_audio_buffer.append`, `.commit`, `.clear` |  |
| `input_text.delta`, `.done` | `conversation.item.create` of the whole text |  |
| `session.avatar.connect` |  | is answered with an error |
| `warning`, video, animation, timestamps, searches |  | told to nobody |

What GA says and Voice Live does not: `audio.output.speed`, `tracing`, `truncation`, `prompt`, the transcription's
`prompt`, `delay` and `languages`, `idle_timeout_ms`, `eagerness`, a response's `conversation`, tools of type `mcp`
without `server_url`; of the server's events `rate_limits.updated`, time-outs, DTMF.

What is lost of what a client said is told to it as a `warning`, which Voice Live has for this.

Source: the types of azure-ai-voicelive 1.3 (API version 2026-07-15).
"""

import re
from collections.abc import Callable
from typing import Any

from dragoman.dialects.fields import Malformed
from dragoman.voice.codecs.codec import Event, Message, NewId, Note, Notices, encoded, refusal, typed
from dragoman.voice.codecs.flat import (
    LOST,
    Field,
    Table,
    Tables,
    each,
    only,
    read_format,
    read_item,
    read_modalities,
    same,
    write_format,
    write_item,
    write_modalities,
)
from dragoman.voice.codecs.flat_client import FlatClient
from dragoman.voice.codecs.flat_upstream import FlatUpstream
from dragoman.voice.codecs.sound import Rates

GA_RATE = 24000

_AZURE_VOICE = re.compile(r"^[a-z]{2,3}-[A-Z]{2}-")  # en-US-Ava:DragonHDLatestNeural
_AZURE_HEARING = {"azure-speech": "gpt-4o-transcribe", "mai-transcribe-1": "gpt-4o-transcribe"}
_SEMANTIC = frozenset({"azure_semantic_vad", "azure_semantic_vad_en", "azure_semantic_vad_multilingual"})
_OUT_RATES = {"pcm16_8000hz": 8000, "pcm16_16000hz": 16000}


def _read_voice(voice: Any, note: Note) -> Any:
    del note
    if isinstance(voice, dict):
        return voice["name"] if voice.get("type") == "openai" and isinstance(voice.get("name"), str) else LOST
    return LOST if isinstance(voice, str) and _AZURE_VOICE.match(voice) else voice


def _write_voice(voice: Any, note: Note) -> Any:
    del note
    return LOST if isinstance(voice, dict) else voice


_READ_SERVER = only(
    "type", "threshold", "prefix_padding_ms", "silence_duration_ms", "create_response", "interrupt_response"
)
_READ_SEMANTIC = only("type", "create_response", "interrupt_response")


def _read_turns(turns: Any, note: Note) -> Any:
    if not isinstance(turns, dict) or not isinstance(turns.get("type"), str):
        return turns
    if turns["type"] in _SEMANTIC:
        return {**_READ_SEMANTIC(turns, note), "type": "semantic_vad"}
    return _READ_SERVER(turns, note) if turns["type"] == "server_vad" else turns


def _write_turns(turns: Any, note: Note) -> Any:
    if isinstance(turns, dict) and turns.get("type") == "semantic_vad":
        if turns.get("eagerness", "auto") != "auto":
            note("eagerness")
        return {
            **_READ_SEMANTIC({k: v for k, v in turns.items() if k != "eagerness"}, note),
            "type": "azure_semantic_vad",
        }
    return _READ_SERVER(turns, note)


def _read_noise(noise: Any, note: Note) -> Any:
    if isinstance(noise, dict) and noise.get("type") == "azure_deep_noise_suppression":
        note("type")
        return {**noise, "type": "near_field"}
    return noise


def _read_transcription(value: Any, note: Note) -> Any:
    value = only("model", "language", phrase_list="keywords")(value, note)
    if isinstance(value, dict) and value.get("model") in _AZURE_HEARING:
        note("model")
        value["model"] = _AZURE_HEARING[value["model"]]
    return value


def _read_include(include: Any, note: Note) -> Any:
    return each(lambda name, _: name if name == "item.input_audio_transcription.logprobs" else LOST)(include, note)


def _read_effort(effort: Any, note: Note) -> Any:
    del note
    return LOST if effort == "none" else effort


def _write_tool(tool: Any, note: Note) -> Any:
    if not isinstance(tool, dict) or tool.get("type", "function") == "function":
        return tool
    if tool["type"] != "mcp" or not tool.get("server_url"):
        return LOST
    return only(
        "type", "server_label", "server_url", "authorization", "headers", "allowed_tools", "require_approval"
    )(tool, note)  # fmt: skip


def _read_out_format(value: Any, note: Note) -> Any:
    return read_format("pcm16" if value in _OUT_RATES else value, note)


_RESPONSE_FORMS = (
    Field("modalities", "output_modalities", read_modalities, write_modalities),
    Field("voice", "audio.output.voice", _read_voice, _write_voice),
    Field("output_audio_format", "audio.output.format", _read_out_format, write_format),
)

_TYPES = frozenset(
    {"message", "function_call", "function_call_output", "mcp_list_tools", "mcp_call", "mcp_approval_request",
     "mcp_approval_response"}
)  # fmt: skip
_CONTENT = frozenset({"input_text", "input_audio", "input_image", "text", "audio"})
_plain_item = write_item(_TYPES, _CONTENT)
_asked_item = write_item(_TYPES, _CONTENT, frozenset({"object"}))


def _told_item(item: Any, note: Note) -> Any:
    """The server tells of a message and of a call how they stand, and of nothing else."""
    item = _plain_item(item, note)
    if isinstance(item, dict):
        status = item.pop("status", None) or "completed"
        if item.get("type") in ("message", "function_call"):
            item["status"] = status
    return item


_USAGE = {
    "total_tokens": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "input_token_details": {
        "cached_tokens": 0,
        "text_tokens": 0,
        "audio_tokens": 0,
        "image_tokens": 0,
        "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 0, "audio_tokens": 0},
}


def _filled(value: Any, shape: dict[str, Any]) -> Any:
    """`value` with every count that `shape` has: Voice Live leaves none out."""
    if not isinstance(value, dict):
        return dict(shape)
    return {
        **{key: _filled(value.get(key), one) if isinstance(one, dict) else one for key, one in shape.items()},
        **{key: one for key, one in value.items() if one is not None and not isinstance(shape.get(key), dict)},
    }


def _write_usage(usage: Any, note: Note) -> Any:
    del note
    return _filled(usage, _USAGE) if isinstance(usage, dict) else usage


def _read_usage(usage: Any, note: Note) -> Any:
    if not isinstance(usage, dict) or not isinstance(details := usage.get("output_token_details"), dict):
        return usage
    return {**usage, "output_token_details": only("text_tokens", "audio_tokens")(details, note)}


def _write_status(details: Any, note: Note) -> Any:
    """Only an end that is none has details, and those are never without the reason."""
    del note
    if not isinstance(details, dict) or details.get("type") not in ("cancelled", "incomplete", "failed"):
        return None
    wanted, default = ("error", {}) if details["type"] == "failed" else ("reason", "")
    return {"type": details["type"], wanted: details.get(wanted) or default}


TABLES = Tables(
    session=Table(
        fields=(
            *_RESPONSE_FORMS,
            Field("input_audio_format", "audio.input.format", read_format, write_format),
            Field("input_audio_transcription", "audio.input.transcription", _read_transcription,
                  only("model", "language", keywords="phrase_list")),
            Field("input_audio_noise_reduction", "audio.input.noise_reduction", _read_noise, only("type")),
            Field("turn_detection", "audio.input.turn_detection", _read_turns, _write_turns),
            Field("max_response_output_tokens", "max_output_tokens"),
            Field("tools", "tools", write=each(_write_tool)),
            Field("include", "include", _read_include),
            Field("reasoning_effort", "reasoning.effort", _read_effort),
        ),
        unread=frozenset(
            {"temperature", "input_audio_sampling_rate", "input_audio_echo_cancellation", "animation", "avatar",
             "output_audio_timestamp_types", "interim_response", "metadata", "agent"}
        ),
        unsaid=frozenset({"tracing", "truncation", "prompt", "object"}),
    ),
    create=Table(
        fields=(
            *_RESPONSE_FORMS,
            Field("input_items", "input", each(read_item), each(_asked_item)),
            Field("tools", "tools", write=each(_write_tool)),
            Field("reasoning_effort", "reasoning.effort", _read_effort),
        ),
        unread=frozenset({"temperature", "interim_response", "invoke_input", "pre_generated_assistant_message"}),
        unsaid=frozenset({"conversation", "parallel_tool_calls", "prompt"}),
    ),
    response=Table(
        fields=(
            *_RESPONSE_FORMS,
            Field("output", "output", each(read_item), each(_told_item)),
            Field("usage", "usage", _read_usage, _write_usage),
            Field("status_details", "status_details", same, _write_status),
        ),
        unread=frozenset({"temperature"}),
    ),
    item=_told_item,
    asked=_asked_item,
    unsaid=frozenset(
        {"input_audio_buffer.timeout_triggered", "input_audio_buffer.dtmf_event_received",
         "conversation.item.input_audio_transcription.segment", "conversation.created", "rate_limits.updated",
         "output_audio_buffer.started", "output_audio_buffer.stopped"}
    ),
    unread=frozenset(
        {"warning", "session.avatar.connecting", "session.avatar.switch_to_speaking", "session.avatar.switch_to_idle",
         "response.animation_blendshapes.delta", "response.animation_blendshapes.done",
         "response.animation_viseme.delta", "response.animation_viseme.done",
         "response.audio_timestamp.delta", "response.audio_timestamp.done",
         "response.video.delta", "response.web_search_call.searching", "response.web_search_call.in_progress",
         "response.web_search_call.completed", "response.file_search_call.searching",
         "response.file_search_call.in_progress", "response.file_search_call.completed",
         "response.audio_transcript.annotation.added", "response.invocation.delta"}
    ),
)  # fmt: skip


class Client(FlatClient):
    """Towards a client that speaks Voice Live."""

    TABLES = TABLES

    def __init__(self, new_id: NewId, notices: Notices = "off") -> None:
        super().__init__(new_id, notices)
        self._hearing = Rates(GA_RATE, GA_RATE)
        self._speaking = Rates(GA_RATE, GA_RATE)
        self._asked: Event = {}  # what the client asked for in words that GA does not have, to be told it again
        self._instructions = ""
        self._running = False
        self._texts: dict[str, str] = {}

    def _read(self, said: Event) -> list[Event]:
        kind = typed(said)
        own = _OWN_EVENTS.get(kind)
        if own is not None:
            return own(self, said)
        if kind == "input_audio_buffer.append" and isinstance(said.get("audio"), str):
            return [{**said, "audio": self._hearing.convert(said["audio"], "audio")}]
        if kind == "response.create":
            return self._create(said)
        return super()._read(said)

    def _session(self, session: Event) -> Event:
        rate, out = session.get("input_audio_sampling_rate"), session.get("output_audio_format")
        if rate is not None:
            if not isinstance(rate, int) or not 8000 <= rate <= 48000:
                raise Malformed("session.input_audio_sampling_rate", "a rate of 8000 to 48000", rate)
            self._hearing = Rates(rate, GA_RATE)
        if isinstance(out, str):
            self._speaking = Rates(GA_RATE, _OUT_RATES.get(out, GA_RATE))
        for name in ("turn_detection", "input_audio_sampling_rate", "output_audio_format"):
            if name in session:
                self._asked[name] = session[name]
        if session.get("modalities") == ["text"]:
            self._asked.pop("output_audio_format", None)
        return super()._session({k: v for k, v in session.items() if k != "input_audio_sampling_rate"})

    def _create(self, said: Event) -> list[Event]:
        """A response, and what Voice Live lets come with it."""
        response = dict(said["response"]) if isinstance(said.get("response"), dict) else {}
        before: list[Event] = []
        if response.pop("commit", False) is True:
            before.append({"type": "input_audio_buffer.commit"})
        if response.pop("cancel_previous", False) is True and self._running:
            before.append({"type": "response.cancel"})
        items = response.pop("append_input_items", None)
        before.extend(
            {"type": "conversation.item.create", "item": read_item(item, self.note)}
            for item in (items if isinstance(items, list) else [])
        )
        event = {k: v for k, v in said.items() if k != "additional_instructions"}
        if isinstance(more := said.get("additional_instructions"), str):
            instructions = response.get("instructions") or self._instructions
            response["instructions"] = f"{instructions}\n\n{more}" if instructions else more
        if response or "response" in said:
            event["response"] = response
        return [*before, *super()._read(event)]

    def _turn_append(self, said: Event) -> list[Event]:
        return self._read({"type": "input_audio_buffer.append", "audio": said.get("audio"), **_event_id(said)})

    def _turn_start(self, said: Event) -> list[Event]:
        """Sound follows; GA's buffer needs no word of it."""
        del said
        return []

    def _turn_end(self, said: Event) -> list[Event]:
        return [{"type": "input_audio_buffer.commit", **_event_id(said)}]

    def _turn_cancel(self, said: Event) -> list[Event]:
        return [{"type": "input_audio_buffer.clear", **_event_id(said)}]

    def _text_delta(self, said: Event) -> list[Event]:
        key = str(said.get("id"))
        self._texts[key] = self._texts.get(key, "") + str(said.get("delta", ""))
        return []

    def _text_done(self, said: Event) -> list[Event]:
        text = self._texts.pop(str(said.get("id")), "")
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        if isinstance(said.get("id"), str):
            item["id"] = said["id"]
        return [{"type": "conversation.item.create", "item": item, **_event_id(said)}]

    def _avatar(self, said: Event) -> list[Event]:
        self.record("session.avatar")
        answer = refusal(self.new_id, "This session has no avatar.", param="type", event_id=said.get("event_id"))
        self._answers.append(encoded(answer))
        return []

    def _write(self, event: Event) -> list[Event]:
        match event["type"]:
            case "response.created":
                self._running = True
            case "response.done":
                self._running = False
            case "conversation.item.input_audio_transcription.completed":
                event = {key: value for key, value in event.items() if key not in ("usage", "languages")}
            case "response.output_audio.delta" if not self._speaking.same:
                event = {**event, "delta": self._speaking.convert(event["delta"], "delta")}
            case "response.output_audio.done" if rest := self._speaking.rest():
                delta = {
                    **event,
                    "type": "response.output_audio.delta",
                    "delta": rest,
                    "event_id": self.new_id("event"),
                }
                return [*super()._write(delta), *super()._write(event)]
        return super()._write(event)

    def _told_session(self, session: Event) -> Event:
        if isinstance(instructions := session.get("instructions"), str):
            self._instructions = instructions
        told = super()._told_session(session)
        turns, asked = told.get("turn_detection"), self._asked.get("turn_detection")
        if isinstance(turns, dict) and isinstance(asked, dict) and asked.get("type") in _SEMANTIC:
            told["turn_detection"] = {**turns, "type": asked["type"]}
        for name in ("input_audio_sampling_rate", "output_audio_format"):
            if name in self._asked:
                told[name] = self._asked[name]
        return told

    def _tell(self, lost: Event) -> list[Message]:
        if self._notices == "strict":
            return super()._tell(lost)
        names = ", ".join(lost["fields"])
        about = {"message": f"Ignored here: {names}", "code": "unsupported_parameter", "param": lost["fields"][0]}
        return [encoded({"type": "warning", "event_id": self.new_id("event"), "warning": about})]


def _event_id(said: Event) -> Event:
    return {"event_id": said["event_id"]} if said.get("event_id") else {}


_OWN_EVENTS: dict[str, Callable[[Client, Event], list[Event]]] = {
    "input_audio.turn.start": Client._turn_start,
    "input_audio.turn.append": Client._turn_append,
    "input_audio.turn.end": Client._turn_end,
    "input_audio.turn.cancel": Client._turn_cancel,
    "input_audio.clear": Client._turn_cancel,
    "input_text.delta": Client._text_delta,
    "input_text.done": Client._text_done,
    "session.avatar.connect": Client._avatar,
}


class Upstream(FlatUpstream):
    """Towards Voice Live."""

    TABLES = TABLES
