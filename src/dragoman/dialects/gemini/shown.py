"""What a Gemini client is shown of parts that Gemini has no place for, and how they are hidden in a signature (law 4).

Foreign reasoning shows its text as a thought. Clients drop thoughts from the history and merge texts, but keep the
signature of a function call; so a call's `thoughtSignature` seals all reasoning since the last call, with an empty text
for each text part in between (`contents` restores the order). Reasoning after the last call is sealed on the last text.
"""

from dragoman.canon import JSON, Media, Part, Reasoning, Text, ToolCall
from dragoman.dialects import seal
from dragoman.dialects.gemini.names import NAME, mime_of
from dragoman.dialects.gemini.parts import UNVERIFIED, arguments


class Hidden:
    """The foreign parts of one choice that are not sealed yet. Parts may grow until they are sealed."""

    def __init__(self) -> None:
        self._stretch: list[Part] = []
        self._called = False

    def add(self, part: Reasoning | Text) -> None:
        """Reasoning or text has begun."""
        if isinstance(part, Text):
            self._stretch.append(Text())
        elif part.dialect != NAME:
            self._stretch.append(part)

    def before_call(self) -> list[Part]:
        """A call has begun: what its signature must seal."""
        taken, self._stretch = self._stretch, []
        return taken

    def call_signature(self, call: ToolCall, stretch: list[Part], foreign: bool) -> str | None:
        """`foreign`: the reply is not Gemini's. Then the first call bears a signature in any case, so that Gemini takes
        the turn should it ever get it."""
        first, self._called = not self._called, True
        if call.signature and call.dialect == NAME:
            return call.signature
        hidden = stretch if _has_reasoning(stretch) else []
        if call.signature:
            hidden = [*hidden, ToolCall(signature=call.signature, dialect=call.dialect)]
        if hidden:
            return _sealed(hidden)
        return UNVERIFIED if foreign and first else None

    def last_signature(self) -> str | None:
        """For the last text of the reply."""
        taken = self.before_call()
        return _sealed(taken) if _has_reasoning(taken) else None


def _has_reasoning(parts: list[Part]) -> bool:
    return any(isinstance(part, Reasoning) for part in parts)


def _sealed(parts: list[Part]) -> str:
    """As base64 that any SDK can decode and encode again."""
    text = seal.seal(parts)
    return text + "=" * (-len(text) % 4)


def call_part(call: ToolCall, signature: str | None) -> JSON:
    shown: JSON = {"id": call.id} if call.id else {}
    part: JSON = {"functionCall": {**shown, "name": call.name, "args": arguments(call)}}
    if signature is not None:
        part["thoughtSignature"] = signature
    return part


def media_part(media: Media) -> JSON | None:
    """None for what cannot be shown."""
    if media.data is not None:
        return {"inlineData": {"mimeType": media.mime or mime_of("", media.kind), "data": media.data}}
    if uri := media.url or media.file_id:
        return {"fileData": {"mimeType": media.mime or mime_of(uri, media.kind), "fileUri": uri}}
    return {"text": media.text} if media.text else None
