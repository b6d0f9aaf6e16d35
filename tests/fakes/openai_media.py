"""OpenAI's other calls: embeddings, moderations, images, speech and transcriptions."""

import base64
import hashlib
import json
import struct
from email import message_from_bytes
from functools import cache
from typing import TYPE_CHECKING, Any

import typing_extensions
from openai.types import embedding_create_params, image_generate_params, moderation_create_params
from openai.types.audio import speech_create_params, transcription_create_params

from . import brain
from . import openai_rules as rules
from .brain import JSON
from .fake import Refused, pieces, reply_json, sse
from .openai_chat import CREATED
from .server import Reply, Request
from .speech_sounds import cut, spoken

if TYPE_CHECKING:
    from .openai import OpenAI

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
_SOUND = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


OLDER_VOICES = ("alloy", "ash", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer")
VOICES = (*OLDER_VOICES, "ballad", "verse", "marin", "cedar")


def vector(text: str, size: int) -> list[float]:
    """A deterministic embedding of the text, of length one."""
    digest = hashlib.sha256(text.encode()).digest()
    raw = [digest[i % 32] - 127.5 + i / size for i in range(size)]
    norm = sum(x * x for x in raw) ** 0.5
    return [x / norm for x in raw]


def embeddings(fake: "OpenAI", body: JSON) -> Reply:
    """Answer a request for embeddings."""
    fake.conform(embedding_create_params.EmbeddingCreateParams, body)
    fake.has(body["model"])
    given = body["input"]
    inputs = [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else given
    if not inputs or any(not one for one in inputs):
        raise Refused(400, "Invalid 'input': input cannot be an empty string.", param="input", code="invalid_value")
    rules.between(body, "dimensions", 1, 3072)
    size = body.get("dimensions", 1536)
    texts = [one if isinstance(one, str) else json.dumps(one) for one in inputs]
    data = []
    for i, text in enumerate(texts):
        numbers: Any = vector(text, size)
        if body.get("encoding_format") == "base64":
            numbers = base64.b64encode(struct.pack(f"<{size}f", *numbers)).decode()
        data.append({"object": "embedding", "index": i, "embedding": numbers})
    used = sum(brain.tokens(text) for text in texts)
    usage = {"prompt_tokens": used, "total_tokens": used}
    return reply_json({"object": "list", "data": data, "model": body["model"], "usage": usage})


def moderations(fake: "OpenAI", body: JSON) -> Reply:
    """Answer a request for moderation: what says `kill` is violent."""
    fake.conform(moderation_create_params.ModerationCreateParams, body)
    given = body["input"]
    texts = [given] if isinstance(given, str) else given
    if texts and isinstance(texts[0], dict):
        texts = [" ".join(part.get("text", "") for part in texts)]
    results = [_moderation("kill" in text) for text in texts]
    model = body.get("model", "omni-moderation-latest")
    return reply_json({"id": fake.next_id("modr-"), "model": model, "results": results})


def _moderation(violent: bool) -> JSON:
    return {
        "flagged": violent,
        "categories": {name: violent and name == "violence" for name in _CATEGORIES},
        "category_scores": {name: 0.98 if violent and name == "violence" else 0.0001 for name in _CATEGORIES},
        "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
    }


def images(fake: "OpenAI", body: JSON) -> Reply:
    """Answer a request for an image: always the same pixel."""
    stream = body.get("stream")
    fake.conform(
        image_generate_params.ImageGenerateParamsStreaming
        if stream
        else image_generate_params.ImageGenerateParamsNonStreaming,
        body,
    )
    rules.between(body, "n", 1, 10)
    data = base64.b64encode(PNG).decode()
    usage = {
        "input_tokens": brain.tokens(body["prompt"]),
        "input_tokens_details": {"image_tokens": 0, "text_tokens": brain.tokens(body["prompt"])},
        "output_tokens": 272,
        "total_tokens": brain.tokens(body["prompt"]) + 272,
    }
    look = {"background": "opaque", "output_format": "png", "quality": "low", "size": "1024x1024"}
    if stream:
        frames = [
            _image_event("partial_image", data, look, partial_image_index=i)
            for i in range(body.get("partial_images") or 0)
        ]
        frames.append(_image_event("completed", data, look, usage=usage))
        return Reply(200, {"content-type": "text/event-stream; charset=utf-8"}, frames)
    one = {"url": "https://images.invalid/1.png"} if body.get("response_format") == "url" else {"b64_json": data}
    return reply_json({"created": CREATED, "data": [one] * (body.get("n") or 1), "usage": usage, **look})


def _image_event(kind: str, data: str, look: JSON, **more: Any) -> bytes:
    name = f"image_generation.{kind}"
    return sse({"type": name, "b64_json": data, "created_at": CREATED, **look, **more}, name)


def speech(fake: "OpenAI", body: JSON) -> Reply:
    """Answer a request for speech: bytes that tell what was to be said."""
    fake.conform(speech_create_params.SpeechCreateParams, body)
    fake.has(body["model"])
    rules.between(body, "speed", 0.25, 4.0)
    if not body["input"]:
        raise Refused(400, "Invalid 'input': empty string.", code="empty_string", param="input")
    older = body["model"].startswith("tts-1")
    known = OLDER_VOICES if older else VOICES
    if isinstance(body["voice"], str) and body["voice"] not in known:
        raise Refused(400, f"Invalid value: '{body['voice']}'. Supported values are: {known}", param="voice")
    pcm = body.get("response_format") == "pcm"
    sound = spoken() if pcm else b"FAKE" + b"\x00\xff" * 400 + body["input"].encode()
    if body.get("stream_format") == "sse":
        if older:
            raise Refused(400, "stream_format 'sse' is not supported for this model", param="stream_format")
        frames = [
            sse({"type": "speech.audio.delta", "audio": base64.b64encode(sound[i : i + 300]).decode()})
            for i in range(0, len(sound), 300)
        ]
        used = {"input_tokens": brain.tokens(body["input"]), "output_tokens": 100}
        used["total_tokens"] = sum(used.values())
        frames.append(sse({"type": "speech.audio.done", "usage": used}))
        return Reply(200, {"content-type": "text/event-stream; charset=utf-8"}, frames)
    mime = _SOUND[body.get("response_format", "mp3")]
    return Reply(200, {"content-type": mime}, cut(sound, 301))


@cache
def _form_type() -> Any:
    tp = transcription_create_params.TranscriptionCreateParamsBase
    hints = typing_extensions.get_type_hints(tp, include_extras=True)
    return typing_extensions.TypedDict(  # type: ignore[operator]  # made from the SDK's
        "Form", {k: v for k, v in hints.items() if k != "file"} | {"stream": bool | None}, total=False
    )


def transcriptions(fake: "OpenAI", request: Request, deployment: str | None) -> Reply:
    """Answer a request to write down a sound: the answer tells the file's type and hash."""
    fields, file = form(request)
    if deployment is not None:
        fields["model"] = deployment
    if file is None:
        raise Refused(400, "Missing required parameter: 'file'.", code="missing_required_parameter", param="file")
    fake.conform(_form_type(), fields)
    fake.has(fields["model"])
    name, mime, data = file
    if not data:
        raise Refused(400, "Audio file might be corrupted or unsupported", param="file", code="invalid_value")
    if "." not in name:
        raise Refused(400, "Unrecognized file format. Supported formats: ['flac', 'm4a', 'mp3', 'mp4', 'wav']")
    text = brain.seen("audio", mime, data)
    older = fields["model"] == "whisper-1"
    used: JSON = {"type": "tokens", "input_tokens": 40, "output_tokens": brain.tokens(text)}
    used |= {"total_tokens": 40 + brain.tokens(text), "input_token_details": {"audio_tokens": 40, "text_tokens": 0}}
    format = fields.get("response_format", "json")
    if older:
        used = {"type": "duration", "seconds": 1}
    elif format != "json" and fields["model"].endswith("-transcribe"):
        raise Refused(400, f"response_format '{format}' is not compatible with model", param="response_format")
    if fields.get("stream") and not older:
        frames = [sse({"type": "transcript.text.delta", "delta": piece}) for piece in pieces(text)]
        frames += [sse({"type": "transcript.text.done", "text": text, "usage": used}), b"data: [DONE]\n\n"]
        return Reply(200, {"content-type": "text/event-stream; charset=utf-8"}, frames)
    match format:
        case "json":
            return reply_json({"text": text, "usage": used})
        case "verbose_json":
            spoken = {"language": "english", "duration": 1.0, "text": text, "segments": []}
            return reply_json({"task": "transcribe", **spoken, "usage": {"type": "duration", "seconds": 1}})
        case "srt":
            text = f"1\n00:00:00,000 --> 00:00:01,000\n{text}\n"
        case "vtt":
            text = f"WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{text}\n"
    return Reply(200, {"content-type": "text/plain; charset=utf-8"}, text.encode())


_NUMBERS = {"temperature": float}
_FLAGS = {"stream": {"true": True, "false": False, "True": True, "False": False}}


def form(request: Request) -> tuple[JSON, tuple[str, str, bytes] | None]:
    """The fields and the file (name, type, bytes) of a multipart form."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        raise Refused(400, "Could not parse multipart form", type="invalid_request_error")
    message = message_from_bytes(f"content-type: {kind}\r\n\r\n".encode() + request.body)
    fields: JSON = {}
    file = None
    for part in message.get_payload():
        name = str(part.get_param("name", header="content-disposition"))
        data = part.get_payload(decode=True)
        if name == "file":
            file = (part.get_filename() or "", part.get_content_type(), data)
        elif name.endswith("[]"):
            fields.setdefault(name[:-2], []).append(data.decode())
        elif "[" in name:
            outer, _, inner = name.removesuffix("]").partition("[")
            fields.setdefault(outer, {})[inner] = data.decode()
        else:
            fields[name] = _value(name, data.decode())
    return fields, file


def _value(name: str, text: str) -> Any:
    if name in _NUMBERS:
        return _NUMBERS[name](text)
    return _FLAGS[name].get(text, text) if name in _FLAGS else text
