"""Text as it can be said aloud: what a model writes for the eye is left out or put into words."""

import re

_FENCE = re.compile(r"^\s*(```|~~~)")
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.MULTILINE), instead)
    for pattern, instead in (
        (r"!?\[([^\]]*)\]\([^)\s]*(?:\s+\"[^\"]*\")?\)", r"\1"),  # [text](address)
        (r"<(https?://[^>\s]+)>", r"\1"),
        (r"</?[a-zA-Z][^<>]*>", ""),
        (r"^[ \t]{0,3}#{1,6}[ \t]+", ""),
        (r"^[ \t]*>[ \t]?", ""),
        (r"^[ \t]*[-*+•][ \t]+(?:\[[ xX]\][ \t]+)?", ""),
        (r"^[ \t]*(?:[-*_][ \t]*){3,}$", ""),
        (r"^[ \t|]*(?:[ \t]*:?-{2,}:?[ \t]*\|)+[ \t:-]*$", ""),  # the line below a table's head
        (r"[ \t]*\|[ \t]*", ", "),
        (r"(\*\*\*|\*\*|__|~~|`+)", ""),
        (r"(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])", ""),
        (r"(?<!\w)_(?=\S)|(?<=\S)_(?!\w)", ""),
        (r"\\[()\[\]]|\$\$", ""),
        (r"(?<=\w)\s*&\s*(?=\w)", " and "),
        (r"(?<=\d)\s*%", " percent"),
        (r"\s+=\s+", " equals "),
    )
)
_ADDRESS = re.compile(r"\b(?:https?://|www\.)([^\s<>\"')\]]+)")
# pictographs, dingbats, flags, their modifiers and joiners, arrows and box drawing
_PICTURES = re.compile(
    "[\u2190-\u21ff\u2300-\u23ff\u2500-\u27bf\u2900-\u297f\u2b00-\u2bff\u200d\u20e3\ufe0e\ufe0f\U0001f000-\U0001faff]+"
)


class Speakable:
    """One answer's text, clause by clause: it remembers whether a block of code is open, which is not said."""

    def __init__(self) -> None:
        self._code = False

    def say(self, text: str) -> str:
        """What is said for `text`; may be empty."""
        kept: list[str] = []
        for line in text.split("\n"):
            if _FENCE.match(line):
                self._code = not self._code
            elif not self._code:
                kept.append(line)
        return plain("\n".join(kept))


def plain(text: str) -> str:
    """`text` without marks of formatting, pictures and addresses' trimmings."""
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    text = _ADDRESS.sub(_address, text)
    text = " ".join(_PICTURES.sub(" ", text).split()).strip(" ,")
    return text if any(c.isalnum() for c in text) else ""


def _address(found: re.Match[str]) -> str:
    """Of an address, the host is said."""
    whole = found[1]
    end = whole[len(whole.rstrip(".,;:!?")) :]
    host = re.split(r"[/?#:]", whole, maxsplit=1)[0].removeprefix("www.").rstrip(".,;:!?")
    return host.replace(".", " dot ") + end
