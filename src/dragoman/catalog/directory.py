"""Which names can be asked for, and what stands behind each: the config's models, and `provider/model-id` for anything
an account's provider has."""

from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct, field

from dragoman import config
from dragoman.catalog.prices import PriceBook
from dragoman.catalog.providers import PROVIDERS, Auth, Provider
from dragoman.dialects.quirks import Quirks
from dragoman.local import model as local

_NAME_LIMIT = 256  # characters
_MEMO_LIMIT = 10_000  # undeclared names remembered


class Target(Struct, frozen=True):
    """One provider's model: `provider/model-id`. `window`: the most tokens it takes in, where known."""

    name: str
    provider: Provider
    model: str
    window: int | None = None


class Model(Struct, kw_only=True):
    """A public name and its interchangeable targets: tiers in order of preference, equals within a tier. `on_break`,
    `on_content_filter`, `hedge`: see `config.Model`."""

    name: str
    tiers: tuple[tuple[Target, ...], ...]
    timeouts: config.Timeouts = field(default_factory=config.Timeouts)
    context_window: int | None = None
    capabilities: tuple[str, ...] = ()
    declared: bool = True
    only: frozenset[str] | None = None  # the accounts that alone may serve it
    on_break: config.OnBreak = "error"
    on_content_filter: config.OnContentFilter = "error"
    hedge: bool = False

    @property
    def plain(self) -> bool:
        """The first answer is brought as it comes."""
        return self.on_break == "error" and self.on_content_filter == "error" and not self.hedge


class Directory:
    """All names of one config. Immutable but for the memory of undeclared names that were asked for."""

    def __init__(self, settings: config.Config, prices: PriceBook) -> None:
        self.providers = _providers(settings)
        self._prices = prices
        self._with_account = {account.provider for account in settings.accounts}
        self._names: dict[str, Model] = {}
        self._undeclared: dict[str, Model] = {}
        for model in settings.models:
            entry = self._declared(model)
            for name in (model.name, *model.aliases):
                self._names[name] = entry
        routes = {route.name for route in settings.routes}
        for account in settings.accounts:
            if self.providers.get(account.provider, PROVIDERS["openai"]).embedded:
                self._embedded(account, routes)
        for route in settings.routes:
            self._names.setdefault(route.name, self._route(route))

    def _embedded(self, account: config.Account, taken: set[str]) -> None:
        """The names of an embedded model, where the config has not given them to another."""
        window = account.context_window or local.CONTEXT_WINDOW
        for name in (name for name in local.names(account) if name not in taken):
            model = Model(
                name=name,
                tiers=((self._target(f"{account.provider}/{name}", window),),),
                context_window=window,
                capabilities=("json_schema",),
            )
            self._names.setdefault(name, model)

    def declared(self) -> list[Model]:
        """The names a client is told of, in the config's order."""
        return list({id(model): model for model in self._names.values()}.values())

    def find(self, name: str, offers: Mapping[str, frozenset[str]] | None = None) -> Model | None:
        """The model behind `name`: declared; else `provider/model-id`; else the plain id of a model that exactly the
        price table or `offers` (model ids by provider) says some account's provider has."""
        model = self._names.get(name) or self._undeclared.get(name)
        if model is None:
            if not (len(name) <= _NAME_LIMIT and name.isprintable()):
                return None
            target = self._direct(name) or self._by_plain_id(name, offers or {})
            if target is None:
                return None
            model = Model(name=name, tiers=((target,),), declared=False)
            if len(self._undeclared) >= _MEMO_LIMIT:
                self._undeclared.clear()
            self._undeclared[name] = model
        return model

    def _direct(self, name: str) -> Target | None:
        provider, slash, model = name.partition("/")
        return self._target(name) if slash and model and provider in self._with_account else None

    def _by_plain_id(self, name: str, offers: Mapping[str, frozenset[str]]) -> Target | None:
        has: list[Callable[[str], bool]] = [
            lambda provider: name in offers.get(provider, ()),
            lambda provider: self._prices.knows(provider, name),
        ]
        for knows in has:
            for provider in self.providers:
                if provider in self._with_account and knows(provider):
                    return self._target(f"{provider}/{name}")
        return None

    def _target(self, name: str, window: int | None = None) -> Target:
        provider_name, _, model = name.partition("/")
        provider = self.providers.get(provider_name)
        if provider is None:
            raise config.ConfigError(
                f'target "{name}": no provider is named "{provider_name}": declare it in [[providers]], or use one of '
                + ", ".join(self.providers)
            )
        return Target(name, provider, model, window or self._prices.context_window(provider_name, model))

    def _declared(self, model: config.Model) -> Model:
        return Model(
            name=model.name,
            tiers=tuple(tuple(self._target(target, model.context_window) for target in tier) for tier in model.tiers()),
            timeouts=model.timeouts,
            context_window=model.context_window,
            capabilities=tuple(model.capabilities or ()),
            on_break=model.on_break,
            on_content_filter=model.on_content_filter,
            hedge=model.hedge,
        )

    def _route(self, route: config.Route) -> Model:
        """A route in its first form: its models' targets, one after the other."""
        tiers = [tier for name in route.models for tier in (self.find(name) or _missing(name)).tiers]
        return Model(
            name=route.name, tiers=tuple(tiers), on_break=route.on_break, on_content_filter=route.on_content_filter,
            hedge=route.hedge,
        )  # fmt: skip


def _missing(name: str) -> Model:
    raise config.ConfigError(f'routes: "{name}" is no model, and no account can serve it')


def _providers(settings: config.Config) -> dict[str, Provider]:
    """The built-in providers and the config's own, which win."""
    return PROVIDERS | {entry.name: custom_provider(entry) for entry in settings.providers}


_DIALECT_AUTH: dict[str, Auth] = {"anthropic": "x-api-key", "gemini": "x-goog-api-key", "bedrock": "sigv4"}
_MAKERS = {"openai-chat": "vllm", "openai-responses": "openai", "ollama": "ollama", "cohere": "cohere"}


def custom_provider(entry: config.Provider) -> Provider:
    """A provider from the config: like the maker of its dialect, where nothing else is said."""
    built_in = PROVIDERS.get(entry.name)
    maker = built_in or PROVIDERS[_MAKERS.get(entry.dialect, entry.dialect)]
    defaults = msgspec.structs.asdict(maker.quirks)
    if built_in is None:  # an unknown service is not taken to go on with an answer as vLLM does
        defaults |= {"prefill": "none", "prefill_echo": False}
    try:
        quirks = msgspec.convert(defaults | entry.quirks, Quirks)
    except msgspec.ValidationError as error:
        raise config.ConfigError(f'providers "{entry.name}": quirks: {error}') from None
    return Provider(
        name=entry.name,
        base_url=entry.base_url,
        dialects=(entry.dialect, *(name for name in entry.dialects if name != entry.dialect)),
        prefix=maker.prefix,
        auth=entry.auth or (maker.auth if built_in else _DIALECT_AUTH.get(entry.dialect, "bearer")),
        headers=(*maker.headers, *((name.lower(), value.reveal()) for name, value in entry.headers.items())),
        version=maker.version,
        quirks=quirks,
        embeds=maker.embeds,
        relays=PROVIDERS["openai"].relays if entry.dialect.startswith("openai") else frozenset(),
        realtime=maker.realtime or ("openai" if entry.dialect.startswith("openai") else ""),
        keyless=True,
    )
