"""One account at run time: its credential, and what was found out about its server. How much it takes, and how well it
does, is the desk's to know."""

from collections.abc import Sequence

from msgspec import structs

from dragoman import config
from dragoman.accounts.credentials import Credential, credential
from dragoman.catalog.endpoints import Endpoint, locate
from dragoman.catalog.providers import Provider
from dragoman.local.engine import Engine
from dragoman.local.model import names
from dragoman.wire.client import Client
from dragoman.wire.head import Block

_MOST_PREPARED = 1000


def _secrets(spec: config.Account, provider: Provider) -> list[config.Secret]:
    """What must never be shown: the credentials, and headers that may hold some."""
    fields = [getattr(spec, name) for name in spec.__struct_fields__]
    found = [value for value in fields if isinstance(value, config.Secret)]
    headers = [value.reveal() for value in spec.headers.values()] + [value for _, value in provider.headers]
    return found + [config.Secret(value) for value in headers if len(value) >= 12]


class Account:
    """An account in this process. Only the methods here change it."""

    def __init__(self, spec: config.Account, provider: Provider, engine: Engine | None = None) -> None:
        """`engine`: what serves the account where its provider is embedded here."""
        self.name = spec.name
        self.spec = spec
        self.provider = provider
        self.engine = engine
        self.budgeted = spec.daily_usd is not None or spec.monthly_usd is not None
        self.credential: Credential = credential(spec, provider)
        self._models = names(spec) if engine is not None and spec.models is None else spec.models
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        self._prepared: dict[tuple[str, str, Block], tuple[Endpoint, Block]] = {}
        self._slowest: dict[str, float] = {}
        self._speaks_not: set[str] = set()
        self._secrets = _secrets(spec, provider)

    def become(self, other: "Account") -> bool:
        """From now on it is what `other` is, for calls that wait or are tried again too: a new key must not be asked
        for twice. Old secrets stay hidden. Whether its credentials are others now."""
        rekeyed = any(getattr(self.spec, name) != getattr(other.spec, name) for name in config.CREDENTIALS)
        self.spec, self.budgeted, self._models = other.spec, other.budgeted, other._models
        self.credential = other.credential
        self._endpoints, self._prepared = {}, {}
        self._secrets = list(dict.fromkeys(other._secrets + self._secrets))
        return rekeyed

    @property
    def models(self) -> Sequence[str] | None:
        """The only model ids it serves; None: all that its provider has."""
        return self._models

    def serves(self, model: str) -> bool:
        return self._models is None or model in self._models

    def speaks(self, dialect: str) -> bool:
        """Whether calls in `dialect` can go here as they are."""
        return dialect in self.provider.dialects and dialect not in self._speaks_not

    def does_not_speak(self, dialect: str) -> None:
        """Its server has no such endpoint, whatever is usual for the provider: calls are converted from now on."""
        self._speaks_not.add(dialect)

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
