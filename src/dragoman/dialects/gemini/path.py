"""Where a call goes, below `https://generativelanguage.googleapis.com/v1beta`."""

from urllib.parse import quote


def name_of(model: str) -> str:
    """The resource name: `models/x` for a bare `x`; `tunedModels/x` and other full names as they are."""
    return model if "/" in model else f"models/{model}"


def at(model: str, method: str) -> str:
    """`/models/x:method`."""
    return f"/{quote(name_of(model), safe='/@')}:{method}"


def path(model: str, stream: bool) -> str:
    return at(model, "streamGenerateContent") + "?alt=sse" if stream else at(model, "generateContent")


def count_path(model: str) -> str:
    return at(model, "countTokens")
