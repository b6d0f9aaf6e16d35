"""What a client is told when an event of its can't be done: the original's own error, and the session lives on."""

import re
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

T = TypeVar("T")
Doing = Literal["retrieve", "truncate", "delete"]

_DOING: dict[Doing, str] = {"retrieve": "retrieving", "truncate": "truncating", "delete": "deleting"}


class Refused(Exception):
    """An event is not done. `code` and `param` are the original's words where it has them."""

    def __init__(
        self, message: str, code: str | None = None, param: str | None = None, kind: str = "invalid_request_error"
    ) -> None:
        super().__init__(message)
        self.error: dict[str, Any] = {"type": kind, "code": code, "message": message, "param": param}


def no_such_item(to: Doing, item_id: str) -> Refused:
    """What the original says of an item that is not there: clients know these codes."""
    message = f"Error {_DOING[to]} item: the item with id '{item_id[:80]}' does not exist."
    return Refused(message, f"item_{to}_invalid_item_id", "item_id")


def checked(value: object, kind: type[T], where: str = "") -> T:
    """`value` (decoded JSON) as a `kind`. `where`: the path to it in the client's event. Raises `Refused`."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), value, kind, where) from None


def _refusal(problem: str, value: object, kind: type, where: str) -> Refused:
    """msgspec's words as OpenAI's."""
    words, _, place = problem.partition(" - at `$")
    path = where + place.rstrip("`")
    path = path.removeprefix(".")
    if unknown := re.match(r"Object contains unknown field `(.*)`", words):
        path = f"{path}.{unknown[1]}".removeprefix(".")
        return Refused(f"Unknown parameter: '{path}'.", "unknown_parameter", path)
    if missing := re.match(r"Object missing required field `(.*)`", words):
        path = f"{path}.{missing[1]}".removeprefix(".")
        return Refused(f"Missing required parameter: '{path}'.", "missing_required_parameter", path)
    if words.startswith("Invalid"):
        return Refused(f"Invalid value for '{path}': {words}.", "invalid_value", path)
    expected, _, got = words.removeprefix("Expected ").partition(", got ")
    if not got:
        return Refused(f"Invalid '{path}': expected {expected}.".replace("`", ""), "invalid_value", path)
    return Refused(f"Invalid type for '{path}': expected {expected}, but got {got} instead.".replace("`", ""),
                   "invalid_type", path)  # fmt: skip


class Strict(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """JSON objects of the protocol: a field that is not known is an error, as the original has it."""
