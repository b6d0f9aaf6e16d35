"""What a collector is sent, by a whole gateway over sockets."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.gateway import GatewayProcess
from e2e.raw import call
from fakes import Fake, Scenario, start, status
from fakes.collector import Collector, Span

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=x"}
PROMPT = "the prompt nobody else may read"


@pytest.fixture(scope="module")
def fakes() -> Iterator[dict[str, Any]]:
    with start("openai-chat", keys={"sk-first", "sk-second"}) as openai, start("anthropic") as anthropic:
        yield {"openai": openai, "anthropic": anthropic}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


def gateway(fakes: dict[str, Fake], collector: Collector | None, **telemetry: Any) -> GatewayProcess:
    openai, anthropic = fakes["openai"], fakes["anthropic"]
    accounts = [
        {"name": "first", "provider": "openai", "base_url": openai.base_url, "key": "sk-first"},
        {"name": "backup", "provider": "anthropic", "base_url": anthropic.base_url, "key": anthropic.key},
    ]
    models = [
        {"name": "smart", "targets": ["openai/gpt-x", "anthropic/claude-mock"], "price": {"input": 1, "output": 2}},
        {"name": "lasting", "targets": ["openai/gpt-x", "anthropic/claude-mock"], "on_break": "resume"},
    ]
    tables: dict[str, Any] = {"accounts": accounts, "models": models}
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environ["OTEL_BSP_SCHEDULE_DELAY"] = "100"
    if collector is not None:
        tables["telemetry"] = {"endpoint": collector.url, **telemetry}
    return GatewayProcess(environ=environ, **tables)


def ask(running: GatewayProcess, model: str = "smart", **options: Any) -> Any:
    headers = options.pop("headers", {})
    path, body = call("openai-chat", model, **options)
    with running.http() as http:
        return http.post(path, json=body, headers=headers)


def of(spans: list[Span], kind: str) -> list[Span]:
    return [span for span in spans if span.kind == kind]


def test_a_request_is_a_span_in_the_clients_trace_and_its_attempt_a_span_below(
    fakes: dict[str, Any], collector: Collector
) -> None:
    with gateway(fakes, collector) as running:
        reply = ask(running, headers=PARENT)
        request, attempt = collector.wait(2)
    assert reply.status_code == 200
    assert (request.name, request.kind, request.trace, request.parent) == ("chat smart", "SERVER", TRACE, SPAN)
    assert (attempt.name, attempt.kind, attempt.trace, attempt.parent) == ("chat gpt-x", "CLIENT", TRACE, request.id)
    assert request.start <= attempt.start <= attempt.end <= request.end
    assert not request.error
    assert not attempt.error
    assert request.resource["service.name"] == "dragoman"
    told = request.attributes
    assert {name: told[name] for name in told if not name.endswith("_ms")} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "smart",
        "http.response.status_code": 200,
        "dragoman.request.id": reply.headers["x-request-id"],
        "dragoman.decision": reply.headers["x-dragoman-decision"],
        "dragoman.dialect": "openai-chat",
        "dragoman.target": "openai/gpt-x",
        "dragoman.account": "first",
        "dragoman.attempts": 1,
        "dragoman.cost_usd": pytest.approx(running_cost(reply.json()["usage"])),
    }
    usage = reply.json()["usage"]
    assert attempt.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.usage.input_tokens": usage["prompt_tokens"],
        "gen_ai.usage.output_tokens": usage["completion_tokens"],
        "server.address": "127.0.0.1",
        "server.port": int(fakes["openai"].base_url.split(":")[2].split("/")[0]),
        "dragoman.account": "first",
    }


def running_cost(usage: dict[str, Any]) -> float:
    return float(usage["prompt_tokens"] + 2 * usage["completion_tokens"]) / 1e6


def test_the_provider_is_told_which_span_asks_it(fakes: dict[str, Any], collector: Collector) -> None:
    with gateway(fakes, collector) as running:
        ask(running, headers=PARENT)
        _, attempt = collector.wait(2)
    headers = fakes["openai"].requests[-1].headers
    assert headers["traceparent"] == f"00-{TRACE}-{attempt.id}-01"
    assert headers["tracestate"] == "vendor=x"


def test_a_trace_begins_here_where_the_client_has_none(fakes: dict[str, Any], collector: Collector) -> None:
    with gateway(fakes, collector) as running:
        ask(running)
        request, attempt = collector.wait(2)
    assert request.parent == ""
    assert request.trace == attempt.trace != TRACE


def test_a_trace_that_is_not_recorded_is_passed_on_as_such_and_not_sent(
    fakes: dict[str, Any], collector: Collector
) -> None:
    with gateway(fakes, collector) as running:
        ask(running, headers={"traceparent": f"00-{TRACE}-{SPAN}-00"})
        unrecorded = fakes["openai"].requests[-1].headers["traceparent"]
        ask(running)
        spans = collector.wait(2)
    assert (unrecorded[:36], unrecorded[-3:]) == (f"00-{TRACE}-", "-00")
    assert TRACE not in {span.trace for span in spans}


@pytest.mark.parametrize("sends", [False, True], ids=["off", "on, not to be passed on"])
def test_the_provider_is_told_nothing(fakes: dict[str, Any], collector: Collector, sends: bool) -> None:
    with gateway(fakes, collector if sends else None, propagate=False) as running:
        ask(running, headers=PARENT)
    assert not {"traceparent", "tracestate"} & set(fakes["openai"].requests[-1].headers)


def test_each_attempt_is_a_span_and_tokens_stand_on_the_one_that_took_them(
    fakes: dict[str, Any], collector: Collector
) -> None:
    fakes["openai"].script(status(500, "busy"))
    with gateway(fakes, collector) as running:
        reply = ask(running, headers=PARENT)
        request, failed, answered = collector.wait(3)
    assert reply.headers["x-dragoman-attempts"] == "2"
    assert {failed.parent, answered.parent} == {request.id}
    assert failed.error
    assert failed.attributes["error.type"] == "upstream_error"
    assert failed.attributes["dragoman.account"] == "first"
    assert not [name for name in failed.attributes | request.attributes if name.startswith("gen_ai.usage.")]
    assert not answered.error
    assert answered.attributes["gen_ai.provider.name"] == "anthropic"
    assert answered.attributes["gen_ai.response.model"] == "claude-mock"
    assert answered.attributes["gen_ai.usage.output_tokens"] == reply.json()["usage"]["completion_tokens"]
    assert failed.end <= answered.start


def test_a_streams_first_content_has_its_time(fakes: dict[str, Any], collector: Collector) -> None:
    with gateway(fakes, collector) as running:
        ask(running, stream=True)
        _, attempt = collector.wait(2)
    assert attempt.attributes["gen_ai.request.stream"] is True
    first = attempt.attributes["gen_ai.response.time_to_first_chunk"]
    assert 0 < first * 1e9 <= attempt.end - attempt.start


def test_a_stream_that_another_went_on_with_is_two_attempts_whose_tokens_are_the_rows(
    fakes: dict[str, Any], collector: Collector
) -> None:
    fakes["openai"].script(Scenario(fault="reset", after=4, say="one two three four five six"))
    with gateway(fakes, collector) as running:
        ask(running, "lasting", stream=True)
        request, broken, went_on = collector.wait(3)
        (row,) = running.rows()
    assert broken.attributes["error.type"] == "stream_broken"
    assert request.attributes["dragoman.resumed"] == 1
    for kind in ("input", "output"):
        parts = [span.attributes.get(f"gen_ai.usage.{kind}_tokens", 0) for span in (broken, went_on)]
        assert sum(parts) == row["tokens"][kind]
    assert broken.attributes["gen_ai.usage.output_tokens"] > 0


def test_a_refusal_is_a_span_without_attempts_and_no_error_of_the_server(
    fakes: dict[str, Any], collector: Collector
) -> None:
    with gateway(fakes, collector) as running:
        reply = ask(running, "nobody-has-this")
        (request,) = collector.wait(1)
    assert reply.status_code == 404
    assert (request.attributes["http.response.status_code"], request.attributes["error.type"]) == (404, "unknown_model")
    assert not request.error


def test_no_prompt_no_reply_and_no_key_leaves(fakes: dict[str, Any], collector: Collector) -> None:
    with gateway(fakes, collector) as running:
        with running.http() as http:
            body = {"model": "smart", "messages": [{"role": "user", "content": PROMPT}]}
            reply = http.post("/v1/chat/completions", json=body, headers={"authorization": "Bearer client-secret"})
        collector.wait(2)
    assert PROMPT in reply.text
    for word in (PROMPT, "sk-first", "client-secret", fakes["anthropic"].key):
        assert word.encode() not in collector.raw


def test_what_was_answered_is_sent_though_the_gateway_is_killed(fakes: dict[str, Any], collector: Collector) -> None:
    running = gateway(fakes, collector).start()
    ask(running)
    os.kill(running.process.pid, signal.SIGKILL)
    assert len(collector.wait(2)) == 2
    running.kill()


def test_what_a_collector_has_no_time_for_is_sent_again(fakes: dict[str, Any], collector: Collector) -> None:
    collector.refuse = [503]
    with gateway(fakes, collector) as running:
        ask(running)
        assert len(collector.wait(2)) == 2
        assert running.stop() == 0
    assert len(collector.requests) == 2


def test_what_a_collector_refuses_is_said_and_left_out(fakes: dict[str, Any], collector: Collector) -> None:
    collector.refuse = [400]
    with gateway(fakes, collector) as running:
        ask(running)
        running.wait_log("2 spans could not be sent")
        ask(running)
        assert len(collector.wait(2)) == 2


def test_all_is_sent_before_the_gateway_ends(fakes: dict[str, Any], collector: Collector) -> None:
    with gateway(fakes, collector, metrics=True) as running:
        for _ in range(3):
            ask(running)
        assert running.stop() == 0
        assert len(collector.spans) == 6
    found = {measure.name: measure for measure in collector.measures}
    assert set(found) == {
        "gen_ai.client.inference.duration",
        "gen_ai.client.inference.usage.input_tokens",
        "gen_ai.client.inference.usage.output_tokens",
    }
    tokens = [span.attributes["gen_ai.usage.output_tokens"] for span in of(collector.spans, "CLIENT")]
    assert found["gen_ai.client.inference.usage.output_tokens"].value == sum(tokens)
    assert found["gen_ai.client.inference.duration"].count == 3
    assert found["gen_ai.client.inference.duration"].attributes["gen_ai.request.model"] == "gpt-x"


def test_every_worker_tells(fakes: dict[str, Any], collector: Collector) -> None:
    running = gateway(fakes, collector)
    running.tables["server"] = {"workers": 2}
    running.tables["telemetry"] = {"endpoint": collector.url}
    running.write(**running.tables)
    with running:
        for _ in range(20):
            ask(running)
        spans = collector.wait(40)
    assert len(of(spans, "SERVER")) == 20


def test_a_config_that_cannot_be_followed_is_said(fakes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    running = gateway(fakes, None)
    running.tables["telemetry"] = {"enabled": True}
    running.write(**running.tables)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "odd")
    done = running.run("check", check=False)
    assert (done.returncode, "OTEL_TRACES_SAMPLER: odd: expected always_on" in done.stderr) == (2, True)
