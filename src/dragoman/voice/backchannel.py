"""Words that say "I am listening" and ask for no turn."""

import re

_NODS = {
    "ah", "aha", "go", "got", "hm", "hmm", "huh", "i", "it", "mhm", "mm", "mm-hm", "mm-hmm", "mmm", "oh", "ok", "okay",
    "on", "right", "see", "sure", "uh", "uh-huh", "uhuh", "um", "wow", "yeah", "yep", "yes", "yup",
}  # fmt: skip
_LONGEST = 3  # words


def words_of(text: str) -> list[str]:
    return re.findall(r"[\w'-]+", text.lower())


def is_backchannel(text: str) -> bool:
    """Whether `text`, said while another speaks, is a mere sign of attention. No words at all are one too."""
    words = words_of(text)
    return len(words) <= _LONGEST and all(word in _NODS for word in words)
