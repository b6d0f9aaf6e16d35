"""Embeddings: any of the three surfaces onto any provider that has them."""

from msgspec import structs

from dragoman import dialects
from dragoman.accounts.pool import Seat
from dragoman.canon import Failed, Failure, Media, Text, Usage, token_count
from dragoman.dialects import embeddings
from dragoman.dialects.dialect import Unsayable
from dragoman.dialects.embeddings import EmbeddingRequest
from dragoman.dialects.embeddings.shape import Input
from dragoman.dialects.estimate import IMAGE, estimate_text
from dragoman.dialects.fields import Malformed, decode
from dragoman.gateway.ask import Outgoing, encode, unsayable
from dragoman.gateway.attempts import Answer
from dragoman.gateway.call import JSON_TYPE, Call, Story
from dragoman.gateway.failures import wire_failure
from dragoman.gateway.naming import find_model
from dragoman.gateway.serving import Serving
from dragoman.wire.errors import WireError

_SURFACES = {"openai-chat": embeddings.openai, "gemini": embeddings.gemini, "ollama": embeddings.ollama}
_UPSTREAMS: dict[str, embeddings.Upstream] = {
    "openai": embeddings.openai,
    "gemini": embeddings.gemini,
    "ollama": embeddings.ollama,
    "cohere": embeddings.cohere,
}
REPLY_LIMIT = 256 * 1024 * 1024


class EmbedAsk:
    """An embedding call. See `ask.Asking`."""

    stream = False
    resuming = False
    pin: str | None = None

    def __init__(self, call: Call) -> None:
        """Raises `Malformed`."""
        self.call = call
        body = decode(call.body)
        if isinstance(body, dict):
            body.pop("dragoman", None)
            if call.model is not None and call.dialect.NAME != "gemini":
                body["model"] = call.model
        self.request: EmbeddingRequest = _SURFACES[call.dialect.NAME].read_request(body)
        self.model = call.model or self.request.model

    def affinity(self) -> str | None:
        return None

    def put_to(self, seat: Seat) -> Outgoing:
        provider = seat.target.provider
        if provider.embeds is None:
            raise Failed(
                Failure(
                    kind="bad_request", message=f"{seat.target.name}: {provider.name} has no embeddings: ask another"
                )
            )
        upstream = _UPSTREAMS[provider.embeds]
        request = structs.replace(self.request, model=seat.target.model)
        try:
            written = upstream.write_request(request)
        except Unsayable as error:
            raise unsayable(str(error)) from None
        errors = dialects.upstream(upstream.NAME)
        return Outgoing(errors, upstream.path(request), encode(written.body), written.lossy)


async def embed(serving: Serving, story: Story) -> None:
    """Vectors for texts, in the client's dialect."""
    ask = EmbedAsk(story.call)
    model = await find_model(serving, ask.model, story)
    await serving.attempts.bring(ask, model, story, lambda answer: _bring(ask, answer, story))


async def _bring(ask: EmbedAsk, answer: Answer, story: Story) -> None:
    story.row.lossy = answer.outgoing.lossy
    embeds = answer.seat.target.provider.embeds or ""
    try:
        reply = _UPSTREAMS[embeds].read_reply(await answer.reply.read(REPLY_LIMIT))
    except WireError as error:
        raise Failed(wire_failure(error)) from None
    except Malformed as error:
        message = f"the provider's answer can't be read: {error}"
        raise Failed(Failure(kind="upstream_error", status=502, message=message)) from None
    reply.model = reply.model or answer.seat.target.model
    estimated = reply.tokens is None or reply.tokens != token_count(reply.tokens)
    if reply.tokens is None or estimated:
        reply.tokens = sum(map(_tokens, ask.request.inputs))
    story.used(Usage(input=reply.tokens, estimated=estimated))
    await story.whole(200, JSON_TYPE, _SURFACES[story.call.dialect.NAME].write_reply(reply, ask.request))


def _tokens(given: Input) -> int:
    """About how many tokens one input is, for providers that do not tell."""
    if isinstance(given, str):
        return estimate_text(given)
    return sum(
        estimate_text(part.text) if isinstance(part, Text) else IMAGE if isinstance(part, Media) else 1
        for part in given
    )
