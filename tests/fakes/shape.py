"""Does a JSON value have the shape of an SDK's type? Strict at every level, as a provider's own API is.

The official SDKs describe what their API takes (TypedDicts, or pydantic models with aliases); this walks those types
and refuses what they don't say: unknown fields, wrong types, missing fields, unknown literals. `bool` is no number and
a number no string. A union of objects is decided by its literal tags (`type`, `role`, …), so that an error points into
the member that was meant.
"""

import collections.abc
import datetime
import enum
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import pydantic
import typing_extensions

Path = tuple[str | int, ...]
Check = Callable[[Any, Path], None]


class Tag(str):
    """A step of a path that names which member of a union was meant; not every API shows it."""


@dataclass
class Wrong(Exception):
    """The first thing in a value that its type does not allow.

    `code`: `missing` (a required field), `extra` (an unknown field), `type`, or `value` (none of the literals).
    `expected`: a type's name, or the allowed literals.
    """

    path: Path
    code: Literal["missing", "extra", "type", "value"]
    expected: Any
    got: Any = None

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: {self.code}, expected {self.expected}, got {self.got!r}"

    @property
    def plain(self) -> Path:
        """The path without the union's tags."""
        return tuple(step for step in self.path if not isinstance(step, Tag))


def kind(value: Any) -> str:
    """What JSON calls the value."""
    if value is None:
        return "null"
    return {bool: "boolean", str: "string", int: "integer", float: "number", list: "array", dict: "object"}[type(value)]


@dataclass(frozen=True)
class How:
    """How strictly to look.

    `loose`: as protobuf's JSON does, take a number for a string of digits and the other way round, null for absent,
    any case of an enum's name, and snake_case beside camelCase names. `hidden`: fields of a type that are unknown here.
    """

    loose: bool = False
    hidden: frozenset[tuple[type, str]] = frozenset()


STRICT = How()


def conform(tp: Any, value: Any, how: How = STRICT) -> None:
    """Raise `Wrong` where `value` is not of type `tp`."""
    _check(tp, how)(value, ())


_PLAIN: dict[Any, str] = {
    str: "string",
    bytes: "string",
    datetime.datetime: "string",
    datetime.date: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def _check(tp: Any, how: How) -> Check:
    try:
        return _cached(tp, how)
    except TypeError:  # an unhashable Annotated
        return _make(tp, how)


@cache
def _cached(tp: Any, how: How) -> Check:
    made: list[Check] = []

    def later(value: Any, path: Path) -> None:
        if not made:
            made.append(_make(tp, how))
        made[0](value, path)

    return later


def _make(tp: Any, how: How) -> Check:
    tp = _bare(tp)
    origin, args = typing.get_origin(tp), typing.get_args(tp)
    if tp is Any or tp is object:
        return _anything
    if tp in _PLAIN:
        return _plain(tp, how)
    if origin is Literal:
        return _literal(args)
    if origin in (typing.Union, types.UnionType):
        return _union(args, how)
    if origin in (list, collections.abc.Iterable, collections.abc.Sequence, tuple, set):
        return _array(args[0] if args else Any, how)
    if tp is list:
        return _array(Any, how)
    if tp is dict or origin in (dict, collections.abc.Mapping):
        return _mapping(args[1] if args else Any, how)
    if (fields := _fields(tp)) is not None:
        return _object(tp, fields, how)
    if isinstance(tp, type) and issubclass(tp, enum.Enum):
        return _literal(tuple(m.value for m in tp), how.loose)
    if isinstance(tp, type) and issubclass(tp, str):
        return _plain(str, how)
    return _never(tp)


def _bare(tp: Any) -> Any:
    """The type without Annotated, Required, NotRequired and aliases around it."""
    while True:
        origin = typing.get_origin(tp)
        if origin in (
            typing.Annotated,
            typing.Required,
            typing.NotRequired,
            typing_extensions.Required,
            typing_extensions.NotRequired,
        ):
            tp = typing.get_args(tp)[0]
        elif isinstance(tp, typing_extensions.TypeAliasType):
            tp = tp.__value__
        elif hasattr(tp, "__supertype__"):
            tp = tp.__supertype__
        else:
            return tp


def _anything(value: Any, path: Path) -> None:
    del value, path


def _never(tp: Any) -> Check:
    def check(value: Any, path: Path) -> None:
        raise Wrong(path, "type", getattr(tp, "__name__", str(tp)), value)

    return check


def _plain(tp: type, how: How) -> Check:
    name = _PLAIN[tp]

    def fits(value: Any) -> bool:
        found = kind(value)
        if found == name or (name == "number" and found == "integer"):
            return True
        if name == "integer" and found == "number":
            return bool(value == int(value))
        if how.loose and name in ("integer", "number") and found == "string":
            return bool(value.removeprefix("-").replace(".", "", 1).isdigit())
        return False

    def check(value: Any, path: Path) -> None:
        if not fits(value):
            raise Wrong(path, "type", name, value)

    return check


def _literal(values: tuple[Any, ...], any_case: bool = False) -> Check:
    def check(value: Any, path: Path) -> None:
        if any_case and isinstance(value, str):
            value = value.upper()
        if not any(value == v and type(value) is type(v) for v in values):
            raise Wrong(path, "value" if isinstance(value, str) else "type", values, value)

    return check


def _array(item: Any, how: How) -> Check:
    inner = _check(item, how)

    def check(value: Any, path: Path) -> None:
        if not isinstance(value, list):
            raise Wrong(path, "type", "array", value)
        for i, one in enumerate(value):
            inner(one, (*path, i))

    return check


def _mapping(item: Any, how: How) -> Check:
    inner = _check(item, how)

    def check(value: Any, path: Path) -> None:
        if not isinstance(value, dict):
            raise Wrong(path, "type", "object", value)
        for key, one in value.items():
            inner(one, (*path, key))

    return check


@dataclass(frozen=True)
class _Field:
    type: Any
    required: bool


@cache
def _fields(tp: Any) -> Mapping[str, _Field] | None:
    """The fields of a TypedDict or of a pydantic model, by the names they have on the wire; None for other types."""
    if typing_extensions.is_typeddict(tp):
        hints = typing_extensions.get_type_hints(tp, include_extras=True)
        return {_wire_name(hint, name): _Field(hint, _required(tp, name, hint)) for name, hint in hints.items()}
    if isinstance(tp, type) and issubclass(tp, pydantic.BaseModel):
        return {
            field.alias or _alias(field.metadata) or name: _Field(field.annotation, field.is_required())
            for name, field in tp.model_fields.items()
        }
    return None


def _required(tp: Any, name: str, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin in (typing.Required, typing_extensions.Required):
        return True
    return name in tp.__required_keys__ and origin not in (typing.NotRequired, typing_extensions.NotRequired)


def _wire_name(hint: Any, name: str) -> str:
    while hint is not None and typing.get_origin(hint) in (typing.Required, typing_extensions.Required):
        hint = typing.get_args(hint)[0]
    return _alias(getattr(hint, "__metadata__", ())) or name


def _alias(metadata: Any) -> str | None:
    return next((alias for m in metadata if (alias := getattr(m, "alias", None))), None)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def _object(tp: Any, fields: Mapping[str, _Field], how: How) -> Check:
    checks = {name: _check(field.type, how) for name, field in fields.items() if (tp, name) not in how.hidden}
    required = [name for name, field in fields.items() if field.required]
    is_open = (getattr(tp, "__pydantic_config__", None) or {}).get("extra") == "allow"

    def check(value: Any, path: Path) -> None:
        if not isinstance(value, dict):
            raise Wrong(path, "type", "object", value)
        for name in required:
            if name not in value:
                raise Wrong((*path, name), "missing", _describe(fields[name].type))
        for name, one in value.items():
            inner = checks.get(name) or (checks.get(_camel(name)) if how.loose else None)
            if inner is not None:
                if not (how.loose and one is None):
                    inner(one, (*path, name))
            elif not is_open:
                raise Wrong((*path, name), "extra", sorted(fields), one)

    return check


def _describe(tp: Any) -> str:
    tp = _bare(tp)
    return _PLAIN.get(tp, "array" if typing.get_origin(tp) in (list, collections.abc.Iterable) else "object")


@cache
def _tags(tp: Any) -> dict[str, tuple[Any, ...]]:
    """The literal fields that tell this object from others: those it must have, and `type` in any case."""
    tags = {}
    for name, field in (_fields(tp) or {}).items():
        bare = _bare(field.type)
        if typing.get_origin(bare) is typing.Union:
            bare = next((a for a in map(_bare, typing.get_args(bare)) if typing.get_origin(a) is Literal), bare)
        if typing.get_origin(bare) is Literal and (field.required or name in ("type", "role")):
            tags[name] = typing.get_args(bare)
    return tags


def _members(args: tuple[Any, ...]) -> list[Any]:
    """A union's members, flat. Beside TypedDicts, the SDK's reply models stand only for the caller's convenience."""
    flat: list[Any] = []
    for arg in map(_bare, args):
        flat.extend(
            _members(typing.get_args(arg)) if typing.get_origin(arg) in (typing.Union, types.UnionType) else [arg]
        )
    if any(typing_extensions.is_typeddict(m) for m in flat):
        flat = [m for m in flat if not (isinstance(m, type) and issubclass(m, pydantic.BaseModel))]
    return flat


def _union(args: tuple[Any, ...], how: How) -> Check:
    members = _members(args)
    objects = [m for m in members if _fields(m) is not None]

    def check(value: Any, path: Path) -> None:
        if isinstance(value, dict) and objects:
            meant, path = _meant(objects, value, path, [m for m in members if m not in objects])
        else:
            meant = members
        errors = []
        for member in meant:
            try:
                _check(member, how)(value, path)
            except Wrong as wrong:
                errors.append(wrong)
            else:
                return
        raise _best(errors, path, value)

    return check


def _meant(objects: list[Any], value: dict[str, Any], path: Path, others: list[Any]) -> tuple[list[Any], Path]:
    """Which of the object types `value` is meant to be, by its tags."""
    fitting = [m for m in objects if all(_fits(value, name, allowed, _fields(m)) for name, allowed in _tags(m).items())]
    for name in ("type", "role"):
        if name in value and not any(name in (_fields(m) or ()) for m in fitting):
            fitting = []  # what has no such field at all is not meant either
    maps = [m for m in others if typing.get_origin(m) is dict]
    if not fitting and not maps:
        known = {name: tuple(v for m in objects for v in _tags(m).get(name, ())) for name in ("type", "role")}
        for name, allowed in known.items():
            if allowed and name in value and value[name] not in allowed:
                raise Wrong((*path, name), "value" if isinstance(value[name], str) else "type", allowed, value[name])
        if known["type"] and "type" not in value:
            raise Wrong((*path, "type"), "missing", "string")
        return objects, path
    if len(fitting) == 1 and len(objects) > 1 and isinstance(value.get("type"), str):
        path = (*path, Tag(value["type"]))
    return fitting + maps, path


def _fits(value: dict[str, Any], name: str, allowed: tuple[Any, ...], fields: Mapping[str, _Field] | None) -> bool:
    if name not in value:
        return fields is not None and not fields[name].required
    return value[name] in allowed


def _best(errors: list[Wrong], path: Path, value: Any) -> Wrong:
    deepest = max(errors, key=lambda e: len(e.path), default=None)
    if deepest is not None and (len(deepest.path) > len(path) or len(errors) == 1):
        return deepest
    literals = [v for e in errors if isinstance(e.expected, tuple) for v in e.expected]
    if literals and isinstance(value, str):
        return Wrong(path, "value", tuple(literals), value)
    names = list(dict.fromkeys(e.expected for e in errors if isinstance(e.expected, str)))
    return Wrong(path, "type", " or ".join(names), value)
