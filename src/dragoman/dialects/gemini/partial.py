"""Function calls that come in pieces: Vertex sends them so where `streamFunctionCallArguments` is on.

The first piece has the name and `willContinue`; the next have `partialArgs`, each the value at a JSON path, whose text
may go on in the next piece; a piece without `willContinue` ends the call.
"""

import re
from typing import Any

from dragoman.canon import JSON
from dragoman.dialects.gemini.names import keyed, listed

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d+)\]|\[['"]([^'"]*)['"]\]""")


class PartialCall:
    """One call that grows. `args` is what is known of its arguments."""

    def __init__(self) -> None:
        self.name = ""
        self.id: str | None = None
        self.signature: str | None = None
        self.args: JSON = {}

    def add(self, call: JSON, signature: str | None) -> bool:
        """Takes one piece in. True: the call is whole."""
        self.name = _text(call.get("name")) or self.name
        self.id = _text(call.get("id")) or self.id
        self.signature = signature or self.signature
        if isinstance(args := call.get("args"), dict):
            self.args.update(args)
        for item in listed(call.get("partialArgs")):
            piece = keyed(item)
            if isinstance(path := piece.get("jsonPath"), str):
                _set(self.args, _steps(path), _value(piece))
        return call.get("willContinue") is not True


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _steps(path: str) -> list[str | int]:
    return [int(index) if index else name or quoted for name, index, quoted in _STEP.findall(path)]


def _value(piece: JSON) -> Any:
    for name in ("stringValue", "numberValue", "boolValue"):
        if name in piece:
            return piece[name]
    return None


def _set(args: JSON, steps: list[str | int], value: Any) -> None:
    """Puts `value` where `steps` lead; text goes on where there is text already."""
    here: Any = args
    for i, step in enumerate(steps):
        last = i == len(steps) - 1
        if isinstance(step, int):
            if not isinstance(here, list) or step > len(here):
                return
            if step == len(here):
                here.append(None)
            old = here[step]
        elif isinstance(here, dict):
            old = here.get(step)
        else:
            return
        if last:
            here[step] = old + value if isinstance(old, str) and isinstance(value, str) else value
        else:
            if not isinstance(old, dict | list):
                old = [] if isinstance(steps[i + 1], int) else {}
                here[step] = old
            here = old
