"""Writes plain data as TOML, the way a person would: tables of the config's depth, small tables inline."""

import json
from typing import Any


def dumps(data: dict[str, Any]) -> str:
    """`data` (a table of tables and lists of tables) as TOML. What is None or empty is left out."""
    blocks = []
    for name, value in data.items():
        if isinstance(value, dict):
            blocks.append(_block(f"[{name}]", value))
        else:
            blocks.extend(_block(f"[[{name}]]", each) for each in value)
    return "\n\n".join(block for block in blocks if block) + "\n"


def _block(head: str, table: dict[str, Any]) -> str:
    lines = [f"{_key(name)} = {_value(value)}" for name, value in table.items() if value not in (None, [], {})]
    return "\n".join([head, *lines]) if lines else ""


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(name)} = {_value(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    if isinstance(value, float):
        return f"{value:.12g}"
    return str(value) if isinstance(value, int) else _text(value)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # JSON's escapes are TOML's, but for that


def _key(name: str) -> str:
    plain = name and all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in name)
    return name if plain else _text(name)
