"""Providers' voices over HTTP, as strict as the originals: ElevenLabs, Cartesia, Deepgram's Aura, Groq."""

import json
import re
from typing import Any, Literal, NotRequired, TypedDict

from . import shape
from .fake import Fake, Refused
from .openai import OpenAI
from .scenario import Scenario
from .server import Reply, Request, reply_json
from .speech_sounds import cut, spoken, streamed_wav

NEW = (
    "amalthea|andromeda|apollo|arcas|aries|asteria|athena|atlas|aurora|callista|cora|cordelia|"
    "delia|draco|electra|harmonia|helena|hera|hermes|hyperion|iris|janus|juno|jupiter|luna|mars|"
    "minerva|neptune|odysseus|ophelia|orion|orpheus|pandora|phoebe|pluto|saturn|selene|thalia|"
    "theia|vesta|zeus"
)
OLD = "angus|arcas|asteria|athena|helios|hera|luna|orion|orpheus|perseus|stella|zeus"
AURA = re.compile(rf"aura-2-({NEW})-en|aura-({OLD})-en")  # what deepgram-sdk 7 lists in English


class _Speaker(Fake):
    """What they have in common. `said`: the texts, oldest first."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.said: list[str] = []

    def misshaped(self, wrong: shape.Wrong) -> Refused:
        return Refused(422, f"{'.'.join(map(str, wrong.plain))}: {wrong.code}, expected {wrong.expected}")

    def query(self, request: Request, allowed: dict[str, str]) -> None:
        """Each parameter is known and matches its pattern."""
        for name, value in request.query.items():
            if name not in allowed or not re.fullmatch(allowed[name], value):
                raise Refused(400, f"Invalid query parameter {name}={value}")

    def sound(self, text: str, content_type: str) -> Reply:
        if not text:
            raise Refused(400, "no text")
        self.said.append(text)
        return Reply(200, {"content-type": content_type}, cut(spoken()))


class _VoiceSettings(TypedDict, total=False):
    stability: float
    similarity_boost: float
    speed: float


class _ElevenLabsBody(TypedDict):
    text: str
    model_id: NotRequired[str]
    language_code: NotRequired[str]
    voice_settings: NotRequired[_VoiceSettings]
    previous_text: NotRequired[str]


class ElevenLabs(_Speaker):
    default_key = "sk_elevenlabs_fake_0123456789"
    routes = (
        ("POST", "/v1/text-to-speech/(?P<voice>[A-Za-z0-9]{20})/stream", "stream"),
        ("GET", "/v1/models", "list_models"),
    )

    def authorise(self, request: Request) -> str:
        key = request.headers.get("xi-api-key", "")
        if key not in self.keys:
            raise Refused(401, "Invalid API key", code="invalid_api_key")
        return key

    def envelope(self, refused: Refused) -> bytes:
        return json.dumps({"detail": {"status": refused.code or "error", "message": refused.message}}).encode()

    def status_refusal(self, scenario: Scenario) -> Refused:
        return Refused(scenario.status, scenario.message or "told to", code=scenario.code)

    def stream(self, request: Request, voice: str) -> Reply:
        self.query(request, {"output_format": "pcm_24000"})
        if request.query.get("output_format") != "pcm_24000":
            raise Refused(400, "this fake has no mp3")
        body = self.read_json(request)
        self.conform(_ElevenLabsBody, body)
        if not 0.7 <= body.get("voice_settings", {}).get("speed", 1.0) <= 1.2:
            raise Refused(400, "Invalid setting for speed received, expected 0.7 to 1.2", code="invalid_voice_settings")
        return self.sound(body["text"], "audio/pcm")

    def list_models(self, request: Request) -> Reply:
        return reply_json([{"model_id": "eleven_flash_v2_5"}])


class _CartesiaVoice(TypedDict):
    mode: Literal["id"]
    id: str


class _CartesiaFormat(TypedDict):
    container: Literal["raw"]
    encoding: Literal["pcm_f32le", "pcm_s16le", "pcm_mulaw", "pcm_alaw"]
    sample_rate: Literal[8000, 16000, 22050, 24000, 44100, 48000]


class _CartesiaConfig(TypedDict, total=False):
    speed: float
    volume: float
    emotion: str


class _CartesiaBody(TypedDict):
    model_id: str
    transcript: str
    voice: _CartesiaVoice
    output_format: _CartesiaFormat
    language: NotRequired[str]
    generation_config: NotRequired[_CartesiaConfig]


class Cartesia(_Speaker):
    default_key = "sk_car_fake_0123456789"
    routes = (("POST", "/tts/bytes", "bytes"), ("GET", "/voices", "voices"))

    def authorise(self, request: Request) -> str:
        if not re.fullmatch(r"20\d\d-\d\d-\d\d", request.headers.get("cartesia-version", "")):
            raise Refused(400, "Cartesia-Version header is required")
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if key not in self.keys:
            raise Refused(401, f"Invalid API key: {key}")
        return key

    def envelope(self, refused: Refused) -> bytes:
        return json.dumps(
            {"error_code": "error", "title": "Bad", "message": refused.message, "request_id": "r"}
        ).encode()

    def bytes(self, request: Request) -> Reply:
        body = self.read_json(request)
        self.conform(_CartesiaBody, body)
        if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", body["voice"]["id"]):
            raise Refused(400, "voice not found")
        if not 0.6 <= body.get("generation_config", {}).get("speed", 1.0) <= 1.5:
            raise Refused(400, "speed must be between 0.6 and 1.5")
        return self.sound(body["transcript"], "application/octet-stream")

    def voices(self, request: Request) -> Reply:
        return reply_json({"data": [], "has_more": False})


class _DeepgramBody(TypedDict):
    text: str


class Aura(_Speaker):
    default_key = "deepgram-fake-0123456789"
    routes = (("POST", "/v1/speak", "speak"), ("GET", "/v1/projects", "projects"))

    def authorise(self, request: Request) -> str:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Token" or key not in self.keys:
            raise Refused(401, "Invalid credentials.", code="INVALID_AUTH")
        return key

    def envelope(self, refused: Refused) -> bytes:
        code = refused.code or "Bad Request"
        return json.dumps({"err_code": code, "err_msg": refused.message, "request_id": "r"}).encode()

    def speak(self, request: Request) -> Reply:
        self.query(
            request,
            {"model": AURA.pattern, "encoding": "linear16", "sample_rate": "8000|16000|24000|32000|48000",
             "container": "none|wav", "speed": r"0\.[789]\d*|1(\.[0-5]\d*)?"},
        )  # fmt: skip
        if {"encoding", "sample_rate", "container"} - request.query.keys() or request.query["container"] == "wav":
            raise Refused(400, "this fake has bare samples only")
        body = self.read_json(request)
        self.conform(_DeepgramBody, body)
        return self.sound(body["text"], "audio/l16;rate=24000")

    def projects(self, request: Request) -> Reply:
        return reply_json({"projects": []})


class Groq(OpenAI):
    """Its voices come as WAV files at 48 kHz."""

    voices = frozenset({"autumn", "diana", "hannah", "austin", "daniel", "troy"})

    def speech(self, request: Request, deployment: str | None = None) -> Reply:
        body = self.read(request, deployment)
        if body.get("response_format") != "wav":
            raise Refused(400, "response_format must be one of [wav]")
        if body["voice"] not in self.voices:
            raise Refused(400, f"voice must be one of {sorted(self.voices)}")
        return Reply(200, {"content-type": "audio/wav"}, cut(streamed_wav(48_000)))
