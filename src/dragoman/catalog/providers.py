"""The services we know: where they are, what they speak, how a key travels, and in what they differ. Data, not code.

A new provider that speaks an existing dialect is one entry in `PROVIDERS`.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

from dragoman.dialects.quirks import Quirks

Auth: TypeAlias = Literal[
    "bearer",
    "token",
    "bare",
    "x-api-key",
    "xi-api-key",
    "api-key",
    "x-goog-api-key",
    "azure",
    "vertex",
    "sigv4",
    "none",
]  # `authorization: Bearer KEY`, `Token KEY` or the key alone; a header of that name; a cloud's own way


class Provider(Struct, frozen=True, kw_only=True):
    """A service.

    `base_url` is what the provider's official SDK takes as its base URL; `prefix` is what that SDK puts between it and
    a dialect's path. `dialects`: what it speaks; a client of any other dialect is served through the first; none: it
    has speech only, for `dragoman.voice`. `proof`: a path that answers GET well to a good key only. `relays`:
    the OpenAI endpoints without a model conversation (embeddings, audio, images, moderations) that it has. `embeds`:
    the dialect of its embedding endpoint. `version`: the header that names the version of the protocol, and the one
    we speak of our own accord; a relayed client's own goes before it. `realtime`: how its realtime sessions are reached
    (`catalog.realtime`), where it has any. `keyless`: it runs at home and needs no key.
    `embedded`: it is run here, by `dragoman.local`, which knows its address.
    """

    name: str
    base_url: str
    dialects: tuple[str, ...] = ("openai-chat",)
    prefix: str = ""
    auth: Auth = "bearer"
    env: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    version: tuple[str, str] | None = None
    quirks: Quirks = Quirks()
    embeds: str | None = None
    relays: frozenset[str] = frozenset()
    realtime: Literal["", "openai", "azure", "voicelive", "gemini", "vertex"] = ""
    keyless: bool = False
    embedded: bool = False
    proof: str = ""


_OPENAI_RELAYS = frozenset({"audio/transcriptions", "audio/translations", "audio/speech", "images/generations",
                            "images/edits", "moderations"})  # fmt: skip

# An openai-chat service that follows the older names of the protocol, as most but OpenAI itself do.
_COMPATIBLE = Quirks(
    max_tokens_field="max_tokens",
    developer_role=False,
    user_field="user",
    strict_tools=True,
    documents=False,
    custom_tools=False,
)


def _compatible(**changes: object) -> Quirks:
    fields = {name: getattr(_COMPATIBLE, name) for name in _COMPATIBLE.__struct_fields__}
    return Quirks(**(fields | changes))


_LLAMA_CPP = _compatible(
    reasoning_field="reasoning_content",
    strict_tools=False,
    custom_tools=False,
    sampling_extras=True,
    prefill="trailing",
    refuses=frozenset({"repetition_penalty"}),  # passed over in silence: there it is repeat_penalty
)

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider(
            name="openai",
            base_url="https://api.openai.com/v1",
            dialects=("openai-chat", "openai-responses"),
            env=("OPENAI_API_KEY",),
            embeds="openai",
            relays=_OPENAI_RELAYS,
            realtime="openai",
        ),
        Provider(
            name="azure",
            base_url="",  # every resource has its own
            dialects=("openai-chat", "openai-responses"),
            auth="azure",
            env=("AZURE_OPENAI_API_KEY",),
            embeds="openai",
            relays=_OPENAI_RELAYS,
            realtime="azure",
        ),
        Provider(
            name="voicelive",
            base_url="",  # every resource has its own
            dialects=("openai-chat", "openai-responses"),
            auth="azure",
            realtime="voicelive",
        ),
        Provider(
            name="anthropic",
            base_url="https://api.anthropic.com",
            dialects=("anthropic",),
            auth="x-api-key",
            env=("ANTHROPIC_API_KEY",),
            version=("anthropic-version", "2023-06-01"),
        ),
        Provider(
            name="gemini",
            base_url="https://generativelanguage.googleapis.com",
            dialects=("gemini",),
            prefix="/v1beta",
            auth="x-goog-api-key",
            env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
            embeds="gemini",
            realtime="gemini",
        ),
        Provider(
            name="vertex",
            base_url="",  # made from region and project
            dialects=("gemini",),
            auth="vertex",
            env=("GOOGLE_APPLICATION_CREDENTIALS",),
            embeds="gemini",
            realtime="vertex",
        ),
        Provider(
            name="bedrock",
            base_url="",  # made from the region
            dialects=("bedrock",),
            auth="sigv4",
            env=("AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID"),
        ),
        Provider(
            name="mistral",
            base_url="https://api.mistral.ai/v1",
            env=("MISTRAL_API_KEY",),
            quirks=_compatible(
                stream_usage=False, refuses=frozenset({"logit_bias", "user"}), prefill="prefix", prefill_echo=True
            ),
            embeds="openai",
        ),
        Provider(
            name="groq",
            base_url="https://api.groq.com/openai/v1",
            env=("GROQ_API_KEY",),
            quirks=_compatible(reasoning_field="reasoning", prefill="trailing"),
            relays=frozenset({"audio/transcriptions", "audio/translations", "audio/speech"}),
        ),
        Provider(
            name="deepseek",
            base_url="https://api.deepseek.com/v1",
            env=("DEEPSEEK_API_KEY",),
            quirks=_compatible(reasoning_field="reasoning_content", strict_tools=False),
        ),
        Provider(
            name="openrouter",
            base_url="https://openrouter.ai/api/v1",
            env=("OPENROUTER_API_KEY",),
            quirks=_compatible(reasoning_field="reasoning", cache_control=True, documents=True, prefill="trailing"),
            embeds="openai",
        ),
        Provider(
            name="xai",
            base_url="https://api.x.ai/v1",
            env=("XAI_API_KEY",),
            quirks=_compatible(reasoning_field="reasoning_content"),
        ),
        Provider(
            name="together",
            base_url="https://api.together.xyz/v1",
            env=("TOGETHER_API_KEY",),
            quirks=_compatible(reasoning_field="reasoning"),
            embeds="openai",
        ),
        Provider(
            name="fireworks",
            base_url="https://api.fireworks.ai/inference/v1",
            env=("FIREWORKS_API_KEY",),
            quirks=_compatible(reasoning_field="reasoning_content"),
            embeds="openai",
        ),
        Provider(
            name="cerebras",
            base_url="https://api.cerebras.ai/v1",
            env=("CEREBRAS_API_KEY",),
            quirks=_compatible(max_tokens_field="max_completion_tokens", reasoning_field="reasoning"),
        ),
        Provider(
            name="perplexity",
            base_url="https://api.perplexity.ai",
            env=("PERPLEXITY_API_KEY",),
            quirks=_compatible(refuses=frozenset({"tools", "tool_choice"})),
        ),
        Provider(
            name="cohere",
            base_url="https://api.cohere.com",
            dialects=("cohere",),
            env=("COHERE_API_KEY", "CO_API_KEY"),
            embeds="cohere",
        ),
        Provider(
            name="nvidia",
            base_url="https://integrate.api.nvidia.com/v1",
            env=("NVIDIA_API_KEY",),
            quirks=_compatible(reasoning_field="reasoning_content"),
            embeds="openai",
        ),
        Provider(
            name="vllm",
            base_url="http://127.0.0.1:8000/v1",
            quirks=_compatible(reasoning_field="reasoning_content", strict_tools=False, prefill="continue"),
            embeds="openai",
            relays=frozenset({"audio/transcriptions"}),
            keyless=True,
        ),
        Provider(
            name="ollama",
            base_url="http://127.0.0.1:11434",
            dialects=("ollama",),
            embeds="ollama",
            keyless=True,
        ),
        Provider(
            name="llamacpp",
            base_url="http://127.0.0.1:8080/v1",
            quirks=_LLAMA_CPP,
            embeds="openai",
            keyless=True,
        ),
        Provider(
            name="local",
            base_url="http://local.invalid/v1",  # the engine's own address takes its place
            quirks=_LLAMA_CPP,
            embeds="openai",
            keyless=True,
            embedded=True,
        ),
        Provider(
            name="deepgram",
            base_url="https://api.deepgram.com",
            dialects=(),
            auth="token",
            env=("DEEPGRAM_API_KEY",),
            proof="/v1/projects",
        ),
        Provider(
            name="assemblyai",
            base_url="https://streaming.assemblyai.com",
            dialects=(),
            auth="bare",
            env=("ASSEMBLYAI_API_KEY",),
            version=("assemblyai-version", "2025-05-12"),
            proof="/v3/token?expires_in_seconds=60",
        ),
        Provider(
            name="elevenlabs",
            base_url="https://api.elevenlabs.io",
            dialects=(),
            auth="xi-api-key",
            env=("ELEVENLABS_API_KEY",),
            proof="/v1/models",
        ),
        Provider(
            name="cartesia",
            base_url="https://api.cartesia.ai",
            dialects=(),
            env=("CARTESIA_API_KEY",),
            version=("cartesia-version", "2026-03-01"),
            proof="/voices?limit=1",
        ),
    )
}
