"""Sessions at a provider of the client's own dialect that is not OpenAI's Realtime (see `server.realtime.Session`)."""

from dragoman.canon import Failure
from dragoman.catalog.directory import Model
from dragoman.gateway.lines import Opened
from dragoman.gateway.visit import Took, Visit
from dragoman.voice.relaying import bridges
from dragoman.voice.relaying.ends import Codec, End
from dragoman.voice.relaying.passing import WATCHES, Passing, Way
from dragoman.voice.relaying.relay import Counts, Turn


class Passed:
    """One of them. Its codec reads the client's first message, which says the model; then all passes as it comes."""

    lines = b""

    def __init__(self, visit: Visit, dialect: str, model: Model, opened: Opened, counts: Counts) -> None:
        self.codec: Codec | None = bridges.client_codec(dialect)
        self._visit = visit
        self._dialect = dialect
        self._model = model
        self._opened = opened
        self._counts = counts

    @classmethod
    async def open(cls, visit: Visit, dialect: str, model: Model, counts: Counts) -> "Passed":
        """Raises `Failed`."""
        return cls(visit, dialect, model, await visit.serving.lines.open(model, visit.story), counts)

    async def _reopen(self) -> Way:
        return _way(await self._visit.serving.lines.open(self._model, self._visit.story))

    def _book(self, turn: Turn) -> Failure | None:
        return self._visit.turn(took(turn, self._visit))

    async def run(self, client: End) -> tuple[int, str]:
        """See `server.realtime.Session`."""
        duplex, first = client.plain()
        watch = WATCHES[self._dialect]()
        return await Passing(_way(self._opened), watch, self._reopen, self._book, self._counts).run(duplex, first)


def _way(opened: Opened) -> Way:
    target = opened.seat.target
    plain = f"models/{target.model}" if opened.place.spoken == "gemini" else target.model
    return Way(opened.socket, target.name, opened.seat.account.name, opened.place.model or plain, opened.settle)


def took(turn: Turn, visit: Visit) -> Took:
    """A relay's turn, for the ledger."""
    sold = turn.usage is None and turn.seconds is not None
    cost = visit.serving.speech_price(turn.target).cost(turn.seconds or 0.0, 0) if sold else None
    failed = turn.status == "failed"
    return Took(
        target=turn.target, account=turn.account, usage=turn.usage, cost=cost, resumed=turn.resumed,
        total=(turn.ended - turn.started) * 1000,
        ttft=None if turn.sounded is None else (turn.sounded - turn.started) * 1000,
        status=502 if failed or turn.broke else 200,
        error="stream_broken" if turn.broke else "upstream_error" if failed else None,
    )  # fmt: skip
