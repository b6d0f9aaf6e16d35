"""A `GenerateContentRequest` <-> `Request`. The model and whether to stream stand in the path, not in the body.

| canon Request      | gemini                                                        |
|--------------------|---------------------------------------------------------------|
| messages           | `contents`, `systemInstruction` (see `contents`)              |
| tools, tool_choice | `tools`, `toolConfig.functionCallingConfig` (see `tools`)     |
| service_tier       | `serviceTier` (`standard` is the canon's `default`)           |
| store              | `store`                                                       |
| the rest           | `generationConfig` (see `generation`)                         |
| extra              | `safetySettings`, `cachedContent`, `labels`, …; `toolConfig.<name>`, `generationConfig.<name>` |
"""

from collections.abc import Mapping

from dragoman.canon import JSON, Request
from dragoman.dialects.dialect import Written
from dragoman.dialects.fields import Malformed
from dragoman.dialects.gemini.contents import Contents, read_contents, read_system
from dragoman.dialects.gemini.generation import PREFIX, read_generation, write_generation
from dragoman.dialects.gemini.names import NAME, fields
from dragoman.dialects.gemini.tools import read_choice, read_tools, write_tools
from dragoman.dialects.losses import Losses
from dragoman.dialects.quirks import Quirks

FIELD_NAMES: Mapping[str, str] = {
    "messages": "contents",
    "tool_choice": "toolConfig",
    "output": "generationConfig.responseMimeType",
    "thinking": "generationConfig.thinkingConfig",
    "max_output_tokens": "generationConfig.maxOutputTokens",
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "presence_penalty": "generationConfig.presencePenalty",
    "seed": "generationConfig.seed",
    "stop": "generationConfig.stopSequences",
    "n": "generationConfig.candidateCount",
    "logprobs": "generationConfig.responseLogprobs",
    "top_logprobs": "generationConfig.logprobs",
    "modalities": "generationConfig.responseModalities",
    "service_tier": "serviceTier",
}

_CAN_SAY = frozenset(
    {
        "parallel_tool_calls", "output", "thinking", "max_output_tokens", "temperature", "top_p", "top_k",
        "frequency_penalty", "presence_penalty", "seed", "stop", "n", "logprobs", "top_logprobs", "modalities",
        "service_tier", "store",
    }
)  # fmt: skip
_TIERS = {"standard": "default", "unspecified": "auto"}
_STATED_TIERS = {"default": "standard", "standard_only": "standard", "flex": "flex", "priority": "priority"}
_CONFIG = "toolConfig."


def read_request(body: JSON) -> Request:
    """The decoded body as a request; `model` and `stream` are the surface's to set. Raises `Malformed`."""
    top = fields(body, "")
    request = Request(dialect=NAME)
    top.any("model")
    contents = top.array("contents")
    if contents is None:
        raise Malformed("contents", "an array")
    if (system := top.any("systemInstruction")) is not None:
        request.messages += read_system(system, "systemInstruction")
    request.messages += read_contents(contents, "contents")
    request.tools = read_tools(top.array("tools") or [], "tools")
    extra: JSON = {}
    if (config := top.any("toolConfig")) is not None:
        chosen = fields(config, "toolConfig")
        request.tool_choice = read_choice(chosen)
        extra |= {_CONFIG + name: value for name, value in chosen.data.items()}
    if (config := top.any("generationConfig")) is not None:
        extra |= read_generation(fields(config, "generationConfig"), request)
    if (tier := top.text("serviceTier")) is not None:
        request.service_tier = _TIERS.get(tier.lower(), tier.lower())
    request.store = top.flag("store")
    request.extra = (extra | top.data) or None
    return request


def write_request(request: Request, quirks: Quirks) -> Written:
    """Raises `Unsayable`."""
    losses = Losses(request, NAME, _CAN_SAY)
    body: JSON = {}
    Contents(request, losses).into(body)
    tools, calling = write_tools(request, losses)
    if tools:
        body["tools"] = tools
    config = write_generation(request, losses, quirks.max_stop)
    tool_config: JSON = {"functionCallingConfig": calling} if calling is not None else {}
    if request.extra and losses.same_dialect:
        _put_back(request.extra, body, config, tool_config)
    if tool_config:
        body["toolConfig"] = tool_config
    if config:
        body["generationConfig"] = config
    _write_settings(request, body, losses)
    for name in quirks.refuses:
        if body.pop(name, None) is not None or config.pop(name, None) is not None:
            losses.note(name)
    return Written(body, losses.names)


def _put_back(extra: JSON, body: JSON, config: JSON, tool_config: JSON) -> None:
    for name, value in extra.items():
        if name.startswith(PREFIX):
            config[name.removeprefix(PREFIX)] = value
        elif name.startswith(_CONFIG):
            tool_config[name.removeprefix(_CONFIG)] = value
        else:
            body[name] = value


def _write_settings(request: Request, body: JSON, losses: Losses) -> None:
    if request.parallel_tool_calls is False:
        losses.note("parallel_tool_calls")
    if losses.same_dialect:
        tier = {canon: word for word, canon in _TIERS.items()}.get(request.service_tier or "", request.service_tier)
        if tier is not None:
            body["serviceTier"] = tier
        if request.store is not None:
            body["store"] = request.store
    elif request.service_tier in _STATED_TIERS:
        if request.service_tier != "default":
            body["serviceTier"] = _STATED_TIERS[request.service_tier]
    elif request.service_tier not in (None, "auto"):
        losses.note("service_tier")
