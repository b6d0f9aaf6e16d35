"""Pictures: bare base64 in a message's `images`, their type told by their first bytes."""

from dragoman.canon import Media, Part
from dragoman.dialects.dialect import Unsayable
from dragoman.dialects.fields import Fields
from dragoman.dialects.losses import Losses

# how base64 begins for each kind of file
_BEGINNINGS = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("Qk", "image/bmp"),
)


def mime_of(data: str) -> str | None:
    """The media type of base64 `data`; None where its beginning tells nothing."""
    return next((mime for beginning, mime in _BEGINNINGS if data.startswith(beginning)), None)


def read(fields: Fields) -> list[Media]:
    """The pictures of a message or a generate request. A data URL is taken for what it holds."""
    found: list[Media] = []
    for data in fields.texts("images"):
        mime = None
        if data.startswith("data:"):
            head, _, data = data.partition(",")
            mime = head.removeprefix("data:").partition(";")[0] or None
        found.append(Media(kind="image", mime=mime or mime_of(data), data=data))
    return found


def is_picture(part: Part, losses: Losses) -> bool:
    """Whether `part` goes into `images`. Notes what of it cannot be said; raises `Unsayable` for other media."""
    if not isinstance(part, Media) or part.text is not None:
        return False
    if part.kind != "image":
        raise Unsayable(f"Ollama takes no {part.kind} parts: send their text, or choose a model of another provider")
    if part.data is None:
        raise Unsayable(
            "Ollama takes pictures by value only: send the image as base64 data (a data: URL), not by address"
        )
    if part.cache is not None:
        losses.note("messages.cache_control")
    if part.detail not in (None, "auto"):
        losses.note("messages.detail")
    losses.carry({}, part.extra, "messages.content")
    return True


def write(part: Part) -> str:
    """The base64 of a picture that `is_picture` let through."""
    return part.data or "" if isinstance(part, Media) else ""
