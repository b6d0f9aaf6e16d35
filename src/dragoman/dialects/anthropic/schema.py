"""JSON schemas as the provider's structured outputs take them.

They want every object closed and know only part of JSON Schema. What is taken out (ranges, lengths, patterns …) is
added to the description of its place, where the model still reads it.
Source: the provider's page on structured outputs.
"""

from typing import Any

import msgspec

from dragoman.canon import JSON

_KNOWN = frozenset(
    {
        "type", "properties", "required", "items", "enum", "const", "anyOf", "allOf", "$ref", "$defs", "definitions",
        "description", "title", "default", "additionalProperties", "format",
    }
)  # fmt: skip
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_DROPPED = frozenset({"$schema", "$id", "$comment", "strict", "examples"})  # they hold the answer to nothing


def accepted(schema: JSON) -> tuple[JSON, bool]:
    """The nearest schema that is accepted, and whether it holds the answer to all that `schema` does."""
    writer = _Writer()
    return writer.schema(schema), writer.whole


class _Writer:
    def __init__(self) -> None:
        self.whole = True

    def schema(self, schema: JSON) -> JSON:
        out: JSON = {}
        told: JSON = {}
        for key, value in schema.items():
            if key == "oneOf":
                out["anyOf"] = self.each(value)
            elif key in _DROPPED:
                continue
            elif not _known(key, value):
                told[key] = value
            else:
                out[key] = self.value(key, value)
        if _is_object(schema):
            self.close(out, told)
        if told:
            self.whole = False
            note = msgspec.json.encode(told).decode()
            out["description"] = f"{out['description']}\n\n{note}" if out.get("description") else note
        return out

    def value(self, key: str, value: Any) -> Any:
        if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
            return {name: self.one(item) for name, item in value.items()}
        if key == "items":
            return self.one(value)
        if key in ("anyOf", "allOf"):
            return self.each(value)
        return value

    def one(self, value: Any) -> Any:
        return self.schema(value) if isinstance(value, dict) else value

    def each(self, value: Any) -> Any:
        return [self.one(item) for item in value] if isinstance(value, list) else value

    def close(self, out: JSON, told: JSON) -> None:
        """An object may hold nothing but its properties. An open one (a map) loses that."""
        more = out.get("additionalProperties")
        if more is not None and more is not False:
            told["additionalProperties"] = more
        out["additionalProperties"] = False


def _known(key: str, value: Any) -> bool:
    if key == "format":
        return value in _FORMATS
    return key in _KNOWN or (key == "minItems" and value in (0, 1))


def _is_object(schema: JSON) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in schema
