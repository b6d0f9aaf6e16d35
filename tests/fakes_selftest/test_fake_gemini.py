"""The official Google SDK talks to the fake, and the fake refuses what Gemini refuses."""

import hashlib
import json

import httpx
import pytest
from google import genai
from google.genai import errors, types

from fakes import Scenario, shape, start, status
from fakes.openai_media import PNG

WEATHER = {
    "name": "get_weather",
    "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]},
}
CLOCK = {"name": "clock"}
TOOLS = [{"functionDeclarations": [WEATHER, CLOCK]}]
HELLO = [{"role": "user", "parts": [{"text": "hello"}]}]
SOUND = b"\xfb\xff sound"  # in base64 it differs between the alphabets
MODEL = "gemini-3-mock"


@pytest.fixture(scope="module")
def fake():
    with start("gemini") as running:
        yield running


@pytest.fixture(scope="module")
def client(fake):
    return genai.Client(api_key=fake.key, http_options=types.HttpOptions(base_url=fake.base_url))


def post(fake, verb="generateContent", model=MODEL, query="", **body):
    body = {"contents": HELLO, **body} if verb.endswith("enerateContent") else body
    return httpx.post(
        f"{fake.base_url}/v1beta/models/{model}:{verb}{query}",
        json={k: v for k, v in body.items() if v is not None},
        headers={"x-goog-api-key": fake.key},
    )


def quiet(**options):
    off = types.AutomaticFunctionCallingConfig(disable=True)
    return types.GenerateContentConfig(automatic_function_calling=off, **options)


def test_content_is_answered_with_text_and_usage(client):
    reply = client.models.generate_content(model=MODEL, contents="hello")
    assert reply.text == "You said: hello"
    usage = reply.usage_metadata
    assert usage.thoughts_token_count > 0
    assert usage.total_token_count == (
        usage.prompt_token_count + usage.candidates_token_count + usage.thoughts_token_count
    )


def test_replies_have_the_sdks_own_types(fake):
    asked = [{"role": "user", "parts": [{"text": "preamble call:clock"}]}]
    config = {"thinkingConfig": {"includeThoughts": True}, "responseLogprobs": True, "logprobs": 2}
    how = shape.How(loose=True)
    shape.conform(
        types.GenerateContentResponse, post(fake, contents=asked, tools=TOOLS, generationConfig=config).json(), how
    )
    for chunk in post(fake, "streamGenerateContent", contents=asked, tools=TOOLS).json():
        shape.conform(types.GenerateContentResponse, chunk, how)


@pytest.mark.parametrize("call_ids", [False, True])
def test_a_tool_loop_with_signatures_ends_with_the_results(call_ids):
    with start("gemini", call_ids=call_ids) as fake:
        client = genai.Client(api_key=fake.key, http_options=types.HttpOptions(base_url=fake.base_url))
        contents = [types.UserContent('call:get_weather{"city": "Paris"} call:clock')]
        config = quiet(tools=[types.Tool(function_declarations=[WEATHER, CLOCK])])
        for streamed in (True, False):
            if streamed:
                parts = []
                for chunk in client.models.generate_content_stream(model=MODEL, contents=contents, config=config):
                    parts += chunk.candidates[0].content.parts
            else:
                parts = (
                    client.models.generate_content(model=MODEL, contents=contents, config=config)
                    .candidates[0]
                    .content.parts
                )
            calls = [part.function_call for part in parts]
            assert [(call.name, call.args) for call in calls] == [("get_weather", {"city": "Paris"}), ("clock", {})]
            assert [bool(part.thought_signature) for part in parts] == [True, False]
            assert [bool(call.id) for call in calls] == [call_ids, call_ids]
            results = [
                types.Part(
                    function_response=types.FunctionResponse(
                        id=call.id, name=call.name, response={"output": f"result of {call.name}"}
                    )
                )
                for call in calls
            ]
            back = [*contents, types.ModelContent(parts), types.UserContent(results)]
            final = client.models.generate_content(model=MODEL, contents=back, config=config)
            assert final.text == "get_weather returned: result of get_weather clock returned: result of clock"


@pytest.mark.parametrize("query", ["?alt=sse", ""])
def test_a_stream_adds_up_to_the_reply(fake, query):
    asked = {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
    whole = post(fake, **asked).json()["candidates"][0]["content"]["parts"]
    text = post(fake, "streamGenerateContent", query=query, **asked).text
    if query:
        assert text.endswith("\r\n\r\n")
        chunks = [json.loads(frame.removeprefix("data: ")) for frame in text.split("\r\n\r\n") if frame]
    else:
        chunks = json.loads(text)
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    for thought in (True, False):
        said = "".join(part["text"] for part in parts if bool(part.get("thought")) == thought)
        assert said == "".join(part["text"] for part in whole if bool(part.get("thought")) == thought) != ""
    assert [chunk["candidates"][0].get("finishReason") for chunk in chunks][-2:] == [None, "STOP"]
    assert parts[-1]["thoughtSignature"] == whole[-1]["thoughtSignature"]


def test_media_are_acknowledged_by_their_hash(client):
    contents = [
        types.Part.from_bytes(data=PNG, mime_type="image/png"),
        types.Part.from_bytes(data=SOUND, mime_type="audio/wav"),
        "what is it?",
    ]
    text = client.models.generate_content(model=MODEL, contents=contents).text
    assert f"[image image/png sha256:{hashlib.sha256(PNG).hexdigest()[:16]}]" in text
    assert f"[audio audio/wav sha256:{hashlib.sha256(SOUND).hexdigest()[:16]}]" in text


def test_structured_output_is_parsed_by_the_sdk(client):
    from pydantic import BaseModel

    class Person(BaseModel):
        name: str
        age: int

    config = quiet(response_mime_type="application/json", response_schema=Person)
    assert client.models.generate_content(model=MODEL, contents="who", config=config).parsed == Person(
        name="sample", age=7
    )


def test_the_finish_reason_tells_why(client):
    def reason(text, **options):
        reply = client.models.generate_content(model=MODEL, contents=text, config=quiet(**options))
        return reply.candidates[0].finish_reason.value if reply.candidates else reply.prompt_feedback.block_reason.value

    assert reason("words:50", max_output_tokens=2) == "MAX_TOKENS"
    assert reason("words:50", stop_sequences=["word3"]) == "STOP"
    assert reason("filter") == "SAFETY"
    assert reason("refuse") == "PROHIBITED_CONTENT"


def test_tokens_are_counted_texts_embedded_and_models_listed(fake, client):
    assert client.models.count_tokens(model=MODEL, contents="hello").total_tokens > 0
    reply = client.models.embed_content(model="gemini-embedding-001", contents=["a", "b"])
    assert [len(one.values) for one in reply.embeddings] == [768, 768]
    one = post(fake, "embedContent", content=HELLO[0], outputDimensionality=4).json()
    assert len(one["embedding"]["values"]) == 4
    assert [model.name for model in client.models.list()] == ["models/gemini-mock"]


def test_vertex_wants_an_access_token_on_its_own_paths():
    with start("vertex") as vertex:
        path = f"/v1/projects/p/locations/us-central1/publishers/google/models/{MODEL}:generateContent"
        bearer = {"authorization": f"Bearer {vertex.key}"}
        assert httpx.post(vertex.url + path, json={"contents": HELLO}, headers=bearer).status_code == 200
        assert httpx.post(vertex.url + path, json={"contents": HELLO}).json()["error"]["status"] == "UNAUTHENTICATED"


def test_keys_are_checked(fake):
    url = f"{fake.base_url}/v1beta/models/{MODEL}:generateContent"
    wrong = httpx.post(f"{url}?key=no", json={})
    assert (wrong.status_code, wrong.json()["error"]["details"][0]["reason"]) == (400, "API_KEY_INVALID")
    assert httpx.post(url, json={}).json()["error"]["status"] == "PERMISSION_DENIED"
    assert httpx.post(f"{url}?key={fake.key}", json={"contents": HELLO}).status_code == 200


def user(*parts):
    return {"role": "user", "parts": list(parts)}


def model(*parts):
    return {"role": "model", "parts": list(parts)}


CALL = {"functionCall": {"name": "clock", "args": {}}}
DUMMY = {**CALL, "thoughtSignature": "skip_thought_signature_validator"}
RESULT = {"functionResponse": {"name": "clock", "response": {"output": "noon"}}}


def test_the_documented_dummy_signature_is_taken(fake):
    assert post(fake, contents=[*HELLO, model(DUMMY), user(RESULT)]).status_code == 200


def test_old_models_and_earlier_turns_need_no_signature(fake):
    done = [*HELLO, model(CALL), user(RESULT)]
    assert post(fake, contents=done, model="gemini-2.5-flash").status_code == 200
    assert post(fake, contents=[*done, model({"text": "noon"}), *HELLO]).status_code == 200


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contents": None}, "contents is not specified"),
        ({"messages": []}, 'Unknown name "messages": Cannot find field.'),
        ({"contents": [user({"text": "x", "foo": 1})]}, "Unknown name \"foo\" at 'contents[0].parts[0]'"),
        ({"contents": [user({"text": 1.5})]}, "Invalid value at 'contents[0].parts[0].text' (TYPE_STRING), 1.5"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "Please use a valid role: user, model."),
        ({"contents": [user()]}, "parts must not be empty"),
        ({"contents": [user({"thought": True})]}, "required oneof field 'data' must have one initialized field"),
        ({"contents": [user({"text": "x", **CALL})]}, "oneof field 'data' is already set"),
        ({"contents": [user({"inlineData": {"mimeType": "image/png", "data": "%%%"}})]}, "Base64 decoding failed"),
        ({"contents": [*HELLO, model(CALL), user(RESULT)]}, "Function call is missing a thought_signature"),
        ({"contents": [*HELLO, model({**CALL, "thoughtSignature": "QUJD"}), user(RESULT)]}, "is not valid"),
        ({"contents": [*HELLO, model(DUMMY, CALL), user(RESULT)]}, "number of function response parts is equal"),
        ({"contents": [*HELLO, model(DUMMY), user({"text": "x"})]}, "number of function response parts is equal"),
        ({"contents": [*HELLO, user(RESULT)]}, "comes immediately after a function call turn"),
        ({"contents": [model(DUMMY), user(RESULT)]}, "function call turn comes immediately after a user turn"),
        ({"contents": [*HELLO, model(DUMMY)]}, "end with a user role or a function response"),
        ({"generationConfig": {"max_tokens": 5}}, "Unknown name \"max_tokens\" at 'generation_config'"),
        ({"generationConfig": {"temperature": 3}}, "temperature must be in the range"),
        ({"generationConfig": {"responseSchema": {"type": "STRING"}}}, "only allowed when response_mime_type"),
        ({"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}}}, "only one of"),
        (
            {"tools": [{"functionDeclarations": [{**WEATHER, "parameters": {"type": "object", "$schema": "x"}}]}]},
            'Unknown name "$schema"',
        ),
        (
            {
                "tools": [
                    {
                        "functionDeclarations": [
                            {"name": "f", "parameters": {"type": "object", "additionalProperties": False}}
                        ]
                    }
                ]
            },
            'Unknown name "additionalProperties"',
        ),
        (
            {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "object", "properties": {}}}]}]},
            "should be non-empty for OBJECT type",
        ),
        ({"tools": [{"functionDeclarations": [{"name": "1 f"}]}]}, "Invalid function name"),
        ({"tools": [{"functionDeclarations": [CLOCK, CLOCK]}]}, "Duplicate function declaration"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "SOMETIMES"}}}, "Invalid value at 'tool_config"),
    ],
)
def test_a_wrong_body_is_refused_in_geminis_words(fake, changes, message):
    reply = post(fake, **changes)
    assert reply.status_code == 400, reply.text
    error = reply.json()["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert message in error["message"]


def test_a_rate_limit_tells_when_to_come_back(fake, client):
    fake.script(status(429, retry_after="3"))
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model=MODEL, contents="hello")
    assert caught.value.code == 429
    assert caught.value.details["error"]["details"][0]["retryDelay"] == "3s"


def test_an_error_in_mid_stream_raises_in_the_sdk(fake, client):
    fake.script(Scenario(fault="error", after=1))
    with pytest.raises(errors.APIError):
        list(client.models.generate_content_stream(model=MODEL, contents="hello"))
