"""Azure SDK models as TypedDicts, so that `shape.conform` can hold a JSON value to them.

The SDK's models check nothing themselves: they are dictionaries with descriptors. What they describe is read off their
annotations: an `Optional` field may be missing, an enumeration is closed (the SDK writes `str | Enum` everywhere, and
takes any string), a class with discriminated subclasses stands for the union of them.
"""

import enum
import types
import typing
from functools import cache
from typing import Any, Literal, Union

import typing_extensions
from azure.ai.voicelive import _unions
from azure.ai.voicelive import models as voicelive
from azure.ai.voicelive._utils.model_base import Model, _RestField
from azure.ai.voicelive.models import _models

_OPEN = {voicelive.OpenAIVoiceName, voicelive.AzureRealtimeNativeVoiceName}  # names that come and go
# what the service takes in a place where the SDK has no class for it
_BESIDE: dict[type, tuple[type[Model], ...]] = {voicelive.MessageContentPart: (voicelive.RequestImageContentPart,)}
# what the SDK says is required, and the server leaves out: the sound of what it tells
_LEFT_OUT = {(voicelive.RequestAudioContentPart, "audio")}
_NAMES = {**vars(_models), "_models": voicelive, "_unions": _unions}


@cache
def typed(model: type[Model]) -> Any:
    """The TypedDict of an SDK model, or the union of those of its discriminated subclasses."""
    known = model.__dict__.get("__mapping__") or {}
    members = [typed(sub) for sub in (*known.values(), *_BESIDE.get(model, ())) if sub is not model]
    return Union[tuple(members)] if members else _typed_dict(model)  # noqa: UP007 (built at run time)


def _typed_dict(model: type[Model]) -> Any:
    fields: dict[str, Any] = {}
    for owner in reversed([c for c in model.__mro__ if issubclass(c, Model) and c is not Model]):
        for name, hint in typing.get_type_hints(owner, _NAMES).items():
            if isinstance(field := vars(owner).get(name), _RestField):
                told = int | None if field._format == "unix-timestamp" else hint
                open_ = told | None if (owner, name) in _LEFT_OUT else told
                fields[field._rest_name_input or name] = _hint(open_)
    return typing_extensions.TypedDict(model.__name__, fields)  # type: ignore[operator]  # made at run time


def _hint(hint: Any) -> Any:
    optional = typing.get_origin(hint) in (Union, types.UnionType) and type(None) in typing.get_args(hint)
    return typing_extensions.NotRequired[_type(hint)] if optional else _type(hint)


def _type(hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, typing.ForwardRef):
        return _type(eval(hint.__forward_arg__, _NAMES))
    if origin is Literal:
        return Literal[tuple(a.value if isinstance(a, enum.Enum) else a for a in args)]
    if origin in (Union, types.UnionType):
        members = _merged([_type(a) for a in args if not _opened_by(a, args)])
        return Union[tuple(members)]  # noqa: UP007 (built at run time)
    if origin is list:
        return list[_type(args[0])]  # type: ignore[misc]
    if origin is dict:
        return dict[str, _type(args[1])]  # type: ignore[misc]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return Literal[tuple(member.value for member in hint)]
    if isinstance(hint, type) and issubclass(hint, Model):
        return typed(hint)
    return hint


def _merged(members: list[Any]) -> list[Any]:
    """With one literal for many."""
    values = [value for m in members if typing.get_origin(m) is Literal for value in typing.get_args(m)]
    others = [m for m in members if typing.get_origin(m) is not Literal]
    return [*([Literal[tuple(values)]] if values else []), *others]


def _opened_by(arg: Any, args: tuple[Any, ...]) -> bool:
    """Whether `arg` is the `str` that the SDK writes beside every enumeration."""
    enums = [_resolved(a) for a in args if isinstance(_resolved(a), type) and issubclass(_resolved(a), enum.Enum)]
    return arg is str and bool(enums) and not any(e in _OPEN for e in enums)


def _resolved(arg: Any) -> Any:
    return eval(arg.__forward_arg__, _NAMES) if isinstance(arg, typing.ForwardRef) else arg
