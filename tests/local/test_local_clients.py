"""The official SDKs onto the embedded model, through a running gateway."""

import json
import threading

import anthropic
import httpx
import ollama
import openai
import pytest
from google import genai
from google.genai import types

from e2e.gateway import GatewayProcess

HELLO = [{"role": "user", "content": "Say hello."}]
COUNT = [{"role": "user", "content": "Count from 1 to 10, one number a line."}]
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["red", "green"]}, "n": {"type": "integer"}},
    "required": ["colour", "n"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "pick", "strict": True, "schema": SCHEMA}}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def chatgpt(gateway: GatewayProcess) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", timeout=60, max_retries=0)


def test_openai_gets_text_usage_and_the_gateways_headers(chatgpt: openai.OpenAI) -> None:
    raw = chatgpt.chat.completions.with_raw_response.create(model="local", messages=HELLO, max_tokens=12)
    reply = raw.parse()
    assert reply.choices[0].message.content
    assert reply.usage.prompt_tokens > 0
    assert 0 < reply.usage.completion_tokens <= 12
    assert reply.model == "local"
    assert raw.headers["x-dragoman-target"] == "local/local"
    assert raw.headers["x-dragoman-account"] == "home"


def test_openai_streams_with_usage_at_the_end(chatgpt: openai.OpenAI) -> None:
    stream = chatgpt.chat.completions.create(
        model="local", messages=HELLO, max_tokens=12, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks) > 1
    assert chunks[-1].usage.completion_tokens > 0


def test_a_seed_at_temperature_one_gives_the_same_text_again(chatgpt: openai.OpenAI) -> None:
    texts = {
        chatgpt.chat.completions.create(model="local", messages=HELLO, max_tokens=10, seed=7, temperature=1)
        .choices[0]
        .message.content
        for _ in range(3)
    }
    assert len(texts) == 1


def test_a_stop_word_ends_the_reply_and_is_not_in_it(chatgpt: openai.OpenAI) -> None:
    choice = chatgpt.chat.completions.create(
        model="local", messages=HELLO, max_tokens=60, response_format=FORMAT, stop=["colour"]
    ).choices[0]  # the schema makes the word come
    assert choice.finish_reason == "stop"
    assert "{" in choice.message.content
    assert "colour" not in choice.message.content


def test_max_tokens_cuts_the_reply(chatgpt: openai.OpenAI) -> None:
    reply = chatgpt.chat.completions.create(model="local", messages=COUNT, max_completion_tokens=3)
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage.completion_tokens == 3


def test_a_json_schema_is_kept(chatgpt: openai.OpenAI) -> None:
    reply = chatgpt.chat.completions.create(model="local", messages=HELLO, max_tokens=60, response_format=FORMAT)
    picked = json.loads(reply.choices[0].message.content)
    assert picked["colour"] in ("red", "green")
    assert isinstance(picked["n"], int)


def test_a_request_with_tools_is_answered(chatgpt: openai.OpenAI) -> None:
    reply = chatgpt.chat.completions.create(model="local", messages=HELLO, max_tokens=8, tools=[TOOL])
    assert reply.choices[0].finish_reason in ("stop", "length", "tool_calls")


def test_a_tools_result_is_shown_to_the_model(chatgpt: openai.OpenAI) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    asked = [
        {"role": "user", "content": "What is the weather in Paris?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    bare = chatgpt.chat.completions.create(model="local", messages=asked[:1], max_tokens=1, tools=[TOOL])
    reply = chatgpt.chat.completions.create(model="local", messages=asked, max_tokens=1, tools=[TOOL])
    assert reply.usage.prompt_tokens > bare.usage.prompt_tokens + 20


def test_responses_are_answered_too(chatgpt: openai.OpenAI) -> None:
    reply = chatgpt.responses.create(model="local", input="Say hello.", max_output_tokens=16)
    assert reply.output_text
    assert reply.usage.output_tokens > 0


def test_texts_are_embedded_the_like_near_the_like(chatgpt: openai.OpenAI) -> None:
    texts = ["The cat sleeps on the sofa.", "A cat is sleeping on a sofa.", "def f(x): return x ** 2"]
    reply = chatgpt.embeddings.create(model="local", input=texts)
    cat, same, code = (entry.embedding for entry in reply.data)
    assert reply.usage.prompt_tokens > 0
    assert _dot(cat, same) > _dot(cat, code)


def _dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_a_prompt_beyond_the_context_is_refused_as_that(chatgpt: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        chatgpt.chat.completions.create(model="local", messages=[{"role": "user", "content": "word " * 9000}])
    assert "context" in str(refused.value)
    assert refused.value.response.headers["x-dragoman-error"] == "context_length"


def test_a_text_too_long_to_embed_is_the_clients_fault(chatgpt: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        chatgpt.embeddings.create(model="local", input="word " * 3000)


def test_an_image_is_refused_and_rests_no_account(chatgpt: openai.OpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aaaa"}}
    with pytest.raises(openai.BadRequestError):
        chatgpt.chat.completions.create(model="local", messages=[{"role": "user", "content": [image]}])
    assert chatgpt.chat.completions.create(model="local", messages=HELLO, max_tokens=1).choices


def test_a_tool_that_only_its_maker_has_is_the_clients_fault(gateway: GatewayProcess) -> None:
    body = {"model": "local", "messages": HELLO, "tools": [{"type": "web_search"}]}
    assert httpx.post(f"{gateway.url}/v1/chat/completions", json=body).status_code == 400


def test_another_name_at_the_provider_is_unknown(chatgpt: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        chatgpt.chat.completions.create(model="local/gpt-5", messages=HELLO)


def test_it_is_listed(chatgpt: openai.OpenAI) -> None:
    assert [model.id for model in chatgpt.models.list()] == ["local"]


def test_many_at_once_are_all_answered(gateway: GatewayProcess) -> None:
    texts: list[str] = []

    def ask() -> None:
        body = {"model": "local", "messages": HELLO, "max_tokens": 4}
        reply = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, timeout=60)
        texts.append(reply.json()["choices"][0]["message"]["content"])

    askers = [threading.Thread(target=ask) for _ in range(10)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(60)
    assert len(texts) == 10


def test_anthropic_gets_text_and_streams(gateway: GatewayProcess) -> None:
    client = anthropic.Anthropic(base_url=gateway.url, api_key="any", timeout=60, max_retries=0)
    whole = client.messages.create(model="local", max_tokens=12, messages=HELLO)
    assert whole.content[0].text
    assert whole.usage.output_tokens > 0
    with client.messages.stream(model="local", max_tokens=12, messages=HELLO) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) > 1
    assert final.content[0].text == "".join(pieces)
    assert final.usage.output_tokens > 0
    assert final.stop_reason in ("end_turn", "max_tokens")


def test_gemini_gets_text_and_streams(gateway: GatewayProcess) -> None:
    client = genai.Client(api_key="any", http_options=types.HttpOptions(base_url=gateway.url, timeout=60_000))
    limit = types.GenerateContentConfig(max_output_tokens=12)
    whole = client.models.generate_content(model="local", contents="Say hello.", config=limit)
    assert whole.text
    assert whole.usage_metadata.candidates_token_count > 0
    chunks = list(client.models.generate_content_stream(model="local", contents="Say hello.", config=limit))
    assert sum(bool(chunk.text) for chunk in chunks) > 1
    assert chunks[-1].usage_metadata.candidates_token_count > 0


def test_gemini_keeps_a_schema(gateway: GatewayProcess) -> None:
    client = genai.Client(api_key="any", http_options=types.HttpOptions(base_url=gateway.url, timeout=60_000))
    wish = types.GenerateContentConfig(
        max_output_tokens=60, response_mime_type="application/json", response_json_schema=SCHEMA
    )
    reply = client.models.generate_content(model="local", contents="Pick.", config=wish)
    assert json.loads(reply.text)["colour"] in ("red", "green")


def test_the_sampling_of_ollamas_clients_gets_through_and_what_does_not_is_named(gateway: GatewayProcess) -> None:
    def ask(seed: int) -> httpx.Response:
        options = {"num_predict": 12, "seed": seed, "top_k": 1, "repeat_penalty": 1.1}
        body = {"model": "local", "messages": HELLO, "options": options, "stream": False}
        return httpx.post(f"{gateway.url}/api/chat", json=body, timeout=60)

    replies = [ask(seed) for seed in (1, 2, 3)]
    assert len({reply.json()["message"]["content"] for reply in replies}) == 1  # one choice is none
    assert "repeat_penalty" in replies[0].headers["x-dragoman-lossy"]
    assert "top_k" not in replies[0].headers["x-dragoman-lossy"]


def test_ollama_gets_text_and_streams(gateway: GatewayProcess) -> None:
    client = ollama.Client(host=gateway.url, timeout=60)
    whole = client.chat(model="local", messages=HELLO, options={"num_predict": 12})
    assert whole.message.content
    assert whole.eval_count > 0
    pieces = list(client.chat(model="local", messages=HELLO, options={"num_predict": 12}, stream=True))
    assert sum(bool(piece.message.content) for piece in pieces) > 1
    assert pieces[-1].done
    assert pieces[-1].eval_count > 0
