"""Embeddings: every dialect's calls and replies through one shape."""

import base64
import json
import struct

import pytest
from cohere import EmbedByTypeResponse
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st
from ollama import EmbeddingsResponse, EmbedResponse
from openai.types import CreateEmbeddingResponse

from dragoman.canon import Media, Text
from dragoman.dialects.dialect import Unsayable
from dragoman.dialects.embeddings import EmbeddingReply, EmbeddingRequest, cohere, gemini, ollama, openai
from dragoman.dialects.fields import Malformed

VECTORS = [[0.5, -1.0], [0.25, 2.0]]
IMAGE = Media(kind="image", mime="image/png", data="AAAA")


def asked(*inputs, dialect="openai-chat", **fields):
    return EmbeddingRequest(dialect=dialect, model="m", inputs=list(inputs), **fields)


@pytest.mark.parametrize("value", ["one", ["one", "two"], [1, 2, 3], [[1, 2], [3]], ["one", [2]]])
def test_every_openai_input_comes_back(value):
    body = {"model": "m", "input": value, "encoding_format": "base64", "dimensions": 3, "user": "u", "x": 1}
    written = openai.write_request(openai.read_request(json.loads(json.dumps(body))))
    assert (written.body, written.lossy) == (body, [])


@pytest.mark.parametrize("value", [None, [], 5, [[]], [True], [None], {"a": 1}, [["a"]]])
def test_other_openai_inputs_are_refused(value):
    with pytest.raises(Malformed, match="input"):
        openai.read_request({"model": "m", "input": value})


BATCH = {
    "requests": [
        {
            "model": "models/m",
            "content": {"parts": [{"text": t}]},
            "taskType": "CODE_RETRIEVAL_QUERY",
            "outputDimensionality": 2,
            "title": "T",
        }
        for t in ("one", "two")
    ]
}


def test_gemini_s_batch_comes_back():
    request = gemini.read_request(json.loads(json.dumps(BATCH)))
    assert (request.inputs, request.task, request.dimensions) == (["one", "two"], "query", 2)
    request.model = "m"
    written = gemini.write_request(request)
    assert (written.body, written.lossy) == (BATCH, [])
    assert gemini.path(request) == "/models/m:batchEmbedContents"


def test_gemini_s_single_form_with_vertex_s_options():
    body = {
        "content": {"role": "user", "parts": [{"text": "one"}]},
        "embed_content_config": {"task_type": "CLUSTERING", "output_dimensionality": 2, "auto_truncate": True},
    }
    request = gemini.read_request(body)
    assert (request.single, request.inputs, request.task, request.truncate) == (True, ["one"], "clustering", True)
    request.model = "m"
    assert gemini.path(request) == "/models/m:embedContent"
    assert gemini.write_request(request).body == {
        "model": "models/m",
        "content": {"parts": [{"text": "one"}]},
        "taskType": "CLUSTERING",
        "outputDimensionality": 2,
        "autoTruncate": True,
    }


def test_a_batch_of_differing_options_is_refused():
    body = json.loads(json.dumps(BATCH))
    body["requests"][1]["taskType"] = "CLUSTERING"
    with pytest.raises(Malformed, match=r"requests\[1\]"):
        gemini.read_request(body)


def test_both_forms_of_ollama():
    body = {"model": "m", "input": ["a"], "truncate": False, "dimensions": 2, "options": {"num_ctx": 1}}
    request = ollama.read_request(dict(body))
    assert ollama.write_request(request).body == body
    old = ollama.read_request({"model": "m", "prompt": "a", "keep_alive": "5m"})
    assert ollama.write_request(old).body == {"model": "m", "input": "a", "keep_alive": "5m"}
    reply = EmbeddingReply(dialect="openai-chat", model="m", vectors=VECTORS[:1], tokens=3)
    assert EmbeddingsResponse.model_validate_json(ollama.write_reply(reply, old)).embedding == VECTORS[0]
    assert EmbedResponse.model_validate_json(ollama.write_reply(reply, request)).prompt_eval_count == 3


def test_cohere_insists_on_a_type():
    written = cohere.write_request(asked("a", "b", dimensions=256, user="u"))
    assert written.body == {
        "model": "m",
        "texts": ["a", "b"],
        "input_type": "search_document",
        "embedding_types": ["float"],
        "output_dimension": 256,
    }
    assert written.lossy == ["user"]
    assert cohere.write_request(asked("a", task="query")).body["input_type"] == "search_query"


def test_cohere_takes_images():
    body = cohere.write_request(asked([Text(text="a"), IMAGE], "b", dialect="gemini")).body
    assert body["inputs"] == [
        {
            "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]
        },
        {"content": [{"type": "text", "text": "b"}]},
    ]


@pytest.mark.parametrize("module", [gemini, ollama, cohere])
def test_token_ids_are_openai_s_alone(module):
    with pytest.raises(Unsayable, match="token ids"):
        module.write_request(asked([1, 2]))


@pytest.mark.parametrize("module", [openai, ollama])
def test_media_need_a_provider_that_sees(module):
    with pytest.raises(Unsayable, match="text only"):
        module.write_request(asked([IMAGE], dialect="gemini"))


def test_losses_are_named():
    request = asked("a", dialect="gemini", task="query", truncate=True, extra={"title": "T"})
    assert openai.write_request(request).lossy == ["task", "truncate", "title"]
    assert ollama.write_request(request).lossy == ["task", "title"]
    assert gemini.write_request(asked("a", user="u")).lossy == ["user"]


def test_openai_reply_in_numbers_and_in_base64():
    packed = base64.b64encode(struct.pack("<2f", *VECTORS[0])).decode()
    body = {
        "object": "list",
        "model": "m",
        "data": [
            {"object": "embedding", "index": 1, "embedding": VECTORS[1]},
            {"object": "embedding", "index": 0, "embedding": packed},
        ],
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    reply = openai.read_reply(json.dumps(body).encode())
    assert (reply.vectors, reply.tokens, reply.model) == (VECTORS, 4, "m")
    plain = json.loads(openai.write_reply(reply, asked("a", "b")))
    assert CreateEmbeddingResponse.model_validate(plain).data[1].embedding == VECTORS[1]
    coded = json.loads(openai.write_reply(reply, asked("a", "b", encoding="base64")))
    assert coded["data"][0]["embedding"] == packed


def test_gemini_reply_in_both_forms():
    reply = EmbeddingReply(dialect="cohere", vectors=VECTORS, tokens=4)
    many = gemini.write_reply(reply, asked("a", "b", dialect="gemini"))
    assert types.EmbedContentResponse.model_validate_json(many).embeddings[1].values == VECTORS[1]
    back = gemini.read_reply(many)
    assert (back.vectors, back.tokens) == (VECTORS, 4)
    reply.vectors = VECTORS[:1]
    one = gemini.write_reply(reply, asked("a", dialect="gemini", single=True))
    assert json.loads(one)["embedding"] == {"values": VECTORS[0]}
    assert gemini.read_reply(one).vectors == VECTORS[:1]


def test_cohere_reply():
    body = {
        "id": "x",
        "response_type": "embeddings_by_type",
        "embeddings": {"float": VECTORS},
        "texts": ["a", "b"],
        "meta": {"billed_units": {"input_tokens": 4}},
    }
    EmbedByTypeResponse.model_validate(body)
    reply = cohere.read_reply(json.dumps(body).encode())
    assert (reply.vectors, reply.tokens, reply.id) == (VECTORS, 4, "x")


@pytest.mark.parametrize("module", [openai, gemini, ollama, cohere])
@pytest.mark.parametrize("body", [b"{}", b"[]", b"", b"<html>", b'{"data": [{}], "embeddings": [5], "embedding": {}}'])
def test_a_spoiled_reply_is_malformed(module, body):
    with pytest.raises(Malformed):
        module.read_reply(body)


texts = st.lists(st.text(max_size=8), min_size=1, max_size=3)


@settings(max_examples=100, deadline=None)
@given(texts, st.none() | st.integers(1, 4096), st.sampled_from([openai, gemini, ollama]))
def test_a_call_survives_every_dialect(inputs, dimensions, module):
    request = asked(*inputs, dialect="local", dimensions=dimensions)
    back = module.read_request(json.loads(json.dumps(module.write_request(request).body)))
    assert (back.inputs, back.dimensions) == (inputs, dimensions)
