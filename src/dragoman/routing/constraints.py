"""What the caller declares about a request, wherever it was said.

| where | how |
|---|---|
| header `x-dragoman-constraints` | `mode=cost; max_cost_usd=0.002; needs=tools,vision; tag.task=support` |
| body object `dragoman` | `{"mode": "cost", "needs": ["tools", "vision"], "tag.task": "support"}` |
| body object `routing_config` (Azure) | `{"mode": "cost", "models": ["a", "b"], "session_affinity": "abc"}` |
| the route in the config | `mode`, `constraints` |

The first that says something of a key wins, in this order. What is needed is added up, and so are tags (by name).
"""

import difflib
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, get_args

import msgspec
from msgspec import Struct

from dragoman import config
from dragoman.dialects.fields import Malformed

HEADER = "x-dragoman-constraints"
BODY = "dragoman"
AZURE = "routing_config"
MODES: tuple[str, ...] = get_args(config.Mode)
SYNONYMS = {"images": "vision", "image": "vision", "document": "documents", "structured_output": "json_schema"}
_WORD = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_LONGEST = 256  # characters of a session or tag


class Constraints(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one request must keep to. None and empty: nothing was said.

    `max_cost_usd` is of this request, `max_ttft_ms` until the first content, `max_total_ms` until the end, as predicted
    (see `decide`). `models` are names of models or `provider/model-id`. `tags` are soft: they tell the predictor what
    kind of request this is (`task`, `category`), and are booked.
    """

    mode: config.Mode | None = None
    max_cost_usd: float | None = None
    max_ttft_ms: float | None = None
    max_total_ms: float | None = None
    min_quality: float | None = None
    needs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    region: str | None = None
    providers: tuple[str, ...] = ()
    session: str | None = None
    tags: tuple[tuple[str, str], ...] = ()

    def tag(self, name: str) -> str | None:
        """The value of tag `name`."""
        return next((value for key, value in self.tags if key == name), None)

    def over(self, other: "Constraints") -> "Constraints":
        """These, and where they say nothing, `other`'s."""
        if other is NOTHING:
            return self
        if self is NOTHING:
            return other
        merged: dict[str, Any] = {
            name: mine if (mine := getattr(self, name)) is not None and mine != () else getattr(other, name)
            for name in self.__struct_fields__
        }
        merged["needs"] = tuple(sorted({*self.needs, *other.needs}))
        merged["tags"] = tuple(sorted((dict(other.tags) | dict(self.tags)).items()))
        return Constraints(**merged)


NOTHING = Constraints()


def of_request(header: str | None, body: object, azure: object) -> Constraints:
    """What a request declares: header over body object `dragoman` over Azure's `routing_config` (None: absent).
    Raises `Malformed`, naming the key and what it must be."""
    found = NOTHING if header is None else from_header(header)
    if body is not None:
        found = found.over(from_body(body))
    return found if azure is None else found.over(from_azure(azure))


def of_route(route: config.Route) -> Constraints:
    """The defaults that the config gives a route."""
    said = {name: value for name, value in msgspec.structs.asdict(route.constraints).items() if value not in (None, [])}
    return from_body(said | {"mode": route.mode}, f'routes "{route.name}": constraints')


def from_header(text: str) -> Constraints:
    """`key=value; key=value`, lists with commas. Raises `Malformed`."""
    said: dict[str, object] = {}
    for piece in text.split(";"):
        if not piece.strip():
            continue
        key, equals, value = (word.strip() for word in piece.partition("="))
        key = key.lower()
        if not equals or not key:
            raise Malformed(HEADER, "key=value pairs with ; between them", piece.strip())
        if key in said:
            raise Malformed(f"{HEADER}: {key}", "to be said once", value)
        said[key] = value
    return _read(said, HEADER + ": ")


def from_body(value: object, path: str = BODY) -> Constraints:
    """The body object `dragoman`. Tags are `"tag.task": "x"` or `"tags": {"task": "x"}`. Raises `Malformed`."""
    if not isinstance(value, dict):
        raise Malformed(path, "an object", value)
    said = dict(value)
    tags = said.pop("tags", None)
    if tags is not None:
        if not isinstance(tags, dict):
            raise Malformed(f"{path}.tags", "an object of strings", tags)
        said |= {f"tag.{name}": tag for name, tag in tags.items()}
    return _read(said, path + ".")


def from_azure(value: object) -> Constraints:
    """Azure's `routing_config`. `session_affinity` is the session's name; `true` and `false` name none. What else is in
    it is Azure's own business. Raises `Malformed`."""
    if not isinstance(value, dict):
        raise Malformed(AZURE, "an object", value)
    said: dict[str, object] = {key: value[key] for key in ("mode", "models") if value.get(key) is not None}
    if isinstance(said.get("mode"), str):
        said["mode"] = str(said["mode"]).lower()
    session = value.get("session_affinity")
    if isinstance(session, str) and session:
        said["session"] = session
    elif not (session is None or isinstance(session, bool)):
        raise Malformed(f"{AZURE}.session_affinity", "the name of a session, or true or false", session)
    return _read(said, AZURE + ".")


# One key at a time --------------------------------------------------------------------------------------------------

_Reader: TypeAlias = Callable[[object, str], object]


def _read(said: Mapping[str, object], where: str) -> Constraints:
    found: dict[str, Any] = {}
    tags: list[tuple[str, str]] = []
    for key, value in said.items():
        path = where + key
        if key.startswith("tag.") and len(key) > 4:
            tags.append((key[4:], _text(value, path)))
        elif reader := _KEYS.get(key):
            if value is not None:
                found[key] = reader(value, path)
        else:
            near = difflib.get_close_matches(key, _KEYS, 1)
            mend = f"did you mean {near[0]}?" if near else "the known ones are " + ", ".join([*_KEYS, "tag.*"])
            raise Malformed(path, f"a known key: {mend}")
    if tags:
        found["tags"] = tuple(sorted(tags))
    return Constraints(**found) if found else NOTHING


def _mode(value: object, path: str) -> str:
    if value not in MODES:
        raise Malformed(path, "one of " + ", ".join(MODES), value)
    return str(value)


def _amount(value: object, path: str) -> float:
    number = _number(value)
    if number is None or number < 0:
        raise Malformed(path, "a number from 0", value)
    return number


def _share(value: object, path: str) -> float:
    number = _number(value)
    if number is None or not 0 <= number <= 1:
        raise Malformed(path, "a number from 0 to 1", value)
    return number


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _text(value: object, path: str) -> str:
    if not isinstance(value, str) or not value or len(value) > _LONGEST or not value.isprintable():
        raise Malformed(path, f"a word of at most {_LONGEST} characters", value)
    return value


def _list(value: object, path: str) -> tuple[str, ...]:
    words = [word.strip() for word in value.split(",")] if isinstance(value, str) else value
    if not isinstance(words, list) or words == [""]:
        raise Malformed(path, "a list of names", value)
    return tuple(sorted({_text(word, path) for word in words}))


def _needs(value: object, path: str) -> tuple[str, ...]:
    words = [SYNONYMS.get(word.lower(), word.lower()) for word in _list(value, path)]
    for word in words:
        if not _WORD.fullmatch(word):
            raise Malformed(path, "capabilities, as tools, vision, audio, documents, json_schema, reasoning", word)
    return tuple(sorted(set(words)))


_KEYS: dict[str, _Reader] = {
    "mode": _mode,
    "max_cost_usd": _amount,
    "max_ttft_ms": _amount,
    "max_total_ms": _amount,
    "min_quality": _share,
    "needs": _needs,
    "models": _list,
    "region": _text,
    "providers": _list,
    "session": _text,
}
