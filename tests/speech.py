"""Speech to test with, and how well it was understood.

| what | whose voice | from |
|---|---|---|
| `recordings()` | six people | Debian's `pocketsphinx-testdata`; where CI is set, it must be there |
| `beckett()`, `two_cities()` | two people | the `moonshine-voice` wheel |
| `spoken(text)` | the embedded voice's, so where it ends is known | `hibari-tts` |

All is PCM at 16 kHz.
"""

import functools
import importlib.util
import re
import wave
from pathlib import Path
from typing import NamedTuple

from dragoman.voice.engine import HEARD, SPOKEN
from dragoman.voice.engines import hibari
from dragoman.voice.pcm import Resampler
from services import missing

RECORDINGS = Path("/usr/share/pocketsphinx/test/data")
LONE = {
    "goforward.raw": "go forward ten meters",
    "something.raw": "go somewhere and do something",
    "numbers.raw": "thirty three four six ninety two",
    "tidigits/dhd.2934z.raw": "two nine three four zero",
}
BECKETT = "ever tried ever failed no matter try again fail again fail better"
TWO_CITIES = (
    "it was the best of times it was the worst of times it was the age of wisdom it was the age of foolishness it was "
    "the epoch of belief it was the epoch of incredulity it was the season of light it was the season of darkness it "
    "was the spring of hope it was the winter of despair we had everything before us we had nothing before us we were "
    "all going direct to heaven we were all going direct the other way in short the period was so far like the present "
    "period that some of its noisiest authorities insisted on its being received for good or for evil in the "
    "superlative degree of comparison only"
)
WRITTEN = {"mr": "mister", "mrs": "missus", "dr": "doctor", "ok": "okay"}  # otherwise than spoken


class Clip(NamedTuple):
    """What was said, and its sound."""

    text: str
    pcm: bytes


@functools.cache
def recordings() -> tuple[Clip, ...]:
    """14 clips of 1 to 7 s."""
    if not RECORDINGS.exists():
        missing("needs recorded speech: apt-get install pocketsphinx-testdata")
    clips = [Clip(text, (RECORDINGS / name).read_bytes()) for name, text in LONE.items()]
    for folder, transcripts in (("librivox", "transcription"), ("cards", "cards.transcription")):
        for line in (RECORDINGS / folder / transcripts).read_text().splitlines():
            said = re.fullmatch(r"<s>(.*)</s>\s*\((.*)\)", line)
            assert said, line
            clips.append(Clip(said[1].strip(), _wave(RECORDINGS / folder / f"{said[2]}.wav")))
    return tuple(clips)


def beckett() -> Clip:
    """10 s, with pauses of half a second and more between six short sentences."""
    return Clip(BECKETT, _wave(_wheel("beckett.wav")))


def two_cities() -> Clip:
    """44 s without a longer pause."""
    return Clip(TWO_CITIES, _wave(_wheel("two_cities.wav")))


def spoken(text: str, speed: float = 1.0) -> bytes:
    """The embedded voice: it begins with the first audible sample, and ends 50 ms after the last."""
    rates = Resampler(SPOKEN, HEARD)
    pieces = [piece for piece, _ in hibari.spoken(hibari.load(), text.rstrip(".!?") + " ", speed)]
    return b"".join(map(rates.feed, pieces)) + rates.finish()


def word_errors(said: str, understood: str) -> int:
    """How many words must be put in, left out or replaced to come from one to the other; without case and marks."""
    return _distance(words(said), words(understood))


def words(text: str) -> list[str]:
    plain = re.sub(r"[^a-z0-9' ]", " ", text.lower().replace("’", "'"))
    return [WRITTEN.get(word, word) for word in (part.strip("'") for part in plain.split()) if word]


def _distance(left: list[str], right: list[str]) -> int:
    row = list(range(len(right) + 1))
    for at, one in enumerate(left, 1):
        before, row[0] = row[0], at
        for place, other in enumerate(right, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (one != other))
    return row[-1]


def _wheel(name: str) -> Path:
    spec = importlib.util.find_spec("moonshine_voice")
    assert spec and spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations))) / "assets" / name


def _wave(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        pcm, rate = file.readframes(file.getnframes()), file.getframerate()
    if rate == HEARD:
        return pcm
    rates = Resampler(rate, HEARD)
    return rates.feed(pcm) + rates.finish()
