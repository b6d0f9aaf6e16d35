"""A call over WebRTC from Chromium, with plain web APIs, through a gateway as its users run it."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from e2e.gateway import GatewayProcess
from fakes.talker import Talker, hush, talk, tone

CALL = """async () => {
  const connection = new RTCPeerConnection();
  const events = [];
  const sounds = new Promise((resolve) => (connection.ontrack = ({ streams: [stream] }) => {
    const player = new Audio(); // Chromium decodes what somebody plays
    player.srcObject = stream;
    player.play();
    const context = new AudioContext();
    const meter = context.createAnalyser();
    context.createMediaStreamSource(stream).connect(meter);
    const wave = new Float32Array(meter.fftSize);
    const look = () => {
      meter.getFloatTimeDomainData(wave);
      if (Math.max(...wave) > 0.15) resolve(true);
      else requestAnimationFrame(look);
    };
    look();
  }));
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  connection.addTrack(microphone.getTracks()[0], microphone);
  const channel = connection.createDataChannel("oai-events");
  const over = new Promise((resolve) => (channel.onmessage = ({ data }) => {
    events.push(JSON.parse(data));
    if (events.at(-1).type === "output_audio_buffer.stopped") resolve();
  }));
  await connection.setLocalDescription(await connection.createOffer());
  const reply = await fetch("/v1/realtime/calls?model=openai/gpt-realtime", {
    method: "POST", body: connection.localDescription.sdp, headers: { "content-type": "application/sdp" },
  });
  await connection.setRemoteDescription({ type: "answer", sdp: await reply.text() });
  const loud = await sounds;
  await over;
  connection.close();
  return { status: reply.status, location: reply.headers.get("location"), loud, events };
}"""


@pytest.fixture
def gateway() -> Iterator[GatewayProcess]:
    with talk(Talker(reply=hush(0.2) + tone(2))) as server:
        home = server.url.replace("ws:", "http:").removesuffix("/realtime")
        account = {"name": "a", "provider": "openai", "key": "sk-fake", "base_url": home}
        with GatewayProcess(accounts=[account]) as running:
            yield running


def test_a_browser_calls_hears_and_is_heard(gateway: GatewayProcess, browser: Callable[[bytes], Browser]) -> None:
    page = browser(hush(1) + tone(0.6) + hush(5)).new_page()
    page.goto(gateway.url + "/console")
    call = page.evaluate(CALL)
    assert call["status"] == 201
    assert call["location"].startswith("/v1/realtime/calls/rtc_")
    assert call["loud"]
    types = [event["type"] for event in call["events"]]
    for kind in ("session.created", "input_audio_buffer.speech_started", "response.output_audio_transcript.done"):
        assert kind in types
    assert types.index("output_audio_buffer.started") < types.index("output_audio_buffer.stopped")
