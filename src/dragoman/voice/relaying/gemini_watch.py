"""What a relay remembers of a Gemini Live session, so that another provider can go on with it (pure).

| message                                          | is remembered as                                          |
|--------------------------------------------------|-----------------------------------------------------------|
| `setup`                                          | the setup; its model is the target's, all else as it came |
| `clientContent.turns`, `realtimeInput.text`      | turns                                                     |
| `realtimeInput` with sound or pictures           | the message, until the turn is over                       |
| `toolResponse`, `toolCall`                       | turns with the function's response, or call               |
| `inputTranscription`, `outputTranscription`, text of `modelTurn` | the turn's words, once it is over         |

Nothing in this dialect names an answer: one that broke is simply gone on with, after the words that have come. A user's
turn of which there is no transcript is told by its sound; then the answer begins anew. What is over and has no words is
forgotten. How a model takes history, and how it is asked for an answer, depends on its generation (`History`). `goAway`
is the relay's to heed; a handle for resuming is of no use at another account.

Source: https://ai.google.dev/api/live.
"""

from collections import deque
from typing import Any

import msgspec
from msgspec import Struct

from dragoman.canon import Usage
from dragoman.dialects.gemini.names import keyed
from dragoman.voice.codecs.gemini.history import History
from dragoman.voice.codecs.gemini.usage import read_usage
from dragoman.voice.relaying.ends import Message
from dragoman.voice.relaying.usage import of_response

LIVE = 640 * 1024  # characters of sound that are kept of a turn


class Seen(Struct):
    """A provider's message in passing. `shown`: what of it the client is to see; None: nothing. `sounds`: something is
    to be heard or read; `over`: a turn has ended, which took `usage`."""

    shown: Message | None
    sounds: bool = False
    over: bool = False
    usage: Usage | None = None


class GeminiWatch:
    """One session's."""

    def __init__(self) -> None:
        self.leaving = False
        self.answering = False
        self._setup: dict[str, Any] = {}
        self._ready = False  # the client has seen that it is
        self._turns: list[Any] = []
        self._asked = False  # an answer was asked for by words
        self._heard = self._said = ""
        self._live: deque[str] = deque()
        self._size = 0
        self._usage: Usage | None = None

    @property
    def idle(self) -> bool:
        return not (self.answering or self._asked or self._heard)

    def sent(self, message: Message, model: str) -> Message:
        """A client's message, as it goes to the provider of `model` (named as its setup names it)."""
        said = _fields(message)
        if "setup" in said:
            self._setup = said["setup"] if isinstance(said["setup"], dict) else {}
            return _text({"setup": self._setup | {"model": model}})
        if content := keyed(said.get("clientContent")):
            turns = content.get("turns") or []
            self._turns += turns if isinstance(turns, list) else [turns]
            self._asked = self._asked or bool(content.get("turnComplete", False))
        elif response := keyed(said.get("toolResponse")):
            parts = [{"functionResponse": each} for each in response.get("functionResponses") or []]
            self._turns.append({"role": "user", "parts": parts})
            self._asked = True
        elif given := keyed(said.get("realtimeInput")):
            if isinstance(given.get("text"), str):
                self._turns.append({"role": "user", "parts": [{"text": given["text"]}]})
                self._asked = True
            else:
                self._keep(message)
        return message

    def _keep(self, message: Message) -> None:
        text = message if isinstance(message, str) else message.decode("utf-8", "replace")
        self._live.append(text)
        self._size += len(text)
        while self._size > LIVE:
            self._size -= len(self._live.popleft())

    def came(self, message: Message) -> Seen:
        """A provider's message."""
        said = _fields(message)
        if "usageMetadata" in said:
            self._usage = of_response({"usage": read_usage(said["usageMetadata"])})
        if "setupComplete" in said:
            first, self._ready = not self._ready, True
            return Seen(message if first else None)
        if "goAway" in said:
            self.leaving = True
            return Seen(None)
        if call := keyed(said.get("toolCall")):
            self._close()
            parts = [{"functionCall": each} for each in call.get("functionCalls") or []]
            self._turns.append({"role": "model", "parts": parts})
            return Seen(message)
        content = keyed(said.get("serverContent"))
        return self._content(message, content) if content else Seen(message)

    def _content(self, message: Message, content: dict[str, Any]) -> Seen:
        seen = Seen(message)
        if words := _words(content, "inputTranscription"):
            self._heard += words
        if words := _words(content, "outputTranscription"):
            self._said += words
        for part in map(keyed, keyed(content.get("modelTurn")).get("parts") or []):
            self.answering = seen.sounds = True
            if isinstance(part.get("text"), str) and not part.get("thought"):
                self._said += part["text"]
        if content.get("interrupted") or content.get("turnComplete"):
            self._close()
        if content.get("turnComplete"):
            seen.over, seen.usage = True, self._usage
            self._usage = None
        return seen

    def _close(self) -> None:
        """The turn is over: its words are history, its sound is not needed any more."""
        self._turns += self._spoken()
        self._heard = self._said = ""
        self._asked = self.answering = False
        self._live.clear()
        self._size = 0

    def _spoken(self) -> list[Any]:
        words = (("user", self._heard), ("model", self._said))
        return [{"role": role, "parts": [{"text": text}]} for role, text in words if text]

    def replay(self, model: str) -> list[Message]:
        """The messages that tell the session to the provider of `model`; after the first it says that it is ready."""
        setup = self._setup | {"model": model}
        for name in ("sessionResumption", "session_resumption"):
            if isinstance(resuming := setup.get(name), dict):
                setup[name] = {key: value for key, value in resuming.items() if key != "handle"}
        said: list[Message] = [_text({"setup": setup})]
        in_words = self._asked or bool(self._heard)
        history = History(model, lambda name: None)
        for turn in self._turns + (self._spoken() if in_words else []):
            history.add({"role": "user", "parts": [], **keyed(turn)})
        wanted = self._asked or (in_words and self.answering)
        said += [_text(message) for message in (history.ask() if wanted else history.tell())]
        if not wanted:
            said += self._live
        if not in_words:
            self._said, self.answering = "", False  # the answer to the sound begins anew
        self.leaving = False
        return said if self._setup else []


def _words(content: dict[str, Any], name: str) -> str:
    text = keyed(content.get(name)).get("text")
    return text if isinstance(text, str) else ""


def _fields(message: Message) -> dict[str, Any]:
    try:
        return keyed(msgspec.json.decode(message))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
