"""Gemini's contents and GA's items of a conversation.

| part of a turn                          | item                                                      |
|-----------------------------------------|-----------------------------------------------------------|
| `text`, of the user                     | `message` of `user`, `input_text`                         |
| `text`, of the model                    | `message` of `assistant`, `output_text`                   |
| `inlineData`: image                     | `input_image`, a data URL                                 |
| `inlineData`: `audio/pcm;rate=…`        | `input_audio`, at 24 kHz                                  |
| `functionCall`                          | `function_call`                                           |
| `functionResponse`                      | `function_call_output`                                    |
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from dragoman.dialects.fields import Malformed
from dragoman.dialects.gemini.names import fields, keyed
from dragoman.voice.codecs.codec import Event, Note, standard_base64
from dragoman.voice.codecs.sound import Rates

GA_RATE = 24000
_RATE = re.compile(r"rate=(\d+)")
_DATA_URL = re.compile(r"data:([^;,]+);base64,(.*)", re.DOTALL)


def rate_of(mime: object) -> int | None:
    """The samples a second of `audio/pcm;rate=16000`, which is also what it is without a rate; None for other sound.
    Raises `Malformed`."""
    if not isinstance(mime, str) or not mime.lower().startswith(("audio/pcm", "audio/l16")):
        return None
    found = _RATE.search(mime)
    rate = int(found[1]) if found else 16000
    if not 4000 <= rate <= 192_000:
        raise Malformed("mimeType", "a rate of 4000 to 192000", mime)
    return rate


def read_turn(turn: object, path: str, note: Note) -> list[Event]:
    """The items of one content. Raises `Malformed`."""
    content = fields(turn, path)
    assistant = content.text("role") == "model"
    items: list[Event] = []
    said: list[Event] = []
    for i, one in enumerate(content.array("parts") or []):
        part = keyed(one)
        if not part:
            raise Malformed(f"{path}.parts[{i}]", "a part", one)
        if isinstance(call := part.get("functionCall"), dict):
            items += [*_message(assistant, said), read_call(call)]
            said = []
        elif isinstance(response := part.get("functionResponse"), dict):
            items += [*_message(assistant, said), read_output(response, None)]
            said = []
        else:
            said += _read_part(part, assistant, note)
    return [*items, *_message(assistant, said)]


def _message(assistant: bool, said: list[Event]) -> list[Event]:
    return [{"type": "message", "role": "assistant" if assistant else "user", "content": said}] if said else []


def _read_part(part: Event, assistant: bool, note: Note) -> Iterable[Event]:
    if part.get("thought"):
        note("clientContent.turns.parts.thought")
    elif isinstance(text := part.get("text"), str):
        yield {"type": "output_text" if assistant else "input_text", "text": text}
    elif (blob := keyed(part.get("inlineData"))) and not assistant:
        if (read := read_blob(blob)) is None:
            note("clientContent.turns.parts.inlineData")
        else:
            yield read
    else:
        for name in part:
            note(f"clientContent.turns.parts.{name}")


def read_blob(blob: Event) -> Event | None:
    """An image or sound as content of the user; None where GA has none for it. Raises `Malformed`."""
    mime, data = blob.get("mimeType"), blob.get("data")
    if not isinstance(data, str):
        raise Malformed("inlineData.data", "base64", data)
    if isinstance(mime, str) and mime.startswith("image/"):
        return {"type": "input_image", "image_url": f"data:{mime};base64,{standard_base64(data)}"}
    if (rate := rate_of(mime)) is None:
        return None
    rates = Rates(rate, GA_RATE)
    return {"type": "input_audio", "audio": rates.whole(data, "inlineData.data")}


def read_call(call: Event) -> Event:
    """A function call that the client puts into the history."""
    call = keyed(call)
    arguments = _compact(call.get("args") or {})
    return {"type": "function_call", "name": str(call.get("name")), "call_id": str(call.get("id") or call.get("name")),
            "arguments": arguments}  # fmt: skip


def read_output(response: Event, call_id: str | None) -> Event:
    """What a function gave back. `call_id`: of the call, where the response does not say it."""
    response = keyed(response)
    call = response.get("id") or call_id or response.get("name")
    return {"type": "function_call_output", "call_id": str(call), "output": _output(response.get("response"))}


def _output(value: Any) -> str:
    if isinstance(value, dict) and len(value) == 1:
        only = value.get("output", value.get("result"))
        if isinstance(only, str):
            return only
    return _compact(value)


def _compact(value: Any) -> str:
    return msgspec.json.encode(value).decode()


# --- written ---------------------------------------------------------------------------------------------------------


def write_item(item: Event, names: dict[str, str], note: Note) -> Event | None:
    """A content of the history; None where Gemini has none for it. `names`: of functions, by the ids of their calls."""
    match item.get("type"):
        case "message":
            assistant = item.get("role") == "assistant"
            if item.get("role") == "system":
                note("item.role")
            parts = [part for one in item.get("content") or [] for part in _write_part(one, note)]
            return {"role": "model" if assistant else "user", "parts": parts} if parts else None
        case "function_call":
            names[str(item.get("call_id"))] = str(item.get("name"))
            call = {"id": item.get("call_id"), "name": item.get("name"), "args": arguments(item.get("arguments"))}
            return {"role": "model", "parts": [{"functionCall": {k: v for k, v in call.items() if v is not None}}]}
        case "function_call_output":
            return {"role": "user", "parts": [{"functionResponse": write_output(item, names)}]}
    return None


def _write_part(part: Event, note: Note) -> Iterable[Event]:
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            yield {"text": part.get("text") or ""}
        case "output_audio" | "audio":
            yield {"text": part.get("transcript") or ""}
        case "input_audio" if part.get("audio"):
            yield {"inlineData": {"mimeType": f"audio/pcm;rate={GA_RATE}", "data": standard_base64(part["audio"])}}
        case "input_audio" if part.get("transcript"):
            yield {"text": part["transcript"]}
        case "input_image" if found := _DATA_URL.fullmatch(str(part.get("image_url"))):
            yield {"inlineData": {"mimeType": found[1], "data": standard_base64(found[2])}}
        case kind:
            note(f"item.content.{kind}")


def write_output(item: Event, names: dict[str, str]) -> Event:
    """A `functionResponse`: an object as it is, anything else as `output`."""
    call = str(item.get("call_id"))
    try:
        value = msgspec.json.decode(item.get("output") or "")
    except (msgspec.DecodeError, UnicodeError, RecursionError, TypeError):
        value = None
    response = value if isinstance(value, dict) else {"output": item.get("output") or ""}
    return {"id": call, "name": names.get(call, call), "response": response}


def arguments(text: object) -> Event:
    """Arguments of a call as the object that Gemini has."""
    try:
        value = msgspec.json.decode(text) if isinstance(text, str) else None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {}
