"""The model lists, in every dialect's shape: what the config declares, then what the accounts' providers offer."""

from msgspec import Struct

from dragoman import config
from dragoman.catalog.directory import Directory
from dragoman.dialects.ollama.models import Listed

CREATED = 1735689600  # no list tells when a model was made here: the first day of 2025 stands for it
_CREATED_TEXT = "2025-01-01T00:00:00Z"
_GEMINI_OPS = ["generateContent", "streamGenerateContent", "countTokens"]


class Entry(Struct, frozen=True):
    """One name that may be asked for. `owner` is the provider of its first target."""

    name: str
    owner: str
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: tuple[str, ...] = ()


def entries(directory: Directory, settings: config.Config, offers: dict[str, frozenset[str]]) -> list[Entry]:
    """Declared names first, in the config's order; then `provider/model-id` for all that is offered."""
    most = {model.name: model.max_output_tokens for model in settings.models}
    declared = [
        Entry(m.name, m.tiers[0][0].provider.name, m.context_window, most.get(m.name), m.capabilities)
        for m in directory.declared()
    ]
    names = {entry.name for entry in declared}
    offered = [Entry(f"{owner}/{model}", owner) for owner in offers for model in sorted(offers[owner])]
    return declared + [entry for entry in offered if entry.name not in names]


def openai_model(entry: Entry) -> dict[str, object]:
    return {"id": entry.name, "object": "model", "created": CREATED, "owned_by": entry.owner}


def openai_list(models: list[Entry]) -> dict[str, object]:
    return {"object": "list", "data": [openai_model(entry) for entry in models]}


def anthropic_model(entry: Entry) -> dict[str, object]:
    return {
        "type": "model",
        "id": entry.name,
        "display_name": entry.name,
        "created_at": _CREATED_TEXT,
        "max_input_tokens": entry.context_window,
        "max_tokens": entry.max_output_tokens,
        "capabilities": None,
    }


def anthropic_list(models: list[Entry]) -> dict[str, object]:
    return {
        "data": [anthropic_model(entry) for entry in models],
        "has_more": False,
        "first_id": models[0].name if models else None,
        "last_id": models[-1].name if models else None,
    }


def gemini_model(entry: Entry) -> dict[str, object]:
    model: dict[str, object] = {
        "name": f"models/{entry.name}",
        "version": "1",
        "displayName": entry.name,
        "supportedGenerationMethods": _GEMINI_OPS,
    }
    if entry.context_window:
        model["inputTokenLimit"] = entry.context_window
    if entry.max_output_tokens:
        model["outputTokenLimit"] = entry.max_output_tokens
    return model


def gemini_list(models: list[Entry]) -> dict[str, object]:
    return {"models": [gemini_model(entry) for entry in models]}


def ollama_listed(models: list[Entry]) -> list[Listed]:
    return [Listed(e.name, e.context_window or 0, e.capabilities, CREATED) for e in models]
