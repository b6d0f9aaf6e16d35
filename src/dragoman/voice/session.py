"""A session's configuration: what it is by default, and how the client changes it.

The shape is OpenAI's (GA). What the client gives is laid over what is in force, checked as a whole, and shown in full
in `session.created` and `session.updated`. `null` takes back what can be absent and leaves everything else as it is.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from dragoman.voice.events import JSON, Natural
from dragoman.voice.refusal import Refused, Strict, checked

INSTRUCTIONS = (
    "You are talking with somebody by voice. Be helpful and friendly, and answer in short spoken sentences, without "
    "lists, headings, emoji or formatting. Speak the language the user speaks."
)
Modality: TypeAlias = Literal["text", "audio"]
MaxTokens: TypeAlias = Annotated[int, Meta(ge=1)] | Literal["inf"]


class Pcm(Strict, tag_field="type", tag="audio/pcm", kw_only=True, frozen=True):
    """16-bit little-endian mono."""

    rate: Annotated[int, Meta(ge=8000, le=48000)] = 24000


class Pcmu(Strict, tag_field="type", tag="audio/pcmu", kw_only=True, frozen=True):
    """G.711 µ-law, 8 kHz."""

    rate: Literal[8000] | UnsetType = UNSET


class Pcma(Strict, tag_field="type", tag="audio/pcma", kw_only=True, frozen=True):
    """G.711 A-law, 8 kHz."""

    rate: Literal[8000] | UnsetType = UNSET


Format: TypeAlias = Pcm | Pcmu | Pcma


class ServerVad(Strict, tag_field="type", tag="server_vad", kw_only=True, frozen=True):
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    prefix_padding_ms: Natural = 300
    silence_duration_ms: Natural = 500
    idle_timeout_ms: Annotated[int, Meta(ge=1)] | None = None
    create_response: bool = True
    interrupt_response: bool = True


class SemanticVad(Strict, tag_field="type", tag="semantic_vad", kw_only=True, frozen=True):
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


class Transcription(Strict, kw_only=True, frozen=True):
    """Any `model` is accepted: the configured engine transcribes."""

    model: str | None = None
    language: str | None = None
    languages: list[str] | None = None
    prompt: str | None = None
    keywords: list[str] | None = None
    delay: str | None = None


class NoiseReduction(Strict, kw_only=True, frozen=True):
    type: Literal["near_field", "far_field"] | None = None
    strength: Annotated[float, Meta(ge=0, le=1)] | None = None


class VoiceId(Strict, kw_only=True, frozen=True):
    id: str


class Input(Strict, kw_only=True, frozen=True):
    format: Format = field(default_factory=Pcm)
    noise_reduction: NoiseReduction | None = None
    transcription: Transcription | None = None
    turn_detection: ServerVad | SemanticVad | None = field(default_factory=ServerVad)


class Output(Strict, kw_only=True, frozen=True):
    format: Format = field(default_factory=Pcm)
    voice: str | VoiceId = "alloy"
    speed: Annotated[float, Meta(ge=0.25, le=1.5)] = 1.0


class Audio(Strict, kw_only=True, frozen=True):
    input: Input = field(default_factory=Input)
    output: Output = field(default_factory=Output)


LOGPROBS = "item.input_audio_transcription.logprobs"  # what `include` may ask for


class Tool(Strict, kw_only=True, frozen=True):
    """A function. Tools of remote MCP servers are refused: the gateway runs none."""

    type: Literal["function"] = "function"
    name: Annotated[str, Meta(min_length=1)]
    description: str | None = None
    parameters: JSON | None = None


class NamedTool(Strict, tag_field="type", tag="function", kw_only=True, frozen=True):
    name: str


ToolChoice: TypeAlias = Literal["none", "auto", "required"] | NamedTool


class Reasoning(Strict, kw_only=True, frozen=True):
    effort: str | None = None


Modalities: TypeAlias = Annotated[list[Modality], Meta(min_length=1, max_length=2)]


class Realtime(Strict, kw_only=True, frozen=True):
    """A session that talks. `prompt` and `tracing` are taken and shown, and nothing follows from them."""

    type: Literal["realtime"] = "realtime"
    model: str = ""
    output_modalities: Modalities = field(default_factory=lambda: ["audio"])
    instructions: str = INSTRUCTIONS
    tools: list[Tool] = field(default_factory=list)
    tool_choice: ToolChoice = "auto"
    max_output_tokens: MaxTokens = "inf"
    tracing: Literal["auto"] | JSON | None = None
    truncation: Literal["auto", "disabled"] | JSON = "auto"
    prompt: JSON | None = None
    reasoning: Reasoning | None = None
    parallel_tool_calls: bool | None = None
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None
    audio: Audio = field(default_factory=Audio)


class TranscriptionAudio(Strict, kw_only=True, frozen=True):
    input: Input = field(default_factory=Input)


class TranscriptionOnly(Strict, kw_only=True, frozen=True):
    """A session that only listens."""

    type: Literal["transcription"] = "transcription"
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None
    audio: TranscriptionAudio = field(default_factory=TranscriptionAudio)


Config: TypeAlias = Realtime | TranscriptionOnly
_KINDS: Mapping[str, type[Config]] = {"realtime": Realtime, "transcription": TranscriptionOnly}
# what `null` takes back; anywhere else it says nothing
_REMOVABLE = frozenset(
    {"turn_detection", "transcription", "noise_reduction", "tracing", "prompt", "include", "reasoning"}
)
_LAYERS = frozenset({"audio", "input", "output", "noise_reduction"})  # laid over field by field; others as a whole
_SHOWN_NULL = frozenset({"noise_reduction", "transcription", "turn_detection", "tracing", "prompt", "include",
                         "idle_timeout_ms"})  # fmt: skip


class Session:
    """One session's configuration. `detection` is what the client said of turn detection, without the defaults: a
    silence that it did not name is for the turn policy to choose."""

    def __init__(self, session_id: str, model: str, expires_at: int, kind: str = "realtime") -> None:
        self.id = session_id
        self.expires_at = expires_at
        self.config: Config = Realtime(model=model) if kind == "realtime" else TranscriptionOnly()
        self.detection: JSON | None = {"type": "server_vad"}
        self.spoken = False  # assistant audio is in the conversation: the voice stays as it is

    @property
    def talks(self) -> bool:
        return isinstance(self.config, Realtime)

    @property
    def realtime(self) -> Realtime:
        """Of a session that talks."""
        if not isinstance(self.config, Realtime):
            raise TypeError("a transcription session has no answers")
        return self.config

    def update(self, said: JSON) -> None:
        """Raises `Refused`, and then nothing has changed."""
        kind = said.get("type", self.config.type)
        if kind not in _KINDS:
            shown = str(kind)[:80]
            raise Refused(f"Invalid value: '{shown}'. Supported values are: 'realtime' and 'transcription'.",
                          "invalid_value", "session.type")  # fmt: skip
        if kind != self.config.type:
            raise Refused(f"Passing a {kind} session update event to a {self.config.type} session is not allowed.",
                          "invalid_value", "session.type")  # fmt: skip
        refuse_remote(said.get("tools"), "session.tools")
        new = checked(_laid(_plain(self.config), said), _KINDS[kind], "session")
        if isinstance(new, Realtime) and isinstance(self.config, Realtime):
            if self.config.model and new.model != self.config.model:
                new = msgspec.structs.replace(new, model=self.config.model)  # the model is the connection's
            if self.spoken and new.audio.output.voice != self.config.audio.output.voice:
                message = "Cannot update a conversation's voice if assistant audio is present."
                raise Refused(message, "cannot_update_voice")
        self.config = new
        given = said.get("audio") or {}
        given = given.get("input") or {} if isinstance(given, dict) else {}
        if "turn_detection" in given:
            self.detection = given["turn_detection"]

    def shown(self) -> JSON:
        """The whole of it, as `session.created` has it."""
        shown = {"object": f"realtime.{'' if self.talks else 'transcription_'}session", "id": self.id}
        return shown | _pruned(_plain(self.config)) | {"expires_at": self.expires_at}


def refuse_remote(tools: object, where: str) -> None:
    """Raises `Refused` for tools of remote MCP servers, with what is not done and what to do instead."""
    for at, tool in enumerate(tools if isinstance(tools, list) else ()):
        if isinstance(tool, dict) and tool.get("type") == "mcp":
            message = (
                "Tools of type 'mcp' are not supported with this model: it is given its voice by the gateway, which "
                "calls no remote MCP server. Declare tools of type 'function' and answer their calls, or ask for a "
                "realtime model of a provider."
            )
            raise Refused(message, "invalid_value", f"{where}[{at}].type")


def _plain(value: object) -> JSON:
    plain: JSON = msgspec.to_builtins(value)
    return plain


def _laid(under: Mapping[str, Any], over: Mapping[str, Any]) -> JSON:
    laid = dict(under)
    for name, value in over.items():
        below = laid.get(name)
        if value is None and name not in _REMOVABLE and name in laid:
            continue
        if name in _LAYERS and isinstance(value, dict) and isinstance(below, dict):
            laid[name] = _laid(below, value)
        else:
            laid[name] = value
    return laid


def _pruned(plain: JSON) -> JSON:
    """Without what is absent and is not shown as `null`."""
    return {
        name: _pruned(value) if isinstance(value, dict) and name != "parameters" else value
        for name, value in plain.items()
        if value is not None or name in _SHOWN_NULL
    }
