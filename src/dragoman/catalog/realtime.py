"""Where an account's realtime sessions are, what is spoken there, and which models have them.

| provider                     | path                                              | spoken      | lasts  |
|------------------------------|---------------------------------------------------|-------------|--------|
| openai                       | `{base}/realtime?model=`, `?intent=transcription` | `ga`        | 60 min |
| openai, `gpt-live-…`         | `{base}/live/sessions`                            | `live`      | 60 min |
| azure                        | `/openai/v1/realtime?model=`                      | `ga`        | 60 min |
| azure, with an `api_version` | `/openai/realtime?api-version=&deployment=`       | `beta`      | 60 min |
| voicelive                    | `/voice-live/realtime?api-version=&model=`        | `voicelive` | 60 min |
| gemini                       | `/ws/google.ai.generativelanguage…`               | `gemini`    | says   |
| vertex                       | `/ws/google.cloud.aiplatform…`                    | `gemini`    | says   |

Source: the providers' own SDKs (openai, azure-ai-voicelive, google-genai).
"""

import re
from urllib.parse import quote, urlsplit

from msgspec import Struct

from dragoman import config
from dragoman.catalog.directory import Model, Target
from dragoman.catalog.endpoints import Endpoint
from dragoman.catalog.providers import Provider
from dragoman.wire.origin import Origin

HOUR = 3600.0
_KNOWN = re.compile(r"(^|[-_.])(realtime|live|native-audio)([-_.]|$)")
_LISTENERS = re.compile(r"transcribe|whisper")
_VOICE_LIVE_VERSION = "2025-10-01"
_GEMINI = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
_VERTEX = "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent"


class Place(Struct, frozen=True):
    """Where a session is opened. `spoken`: the dialect; `lasts`: seconds, where the provider has a rule; `model`: its
    name in messages, where that is another than the target's."""

    endpoint: Endpoint
    spoken: str
    lasts: float | None = None
    model: str | None = None


def is_realtime(model: Model) -> bool:
    """Whether sessions of this model are a provider's: it is declared so, or all of its targets are known to be."""
    if "realtime" in model.capabilities:
        return True
    targets = [target for tier in model.tiers for target in tier]
    return bool(targets) and all(has_sessions(target) for target in targets)


def has_sessions(target: Target) -> bool:
    """Whether the provider has realtime sessions, and the model's name is that of a realtime model."""
    if target.provider.realtime == "voicelive":
        return True  # whatever the model, its sessions are
    return bool(target.provider.realtime) and _KNOWN.search(target.model.lower()) is not None


def transcribes(model: Model) -> bool:
    """Whether a transcription session can be opened at the model's providers."""
    targets = [target for tier in model.tiers for target in tier]
    return bool(targets) and all(
        target.provider.realtime in {"openai", "azure"}
        and (has_sessions(target) or _LISTENERS.search(target.model.lower()) is not None)
        for target in targets
    )


def locate(provider: Provider, account: config.Account, model: str, *, transcription: bool = False) -> Place:
    """Where sessions of `model` are opened with this account. `transcription`: they only write down what is said.

    Raises `ConfigError` where the account lacks what its cloud needs, or its provider has no realtime sessions.
    """
    base = (account.base_url or provider.base_url).rstrip("/")
    match provider.realtime:
        case "openai":
            if model.startswith("gpt-live"):
                return Place(_endpoint(account, base, "/live/sessions", ""), "live", HOUR)
            query = "intent=transcription" if transcription else f"model={quote(model, safe='')}"
            return Place(_endpoint(account, base, "/realtime", query), "ga", HOUR)
        case "azure":
            return _azure(base, account, model, transcription)
        case "voicelive":
            version = quote(account.api_version or _VOICE_LIVE_VERSION, safe="")
            query = f"api-version={version}&model={quote(model, safe='')}"
            return Place(_endpoint(account, base, "/voice-live/realtime", query), "voicelive", HOUR)
        case "gemini":
            base = base.removesuffix("/v1beta").removesuffix("/v1alpha").removesuffix("/v1")
            return Place(_endpoint(account, base, _GEMINI, ""), "gemini")
        case "vertex":
            if not account.project:
                raise config.ConfigError(f'account "{account.name}": project is required: the Google Cloud project')
            region = account.region or "us-central1"
            base = base or f"https://{region}-aiplatform.googleapis.com"
            endpoint = _endpoint(account, base.removesuffix("/v1").removesuffix("/v1beta1"), _VERTEX, "")
            owner = f"projects/{account.project}/locations/{region}/publishers/google"
            return Place(endpoint, "gemini", model=f"{owner}/models/{model}")
    raise config.ConfigError(f'account "{account.name}": {provider.name} has no realtime sessions')


def _azure(base: str, account: config.Account, model: str, transcription: bool) -> Place:
    if not base:
        raise config.ConfigError(f'account "{account.name}": base_url is required: the resource\'s endpoint')
    base = base.removesuffix("/openai/v1").removesuffix("/openai")
    deployment = quote(account.deployments.get(model, model), safe="")
    intent = "&intent=transcription" if transcription else ""
    if not account.api_version:
        query = intent[1:] if transcription else f"model={deployment}"
        return Place(_endpoint(account, base, "/openai/v1/realtime", query), "ga", HOUR)
    query = f"api-version={quote(account.api_version, safe='')}&deployment={deployment}{intent}"
    return Place(_endpoint(account, base, "/openai/realtime", query), "beta", HOUR)


def _endpoint(account: config.Account, base: str, path: str, query: str) -> Endpoint:
    parts = urlsplit(base)
    try:
        origin = Origin.of(base)
    except ValueError:
        raise config.ConfigError(
            f'account "{account.name}": base_url: expected an http:// or https:// address, got "{base}"'
        ) from None
    queries = "&".join(each for each in (query, parts.query) if each)
    return Endpoint(origin, (parts.path + path + (f"?{queries}" if queries else "")).encode())
