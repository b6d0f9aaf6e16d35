"""What all fakes have in common: keys, scripts, records, routing, and the memory of what a prompt cache would hold."""

import json
import re
import ssl
import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Self

from . import brain, shape
from .scenario import Scenario, Script
from .server import Reply, Request, Server, reply_json

Handler = Callable[..., Reply]


class Refused(Exception):
    """The request is refused; the fake writes its dialect's error envelope from this."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        details: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.type, self.code = status, message, type, code
        self.param, self.details = param, details


class Fake(AbstractContextManager["Fake"], AbstractAsyncContextManager["Fake"]):
    """A provider's API on a loopback port. Use it as a context manager (also an async one), or `start()` and `stop()`.

    `keys`: the credentials it takes. `models`: those it has; empty means any name. `cache_minimum`: how many tokens a
    repeated prompt must have for the prompt cache to work. `refusals` are the messages of the requests it refused as
    invalid, for a test that wants to see none; `crashes` are the fake's own faults.
    """

    dialect = ""
    routes: tuple[tuple[str, str, str], ...] = ()  # method, pattern of the path, name of the method that handles it
    default_key = "sk-fake"

    def __init__(
        self,
        *,
        keys: set[str] | None = None,
        models: tuple[str, ...] = (),
        cache_minimum: int = 256,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.keys = {self.default_key} if keys is None else keys
        self.models = models
        self.cache_minimum = cache_minimum
        self.refusals: list[str] = []
        self.crashes: list[str] = []
        self.scenario = Scenario()  # of the request being answered
        self._script = Script()
        self._server = Server(self._handle, tls)
        self._cache: set[int] = set()
        self._issued = 0
        self._routes = [(method, re.compile(pattern), getattr(self, name)) for method, pattern, name in self.routes]

    def start(self) -> Self:
        """Listen on a free port."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Close the port and every connection."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: object, *_: object) -> None:
        self.stop()
        if kind is None and self.crashes:
            raise AssertionError("the fake itself broke:\n" + "\n".join(self.crashes))

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(self, kind: object, *_: object) -> None:
        self.__exit__(kind)

    @property
    def url(self) -> str:
        """Where it listens: scheme, host and port."""
        return f"{'https' if self._server.tls else 'http'}://127.0.0.1:{self._server.port}"

    @property
    def base_url(self) -> str:
        """The base URL as the provider's official SDK takes it."""
        return self.url

    @property
    def key(self) -> str:
        """One of the keys it takes."""
        return min(self.keys)

    @property
    def requests(self) -> list[Request]:
        """Every request received, oldest first."""
        return self._server.requests

    @property
    def connections(self) -> int:
        """How many connections were opened to it."""
        return self._server.connections

    @property
    def last(self) -> Request:
        """The latest request."""
        return self.requests[-1]

    def script(self, *scenarios: Scenario, key: str | None = None) -> None:
        """The fate of the next requests, one each; with `key`, of those that come with this key."""
        self._script.add(*scenarios, key=key)

    def always(self, scenario: Scenario | Callable[[Request], Scenario] | None, key: str | None = None) -> None:
        """The fate of every request that has no scenario of its own; None ends it."""
        self._script.stand(scenario, key)

    def wait(self, condition: Callable[[], bool], timeout: float = 10.0) -> None:
        """Block until `condition` holds (looked at after each event), e.g. `lambda: fake.last.client_left`."""
        self._server.wait(condition, timeout)

    # for the dialects

    def authorise(self, request: Request) -> str:
        """The key the request came with. Raises `Refused`."""
        raise NotImplementedError

    def envelope(self, refused: Refused) -> bytes:
        """The dialect's error body."""
        raise NotImplementedError

    def error_headers(self, status: int) -> dict[str, str]:
        """Headers of an error reply."""
        return {"content-type": "application/json"}

    def status_refusal(self, scenario: Scenario) -> Refused:
        """The refusal a scenario asks for."""
        return Refused(scenario.status, scenario.message or f"The fake was told to say {scenario.status}.")

    def broken_frames(self, refused: Refused) -> list[bytes]:
        """The frames of an error in mid-stream."""
        return [b"data: " + self.envelope(refused) + b"\n\n"]

    def next_id(self, prefix: str, length: int = 24) -> str:
        """A fresh id of the dialect's look."""
        self._issued += 1
        return prefix + f"{self._issued:0{length}x}"

    def _handle(self, request: Request) -> Reply:
        try:
            return self._dispatch(request)
        except Refused as refused:
            self.refusals.append(refused.message)
            return Reply(refused.status, self.error_headers(refused.status), self.envelope(refused))
        except Exception:
            self.crashes.append(traceback.format_exc())
            return Reply(500, {"content-type": "text/plain"}, self.crashes[-1].encode())

    def _dispatch(self, request: Request) -> Reply:
        for method, pattern, handler in self._routes:
            if (match := pattern.fullmatch(request.path)) and method == request.method:
                request.key = self.authorise(request)
                return self._fated(request, lambda: handler(request, **match.groupdict()))  # noqa: B023
        raise self.no_route(request)

    def no_route(self, request: Request) -> Refused:
        """The refusal of an unknown path."""
        return Refused(404, f"Invalid URL ({request.method} {request.path})")

    def _fated(self, request: Request, handle: Callable[[], Reply]) -> Reply:
        if request.method == "GET":
            return handle()
        scenario = self._script.next(request, request.key)
        self.scenario = scenario
        refused = self.status_refusal(scenario)
        if scenario.status >= 400 and scenario.fault is None:
            headers = {**self.error_headers(scenario.status), **scenario.headers}
            body = self.envelope(refused) if scenario.body is None else scenario.body
            return Reply(scenario.status, headers, body, scenario=scenario)
        reply = handle()
        reply.scenario = scenario
        reply.headers.update(scenario.headers)
        if scenario.fault == "error":
            reply.broken = self.broken_frames(refused)
        return reply

    def read_json(self, request: Request) -> Any:
        """The request's body. Raises `Refused` where it is no JSON object."""
        try:
            body = json.loads(request.body)
        except ValueError as error:
            raise self.bad_json(str(error)) from error
        if not isinstance(body, dict):
            raise self.bad_json("expected an object")
        return body

    def bad_json(self, why: str) -> Refused:
        """The refusal of a body that is no JSON."""
        return Refused(400, f"We could not parse the JSON body of your request: {why}")

    def conform(self, tp: Any, value: Any, how: shape.How = shape.STRICT) -> None:
        """Raise the dialect's `Refused` where `value` has not the shape of `tp`."""
        try:
            shape.conform(tp, value, how)
        except shape.Wrong as wrong:
            raise self.misshaped(wrong) from wrong

    def misshaped(self, wrong: shape.Wrong) -> Refused:
        """The dialect's words for a value that has not its type's shape."""
        raise NotImplementedError

    def answer(self, turn: brain.Turn, history: list[Any]) -> brain.Answer:
        """What the model says; `history` are the prompt's items in order, of which a repeated head is cached."""
        scenario = self.scenario
        said = scenario.answer or brain.answer(turn)
        if scenario.say is not None:
            said = brain.Answer([brain.Say(scenario.say)])
        if said.usage.prompt == 0:
            brain.count(turn, said)
        said.usage.cached, said.usage.written = self._cached(history)
        said.usage.cached = min(said.usage.cached, said.usage.prompt)
        said.usage.written = min(said.usage.written, said.usage.prompt - said.usage.cached)
        if scenario.usage is not None:
            said.usage = scenario.usage
        return said

    def _cached(self, history: list[Any]) -> tuple[int, int]:
        """How many of the prompt's tokens were cached by an earlier prompt, and how many are newly cached."""
        cached = total = 0
        running = 0
        for item in history:
            text = json.dumps(item, sort_keys=True)
            running = hash((running, text))
            total += brain.tokens(text)
            if running in self._cache:
                cached = total
            self._cache.add(running)
        if cached < self.cache_minimum:
            cached = 0
        return cached, total - cached if total >= self.cache_minimum else 0


def pieces(text: str, size: int = 7) -> list[str]:
    """The text as a stream's deltas."""
    return [text[i : i + size] for i in range(0, len(text), size)]


def sse(data: Any, event: str = "") -> bytes:
    """One server-sent event with JSON data."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


__all__ = ["Fake", "Refused", "Reply", "Request", "pieces", "reply_json", "sse"]
