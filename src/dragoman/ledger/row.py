"""One finished request, as the journal and the ledger keep it."""

from typing import Literal, TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType, field

from dragoman.canon import Usage

Why: TypeAlias = Literal[
    "broke",  # its stream broke, and another went on with the answer
    "late",  # its first token was late, and another's came first
]


class Share(Struct, omit_defaults=True, kw_only=True):
    """What an attempt took that did not end the answer. Its tokens and cost are in the row's own sums."""

    target: str
    account: str
    why: Why
    input: int = 0
    output: int = 0
    estimated: bool = False
    cost: int | None = None


class Row(Struct, omit_defaults=True, kw_only=True):
    """One finished request, refused ones included. `request_id` is unique: a row is booked once, however often it is
    read. `time` is Unix seconds, when the request came. Token totals are inclusive (see `canon.usage`), `cost` is
    pico-dollars (None: no price is known), the times are milliseconds since the request came: `upstream` to the head
    of the reply, `ttft` to its first content, `total` to its end. No secrets in it, and no content.

    `record`: where a route chose the model, the JSON of the decision's record; it goes to a table of its own."""

    request_id: str
    time: float
    key: str | None = None  # id of the gateway key; None where access is open
    key_name: str | None = None
    dialect: str = ""  # the client's
    model: str = ""  # as asked for
    target: str | None = None  # provider/model-id that answered; None where none did
    account: str | None = None
    decision: str | None = None
    status: int = 200
    error: str | None = None  # the kind, as in x-dragoman-error
    stream: bool = False
    attempts: int = 0
    input: int = 0
    cached: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    estimated: bool = False
    cost: int | None = None
    admit: float | None = None
    route: float | None = None
    queue: float | None = None
    upstream: float | None = None
    ttft: float | None = None
    total: float | None = None
    resumed: int = 0  # how often another attempt went on with a stream that had broken
    hedged: bool = False  # a second attempt was made because the first was late
    shares: list[Share] = field(default_factory=list)
    lossy: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    record: Raw | UnsetType = UNSET

    def count(self, usage: Usage) -> None:
        """Takes the token counts of `usage`."""
        self.input, self.output = usage.input, usage.output
        self.cached, self.reasoning = usage.cached, usage.reasoning
        if usage.cache_write or self.cache_write:
            self.cache_write, self.cache_write_1h = usage.cache_write, usage.cache_write_1h
        if usage.audio_input or usage.audio_output or self.audio_input or self.audio_output:
            self.audio_input, self.audio_output = usage.audio_input, usage.audio_output
        self.estimated = usage.estimated


COLUMNS = tuple(name for name in Row.__struct_fields__ if name != "record")  # what the table of rows has
