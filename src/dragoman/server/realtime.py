"""The realtime surfaces: a WebSocket's path, query and headers tell dialect, model and key; a session is admitted, and
opened as what its model is: a provider's session, relayed or bridged, or a pipeline of speech engines.

| path                                              | dialect                                            |
|---------------------------------------------------|----------------------------------------------------|
| `/v1/realtime`, `/openai/v1/realtime`             | `ga`; `beta` with `OpenAI-Beta: realtime=v1`       |
| `/openai/realtime?api-version=&deployment=`       | `beta`                                             |
| `/voice-live/realtime`                            | `voicelive`                                        |
| `/ws/google.….BidiGenerateContent…`               | `gemini`                                           |
| `/v1/live/sessions`                               | `live`                                             |

What can be refused before the WebSocket stands, is refused in HTTP, in the dialect's envelope.
"""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from dragoman import dialects
from dragoman.access.client_secrets import PREFIX as EPHEMERAL
from dragoman.access.client_secrets import ClientSecrets, Grant
from dragoman.accounts.lease import Outcome
from dragoman.canon import Failed, Failure
from dragoman.catalog import realtime
from dragoman.catalog.directory import Model
from dragoman.gateway.call import Call
from dragoman.gateway.gateway import Gateway
from dragoman.gateway.lines import Opened
from dragoman.gateway.naming import find_model
from dragoman.gateway.visit import Visit
from dragoman.server import surfaces
from dragoman.server.http import Request
from dragoman.server.passed import Passed, took
from dragoman.server.pipelines import Speech, engines_of, open_pipeline
from dragoman.server.response import Response
from dragoman.voice.codecs.codec import Notices
from dragoman.voice.record import Turn as PipelineTurn
from dragoman.voice.relaying import bridges
from dragoman.voice.relaying.ends import Codec, Duplex, End, Event, Line, text
from dragoman.voice.relaying.heads import BETA, GA
from dragoman.voice.relaying.passing import WATCHES
from dragoman.voice.relaying.relay import Counts, Relay, Turn
from dragoman.wire import upgrade
from dragoman.wire.websocket import Patience

log = logging.getLogger("dragoman")
PATIENCE = Patience(ping=20.0, dead=60.0, stalled=20.0)
FIRST = 30.0  # seconds a client has for its first message, where that says the model
_PATHS = {
    "/realtime": "ga",
    "/v1/realtime": "ga",
    "/openai/v1/realtime": "ga",
    "/openai/realtime": "beta",
    "/voice-live/realtime": "voicelive",
    "/live/sessions": "live",
    "/v1/live/sessions": "live",
    "/openai/v1/live/sessions": "live",
}
_GEMINI = re.compile(
    r"/+ws/google\.(?:ai\.generativelanguage\.v\w+\.GenerativeService[./]BidiGenerateContent(?:Constrained)?"
    r"|cloud\.aiplatform\.v\w+\.LlmBidiService/BidiGenerateContent)"
)
_KEY_PROTOCOL = "openai-insecure-api-key."
_BETA_PROTOCOL = "openai-beta.realtime-v1"
_LATE = frozenset({"gemini", "live"})  # dialects whose first message says the model
_ALIKE = frozenset({"beta", "voicelive"})  # whose events differ from GA's in their names
_TURNS = b"x-dragoman-turns"
_STRICT = b"x-dragoman-strict"


class Surface(Struct, frozen=True):
    """What a request for a WebSocket asks for. `model` None: a message will say it. `pauses`: whether its player pauses
    at a word of ours. `call`: the call to join instead of beginning a session. `notices`: whether the client hears of
    what the other side cannot say."""

    dialect: str
    key: str | None
    model: str | None
    transcription: bool = False
    turns: bool = False
    pauses: bool = False
    call: str | None = None
    subprotocol: str | None = None
    notices: Notices = "off"


class Session(Protocol):
    """A session that is open. `codec`: what stands at the client's end. `lines`: header lines for the answer that takes
    up the WebSocket, beside those of every answer."""

    codec: Codec | None
    lines: bytes

    async def run(self, client: End) -> tuple[int, str]:
        """Until it is over; the code and the reason to close the client's socket with."""
        ...


class Opening(Struct):
    """What a session is to be. `settings`: the configuration it begins with, where a client secret carries one."""

    visit: Visit
    surface: Surface
    model: Model | None
    settings: Event | None = None


def find(request: Request) -> Surface | None:
    """The realtime surface that `request` asks for; None where there is none."""
    dialect = _PATHS.get(request.path) or ("gemini" if _GEMINI.fullmatch(request.path) else None)
    if dialect is None:
        return None
    query = {name: values[-1] for name, values in parse_qs(request.query.decode("latin-1")).items()}
    offered = upgrade.subprotocols(request.headers)
    beta = b"realtime=v1" in request.headers.get(b"openai-beta", b"") or _BETA_PROTOCOL in offered
    key = next((name.removeprefix(_KEY_PROTOCOL) for name in offered if name.startswith(_KEY_PROTOCOL)), None)
    plain = [name for name in offered if not name.startswith(_KEY_PROTOCOL) and name != _BETA_PROTOCOL]
    model = query.get("model") or query.get("deployment") or query.get("agent-name")
    turns = wants_turns(query, request.headers)
    strict = request.headers.get(_STRICT) == b"1"
    return Surface(
        dialect="beta" if dialect == "ga" and beta else dialect,
        key=key or surfaces.gateway_key(request.headers, request.query) or query.get("api-key"),
        model=None if dialect in _LATE else model or "",
        transcription=query.get("intent") == "transcription",
        turns=turns,
        pauses=turns,
        call=query.get("call_id") if dialect in ("ga", "beta") else None,
        subprotocol="realtime" if "realtime" in plain else plain[0] if plain else None,
        notices="strict" if strict else "on" if turns else "off",
    )


def wants_turns(query: dict[str, str], headers: dict[bytes, bytes]) -> bool:
    """Whether the client wants an event `dragoman.turn` after each turn."""
    return query.get("dragoman_turns") == "1" or headers.get(_TURNS) == b"1"


class Admitted(Struct):
    """A client that may come in. `session` None: its first message is to say of what."""

    visit: Visit
    surface: Surface
    session: Session | None
    codec: Codec | None

    def lines(self, content_type: bytes = b"") -> bytes:
        """Header lines of the answer that lets it in."""
        return self.visit.story.head(content_type) + (b"" if self.session is None else self.session.lines)


class Sessions:
    """The realtime sessions of a worker."""

    def __init__(self, gateway: Gateway, client_secrets: ClientSecrets) -> None:
        self._gateway = gateway
        self._secrets = client_secrets
        self._ends: set[End] = set()  # those of the clients that are here
        self.counts = Counts()
        self.speech = Speech(engines_of(gateway))
        self.observe: Callable[[PipelineTurn], None] = lambda turn: None  # told of every turn of a pipeline

    async def serve(self, request: Request, surface: Surface, out: Response) -> None:
        """Answers a request for a WebSocket, and stays to the session's end."""

        async def offered() -> None:
            try:
                upgrade.answer(request.method, request.headers)
            except ValueError as error:
                raise Failed(Failure(kind="bad_request", message=str(error))) from None

        admitted = await self.open(request, surface, out, offered)
        if admitted is not None:
            await self.stay(admitted, out.accept(admitted.lines(), surface.subprotocol, PATIENCE))

    async def open(
        self, request: Request, surface: Surface, out: Response, prepare: Callable[[], Awaitable[None]]
    ) -> Admitted | None:
        """Admits a client and opens the session it asks for; None where it is refused, which then has been said.
        `prepare`: what is to be done between the two, or raises `Failed`. Who opens a session, is to `stay`."""
        envelope = dialects.client("gemini" if surface.dialect == "gemini" else "openai-chat")
        call = Call(dialect=envelope, body=b"", headers=request.headers, op="realtime", key=surface.key)
        visit = Visit(self._gateway, call, out)
        visit.story.row.dialect = f"realtime.{surface.dialect}"
        session: Session | None = None
        try:
            grant = await self._granted(surface)
            call.principal = None if grant is None else grant.holder
            await visit.begin(None if grant is None else grant.maker)
            await prepare()
            if grant is not None:
                surface = _as_granted(surface, grant)
            if surface.model is not None:
                session = await self._open(visit, surface, surface.model, grant)
            codec = bridges.client_codec(surface.dialect, surface.notices) if session is None else session.codec
        except Failed as error:
            await visit.refuse(error.failure)
            return None
        except BaseException:
            visit.end("client_left", 499)
            raise
        return Admitted(visit, surface, session, codec)

    async def _granted(self, surface: Surface) -> Grant | None:
        """What the client's secret stands for; None where it comes with a key. Raises `Failed`."""
        if surface.key is None or not surface.key.startswith(EPHEMERAL):
            return None
        grant = await self._secrets.read(surface.key, time.time())
        if grant is None:
            message = "this client secret is not known, or has expired: ask for a new one"
            raise Failed(Failure(kind="unauthorized", status=401, message=message))
        return grant

    async def _open(self, visit: Visit, surface: Surface, name: str, grant: Grant | None = None) -> Session:
        """Raises `Failed`."""
        model: Model | None = None
        if name and (not surface.transcription or visit.serving.directory.find(name) is not None):
            model = await find_model(visit.serving, name, visit.story)
        elif not surface.transcription:
            message = "model: expected the name of a model in the query"
            raise Failed(Failure(kind="bad_request", message=message, param="model"))
        settings = None if grant is None else {k: v for k, v in grant.session.items() if k != "model"}
        opening = Opening(visit=visit, surface=surface, model=model, settings=settings)
        return await open_session(opening, self._gateway, self.speech, self.counts, self.observe)

    async def stay(self, admitted: Admitted, duplex: Duplex) -> None:
        """A client that has its line, to the end."""
        visit, surface, session = admitted.visit, admitted.surface, admitted.session
        end = End(duplex, admitted.codec)
        if session is None:
            end.taken = []
        self._ends.add(end)
        self.counts.open += 1
        minutes = visit.limits.max_session_minutes
        closing, failure = (1011, ""), None
        limit = asyncio.timeout(None if minutes is None else minutes * 60)
        try:
            async with limit:
                if session is None:
                    session = await self._open(visit, surface, await _asked_for(end))
                closing = await session.run(end)
        except Failed as error:
            failure = error.failure
            closing = (1008, failure.message)
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                message = f"this session has reached {minutes:g} minutes, the most it may (voice.max_session_minutes)"
                failure = Failure(kind="rate_limited", code="session_expired", dialect="openai-chat", message=message)
                closing = (1001, message)
            else:
                log.exception("a realtime session broke", extra={"request": visit.call.id})
                self.counts.broken += 1
                failure = Failure(kind="internal", status=500, message="the gateway failed; its log has the details")
        finally:
            self._ends.discard(end)
            self.counts.open -= 1
            if end.codec is not None and end.codec.lossy:
                log.info("a session ignored %s", ", ".join(end.codec.lossy), extra={"request": visit.call.id})
            visit.end(None if failure is None else failure.kind)
        if failure is not None:
            await end.send(text(bridges.error_event(failure)))
        await end.close(*closing)

    async def close(self) -> None:
        """Ends all sessions: the process is about to go."""
        failure = Failure(kind="draining", status=503, message="this gateway is shutting down: connect again")
        ends = list(self._ends)
        for end in ends:
            await end.send(text(bridges.error_event(failure)))
        await asyncio.gather(*(end.close(1012, failure.message) for end in ends))
        await self.speech.close()


def _as_granted(surface: Surface, grant: Grant) -> Surface:
    """What a client with a secret asks for: its model is the secret's, where that names one. Raises `Failed`."""
    named = grant.session.get("model")
    if surface.model and isinstance(named, str) and surface.model != named:
        message = f"this client secret is for sessions of {named}, not of {surface.model}"
        raise Failed(Failure(kind="forbidden", status=403, message=message, param="model"))
    transcription = grant.session.get("type") == "transcription"
    model = named if isinstance(named, str) else surface.model
    return msgspec.structs.replace(surface, model=model, transcription=transcription or surface.transcription)


async def _asked_for(end: End) -> str:
    """The model that the client's first message names. Raises `Failed`."""
    try:
        async with asyncio.timeout(FIRST):
            while (events := await end.receive()) is not None:
                end.put_back(events)
                if end.codec is not None and end.codec.model is not None:
                    return end.codec.model
                if events:
                    break
    except TimeoutError:
        pass
    raise Failed(Failure(kind="bad_request", message="the first message did not say which model is meant"))


async def open_session(
    opening: Opening, gateway: Gateway, speech: Speech, counts: Counts, observe: Callable[[PipelineTurn], None]
) -> Session:
    """The session that the model stands for: a provider's, or a pipeline. Raises `Failed`."""
    model, surface = opening.model, opening.surface
    if model is not None and (realtime.transcribes if surface.transcription else realtime.is_realtime)(model):
        spoken = {place.spoken for place in opening.visit.serving.lines.places(model)}
        if surface.dialect in WATCHES and spoken == {surface.dialect} and opening.settings is None:
            return await Passed.open(opening.visit, surface.dialect, model, counts)
        return await Relayed.open(opening, model, counts)
    return await open_pipeline(
        gateway, speech, opening.visit, model.name if model is not None else "", dialect=surface.dialect,
        transcription=surface.transcription, turns=surface.turns, pauses=surface.pauses,
        settings=opening.settings, observe=observe,
        counts=counts, notices=surface.notices,
    )  # fmt: skip


class Relayed:
    """A session at a provider, relayed or bridged."""

    lines = b""

    def __init__(self, opening: Opening, model: Model, opened: Opened, counts: Counts) -> None:
        self._opening = opening
        self._model = model
        self._counts = counts
        dialect = opening.surface.dialect
        spoken = {place.spoken for place in opening.visit.serving.lines.places(model)}
        self._direct = dialect in _ALIKE and spoken == {dialect} and opening.settings is None
        relayed = self._direct or {dialect} == spoken == {"ga"}
        self.codec = None if relayed else bridges.client_codec(dialect, opening.surface.notices)
        self._codecs = [self.codec]
        self._line = self._as_line(opened)

    @classmethod
    async def open(cls, opening: Opening, model: Model, counts: Counts) -> "Relayed":
        """Raises `Failed`."""
        opened = await _opened(opening, model)
        try:
            return cls(opening, model, opened, counts)
        except BaseException:
            opened.settle(Outcome(dropped=True))
            opened.socket.abort()
            raise

    def _as_line(self, opened: Opened) -> Line:
        lasts = opened.place.lasts
        codec = (
            None
            if self._direct
            else bridges.upstream_codec(opened.place.spoken, opened.place.model or opened.seat.target.model)
        )
        self._codecs.append(codec)
        return Line(
            end=End(opened.socket, codec, opened.first),
            target=opened.seat.target.name,
            account=opened.seat.account.name,
            settle=opened.settle,
            until=None if lasts is None else asyncio.get_running_loop().time() + lasts,
            names=BETA if self._direct else GA,
        )

    async def _reopen(self) -> Line:
        return self._as_line(await _opened(self._opening, self._model))

    def _book(self, turn: Turn) -> Failure | None:
        lost = dict.fromkeys(name for codec in self._codecs if codec is not None for name in codec.lossy)
        self._opening.visit.story.row.lossy = list(lost)
        return self._opening.visit.turn(took(turn, self._opening.visit))

    async def run(self, client: End) -> tuple[int, str]:
        opening = self._opening
        relay = Relay(
            self._line, self._reopen, self._book, new_id=lambda: bridges.new_id("event"), session=opening.settings,
            asked=opening.visit.story.row.model,
            turns=opening.surface.turns, decision=opening.visit.story.row.decision, counts=self._counts,
        )  # fmt: skip
        return await relay.run(client)


async def _opened(opening: Opening, model: Model) -> Opened:
    visit = opening.visit
    return await visit.serving.lines.open(model, visit.story, transcription=opening.surface.transcription)
