"""What Anthropic refuses beyond wrong types: the order of blocks, thinking, tools, limits.

Adjacent messages of one role are one turn, and the rules are about turns.
"""

import base64
import re
from collections.abc import Iterator
from typing import Any

from .brain import JSON
from .fake import Refused
from .signing import decrypt, signed

_ID = re.compile(r"^[a-zA-Z0-9_-]+$")
_MODERN = re.compile(r"claude-(\w+-)?(4-[789]|[5-9])|modern")  # after Opus 4.6
_TOOL_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,128}$")
_IMAGES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}


def blocks(message: JSON) -> list[JSON]:
    """A message's content as blocks."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def last_turn(messages: list[JSON]) -> list[JSON]:
    """The messages after the last one of the assistant."""
    last = max((i for i, m in enumerate(messages) if m["role"] == "assistant"), default=-1)
    return messages[last + 1 :]


def check(body: JSON, latest: bool, *, count: bool = False) -> None:
    """Raise `Refused` where the API would refuse the request. `latest`: in API version 2026-10-21."""
    if not count:
        _numbers(body)
    _thinking_config(body)
    _tools(body)
    _cache_marks(body)
    _messages(body)
    if latest:
        _of_latest_version(body)
    _tool_pairs(body["messages"])
    _thinking_blocks(body)


def _refuse(message: str) -> None:
    raise Refused(400, message)


def _numbers(body: JSON) -> None:
    if body["max_tokens"] < 0:
        _refuse("max_tokens: Input should be greater than or equal to 0")
    if not 0 <= body.get("temperature", 1) <= 1:
        _refuse("temperature: range: 0..1")
    for stop in body.get("stop_sequences", ()):
        if not stop.strip():
            _refuse("stop_sequences: each stop sequence must contain non-whitespace")
    if _MODERN.search(body["model"]):
        _no_sampling(body)


def _no_sampling(body: JSON) -> None:
    if body.get("temperature", 1) != 1:
        _refuse("`temperature` is deprecated for this model.")
    if body.get("top_p", 1) < 0.99:
        _refuse("`top_p` is deprecated for this model.")
    if "top_k" in body:
        _refuse("`top_k` is deprecated for this model.")


def _thinking_config(body: JSON) -> None:
    thinking = body.get("thinking", {"type": "disabled"})
    if thinking["type"] == "disabled":
        return
    if thinking["type"] == "enabled":
        if _MODERN.search(body["model"]):
            _refuse(
                '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
                '"output_config.effort" to control thinking behavior.'
            )
        if thinking["budget_tokens"] < 1024:
            _refuse("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if thinking["budget_tokens"] >= body.get("max_tokens", 1 << 62):
            _refuse(
                "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at "
                "https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size"
            )
    if body.get("temperature", 1) != 1:
        _refuse(
            "`temperature` may only be set to 1 when thinking is enabled. Please consult our documentation at "
            "https://docs.claude.com/en/docs/build-with-claude/extended-thinking#important-considerations-when-using-"
            "extended-thinking"
        )
    if body.get("top_k") is not None:
        _refuse("`top_k` must be unset when thinking is enabled.")
    if body.get("tool_choice", {}).get("type") in ("any", "tool"):
        _refuse("Thinking may not be enabled when tool_choice forces tool use.")


def _tools(body: JSON) -> None:
    tools = body.get("tools", [])
    names = [tool["name"] for tool in tools if "name" in tool]
    if len(set(names)) < len(names):
        _refuse("tools: Tool names must be unique.")
    for i, tool in enumerate(tools):
        schema = tool.get("input_schema")
        if schema is None:
            continue
        if not _TOOL_NAME.match(tool["name"]):
            _refuse(f"tools.{i}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if schema.get("type") != "object":
            problem = "Input should be 'object'" if "type" in schema else "Field required"
            _refuse(f"tools.{i}.custom.input_schema.type: {problem}")
        for union in ("oneOf", "allOf", "anyOf"):
            if union in schema:
                _refuse(
                    f"tools.{i}.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top "
                    "level"
                )
        if tool.get("strict"):
            _closed(schema, f"tools.{i}.custom")
    choice = body.get("tool_choice")
    if choice and choice["type"] != "none" and not tools:
        _refuse("tool_choice: `tool_choice` may only be specified while providing `tools`.")
    if choice and choice["type"] == "tool" and choice["name"] not in names:
        _refuse(f"tool_choice.tool.name: Tool '{choice['name']}' not found in provided tools")
    if format := (body.get("output_config") or {}).get("format"):
        _closed(format["schema"], "output_config.format.schema")


def _closed(schema: Any, where: str) -> None:
    """Structured output takes only objects that allow no further properties."""
    if isinstance(schema, list):
        for one in schema:
            _closed(one, where)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        _refuse(f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false")
    for key, inner in schema.items():
        if key in ("properties", "$defs", "definitions"):
            for one in inner.values():
                _closed(one, where)
        elif key in ("items", "anyOf", "allOf"):
            _closed(inner, where)


def _cache_marks(body: JSON) -> None:
    marked = [b for b in _all_blocks(body) if b.get("cache_control")]
    marked += [t for t in body.get("tools", ()) if t.get("cache_control")]
    system = body.get("system")
    marked += [b for b in system if b.get("cache_control")] if isinstance(system, list) else []
    if len(marked) > 4:
        _refuse(f"A maximum of 4 blocks with cache_control may be provided. Found {len(marked)}.")
    if any(b.get("type") in ("thinking", "redacted_thinking") for b in marked):
        _refuse("messages: thinking blocks cannot have cache_control")
    if any(b.get("type") == "text" and not b["text"] for b in marked):
        _refuse("cache_control cannot be set for empty text blocks")


def _of_latest_version(body: JSON) -> None:
    for i, message in enumerate(body["messages"]):
        for j, block in enumerate(blocks(message)):
            if message["role"] == "assistant" and block["type"] == "document":
                _refuse(f"messages.{i}.content.{j}: `document` blocks are not allowed in `assistant` messages")
            if message["role"] == "user" and block["type"] == "text" and block.get("citations"):
                _refuse(f"messages.{i}.content.{j}.text.citations: citations are not allowed in `user` messages")


def _all_blocks(body: JSON) -> Iterator[JSON]:
    for message in body["messages"]:
        yield from blocks(message)


def _messages(body: JSON) -> None:
    messages = body["messages"]
    if not messages:
        _refuse("messages: at least one message is required")
    if messages[0]["role"] != "user":
        _refuse('messages: first message must use the "user" role')
    if isinstance(body.get("system"), list) and any(not b["text"] for b in body["system"]):
        _refuse("system: text content blocks must be non-empty")
    for i, message in enumerate(messages):
        is_last_answer = i == len(messages) - 1 and message["role"] == "assistant"
        if not message["content"] and not is_last_answer:
            _refuse(
                f"messages.{i}: all messages must have non-empty content except for the optional final assistant "
                "message"
            )
        for j, block in enumerate(blocks(message) if message["content"] else []):
            _block(f"messages.{i}.content.{j}", message["role"], block)
        if is_last_answer and _MODERN.search(body["model"]):
            _refuse(
                "This model does not support assistant message prefill. The conversation must end with a user message."
            )
        if is_last_answer and message["content"] and _text_end(message) != _text_end(message).rstrip():
            _refuse("messages: final assistant content cannot end with trailing whitespace")


def _text_end(message: JSON) -> str:
    return str(blocks(message)[-1].get("text", ""))


def _block(where: str, role: str, block: JSON) -> None:
    match block["type"]:
        case "text":
            if not block["text"]:
                _refuse("messages: text content blocks must be non-empty")
            if not block["text"].strip():
                _refuse("messages: text content blocks must contain non-whitespace text")
        case "tool_use":
            if role != "assistant":
                _refuse(f"{where}: `tool_use` blocks can only be in `assistant` messages")
            _id(f"{where}.tool_use.id", block["id"])
        case "tool_result":
            if role != "user":
                _refuse(f"{where}: `tool_result` blocks can only be in `user` messages")
            _id(f"{where}.tool_result.tool_use_id", block["tool_use_id"])
            for inner in block["content"] if isinstance(block.get("content"), list) else []:
                _block(f"{where}.tool_result.content", role, inner)
        case "thinking" | "redacted_thinking":
            if role != "assistant":
                _refuse(f"{where}: `{block['type']}` blocks can only be in `assistant` messages")
        case "image":
            _image(f"{where}.image.source", block["source"])
        case "document":
            if block["source"]["type"] == "base64" and not _decode(where, block["source"]["data"]).startswith(b"%PDF"):
                _refuse(f"{where}.pdf.source.base64.data: The PDF specified was not valid.")


def _id(where: str, value: str) -> None:
    if not _ID.match(value):
        _refuse(f"{where}: String should match pattern '^[a-zA-Z0-9_-]+$'")


def _image(where: str, source: JSON) -> None:
    if source["type"] != "base64":
        return
    data = _decode(where, source["data"])
    found = next((mime for head, mime in _IMAGES.items() if data.startswith(head)), None)
    if found is None:
        _refuse(f"{where}.base64.data: Could not process image")
    if found != source["media_type"]:
        _refuse(
            f"{where}.base64.data: The image was specified using the {source['media_type']} media type, but the image "
            f"appears to be a {found} image"
        )


def _decode(where: str, data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        raise Refused(400, f"{where}: Invalid base64 data") from None


def turns(messages: list[JSON]) -> list[tuple[str, int, list[JSON]]]:
    """Role, index of the first message, and blocks of each turn. System messages stand apart."""
    merged: list[tuple[str, int, list[JSON]]] = []
    for i, message in enumerate(messages):
        if merged and merged[-1][0] == message["role"]:
            merged[-1][2].extend(blocks(message))
        else:
            merged.append((message["role"], i, list(blocks(message))))
    return merged


def _tool_pairs(messages: list[JSON]) -> None:
    """Every call is answered at the very start of the next turn, and nothing else is."""
    open_calls: list[str] = []
    seen: set[str] = set()
    for role, index, content in [*turns(messages), ("end", len(messages), [])]:
        if role == "system":
            continue
        answered = _leading_results(content) if role == "user" else []
        missing = [call for call in open_calls if call not in answered]
        if missing:
            _refuse(
                f"messages.{index - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
                "next message."
            )
        _strays(content, index, open_calls)
        open_calls = [block["id"] for block in content if block["type"] == "tool_use"]
        for call in open_calls:
            if call in seen:
                _refuse(f"messages.{index}: `tool_use` ids must be unique")
            seen.add(call)


def _leading_results(content: list[JSON]) -> list[str]:
    found = []
    for block in content:
        if block["type"] != "tool_result":
            break
        found.append(block["tool_use_id"])
    return found


def _strays(content: list[JSON], index: int, open_calls: list[str]) -> None:
    answered: set[str] = set()
    for j, block in enumerate(content):
        if block["type"] != "tool_result":
            continue
        call = block["tool_use_id"]
        if call not in open_calls:
            _refuse(
                f"messages.{index}.content.{j}: unexpected `tool_use_id` found in `tool_result` blocks: {call}. Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        if call in answered:
            _refuse(f"messages.{index}.content.{j}: each tool_use must have a single result. Found multiple: {call}")
        answered.add(call)


def _thinking_blocks(body: JSON) -> None:
    for i, message in enumerate(body["messages"]):
        for j, block in enumerate(blocks(message)):
            where = f"messages.{i}.content.{j}"
            if block["type"] == "thinking" and not signed("anthropic", block["thinking"], block["signature"]):
                _refuse(f"{where}: Invalid `signature` in `thinking` block")
            if block["type"] == "redacted_thinking" and decrypt("anthropic", block["data"]) is None:
                _refuse(f"{where}: Invalid `data` in `redacted_thinking` block")
    if body.get("thinking", {}).get("type") == "enabled":
        _starts_with_thinking(body["messages"])


def _starts_with_thinking(messages: list[JSON]) -> None:
    """With thinking on, the assistant's turns since the user's last own words start with their thinking."""
    merged = turns(messages)
    spoke = max(
        (i for i, (role, _, content) in enumerate(merged) if role == "user" and not _leading_results(content)),
        default=-1,
    )
    for role, index, content in merged[spoke + 1 :]:
        if role != "assistant" or not content:
            continue
        first = content[0]["type"]
        if first not in ("thinking", "redacted_thinking") and (index < len(messages) - 1 or first == "tool_use"):
            _refuse(
                f"messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. "
                "When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding "
                "the lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks "
                "from previous turns. To avoid this requirement, disable `thinking`. Please consult our documentation "
                "at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
            )
