"""Reading a provider's answer, which may have holes: each function gives the value if it has the right type, else the
empty one. Requests of clients are read strictly instead (`fields.py`)."""

from typing import Any

from dragoman.canon import JSON


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def count(value: object) -> int:
    """A number of something: whole, 0 or more. Decimals are cut."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53:
        return int(value)
    return 0


def number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def object_in(value: object) -> JSON:
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[JSON]:
    """The objects of an array; what else stands in it is passed over."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def array(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
