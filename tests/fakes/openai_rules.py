"""What OpenAI refuses beyond wrong types, in chat completions and responses alike."""

import re
from typing import Any

from .brain import JSON
from .fake import Refused

_REASONING = re.compile(r"^(o\d|gpt-[5-9])|reason")
_NAME = re.compile(r"^[a-zA-Z0-9_-]+$")
_STRICT_KEYWORDS = {"allOf", "not", "dependentRequired", "dependentSchemas", "if", "then", "else", "oneOf"}


def reasons(model: str) -> bool:
    """Whether the model thinks before it speaks (told by its name: `o4-mini`, `gpt-5`, `mock-reasoning`)."""
    return bool(_REASONING.search(model))


def between(body: JSON, name: str, low: float, high: float) -> None:
    """Raise `Refused` where a number is out of its range."""
    value = body.get(name)
    if value is None:
        return
    if low <= value <= high:
        return
    kind = "integer" if isinstance(value, int) and isinstance(low, int) else "decimal"
    side, sign, bound = ("below minimum", ">=", low) if value < low else ("above maximum", "<=", high)
    raise Refused(
        400,
        f"Invalid '{name}': {kind} {side} value. Expected a value {sign} {bound}, but got {value} instead.",
        code=f"{kind}_{side.replace('imum', '').replace(' ', '_')}_value",
        param=name,
    )


def too_long(where: str, value: str, limit: int) -> None:
    """Raise `Refused` where a string is longer than `limit`."""
    if len(value) > limit:
        raise Refused(
            400,
            f"Invalid '{where}': string too long. Expected a string with maximum length {limit}, but got a string with "
            f"length {len(value)} instead.",
            code="string_above_max_length",
            param=where,
        )


def name(where: str, value: str) -> None:
    """Raise `Refused` where a tool's or schema's name has other characters than it may."""
    too_long(where, value, 64)
    if not _NAME.match(value):
        raise Refused(
            400,
            f"Invalid '{where}': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$'.",
            code="invalid_value",
            param=where,
        )


def function(where: str, function: JSON) -> None:
    """The rules for a function tool."""
    name(f"{where}.name", function["name"])
    schema = function.get("parameters")
    if schema is None:
        return
    what = f"Invalid schema for function '{function['name']}'"
    if schema.get("type") != "object":
        found = f'type: "{schema["type"]}"' if "type" in schema else 'type: "None"'
        raise Refused(
            400,
            f"{what}: schema must be a JSON Schema of 'type: \"object\"', got '{found}'.",
            code="invalid_function_parameters",
            param=f"{where}.parameters",
        )
    if function.get("strict"):
        closed(schema, what, f"{where}.parameters", "invalid_function_parameters")


def closed(schema: Any, what: str, param: str, code: str | None = None, context: tuple[str, ...] = ()) -> None:
    """The rules for a strict schema: every object is closed and requires all its properties."""
    if not isinstance(schema, dict):
        return

    def refuse(why: str) -> None:
        raise Refused(400, f"{what}: In context={context!r}, {why}", code=code, param=param)

    if not context and schema.get("type") != "object":
        kind = f'"{schema.get("type")}"'
        raise Refused(
            400,
            f"{what}: schema must be a JSON Schema of 'type: \"object\"', got 'type: {kind}'.",
            code=code,
            param=param,
        )
    for keyword in sorted(_STRICT_KEYWORDS & set(schema)):
        refuse(f"'{keyword}' is not permitted.")
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties") is not False:
            refuse("'additionalProperties' is required to be supplied and to be false.")
        missing = [key for key in schema.get("properties", {}) if key not in schema.get("required", [])]
        if missing:
            refuse(
                "'required' is required to be supplied and to be an array including every key in properties. "
                f"Missing '{missing[0]}'."
            )
    for key in ("properties", "$defs", "definitions"):
        for inner_name, inner in schema.get(key, {}).items():
            closed(inner, what, param, code, (*context, key, inner_name))
    for i, inner in enumerate(schema.get("anyOf", ())):
        closed(inner, what, param, code, (*context, "anyOf", str(i)))
    if "items" in schema:
        closed(schema["items"], what, param, code, (*context, "items"))


def sampling(body: JSON) -> None:
    """Ranges, and what reasoning models don't take."""
    between(body, "temperature", 0, 2)
    between(body, "top_p", 0, 1)
    between(body, "top_logprobs", 0, 20)
    model = body["model"]
    if not reasons(model):
        if body.get("reasoning_effort") is not None:
            raise Refused(400, "Unrecognized request argument supplied: reasoning_effort")
        return
    for field, default in (("temperature", 1), ("top_p", 1)):
        value = body.get(field)
        if value is not None and value != default:
            raise Refused(
                400,
                f"Unsupported value: '{field}' does not support {value} with this model. Only the default ({default}) "
                "value is supported.",
                code="unsupported_value",
                param=field,
            )
    for field in ("logprobs", "stop", "logit_bias", "presence_penalty", "frequency_penalty"):
        if body.get(field):
            unsupported(field)
    if body.get("max_tokens") is not None:
        raise Refused(
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
            "instead.",
            code="unsupported_parameter",
            param="max_tokens",
        )


def chat_tools(body: JSON) -> None:
    """Newer models call functions in chat completions only without thinking, which is on unless it is switched off."""
    found = re.match(r"gpt-(\d+)(?:\.(\d+))?", body["model"])
    version = (int(found[1]), int(found[2] or 0)) if found and "-chat" not in body["model"] else (0, 0)
    effort = body.get("reasoning_effort", "none" if version < (5, 4) else "medium")
    if version >= (5, 2) and body.get("tools") and effort != "none":
        raise Refused(
            400,
            f"Function tools with reasoning_effort are not supported for {body['model']} in /v1/chat/completions. To "
            "use function tools, use /v1/responses or set reasoning_effort to 'none'.",
            param="reasoning_effort",
        )


def unsupported(field: str) -> None:
    """Raise `Refused`: the model does not take the parameter."""
    raise Refused(
        400,
        f"Unsupported parameter: '{field}' is not supported with this model.",
        code="unsupported_parameter",
        param=field,
    )
