"""`dragoman voice ask`, to a realtime server that gives a fixed reply."""

import json
import sys
import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dragoman.cli import recording
from e2e.gateway import GatewayProcess, config
from fakes.talker import Talker, hush, talk, tone

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def talker() -> Iterator[Callable[..., Talker]]:
    """Starts a `Talker` of these traits, and stops it after the test."""
    with ExitStack() as stack:
        yield lambda **traits: stack.enter_context(talk(Talker(**traits)))


@pytest.fixture
def said(home: Path) -> Callable[[bytes], str]:
    """A recording of this sound."""

    def write(pcm: bytes) -> str:
        recording.write(home / "said.wav", pcm)
        return "said.wav"

    return write


SPEECH = tone(0.3) + hush(0.1)


def test_transcript_reply_and_stages_are_shown(talker: Any, said: Any, run: Run) -> None:
    status, out, err = run("voice", "ask", said(SPEECH), "--url", talker().url, "-m", "talker")
    assert (status, err) == (0, "")
    assert "you:   What is the time?" in out
    assert "reply: It is ten past two." in out
    for words in ("vad_hang", "llm_ttft", "225", "local/local"):
        assert words in out


def test_json_has_all_of_it(talker: Any, said: Any, run: Run) -> None:
    status, out, _ = run("voice", "ask", said(SPEECH), "--url", talker().url, "-m", "talker", "--json")
    assert status == 0
    answer = json.loads(out)
    (turn,) = answer["turns"]
    assert (turn["said"], turn["reply"]) == ("What is the time?", "It is ten past two.")
    assert (turn["status"], turn["target"], turn["decision"]) == ("completed", "local/local", "dec_1")
    assert turn["stages_ms"]["tts_ttfa"] == 13.0
    assert turn["latency_ms"] == round((turn["heard"] - turn["speech_end"]) * 1000, 1)
    assert turn["speech_end"] == pytest.approx(0.3, abs=0.01)
    assert answer["errors"] == []


def test_the_session_is_asked_for_the_model_and_its_turns(talker: Any, said: Any, run: Run) -> None:
    server = talker()
    run("voice", "ask", said(SPEECH), "--url", server.url, "--model", "talker")
    assert server.asked == ["/v1/realtime?model=talker&dragoman_turns=1"]
    (update,) = server.of("session.update")
    assert update["session"]["audio"]["input"]["transcription"]


def test_what_is_sent_is_the_recording_and_then_silence(talker: Any, said: Any, run: Run) -> None:
    import base64

    server = talker()
    run("voice", "ask", said(SPEECH), "--url", server.url, "-m", "talker")
    sent = b"".join(base64.b64decode(event["audio"]) for event in server.of("input_audio_buffer.append"))
    assert sent.startswith(SPEECH)
    assert not any(sent[len(SPEECH) :])


def test_the_reply_is_written(talker: Any, said: Any, run: Run, home: Path) -> None:
    reply = tone(0.15, 300)
    run("voice", "ask", said(SPEECH), "--url", talker(reply=reply).url, "-m", "talker", "--out", "reply.wav")
    with wave.open(str(home / "reply.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        assert file.readframes(file.getnframes()) == reply


def test_several_turns_are_told_apart(talker: Any, said: Any, run: Run) -> None:
    server = talker(reply=tone(0.1))
    both = tone(0.2) + hush(0.6) + tone(0.2)
    _, out, _ = run("voice", "ask", said(both), "--url", server.url, "-m", "talker", "--json")
    first, second = json.loads(out)["turns"]
    assert first["speech_end"] == pytest.approx(0.2, abs=0.01)
    assert second["speech_end"] == pytest.approx(1.0, abs=0.01)


def test_speech_into_the_reply_stops_it_and_says_what_was_heard(talker: Any, said: Any, run: Run) -> None:
    server = talker(reply=tone(30))
    status, out, _ = run(
        "voice", "ask", said(tone(0.2) + hush(0.8) + tone(0.2)), "--url", server.url, "-m", "talker", "--json",
        "--patience", "0",
    )  # fmt: skip
    assert status == 0
    (truncate, *_) = server.of("conversation.item.truncate")
    first = json.loads(out)["turns"][0]
    assert 0 < first["broken_into_ms"] < 30_000
    assert truncate["audio_end_ms"] == first["broken_into_ms"]


def test_a_key_goes_along(talker: Any, said: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    server = talker(keys={"dgm-good"})
    status, _, err = run("voice", "ask", said(SPEECH), "--url", server.url, "-m", "talker")
    assert status == 1
    assert "refused with 401: Incorrect API key provided." in err
    assert "DRAGOMAN_KEY" in err
    monkeypatch.setenv("DRAGOMAN_KEY", "dgm-good")
    assert run("voice", "ask", said(SPEECH), "--url", server.url, "-m", "talker")[0] == 0


def test_nobody_there_is_said(said: Any, run: Run) -> None:
    status, _, err = run("voice", "ask", said(SPEECH), "--url", "ws://127.0.0.1:9/v1/realtime?model=m")
    assert status == 1
    assert "ws://127.0.0.1:9/v1/realtime" in err
    assert "can't connect" in err


def test_a_session_that_breaks_off_is_said(talker: Any, said: Any, run: Run) -> None:
    server = talker(dies_after_commit=True)
    status, _, err = run("voice", "ask", said(SPEECH), "--url", server.url, "-m", "talker")
    assert status == 1
    assert "broke off" in err
    assert "out of breath" in err


def test_a_reply_that_fails_is_said_with_its_reason(talker: Any, said: Any, run: Run) -> None:
    server = talker(fails="the model is on fire")
    status, out, _ = run("voice", "ask", said(SPEECH), "--url", server.url, "-m", "talker")
    assert status == 1
    assert "failed: the model is on fire" in out


def test_where_nothing_is_heard_the_command_says_so_and_fails(talker: Any, said: Any, run: Run) -> None:
    words = ("voice", "ask", said(hush(0.1)), "--url", talker().url, "-m", "talker", "--patience", "0")
    status, _, err = run(*words)
    assert status == 1
    assert "heard nobody speak" in err


HEARD = ("openai/gpt-4o-mini-transcribe", 200)  # what was heard has a row of its own


def account(name: str, talker: Talker) -> dict[str, str]:
    """The talker as a provider."""
    home = talker.url.replace("ws:", "http:").removesuffix("/realtime")
    return {"name": name, "provider": "openai", "key": "sk-fake", "base_url": home}


def write_config(home: Path, talker: Talker, **tables: Any) -> None:
    model = {"name": "speaker", "targets": ["openai/gpt-realtime"], "capabilities": ["audio", "realtime"]}
    text = config(state={"dir": "state"}, accounts=[account("a", talker)], models=[model], **tables)
    (home / "dragoman.toml").write_text(text)


def test_where_no_gateway_runs_the_session_is_of_one_in_here(talker: Any, said: Any, run: Run, home: Path) -> None:
    server = talker()
    write_config(home, server, server={"port": 9}, access={"mode": "keys"})
    status, out, err = run("voice", "ask", said(SPEECH))
    assert (status, err) == (0, "")
    assert "reply: It is ten past two." in out
    assert server.asked == ["/v1/realtime?model=gpt-realtime"]
    rows = [json.loads(line) for line in run("usage", "--rows", "--json")[1].splitlines()]
    assert sorted((row["target"], row["status"]) for row in rows) == [HEARD, ("openai/gpt-realtime", 200)]


def test_where_a_gateway_runs_it_is_asked(talker: Any, said: Any, run: Run, home: Path) -> None:
    server = talker()
    access = {"mode": "keys", "admin_key": "dgm-admin"}
    with GatewayProcess(accounts=[account("b", server)], access=access) as running:
        port = int(running.url.rpartition(":")[2])
        write_config(home, server, server={"port": port}, access=access)
        status, _, err = run("voice", "ask", said(SPEECH), "-m", "openai/gpt-realtime")
        assert (status, err) == (0, "")
        assert [row["account"] for row in running.rows()] == ["b", "b"]  # what was heard has a row of its own


def test_without_any_model_the_mend_is_named(said: Any, run: Run) -> None:
    status, _, err = run("voice", "ask", said(SPEECH))
    assert status == 2
    assert "-m provider/model-id" in err


def test_an_address_elsewhere_needs_a_model(said: Any, run: Run) -> None:
    status, _, err = run("voice", "ask", said(SPEECH), "--url", "wss://voice.example")
    assert status == 1
    assert "--model" in err


def test_without_the_extra_the_mend_is_named(said: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = said(SPEECH)
    monkeypatch.setitem(sys.modules, "numpy", None)
    status, _, err = run("voice", "ask", recorded, "--url", "ws://127.0.0.1:9")
    assert status == 2
    assert "dragoman[voice]" in err


def test_what_is_no_recording_is_bad_usage(home: Path, run: Run) -> None:
    (home / "said.wav").write_text("hello")
    status, _, err = run("voice", "ask", "said.wav", "--url", "ws://127.0.0.1:9")
    assert status == 2
    assert "no WAV file" in err
    assert run("voice", "ask", "missing.wav")[0] == 2
