"""What every client can do in a test, whatever its SDK calls it."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import pydantic

T = TypeVar("T")


@dataclass(frozen=True)
class Mode:
    """How the SDK is used."""

    asynchronous: bool
    stream: bool

    @property
    def name(self) -> str:
        return ("async" if self.asynchronous else "sync") + ("-stream" if self.stream else "")


MODES = tuple(Mode(asynchronous, stream) for asynchronous in (False, True) for stream in (False, True))


@dataclass(frozen=True)
class Image:
    data: bytes
    mime: str = "image/png"


@dataclass(frozen=True)
class Link:
    """An image by its address."""

    url: str


@dataclass(frozen=True)
class Paper:
    """A PDF document."""

    data: bytes
    name: str = "paper.pdf"


@dataclass
class Called:
    id: str
    name: str
    arguments: dict[str, Any]
    native: Any = None


@dataclass
class Result:
    """What a tool gave back; `parts` are texts and images."""

    call: Called
    parts: tuple[str | Image, ...]
    failed: bool = False


@dataclass
class Said:
    """A reply. `finish`: `stop`, `length`, `tool_calls`, `refusal` or `content_filter`."""

    text: str = ""
    calls: list[Called] = field(default_factory=list)
    finish: str = "stop"
    input: int = 0
    output: int = 0
    thinking: str = ""
    refusal: str | None = None
    model: str = ""
    parsed: Any = None


@dataclass(frozen=True)
class Tool:
    name: str
    schema: dict[str, Any]
    description: str = "A tool."


@dataclass
class Wishes:
    """What is asked beside the conversation."""

    system: str | None = None
    tools: list[Tool] = field(default_factory=list)
    max_tokens: int | None = None
    stop: list[str] = field(default_factory=list)
    think: bool = False
    shape: type[pydantic.BaseModel] | None = None


class CannotSay(Exception):
    """The client's API has no words for this at all."""


class Loop:
    """One event loop for all asynchronous clients of the process: their connections belong to it."""

    _runner: asyncio.Runner | None = None

    @classmethod
    def run(cls, coroutine: Coroutine[Any, Any, T]) -> T:
        if cls._runner is None:
            cls._runner = asyncio.Runner()
        return cls._runner.run(coroutine)


class Talk:
    """A conversation through one SDK: `user`, `reply`, `results`, `reply`, … The history is kept as programs keep it,
    out of the SDK's own objects. `headers` are those of the latest answer."""

    surface: ClassVar[str]
    rate_limited: ClassVar[type[Exception]]
    failed: ClassVar[type[Exception]]  # what the SDK raises for an error, in whichever form
    can_link: ClassVar[bool] = True
    can_paper: ClassVar[bool] = True
    can_stop: ClassVar[bool] = True
    can_refuse: ClassVar[bool] = True  # it has words for refusals and filters
    can_ask_to_see: ClassVar[bool] = True  # thinking
    shows_errors: ClassVar[bool] = True  # a failed tool result can be marked as such
    result_images: ClassVar[bool] = True

    _clients: ClassVar[dict[tuple[type, str], Any]] = {}

    def __init__(self, url: str, mode: Mode, model: str, **wishes: Any) -> None:
        self.url, self.mode, self.model = url, mode, model
        self.wishes = Wishes(**wishes)
        self.headers: Any = {}
        self.history: list[Any] = []

    def user(self, *parts: str | Image | Link | Paper) -> "Talk":
        """The user says something."""
        raise NotImplementedError

    def reply(self) -> Said:
        """The model's answer, which is added to the history."""
        raise NotImplementedError

    def results(self, *results: Result) -> None:
        """What the tools gave back is added to the history."""
        raise NotImplementedError

    @staticmethod
    def status(error: Exception) -> int | None:
        """The HTTP status in the SDK's exception."""
        return getattr(error, "status_code", None)

    @staticmethod
    def retry_after(error: Exception) -> str | None:
        """The header `retry-after` of the SDK's exception, where it has it."""
        response = getattr(error, "response", None)
        headers = getattr(response, "headers", None)
        return headers.get("retry-after") if headers is not None else None

    def client(self, make: Callable[[], Any]) -> Any:
        """The SDK's client for this gateway, made once."""
        key = (type(self), f"{self.url} {self.mode.asynchronous}")
        if key not in Talk._clients:
            Talk._clients[key] = make()
        return Talk._clients[key]

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return Loop.run(coroutine)


def arguments(text: str | None) -> dict[str, Any]:
    """A call's arguments, which must be a JSON object even where there are none."""
    value = json.loads(text or "")
    assert isinstance(value, dict), f"arguments are {text!r}"
    return value
