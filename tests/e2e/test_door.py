"""The gateway's door: every path that clients really send, and what every answer has, refusals at the door too."""

import json

import openai
import pytest

from e2e.gateway import GatewayProcess
from e2e.raw import SURFACES, call, is_error_of
from fakes import start


@pytest.fixture(scope="module")
def gateway():
    with start("openai-chat") as fake, start("anthropic") as foreign:
        accounts = [
            {"name": "a", "provider": "openai", "base_url": fake.base_url, "key": fake.key},
            {"name": "b", "provider": "anthropic", "base_url": foreign.base_url, "key": foreign.key},
        ]
        models = [{"name": "m", "targets": ["openai/gpt-4o-mock"]}]
        models += [{"name": "priced", "targets": ["openai/priced-mock"], "price": {"input": 0.1, "output": 0.4}}]
        models += [{"name": "foreign", "targets": ["anthropic/claude-mock"]}]
        with GatewayProcess(server={"max_body_mb": 0.1}, accounts=accounts, models=models) as process:
            yield process


@pytest.fixture(scope="module")
def http(gateway):
    with gateway.http() as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"), ("GET", "/v1/models"), ("GET", "/v1/models/nobody"), ("GET", "/metrics"),
        ("GET", "/console"), ("GET", "/nothing"), ("PATCH", "/v1/models"), ("PUT", "/v1/chat/completions"),
        ("OPTIONS", "/v1/messages"), ("GET", "/v1/responses/none"), ("POST", "/v1/realtime/calls"),
        ("DELETE", "/v1/realtime/calls/none"), ("POST", "/v1/realtime/client_secrets"),
    ],
)  # fmt: skip
def test_every_answer_has_an_id_of_its_own(http, method, path):
    first, second = (http.request(method, path).headers["x-request-id"] for _ in range(2))
    assert first.startswith("req_") and second.startswith("req_") and first != second


@pytest.mark.parametrize("surface", SURFACES)
def test_a_call_refused_at_the_door_is_a_row_and_has_the_headers_of_a_call(gateway, http, surface):
    path, body = call(surface, "m", "x" * 200_000)
    large = http.post(path, json=body)
    garbled = http.post(path, content=b"x", headers={"content-encoding": "lzma"})
    strange = http.post(path, json={}, headers={"origin": "https://evil.example"})
    replies = [large, garbled, strange]
    assert [reply.status_code for reply in replies] == [413, 415, 403]
    rows = {row["request_id"]: row for row in gateway.rows()}
    for reply in replies:
        assert is_error_of(surface, reply.json())
        assert reply.headers["x-dragoman-attempts"] == "0" and "admit" in reply.headers["server-timing"]
        row = rows[reply.headers["x-request-id"]]
        assert (row["status"], row["error"]) == (reply.status_code, reply.headers["x-dragoman-error"])


@pytest.mark.parametrize("surface", SURFACES)
def test_slashes_that_a_base_url_leaves_are_passed_over(http, surface):
    path, body = call(surface, "m")
    for odd in ("/" + path, path.replace("/", "//", 2), path + "/"):
        assert http.post(http.base_url.copy_with(raw_path=odd.encode()), json=body).status_code == 200, odd
    assert http.get("/v1/models/").json()["data"][0]["id"] == "m"


@pytest.mark.parametrize(
    "path",
    [
        "/openai/deployments/m/chat/completions?api-version=2026-01-01", "/openai/v1/chat/completions",
        "/openai/chat/completions", "/v1beta/openai/chat/completions", "/chat/completions",
    ],
)  # fmt: skip
def test_the_chat_api_is_found_in_every_home_that_it_has(http, path):
    _, body = call("openai-chat", "m")
    assert http.post(path, json=body).status_code == 200


@pytest.mark.parametrize("home", ["/v1", "/anthropic/v1", "", "/anthropic", "/v1/v1"])
def test_the_messages_api_is_found_with_a_v1_too_few_or_too_many(http, home):
    _, body = call("anthropic", "m")
    assert http.post(f"{home}/messages", json=body).json()["type"] == "message"
    assert http.post(f"{home}/messages/count_tokens", json=body).json()["input_tokens"] > 0
    assert is_error_of("anthropic", http.post(f"{home}/messages", json={}).json())


@pytest.mark.parametrize("model", ["m", "foreign"])
def test_a_deployment_s_path_says_the_model_and_the_body_need_not(http, model):
    """As Azure's own examples and LangChain's AzureChatOpenAI do."""
    home = f"/openai/deployments/{model}"
    reply = http.post(
        f"{home}/chat/completions?api-version=1", json={"messages": [{"role": "user", "content": "hello"}]}
    )
    assert reply.status_code == 200 and reply.json()["choices"][0]["message"]["content"] == "You said: hello"
    null = http.post(f"{home}/chat/completions", json={"model": None, "messages": [{"role": "user", "content": "x"}]})
    assert null.status_code == 200


def test_a_deployment_s_path_says_the_model_of_vectors_and_recordings(http):
    assert http.post("/openai/deployments/m/embeddings", json={"input": "x"}).json()["data"][0]["embedding"]
    said = http.post("/openai/deployments/m/audio/transcriptions", files={"file": ("a.wav", b"RIFF....")})
    assert said.status_code == 200, said.text


def test_mistrals_word_for_a_forced_call_is_understood(http):
    path, body = call("openai-chat", "foreign", "call:f{}")
    body["tools"] = [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    ]
    reply = http.post(path, json=body | {"tool_choice": "any"})
    assert reply.json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "f"


def test_a_name_may_have_the_tag_that_ollamas_clients_add(gateway, http):
    path, body = call("ollama", "m:latest", "hello")
    reply = http.post(path, json=body)
    assert reply.json()["message"]["content"] == "You said: hello"
    assert next(r for r in gateway.rows() if r["request_id"] == reply.headers["x-request-id"])["model"] == "m"
    assert http.post("/api/embed", json={"model": "m:latest", "input": "x"}).json()["embeddings"]
    assert http.post("/api/chat", json=body | {"model": "nobody:latest"}).status_code == 404


@pytest.mark.parametrize("path", ["/v1/realtime?model=m", "/voice-live/realtime", "/v1/live/sessions"])
def test_who_comes_to_a_websockets_place_without_one_is_told(http, path):
    reply = http.get(path)
    assert (reply.status_code, reply.headers["upgrade"]) == (426, "websocket")


def test_azures_client_of_an_api_version_has_responses_too(gateway):
    client = openai.AzureOpenAI(
        azure_endpoint=gateway.url, api_key="any", api_version="2026-01-01-preview", max_retries=0
    )
    made = client.responses.create(model="m", input="hello")
    assert made.output_text
    assert client.responses.retrieve(made.id).output_text == made.output_text
    assert next(model.id for model in client.models.list()) == "m"
    assert client.models.retrieve("m").id == "m"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/v1/models", "GET"), ("POST", "/api/tags", "GET"), ("GET", "/api/show", "POST"),
        ("GET", "/v1beta/models/m:generateContent", "POST"), ("PUT", "/dragoman/v1/accounts", "GET, POST"),
    ],
)  # fmt: skip
def test_a_page_says_which_methods_it_takes(http, method, path, allowed):
    reply = http.request(method, path)
    assert (reply.status_code, reply.headers["allow"]) == (405, allowed)
    assert reply.headers["x-dragoman-error"] == "method_not_allowed"


def test_a_key_with_a_budget_gets_nothing_of_unknown_price(gateway, http):
    made = json.loads(gateway.run("keys", "create", "--budget", "5", "--json").stdout)
    path, body = call("openai-chat", "openai/a-model-of-tomorrow")
    reply = http.post(path, json=body, headers={"x-api-key": made["key"]})
    assert (reply.status_code, reply.headers["x-dragoman-error"]) == (400, "unknown_price")
    assert http.post(path, json=body).status_code == 200  # nobody else minds


def test_a_small_budget_serves_until_it_is_spent(gateway, http):
    made = json.loads(gateway.run("keys", "create", "--budget", "0.00001", "--json").stdout)
    path, body = call("openai-chat", "priced")
    replies = [http.post(path, json=body, headers={"x-api-key": made["key"]}) for _ in range(6)]
    statuses = [reply.status_code for reply in replies]
    assert statuses[0] == 200 and statuses[-1] == 402 and statuses == sorted(statuses)
    assert replies[-1].headers["x-dragoman-error"] == "budget_spent"


def test_a_key_is_told_of_no_model_that_it_may_not_use(gateway, http):
    made = gateway.run("keys", "create", "--models", "other", "--json").stdout
    path, body = call("openai-chat", "m")
    reply = http.post(path, json=body, headers={"x-api-key": json.loads(made)["key"]})
    assert reply.status_code == 404 and "there are m" not in reply.text
