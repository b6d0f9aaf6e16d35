"""What was written and has not been told to Gemini, and how each generation of its Live models wants to hear it.

| | up to 2.5 | 3.0 to 3.7 | from 3.8 on |
|---|---|---|---|
| history, at the beginning | `clientContent`, the user's turn last | `clientContent` | the same |
| history, later | the same | waits, and is said with the next text | `clientContent` |
| a reply to what the user writes | `clientContent`, `turnComplete` | `realtimeInput.text` | `realtimeInput.text` |
| a reply to what is there | the same | a blank text | that, after a `clientContent` |
| a reply is to stop | `clientContent` without turns | | |

Up to 2.5 a `clientContent` stops what is being said; later models do not answer one, and those before 3.8 refuse it
once the conversation has begun. So what is written waits here until something is spoken or a reply is wanted.

Source: https://ai.google.dev/gemini-api/docs/live-guide, and what pipecat and livekit have found out (their clients for
`gemini-3.1-flash-live-preview` and later).
"""

import re

from dragoman.voice.codecs.codec import Event, Note

_VERSION = re.compile(r"gemini-(?:[a-z]+-)*(\d+)(?:\.(\d+))?")
_BLANK: Event = {"role": "user", "parts": [{"text": " "}]}


def version(model: str) -> tuple[int, int]:
    """3, 8 of `gemini-3.8-live`; 0, 0 where the name does not say."""
    found = _VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


class History:
    """Contents that wait, for one model. `note`: told of what cannot be said any more."""

    def __init__(self, model: str, note: Note) -> None:
        self._note = note
        self._realtime = version(model) >= (3, 0)  # what is written is input like any other
        self._closes = (3, 0) <= version(model) < (3, 8)  # no history once the conversation has begun
        self._begun = False
        self._turns: list[Event] = []

    def add(self, turn: Event) -> None:
        self._turns.append(turn)

    def tell(self) -> list[Event]:
        """Something is going to be said aloud, which comes after what waits."""
        begun, self._begun = self._begun, True
        if not self._turns or (begun and self._closes):
            return []
        turns, self._turns = self._turns, []
        if turns[-1]["role"] == "model" and not self._realtime:
            turns.append(_BLANK)
        return [{"clientContent": {"turns": turns, "turnComplete": False}}]

    def ask(self) -> list[Event]:
        """A reply is wanted, to what waits or to what is there already."""
        if not self._realtime:
            turns, self._turns = self._turns, []
            if turns and turns[-1]["role"] == "model":
                turns.append(_BLANK)
            return [{"clientContent": {"turns": turns, "turnComplete": True} if turns else {"turnComplete": True}}]
        written = self._written()
        before = self.tell()
        if not (written or before or self._closes):
            before = [{"clientContent": {"turnComplete": True}}]
        return [*before, {"realtimeInput": {"text": written or " "}}]

    def _written(self) -> str:
        """What the user writes last; where no history can be told any more, all that waits."""
        late = self._begun and self._closes
        texts: list[str] = []
        while self._turns and (late or not texts):
            text = _text_of(self._turns[-1])
            if text is None and not late:
                break
            self._turns.pop()
            if text is None:
                self._note("item")
            else:
                texts.insert(0, text)
        return "\n".join(texts)

    def stop(self) -> list[Event]:
        """What is being said is to stop; nothing where there is no way to say so."""
        return [] if self._realtime else [{"clientContent": {"turnComplete": False}}]


def _text_of(turn: Event) -> str | None:
    """What the user writes; None for another's turn, and for one of other parts."""
    texts = [part.get("text") for part in turn["parts"]]
    return "\n".join(texts) if turn["role"] == "user" and all(texts) else None
