"""Streams that survive: where an upstream dies in mid-answer, another goes on with it, and the client sees one stream.

How it works. `Survivor` is both what is asked and what brings the answer. As long as nothing broke it is a call like
any other, in the convert lane. When a stream breaks, `bring` raises `Failed`, and the attempts go on to another seat:
to that, `put_to` puts the same request with the answer's beginning (see `dialects.prefill`), and the next `bring` joins
its events to what the client has (see `canon.joined`). Where there is no honest way on, or nobody to go, the stream
ends in its dialect's error event, as it would without this policy.
"""

from collections.abc import Iterable

import msgspec

from dragoman.accounts.pool import Seat
from dragoman.canon import Broken, End, Event, Failed, Failure, Request, Used
from dragoman.canon.joined import Joined, Seam
from dragoman.dialects import prefill, upstream
from dragoman.dialects.dialect import Unsayable
from dragoman.dialects.estimate import estimate_text
from dragoman.dialects.fields import Malformed
from dragoman.gateway import lanes
from dragoman.gateway.ask import Ask, Outgoing, encode, unsayable
from dragoman.gateway.attempts import Answer
from dragoman.gateway.call import Story
from dragoman.gateway.elsewhere import ANYWHERE
from dragoman.gateway.failures import broken, masked
from dragoman.wire.errors import WireError
from dragoman.wire.sse import FrameTooLong

_COMMENTED = frozenset({"openai-chat", "openai-responses", "anthropic"})  # google-genai takes comments for JSON


def resumable(ask: Ask) -> Request | None:
    """The request, read whole, where its answer could be gone on with: one text, and no more said of it than itself."""
    try:
        request = ask.request()
    except Malformed:
        return None  # whoever speaks its dialect may know better
    plain = request.modalities is None or all(kind.lower() == "text" for kind in request.modalities)
    one = (request.n or 1) == 1 and not request.logprobs and not request.top_logprobs
    return request if one and plain and request.audio_output is None else None


class Survivor:
    """One call whose stream is to survive. See `ask.Asking`, and `attempts.Bring`."""

    stream = True

    def __init__(self, ask: Ask, request: Request, story: Story) -> None:
        self.call = ask.call
        self.pin = ask.pin
        self.resuming = False
        self._ask = ask
        self._request = request
        self._story = story
        call = ask.call
        self._type = call.stream_type or call.dialect.STREAM_TYPE
        self._writer = (call.writer or call.dialect.StreamWriter)(request)
        self._joined = Joined()
        self._failure: Failure | None = None  # what the first break was
        self._seam: Seam | None = None  # of the last put
        self._first: Seat | None = None

    @property
    def started(self) -> bool:
        """The client has the head of the reply."""
        return self._first is not None

    def affinity(self) -> str | None:
        return self._ask.affinity()

    def put_to(self, seat: Seat) -> Outgoing:
        """See `Asking`."""
        target, quirks = seat.target, seat.target.provider.quirks
        dialect = self._ask.spoken(seat)
        said = self._joined.said
        if not said:
            self._seam = None
            return self._ask.converted(target, dialect)
        request = msgspec.structs.replace(self._request, model=target.model)
        how = prefill.mode(dialect, request, quirks)
        if request.output is not None and request.output.kind != "text":
            raise unsayable("an answer of a given form can't be gone on with")
        request, whole = prefill.continued(request, said, how, estimate_text(said))
        speaks = upstream(dialect)
        try:
            written = speaks.write_request(request, quirks)
        except Unsayable as error:
            raise unsayable(str(error)) from None
        if dialect == "openai-chat" and how != "asked":
            prefill.mark(written, quirks)
        self._seam = Seam(whole, how)
        lossy = self._ask.names(written.lossy)
        return Outgoing(speaks, speaks.path(target.model, True), encode(written.body), lossy, self._request)

    async def bring(self, answer: Answer) -> None:
        """One stream to the client. Raises `Failed` where another is to go on with it."""
        story, out = self._story, self._story.out
        lane = lanes.Conversion(answer.outgoing.dialect.StreamReader(), self, story, answer.seat.target.model)
        data = await lanes.first_piece(answer)
        if not self.started:
            self._first = answer.seat
            story.row.lossy = answer.outgoing.lossy
            await out.start(200, story.head(self._type.encode()))
            story.row.ttft = story.elapsed()
        else:
            self._goes_on(answer)
        answer.began()
        try:
            await lanes.run(lane, data, answer.reply, story.out)
            last = lane.last
        except (WireError, FrameTooLong, Malformed) as error:
            last = [Broken(failure=broken(error))]
        finally:
            self._count(lane, None)
        if last and isinstance(end := last[-1], Broken):
            masked(end.failure, answer.seat.account.hide)
            text = self.write(last[:-1])
            if text:
                out.push(text)
            if self._joined.finished:  # nothing of the answer is missing
                last = [Used(usage=story.usage), End()] if story.usage is not None else [End()]
            else:
                self._break(end.failure, lane)
                last = [self._end(end.failure)]
        tail = self._writer.write(self._joined.add(last))
        story.book()
        await story.out.finish(tail)

    def write(self, events: Iterable[Event]) -> bytes:
        """See `dialect.StreamWriter`: the client's stream, whatever streams it is made of."""
        return self._writer.write(self._joined.add(events))

    async def give_up(self, failure: Failure) -> None:
        """Nobody goes on with the stream that broke: it ends as it would have without this policy."""
        if self._first is not None and self._story.row.shares:
            self._story.answers(self._first)
        end = self._end(self._failure or failure)
        self._story.book()
        await self._story.out.finish(self._writer.write([end]))

    def _goes_on(self, answer: Answer) -> None:
        self._joined.go_on(self._seam)
        row = self._story.row
        row.resumed += 1
        row.lossy = [*row.lossy, *(name for name in answer.outgoing.lossy if name not in row.lossy)]
        if self.call.dialect.NAME in _COMMENTED:
            self._story.out.push(b": dragoman-resumed target=%b\n\n" % answer.seat.target.name.encode())

    def _break(self, failure: Failure, lane: lanes.Conversion) -> None:
        """The stream broke. Raises `Failed` where another may go on with it; else `failure` is its end."""
        obstacle = self._joined.obstacle()
        if failure.kind not in ANYWHERE:
            return
        if obstacle is not None:
            failure.message += f" (nobody could go on with it: {obstacle})"
            return
        self._count(lane, failure)
        self._joined.broke(self._story.usage)
        self._failure = self._failure or failure
        self.resuming = True
        raise Failed(msgspec.structs.replace(failure))

    def _count(self, lane: lanes.Conversion, failure: Failure | None) -> None:
        """What the stream took. Of one that broke, providers tell at most what it took at its beginning."""
        lanes.count(self._story, lane.usage, lane.frames)
        usage = self._story.usage
        if failure is not None and usage is not None and usage.output < lane.frames:
            self._story.used(msgspec.structs.replace(usage, output=lane.frames, estimated=True))

    def _end(self, failure: Failure) -> Broken:
        self._story.row.error = failure.kind
        return Broken(failure=failure)
