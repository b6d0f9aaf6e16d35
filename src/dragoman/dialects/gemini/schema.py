"""Gemini's two schema languages: the OpenAPI 3.0 subset (`parameters`, `responseSchema`; upper-case types) read into
JSON Schema, and JSON Schema made acceptable for `parametersJsonSchema` and `responseJsonSchema`.

| OpenAPI subset                       | JSON Schema                              |
|--------------------------------------|------------------------------------------|
| `"type": "STRING"`                   | `"type": "string"`                       |
| `"nullable": true`                   | `"null"` among the types                 |
| `"format": "enum"`                   | left out, `enum` says it                 |
| `"example": x`                       | `"examples": [x]`                        |
| `"propertyOrdering": [...]`          | the order of `properties`                |
| `"minItems": "1"` (int64 as text)    | `"minItems": 1`                          |
| `defs`, `ref`                        | `$defs`, `$ref`                          |
"""

from typing import Any

from dragoman.canon import JSON
from dragoman.dialects.gemini.names import camel

_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_DIALECT = ("$schema", "$id")


def to_json_schema(schema: JSON) -> JSON:
    """An OpenAPI-subset schema as JSON Schema."""
    schema = dict(camel(schema))
    order = schema.pop("propertyOrdering", None)
    nullable = schema.pop("nullable", None)
    _rename(schema, "defs", "$defs")
    _rename(schema, "ref", "$ref")
    if isinstance(kind := schema.get("type"), str):
        if kind == "TYPE_UNSPECIFIED":
            del schema["type"]
        else:
            schema["type"] = kind.lower()
    if schema.get("format") == "enum":
        del schema["format"]
    if "example" in schema:
        schema["examples"] = [schema.pop("example")]
    for name in _COUNTS:
        if isinstance(value := schema.get(name), str) and value.isdigit():
            schema[name] = int(value)
    _inside(schema, to_json_schema)
    if isinstance(order, list) and isinstance(properties := schema.get("properties"), dict):
        schema["properties"] = {n: properties[n] for n in [*order, *properties] if n in properties}
    return _with_null(schema) if nullable is True else schema


def _rename(schema: JSON, old: str, new: str) -> None:
    if old in schema:
        schema[new] = schema.pop(old)


def _with_null(schema: JSON) -> JSON:
    if isinstance(kind := schema.get("type"), str):
        schema["type"] = [kind, "null"]
        if isinstance(values := schema.get("enum"), list) and None not in values:
            schema["enum"] = [*values, None]
    elif isinstance(options := schema.get("anyOf"), list):
        schema["anyOf"] = [*options, {"type": "null"}]
    return schema


def for_gemini(schema: JSON) -> JSON:
    """JSON Schema in the form Gemini takes: no `$schema`, `const` as an `enum` of one, a lone `allOf` folded in, and
    nothing beside a `$ref` that does not begin with `$` (the API refuses it)."""
    if "$ref" in schema:
        return {key: _values(value) if key == "$defs" else value for key, value in schema.items() if key[:1] == "$"}
    schema = {key: value for key, value in schema.items() if key not in _DIALECT}
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    match schema.get("allOf"):
        case [dict(only)]:
            del schema["allOf"]
            return for_gemini({**only, **schema})
    _inside(schema, for_gemini)
    return schema


def _values(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: for_gemini(item) if isinstance(item, dict) else item for name, item in value.items()}


def _inside(schema: JSON, change: Any) -> None:
    """Applies `change` to every schema within this one."""
    for key in ("properties", "$defs", "definitions", "patternProperties"):
        if isinstance(named := schema.get(key), dict):
            schema[key] = {name: change(item) if isinstance(item, dict) else item for name, item in named.items()}
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if isinstance(options := schema.get(key), list):
            schema[key] = [change(item) if isinstance(item, dict) else item for item in options]
    for key in ("items", "additionalProperties", "not"):
        if isinstance(one := schema.get(key), dict):
            schema[key] = change(one)
