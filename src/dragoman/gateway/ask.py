"""What a call asks for, and how it is put to a target: relayed as it came, or converted.

The relay lane (law 5) is open where the target speaks the client's dialect: only the top-level fields that the gateway
owns are replaced, every other byte stays. It is closed to bodies that carry a seal (see `dialects.seal`): those hold
another provider's reasoning, and must be read.
"""

from typing import Protocol

import msgspec
from msgspec import Raw, Struct, field

from dragoman import dialects
from dragoman.accounts.pool import Seat
from dragoman.canon import Failed, Failure, Request
from dragoman.catalog.directory import Target
from dragoman.dialects import openai_chat, openai_responses, seal
from dragoman.dialects.dialect import Unsayable, Upstream
from dragoman.dialects.fields import Malformed, decode
from dragoman.dialects.ollama.hidden import HIDDEN_MARK
from dragoman.dialects.openai_models import traits as openai_traits
from dragoman.gateway.affinity import affinity
from dragoman.gateway.call import Call
from dragoman.wire.head import Block, block

_read_fields = msgspec.json.Decoder(dict[str, Raw]).decode
encode = msgspec.json.Encoder().encode
_SEALS = {  # what a body that carries another provider's reasoning contains
    "ollama": (seal.MARK.encode(), HIDDEN_MARK.encode(), b"\\udb40\\udc44"),
}
_SEAL = (seal.MARK.encode(),)


JSON_LINE = block([(b"content-type", b"application/json")])


class Asking(Protocol):
    """What attempts are made with: a call that can be put to a target."""

    call: Call
    stream: bool
    pin: str | None  # the account to try first
    resuming: bool  # it is for the rest of an answer, of which the client has the beginning

    def affinity(self) -> str | None:
        """What keeps it at one account; see `affinity`."""
        ...

    def put_to(self, seat: Seat) -> "Outgoing":
        """The call as the seat's target takes it. Raises `Malformed`, or `unsayable` where it can't be asked this."""
        ...


class Outgoing(Struct):
    """A call as one target takes it. `request` is set in the convert lane, None in the relay lane. `withholds_usage`:
    the client is not to see the usage on the relayed stream, which only the gateway asked for."""

    dialect: Upstream
    path: str
    body: bytes
    lossy: list[str] = field(default_factory=list)
    request: Request | None = None
    content_type: Block = JSON_LINE
    withholds_usage: bool = False

    @property
    def relayed(self) -> bool:
        return self.request is None

    def read_request(self) -> Request:
        """The client's request, which the convert lane has read."""
        if self.request is None:
            raise RuntimeError("in the relay lane the request is not read")
        return self.request


UNSAYABLE = "unsayable"  # the `code` of a failure that another target may not have


def unsayable(message: str) -> Failed:
    """The target can't be asked this; another may."""
    return Failed(Failure(kind="bad_request", message=message, code=UNSAYABLE))


def put(ask: Asking, seat: Seat) -> Outgoing:
    """`ask` put to the seat, unless something would be left out and the client forbids that. Raises as `put_to`."""
    outgoing = ask.put_to(seat)
    if outgoing.lossy and ask.call.headers.get(b"x-dragoman-strict") == b"1":
        lost = ", ".join(outgoing.lossy)
        raise unsayable(f"{seat.target.name} can't be told {lost}, and x-dragoman-strict: 1 forbids leaving it out")
    return outgoing


class Ask:
    """A call's body, read as far as needed: its model and whether it streams at once, the whole only to convert it."""

    resuming = False

    def __init__(self, call: Call) -> None:
        """Raises `Malformed`."""
        self.call = call
        self._request: Request | None = call.request
        try:
            self.fields = _read_fields(call.body) if call.request is None else {}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed("", f"a JSON object ({error})") from None
        self.constraints: Raw | None = self.fields.pop("dragoman", None)
        self.model = call.model or _text(self.fields, "model")
        self.stream = call.stream if call.stream is not None else _flag(self.fields, "stream", call.stream_default)
        self.pin: str | None = None
        self._made: dict[tuple[str, str, str], Outgoing] = {}

    def affinity(self) -> str | None:
        """See `Asking`."""
        return affinity(self.call, self.fields, self.constraints)

    def _withholds_usage(self) -> bool:
        """The client streams in openai-chat and did not ask for the usage chunk that the gateway asks for."""
        options = decode(self.fields["stream_options"]) if "stream_options" in self.fields else None
        return not (isinstance(options, dict) and options.get("include_usage") is True)

    def request(self) -> Request:
        """The whole request, read once. Raises `Malformed`."""
        if self._request is None:
            self._request = self.read()
        return self._request

    def read(self) -> Request:
        """The whole request, as its dialect's reader reads it. Raises `Malformed`."""
        body = {name: value for name, value in decode(self.call.body).items() if name in self.fields}
        if self.call.model is not None and self.call.dialect.NAME != "gemini":
            body["model"] = self.call.model  # Azure's path says it, and its clients leave it out of the body
        request = self.call.dialect.read_request(body)
        request.stream, request.model = self.stream, self.model
        return request

    def put_to(self, seat: Seat) -> Outgoing:
        """See `Asking`."""
        target = seat.target
        spoken = self.spoken(seat)
        key = (target.provider.name, target.model, spoken)
        made = self._made.get(key)
        if made is None:
            relayed = self._relayed(target) if spoken == self.call.dialect.NAME else None
            made = self._made[key] = relayed or self.converted(target, spoken)
        return made

    def spoken(self, seat: Seat) -> str:
        """The dialect to put the call in: the client's own where the account speaks it, else the provider's first; but
        not Chat Completions to a model that would refuse the call there and takes it as a response."""
        client, account, model = self.call.dialect.NAME, seat.account, seat.target.model
        if not seat.target.provider.dialects:
            raise unsayable(f"{seat.target.name}: {seat.target.provider.name} has speech only: ask another")
        spoken = client if account.speaks(client) else seat.target.provider.dialects[0]
        if spoken == openai_chat.NAME and not openai_traits(model).chat_tools and account.speaks(openai_responses.NAME):
            request = self.request()
            thinks = request.thinking is None or request.thinking.mode != "off"
            if request.tools and (thinks or openai_traits(model).effort("none") != "none"):
                return openai_responses.NAME
        return spoken

    def _relayed(self, target: Target) -> Outgoing | None:
        client = self.call.dialect
        if self.call.writer is not None:
            return None
        for mark in _SEALS.get(client.NAME, _SEAL):
            if mark in self.call.body:
                return None
        fields = dict(self.fields)
        client.retarget(fields, target.model, self.stream, target.provider.quirks)
        path = client.path(target.model, self.stream)
        return Outgoing(client, path, encode(fields), withholds_usage=self.stream and self._withholds_usage())

    def converted(self, target: Target, dialect: str) -> Outgoing:
        """The call in this dialect, never relayed."""
        upstream = dialects.upstream(dialect)
        read = self.request()
        request = msgspec.structs.replace(read, model=target.model)
        try:
            written = upstream.write_request(request, target.provider.quirks)
        except Unsayable as error:
            raise unsayable(str(error)) from None
        path, body = upstream.path(target.model, self.stream), encode(written.body)
        return Outgoing(upstream, path, body, self.names(written.lossy), read)

    def names(self, lossy: list[str]) -> list[str]:
        """What was lost, by the client's own words."""
        return [self.call.dialect.FIELD_NAMES.get(name, name) for name in lossy]


def _text(fields: dict[str, Raw], key: str) -> str:
    value = decode(fields[key]) if key in fields else None
    if not isinstance(value, str) or not value:
        raise Malformed(key, "the name of a model", value)
    return value


def _flag(fields: dict[str, Raw], key: str, default: bool) -> bool:
    value = decode(fields[key]) if key in fields else None
    if value is None:
        return default
    if not isinstance(value, bool):
        raise Malformed(key, "true or false", value)
    return value
