"""What is asked of models beside answers: token counts, embeddings, lists, sounds, pictures, moderation."""

import math

import anthropic
import ollama
import openai
import pytest
from google import genai
from google.genai import types

from e2e.columns import COLUMNS
from fakes.openai_media import PNG

EMBEDDERS = [name for name in ("openai-chat", "azure", "gemini", "vertex", "ollama", "cohere") if name in COLUMNS]
OPENAI = ["openai-chat", "azure"]


@pytest.fixture(scope="module")
def clients(world):
    url = world.gateway.url
    return {
        "openai": openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0),
        "anthropic": anthropic.Anthropic(base_url=url, api_key="any", max_retries=0),
        "gemini": genai.Client(api_key="any", http_options=types.HttpOptions(base_url=url)),
        "ollama": ollama.Client(host=url),
    }


@pytest.mark.parametrize("column", COLUMNS)
def test_tokens_are_counted_for_an_anthropic_client(world, clients, column):
    messages = [{"role": "user", "content": "hello " * 40}]
    raw = clients["anthropic"].messages.with_raw_response.count_tokens(model=column, messages=messages)
    assert 20 < raw.parse().input_tokens < 200
    counted = column in ("anthropic", "gemini", "vertex")  # the others have no endpoint for it, or none we ask
    assert raw.headers.get("x-dragoman-estimated") == (None if counted else "1")


@pytest.mark.parametrize("column", COLUMNS)
def test_tokens_are_counted_for_a_gemini_client(world, clients, column):
    reply = clients["gemini"].models.count_tokens(model=column, contents="hello " * 40)
    assert 20 < reply.total_tokens < 200


@pytest.mark.parametrize("column", COLUMNS)
def test_tokens_are_counted_for_a_responses_client(world, clients, column):
    reply = clients["openai"].responses.input_tokens.count(model=column, input="hello " * 40)
    assert 20 < reply.input_tokens < 200


def _vectors(clients, client: str, column: str, texts: list[str]) -> list[list[float]]:
    model = f"embedder-{list(COLUMNS).index(column)}"
    match client:
        case "openai":
            reply = clients["openai"].embeddings.create(model=model, input=texts)
            assert [item.index for item in reply.data] == list(range(len(texts)))
            assert reply.usage.prompt_tokens > 0
            return [item.embedding for item in reply.data]
        case "gemini":
            reply = clients["gemini"].models.embed_content(model=model, contents=texts)
            return [item.values for item in reply.embeddings]
    return [list(vector) for vector in clients["ollama"].embed(model=model, input=texts).embeddings]


@pytest.mark.parametrize("column", EMBEDDERS)
@pytest.mark.parametrize("client", ["openai", "gemini", "ollama"])
def test_texts_are_embedded(clients, client, column):
    one, two, again = _vectors(clients, client, column, ["one", "two", "one"])
    assert one == pytest.approx(again)
    assert one != two
    assert len(one) == len(two) > 2
    assert math.dist(one, two) > 0.01


@pytest.mark.parametrize("column", ["anthropic", "bedrock"])
def test_a_provider_without_embeddings_is_told(clients, column):
    with pytest.raises(openai.BadRequestError, match="no embeddings"):
        clients["openai"].embeddings.create(model=column, input="one")


def test_every_dialect_lists_the_models(clients):
    wanted = set(COLUMNS)
    assert wanted <= {model.id for model in clients["openai"].models.list()}
    assert wanted <= {model.id for model in clients["anthropic"].models.list()}
    assert wanted <= {model.name.removeprefix("models/") for model in clients["gemini"].models.list()}
    assert wanted <= {model.model.removesuffix(":latest") for model in clients["ollama"].list().models}


def test_what_the_accounts_offer_is_listed_too(clients):
    listed = {model.id for model in clients["openai"].models.list()}
    assert {"anthropic/claude-mock", "gemini/gemini-mock"} <= listed


def test_one_model_is_found_in_every_dialect(clients):
    assert clients["openai"].models.retrieve("anthropic").id == "anthropic"
    assert clients["anthropic"].models.retrieve("gemini").id == "gemini"
    assert clients["gemini"].models.get(model="anthropic").name == "models/anthropic"
    assert clients["ollama"].show("anthropic").modelinfo is not None
    with pytest.raises(openai.NotFoundError):
        clients["openai"].models.retrieve("nobody")


@pytest.mark.parametrize("column", OPENAI)
def test_speech_is_relayed(clients, column):
    reply = clients["openai"].audio.speech.create(model=column, voice="alloy", input="hello", response_format="wav")
    assert reply.response.headers["content-type"] == "audio/wav"
    assert len(reply.content) > 10


@pytest.mark.parametrize("column", OPENAI)
@pytest.mark.parametrize("format", ["json", "text"])
def test_a_recording_is_relayed(world, clients, column, format):
    sound = ("a.wav", b"RIFF\x00\x00\r\n--x", "audio/wav")  # with what looks like a boundary
    reply = clients["openai"].audio.transcriptions.create(model=column, file=sound, response_format=format)
    assert getattr(reply, "text", reply)
    assert b"RIFF\x00\x00\r\n--x" in world.fakes[column].last.body


@pytest.mark.parametrize("column", OPENAI)
def test_a_picture_is_relayed(clients, column):
    reply = clients["openai"].images.generate(model=column, prompt="a cat")
    assert reply.data


@pytest.mark.parametrize("column", OPENAI)
def test_a_moderation_is_relayed(clients, column):
    assert clients["openai"].moderations.create(model=column, input="hello").results[0].flagged is False


def test_a_provider_without_an_endpoint_is_told(clients):
    with pytest.raises(openai.BadRequestError, match=r"no audio/speech"):
        clients["openai"].audio.speech.create(model="anthropic", voice="alloy", input="hello")


def test_ollamas_generate_is_answered_by_every_upstream(clients):
    for column in COLUMNS:
        whole = clients["ollama"].generate(model=column, prompt="hello", images=[PNG])
        assert whole.response.startswith("You said: hello [image image/png")
        pieces = list(clients["ollama"].generate(model=column, prompt="hello", stream=True))
        assert "".join(piece.response for piece in pieces) == "You said: hello"
        assert pieces[-1].done
