"""What `[voice]` names and nobody has is told at start and by `dragoman check`, not to the first who speaks."""

from pathlib import Path
from typing import Any

import pytest

from dragoman import config
from dragoman.server.voice_names import check_voice


def settings(folder: Path, voice: str, accounts: str = "") -> config.Config:
    text = f'[state]\ndir = "{folder}"\n{accounts}\n[voice]\n{voice}\n'
    return config.parse(text.encode(), "dragoman.toml", folder, {})


OPENAI = '[[accounts]]\nname = "a"\nprovider = "openai"\nkey = "k"'
WRONG: dict[str, Any] = {
    'stt = "loca"': r'voice\.stt: expected "local" or "provider/model", got "loca"',
    'stt = "nobody/whisper"': r"voice\.stt: expected",
    'tts = "anthropic/claude"': r"voice\.tts: expected",
    'tts = "openai/"': r"voice\.tts: expected",
    'tts = "elevenlabs/eleven_flash_v2_5"': r"no account has it: add one of elevenlabs",
    'turn = "psychic"': r"voice\.turn: expected",
}


@pytest.mark.parametrize("voice", WRONG)
def test_a_name_that_nobody_has_is_an_error(tmp_path: Path, voice: str) -> None:
    with pytest.raises(config.ConfigError, match=WRONG[voice]):
        check_voice(settings(tmp_path, voice, OPENAI))


@pytest.mark.parametrize("voice", ["", 'turn = "silence"', 'stt = "openai/gpt-4o-transcribe"\ntts = "openai/tts-1"'])
def test_what_there_is_is_none(tmp_path: Path, voice: str) -> None:
    check_voice(settings(tmp_path, voice, OPENAI))
