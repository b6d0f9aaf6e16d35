"""`contents` and `systemInstruction` <-> messages.

| canon                        | gemini                                                                    |
|------------------------------|---------------------------------------------------------------------------|
| system, developer messages   | `systemInstruction`, all in one, in order                                 |
| user                         | role `user`; read also from role `function` and from no role              |
| assistant                    | role `model`                                                              |
| a call's id, where it has none | `MADE` + a count; results find their call by name, in order             |

Reasoning of another dialect comes back from a Gemini client sealed in a `thoughtSignature` (law 4): a seal on a part
holds all that came before it since the last function call, with an empty `Text` for each text part in between, so that
the order is restored exactly. Thoughts shown beside a seal are then ignored: the seal has them whole.
"""

from collections.abc import Iterable

from dragoman.canon import JSON, Media, Message, Opaque, Part, Reasoning, Refusal, Request, Text, ToolCall, ToolResult
from dragoman.dialects import seal
from dragoman.dialects.fields import Fields, Malformed
from dragoman.dialects.gemini.names import NAME, fields, generation
from dragoman.dialects.gemini.parts import MADE, UNVERIFIED, read_plain, write_call, write_media, write_text
from dragoman.dialects.gemini.results import read_result, write_result
from dragoman.dialects.losses import Losses

_ROLES = {"user": "user", "model": "assistant", "function": "user", "": "user"}


# Reading


def read_system(value: object, path: str) -> list[Message]:
    """A content, a text, or a list of parts."""
    if isinstance(value, str):
        value = {"parts": [{"text": value}]}
    if isinstance(value, list):
        value = {"parts": value}
    content = fields(value, path)
    content.any("role")
    message = Message(role="system", parts=_read_parts(content))
    message.extra = content.rest()
    return [message] if message.parts else []


def read_contents(contents: list[object], path: str) -> list[Message]:
    """Raises `Malformed`."""
    messages: list[Message] = []
    pairing = _Pairing()
    for i, item in enumerate(contents):
        content = fields(item, (path, i))
        role = content.text("role") or ""
        if role not in _ROLES:
            raise Malformed(content.at("role"), "user or model", role)
        canon_role = _ROLES[role]
        parts = _read_parts(content)
        if canon_role == "assistant":
            parts = _joined(parts)
        pairing.pair(parts)
        message = Message(role="assistant" if canon_role == "assistant" else "user", parts=parts)
        message.extra = content.rest()
        messages.append(message)
    return messages


def _read_parts(content: Fields) -> list[Part]:
    items = content.data.pop("parts", None)
    if isinstance(items, dict):
        items = [items]  # the SDKs for JavaScript take a lone part
    if items is not None and not isinstance(items, list):
        raise Malformed(content.at("parts"), "an array", items)
    parts: list[Part] = []
    since = 0  # where the stretch begins that the next seal may speak of
    sealed = False
    for i, item in enumerate(items or ()):
        part = _read_part(fields(item, (content.at("parts"), i)))
        parts.append(part)
        if (hidden := _unsealed(part)) is not None:
            sealed = True
            parts[since:] = _restored(parts[since:], hidden)
        if isinstance(part, ToolCall):
            since = len(parts)
    return parts if not sealed else [part for part in parts if not _is_shown(part)]


def _joined(parts: list[Part]) -> list[Part]:
    """What a client collected from a stream, a part for each chunk, as the texts that the model said: other dialects
    would set the pieces apart, or refuse those of blanks only."""
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, Text) and isinstance(last, Text) and last.signature is None and last.extra == part.extra:
            last.text += part.text
            last.signature, last.dialect = part.signature, part.dialect or last.dialect
        else:
            joined.append(part)
    return joined


def _read_part(part: Fields) -> Part:
    return read_result(part) if part.data.get("functionResponse") is not None else read_plain(part)


def _unsealed(part: Part) -> list[Part] | None:
    """The parts sealed in this one's signature, which is taken off it."""
    if not isinstance(part, Text | Reasoning | ToolCall) or not part.signature:
        return None
    if part.signature.replace("/", "_") == UNVERIFIED:  # it says nothing, and is set again where it is needed
        part.signature = None
        return None
    if not part.signature.startswith(seal.MARK):
        return None
    hidden = seal.unseal(part.signature) or []
    part.signature, part.dialect = None, "" if isinstance(part, Text) else part.dialect
    if isinstance(part, ToolCall):
        own = next((p for p in hidden if isinstance(p, ToolCall)), None)
        foreign = own or next((p for p in hidden if isinstance(p, Reasoning)), None)
        part.signature = own.signature if own else None
        part.dialect = foreign.dialect if foreign else ""
    return hidden


def _restored(stretch: list[Part], hidden: list[Part]) -> list[Part]:
    """`stretch` (its last part bore the seal) with the hidden reasoning in its places."""
    *shown, last = stretch
    rest = [part for part in shown if not _is_shown(part)]
    if isinstance(last, Text):
        rest.append(last)
    out: list[Part] = []
    for part in hidden:
        if isinstance(part, Reasoning):
            out.append(part)
        elif isinstance(part, Text) and rest:
            out.append(rest.pop(0))
    out += rest
    if isinstance(last, ToolCall):  # a sealed thought is among the hidden ones
        out.append(last)
    return [part for part in out if not (isinstance(part, Text) and not part.text and part.signature is None)]


def _is_shown(part: Part) -> bool:
    """A visible thought without a signature: what a seal beside it holds whole."""
    return isinstance(part, Reasoning) and part.dialect == NAME and part.signature is None


class _Pairing:
    """Gives calls without id one, and results without id the id of their call."""

    def __init__(self) -> None:
        self._count = 0
        self._open: list[tuple[str, str]] = []  # (name, id) of calls that have no result yet

    def pair(self, parts: Iterable[Part]) -> None:
        for part in parts:
            if isinstance(part, ToolCall):
                if not part.id:
                    part.id = f"{MADE}{self._count}"
                    self._count += 1
                self._open.append((part.name, part.id))
            elif isinstance(part, ToolResult):
                part.call_id = self._close(part)

    def _close(self, result: ToolResult) -> str:
        for i, (name, call_id) in enumerate(self._open):
            if call_id == result.call_id or (not result.call_id and name == result.name):
                del self._open[i]
                return call_id
        if result.call_id:
            return result.call_id
        self._count += 1
        return f"{MADE}orphan_{self._count}"


# Writing


class Contents:
    """The messages of one request as Gemini's `contents` and `systemInstruction`."""

    def __init__(self, request: Request, losses: Losses) -> None:
        self._losses = losses
        self._same = losses.same_dialect
        series = generation(request.model)
        # Gemini 3 refuses a step whose first call is unsigned, and takes media inside of a function's response
        self._strict = self._nested = series is None or series >= 3
        self._names = {p.id: p.name for m in request.messages for p in m.parts if isinstance(p, ToolCall)}
        self.system: list[JSON] = []
        self.contents: list[JSON] = []
        self._system_extra: JSON = {}
        for message in request.messages:
            self._add(message)
        if not self.contents and self.system and not self._same:
            self.contents, self.system = [{"role": "user", "parts": self.system}], []

    def into(self, body: JSON) -> None:
        body["contents"] = self.contents
        if self.system:
            body["systemInstruction"] = {"parts": self.system, **self._system_extra}

    def _add(self, message: Message) -> None:
        parts = self._parts(message)
        if message.name is not None:
            self._losses.note("messages.name")
        if message.role in ("system", "developer"):
            self.system += parts
            self._losses.carry(self._system_extra, message.extra, "messages")
            return
        if not parts and not self._same:
            return
        role = "model" if message.role == "assistant" else "user"
        if self._merges(role):
            self.contents[-1]["parts"] += parts
            return
        content: JSON = {"role": role, "parts": parts}
        self._losses.carry(content, message.extra, "messages")
        self.contents.append(content)

    def _merges(self, role: str) -> bool:
        """Turns alternate, and all results of a turn stand together; a Gemini client has seen to that itself."""
        return not self._same and bool(self.contents) and self.contents[-1]["role"] == role

    def _parts(self, message: Message) -> list[JSON]:
        written: list[JSON] = []
        unsigned = self._strict  # a step's first call needs a signature, the ones beside it do not
        for part in message.parts:
            match part:
                case Text():
                    if (text := write_text(part, self._losses)) is not None:
                        written.append(text)
                case Media():
                    written.append(write_media(part, self._losses))
                case ToolCall():
                    call = write_call(part, self._losses)
                    if unsigned and "thoughtSignature" not in call and self._foreign(part):
                        call["thoughtSignature"] = UNVERIFIED
                    unsigned = False
                    written.append(call)
                case ToolResult():
                    name = self._names.get(part.call_id, part.call_id or "tool")
                    written += write_result(part, name, self._nested, self._losses)
                case Reasoning():
                    self._reasoning(part, written)
                case Refusal():
                    if part.text:
                        written.append({"text": part.text})
                case Opaque():
                    if part.dialect == NAME:
                        written.append(part.data)
                    else:
                        self._losses.note(f"messages.{part.kind}")
        return written

    def _foreign(self, call: ToolCall) -> bool:
        return not self._same or call.dialect not in ("", NAME)

    def _reasoning(self, part: Reasoning, written: list[JSON]) -> None:
        if part.dialect != NAME:
            self._losses.note("reasoning")
            return
        thought: JSON = {"text": part.text, "thought": True}
        if part.signature:
            thought["thoughtSignature"] = part.signature
        if part.extra and self._same:
            thought.update(part.extra)
        written.append(thought)
