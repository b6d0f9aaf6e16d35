"""Content blocks of requests: canon parts -> Converse blocks."""

import re
from collections.abc import Iterable

import msgspec

from dragoman.canon import JSON, CacheMark, Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from dragoman.dialects import ids
from dragoman.dialects.dialect import Unsayable
from dragoman.dialects.losses import Losses

_FORMATS: dict[str, dict[str, str]] = {
    "image": {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"},
    "document": {
        "application/pdf": "pdf",
        "text/csv": "csv",
        "application/msword": "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
        "application/vnd.ms-excel": "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
        "text/html": "html",
        "text/plain": "txt",
        "text/markdown": "md",
    },
    "video": {
        "video/x-matroska": "mkv",
        "video/quicktime": "mov",
        "video/mp4": "mp4",
        "video/webm": "webm",
        "video/x-flv": "flv",
        "video/mpeg": "mpeg",
        "video/x-ms-wmv": "wmv",
        "video/3gpp": "three_gp",
    },
    "audio": {
        "audio/mpeg": "mp3",
        "audio/mp3": "mp3",
        "audio/opus": "opus",
        "audio/wav": "wav",
        "audio/x-wav": "wav",
        "audio/aac": "aac",
        "audio/flac": "flac",
        "audio/mp4": "mp4",
        "audio/ogg": "ogg",
        "audio/x-m4a": "m4a",
        "audio/webm": "webm",
        "audio/pcm": "pcm",
    },
}
_UNNAMEABLE = re.compile(r"[^a-zA-Z0-9\s\-()\[\]]+")
_SPACES = re.compile(r"\s+")


class Writer:
    """Writes blocks; knows the document names given so far, which must differ within a request."""

    def __init__(self, losses: Losses, caches: bool) -> None:
        """`caches`: the model takes cache points."""
        self._losses = losses
        self._caches = caches
        self._names: set[str] = set()

    def blocks(self, parts: Iterable[Part]) -> list[JSON]:
        """The blocks of one message, in the parts' order. Raises `Unsayable`."""
        written: list[JSON] = []
        for part in parts:
            match part:
                case Text():
                    written.extend(self._text(part))
                case Refusal() if part.text:
                    written.append({"text": part.text})
                case Media():
                    written.append(self._media(part))
                case Reasoning():
                    written.extend(self._reasoning(part))
                case ToolCall():
                    written.append(self._call(part))
                case ToolResult():
                    written.append(self._result(part))
                case Opaque():
                    self._losses.note(f"messages.{part.kind}")
                case _:
                    pass
            if isinstance(part, Text | Media | ToolCall | ToolResult):
                written.extend(self.cache_point(part.cache))
                self._losses.carry({}, part.extra, "messages.content")
        return written

    def cache_point(self, mark: CacheMark | None, where: str = "messages.cache_control") -> list[JSON]:
        """The cache point for `mark`: none, or one."""
        if mark is None:
            return []
        if not self._caches:
            self._losses.note(where)
            return []
        point: JSON = {"type": "default"}
        if mark.ttl in ("5m", "1h"):
            point["ttl"] = mark.ttl
        return [{"cachePoint": point}]

    def _text(self, part: Text) -> list[JSON]:
        if not part.text:
            return []
        own = [citation.raw for citation in part.citations if citation.dialect == "bedrock" and citation.raw]
        if own:
            return [{"citationsContent": {"content": [{"text": part.text}], "citations": own}}]
        if part.citations:
            self._losses.note("messages.citations")
        return [{"text": part.text}]

    def _reasoning(self, part: Reasoning) -> list[JSON]:
        if part.dialect == "bedrock" and part.encrypted:
            return [{"reasoningContent": {"redactedContent": part.encrypted}}]
        if part.dialect == "bedrock" and part.signature:
            return [{"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}]
        self._losses.note("reasoning")
        return []

    def _call(self, part: ToolCall) -> JSON:
        return {"toolUse": {"toolUseId": ids.fit(part.id), "name": part.name, "input": _arguments(part)}}

    def _result(self, part: ToolResult) -> JSON:
        inner = [block for block in self.blocks(part.content) if "cachePoint" not in block]
        result: JSON = {"toolUseId": ids.fit(part.call_id), "content": inner}
        if part.is_error:
            result["status"] = "error"
        return {"toolResult": result}

    def _media(self, part: Media) -> JSON:
        if part.detail not in (None, "auto"):
            self._losses.note("messages.detail")
        if part.kind == "document":
            return {"document": self._document(part)}
        return {part.kind: {"format": _format(part), "source": _source(part)}}

    def _document(self, part: Media) -> JSON:
        document: JSON = {"name": self._name(part.title or part.name)}
        if part.text is not None:
            document = {"format": "txt", **document, "source": {"text": part.text}}
        else:
            document = {"format": _format(part), **document, "source": _source(part)}
        if part.context:
            document["context"] = part.context
        if part.cited:
            document["citations"] = {"enabled": True}
        return document

    def _name(self, wanted: str | None) -> str:
        """A name of the characters that the API takes, different from all before."""
        plain = _SPACES.sub(" ", _UNNAMEABLE.sub("-", wanted or "")).strip(" -")[:180] or "document"
        name, number = plain, 2
        while name in self._names:
            name, number = f"{plain} {number}", number + 1
        self._names.add(name)
        return name


def _arguments(call: ToolCall) -> JSON:
    """The call's arguments as an object, whatever the model wrote."""
    if call.kind == "custom":
        return {"input": call.arguments}
    if not call.arguments.strip():
        return {}
    try:
        value = msgspec.json.decode(call.arguments)
    except (msgspec.DecodeError, RecursionError):
        return {"input": call.arguments}
    return value if isinstance(value, dict) else {"input": call.arguments}


def _format(part: Media) -> str:
    mime = (part.mime or "").partition(";")[0].strip().lower()
    if not mime and part.url:
        mime = _ENDINGS.get(part.url.rpartition(".")[2].lower(), "")
    known = _FORMATS[part.kind]
    if mime not in known:
        raise Unsayable(
            f"Bedrock takes no {part.kind} of type {part.mime or 'unknown'}: "
            f"send one of {', '.join(sorted(set(known.values())))}, and say its media type"
        )
    return known[mime]


_ENDINGS = {form: mime for formats in _FORMATS.values() for mime, form in formats.items()} | {"jpg": "image/jpeg"}


def _source(part: Media) -> JSON:
    if part.data is not None:
        return {"bytes": part.data}
    if part.url is not None and part.url.startswith("s3://"):
        return {"s3Location": {"uri": part.url}}
    how = "by file id" if part.file_id is not None else "by address"
    raise Unsayable(f"Bedrock takes no {part.kind} {how}: send it as base64 data, or as an s3:// address")
