"""What OpenAI's models refuse is not asked of them on behalf of clients of other dialects."""

import copy

import pytest

from dragoman.canon import Request, Thinking
from dragoman.dialects import openai_chat, openai_responses
from dragoman.dialects.openai_models import traits
from dragoman.dialects.quirks import Quirks


@pytest.mark.parametrize(
    ("model", "wanted", "said"),
    [
        ("gpt-4o", "high", None),
        ("gpt-5-chat-latest", "high", None),
        ("o4-mini", "xhigh", "high"),
        ("o3", "none", "low"),
        ("gpt-5-mini", "none", "minimal"),
        ("gpt-5.1", "max", "high"),
        ("gpt-5.4", "max", "xhigh"),
        ("gpt-5.6-sol", "max", "max"),
        ("gpt-5.3-codex", "none", "low"),
        ("openai/gpt-5.2", "none", "none"),
        ("gpt-oss-120b", "max", "max"),
        ("qwen3-coder", "xhigh", "xhigh"),
    ],
)
def test_an_effort_is_said_as_the_model_takes_it(model: str, wanted: str, said: str | None) -> None:
    assert traits(model).effort(wanted) == said


@pytest.mark.parametrize("dialect", [openai_chat, openai_responses])
def test_a_model_that_does_not_think_is_told_no_effort_and_the_loss_is_named(dialect) -> None:
    request = Request(dialect="anthropic", model="gpt-4o", thinking=Thinking(mode="adaptive", effort="high"))
    written = dialect.write_request(request, Quirks())
    assert not {"reasoning_effort", "reasoning"} & written.body.keys()
    assert written.lossy == ["thinking"]


@pytest.mark.parametrize("dialect", [openai_chat, openai_responses])
def test_a_model_that_thinks_is_told_no_temperature_and_the_loss_is_named(dialect) -> None:
    request = Request(dialect="gemini", model="gpt-5.5", temperature=0.2, top_p=0.95, thinking=Thinking(effort="high"))
    written = dialect.write_request(request, Quirks())
    assert not {"temperature", "top_p"} & written.body.keys()
    assert written.lossy == ["temperature", "top_p"]


@pytest.mark.parametrize("dialect", [openai_chat, openai_responses])
def test_values_that_are_the_default_anyway_are_no_loss(dialect) -> None:
    written = dialect.write_request(Request(dialect="gemini", model="gpt-5", temperature=1.0, top_p=1.0), Quirks())
    assert written.lossy == []


@pytest.mark.parametrize("dialect", [openai_chat, openai_responses])
def test_without_thinking_a_temperature_is_kept(dialect) -> None:
    request = Request(dialect="gemini", model="gpt-5.1", temperature=0.2, thinking=Thinking(mode="off", effort="none"))
    assert dialect.write_request(request, Quirks()).body["temperature"] == 0.2


def test_stop_sequences_are_not_told_to_a_model_that_thinks() -> None:
    written = openai_chat.write_request(Request(dialect="anthropic", model="o4-mini", stop=["END"]), Quirks())
    assert "stop" not in written.body
    assert written.lossy == ["stop"]


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5.5"])
def test_a_request_of_the_same_dialect_says_what_its_caller_wrote(model: str) -> None:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "x"}],
        "temperature": 0.2,
        "reasoning_effort": "max",
    }
    assert openai_chat.write_request(openai_chat.read_request(copy.deepcopy(body)), Quirks()).body == body
