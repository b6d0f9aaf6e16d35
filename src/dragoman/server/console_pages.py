"""The console: the static files of `console`, which stands a floor higher and so is read, not imported.

Nothing on its pages is secret, so they need no key; what they ask of the gateway, they ask with the key that a person
gives them. Whatever may be said by a model or a provider, the pages run no script but their own (CSP).
"""

from functools import cache
from importlib.resources import files

HOME = "/console"
_PAGES = {"": "index.html", "voice": "voice.html", "votes": "votes.html"}  # by what stands in the address
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
HEADERS = (
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("permissions-policy", "microphone=(self), camera=(), geolocation=()"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-cache"),
)


@cache
def read(path: str) -> tuple[bytes, str] | None:
    """A file of the console and its content type, by what stands behind `/console/`; None where there is none."""
    name = _PAGES.get(path, path)
    kind = _TYPES.get(name.rpartition(".")[2])
    file = _files().get(name)
    return (file, kind) if file is not None and kind is not None else None


@cache
def _files() -> dict[str, bytes]:
    """All files there are: whatever a path says, nothing else can be reached by it."""
    home = files("dragoman") / "console"
    found = {file.name: file.read_bytes() for file in home.iterdir() if file.is_file()}
    return found | {f"vendor/{file.name}": file.read_bytes() for file in (home / "vendor").iterdir()}
