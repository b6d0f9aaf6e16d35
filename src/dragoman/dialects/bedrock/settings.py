"""What differs by the model behind Bedrock: thinking, sampling, caching. Claude's rules are those of its maker's API.

| family | told by | thinking | top_k | cache points |
|---|---|---|---|---|
| claude | `anthropic.` or `claude` in the id | `thinking` and effort as its generation takes them | `top_k` | yes |
| nova | `amazon.nova` | effort | `inferenceConfig.topK` | yes |
| other | | effort | lossy | no |

An application inference profile's ARN tells no family: there cache points pass, since only models that cache get them
marked by their callers.
"""

from typing import Literal, TypeAlias

from msgspec import Struct, field

from dragoman.canon import JSON, Request
from dragoman.dialects.anthropic import reasoning
from dragoman.dialects.anthropic.models import Traits, traits
from dragoman.dialects.losses import Losses
from dragoman.dialects.thinking import effort_for, nearest

Family: TypeAlias = Literal["claude", "nova", "other"]
_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def family(model: str) -> Family:
    """Whose rules a model id follows."""
    if "anthropic." in model or "claude" in model:
        return "claude"
    return "nova" if "amazon.nova" in model else "other"


def caches(model: str) -> bool:
    """Whether a request for `model` may have cache points."""
    return family(model) != "other" or "application-inference-profile/" in model


class _Said(Struct):
    """The settings being written: the common ones, the model's own, and the effort."""

    inference: JSON = field(default_factory=dict)
    further: JSON = field(default_factory=dict)
    effort: str | None = None


def write(request: Request, body: JSON, interrupted: bool, losses: Losses) -> None:
    """Puts `inferenceConfig`, `outputConfig.effort` and `additionalModelRequestFields` into `body`. `interrupted`: the
    history stops after tool results whose turn has no thinking of this provider."""
    said = _Said()
    if request.max_output_tokens is not None:
        said.inference["maxTokens"] = request.max_output_tokens
    if family(request.model) == "claude":
        choice = body.get("toolConfig", {}).get("toolChoice", {"auto": {}})
        _claude(request, said, next(iter(choice)), interrupted, losses)
    else:
        _others(request, said, losses)
    if request.stop:
        said.inference["stopSequences"] = request.stop
    if said.inference:
        body["inferenceConfig"] = said.inference
    if said.effort is not None:
        body["outputConfig"] = {**body.get("outputConfig", {}), "effort": said.effort}
    if said.further:
        body["additionalModelRequestFields"] = {**said.further, **body.get("additionalModelRequestFields", {})}


def _others(request: Request, said: _Said, losses: Losses) -> None:
    if request.temperature is not None:
        said.inference["temperature"] = _warmth(request.temperature, losses)
    if request.top_p is not None:
        said.inference["topP"] = request.top_p
    if request.top_k is not None and family(request.model) == "nova":
        said.further["inferenceConfig"] = {"topK": request.top_k}
    elif request.top_k is not None:
        losses.note("top_k")
    thinking = request.thinking
    if thinking is None:
        return
    effort = thinking.effort or effort_for(thinking.budget)
    if thinking.mode == "off" or effort in (None, "none"):
        if thinking.mode is not None or effort is not None:
            losses.note("thinking")
    elif effort is not None:
        said.effort = nearest(effort, _EFFORTS)


def _warmth(temperature: float, losses: Losses) -> float:
    """Bedrock's scale ends at 1."""
    if temperature > 1:
        losses.note("temperature")
        return 1.0
    return temperature


def _claude(request: Request, said: _Said, choice: str, interrupted: bool, losses: Losses) -> None:
    """`choice`: the kind of tool choice, which tells whether there may be thinking."""
    model = traits(request.model)
    written: JSON = {"tool_choice": {"type": choice}}
    reasoning.write(request, written, model, interrupted, losses)
    said.inference["maxTokens"] = written["max_tokens"]
    if "thinking" in written:
        said.further["thinking"] = written["thinking"]
    said.effort = written.get("output_config", {}).get("effort")
    _sampling(request, said, model, model.sampling and not reasoning.is_on(written), losses)


def _sampling(request: Request, said: _Said, model: Traits, free: bool, losses: Losses) -> None:
    """Not `free`: newer generations take no sampling, and thinking goes with none."""
    if request.temperature is not None:
        if free:
            said.inference["temperature"] = _warmth(request.temperature, losses)
        elif request.temperature != 1:
            losses.note("temperature")
    if request.top_p is not None:
        if free and not (model.one_of_temperature_top_p and "temperature" in said.inference):
            said.inference["topP"] = request.top_p
        elif request.top_p != 1:
            losses.note("top_p")
    if request.top_k is not None:
        if free:
            said.further["top_k"] = request.top_k
        else:
            losses.note("top_k")
