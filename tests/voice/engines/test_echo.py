"""Echo and noise are taken out of what is heard."""

import numpy as np

import speech
from dragoman.voice.engine import HEARD
from dragoman.voice.engines.echo import FRAME, Cleaner
from dragoman.voice.pcm import floats, level, pcm_of
from voice.engines.test_vad import noise

SECOND = 2 * HEARD


def cleaned(cleaner: Cleaner, near: bytes, far: bytes = b"") -> bytes:
    far = far.ljust(len(near), b"\0")
    edges = range(0, len(near) - 2 * FRAME + 1, 2 * FRAME)
    return b"".join(cleaner.process(near[at : at + 2 * FRAME], far[at : at + 2 * FRAME]) for at in edges)


def echoed(far: bytes) -> bytes:
    """As a room gives it back: later, softer, from several sides."""
    heard = np.zeros(len(far) // 2, np.float32)
    for later, size in ((800, 0.5), (1100, 0.2), (2000, 0.1)):
        heard[later:] += floats(far)[:-later] * np.float32(size)
    return pcm_of(heard)


def test_our_own_voice_is_taken_out() -> None:
    far = speech.two_cities().pcm[: 8 * SECOND]
    near = echoed(far)
    left = cleaned(Cleaner(echo=True, noise=False), near, far)
    assert level(left[4 * SECOND :]) < level(near[4 * SECOND :]) - 15


def test_who_speaks_over_our_voice_is_still_heard() -> None:
    far = speech.two_cities().pcm[: 8 * SECOND]
    said = bytes(5 * SECOND) + speech.spoken("Stop please I have another question")
    near = pcm_of(floats(echoed(far)) + floats(said.ljust(len(far), b"\0")))
    left = cleaned(Cleaner(echo=True, noise=False), near, far)
    assert level(left[5 * SECOND : len(said)]) > level(said[5 * SECOND :]) - 6


def test_noise_is_made_softer_and_speech_is_not() -> None:
    said = bytes(SECOND) + speech.spoken("I would like to know what the weather is like today")
    near = pcm_of(floats(said) + floats(noise(len(said) / SECOND, 0.01))[: len(said) // 2])
    left = cleaned(Cleaner(echo=False, noise=True), near)
    assert level(left[SECOND // 2 : SECOND]) < level(near[SECOND // 2 : SECOND]) - 8
    assert level(left[SECOND:]) > level(said[SECOND:]) - 4
