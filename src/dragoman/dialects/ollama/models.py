"""Model listings as Ollama's clients expect them: `/api/tags`, `/api/show`, `/api/ps`, `/api/version`.

Nothing here is on a disk, so sizes are 0 and a digest stands for the name alone. What programs decide by is true: the
names, `capabilities` (an editor offers a model for tools only where it says `tools`) and `model_info`, from which
editors read the context window under `{general.architecture}.context_length`.
"""

import hashlib
from collections.abc import Iterable

import msgspec

from dragoman.canon import JSON
from dragoman.dialects.ollama.reply import created_at

# recent enough for every client that insists on a least version
VERSION = "0.32.0"
_ARCHITECTURE = "dragoman"
# what the gateway calls a capability -> Ollama
_CAPABILITIES = {
    "tools": "tools",
    "vision": "vision",
    "reasoning": "thinking",
    "thinking": "thinking",
    "audio": "audio",
}


class Listed(msgspec.Struct):
    """One model for the listings. `context_window` in tokens, 0 where unknown; `capabilities` in the gateway's words;
    `modified` in Unix seconds."""

    name: str
    context_window: int = 0
    capabilities: tuple[str, ...] = ()
    modified: int = 0


def tags(models: Iterable[Listed]) -> bytes:
    """The body of `GET /api/tags`."""
    return msgspec.json.encode({"models": [_listed(model) for model in models]})


def _listed(model: Listed) -> JSON:
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": created_at(model.modified),
        "size": 0,
        "digest": _digest(model.name),
        "details": _details(model),
        "capabilities": _capabilities(model),
    }


def running(models: Iterable[Listed], now: int) -> bytes:
    """The body of `GET /api/ps`: here every model is always loaded. `now` in Unix seconds."""
    return msgspec.json.encode(
        {
            "models": [
                {
                    "name": model.name,
                    "model": model.name,
                    "size": 0,
                    "digest": _digest(model.name),
                    "details": _details(model),
                    "expires_at": created_at(now + 300),
                    "size_vram": 0,
                    "context_length": model.context_window,
                }
                for model in models
            ]
        }
    )


def show(model: Listed) -> bytes:
    """The body of `POST /api/show`."""
    info: JSON = {"general.architecture": _ARCHITECTURE, "general.basename": model.name}
    if model.context_window:
        info[f"{_ARCHITECTURE}.context_length"] = model.context_window
    return msgspec.json.encode(
        {
            "modelfile": f"FROM {model.name}\n",
            "parameters": f"num_ctx {model.context_window}" if model.context_window else "",
            "template": "{{ .Prompt }}",
            "details": _details(model),
            "model_info": info,
            "capabilities": _capabilities(model),
            "modified_at": created_at(model.modified),
        }
    )


def version() -> bytes:
    """The body of `GET /api/version`."""
    return msgspec.json.encode({"version": VERSION})


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _details(model: Listed) -> JSON:
    details: JSON = {
        "parent_model": "",
        "format": "gguf",
        "family": _ARCHITECTURE,
        "families": [_ARCHITECTURE],
        "parameter_size": "",
        "quantization_level": "",
    }
    if model.context_window:
        details["context_length"] = model.context_window
    return details


def _capabilities(model: Listed) -> list[str]:
    known = [_CAPABILITIES[name] for name in model.capabilities if name in _CAPABILITIES]
    return ["completion", *dict.fromkeys(known)]
