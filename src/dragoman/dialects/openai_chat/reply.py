"""Whole replies (`chat.completion`), both ways.

| canon                | openai-chat                                                                     |
|----------------------|---------------------------------------------------------------------------------|
| `Choice.parts`       | `message`: its fields, in the order below                                       |
|                      | `reasoning_content`, `content`, `refusal`, `images`, `audio`, `tool_calls`      |
| `Text.citations`     | `message.annotations`                                                           |
| `Text.logprobs`      | `logprobs.content`                                                              |
| `Choice.finish`      | `finish_reason`                                                                 |
| `stop_sequence`      | `stop_reason` (vLLM; read only)                                                 |
| `Reply.extra`        | `system_fingerprint` and whatever else                                          |

Reading is lenient: a missing field, null or a wrong type never fails, as long as there are choices.
"""

from typing import Any

import msgspec

from dragoman.canon import (
    JSON,
    Choice,
    Media,
    Part,
    Reasoning,
    Refusal,
    Reply,
    Request,
    Text,
    TokenLogprob,
    ToolCall,
)
from dragoman.dialects import custom
from dragoman.dialects.fields import Malformed, decode
from dragoman.dialects.openai_chat.errors import failure_of
from dragoman.dialects.openai_chat.names import NAME, finish_reason, written_finish
from dragoman.dialects.openai_chat.parts import data_url, split_data_url
from dragoman.dialects.openai_chat.reading import is_legacy
from dragoman.dialects.openai_chat.turns import (
    details_of,
    details_text,
    google_content,
    google_signature,
    read_annotation,
    sealed_id,
    signed,
    write_annotation,
)
from dragoman.dialects.openai_chat.usage import read_usage, whole_number, write_usage

# fields of a message: of thinking, and of what stands beside its text
_THOUGHTS = frozenset({"reasoning_content", "reasoning", "reasoning_details"})
_BESIDE = frozenset({"images", "audio", "tool_calls", "function_call"})
_encode = msgspec.json.Encoder().encode


def read_reply(body: bytes) -> Reply:
    """Raises `Malformed` where there are no choices, with the provider's own words if it sent an error instead."""
    data = decode(body)
    if not isinstance(data, dict):
        raise Malformed("", "an object", data)
    choices = data.pop("choices", None)
    if not isinstance(choices, list):
        if "error" in data:
            raise Malformed("choices", f"a reply, not an error ({failure_of(data, 0).message})")
        raise Malformed("choices", "an array", choices)
    reply = Reply(dialect=NAME, id=_text(data, "id"), model=_text(data, "model"))
    reply.created = whole_number(data.pop("created", 0))
    reply.service_tier = _text(data, "service_tier") or None
    usage = data.pop("usage", None)
    reply.usage = read_usage(usage) if isinstance(usage, dict) else None
    data.pop("object", None)
    placed = [item for item in choices if isinstance(item, dict)]
    if len(placed) > 1:
        placed.sort(key=_place)
    reply.choices = [_choice(item, reply.id) for item in placed]
    reply.extra = _rest(data)
    return reply


def _place(choice: JSON) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def _text(data: JSON, key: str) -> str:
    value = data.pop(key, None)
    return value if isinstance(value, str) else ""


def _rest(data: JSON) -> JSON | None:
    """What was not read, but for nulls."""
    return ({key: value for key, value in data.items() if value is not None} or None) if data else None


def _list(data: JSON, key: str) -> list[Any]:
    value = data.pop(key, None)
    return value if isinstance(value, list) else []


def _choice(data: JSON, reply_id: str) -> Choice:
    message = data.pop("message", None)
    message = message if isinstance(message, dict) else {}
    logprobs = data.pop("logprobs", None)
    parts = _parts(message, reply_id)
    kinds = {type(part) for part in parts}
    raw = _text(data, "finish_reason") or None
    choice = Choice(parts=parts, finish=finish_reason(raw, ToolCall in kinds, Refusal in kinds), raw_finish=raw)
    choice.stop_sequence = stop if isinstance(stop := data.pop("stop_reason", None), str) else None
    data.pop("index", None)
    message.pop("role", None)
    if rest := _rest(message):
        data["message"] = rest
    if isinstance(logprobs, dict) and (rest := _logprobs(parts, logprobs)):
        data["logprobs"] = rest
    choice.extra = _rest(data)
    return choice


def _logprobs(parts: list[Part], logprobs: JSON) -> JSON | None:
    """Puts the text's log probabilities into it; returns those that are left."""
    text = next((part for part in parts if isinstance(part, Text)), None)
    if text is not None and (tokens := read_logprobs(logprobs.get("content"))):
        text.logprobs = tokens
        del logprobs["content"]
    return _rest(logprobs)


def _parts(message: JSON, reply_id: str) -> list[Part]:
    parts: list[Part] = []
    content = message.pop("content", None)
    text, thought = (content, "") if isinstance(content, str) else listed_content(content)
    if thought or not _THOUGHTS.isdisjoint(message):
        parts += _reasoning(message, thought)
    citations = [found for item in _list(message, "annotations") if (found := read_annotation(item)) is not None]
    if text or citations:
        parts.append(Text(text=text, citations=citations))
    if refusal := _text(message, "refusal"):
        parts.append(Refusal(text=refusal))
    if not _BESIDE.isdisjoint(message):
        parts += [image for item in _list(message, "images") if (image := read_image(item)) is not None]
        audio = message.pop("audio", None)
        if isinstance(audio, dict):
            parts.append(_audio(audio))
        parts += _calls(message, reply_id)
    return parts


def _reasoning(message: JSON, listed: str) -> list[Reasoning]:
    """The message's thinking, in whatever field it stands; `listed` was found in its content."""
    thought = _text(message, "reasoning_content")
    thought = (_text(message, "reasoning") or thought) + listed
    details = _list(message, "reasoning_details")
    encrypted = details_text(details) if signed(details) else None
    return [Reasoning(text=thought, encrypted=encrypted, dialect=NAME)] if thought or encrypted else []


def listed_content(content: object) -> tuple[str, str]:
    """The text and the thinking in `content` given as an array (Mistral)."""
    text = thought = ""
    for item in content if isinstance(content, list) else ():
        if not isinstance(item, dict):
            continue
        if isinstance(said := item.get("text"), str):
            text += said
        elif isinstance(inner := item.get("thinking"), str):
            thought += inner
        elif isinstance(inner, list):
            thought += listed_content(inner)[0]
    return text, thought


def read_image(item: object) -> Media | None:
    """One of `images` (OpenRouter: pictures that the model made)."""
    image = item.get("image_url") if isinstance(item, dict) else None
    url = image.get("url") if isinstance(image, dict) else None
    if not isinstance(url, str):
        return None
    mime, data, address = split_data_url(url)
    return Media(kind="image", mime=mime, data=data, url=address)


def _audio(audio: JSON) -> Media:
    media = Media(kind="audio", id=_text(audio, "id") or None, data=_text(audio, "data"))
    media.transcript = _text(audio, "transcript") or None
    media.extra = audio or None
    return media


def _calls(message: JSON, reply_id: str) -> list[Part]:
    calls: list[Part] = []
    for item in _list(message, "tool_calls"):
        if isinstance(item, dict):
            calls.append(_call(item, f"call_{reply_id}_{len(calls)}"))
    legacy = message.pop("function_call", None)
    if isinstance(legacy, dict):
        calls.append(_call({"function": legacy}, f"call_{reply_id}_{len(calls)}"))
    return calls


def _call(item: JSON, default_id: str) -> ToolCall:
    call = ToolCall(id=_text(item, "id") or default_id)
    item.pop("index", None)
    kind = "custom" if _text(item, "type") == "custom" else "function"
    inner = item.pop(kind, None)
    inner = inner if isinstance(inner, dict) else {}
    call.name = _text(inner, "name")
    if kind == "custom":
        call.kind, call.arguments = "custom", _text(inner, "input")
    else:
        call.arguments = arguments_text(inner.get("arguments")) or "{}"
    if signature := google_signature(item.get("extra_content")):
        item.pop("extra_content")
        call.signature, call.dialect = signature, NAME
    call.extra = {key: value for key, value in item.items() if value is not None} or None
    return call


def arguments_text(arguments: object) -> str:
    """Arguments as JSON text; some providers give the object itself."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else _encode(arguments).decode()


def read_logprobs(items: object) -> list[TokenLogprob]:
    """`logprobs.content` or `.refusal`; entries that are not what they should be are left out."""
    found: list[TokenLogprob] = []
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and isinstance(item.get("token"), str):
            logprob, octets = item.get("logprob"), item.get("bytes")
            found.append(
                TokenLogprob(
                    token=item["token"],
                    logprob=float(logprob) if isinstance(logprob, int | float) else -9999.0,
                    bytes=octets if isinstance(octets, list) else None,
                    top=read_logprobs(item.get("top_logprobs")),
                )
            )
    return found


def write_logprobs(tokens: list[TokenLogprob]) -> list[JSON]:
    """As `logprobs.content` has them."""
    return [{**_token(token), "top_logprobs": [_token(other) for other in token.top]} for token in tokens]


def _token(token: TokenLogprob) -> JSON:
    return {"token": token.token, "logprob": token.logprob, "bytes": token.bytes}


# writing


def write_reply(reply: Reply, request: Request) -> bytes:
    """The body of a whole reply."""
    own = reply.dialect == NAME
    legacy, customs = is_legacy(request), custom.names(request)
    body: JSON = {
        "id": reply.id,
        "object": "chat.completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [
            _write_choice(choice, number, reply, legacy, customs) for number, choice in enumerate(reply.choices)
        ],
    }
    if reply.usage is not None:
        body["usage"] = write_usage(reply.usage, own)
    if (tier := write_tier(reply.service_tier, own)) is not None:
        body["service_tier"] = tier
    if own and reply.extra:
        body.update(reply.extra)
    return _encode(body)


def write_tier(tier: str | None, own: bool) -> str | None:
    """The tier in this dialect's words; None where it has none for it."""
    if own or tier in ("default", "flex", "priority"):
        return tier
    return "default" if tier == "standard" else None


def _write_choice(choice: Choice, number: int, reply: Reply, legacy: bool, customs: frozenset[str]) -> JSON:
    own = reply.dialect == NAME
    message = _write_message(choice.parts, reply.id, legacy, customs)
    refused = message["refusal"] is not None
    tokens = [token for part in choice.parts if isinstance(part, Text) for token in part.logprobs or ()]
    logprobs: JSON | None = {"content": write_logprobs(tokens), "refusal": None} if tokens else None
    item: JSON = {
        "index": number,
        "message": message,
        "logprobs": logprobs,
        "finish_reason": written_finish(choice.finish, choice.raw_finish, own, refused, legacy),
    }
    if own:
        for key, value in (choice.extra or {}).items():
            if key == "message":
                message.update(value)
            elif key == "logprobs":
                item[key] = {"content": None, "refusal": None, **(logprobs or {}), **value}
            else:
                item[key] = value
        if choice.stop_sequence is not None:
            item["stop_reason"] = choice.stop_sequence
    return item


def _write_message(parts: list[Part], reply_id: str, legacy: bool, customs: frozenset[str]) -> JSON:
    content: str | None = None
    refusal: str | None = None
    annotations: list[JSON] = []
    images: list[JSON] = []
    calls: list[JSON] = []
    thoughts: list[Reasoning] = []
    unsealed: list[Reasoning] = []
    message: JSON = {"role": "assistant", "content": None, "refusal": None, "annotations": annotations}
    for part in parts:
        match part:
            case Reasoning():
                thoughts.append(part)
                unsealed.append(part)
            case Text():
                offset = len(content or "")
                content = (content or "") + part.text
                found = (write_annotation(one, offset, len(part.text)) for one in part.citations)
                annotations += [one for one in found if one is not None]
            case Refusal():
                refusal = (refusal or "") + part.text
            case Media(kind="image"):
                images.append(write_image(part))
            case Media(kind="audio"):
                message["audio"] = _write_audio(part)
            case ToolCall():
                calls.append(_write_call(part, unsealed, f"call_{reply_id}_{len(calls)}", customs))
                unsealed = []
            case _:
                pass  # another dialect's own
    message["content"], message["refusal"] = content, refusal
    if content is None and not calls and refusal is None and "audio" not in message:
        message["content"] = ""
    if thought := "".join(part.text for part in thoughts):
        message["reasoning_content"] = thought
    if details := details_of(thoughts):
        message["reasoning_details"] = details
    if images:
        message["images"] = images
    if calls and legacy:
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = calls
    return message


def write_image(media: Media) -> JSON:
    """One of `images`."""
    url = media.url if media.url is not None else data_url(media, "image/png")
    return {"type": "image_url", "image_url": {"url": url}}


def _write_audio(media: Media) -> JSON:
    audio = {"id": media.id or "", "data": media.data or "", "expires_at": 0, "transcript": media.transcript or ""}
    return audio | (media.extra or {})


def _write_call(call: ToolCall, unsealed: list[Reasoning], default_id: str, customs: frozenset[str]) -> JSON:
    if not call.id:
        call = msgspec.structs.replace(call, id=default_id)
    item: JSON = {"id": sealed_id(call, unsealed)}
    if call.kind == "custom":
        item |= {"type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    elif call.name in customs:
        item |= {"type": "custom", "custom": {"name": call.name, "input": custom.unwrap(call.arguments)}}
    else:
        item |= {"type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
    if call.signature is not None and call.dialect == NAME:
        item["extra_content"] = google_content(call.signature)
    return item
