"""Shadow calls: a sample of a route's requests is asked of another model too, after the client has its reply."""

import json

import pytest

from e2e.gateway import GatewayProcess
from e2e.raw import SURFACES, call
from fakes import start
from fakes.scenario import Scenario, status

BOTH = {"small": 0.0, "large": 1.0}  # what the judge says of the answers


@pytest.fixture(scope="module")
def fakes():
    with start("openai-chat") as small, start("anthropic") as large, start("openai-chat") as judge:
        yield {"small": small, "large": large, "judge": judge}


@pytest.fixture(autouse=True)
def parts(fakes):
    """What each of the models says."""
    fakes["small"].always(Scenario(say="I am small"))
    fakes["large"].always(Scenario(say="I am large"))
    fakes["judge"].always(lambda request: Scenario(say=verdict(request.body.decode())))
    yield
    for fake in fakes.values():
        fake.requests.clear()


def verdict(question: str) -> str:
    """The judge prefers the large model's answer, wherever it stands."""
    second = question.index("[Second answer]")
    return f"It is clear. Verdict: {'first' if question.index('I am large') < second else 'second'}"


def tables(fakes, *, share=1.0, judge="judge", prices=(0.1, 10), record_prompts=True, large_account=None, **shadow):
    names = ("small", "openai/gpt-small"), ("large", "anthropic/claude-mock"), ("judge", "judges/judge-1")
    priced = dict(zip(("small", "large", "judge"), (*prices, 1), strict=True))
    return {
        "server": {"queue_seconds": 0},
        "providers": [{"name": "judges", "dialect": "openai-chat", "base_url": fakes["judge"].base_url}],
        "accounts": [
            {"name": "small", "provider": "openai", "base_url": fakes["small"].base_url, "key": fakes["small"].key,
             "region": "eu"},
            {"name": "large", "provider": "anthropic", "base_url": fakes["large"].base_url, "key": fakes["large"].key}
            | (large_account or {}),
            {"name": "judge", "provider": "judges", "key": fakes["judge"].key, "region": "eu"},
        ],
        "models": [
            {"name": name, "targets": [target], "quality": 0.6 if name == "small" else 0.5}
            | ({"price": {"input": priced[name], "output": priced[name]}} if priced[name] is not None else {})
            for name, target in names
        ],
        "routes": [
            {"name": "auto", "models": ["small", "large"], "mode": "cost", "record_prompts": record_prompts,
             "shadow": {"share": share} | ({"judge": judge} if judge else {}) | shadow},
        ],
    }  # fmt: skip


def ask(gateway, surface="openai-chat", stream=False, **headers):
    path, body = call(surface, "auto", stream=stream)
    with gateway.http() as client:
        reply = client.post(path, json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-dragoman-target"] == "openai/gpt-small"
    return reply.headers["x-dragoman-decision"]


def judged(gateway, decision, **headers):
    """The decision, as soon as its answer was judged."""
    with gateway.http() as client:
        while True:
            found = client.get(f"/dragoman/v1/decisions/{decision}", headers=headers).json()
            if found.get("feedback"):
                return found


@pytest.fixture(scope="module")
def gateway(fakes):
    with GatewayProcess(**tables(fakes)) as running:
        yield running


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("surface", SURFACES)
def test_both_answers_are_judged_and_become_an_outcome_to_learn_from(gateway, fakes, surface, stream):
    decision = ask(gateway, surface, stream, **{"x-dragoman-constraints": "tag.task=greeting"})
    found = judged(gateway, decision)
    other = found["shadow"]
    assert (found["chosen"], other["model"], other["chance"]) == ("small", "large", 1.0) and found["replays"]
    assert [(each["source"], each["quality"]) for each in found["feedback"]] == [("shadow:judge", 0.0)]
    beside = judged(gateway, other["decision"])
    assert beside["feedback"][0]["quality"] == 1.0
    assert (beside["happened"]["dialect"], beside["happened"]["tags"]) == ("shadow:auto", {"shadow": decision})
    file = gateway.folder / "outcomes.jsonl"
    gateway.run("decisions", "--outcomes", str(file))
    (line,) = (line for each in file.read_text().splitlines() if (line := json.loads(each))["id"] == decision)
    assert (line["task"], line["prompt"]) == ("greeting", "hello")
    assert {name: each["quality"] for name, each in line["outcomes"].items()} == BOTH
    assert all(each["cost_usd"] > 0 and each["output_tokens"] > 0 for each in line["outcomes"].values())


def test_the_judge_sees_the_question_and_both_answers_in_both_orders(gateway, fakes):
    judged(gateway, ask(gateway))
    one, other = (json.loads(each.body)["messages"][0]["content"] for each in fakes["judge"].requests)
    assert "[Request]\nhello\n" in one
    assert "[First answer]\nI am small\n" in one and "[Second answer]\nI am large\n" in one
    assert "[First answer]\nI am large\n" in other and "[Second answer]\nI am small\n" in other


def test_a_shadow_counts_for_no_key_and_what_it_took_is_booked(fakes):
    with GatewayProcess(**tables(fakes), access={"mode": "keys"}) as gateway:
        key = json.loads(gateway.run("keys", "create", "--name", "me", "--rpm", "1", "--budget", "5", "--json").stdout)
        bearer = {"authorization": f"Bearer {key['key']}"}
        judged(gateway, ask(gateway, **bearer), **bearer)
        rows = gateway.rows()
    assert sorted((row["key_name"], row["dialect"]) for row in rows if row["key"]) == [("me", "openai-chat")]
    free = [row for row in rows if not row["key"]]
    assert [row["dialect"] for row in free] == ["shadow:auto"] * 3 and all(row["cost_usd"] > 0 for row in free)
    assert sorted(next(iter(row["tags"])) for row in free) == ["judges", "judges", "shadow"]


def test_without_a_judge_the_answers_are_kept_and_compared_later(fakes):
    with GatewayProcess(**tables(fakes, judge=None)) as gateway:
        decision = ask(gateway)
        kept = gateway.state / "shadows" / "auto.jsonl"
        while not (kept.exists() and kept.read_bytes().endswith(b"\n")):
            fakes["large"].wait(lambda: bool(fakes["large"].requests))
        assert kept.stat().st_mode & 0o777 == 0o600
        before = len(fakes["small"].requests), len(fakes["large"].requests)
        ran = gateway.run("compare", str(kept), "--judges", "judge", "--out", str(gateway.folder / "made"), "--json")
        assert (len(fakes["small"].requests), len(fakes["large"].requests)) == before
    told = json.loads(ran.stdout)
    assert [(each["prompt"], each["model"], each["text"]) for each in told["answers"]] == [
        (decision, "small", "I am small"),
        (decision, "large", "I am large"),
    ]
    assert {each["model"]: each["score"] for each in told["models"]} == BOTH


def test_a_region_that_was_demanded_holds_for_the_shadow(fakes):
    """The other model's account is in another region: it is no candidate, so nobody is asked."""
    with GatewayProcess(**tables(fakes)) as gateway:
        decision = ask(gateway, **{"x-dragoman-constraints": "region=eu"})
        with gateway.http() as client:
            assert client.get(f"/dragoman/v1/decisions/{decision}").json()["shadow"] is None
        assert gateway.stop() == 0
    assert fakes["large"].requests == []


@pytest.mark.parametrize(
    "bounds",
    [
        {"share": 0.0},
        {"prices": (0.1, None)},  # what it costs is not known, and the budget depends on it
        {"large_account": {"state": "disabled"}},
    ],
)
def test_nobody_is_asked_beyond_the_bounds(fakes, bounds):
    with GatewayProcess(**tables(fakes, **bounds)) as gateway:
        decision = ask(gateway)
        with gateway.http() as client:
            assert client.get(f"/dragoman/v1/decisions/{decision}").json()["shadow"] is None
        assert gateway.stop() == 0
    assert fakes["large"].requests == []


def test_the_budget_of_the_day_is_kept_over_a_restart(fakes, tmp_path):
    made = tables(fakes, usd_per_day=1e-9) | {"state": {"dir": str(tmp_path)}}
    with GatewayProcess(**made) as gateway:
        judged(gateway, ask(gateway))
        second = ask(gateway)
        assert gateway.stop() == 0
    with GatewayProcess(**made) as gateway, gateway.http() as client:
        for decision in (second, ask(gateway)):
            assert client.get(f"/dragoman/v1/decisions/{decision}").json()["shadow"] is None
    assert len(fakes["large"].requests) == 1


def test_no_more_than_so_many_at_a_time(fakes):
    held = Scenario(say="I am large", fault="hold")
    fakes["large"].always(held)
    with GatewayProcess(**tables(fakes, max_in_flight=1)) as gateway, gateway.http() as client:
        first = ask(gateway)
        fakes["large"].wait(lambda: bool(fakes["large"].requests))
        second = ask(gateway)
        assert client.get(f"/dragoman/v1/decisions/{second}").json()["shadow"] is None
        held.release()
        assert judged(gateway, first)["shadow"]["model"] == "large"


def test_a_busy_account_is_left_to_those_who_wait_for_it(fakes):
    """Its only place is taken."""
    held = Scenario(say="I am large", fault="hold")
    fakes["large"].always(held)
    with (
        GatewayProcess(**tables(fakes, large_account={"max_in_flight": 1}, max_in_flight=9)) as gateway,
        gateway.http() as client,
    ):
        ask(gateway)
        fakes["large"].wait(lambda: bool(fakes["large"].requests))
        second = ask(gateway)
        assert client.get(f"/dragoman/v1/decisions/{second}").json()["shadow"] is None
        held.release()


def test_a_shadow_that_fails_is_told_by_its_row_and_judged_by_nobody(fakes):
    fakes["large"].always(status(500))
    with GatewayProcess(**tables(fakes)) as gateway, gateway.http() as client:
        decision = ask(gateway)
        other = client.get(f"/dragoman/v1/decisions/{decision}").json()["shadow"]["decision"]
        while (found := client.get(f"/dragoman/v1/decisions/{other}")).status_code == 404:
            pass
        assert found.json()["happened"]["error"] == "upstream_error"
        assert gateway.stop() == 0
    assert fakes["judge"].requests == []


def test_a_judge_whose_price_nobody_knows_is_a_bad_config(fakes):
    made = tables(fakes, judge="judges/another")
    with pytest.raises(AssertionError, match=r'shadow\.judge: the price of "judges/another" is not known'):
        GatewayProcess(**made).start()
