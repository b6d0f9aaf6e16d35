"""The fields of Voice Live and of GA, value by value (the package's head has them as a table)."""

import re
from typing import Any

from dragoman.voice.codecs.codec import Note
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

_AZURE_VOICE = re.compile(r"^[a-z]{2,3}-[A-Z]{2}-")  # en-US-Ava:DragonHDLatestNeural
_AZURE_HEARING = {"azure-speech": "gpt-4o-transcribe", "mai-transcribe-1": "gpt-4o-transcribe"}
# turn detection by what is said
SEMANTIC = frozenset({"azure_semantic_vad", "azure_semantic_vad_en", "azure_semantic_vad_multilingual"})
# samples a second of what it speaks, where that is not 24,000
OUT_RATES = {"pcm16_8000hz": 8000, "pcm16_16000hz": 16000}


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
    if turns["type"] in SEMANTIC:
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
    return read_format("pcm16" if value in OUT_RATES else value, note)


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
