"""One account at run time: its load, its health, and how long it rests after a failure."""

from msgspec import structs

from dragoman import config
from dragoman.accounts.credentials import Credential, credential
from dragoman.catalog.endpoints import Endpoint, locate
from dragoman.catalog.providers import Provider
from dragoman.local.engine import Engine
from dragoman.local.model import names
from dragoman.wire.client import Client
from dragoman.wire.head import Block

EVERY_MODEL = ""
# seconds of rest after a failure, by kind: the first, doubling with every further one in a row, and the most
_REST = {
    "rate_limited": (2.0, 60.0),
    "overloaded": (2.0, 30.0),
    "unauthorized": (60.0, 600.0),
    "forbidden": (60.0, 600.0),
    "budget_spent": (300.0, 3600.0),
    "unknown_model": (300.0, 3600.0),
}
_ANY_OTHER = (1.0, 30.0)
_WHOLE_ACCOUNT = frozenset({"unauthorized", "budget_spent", "upstream_error"})


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
        self._slowest: dict[str, float] = {}
        self._strikes: dict[str, int] = {}
        self._rests_until: dict[str, float] = {}

    def serves(self, model: str) -> bool:
        return self._models is None or model in self._models

    def available(self, model: str, now: float) -> bool:
        """Whether a call for `model` may start now: served here, not resting, not full."""
        limit = self.spec.max_in_flight
        return self.serves(model) and (limit is None or self.in_flight < limit) and self.wait(model, now) <= 0

    def wait(self, model: str, now: float) -> float:
        """Seconds that `model` still rests here; 0 or less: none."""
        if not self._rests_until:
            return 0.0
        rests = self._rests_until
        return max(rests.get(EVERY_MODEL, now), rests.get(model, now)) - now

    def resting(self, now: float) -> dict[str, float]:
        """Seconds each model still rests; "" stands for the whole account."""
        return {model: until - now for model, until in self._rests_until.items() if until > now}

    def endpoint(self, path: str, model: str) -> Endpoint:
        """Where a dialect's `path` is at this account. Raises `ConfigError`."""
        endpoint = self._endpoints.get((path, model))
        if endpoint is None:
            if len(self._endpoints) > 1000:
                self._endpoints.clear()
            endpoint = self._endpoints[path, model] = locate(self.provider, self.spec, path, model)
        return endpoint

    async def reach(self, client: Client, path: str, model: str, body: bytes) -> tuple[Endpoint, Block]:
        """Where `body` goes, and the header lines that prove us there. Raises `ConfigError`, `Failed`, `WireError`."""
        if self.engine is not None:
            running = await self.engine.ready()
            spec = structs.replace(self.spec, base_url=running.url)
            return locate(self.provider, spec, path, model), running.headers
        endpoint = self.endpoint(path, model)
        return endpoint, await self.credential.headers(client, endpoint, body)

    def took(self, model: str, seconds: float) -> None:
        """A whole reply of `model` took this long from the request to its end."""
        self._slowest[model] = max(seconds, 0.9 * self._slowest.get(model, 0.0))

    def slowest(self, model: str) -> float:
        """About the longest that a whole reply of `model` took lately, in seconds; 0 where none is known."""
        return self._slowest.get(model, 0.0)

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
                self._rests_until.pop(scope, None)

    def failed_with(self, kind: str, message: str, model: str, now: float, retry_after: float | None) -> None:
        """A call failed for a reason that lies with the account: rest it, for as long as told, else ever longer."""
        self.failed += 1
        self.last_error = message
        if self.engine is not None:
            return  # the next call starts it anew, or is told at once why it can't be
        scope = EVERY_MODEL if kind in _WHOLE_ACCOUNT else model
        strikes = self._strikes[scope] = self._strikes.get(scope, 0) + 1
        first, most = _REST.get(kind, _ANY_OTHER)
        rest = retry_after if retry_after is not None else min(first * 2 ** (strikes - 1), most)
        self._rests_until[scope] = max(self._rests_until.get(scope, 0.0), now + rest)
