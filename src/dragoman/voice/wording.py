"""How the words so far look as a whole utterance, for `engines/turn_judge.py`. Pure.

What comes last says most ("I would like the"), with what came before it and how the sentence began. Runs of words are
numbered by a hash and weigh as a table says that was trained on sentences and on their beginnings.
"""

import re
from collections.abc import Sequence
from zlib import crc32

SLOTS = 1 << 15  # numbers that runs of words are hashed to
EARLIER, OPENING = 3, "^"  # words before the last that are looked at; stands for those that are missing

_DIGITS = {"zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}


def last_sentence(text: str) -> list[str]:
    """The words since the last full stop within the text; one at its end is the recogniser's guess and means little."""
    said = re.split(r"[.?!]\s+", re.sub(r"[\s.?!,;:-]+$", "", text.strip()))[-1]
    return spoken(said)


def runs(words: Sequence[str]) -> list[int]:
    """The slots of what the sentence so far consists of."""
    said = [_class(word) for word in words]
    first = said[0] if said else ""
    third, second, last = [*[OPENING] * EARLIER, *said][-EARLIER:]
    many = len(said)
    return [
        crc32(run.encode()) % SLOTS
        for run in (
            f"1{last}", f"2{second} {last}", f"3{third} {second} {last}", f"f{first}", f"g{' '.join(said[:2])}",
            f"h{first}|{last}", f"s{last[-3:]}", f"t{last[-2:]}|{second}", f"n{min(many, 10)}",
            f"m{min(many, 4)}{last}", f"2b{second}",
        )
    ]  # fmt: skip


def spoken(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def _class(word: str) -> str:
    return "#" if word.isdigit() or word in _DIGITS else word
