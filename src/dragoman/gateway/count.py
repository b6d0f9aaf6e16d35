"""Counting a request's tokens without asking for an answer: by the provider where it can, else estimated.

An estimate is marked `x-dragoman-estimated: 1`.
"""

from collections.abc import Callable

import msgspec
from msgspec import Struct, structs

from dragoman.accounts.pool import Seat
from dragoman.canon import JSON, Failed, Request, token_count
from dragoman.catalog.providers import Provider
from dragoman.dialects import anthropic, gemini, openai_responses
from dragoman.dialects.anthropic import count as anthropic_count
from dragoman.dialects.dialect import Dialect, Unsayable, Written
from dragoman.dialects.estimate import estimate
from dragoman.dialects.fields import Malformed, decode
from dragoman.dialects.gemini import count as gemini_count
from dragoman.dialects.gemini.path import count_path
from dragoman.dialects.quirks import Quirks
from dragoman.gateway.ask import Outgoing, encode, unsayable
from dragoman.gateway.attempts import Answer
from dragoman.gateway.call import JSON_TYPE, Call, Story
from dragoman.gateway.naming import find_model
from dragoman.gateway.serving import Serving
from dragoman.wire.errors import WireError

REPLY_LIMIT = 1024 * 1024


class _Counting(Struct):
    """How one dialect counts: as a surface (read, write) and as an upstream (path, ask, answer)."""

    dialect: Dialect
    read: Callable[[JSON], Request]
    write: Callable[[int], bytes]
    path: Callable[[str], str] | None = None
    ask: Callable[[Request, Quirks], Written] | None = None
    answer: Callable[[bytes], int] | None = None


def _write_response_count(tokens: int) -> bytes:
    return msgspec.json.encode({"object": "response.input_tokens", "input_tokens": tokens})


_COUNTING = {
    "anthropic": _Counting(
        anthropic,
        anthropic_count.read_count_request,
        anthropic_count.write_count,
        lambda _: anthropic_count.COUNT_PATH,
        anthropic_count.write_count_request,
        anthropic_count.read_count,
    ),
    "gemini": _Counting(
        gemini,
        gemini_count.read_count_request,
        gemini_count.write_count_reply,
        count_path,
        gemini_count.write_count_request,
        gemini_count.read_count_reply,
    ),
    "openai-responses": _Counting(openai_responses, openai_responses.read_request, _write_response_count),
}


class CountAsk:
    """A call for a count. See `ask.Asking`."""

    stream = False
    resuming = False
    pin: str | None = None

    def __init__(self, call: Call) -> None:
        """Raises `Malformed`."""
        self.call = call
        body = decode(call.body)
        if isinstance(body, dict):
            body.pop("dragoman", None)
            if call.model is not None:
                body.setdefault("model", call.model)
        self.request = _COUNTING[call.dialect.NAME].read(body)
        self.model = call.model or self.request.model

    def affinity(self) -> str | None:
        return None

    def put_to(self, seat: Seat) -> Outgoing:
        counting = _of(seat.target.provider)
        if counting is None or counting.ask is None or counting.path is None:
            raise unsayable(f"{seat.target.provider.name} counts no tokens")
        request = structs.replace(self.request, model=seat.target.model)
        written = counting.ask(request, seat.target.provider.quirks)
        return Outgoing(counting.dialect, counting.path(seat.target.model), encode(written.body))


def _of(provider: Provider) -> _Counting | None:
    return _COUNTING.get(provider.dialects[0]) if provider.dialects else None


async def count(serving: Serving, story: Story) -> None:
    """The number of input tokens, in the client's dialect."""
    ask = CountAsk(story.call)
    model = await find_model(serving, ask.model, story)
    first = _of(model.tiers[0][0].provider)
    tokens: int | None = None
    if first is not None and first.answer is not None:

        async def read(answer: Answer) -> None:
            nonlocal tokens
            count = _COUNTING[answer.outgoing.dialect.NAME].answer or first.answer
            counted = count(await answer.reply.read(REPLY_LIMIT)) if count else None
            tokens = counted if counted == token_count(counted) else None

        try:
            await serving.attempts.bring(ask, model, story, read)
        except (Failed, Malformed, Unsayable, WireError):
            tokens = None  # not every server of a dialect counts: an estimate is better than none
    extra = b""
    if tokens is None:
        tokens, extra = estimate(ask.request), b"x-dragoman-estimated: 1\r\n"
    await story.whole(200, JSON_TYPE, _COUNTING[story.call.dialect.NAME].write(tokens), extra)
