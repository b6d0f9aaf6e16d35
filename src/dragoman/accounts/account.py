"""One account at run time: its load, its health, and how long it rests after a failure."""

from msgspec import Struct, structs

from dragoman import config
from dragoman.accounts.credentials import Credential, credential
from dragoman.catalog.endpoints import Endpoint, locate
from dragoman.catalog.providers import Provider
from dragoman.local.engine import Engine
from dragoman.local.model import names
from dragoman.wire.client import Client
from dragoman.wire.head import Block

EVERY_MODEL = ""
_MOST_PREPARED = 1000
# How long an account rests after a failure, in seconds: the first time, doubling with every further one in a row, and
# at most. While it rests for a reason above the line, nothing is sent to it; below, only what no other takes.
_REST = {
    "rate_limited": (2.0, 60.0),
    "overloaded": (2.0, 30.0),
    "unauthorized": (60.0, 600.0),
    "forbidden": (60.0, 600.0),
    "budget_spent": (300.0, 3600.0),
    # ---
    "upstream_error": (1.0, 30.0),
    "upstream_timeout": (1.0, 30.0),
}
_SOFT = frozenset({"upstream_error", "upstream_timeout"})
_WHOLE_ACCOUNT = frozenset({"unauthorized", "budget_spent", "upstream_error"})


class Rest(Struct):
    """Why and until when (on the monotonic clock) a model of an account rests."""

    kind: str
    until: float


def _secrets(spec: config.Account, provider: Provider) -> list[config.Secret]:
    """What must never be shown: the credentials, and headers that may hold some."""
    fields = [getattr(spec, name) for name in spec.__struct_fields__]
    found = [value for value in fields if isinstance(value, config.Secret)]
    headers = [value.reveal() for value in spec.headers.values()] + [value for _, value in provider.headers]
    return found + [config.Secret(value) for value in headers if len(value) >= 12]


class Account:
    """An account's state in this process. Only the methods here change it."""

    def __init__(self, spec: config.Account, provider: Provider, engine: Engine | None = None) -> None:
        """`engine`: what serves the account where its provider is embedded here."""
        self.name = spec.name
        self.spec = spec
        self.provider = provider
        self.weight = spec.weight
        self.in_flight = 0
        self.served = 0
        self.failed = 0
        self.last_error = ""
        self.engine = engine
        self.credential: Credential = credential(spec, provider)
        self._models = names(spec) if engine is not None and spec.models is None else spec.models
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        self._prepared: dict[tuple[str, str, Block], tuple[Endpoint, Block]] = {}
        self._slowest: dict[str, float] = {}
        self._strikes: dict[str, int] = {}
        self._rests: dict[str, Rest] = {}
        self._speaks_not: set[str] = set()
        self._secrets = _secrets(spec, provider)

    def serves(self, model: str) -> bool:
        return self._models is None or model in self._models

    def available(self, model: str, now: float) -> bool:
        """Whether a call for `model`, which is served here, may start now: not resting, not full."""
        limit = self.spec.max_in_flight
        return (limit is None or self.in_flight < limit) and (not self._rests or self.wait(model, now) <= 0)

    def wait(self, model: str, now: float) -> float:
        """Seconds until something may be sent for `model`; 0 or less: now."""
        if not self._rests:
            return 0.0
        rest = self.rest(model, now)
        return 0.0 if rest is None or rest.kind in _SOFT else rest.until - now

    def shaky(self, model: str, now: float) -> bool:
        """Whether a call for `model` had better go elsewhere, if it can."""
        return bool(self._rests) and self.rest(model, now) is not None

    def rest(self, model: str, now: float) -> Rest | None:
        """The longest rest that `model` is under now."""
        rests = [r for scope in (EVERY_MODEL, model) if (r := self._rests.get(scope)) is not None and r.until > now]
        return max(rests, key=lambda rest: (rest.kind not in _SOFT, rest.until), default=None)

    def speaks(self, dialect: str) -> bool:
        """Whether calls in `dialect` can go here as they are."""
        return dialect in self.provider.dialects and dialect not in self._speaks_not

    def does_not_speak(self, dialect: str) -> None:
        """Its server has no such endpoint, whatever is usual for the provider: calls are converted from now on."""
        self._speaks_not.add(dialect)

    def resting(self, now: float) -> dict[str, Rest]:
        """What rests now, by model; "" stands for the whole account."""
        return {model: rest for model, rest in self._rests.items() if rest.until > now}

    def endpoint(self, path: str, model: str) -> Endpoint:
        """Where a dialect's `path` is at this account. Raises `ConfigError`."""
        endpoint = self._endpoints.get((path, model))
        if endpoint is None:
            if len(self._endpoints) > 1000:
                self._endpoints.clear()
            endpoint = self._endpoints[path, model] = locate(self.provider, self.spec, path, model)
        return endpoint

    def prepared(self, path: str, model: str, content_type: Block) -> tuple[Endpoint, Block] | None:
        """Endpoint and header lines, where they have been made and stay the same for every call."""
        return self._prepared.get((path, model, content_type))

    async def reach(
        self, client: Client, path: str, model: str, body: bytes, content_type: Block
    ) -> tuple[Endpoint, Block]:
        """Where `body` goes, and the header lines that prove us there. Raises `ConfigError`, `Failed`, `WireError`."""
        if self.engine is not None:
            running = await self.engine.ready()
            spec = structs.replace(self.spec, base_url=running.url)
            return locate(self.provider, spec, path, model), Block(running.headers + content_type)
        endpoint = self.endpoint(path, model)
        lines = Block(await self.credential.headers(client, endpoint, body) + content_type)
        if self.credential.fixed and len(self._prepared) < _MOST_PREPARED:
            self._prepared[path, model, content_type] = endpoint, lines
        return endpoint, lines

    def took(self, model: str, seconds: float) -> None:
        """A whole reply of `model` took this long from the request to its end."""
        self._slowest[model] = max(seconds, 0.9 * self._slowest.get(model, 0.0))

    def slowest(self, model: str) -> float:
        """About the longest that a whole reply of `model` took lately, in seconds; 0 where none is known."""
        return self._slowest.get(model, 0.0)

    def hide(self, text: str) -> str:
        """`text` with the account's secrets masked: a provider may repeat the key that it was sent (law 11)."""
        for secret in self._secrets:
            if (value := secret.reveal()) and value in text:
                text = text.replace(value, str(secret))
        return text

    def take(self) -> None:
        """A call starts."""
        self.in_flight += 1

    def give_back(self) -> None:
        """A call has ended, however."""
        self.in_flight -= 1

    def succeeded(self, model: str) -> None:
        self.served += 1
        if self._strikes:
            for scope in (model, EVERY_MODEL):
                self._strikes.pop(scope, None)
                self._rests.pop(scope, None)

    def failed_with(self, kind: str, message: str, model: str, now: float, retry_after: float | None) -> None:
        """A call failed for a reason that lies with the account: rest it, for as long as told, else ever longer."""
        self.failed += 1
        self.last_error = message
        if self.engine is not None:
            return  # the next call starts it anew, or is told at once why it can't be
        if kind not in _REST:
            return
        scope = EVERY_MODEL if kind in _WHOLE_ACCOUNT else model
        strikes = self._strikes[scope] = self._strikes.get(scope, 0) + 1
        first, most = _REST[kind]
        seconds = retry_after if retry_after is not None else min(first * 2.0 ** min(strikes - 1, 20), most)
        self._rests[scope] = Rest(kind, now + seconds)
