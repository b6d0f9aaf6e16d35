"""Failures that another target may not have go on to those that may not, and to no other."""

from typing import Any

import pytest
from fake_wire import MESSAGE, Make, Says, World, account

from dragoman import config

LONG = {"error": {"message": "maximum context length is 8192 tokens", "code": "context_length_exceeded"}}
FILTERED = {"error": {"message": "The response was filtered", "code": "content_filter"}}
UNSUPPORTED = {"error": {"message": "Unsupported parameter: 'top_p' is not supported", "code": "unsupported_parameter"}}
BLOCKED = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}}


def windows(tmp_path: Any, *sizes: int | None) -> World:
    """Route `m` over models `x0`, `x1`, … with these windows, each at two accounts of the one provider."""
    accounts = [account(f"{name}{i}", models=[f"x{i}"]) for i in range(len(sizes)) for name in "ab"]
    models = [config.Model(name=f"x{i}", targets=[f"openai/x{i}"], context_window=size) for i, size in enumerate(sizes)]
    return World(tmp_path, accounts, models, routes=[config.Route(name="m", models=[model.name for model in models])])


async def test_what_is_too_long_goes_only_where_the_window_is_larger(tmp_path: Any) -> None:
    there = windows(tmp_path, 8_000, 4_000, 8_000, 32_000)
    for name in ("a0", "b0"):
        there.wire.will(name, Says(400, LONG))
    out = await there.ask()
    assert out.status == 200
    assert [name[1] for name in there.tried] == ["0", "3"]


@pytest.mark.parametrize("sizes", [(8_000, None), (None, 32_000), (8_000, 8_000), (8_000,)])
async def test_what_is_too_long_comes_back_where_no_window_is_known_to_be_larger(tmp_path: Any, sizes: Any) -> None:
    there = windows(tmp_path, *sizes)
    for name in ("a0", "b0"):
        there.wire.will(name, Says(400, LONG))
    out = await there.ask()
    assert (out.status, out.headers["x-dragoman-error"], len(there.tried)) == (400, "context_length", 1)
    assert out.json["error"]["code"] == "context_length_exceeded"


async def test_the_built_in_table_knows_windows(tmp_path: Any) -> None:
    accounts = [account("a"), account("b", "anthropic")]
    models = [config.Model(name="m", targets=["openai/gpt-4", "anthropic/claude-opus-4-5"])]
    there = World(tmp_path, accounts, models)
    there.wire.will("a", Says(400, LONG))
    there.wire.will("b", Says(body=MESSAGE))
    assert (await there.ask()).status == 200
    assert there.tried == ["a", "b"]


async def test_what_a_target_cannot_do_goes_to_other_targets_not_to_its_other_accounts(world: Make) -> None:
    there = world("a", "b", account("c", "anthropic"), targets=["openai/x", "anthropic/y"])
    for name in "ab":
        there.wire.will(name, Says(400, UNSUPPORTED))
    there.wire.will("c", Says(body=MESSAGE))
    assert (await there.ask()).status == 200
    assert len(there.tried) == 2 and there.tried[1] == "c"
    assert not any(seat.rest for name in "ab" for seat in there.account(name).seats)


async def test_what_no_target_can_do_comes_back(world: Make) -> None:
    there = world("a", "b")
    for name in "ab":
        there.wire.will(name, Says(400, UNSUPPORTED))
    out = await there.ask()
    assert (out.status, out.headers["x-dragoman-error"], len(there.tried)) == (400, "unsupported", 1)
    assert out.json["error"]["message"].startswith("Unsupported parameter")


def filtered(tmp_path: Any, policy: Any, first: str = "azure") -> World:
    accounts = [account("a", first), account("b", first), account("c", "anthropic")]
    model = config.Model(name="m", targets=[f"{first}/x", "anthropic/y"], on_content_filter=policy)
    there = World(tmp_path, accounts, [model])
    there.wire.will("c", Says(body=MESSAGE))
    return there


async def test_a_content_filter_has_the_last_word_by_default(tmp_path: Any) -> None:
    there = filtered(tmp_path, "error")
    for name in "ab":
        there.wire.will(name, Says(400, FILTERED))
    out = await there.ask()
    assert (out.status, out.headers["x-dragoman-error"], len(there.tried)) == (400, "content_filter", 1)


async def test_another_provider_is_asked_where_the_model_says_so(tmp_path: Any) -> None:
    there = filtered(tmp_path, "next")
    for name in "ab":
        there.wire.will(name, Says(400, FILTERED))
    assert (await there.ask()).status == 200
    assert len(there.tried) == 2 and there.tried[1] == "c"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", ["gemini", "openai-chat"])
async def test_a_prompt_that_gemini_blocked_is_asked_of_another(tmp_path: Any, stream: bool, client: str) -> None:
    there = filtered(tmp_path, "next", "gemini")
    for name in "ab":
        there.wire.will(name, Says(body=b"data: " + _json(BLOCKED) + b"\n\n" if stream else BLOCKED))
    there.wire.script["c"].clear()
    there.wire.will("c", Says(pieces=[_stream()]) if stream else Says(body=MESSAGE))
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]} if client == "gemini" else {"stream": stream}
    out = await there.ask(body, client, **({"model": "m", "stream": stream} if client == "gemini" else {}))
    assert out.status == 200 and b"hello" in out.body
    assert len(there.tried) == 2 and there.tried[1] == "c"


async def test_a_blocked_prompt_is_an_answer_where_no_other_is_to_be_asked(tmp_path: Any) -> None:
    there = filtered(tmp_path, "error", "gemini")
    for name in "ab":
        there.wire.will(name, Says(body=BLOCKED))
    out = await there.ask()
    assert out.json["choices"][0]["finish_reason"] == "content_filter"


def _json(value: Any) -> bytes:
    import msgspec

    return msgspec.json.encode(value)


def _stream() -> bytes:
    from continuing import written

    return written("anthropic", "hello")
