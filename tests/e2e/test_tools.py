"""Tool loops of three turns with calls in parallel, one of them without arguments."""

import hashlib

from e2e.clients.talk import Image, Result, Tool
from fakes.openai_media import PNG

WEATHER = Tool(
    "get_weather",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "What the weather is like.",
)
CLOCK = Tool("clock", {"type": "object", "properties": {}}, "What the time is.")
SEEN = f"[image image/png sha256:{hashlib.sha256(PNG).hexdigest()[:16]}]"


def loop(talk, *, image: bool = False, failed: bool = False):
    """Two rounds of two calls each, and the last answer."""
    talk.user('preamble call:get_weather{"city": "Paris"} call:clock')
    for city, results in (
        ("Paris", (('rain, but call:get_weather{"city": "Oslo"} call:clock',), ("9:00",))),
        ("Oslo", (("no such city", Image(PNG)) if image else ("no such city",), ("10:00",))),
    ):
        said = talk.reply()
        assert [(call.name, call.arguments) for call in said.calls] == [("get_weather", {"city": city}), ("clock", {})]
        assert said.finish == "tool_calls"
        assert said.output > 0
        weather, clock = said.calls
        assert not weather.id or weather.id != clock.id
        talk.results(
            Result(weather, results[0], failed=failed and city == "Oslo"),
            Result(clock, results[1]),
        )
    return talk.reply()


def test_a_tool_loop_of_three_turns(cell):
    talk = cell.talk(tools=[WEATHER, CLOCK])
    said = loop(talk)
    assert said.text == "get_weather returned: no such city clock returned: 10:00"
    assert said.finish == "stop"
    assert not said.calls
    assert "x-dragoman-lossy" not in talk.headers


def test_a_tool_result_may_be_an_error_and_have_an_image(cell):
    client = cell.client
    talk = cell.talk(tools=[WEATHER, CLOCK])
    said = loop(talk, image=client.result_images, failed=client.shows_errors)
    assert "no such city" in said.text
    assert "clock returned: 10:00" in said.text
    if client.result_images:
        assert SEEN in said.text
    if client.shows_errors and cell.column.name in ("anthropic", "bedrock"):
        assert "error: no such city" in said.text
