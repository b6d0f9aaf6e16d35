"""The session as GA's client knows it, which Gemini can be told of once, and of two of its fields again."""

from typing import Any

from dragoman.voice.codecs.codec import Event
from dragoman.voice.codecs.gemini.contents import GA_RATE
from dragoman.voice.session import Session

_PCM = {"type": "audio/pcm", "rate": GA_RATE}
_DEFAULTS: Event = {
    "output_modalities": ["audio"],
    "audio": {
        "input": {"format": _PCM, "turn_detection": {"type": "server_vad"}, "transcription": None},
        "output": {"format": _PCM},
    },
}
# what a provider does that is asked for no more than a kind of turns: clients act by it
_TURNS: Event = {"create_response": True, "interrupt_response": True}
_ASIDE = frozenset({"tracing", "include"})  # nothing of the setup
_CHANGEABLE = ("instructions", "tools")
_KNOWN = ("type", "model", *_CHANGEABLE)


class Settings:
    """One session's. `shown` is the whole of it. As Gemini would not know what is wrong with it, it is judged here."""

    def __init__(self, session_id: str, model: str) -> None:
        about = {"type": "realtime", "object": "realtime.session", "id": session_id, "model": model}
        self.shown: Event = {**about, **_DEFAULTS}
        self._judge = Session(session_id, "", 0)

    def judge(self, session: Event) -> None:
        """Raises `Refused`, with the original's own words, for what is no change of a session."""
        self._judge.update({name: value for name, value in session.items() if name != "tools"} | _functions(session))

    @property
    def told(self) -> Event:
        """As the client is told of it."""
        turns = self.heard.get("turn_detection")
        if not isinstance(turns, dict):
            return self.shown
        return _merged(self.shown, {"audio": {"input": {"turn_detection": {**_TURNS, **turns}}}})

    def lay(self, session: Event) -> None:
        """Before the setup: all of it holds."""
        self.shown = _merged(self.shown, session)

    @staticmethod
    def is_aside(session: Event) -> bool:
        """Whether a change says nothing of what the setup holds: the one that does may follow."""
        said = session.keys() - {"type", "model"}
        return bool(said) and said <= _ASIDE

    def change(self, session: Event) -> tuple[Event, list[str]]:
        """After the setup: what changes, and the paths of what would have, but cannot."""
        leaves = _leaves(session)
        lost = [name for name, value in leaves if name not in _KNOWN and _at(self.shown, name) != value]
        changed = {k: session[k] for k in _CHANGEABLE if k in session and self.shown.get(k) != session[k]}
        self.shown = {**self.shown, **changed}
        return changed, lost

    @property
    def heard(self) -> Event:
        """What is said of the user's sound."""
        return _part(self.shown, "input")

    @property
    def writes(self) -> bool:
        """The model writes, and does not speak."""
        return "text" in (self.shown.get("output_modalities") or ())

    @property
    def by_hand(self) -> bool:
        """The client says when the user's turn begins and ends."""
        return "turn_detection" in self.heard and self.heard["turn_detection"] is None

    @property
    def encoding(self) -> str:
        """Of the user's sound: `audio/pcm`, `audio/pcmu`, `audio/pcma`."""
        form = self.heard.get("format")
        return str(form.get("type")) if isinstance(form, dict) else "audio/pcm"


def _functions(session: Event) -> Event:
    """The tools that are to be judged: those of other types are named as lost."""
    if not isinstance(tools := session.get("tools"), list):
        return {name: session[name] for name in ("tools",) if name in session}
    return {"tools": [tool for tool in tools if not isinstance(tool, dict) or tool.get("type") != "mcp"]}


def _part(session: Event, name: str) -> Event:
    audio = session.get("audio")
    part = audio.get(name) if isinstance(audio, dict) else None
    return part if isinstance(part, dict) else {}


def _merged(before: Event, change: Event) -> Event:
    """`before`, with what `change` says; objects within objects likewise."""
    both = {
        name: _merged(before[name], change[name])
        for name in ("audio", "input", "output")
        if isinstance(change.get(name), dict) and isinstance(before.get(name), dict)
    }
    return {**before, **change, **both}


def _leaves(session: Event, under: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in session.items():
        if isinstance(value, dict) and under + key in ("audio", "audio.input", "audio.output"):
            found += _leaves(value, f"{under}{key}.")
        else:
            found.append((under + key, value))
    return found


def _at(session: Event, path: str) -> Any:
    here: Any = session
    for step in path.split("."):
        here = here.get(step) if isinstance(here, dict) else None
    return here
