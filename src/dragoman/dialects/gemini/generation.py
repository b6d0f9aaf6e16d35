"""`generationConfig`, both ways.

| canon Request              | gemini `generationConfig`                                                           |
|----------------------------|-------------------------------------------------------------------------------------|
| max_output_tokens          | maxOutputTokens                                                                     |
| temperature, top_p, top_k  | temperature, topP, topK                                                             |
| presence/frequency_penalty | presencePenalty, frequencyPenalty                                                   |
| seed, n                    | seed, candidateCount                                                                |
| stop (at most 5)           | stopSequences                                                                       |
| logprobs, top_logprobs     | responseLogprobs, logprobs                                                          |
| modalities                 | responseModalities (upper case)                                                     |
| output                     | responseMimeType, responseJsonSchema (read also from responseSchema)                |
| thinking.budget            | thinkingConfig.thinkingBudget (0 off, -1 adaptive)                                  |
| thinking.effort            | thinkingConfig.thinkingLevel; a budget for Gemini 2                                 |
| thinking.visible           | thinkingConfig.includeThoughts; true where another dialect asks without saying      |
| extra                      | speechConfig, mediaResolution, imageConfig, …, as `generationConfig.<name>`         |
"""

from dragoman.canon import JSON, OutputFormat, Request, Thinking
from dragoman.dialects import thinking as efforts
from dragoman.dialects.fields import Fields, Readings
from dragoman.dialects.gemini.names import fields, generation
from dragoman.dialects.gemini.schema import for_gemini, to_json_schema
from dragoman.dialects.losses import Losses

PREFIX = "generationConfig."
MAX_STOP = 5
_NUMBERS = {
    "temperature": "temperature",
    "top_p": "topP",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
}
_WHOLES = {
    "top_k": "topK",
    "max_output_tokens": "maxOutputTokens",
    "seed": "seed",
    "n": "candidateCount",
    "top_logprobs": "logprobs",
}
_READINGS: Readings = {
    **{word: (name, Fields.number) for name, word in _NUMBERS.items()},
    **{word: (name, Fields.whole) for name, word in _WHOLES.items()},
    "responseLogprobs": ("logprobs", Fields.flag),
    "stopSequences": ("stop", Fields.texts),
}
LEVELS = ("minimal", "low", "medium", "high")  # what every Gemini 3 Flash takes; Pro has no minimal


def read_generation(config: Fields, request: Request) -> JSON:
    """Puts what it knows into `request` and returns the rest, by dotted names."""
    config.into(request, _READINGS)
    if not config.data:  # as in most requests
        return {}
    if modalities := config.texts("responseModalities"):
        request.modalities = [item.lower() for item in modalities]
    request.output = _read_output(config)
    if (thinking := config.any("thinkingConfig")) is not None:
        request.thinking = _read_thinking(fields(thinking, config.at("thinkingConfig")))
    return {PREFIX + name: value for name, value in config.data.items()}


def _read_output(config: Fields) -> OutputFormat | None:
    mime = config.text("responseMimeType")
    openapi, schema = config.plain("responseSchema"), config.plain("responseJsonSchema")
    if schema is None and openapi is not None:
        schema = to_json_schema(openapi)
    plain = mime in (None, "application/json", "text/plain")
    if schema is not None:
        return OutputFormat(kind="json_schema", schema=schema, mime=None if mime == "application/json" else mime or "")
    if mime is None:
        return None
    if mime == "application/json":
        return OutputFormat(kind="json")
    return OutputFormat(kind="text", mime=None if plain else mime)


def _read_thinking(config: Fields) -> Thinking:
    visible, budget, level = (
        config.flag("includeThoughts"),
        config.whole("thinkingBudget"),
        config.text("thinkingLevel"),
    )
    thinking = Thinking(visible=visible, budget=budget, extra=config.rest())
    if level is not None and level.upper() != "THINKING_LEVEL_UNSPECIFIED":
        thinking.effort = level.lower()
    if budget is not None:
        thinking.mode = "off" if budget == 0 else "adaptive" if budget < 0 else "on"
    return thinking


def write_generation(request: Request, losses: Losses, max_stop: int | None) -> JSON:
    config: JSON = {}
    for words in (_NUMBERS, _WHOLES):
        for name, word in words.items():
            if (value := getattr(request, name)) is not None:
                config[word] = value
    if request.logprobs is not None and (request.logprobs or losses.same_dialect):
        config["responseLogprobs"] = request.logprobs
    limit = min(max_stop or MAX_STOP, MAX_STOP)
    if request.stop:
        config["stopSequences"] = request.stop if losses.same_dialect else request.stop[:limit]
        if len(request.stop) > len(config["stopSequences"]):
            losses.note("stop")
    if request.modalities is not None:
        config["responseModalities"] = [item.upper() for item in request.modalities]
    if request.output is not None:
        _write_output(request.output, config, losses)
    if request.thinking is not None and (thinking := _write_thinking(request.thinking, request, losses)):
        config["thinkingConfig"] = thinking
    return config


def _write_output(output: OutputFormat, config: JSON, losses: Losses) -> None:
    match output.kind:
        case "json_schema":
            if output.mime != "":
                config["responseMimeType"] = output.mime or "application/json"
            if output.schema is not None:
                config["responseJsonSchema"] = output.schema if losses.same_dialect else for_gemini(output.schema)
        case "json":
            config["responseMimeType"] = "application/json"
        case "text":
            if output.mime is not None:
                config["responseMimeType"] = output.mime
            elif losses.same_dialect:
                config["responseMimeType"] = "text/plain"


def _write_thinking(thinking: Thinking, request: Request, losses: Losses) -> JSON:
    config: JSON = {}
    if thinking.visible is not None:
        config["includeThoughts"] = thinking.visible
    elif thinking.summary is not None:
        config["includeThoughts"] = True
    if losses.same_dialect:
        if thinking.budget is not None:
            config["thinkingBudget"] = thinking.budget
        if thinking.effort is not None:
            config["thinkingLevel"] = thinking.effort.upper()
        return config | (thinking.extra or {})
    losses.carry(config, thinking.extra, "thinking")
    if thinking.visible is None:
        config["includeThoughts"] = True  # who asks elsewhere for thinking may see it without saying so
    series = generation(request.model)
    if series is not None and series < 3:
        if (budget := _budget(thinking, request)) is not None:
            config["thinkingBudget"] = budget
    elif (level := _level(thinking, request.model)) is not None:
        config["thinkingLevel"] = level.upper()
    if thinking.mode == "off" or thinking.effort == "none":
        config.pop("includeThoughts", None)
    return config


def _budget(thinking: Thinking, request: Request) -> int | None:
    """Tokens for a Gemini 2 model, within its range: Pro cannot be switched off and takes 128 to 32,768."""
    pro = "pro" in request.model
    if thinking.mode == "off" or thinking.effort == "none":
        return 128 if pro else 0
    budget = thinking.budget
    if budget is None:
        budget = efforts.budget_for(thinking.effort, request.max_output_tokens)
    if budget is None:
        return -1 if thinking.mode is not None else None
    if budget <= 0:
        return budget if budget < 0 or not pro else 128
    return max(512 if "lite" in request.model else 128, min(budget, 32_768 if pro else 24_576))


def _level(thinking: Thinking, model: str) -> str | None:
    """A level for Gemini 3 and later, which cannot be switched off: then the least."""
    least = LEVELS[1:] if "pro" in model else LEVELS
    if thinking.mode == "off":
        return least[0]
    effort = thinking.effort or efforts.effort_for(thinking.budget)
    return efforts.nearest(effort, least) if effort is not None else None
