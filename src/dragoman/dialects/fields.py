"""Reading a JSON object field by field: every access names the path in its error, and what was never asked for remains.

    fields = Fields(decoded)          # owns the dict: what is read is taken out of it
    model = fields.must_text("model")
    for tool in fields.objects("tools"): ...
    extra = fields.rest()             # the fields this code does not know (law 4)

`null` reads like an absent field everywhere.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from dragoman.canon import JSON

# where a value stands: in words, or as the place it stands in and its key or number there. Put into words by an error
# alone, as most values are never spoken of.
Path: TypeAlias = "str | tuple[Path, str | int]"


class Malformed(Exception):
    """The client's (or provider's) JSON is not what its dialect says. `path` is where, as `messages[1].content`."""

    def __init__(self, path: Path, expected: str, got: object = msgspec.UNSET) -> None:
        self.path = _in_words(path)
        seen = "" if got is msgspec.UNSET else f", got {_shown(got)}"
        super().__init__(f"{self.path or 'body'}: expected {expected}{seen}")


def _in_words(path: Path) -> str:
    if isinstance(path, str):
        return path
    outer, key = _in_words(path[0]), path[1]
    if isinstance(key, int):
        return f"{outer}[{key}]"
    return f"{outer}.{key}" if outer else key


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool() | int() | float():
            return str(value).lower()
        case str():
            return f'"{value[:40]}"' + ("…" if len(value) > 40 else "")
        case list():
            return "an array"
        case _:
            return "an object"


def decode(body: "bytes | msgspec.Raw") -> Any:
    """JSON bytes as plain Python values. Raises `Malformed` with the parser's own words."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("", f"valid JSON ({error})") from None


class Fields:
    """One JSON object being read. Takes the dict over: reading a field removes it."""

    __slots__ = ("data", "path")

    def __init__(self, data: object, path: Path = "") -> None:
        if not isinstance(data, dict):
            raise Malformed(path, "an object", data)
        self.data: JSON = data
        self.path = path

    def at(self, key: str) -> Path:
        """The path of field `key`."""
        return self.path, key

    def any(self, key: str) -> Any:
        return self.data.pop(key, None)

    def text(self, key: str) -> str | None:
        value = self.data.pop(key, None)
        if value is None or isinstance(value, str):
            return value
        raise Malformed(self.at(key), "a string", value)

    def must_text(self, key: str) -> str:
        value = self.data.pop(key, None)
        if isinstance(value, str):
            return value
        raise Malformed(self.at(key), "a string", value)

    def whole(self, key: str) -> int | None:
        """A whole number; 3.0 counts as 3."""
        value = self.data.pop(key, None)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        if isinstance(value, float) and value.is_integer():
            return int(value)
        raise Malformed(self.at(key), "a whole number", value)

    def number(self, key: str) -> float | None:
        value = self.data.pop(key, None)
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            return value
        raise Malformed(self.at(key), "a number", value)

    def flag(self, key: str) -> bool | None:
        value = self.data.pop(key, None)
        if value is None or isinstance(value, bool):
            return value
        raise Malformed(self.at(key), "true or false", value)

    def plain(self, key: str) -> JSON | None:
        """An object, unread."""
        value = self.data.pop(key, None)
        if value is None or isinstance(value, dict):
            return value
        raise Malformed(self.at(key), "an object", value)

    def object(self, key: str) -> "Fields | None":
        value = self.data.pop(key, None)
        return None if value is None else Fields(value, self.at(key))

    def array(self, key: str) -> list[Any] | None:
        value = self.data.pop(key, None)
        if value is None or isinstance(value, list):
            return value
        raise Malformed(self.at(key), "an array", value)

    def objects(self, key: str) -> "list[Fields]":
        """An array of objects; absent reads as empty."""
        items = self.array(key)
        if not items:
            return []
        path = self.at(key)
        return [Fields(item, (path, i)) for i, item in enumerate(items)]

    def texts(self, key: str) -> list[str]:
        """An array of strings; absent reads as empty."""
        items = self.array(key) or []
        for i, item in enumerate(items):
            if not isinstance(item, str):
                raise Malformed((self.at(key), i), "a string", item)
        return items

    def one_of(self, key: str, allowed: "frozenset[str] | set[str]") -> str | None:
        value = self.text(key)
        if value is None or value in allowed:
            return value
        raise Malformed(self.at(key), "one of " + ", ".join(sorted(allowed)), value)

    def into(self, target: msgspec.Struct, table: "Readings") -> None:
        """Reads those fields of `table` that there are into `target`: most requests have few of the many."""
        for key in [key for key in self.data if key in table]:
            name, read = table[key]
            setattr(target, name, read(self, key))

    def rest(self) -> JSON | None:
        """What was not read: the fields this code does not know."""
        return self.data or None


# a dialect's field -> the canon's name for it, and how it is read
Readings: TypeAlias = Mapping[str, tuple[str, Callable[[Fields, str], object]]]
