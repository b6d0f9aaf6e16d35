"""How the words so far look as a whole utterance, in numbers for `engines/turn_judge.py`. Pure.

What comes last says most ("I would like the"), with what came before it and how the sentence began. Runs of words are
numbered by a hash and weigh as a table says that was trained on sentences and on their beginnings.
"""

import re
from collections.abc import Sequence
from zlib import crc32

SLOTS = 1 << 15  # numbers that runs of words are hashed to
EARLIER, OPENING = 3, "^"  # words before the last that are looked at; stands for those that are missing

_DIGITS = {"zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
_BINDING = frozenset(  # words after which the same phrase goes on
    re.findall(
        r"\S+",
        "a an the my your his their our of and or but to in with for is are was at from if as than because i this these"
        " those very",
    )
)
_FUNCTION = _BINDING | frozenset(
    re.findall(
        r"\S+",
        "that her its some any no every on by into onto over under about so when while where which who whom whose what"
        " were be been am do does did has have had will would can could should may might must shall you he she it we"
        " they there not don't i'm you're he's she's it's we're they're i've i'd i'll really more most just also too um"
        " uh er like",
    )
)


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


def numbers(text: str, whole: float) -> list[float]:
    """What is told of `text`; `whole`: the sum of its runs' weights."""
    words = last_sentence(text)
    last = words[-1] if words else ""
    return [
        whole,
        whole * (len(words) <= 2),
        float(len(spoken(text))) ** 0.5,
        float(len(words) == 1),
        float(len(words) == 2),
        float(last in _FUNCTION),
        float(last in _BINDING),
        float(_class(last) == "#"),
    ]


def spoken(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def _class(word: str) -> str:
    return "#" if word.isdigit() or word in _DIGITS else word
