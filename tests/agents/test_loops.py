"""Agents ask for what they ask, run the calls that come back, and go on, whatever stands behind the gateway."""

import json

import pytest

from agents.conftest import House
from agents.loops import AGENTS, captured
from fakes import Scenario

_READ = {"claude_code": "Read", "codex": "view_image", "gemini_cli": "read_file"}
_RUN = {"claude_code": "Bash", "codex": "exec_command", "gemini_cli": "run_shell_command"}
_PATH = {"claude_code": "file_path", "codex": "path", "gemini_cli": "file_path"}
_COMMAND = {"claude_code": "command", "codex": "cmd", "gemini_cli": "command"}
PATCH = "*** Begin Patch\n*** Update File: a.py\n@@\n-x = 1\n+x = 2\n*** End Patch\n"


@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_works_through_three_turns(house: House, upstream: str, agent: str) -> None:
    request, loop = captured(agent), AGENTS[agent]
    read = {_PATH[agent]: "hello.py"}
    run = {_COMMAND[agent]: "echo 'a \"b\" ü' > made.txt"}
    prompt = f"preamble call:{_READ[agent]}{json.dumps(read)} call:{_RUN[agent]}{json.dumps(run)}"
    body = loop.start(request["body"], prompt)

    first = loop.turn(body, house.ask(request, body, upstream), f"first done call:{_RUN[agent]}{json.dumps(run)}")
    assert first.calls == [(_READ[agent], read), (_RUN[agent], run)]
    second = loop.turn(body, house.ask(request, body, upstream), "second done")
    assert second.calls[0] == (_RUN[agent], run)
    last = loop.turn(body, house.ask(request, body, upstream), "")
    assert last.calls == []
    assert f"{_RUN[agent]} returned: second done" in last.text


def test_codex_gets_its_patches_as_free_text(house: House, upstream: str) -> None:
    request, loop = captured("codex"), AGENTS["codex"]
    takes_text = upstream in {"openai", "openai-responses"}  # others are given a function
    asked = f"({PATCH})" if takes_text else json.dumps({"input": PATCH})
    body = loop.start(request["body"], f"call:apply_patch{asked}")

    first = loop.turn(body, house.ask(request, body, upstream), "patched")
    assert first.calls == [("apply_patch", PATCH)]
    last = loop.turn(body, house.ask(request, body, upstream), "")
    assert last.text == "apply_patch returned: patched"


def test_claude_code_gets_a_title_from_a_model_that_knows_no_thinking_and_no_beta(house: House, upstream: str) -> None:
    request = captured("claude_code_title")
    answer = house.ask(request, request["body"], upstream)
    assert answer.status_code == 200


def test_claude_code_finds_the_gateway_alive(house: House) -> None:
    answer = house.http.head("/")
    assert answer.status_code == 200
    assert answer.content == b""


def test_a_server_without_responses_is_asked_in_chat_whatever_its_model_is_called(house: House) -> None:
    fake = house.fakes["imitator"]
    unknown = Scenario(status=404, message="Invalid URL (POST /v1/responses)", code="none")
    fake.always(lambda asked: unknown if asked.path.endswith("/responses") else Scenario())
    request, loop = captured("claude_code"), AGENTS["claude_code"]
    body = loop.start(request["body"], 'call:Bash{"command": "ls"}')
    assert loop.turn(body, house.ask(request, body, "imitator"), "").calls == [("Bash", {"command": "ls"})]
    assert [asked.path for asked in fake.requests] == ["/v1/responses", "/v1/chat/completions"]
    assert fake.last.json["reasoning_effort"] == "high"


def test_codex_offering_a_websocket_is_told_to_come_over_http(house: House) -> None:
    offer = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13"}
    answer = house.http.get("/v1/responses", headers=offer)
    assert answer.status_code == 426
    assert "HTTP" in answer.json()["error"]["message"]
