"""Gemini's `setup` and GA's session.

| `setup`                                          | session                                             |
|--------------------------------------------------|-----------------------------------------------------|
| `model`: `models/m`                              | `model`: `m`                                        |
| `systemInstruction`                              | `instructions`                                      |
| `tools[].functionDeclarations`                   | `tools`                                             |
| `generationConfig.responseModalities`            | `output_modalities`                                 |
| `generationConfig.maxOutputTokens`               | `max_output_tokens`                                 |
| `…speechConfig.voiceConfig.prebuiltVoiceConfig.voiceName` | `audio.output.voice`                       |
| `generationConfig.thinkingConfig.thinkingLevel`  | `reasoning.effort`                                  |
| `inputAudioTranscription`                        | `audio.input.transcription`                         |
| its `languageCodes`, `customVocabulary`          | its `language` (the first), `keywords`              |
| `outputAudioTranscription`                       | is always told; the client codec leaves it out      |
| `…automaticActivityDetection.disabled`           | `audio.input.turn_detection`: null                  |
| its `silenceDurationMs`, `prefixPaddingMs`       | those of `server_vad`                               |
| its `endOfSpeechSensitivity`                     | `semantic_vad`'s `eagerness`: `high`, `low`         |
| `realtimeInputConfig.activityHandling`           | `interrupt_response`                                |
| `contextWindowCompression.slidingWindow`         | `truncation`: `auto`                                |
"""

from typing import Any

from dragoman.dialects.fields import Fields, Malformed
from dragoman.dialects.gemini.names import camel, fields, keyed, listed
from dragoman.dialects.gemini.schema import for_gemini, to_json_schema
from dragoman.voice.codecs.codec import Event, Note
from dragoman.voice.codecs.flat import put
from dragoman.voice.codecs.gemini.history import version

TRANSCRIBER = "gpt-4o-mini-transcribe"  # where OpenAI's API wants a name, and Gemini's has none

_LEVELS = {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high"}
_EFFORTS = {effort: level for level, effort in _LEVELS.items()}
_EAGER = {"END_SENSITIVITY_HIGH": "high", "END_SENSITIVITY_LOW": "low"}
_SENSITIVITIES = {eager: name for name, eager in _EAGER.items()}
_OPENAI_VOICES = frozenset(
    {"alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar", "fable", "onyx", "nova"}
)

# what Gemini takes and GA has no place for, by the object it stands in
_LOST = {
    "setup": {"proactivity", "safetySettings", "labels", "avatarConfig", "translationConfig"},
    "setup.generationConfig": {
        "temperature", "topP", "topK", "seed", "mediaResolution", "enableAffectiveDialog", "presencePenalty",
        "frequencyPenalty", "stopSequences", "candidateCount", "responseMimeType", "responseSchema",
        "responseJsonSchema", "logprobs", "responseLogprobs", "audioTimestamp", "routingConfig",
        "modelSelectionConfig", "enableEnhancedCivicAnswers", "responseFormat", "translationConfig",
        "audioTranscriptionConfig",
    },
}  # fmt: skip


def name_of(model: str) -> str:
    """`m` of `models/m` and of Vertex' longer names."""
    return model.rpartition("models/")[2] if "models/" in model else model


def read_setup(setup: Fields, note: Note) -> Event:
    """The session that a setup asks for, without its model. Raises `Malformed`."""
    session: Event = {"type": "realtime", "output_modalities": ["audio"]}
    read_context(setup, session, note)
    if (config := setup.any("generationConfig")) is not None:
        _read_generation(fields(config, setup.at("generationConfig")), session, note)
    if (hearing := setup.any("inputAudioTranscription")) is not None:
        put(session, "audio.input.transcription", _read_transcription(hearing, note))
    turns = _read_turns(setup.any("realtimeInputConfig"), note)
    if turns != {}:
        put(session, "audio.input.turn_detection", turns)
    if (compression := setup.any("contextWindowCompression")) is not None:
        session["truncation"] = "auto"
        if keyed(compression).get("triggerTokens") or keyed(keyed(compression).get("slidingWindow")):
            note("setup.contextWindowCompression")
    if setup.any("sessionResumption") is not None:
        note("setup.sessionResumption")
    setup.any("historyConfig")  # history may always come first
    _rest(setup, note, "setup")
    return session


def read_context(said: Fields, session: Event, note: Note) -> None:
    """What a setup and a later `contextUpdate` both may have."""
    if (instruction := said.any("systemInstruction")) is not None:
        session["instructions"] = _read_instruction(instruction, said, note)
    if (tools := said.array("tools")) is not None:
        session["tools"] = _read_tools(tools, note)


def _read_instruction(instruction: Any, said: Fields, note: Note) -> str:
    content = fields(instruction, said.at("systemInstruction"))
    texts = []
    for part in map(keyed, content.array("parts") or []):
        if isinstance(text := part.get("text"), str):
            texts.append(text)
        else:
            note("setup.systemInstruction.parts")
    return "\n".join(texts)


def _read_tools(tools: list[Any], note: Note) -> list[Event]:
    functions: list[Event] = []
    for i, one in enumerate(tools):
        tool = fields(one, f"setup.tools[{i}]")
        for j, declared in enumerate(tool.array("functionDeclarations") or []):
            functions.append(_read_function(fields(declared, f"setup.tools[{i}].functionDeclarations[{j}]"), note))
        for name in tool.rest() or ():
            note(f"setup.tools.{name}")
    return functions


def _read_function(declared: Fields, note: Note) -> Event:
    function: Event = {"type": "function", "name": declared.must_text("name")}
    if (description := declared.text("description")) is not None:
        function["description"] = description
    openapi, schema = declared.plain("parameters"), declared.plain("parametersJsonSchema")
    if schema is None and openapi is not None:
        schema = to_json_schema(openapi)
    if schema is not None:
        function["parameters"] = schema
    for name in declared.rest() or ():
        note(f"setup.tools.functionDeclarations.{name}")
    return function


def _read_generation(config: Fields, session: Event, note: Note) -> None:
    if modalities := config.texts("responseModalities"):
        session["output_modalities"] = ["audio"] if "AUDIO" in map(str.upper, modalities) else ["text"]
    if (limit := config.whole("maxOutputTokens")) is not None:
        session["max_output_tokens"] = limit
    speech = keyed(config.any("speechConfig"))
    voice = keyed(speech.pop("voiceConfig", None))
    named = keyed(voice.pop("prebuiltVoiceConfig", None)).get("voiceName")
    if isinstance(named, str):
        put(session, "audio.output.voice", named)
    for name in (*speech, *voice):
        note(f"setup.generationConfig.speechConfig.{name}")
    thinking = keyed(config.any("thinkingConfig"))
    level = thinking.pop("thinkingLevel", None)
    if isinstance(level, str) and level.upper() in _LEVELS:
        session["reasoning"] = {"effort": _LEVELS[level.upper()]}
    for name in thinking:
        note(f"setup.generationConfig.thinkingConfig.{name}")
    _rest(config, note, "setup.generationConfig")


def _read_transcription(hearing: Any, note: Note) -> Event:
    config = fields(hearing, "setup.inputAudioTranscription")
    transcription: Event = {"model": TRANSCRIBER}
    if languages := config.texts("languageCodes"):
        transcription["language"] = languages[0].partition("-")[0]
    if words := config.texts("customVocabulary"):
        transcription["keywords"] = words
    for name in config.rest() or ():
        note(f"setup.inputAudioTranscription.{name}")
    return transcription


def _read_turns(config: Any, note: Note) -> Event | None:
    """GA's turn detection; empty where Gemini's default is asked for."""
    if config is None:
        return {}
    realtime = fields(config, "setup.realtimeInputConfig")
    detection = fields(realtime.any("automaticActivityDetection") or {}, realtime.at("automaticActivityDetection"))
    handling = realtime.text("activityHandling")
    turns: Event = {}
    if (silence := detection.whole("silenceDurationMs")) is not None:
        turns["silence_duration_ms"] = silence
    if (padding := detection.whole("prefixPaddingMs")) is not None:
        turns["prefix_padding_ms"] = padding
    eager = _EAGER.get(str(detection.data.get("endOfSpeechSensitivity")))
    if eager and not turns:
        detection.any("endOfSpeechSensitivity")
        turns = {"type": "semantic_vad", "eagerness": eager}
    if handling == "NO_INTERRUPTION":
        turns["interrupt_response"] = False
    if turns:
        turns.setdefault("type", "server_vad")
    disabled = detection.flag("disabled")
    for name, value in {**(detection.rest() or {}), **(realtime.rest() or {})}.items():
        if not str(value).endswith("_UNSPECIFIED"):
            note(f"setup.realtimeInputConfig.{name}")
    return None if disabled else turns


def _rest(said: Fields, note: Note, where: str) -> None:
    """What GA has no place for is lost; what Gemini does not know is refused, as Gemini does."""
    for name in said.rest() or ():
        if name not in _LOST[where]:
            raise Malformed(f"{where}.{name}", "no such field")
        note(f"{where}.{name}")


# --- written ---------------------------------------------------------------------------------------------------------


def write_setup(session: Event, model: str, note: Note) -> Event:
    """The setup of a session of `model`."""
    audio = session.get("audio") or {}
    heard, spoken = audio.get("input") or {}, audio.get("output") or {}
    setup: Event = {
        "model": model if "/" in model else f"models/{model}",
        "generationConfig": _write_generation(session, spoken, model, note),
        **write_context(session, model, note),
    }
    if not model.startswith("projects/"):  # Vertex has no such field
        setup["historyConfig"] = {"initialHistoryInClientContent": True}
    if hearing := heard.get("transcription"):
        setup["inputAudioTranscription"] = _write_transcription(hearing, note)
    if "text" not in (session.get("output_modalities") or ()):
        setup["outputAudioTranscription"] = {}
    if "turn_detection" in heard:
        setup["realtimeInputConfig"] = _write_turns(heard["turn_detection"], note)
    if truncation := session.get("truncation"):
        setup["contextWindowCompression"] = {"slidingWindow": {}}
        if truncation != "auto":
            note("session.truncation")
    if heard.get("noise_reduction"):
        note("session.audio.input.noise_reduction")
    for name in ("parallel_tool_calls", "tracing", "prompt", "include"):
        if session.get(name):
            note(f"session.{name}")
    if session.get("tool_choice") not in (None, "auto"):
        note("session.tool_choice")
    return setup


def write_context(session: Event, model: str, note: Note) -> Event:
    """`systemInstruction` and `tools`, where the session has them."""
    context: Event = {}
    if instructions := session.get("instructions"):
        context["systemInstruction"] = {"parts": [{"text": instructions}]}
    if functions := [tool for tool in session.get("tools") or [] if tool.get("type", "function") == "function"]:
        context["tools"] = [{"functionDeclarations": [_write_function(tool, model) for tool in functions]}]
    if len(functions) < len(listed(session.get("tools"))):
        note("session.tools")
    return context


def _thinks(model: str) -> bool:
    """Whether it thinks while it talks: such a model wants a level, and no call stops it."""
    return version(model) >= (3, 8) and "thinking" in model


def _write_function(tool: Event, model: str) -> Event:
    declared = {name: tool[name] for name in ("name", "description") if tool.get(name) is not None}
    if isinstance(schema := tool.get("parameters"), dict):
        declared["parametersJsonSchema"] = for_gemini(schema)
    if version(model) >= (3, 8) and not _thinks(model):
        declared["behavior"] = "BLOCKING"  # as GA's: a reply ends with the call; it was the default before
    return declared


def _write_generation(session: Event, spoken: Event, model: str, note: Note) -> Event:
    text = "text" in (session.get("output_modalities") or ())
    config: Event = {"responseModalities": ["TEXT" if text else "AUDIO"]}
    if isinstance(limit := session.get("max_output_tokens"), int):
        config["maxOutputTokens"] = limit
    voice = spoken.get("voice")
    if isinstance(voice, str) and voice not in _OPENAI_VOICES:
        config["speechConfig"] = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}}
    elif voice:
        note("session.audio.output.voice")
    if spoken.get("speed", 1.0) != 1.0:
        note("session.audio.output.speed")
    if effort := (session.get("reasoning") or {}).get("effort"):
        config["thinkingConfig"] = {"thinkingLevel": _EFFORTS.get(effort, "HIGH")}
        if effort not in _EFFORTS:
            note("session.reasoning.effort")
    elif _thinks(model):
        config["thinkingConfig"] = {"thinkingLevel": "LOW"}
    return config


def _write_transcription(hearing: Event, note: Note) -> Event:
    config: Event = {}
    if language := hearing.get("language"):
        config["languageCodes"] = [language]
    if words := hearing.get("keywords"):
        config["customVocabulary"] = words
    for name in ("prompt", "delay", "languages"):
        if hearing.get(name):
            note(f"session.audio.input.transcription.{name}")
    if hearing.get("model") not in (None, TRANSCRIBER):
        note("session.audio.input.transcription.model")
    return config


def _write_turns(turns: Event | None, note: Note) -> Event:
    if turns is None:
        return {"automaticActivityDetection": {"disabled": True}}
    detection: Event = {}
    config: Event = {"automaticActivityDetection": detection}
    for name, ours in (("silence_duration_ms", "silenceDurationMs"), ("prefix_padding_ms", "prefixPaddingMs")):
        if turns.get(name) is not None:
            detection[ours] = turns[name]
    if sensitivity := _SENSITIVITIES.get(turns.get("eagerness", "")):
        detection["endOfSpeechSensitivity"] = sensitivity
    if turns.get("interrupt_response") is False:
        config["activityHandling"] = "NO_INTERRUPTION"
    lost = {"threshold": turns.get("threshold"), "idle_timeout_ms": turns.get("idle_timeout_ms")}
    lost["create_response"] = turns.get("create_response") is False
    lost["eagerness"] = turns.get("eagerness") == "medium"
    for name, value in lost.items():
        if value:
            note(f"session.audio.input.turn_detection.{name}")
    return config


def context_update(said: Any, session: Event, note: Note) -> None:
    """A `contextUpdate` into the session it changes. Raises `Malformed`."""
    update = fields(said, "contextUpdate")
    wrapped = update.any("tools")
    if wrapped is not None:
        update.data["tools"] = camel(wrapped).get("tools", []) if isinstance(wrapped, dict) else wrapped
    read_context(update, session, note)
    for name in update.rest() or ():
        raise Malformed(f"contextUpdate.{name}", "no such field")
