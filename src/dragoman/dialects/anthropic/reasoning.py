"""How much to think: `thinking`, `output_config.effort` and `max_tokens`, which hang together.

| canon `Thinking`     | model takes budgets (or is unknown)     | model takes `adaptive`                       |
|----------------------|-----------------------------------------|----------------------------------------------|
| off, or effort none  | `disabled`                              | `disabled`, or nothing where that is off     |
| a budget             | `enabled` with it (1,024 at least)      | `adaptive`, effort from the table            |
| an effort            | `enabled`, budget from the table        | `adaptive` with the effort (the nearest one) |
| on or adaptive alone | `enabled`, budget of effort `medium`    | `adaptive`                                   |

Thinking counts towards `max_tokens` and must leave room in it: where the caller gave no limit, `max_tokens` is raised
by the budget; where the caller did, the budget is held to half of it, and below 1,024 there is no thinking (noted).
Thinking does not go with a forced tool call (the API refuses the pair): the tool is what the caller cannot do without,
so the thinking is left out and noted.
"""

from dragoman.canon import JSON, Request, Thinking
from dragoman.dialects.anthropic.models import Traits
from dragoman.dialects.losses import Losses
from dragoman.dialects.thinking import budget_for, effort_for, nearest

LEAST_BUDGET = 1_024  # the API refuses less


def is_on(body: JSON) -> bool:
    """Whether the written request asks for thinking."""
    thinking = body.get("thinking")
    return thinking is not None and thinking.get("type") != "disabled"


def write(request: Request, body: JSON, model: Traits, interrupted: bool, losses: Losses) -> None:
    """Puts `max_tokens`, `thinking` and `output_config.effort` into `body`. `interrupted`: the history stops after tool
    results whose turn has no thinking of this provider."""
    if request.max_output_tokens is not None:
        body["max_tokens"] = request.max_output_tokens
    thinking = request.thinking
    if losses.same_dialect:
        body.setdefault("max_tokens", model.default_max_tokens)
        if thinking is not None and thinking.mode == "on" and interrupted and "reasoning" in losses.names:
            losses.note("thinking")  # another provider's thinking stood where the API wants its own
        elif thinking is not None:
            _as_said(thinking, body)
        return
    if thinking is None or not _asked(thinking):
        body["max_tokens"] = request.max_output_tokens or model.default_max_tokens
        if thinking is not None:
            losses.carry({}, thinking.extra, "thinking")
        if model.thinks_unasked and _forces_a_tool(body):
            _off(body, model, losses)
        return
    losses.carry({}, thinking.extra, "thinking")
    if _is_off(thinking):
        _off(body, model, losses)
    elif _forces_a_tool(body):
        losses.note("thinking")
        _off(body, model, losses)
    elif model.adaptive:
        _adaptive(thinking, body, model)
    elif interrupted or not model.budgets:
        losses.note("thinking")
    else:
        _enabled(thinking, request.max_output_tokens, body, model, losses)
    body.setdefault("max_tokens", model.default_max_tokens)
    if not body["max_tokens"]:
        body["max_tokens"] = model.default_max_tokens


def _asked(thinking: Thinking) -> bool:
    return thinking.mode is not None or thinking.effort is not None or thinking.budget is not None


def _is_off(thinking: Thinking) -> bool:
    return thinking.mode == "off" or thinking.effort == "none" or (thinking.budget == 0 and thinking.effort is None)


def _forces_a_tool(body: JSON) -> bool:
    return body.get("tool_choice", {}).get("type") in ("any", "tool")


def _off(body: JSON, model: Traits, losses: Losses) -> None:
    if model.says_disabled:
        body["thinking"] = {"type": "disabled"}
    elif model.always_thinks:
        losses.note("thinking")


def _adaptive(thinking: Thinking, body: JSON, model: Traits) -> None:
    written: JSON = {"type": "adaptive"}
    if thinking.visible is not None:
        written["display"] = "summarized" if thinking.visible else "omitted"
    body["thinking"] = written
    effort = thinking.effort or effort_for(thinking.budget)
    if effort is not None and model.efforts:
        body.setdefault("output_config", {})["effort"] = nearest(effort, model.efforts)


def _enabled(thinking: Thinking, limit: int | None, body: JSON, model: Traits, losses: Losses) -> None:
    budget = thinking.budget if thinking.budget is not None and thinking.budget > 0 else None
    if budget is None:
        budget = budget_for(thinking.effort or "medium", limit) or 0
    budget = max(budget, LEAST_BUDGET)
    if limit is None:
        body["max_tokens"] = max(model.default_max_tokens, budget + model.default_max_tokens // 2)
    elif budget >= limit:
        budget = limit // 2
        if budget < LEAST_BUDGET:
            losses.note("thinking")
            return
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    if thinking.visible is False:
        body["thinking"]["display"] = "omitted"
    if model.efforts and thinking.effort is not None:
        body.setdefault("output_config", {})["effort"] = nearest(thinking.effort, model.efforts)


def _as_said(thinking: Thinking, body: JSON) -> None:
    """The caller's own words, for a request of this dialect."""
    written: JSON = {}
    match thinking.mode:
        case "on":
            written = {"type": "enabled", "budget_tokens": thinking.budget}
        case "off":
            written = {"type": "disabled"}
        case "adaptive":
            written = {"type": "adaptive"}
    if written:
        if thinking.visible is not None:
            written["display"] = "summarized" if thinking.visible else "omitted"
        body["thinking"] = {**written, **(thinking.extra or {})}
    if thinking.effort is not None:
        body.setdefault("output_config", {})["effort"] = thinking.effort
