"""Thinking over a tool loop: seen where it can be seen, and given back to the provider that wants it back."""

from e2e.columns import decoded
from e2e.test_tools import CLOCK, WEATHER, loop


def test_thinking_can_be_seen(cell):
    said = cell.talk("think", think=True).user("why?").reply()
    assert said.text == "You said: why?"
    assert ("Let me think about" in said.thinking) == cell.shows_thinking
    assert said.output > len(said.text) // 4


def test_thinking_goes_back_over_a_tool_loop(cell):
    said = loop(cell.talk("think", think=True, tools=[WEATHER, CLOCK]))
    assert said.text == "get_weather returned: no such city clock returned: 10:00"
    if cell.column.kept is not None:
        assert cell.column.kept(decoded(cell.fake)), "the provider did not get its thinking back"
