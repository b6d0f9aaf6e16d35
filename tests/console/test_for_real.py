"""A human voice, the embedded engines and the embedded model: nothing here is a stand-in but the microphone."""

import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from dragoman.cli import recording
from e2e.gateway import GatewayProcess
from fakes.talker import RATE, hush

MINUTE = 60_000


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayProcess]:
    with GatewayProcess(accounts=[{"name": "home", "provider": "local"}]) as running:
        yield running


@pytest.fixture(scope="module")
def sentence() -> bytes:
    """Somebody says "Ever tried." """
    package = find_spec("moonshine_voice")
    assert package is not None
    assert package.origin is not None
    whole = recording.read(Path(package.origin).parent / "assets" / "beckett.wav")
    return whole[: round(1.25 * RATE) * 2]


def test_a_person_talks_with_a_model_in_a_browser(
    gateway: GatewayProcess, browser: Callable[[bytes], Browser], sentence: bytes
) -> None:
    page = browser(hush(1) + sentence + hush(60)).new_page()
    page.goto(f"{gateway.url}/console/voice")
    page.wait_for_selector("option:text-is('local')", state="attached")
    page.click("text=Talk")
    page.wait_for_selector("[role=status]:text-is('Speaking')", timeout=MINUTE)
    page.wait_for_selector(".turn:nth-child(1) .total b", timeout=MINUTE)
    assert "ever" in page.inner_text(".turn:nth-child(1) .you").lower()
    assert page.inner_text(".turn:nth-child(1) .reply").removeprefix("Model").strip()
    assert page.get_attribute(".turn:nth-child(1) .bar", "aria-label").startswith("vad_hang")  # type: ignore[union-attr]
    assert page.query_selector("[role=alert]") is None


def test_a_recording_talks_with_a_model(gateway: GatewayProcess, sentence: bytes) -> None:
    recording.write(gateway.folder / "said.wav", sentence + hush(0.3))
    words = ("voice", "ask", str(gateway.folder / "said.wav"), "--json", "--url", gateway.url, "-m", "local")
    answer = json.loads(gateway.run(*words, "--patience", "30", "--out", str(gateway.folder / "reply.wav")).stdout)
    (turn,) = answer["turns"]
    assert "tried" in turn["said"].lower()
    assert turn["reply"]
    assert turn["target"] == "local/local"
    assert turn["latency_ms"] > 0
    assert recording.audible((gateway.folder / "reply.wav").read_bytes()[44:])
