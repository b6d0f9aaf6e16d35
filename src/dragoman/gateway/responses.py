"""The Responses API's memory: `previous_response_id` and `store`, over any upstream.

The gateway keeps what it answered (see `ledger.responses`). A call that goes on from a stored response is put to its
target with the whole conversation in it; but to the account that holds the response itself (relayed there before), it
goes as it came, so that the provider finds its own reasoning and cache again.
"""

import copy
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from dragoman.accounts.pool import Seat
from dragoman.canon import JSON, Failed, Request
from dragoman.dialects.fields import Malformed, decode
from dragoman.dialects.openai_responses import stored
from dragoman.gateway.ask import Ask, Outgoing
from dragoman.gateway.attempts import Answer
from dragoman.gateway.call import Call, Out, Story
from dragoman.gateway.generate import answered
from dragoman.gateway.serving import Serving
from dragoman.gateway.steer import steer
from dragoman.ledger.responses import Kept, Responses
from dragoman.wire.sse import Frames, parse

log = logging.getLogger("dragoman")
Keep: TypeAlias = Callable[[JSON], Awaitable[None]]
_LAST = frozenset({"response.completed", "response.incomplete", "response.failed"})


class ResponseAsk(Ask):
    """A call of the Responses API with the whole conversation in its input. See `ask.Asking`."""

    def __init__(self, call: Call, body: JSON, held_by: str | None) -> None:
        """`held_by`: the account whose provider holds the previous response too."""
        self._native = Ask(call) if held_by else None
        self._previous = stored.previous_id(decode(call.body))
        super().__init__(msgspec.structs.replace(call, body=msgspec.json.encode(body)))
        self.pin = held_by

    def put_to(self, seat: Seat) -> Outgoing:
        if self._native is not None and seat.account.name == self.pin:
            return self._native.put_to(seat)
        return super().put_to(seat)

    def read(self) -> Request:
        request = super().read()
        request.previous_response_id = self._previous  # only for the reply, which names it
        return request


async def respond(serving: Serving, story: Story, memory: Responses) -> None:
    """`POST /responses`: an answer, given the conversation so far, and kept."""
    call = story.call
    body = decode(call.body)
    if not isinstance(body, dict):
        raise Malformed("", "a JSON object", body)
    said = body.pop("dragoman", None)
    owner = story.principal.id if story.principal else None
    previous = stored.previous_id(body)
    kept = await memory.load(previous, owner) if previous else None
    if previous is None or kept is not None:
        record = stored.Record(id=kept.id, items=kept.items, response=kept.response) if kept else None
        given, body = body.get("input"), stored.expand(body, record)
        untouched = kept is None and _same_items(given, body["input"])
        ask = Ask(call) if untouched else ResponseAsk(call, body, kept.account if kept else None)
    else:
        ask = Ask(call)
    if said is not None:
        ask.constraints = msgspec.Raw(msgspec.json.encode(said))
    model = await steer(serving, ask, story)
    if previous is not None and kept is None:
        native = any("openai-responses" in target.provider.dialects for tier in model.tiers for target in tier)
        if not native:  # else a response that its provider may have kept, and we never saw
            raise Failed(stored.not_found(previous, "previous_response_id"))
    story.row.stream = ask.stream

    out = story.out

    def prepare(answer: Answer) -> None:
        if stored.wanted(body):
            held_by = answer.seat.account.name if answer.outgoing.relayed else None
            asked = copy.deepcopy(body)

            async def keep(response: JSON) -> None:
                made = stored.record(asked, response)
                await memory.save(
                    Kept(id=made.id, items=made.items, response=made.response, owner=owner, account=held_by)
                )

            story.out = Keeping(out, keep)

    ours = previous is None or kept is not None  # else only its provider knows what it goes on from
    await answered(serving, ask, model, story, prepare=prepare, survives=ours)


def _same_items(given: object, items: list[JSON]) -> bool:
    """Whether `items` are what the client gave, so that its body can go as it came (law 5)."""
    return not isinstance(given, list) or all(ours is theirs for ours, theirs in zip(items, given, strict=True))


class Keeping:
    """An `Out` that gives the finished response object to `keep` before the client sees the end of it."""

    def __init__(self, out: Out, keep: Keep) -> None:
        self._out = out
        self._keep = keep

    async def whole(self, status: int, head: bytes, body: bytes) -> None:
        value = _decoded(body)
        if isinstance(value, dict) and value.get("object") == "response":
            await self._try(value)
        await self._out.whole(status, head, body)

    async def start(self, status: int, head: bytes) -> None:
        await self._out.start(status, head)

    def push(self, data: bytes) -> bool:
        return self._out.push(data)

    async def drained(self) -> None:
        await self._out.drained()

    async def finish(self, data: bytes = b"") -> None:
        response = _streamed(data)
        if response is not None:
            await self._try(response)
        await self._out.finish(data)

    def abort(self) -> None:
        self._out.abort()

    async def _try(self, response: JSON) -> None:
        """The answer was given and paid for: that it can't be kept must not take it from the client."""
        try:
            await self._keep(response)
        except Exception:
            log.exception("a response could not be stored: nothing can go on from it")


def _decoded(body: bytes) -> object:
    """What a provider sent; None where that is no JSON."""
    try:
        return decode(body)
    except Malformed:
        return None


def _streamed(data: bytes) -> JSON | None:
    """The response object in the last event of a stream, which is always in the last piece of it."""
    for frame in Frames().feed(data):
        event = parse(frame)
        value = _decoded(event.data) if event is not None and b'"response.' in event.data else None
        if isinstance(value, dict) and value.get("type") in _LAST and isinstance(value.get("response"), dict):
            response: JSON = value["response"]
            return response
    return None
