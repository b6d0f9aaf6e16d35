"""Seals for clients that drop tool-call ids.

A seal (`dialects/seal.py`) belongs into a tool call's id, and the Ollama API has had such ids since late 2025. But
clients differ in what they send back of an assistant's turn:

| client | `content`, `thinking`, names and arguments | `tool_calls[].id` |
|---|---|---|
| Go, JavaScript, plain JSON | yes | yes |
| the Python package (its types have no `id`) | yes | no |

So the seal is also written, invisibly, into the `thinking` text before the call it belongs to: every character of the
seal becomes the code point of Unicode's Tags block (U+E0000 + its ASCII code), which is default-ignorable: no terminal
or browser shows it. The call's own part in such a seal has its plain `id` and `name`, so that the reader knows which
call it speaks of. A reader that finds a seal in the id has no need of this one and only takes it out of the text.
"""

from dragoman.canon import Part, ToolCall
from dragoman.dialects.seal import MARK, seal, unseal

_BASE = 0xE0000
_HIDE = {code: _BASE + code for code in range(0x20, 0x7F)}
_SHOW = {_BASE + code: code for code in range(0x20, 0x7F)}
HIDDEN_MARK = MARK.translate(_HIDE)


def hide(parts: list[Part]) -> str:
    """`parts` as text that nobody sees."""
    return seal(parts).translate(_HIDE)


def reveal(text: str) -> tuple[str, list[list[Part]]]:
    """The text without what was hidden in it, and the parts of each hidden seal in order."""
    if HIDDEN_MARK not in text:
        return text, []
    plain = "".join(character for character in text if ord(character) not in _SHOW)
    tags = "".join(character for character in text if ord(character) in _SHOW).translate(_SHOW)
    found = (unseal(MARK + piece) for piece in tags.split(MARK)[1:])
    return plain, [parts for parts in found if parts]


def call_in(parts: list[Part]) -> ToolCall | None:
    """The call that a hidden seal speaks of."""
    return next((part for part in parts if isinstance(part, ToolCall)), None)
