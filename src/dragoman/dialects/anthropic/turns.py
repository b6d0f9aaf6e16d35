"""The order of messages and blocks that the API insists on, made from whatever order another dialect allows.

- the first message is the user's; user and assistant messages alternate
- the results of a turn's tool calls stand in the very next message, before anything else in it
- a turn's thinking stands before the rest of it
- no message is empty; the last one, if the assistant's (a prefill), does not end in white space
"""

from msgspec import Struct

from dragoman.canon import JSON

_THINKING = ("thinking", "redacted_thinking")
START = "…"  # what the user is made to say where a history begins with the assistant


class Turn(Struct):
    """One message as it will be written."""

    role: str
    blocks: list[JSON]
    extra: JSON | None = None


def arrange(turns: list[Turn]) -> list[Turn]:
    """The same turns in the order that the API insists on."""
    merged: list[Turn] = []
    for turn in turns:
        if not turn.blocks:
            continue
        if merged and merged[-1].role == turn.role:
            merged[-1].blocks = merged[-1].blocks + turn.blocks
        else:
            merged.append(Turn(turn.role, turn.blocks))
    for turn in merged:
        turn.blocks = _results_first(turn.blocks) if turn.role == "user" else _thinking_first(turn.blocks)
    if merged and merged[-1].role == "assistant":
        _trim(merged)
    if merged and merged[0].role == "assistant":
        merged.insert(0, Turn("user", [{"type": "text", "text": START}]))
    return merged


def thinking_is_missing(turns: list[Turn]) -> bool:
    """Whether tool results follow an assistant turn that does not begin with thinking: with `enabled` thinking the API
    refuses to go on from there (the turn came from a model that does not sign its thinking, or not for this API)."""
    turns = [turn for turn in turns[-3:] if turn.role != "system" and turn.blocks]
    if len(turns) < 2 or turns[-1].role != "user" or turns[-1].blocks[0]["type"] != "tool_result":
        return False
    return turns[-2].blocks[0]["type"] not in _THINKING


def _results_first(blocks: list[JSON]) -> list[JSON]:
    results = [block for block in blocks if block["type"] == "tool_result"]
    if not results or len(results) == len(blocks):
        return blocks
    return results + [block for block in blocks if block["type"] != "tool_result"]


def _thinking_first(blocks: list[JSON]) -> list[JSON]:
    """The first run of thinking goes to the front; later runs (thinking between tool calls) stay."""
    if blocks[0]["type"] in _THINKING:
        return blocks
    first = next((i for i, block in enumerate(blocks) if block["type"] in _THINKING), None)
    if first is None:
        return blocks
    last = first
    while last < len(blocks) and blocks[last]["type"] in _THINKING:
        last += 1
    return blocks[first:last] + blocks[:first] + blocks[last:]


def _trim(turns: list[Turn]) -> None:
    last = turns[-1].blocks[-1]
    if last["type"] != "text" or not last["text"][-1:].isspace():
        return
    text = last["text"].rstrip()
    if text:
        turns[-1].blocks = [*turns[-1].blocks[:-1], {**last, "text": text}]
    elif len(turns[-1].blocks) > 1:
        turns[-1].blocks = turns[-1].blocks[:-1]
    else:
        turns.pop()
