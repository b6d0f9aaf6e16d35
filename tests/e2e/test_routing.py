"""Routes: what a client declares decides which model answers, in every dialect, and every decision can be looked up."""

import json

import pytest

from e2e.gateway import GatewayProcess
from e2e.raw import SURFACES, call, is_error_of
from fakes import start, status

PRICE = {"small": {"input": 0.1, "output": 0.4}, "large": {"input": 10, "output": 40}}
TARGETS = {"small": "openai/gpt-small", "large": "anthropic/claude-mock"}


@pytest.fixture(scope="module")
def fakes():
    with start("openai-chat") as openai, start("anthropic") as anthropic:
        yield {"openai": openai, "anthropic": anthropic}


@pytest.fixture(scope="module")
def gateway(fakes):
    openai, anthropic = fakes["openai"], fakes["anthropic"]
    models = [
        {"name": "small", "quality": 0.6, "capabilities": ["tools"], "context_window": 2000},
        {"name": "large", "quality": 0.9, "capabilities": ["tools", "vision", "reasoning", "json_schema", "documents"]},
    ]
    tables = {
        "accounts": [
            {"name": "o", "provider": "openai", "base_url": openai.base_url, "key": openai.key, "region": "us-east-1"},
            {
                "name": "a",
                "provider": "anthropic",
                "base_url": anthropic.base_url,
                "key": anthropic.key,
                "region": "eu",
            },
        ],
        "models": [each | {"targets": [TARGETS[each["name"]]], "price": PRICE[each["name"]]} for each in models],
        "routes": [
            {"name": "auto", "models": ["small", "large"]},
            {"name": "strict", "models": ["small", "large"], "constraints": {"min_quality": 0.7}},
            {"name": "poor", "models": ["small", "large"], "budget_usd_per_day": 0.000001},
        ],
    }
    with GatewayProcess(**tables) as process:
        yield process


@pytest.fixture(scope="module")
def http(gateway):
    with gateway.http() as client:
        yield client


def ask(http, surface="openai-chat", model="auto", constraints=None, extra=None, **options):
    path, body = call(surface, model, **options)
    headers = {} if constraints is None else {"x-dragoman-constraints": constraints}
    return http.post(path, json=body | (extra or {}), headers=headers)


def chosen(reply) -> str:
    assert reply.status_code == 200, reply.text
    assert "You said: hello" in reply.text
    target = reply.headers["x-dragoman-target"]
    return next(name for name, each in TARGETS.items() if each == target)


@pytest.mark.parametrize("surface", SURFACES)
def test_the_mode_decides_in_every_dialect(http, surface):
    for mode, best in (("cost", "small"), ("quality", "large")):
        assert chosen(ask(http, surface, constraints=f"mode={mode}")) == best
        assert chosen(ask(http, surface, extra={"dragoman": {"mode": mode}})) == best


@pytest.mark.parametrize("surface", SURFACES)
def test_where_nothing_fits_the_client_is_told_in_its_own_envelope_what_ruled_each_out(http, surface):
    reply = ask(http, surface, constraints="max_cost_usd=0; min_quality=0.7")
    assert (reply.status_code, reply.headers["x-dragoman-error"]) == (400, "no_feasible_model")
    assert is_error_of(surface, reply.json())
    assert "small: costs about" in reply.text and "large: costs about" in reply.text and "Nearest: " in reply.text


def test_a_cost_limit_on_what_has_no_price_is_an_error_of_its_own(http):
    reply = ask(http, model="openai/gpt-nobody-prices", constraints="max_cost_usd=1")
    assert (reply.status_code, reply.headers["x-dragoman-error"]) == (400, "unknown_price")
    assert "set price in [[models]]" in reply.text


@pytest.mark.parametrize("surface", SURFACES)
def test_nonsense_is_a_bad_request_that_names_the_key(http, surface):
    reply = ask(http, surface, constraints="max_cost=1")
    assert (reply.status_code, reply.headers["x-dragoman-error"]) == (400, "bad_request")
    assert "did you mean max_cost_usd?" in reply.text


def test_the_header_goes_before_the_body_and_that_before_azure_and_that_before_the_route(http):
    azure = {"routing_config": {"mode": "cost"}}
    assert chosen(ask(http, extra=azure)) == "small"
    assert chosen(ask(http, extra=azure | {"dragoman": {"mode": "quality"}})) == "large"
    assert chosen(ask(http, constraints="mode=cost", extra={"dragoman": {"mode": "quality"}})) == "small"
    assert chosen(ask(http, model="strict", constraints="mode=cost")) == "large"
    assert chosen(ask(http, model="strict", constraints="mode=cost; min_quality=0.1")) == "small"


def test_nothing_of_ours_reaches_a_provider(http, fakes):
    extra = {"dragoman": {"mode": "cost", "tags": {"task": "x"}}, "routing_config": {"models": ["small"]}}
    assert chosen(ask(http, extra=extra)) == "small"
    sent = fakes["openai"].requests[-1].body
    assert b"dragoman" not in sent and b"routing_config" not in sent


def test_what_a_request_shows_is_needed_of_the_model(http):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    content = [{"type": "text", "text": "hello"}, image]
    body = {"model": "auto", "messages": [{"role": "user", "content": content}]}
    reply = http.post("/v1/chat/completions", json=body, headers={"x-dragoman-constraints": "mode=cost"})
    assert reply.headers["x-dragoman-target"] == TARGETS["large"]


def test_a_long_request_goes_where_it_fits(http):
    body = {"model": "auto", "messages": [{"role": "user", "content": "hello " * 2000}]}
    reply = http.post("/v1/chat/completions", json=body, headers={"x-dragoman-constraints": "mode=cost"})
    assert reply.headers["x-dragoman-target"] == TARGETS["large"]


@pytest.mark.parametrize(
    ("constraints", "best"),
    [
        ("models=large; mode=cost", "large"),
        ("providers=anthropic; mode=cost", "large"),
        ("region=eu; mode=cost", "large"),
        ("region=us; mode=quality", "small"),
    ],
)
def test_models_providers_and_regions_are_kept(http, constraints, best):
    assert chosen(ask(http, constraints=constraints)) == best


def test_constraints_hold_for_a_plain_model_too(http):
    assert chosen(ask(http, model="small", constraints="region=us")) == "small"
    reply = ask(http, model="small", constraints="region=eu")
    assert reply.status_code == 400 and "its accounts are in us-east-1" in reply.text


def test_a_plain_model_without_constraints_has_no_reason(http):
    reply = ask(http, model="small")
    assert chosen(reply) == "small" and "x-dragoman-reason" not in reply.headers


def test_a_budget_that_is_spent_refuses(http):
    assert chosen(ask(http, model="poor")) in TARGETS
    reply = ask(http, model="poor")
    assert (reply.status_code, reply.headers["x-dragoman-error"]) == (402, "budget_spent")
    assert int(reply.headers["retry-after"]) > 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_decision_can_be_looked_up_with_what_came_of_it(http, gateway, stream):
    reply = ask(http, constraints="mode=cost; tag.task=greeting", stream=stream)
    assert reply.headers["x-dragoman-reason"] == "best"
    decision = reply.headers["x-dragoman-decision"]
    found = http.get(f"/dragoman/v1/decisions/{decision}").json()
    assert (found["id"], found["route"], found["chosen"]) == (decision, "auto", "small")
    assert [each["model"] for each in found["candidates"]] == ["small", "large"]
    assert all(each["utility"] is not None for each in found["candidates"])
    assert found["attempts"] == [{"target": TARGETS["small"], "account": "o"}]
    assert (found["happened"]["status"], found["happened"]["tags"]) == (200, {"task": "greeting"})
    assert found["happened"]["tokens"]["output"] > 0 and found["features"]["task"] == "greeting"
    assert found["replays"] is True
    shown = json.loads(gateway.run("decisions", decision, "--json").stdout)
    assert shown["candidates"] == found["candidates"]
    assert "hello" not in json.dumps(found)  # no content


def test_a_spent_budget_is_still_spent_after_a_restart(fakes, tmp_path):
    openai = fakes["openai"]
    account = {"name": "o", "provider": "openai", "base_url": openai.base_url, "key": openai.key}
    models = [{"name": "small", "targets": [TARGETS["small"]], "price": PRICE["small"]}]
    routes = [{"name": "poor", "models": ["small"], "budget_usd_per_day": 0.000001}]
    tables = {"state": {"dir": str(tmp_path)}, "accounts": [account], "models": models, "routes": routes}
    with GatewayProcess(**tables) as gateway, gateway.http() as client:
        assert chosen(ask(client, model="poor")) == "small"
    with GatewayProcess(**tables) as gateway, gateway.http() as client:
        assert ask(client, model="poor").headers["x-dragoman-error"] == "budget_spent"


def test_an_unknown_decision_is_not_found(http):
    assert http.get("/dragoman/v1/decisions/dec_nope").status_code == 404


def test_explain_decides_without_calling_anyone(http, fakes):
    before = {name: len(fake.requests) for name, fake in fakes.items()}
    _, body = call("anthropic", "auto")
    found = http.post("/dragoman/v1/explain", json=body, headers={"x-dragoman-constraints": "mode=quality"}).json()
    assert (found["chosen"], found["target"]) == ("large", TARGETS["large"])
    assert {name: len(fake.requests) for name, fake in fakes.items()} == before
    assert http.post("/dragoman/v1/explain", json=body | {"model": "nope"}).status_code == 404
    assert http.post("/dragoman/v1/explain", content=b"nonsense").status_code == 400


def test_feedback_is_kept_with_its_decision(http):
    decision = ask(http).headers["x-dragoman-decision"]
    for said in ({"score": 0.3, "source": "judge:x"}, {"thumbs": "up"}, {"corrected": "large"}):
        reply = http.post("/dragoman/v1/feedback", json={"decision": decision} | said)
        assert reply.status_code == 200, reply.text
    found = http.get(f"/dragoman/v1/decisions/{decision}").json()["feedback"]
    assert [(each.get("quality"), each.get("corrected")) for each in found] == [
        (0.3, None),
        (1.0, None),
        (None, "large"),
    ]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"decision": "dec_nope", "score": 1}, 404),
        ({"decision": "dec_nope"}, 400),
        ({"decision": "x", "score": 2}, 400),
        ({"decision": "x", "thumbs": "sideways"}, 400),
        ({"decision": "x", "stars": 5}, 400),
    ],
)
def test_feedback_that_makes_no_sense_is_refused(http, said, status):
    assert http.post("/dragoman/v1/feedback", json=said).status_code == status


def test_a_session_stays_with_its_model(http):
    """It began with the large model, and would not go to it by itself."""
    session = "session=s1; "
    assert chosen(ask(http, constraints=session + "mode=quality")) == "large"
    reply = ask(http, constraints=session + "models=small,large")
    found = http.get("/dragoman/v1/decisions/" + reply.headers["x-dragoman-decision"]).json()
    large = next(each for each in found["candidates"] if each["model"] == "large")
    assert large["contributions"]["affinity"] > 0


def test_a_failed_attempt_is_in_the_record_and_the_next_best_answers(http, fakes):
    fakes["openai"].script(status(500))
    reply = ask(http, constraints="mode=cost")
    assert chosen(reply) == "large"
    found = http.get("/dragoman/v1/decisions/" + reply.headers["x-dragoman-decision"]).json()
    assert [each.get("failure") for each in found["attempts"]] == ["upstream_error", None]
