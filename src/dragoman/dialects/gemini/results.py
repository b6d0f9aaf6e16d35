"""What a tool gave back: `functionResponse` <-> ToolResult.

The API takes `response.output` as a function's output, `response.error` as its error, and without either the whole
object as the output. So:

| canon content                               | gemini `response`     |
|---------------------------------------------|-----------------------|
| one text                                    | `{"output": text}`    |
| one text, `is_error`                        | `{"error": text}`     |
| one text that is an object's compact JSON   | that object           |
| several texts                               | joined by line breaks |
| media                                       | `parts` (Gemini 3 and later; before, parts of their own after it) |

A string `output` that is itself such JSON text is marked by `Text.dialect`, so that it comes back as a string.
"""

import msgspec

from dragoman.canon import JSON, Media, Part, Text, ToolResult
from dragoman.dialects.fields import Fields
from dragoman.dialects.gemini.names import NAME, fields
from dragoman.dialects.gemini.parts import MADE, OUTSIDE, json_text, read_media, write_media
from dragoman.dialects.losses import Losses


def read_result(part: Fields) -> ToolResult:
    """Raises `Malformed`."""
    result = fields(part.any("functionResponse"), part.at("functionResponse"))
    name, call_id = result.must_text("name"), result.text("id")
    text, is_error = _read_response(result.plain("response") or {})
    content: list[Part] = [text]
    content += [read_media(fields(item, (result.at("parts"), i))) for i, item in enumerate(result.array("parts") or ())]
    part.data.update(result.data)
    return ToolResult(call_id=call_id or "", name=name, content=content, is_error=is_error, extra=part.rest())


def _read_response(response: JSON) -> tuple[Text, bool]:
    if len(response) == 1:
        (key, value), *_ = response.items()
        if isinstance(value, str) and key in ("output", "error"):
            return Text(text=value, dialect=NAME if _object(value) is not None else ""), key == "error"
    return Text(text=json_text(response)), "error" in response


def _object(text: str) -> JSON | None:
    """The object whose compact JSON `text` is: then object and text are one another's exact image."""
    if not text.startswith("{"):
        return None
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    if not isinstance(value, dict) or json_text(value) != text:
        return None
    return None if _is_wrapped(value) else value


def _is_wrapped(value: JSON) -> bool:
    """Whether reading it as a response would take it for a text."""
    return len(value) == 1 and isinstance(value.get("output", value.get("error")), str)


def write_result(part: ToolResult, name: str, nested: bool, losses: Losses) -> list[JSON]:
    """The part, and after it the media that could not go inside. `name` is the tool's where the part does not say."""
    response: JSON = {}
    if part.call_id and not part.call_id.startswith(MADE):
        response["id"] = part.call_id
    response["name"] = part.name or name
    response["response"] = _write_response(part)
    media = [write_media(item, losses) for item in part.content if isinstance(item, Media)]
    if media and nested:
        response["parts"] = media
    written: JSON = {"functionResponse": response}
    if part.cache is not None:
        losses.note("messages.cache_control")
    for item in part.content:
        if not isinstance(item, Text | Media):
            losses.note("messages.tool_result.content")
    _carry(response, written, part, losses)
    return [written] if nested else [written, *media]


def _carry(response: JSON, written: JSON, part: ToolResult, losses: Losses) -> None:
    """Fields of the part go back around the response, all others into it."""
    extra = part.extra or {}
    losses.carry(response, {k: v for k, v in extra.items() if k not in OUTSIDE}, "messages.tool_result")
    losses.carry(written, {k: v for k, v in extra.items() if k in OUTSIDE}, "messages.tool_result")


def _write_response(part: ToolResult) -> JSON:
    texts = [item for item in part.content if isinstance(item, Text)]
    if len(texts) == 1 and texts[0].dialect != NAME:
        value = _object(texts[0].text)
        if value is not None and ("error" in value) == part.is_error:
            return value
    joined = "\n".join(item.text for item in texts)
    return {"error" if part.is_error else "output": joined}
