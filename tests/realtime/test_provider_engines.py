"""A session that hears with one provider, thinks with another and speaks with a third."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from gate import gate
from openai import AsyncOpenAI

from dragoman.voice.pcm import Resampler, base64_of
from fakes.listeners import Nova
from fakes.openai import OpenAI as OpenAIFake
from fakes.speakers import ElevenLabs
from fakes.speech_sounds import TONE_MS
from voice.engines.house import speech


async def test_every_provider_has_its_rows(tmp_path: Path) -> None:
    with Nova() as ears, ElevenLabs() as mouth, OpenAIFake() as mind:
        accounts = [
            {"name": "ears", "provider": "deepgram", "key": ears.key, "base_url": ears.base_url},
            {"name": "mouth", "provider": "elevenlabs", "key": mouth.key, "base_url": mouth.base_url},
            {"name": "mind", "provider": "openai", "key": mind.key, "base_url": mind.base_url},
        ]
        voice = {"stt": "deepgram/nova-3", "tts": "elevenlabs/eleven_flash_v2_5", "turn": "silence"}
        models = [
            {"name": "smart", "targets": ["openai/gpt-4.1"]},
            {"name": "ears", "targets": ["deepgram/nova-3"], "price": {"audio_minute": 0.006}},
        ]
        rates = Resampler(16_000, 24_000)
        sound = rates.feed(speech(1000)) + rates.finish()
        async with gate(tmp_path, accounts, voice=voice, models=models) as running:
            client = AsyncOpenAI(api_key="any", base_url=f"{running.url}/v1")
            async with client.realtime.connect(model="smart") as session:
                pcm: Any = {"type": "audio/pcm", "rate": 24_000}
                said: Any = {"format": pcm, "turn_detection": None, "transcription": {"model": "any"}}
                await session.session.update(session={"type": "realtime", "audio": {"input": said}})
                await session.input_audio_buffer.append(audio=base64_of(sound))
                await session.input_audio_buffer.commit()
                await session.response.create()
                heard, spoken = "", 0
                async with asyncio.timeout(20):
                    async for event in session:
                        if event.type == "conversation.item.input_audio_transcription.completed":
                            heard = event.transcript
                        elif event.type == "response.output_audio.delta":
                            spoken += len(event.delta)
                        elif event.type == "response.done":
                            break
            await client.close()
        rows = {row.account: row for row in running.rows}
        assert heard == "one two"
        assert spoken * 3 / 4 / 48 >= TONE_MS - 5
        assert set(rows) == {"ears", "mouth", "mind"}
        assert rows["ears"].cost == pytest.approx(100_000_000, rel=0.01)  # a second
        assert rows["mouth"].cost is None
        assert len({row.request_id for row in running.rows}) == len(running.rows)
