"""Endpoints that are no conversation (audio, images, moderations): relayed as they come to a provider that has them.

Only the model's name is replaced: in a JSON body, or in the `model` field of a multipart form (RFC 7578).
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TypeAlias

import msgspec
from msgspec import Raw

from dragoman import dialects
from dragoman.accounts.pool import Seat
from dragoman.canon import Failed, Usage
from dragoman.catalog.prices import FREE
from dragoman.dialects.counts import AUDIO_DETAILS, read_counts
from dragoman.dialects.fields import Malformed, decode
from dragoman.gateway.ask import JSON_LINE, Outgoing, encode, unsayable
from dragoman.gateway.attempts import Answer
from dragoman.gateway.call import JSON_TYPE, Call, Spoken, Story
from dragoman.gateway.failures import wire_failure
from dragoman.gateway.naming import find_model
from dragoman.gateway.serving import Serving
from dragoman.wire import sse
from dragoman.wire.errors import WireError
from dragoman.wire.head import block
from dragoman.wire.reply import Reply

HERE = "local"
HERE_TARGET = "local/local"
Hosted: TypeAlias = Callable[[Story], Awaitable[None]]
_DEFAULT_MODELS = {
    "moderations": "omni-moderation-latest",
    "images/generations": "dall-e-2",
    "images/edits": "dall-e-2",
}
_BOUNDARY = re.compile(rb'boundary="?([^";,]+)"?', re.IGNORECASE)
_MODEL_PART = re.compile(rb'(?is)^content-disposition:[^\r\n]*\bname="?model"?')
_PART_NAME = re.compile(rb'(?im)^content-disposition:[^\r\n]*[; ]name="?([^";\r\n]+)"?')
_JSON_LIMIT = 256 * 1024 * 1024


class RelayAsk:
    """A call that is passed on. See `ask.Asking`."""

    pin: str | None = None
    stream = False
    resuming = False

    def __init__(self, call: Call) -> None:
        """Raises `Malformed`."""
        self.call = call
        self._type = call.headers.get(b"content-type", b"application/json")
        self._is_form = self._type.lower().startswith(b"multipart/form-data")
        name = call.model or (_form_model(call.body, self._type) if self._is_form else _json_model(call.body))
        name = name or _DEFAULT_MODELS.get(call.op)
        if not name:
            raise Malformed("model", "the name of a model")
        self.model = name

    def spoken(self) -> Spoken | None:
        """What is to be said, where speech is asked for."""
        if self.call.op != "audio/speech" or self._is_form:
            return None
        fields = _fields(self.call.body)
        text, form = (decode(fields[name]) if name in fields else None for name in ("input", "stream_format"))
        return Spoken(len(text) if isinstance(text, str) else 0, counted=form == "sse")

    def affinity(self) -> str | None:
        return None

    def put_to(self, seat: Seat) -> Outgoing:
        provider = seat.target.provider
        if self.call.op not in provider.relays:
            message = f"{seat.target.name}: {provider.name} has no {self.call.op}: ask another"
            raise unsayable(message)
        path = "/" + self.call.op
        errors = dialects.upstream("openai-chat")
        if self._is_form:
            body = _with_form_model(self.call.body, self._type, seat.target.model)
            return Outgoing(errors, path, body, content_type=block([(b"content-type", self._type)]))
        fields = _fields(self.call.body)
        fields.pop("dragoman", None)
        fields["model"] = Raw(encode(seat.target.model))
        return Outgoing(errors, path, encode(fields), content_type=JSON_LINE)


async def relay(serving: Serving, story: Story, hosted: Mapping[str, Hosted]) -> None:
    """Passes the call on, and the answer back as it comes, whatever it is made of. `hosted`: what this process answers
    by itself where it is asked for `HERE`, by `Call.op`."""
    ask = RelayAsk(story.call)
    if ask.model == HERE and story.call.op in hosted and _is_free(serving):
        story.row.model, story.row.target = HERE, HERE_TARGET
        await hosted[story.call.op](story)
        return
    story.spoken = ask.spoken()
    model = await find_model(serving, ask.model, story)
    await serving.attempts.bring(ask, model, story, lambda answer: _bring(answer, story, serving))


async def _bring(answer: Answer, story: Story, serving: Serving) -> None:
    reply = answer.reply
    content_type = reply.header(b"content-type") or b"application/octet-stream"
    try:
        if content_type.startswith(JSON_TYPE):
            body = await reply.read(_JSON_LIMIT)
            story.used(_usage(body))
            await story.whole(200, content_type, body)
        else:
            await _stream(story, reply, content_type, _counter(story, serving, content_type))
    except WireError as error:
        raise Failed(wire_failure(error)) from None


def _counter(story: Story, serving: Serving, content_type: bytes) -> "Counter | None":
    """What reads the tokens off the reply. Where it tells none, and the model is not sold by the character, nobody
    knows what it took: that is not nothing."""
    if content_type.startswith(b"text/event-stream"):
        return Counter()
    target, characters = story.row.target or "", None if story.spoken is None else story.spoken.characters
    by_character = None if characters is None else serving.speech_price(target).cost(0, characters)
    if by_character is not None or serving.price(target) == FREE:
        story.used(Usage())
    return None


class Counter:
    """Reads the usage off a stream of events that passes."""

    def __init__(self) -> None:
        self._frames: sse.Frames | None = sse.Frames()
        self.usage: Usage | None = None

    def see(self, data: bytes) -> None:
        try:
            for frame in () if self._frames is None else self._frames.feed(data):
                if b'"usage"' in frame and (event := sse.parse(frame)) is not None:
                    self.usage = _usage(event.data)
        except sse.FrameTooLong:
            self._frames = None


async def _stream(story: Story, reply: Reply, content_type: bytes, counter: Counter | None) -> None:
    """Bytes as they come. A break cannot be told in them: the connection is cut, which no client takes for an end."""
    data = await reply.decoded()
    story.row.status = 200
    await story.out.start(200, story.head(content_type))
    story.row.ttft = story.elapsed()
    while data:
        if counter is not None:
            counter.see(data)
            if counter.usage is not None:
                story.used(counter.usage)
        if not story.out.push(data):
            await story.out.drained()
        try:
            data = await reply.decoded()
        except WireError:
            story.row.error = "stream_broken"
            story.book()
            story.out.abort()
            return
    story.book()
    await story.out.finish()


def _is_free(serving: Serving) -> bool:
    """Whether the config has not given the name to something else."""
    model = serving.directory.find(HERE)
    return model is None or all(target.provider.embedded for tier in model.tiers for target in tier)


def _fields(body: bytes) -> dict[str, Raw]:
    try:
        return msgspec.json.decode(body, type=dict[str, Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("", f"a JSON object ({error})") from None


def _json_model(body: bytes) -> str | None:
    value = _fields(body).get("model")
    model = decode(value) if value is not None else None
    if model is not None and not isinstance(model, str):
        raise Malformed("model", "the name of a model", model)
    return model


def _usage(body: bytes) -> Usage:
    """Tokens, where the endpoint counts any (newer audio and image models do)."""
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Usage()
    return (read_counts(told.get("usage"), AUDIO_DETAILS) if isinstance(told, dict) else None) or Usage()


def form_parts(body: bytes, content_type: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Of each part of a form: where its content starts and ends, and its headers. Raises `Malformed`."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise Malformed("content-type", "multipart/form-data with a boundary")
    mark = b"--" + found[1].strip()
    at = body.find(mark)
    while at >= 0 and body[at + len(mark) : at + len(mark) + 2] != b"--":
        start = body.find(b"\r\n\r\n", at)
        end = body.find(b"\r\n" + mark, start)
        if start < 0 or end < 0:
            raise Malformed("body", "a whole multipart form")
        yield start + 4, end, body[at + len(mark) + 2 : start]
        at = end + 2


def form_fields(body: bytes, content_type: bytes) -> dict[str, bytes]:
    """A form's fields by name. Raises `Malformed`."""
    return {
        found[1].decode("utf-8", "replace"): body[start:end]
        for start, end, headers in form_parts(body, content_type)
        if (found := _PART_NAME.search(headers)) is not None
    }


def _form_model(body: bytes, content_type: bytes) -> str | None:
    for start, end, headers in form_parts(body, content_type):
        if _MODEL_PART.search(headers):
            return body[start:end].decode("utf-8", "replace").strip()
    return None


def _with_form_model(body: bytes, content_type: bytes, model: str) -> bytes:
    for start, end, headers in form_parts(body, content_type):
        if _MODEL_PART.search(headers):
            return body[:start] + model.encode() + body[end:]
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise Malformed("content-type", "multipart/form-data with a boundary")
    part = b'--%b\r\ncontent-disposition: form-data; name="model"\r\n\r\n%b\r\n'
    return part % (found[1].strip(), model.encode()) + body
