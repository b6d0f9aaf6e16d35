"""The official OpenAI SDK talks to the fake's embeddings, moderations, images, speech and transcriptions."""

import hashlib

import httpx
import openai
import pytest
from openai.types import CreateEmbeddingResponse, ImagesResponse, ModerationCreateResponse
from openai.types.audio import Transcription

from fakes import shape, start
from fakes.openai_media import PNG


@pytest.fixture(scope="module")
def fake():
    with start("openai-chat") as running:
        yield running


@pytest.fixture(scope="module")
def client(fake):
    return openai.OpenAI(base_url=fake.base_url, api_key=fake.key, max_retries=0)


def post(fake, path, body):
    return httpx.post(f"{fake.base_url}/{path}", json=body, headers={"authorization": f"Bearer {fake.key}"})


def test_embeddings_are_deterministic_in_both_encodings(fake, client):
    asked = {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 8}
    packed = client.embeddings.create(**asked)  # the SDK asks for base64
    plain = client.embeddings.create(**asked, encoding_format="float")
    assert [len(one.embedding) for one in plain.data] == [8, 8]
    assert packed.data[1].embedding == pytest.approx(plain.data[1].embedding, abs=1e-6)
    assert plain.data[0].embedding != plain.data[1].embedding
    shape.conform(CreateEmbeddingResponse, post(fake, "embeddings", {**asked, "encoding_format": "float"}).json())


def test_violence_is_flagged(fake, client):
    assert [one.flagged for one in client.moderations.create(input=["hi", "kill"]).results] == [False, True]
    shape.conform(ModerationCreateResponse, post(fake, "moderations", {"input": "hi"}).json())


def test_an_image_is_drawn_whole_and_streamed(fake, client):
    import base64

    reply = client.images.generate(model="gpt-image-1", prompt="a dot", n=2)
    assert [base64.b64decode(one.b64_json) for one in reply.data] == [PNG, PNG]
    events = list(client.images.generate(model="gpt-image-1", prompt="a dot", stream=True, partial_images=1))
    assert [event.type for event in events] == ["image_generation.partial_image", "image_generation.completed"]
    shape.conform(ImagesResponse, post(fake, "images/generations", {"prompt": "x"}).json())


def test_speech_is_streamed_as_bytes(client):
    with client.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input="hello") as reply:
        assert reply.headers["content-type"] == "audio/mpeg"
        assert b"".join(reply.iter_bytes()).endswith(b"hello")


def test_a_transcription_tells_the_files_hash(fake, client):
    sound = bytes(range(256)) * 4
    digest = hashlib.sha256(sound).hexdigest()[:16]
    upload = ("a.wav", sound, "audio/wav")
    reply = client.audio.transcriptions.create(
        model="whisper-1", file=upload, language="en", timestamp_granularities=["word"]
    )
    assert reply.text == f"[audio audio/wav sha256:{digest}]"
    streamed = list(client.audio.transcriptions.create(model="gpt-4o-transcribe", file=upload, stream=True))
    assert streamed[-1].text == reply.text
    assert client.audio.transcriptions.create(model="whisper-1", file=upload, response_format="text") == reply.text
    raw = httpx.post(
        f"{fake.base_url}/audio/transcriptions",
        data={"model": "whisper-1"},
        files={"file": upload},
        headers={"authorization": f"Bearer {fake.key}"},
    )
    shape.conform(Transcription, raw.json())


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("embeddings", {"input": "x"}, "Missing required parameter: 'model'."),
        ("embeddings", {"input": "", "model": "m"}, "input cannot be an empty string"),
        ("embeddings", {"input": "x", "model": "m", "task": "q"}, "Unknown parameter: 'task'."),
        ("moderations", {}, "Missing required parameter: 'input'."),
        ("images/generations", {"prompt": "x", "n": 11}, "Expected a value <= 10"),
        ("audio/speech", {"model": "m", "input": "x"}, "Missing required parameter: 'voice'."),
        ("audio/speech", {"model": "m", "input": "x", "voice": "alloy", "speed": 9}, "Expected a value <= 4.0"),
        ("audio/transcriptions", {"model": "m"}, "Could not parse multipart form"),
    ],
)
def test_a_wrong_body_is_refused(fake, path, body, message):
    reply = post(fake, path, body)
    assert (reply.status_code, message in reply.json()["error"]["message"]) == (400, True), reply.text


def test_a_transcription_without_a_file_is_refused(fake):
    reply = httpx.post(
        f"{fake.base_url}/audio/transcriptions",
        files={"model": (None, "whisper-1")},
        headers={"authorization": f"Bearer {fake.key}"},
    )
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "file")
