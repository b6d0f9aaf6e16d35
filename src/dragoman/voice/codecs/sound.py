"""Sound on its way between two dialects: base64 of 16-bit PCM, from one rate to another.

Needs numpy (extra `voice`) where the rates differ, and nothing where they are the same.
"""

from dragoman.dialects.fields import Malformed
from dragoman.voice import pcm
from dragoman.voice.codecs.codec import standard_base64


class Rates:
    """A stream of base64 sound at `source` samples a second, brought to `target`."""

    def __init__(self, source: int, target: int) -> None:
        self.same = source == target
        self._resampler = None if self.same else pcm.Resampler(source, target)

    def convert(self, sound: str, path: str) -> str:
        """The next piece. Raises `Malformed`, naming `path`, for what is no sound."""
        if self._resampler is None:
            return str(standard_base64(sound))
        try:
            return pcm.base64_of(self._resampler.feed(pcm.bytes_of(sound)))
        except pcm.BadAudio as error:
            raise Malformed(path, f"base64 of 16-bit sound ({error})") from None

    def whole(self, sound: str, path: str) -> str:
        """All of a sound that stands alone. Raises `Malformed`."""
        if self._resampler is None:
            return self.convert(sound, path)
        try:
            begun = self._resampler.feed(pcm.bytes_of(sound))
        except pcm.BadAudio as error:
            raise Malformed(path, f"base64 of 16-bit sound ({error})") from None
        return pcm.base64_of(begun + self._resampler.finish())

    def rest(self) -> str:
        """What is still to come of a sound that ends here."""
        return "" if self._resampler is None else pcm.base64_of(self._resampler.finish())


def milliseconds(sound: object, rate: int) -> float:
    """How long base64 of 16-bit sound lasts, told from its length."""
    size = len(sound) * 3 // 4 if isinstance(sound, str) else 0
    return size / 2 / rate * 1000
