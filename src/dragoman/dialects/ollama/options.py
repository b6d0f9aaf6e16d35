"""The settings that `/api/chat` and `/api/generate` have in common: options, format, think, logprobs."""

from typing import Any

from dragoman.canon import JSON, OutputFormat, Request, Thinking
from dragoman.dialects.fields import Fields, Malformed
from dragoman.dialects.losses import Losses

CAN_SAY = frozenset({
    "output", "thinking", "max_output_tokens", "temperature", "top_p", "top_k", "min_p", "frequency_penalty",
    "presence_penalty", "repetition_penalty", "seed", "stop", "n", "logprobs", "top_logprobs",
})  # fmt: skip

# efforts Ollama has no word for, as the nearest it has
_LEVELS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "max"}
_READ_LEVELS = frozenset({"low", "medium", "high", "max"})
_OPTION = "options."


def read(body: Fields, request: Request) -> None:
    """Takes the common settings out of `body` into `request`; what remains of both goes into `request.extra`."""
    stream = body.flag("stream")
    request.stream = True if stream is None else stream
    request.output = _read_format(body)
    request.thinking = _read_think(body)
    request.logprobs = body.flag("logprobs")
    request.top_logprobs = body.whole("top_logprobs")
    options = body.object("options")
    further = _read_options(options, request) if options else {}
    if rest := {**(body.rest() or {}), **further}:
        request.extra = rest


def _read_options(options: Fields, request: Request) -> JSON:
    request.temperature = options.number("temperature")
    request.top_p = options.number("top_p")
    request.top_k = options.whole("top_k")
    request.min_p = options.number("min_p")
    request.frequency_penalty = options.number("frequency_penalty")
    request.presence_penalty = options.number("presence_penalty")
    request.repetition_penalty = options.number("repeat_penalty")
    request.seed = options.whole("seed")
    request.stop = options.texts("stop")
    limit = options.whole("num_predict")
    further = {_OPTION + name: value for name, value in options.data.items()}
    if limit is not None and limit > 0:
        request.max_output_tokens = limit
    elif limit is not None:
        further[_OPTION + "num_predict"] = limit
    return further


def _read_format(body: Fields) -> OutputFormat | None:
    value = body.any("format")
    match value:
        case None | "":
            return None
        case "json":
            return OutputFormat(kind="json")
        case dict():
            return OutputFormat(kind="json_schema", schema=value)
        case _:
            raise Malformed(body.at("format"), '"json" or a JSON schema', value)


def _read_think(body: Fields) -> Thinking | None:
    value = body.any("think")
    match value:
        case None:
            return None
        case False:
            return Thinking(mode="off")
        case True:
            return Thinking(mode="on", visible=True)
        case str() if value in _READ_LEVELS:
            return Thinking(mode="on", effort=value, visible=True)
        case _:
            raise Malformed(body.at("think"), 'true, false, "low", "medium", "high" or "max"', value)


def write(request: Request, body: JSON, losses: Losses) -> None:
    """Puts the common settings into `body`."""
    body["stream"] = request.stream
    _write_format(request.output, body, losses)
    _write_think(request.thinking, body, losses)
    if request.logprobs is not None:
        body["logprobs"] = request.logprobs
    if request.top_logprobs is not None:
        body["top_logprobs"] = request.top_logprobs
    if request.n is not None and request.n > 1:
        losses.note("n")
    options = _write_options(request)
    further: JSON = {}
    losses.carry(further, request.extra)
    for name, value in further.items():
        if name.startswith(_OPTION):
            options[name.removeprefix(_OPTION)] = value
        else:
            body[name] = value
    if options:
        body["options"] = options


def _write_options(request: Request) -> JSON:
    options: dict[str, Any] = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "min_p": request.min_p,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "repeat_penalty": request.repetition_penalty,
        "seed": request.seed,
        "stop": request.stop or None,
        "num_predict": request.max_output_tokens,
    }
    return {name: value for name, value in options.items() if value is not None}


def _write_format(output: OutputFormat | None, body: JSON, losses: Losses) -> None:
    if output is None or output.kind == "text":
        if output is not None and output.mime:
            losses.note("output")
    elif output.kind == "json_schema" and output.schema is not None:
        body["format"] = output.schema
    else:
        body["format"] = "json"


def _write_think(thinking: Thinking | None, body: JSON, losses: Losses) -> None:
    if thinking is None:
        return
    if thinking.mode == "off" or thinking.effort == "none" or thinking.budget == 0:
        body["think"] = False
    elif thinking.effort is not None:
        body["think"] = _LEVELS.get(thinking.effort, True)
    elif thinking.mode is not None or thinking.budget is not None:
        body["think"] = True
    if thinking.budget is not None and thinking.budget > 0:
        losses.note("thinking.budget")
