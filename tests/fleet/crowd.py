"""Many clients at once: the official SDKs, without retries of their own; each question has one right answer."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import Any, Literal

import anthropic
import httpx
import httpx2
import openai

_NUMBERS = count()
_ERRORS = (openai.OpenAIError, anthropic.AnthropicError, httpx.HTTPError, httpx2.HTTPError)  # the last from streams
SDK = Literal["openai", "anthropic"]


@dataclass
class Heard:
    """What a client has heard. `whole`: the SDK took `text` for a whole answer; `error`: what it raised."""

    question: str
    text: str = ""
    whole: bool = False
    error: Exception | None = None
    headers: Any = field(default_factory=dict)

    @property
    def right(self) -> bool:
        """Whether it is the whole answer to its own question."""
        return self.whole and self.text == f"You said: {self.question}"

    @property
    def account(self) -> str:
        return str(self.headers["x-dragoman-account"])

    @property
    def id(self) -> str:
        return str(self.headers["x-request-id"])

    @property
    def status(self) -> int:
        return 200 if self.error is None else getattr(self.error, "status_code", 0)


class Client:
    """One program, that talks to one gateway."""

    def __init__(self, url: str, key: str = "none") -> None:
        self._openai = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=60)
        self._anthropic = anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0, timeout=60)

    async def ask(
        self, model: str = "m", *, sdk: SDK = "openai", stream: bool = False, session: str | None = None, name: str = ""
    ) -> Heard:
        """One question. Never raises what the SDK raises: see `Heard.error`."""
        heard = Heard(f"{name or 'question'} {next(_NUMBERS)}")
        messages = [{"role": "user", "content": heard.question}]
        options: dict[str, Any] = {"model": model, "messages": messages, "stream": stream}
        if session is not None:
            options["extra_headers"] = {"x-dragoman-constraints": f"session={session}"}
        try:
            await (self._ask_openai if sdk == "openai" else self._ask_anthropic)(heard, options)
        except _ERRORS as error:
            heard.error = error
            heard.headers = getattr(getattr(error, "response", None), "headers", heard.headers)
        return heard

    async def _ask_openai(self, heard: Heard, options: dict[str, Any]) -> None:
        raw = await self._openai.chat.completions.with_raw_response.create(**options)
        heard.headers = raw.headers
        answer: Any = raw.parse()
        if not options["stream"]:
            heard.text, heard.whole = answer.choices[0].message.content, True
            return
        finish = None
        async for chunk in answer:
            for choice in chunk.choices:
                heard.text += choice.delta.content or ""
                finish = choice.finish_reason or finish
        heard.whole = finish is not None

    async def _ask_anthropic(self, heard: Heard, options: dict[str, Any]) -> None:
        raw = await self._anthropic.messages.with_raw_response.create(max_tokens=1000, **options)
        heard.headers = raw.headers
        answer: Any = await raw.parse()
        if not options["stream"]:
            heard.text, heard.whole = answer.content[0].text, True
            return
        async for event in answer:
            if event.type == "content_block_delta":
                heard.text += event.delta.text
            heard.whole = heard.whole or event.type == "message_stop"

    async def close(self) -> None:
        await self._openai.close()
        await self._anthropic.close()


WAYS: Iterator[tuple[SDK, bool]] = cycle(
    [("openai", False), ("anthropic", False), ("openai", True), ("anthropic", True)]
)


async def crowd(clients: Iterable[Client], number: int, **options: Any) -> list[Heard]:
    """`number` questions at once, by turns of the clients, the SDKs, and streamed or not unless `options` say which."""
    turns = cycle(clients)
    asked = []
    for _ in range(number):
        sdk, stream = next(WAYS)
        asked.append(next(turns).ask(**{"sdk": sdk, "stream": stream} | options))
    return list(await asyncio.gather(*asked))


def all_right(heard: Iterable[Heard]) -> None:
    """Fails with the first answer that is not right."""
    for one in heard:
        assert one.right, f"{one.question}: {one.error or one.text!r}"


async def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What `condition` gives, as soon as it is true."""
    async with asyncio.timeout(seconds):
        while not (found := condition()):
            await asyncio.sleep(0.01)
    return found
