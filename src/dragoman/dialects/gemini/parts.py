"""One `Part` of a Gemini content <-> one canon part.

| canon                                  | gemini                                                              |
|----------------------------------------|---------------------------------------------------------------------|
| Text                                   | `text`, `thoughtSignature`                                          |
| Reasoning (a summary)                  | `text` with `thought: true`, `thoughtSignature`                     |
| Media by value                         | `inlineData {mimeType, data, displayName}`                          |
| Media by url or file_id                | `fileData {mimeType, fileUri, displayName}`                         |
| ToolCall                               | `functionCall {id, name, args}`, `thoughtSignature`                 |
| ToolResult                             | `functionResponse {id, name, response, parts}`                      |
| Opaque                                 | `executableCode`, `codeExecutionResult`, `toolCall`, `toolResponse` |
|                                        | thoughts that are not text, parts not known here                    |
| extra                                  | `videoMetadata`, `mediaResolution`, `partMetadata`, …               |

A call without an id gets one that `MADE` begins, which is left out again on the way back.
"""

from typing import Any

import msgspec

from dragoman.canon import JSON, Media, Opaque, Part, Reasoning, Text, ToolCall
from dragoman.dialects import custom
from dragoman.dialects.dialect import Unsayable
from dragoman.dialects.fields import Fields, Malformed
from dragoman.dialects.gemini.names import NAME, fields, kind_of, mime_of, standard_base64
from dragoman.dialects.losses import Losses

MADE = "call_gemini_"
OPAQUE = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")

# Stands for a signature on a call that Gemini did not make; the API takes it unverified.
# Source: https://ai.google.dev/gemini-api/docs/thought-signatures, frequently asked questions
UNVERIFIED = "skip_thought_signature_validator"

# fields of a part that stand beside its `functionCall` or `functionResponse`, not in it
OUTSIDE = frozenset({"partMetadata", "thought", "thoughtSignature", "mediaResolution", "videoMetadata"})

_encode = msgspec.json.Encoder().encode


def json_text(value: Any) -> str:
    return _encode(value).decode()


def read_plain(part: Fields) -> Part:
    """Any part but a function's response; `thoughtSignature` as it came. Raises `Malformed`."""
    if None in part.data.values():
        part.data = {name: value for name, value in part.data.items() if value is not None}
    data = part.data
    thought = data.get("thought") is True
    if isinstance(data.get("text"), str) or (data.keys() <= {"thoughtSignature", "thought"} and data):
        return _read_text(part, thought)
    if thought and "functionCall" not in data:
        return Opaque(dialect=NAME, kind="thought", data=data)
    if "functionCall" in data:
        return _read_call(part)
    if "inlineData" in data or "fileData" in data:
        return read_media(part)
    if not data:
        raise Malformed(part.path, "one of text, inlineData, fileData, functionCall, functionResponse")
    if "text" in data:
        part.text("text")  # not a string: says so
    kind = next((name for name in OPAQUE if name in data), None)
    return Opaque(dialect=NAME, kind=kind or next(iter(data)), data=data)


def _read_text(part: Fields, thought: bool) -> Part:
    text = part.text("text") or ""
    part.any("thought")
    signature = part.text("thoughtSignature")
    if thought:
        return Reasoning(text=text, summary=True, signature=signature, dialect=NAME, extra=part.rest())
    return Text(text=text, signature=signature, dialect=NAME if signature else "", extra=part.rest())


def read_media(part: Fields) -> Media:
    """`inlineData` or `fileData`."""
    inline = part.any("inlineData")
    if inline is not None:
        blob = fields(inline, part.at("inlineData"))
        mime, data = blob.text("mimeType"), blob.must_text("data")
        name = blob.text("displayName")
        part.data.update(blob.data)
        return Media(kind=kind_of(mime), mime=mime, data=standard_base64(data), name=name, extra=part.rest())
    file = fields(part.any("fileData"), part.at("fileData"))
    mime, uri = file.text("mimeType"), file.must_text("fileUri")
    name = file.text("displayName")
    part.data.update(file.data)
    url, file_id = (uri, None) if _public(uri) else (None, uri)
    kind = kind_of(mime or mime_of(uri, "video" if "youtu" in uri else "document"))
    return Media(kind=kind, mime=mime, url=url, file_id=file_id, name=name, extra=part.rest())


def _public(uri: str) -> bool:
    """Whether anyone can fetch it: not a file of the Files API or of Cloud Storage."""
    return uri.startswith(("http://", "https://")) and "generativelanguage.googleapis.com" not in uri


def _read_call(part: Fields) -> ToolCall:
    call = fields(part.any("functionCall"), part.at("functionCall"))
    name, call_id, args = call.must_text("name"), call.text("id"), call.plain("args")
    signature = part.text("thoughtSignature")
    part.data.update(call.data)
    return ToolCall(
        id=call_id or "",
        name=name,
        arguments=json_text(args) if args else "{}",
        signature=signature,
        dialect=NAME if signature else "",
        extra=part.rest(),
    )


def write_text(part: Text, losses: Losses) -> JSON | None:
    if not part.text and not part.signature and not losses.same_dialect:
        return None
    written: JSON = {"text": part.text}
    if part.signature and part.dialect == NAME:
        written["thoughtSignature"] = part.signature
    _note_cache(part, losses)
    losses.carry(written, part.extra, "messages")
    return written


def write_media(part: Media, losses: Losses) -> JSON:
    """Raises `Unsayable` for a file that lies at another provider."""
    written: JSON = {}
    if part.data is not None:
        mime = part.mime or mime_of(part.name or "", part.kind)
        written["inlineData"] = _named({"mimeType": mime, "data": part.data}, part, losses)
    elif part.text is not None:
        written["text"] = part.text
    elif uri := part.url or part.file_id:
        if part.url and part.url.startswith("data:"):
            head, _, data = part.url[5:].partition(",")
            written["inlineData"] = {"mimeType": head.partition(";")[0] or "text/plain", "data": data}
        elif part.file_id and "/" not in part.file_id:
            raise Unsayable(
                f'the file "{part.file_id}" lies at another provider: send it by value or by a public URL for Gemini'
            )
        else:
            file: JSON = {"mimeType": part.mime} if part.mime else {}
            if not losses.same_dialect and not part.mime:
                file["mimeType"] = mime_of(uri, part.kind)
            written["fileData"] = _named(file | {"fileUri": uri}, part, losses)
    _note_cache(part, losses)
    _note_media(part, losses)
    losses.carry(written, part.extra, "messages")
    return written


def _named(data: JSON, part: Media, losses: Losses) -> JSON:
    if part.name is not None and losses.same_dialect:
        data["displayName"] = part.name  # the API takes it with server-side tools only
    return data


def _note_cache(part: Text | Media, losses: Losses) -> None:
    if part.cache is not None:
        losses.note("messages.cache_control")


def _note_media(part: Media, losses: Losses) -> None:
    for name in ("title", "context", "transcript"):
        if getattr(part, name) is not None:
            losses.note(f"messages.{name}")
    if part.detail not in (None, "auto"):
        losses.note("messages.detail")
    if part.cited:
        losses.note("messages.citations")


def write_call(part: ToolCall, losses: Losses) -> JSON:
    """Its `thoughtSignature` only if Gemini made it."""
    call: JSON = {}
    if part.id and not part.id.startswith(MADE):
        call["id"] = part.id
    call |= {"name": part.name, "args": arguments(part)}
    written: JSON = {"functionCall": call}
    if part.signature and part.dialect == NAME:
        written["thoughtSignature"] = part.signature
    if part.cache is not None:
        losses.note("messages.cache_control")
    extra = part.extra or {}
    losses.carry(call, {k: v for k, v in extra.items() if k not in OUTSIDE}, "messages.tool_calls")
    losses.carry(written, {k: v for k, v in extra.items() if k in OUTSIDE}, "messages.tool_calls")
    return written


def arguments(part: ToolCall) -> JSON:
    """The arguments as the object they must be here."""
    text = custom.wrap(part.arguments) if part.kind == "custom" else part.arguments
    try:
        value = msgspec.json.decode(text) if text.strip() else {}
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {"input": text}
    return value if isinstance(value, dict) else {"input": text}
