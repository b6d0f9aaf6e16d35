"""What things cost, in whole pico-dollars (law 10): $1.25 per million tokens is 1,250,000 pico-dollars a token.

The table `prices.json` is compiled from genai-prices by `scripts/compile_prices.py`; the matching rules of that project
are kept as data. A provider's part is decoded when the first of its models is asked for. Rates that depend on the size
of the input (tiers), the date, the hour or the service tier are in it; batch discounts, and what is not sold by tokens
or requests (searches, images, pages), are not; but speech that is sold by the second or the character is (`Speech`).

A price in the config's `[[models]]` goes before the table, for all targets of that model. Providers that run on one's
own machines (`AT_HOME`) cost nothing unless the config says what they cost. Anything else without a price is unknown,
which is not the same as free: `find` gives None.
"""

import re
import time
from datetime import UTC, datetime
from importlib.resources import files
from typing import TypeAlias, TypedDict

import msgspec
from msgspec import Struct, field

from dragoman import config
from dragoman.canon import Usage

PICO = 10**12  # pico-dollars in a dollar
MOST = 10**16  # pico-dollars: no call costs more than 10,000 dollars, whatever price and counts are claimed
AT_HOME = frozenset({"local", "ollama", "llamacpp", "vllm"})
_SOURCES = {"gemini": "google", "vertex": "google", "bedrock": "aws", "xai": "x-ai"}  # our provider: the table's
_MEMO = 4096
_COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


class Price(Struct, frozen=True, kw_only=True):
    """Pico-dollars per token. None: as the kind of token it is part of (cached, written and audio input cost what
    `input` costs; `cached_audio` what `cached` costs; reasoning and audio output what `output` costs; `cache_write_1h`
    what `cache_write` costs).

    `request` is pico-dollars per request. `tiers`: (n, price) in rising n; all tokens of a request with more than n
    input tokens cost that price.
    """

    input: int = 0
    output: int = 0
    cached: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    cached_audio: int | None = None
    audio_output: int | None = None
    request: int = 0
    tiers: tuple[tuple[int, "Price"], ...] = ()


class Speech(Struct, frozen=True, kw_only=True):
    """Pico-dollars for what is not sold by tokens: a second of sound that is heard, a character of text that is said.
    None: unknown."""

    second: int | None = None
    character: int | None = None

    def cost(self, seconds: float, characters: int) -> int | None:
        """Pico-dollars for so much; None where a price that it takes is unknown."""
        if (seconds and self.second is None) or (characters and self.character is None):
            return None
        return min(round(seconds * (self.second or 0)) + characters * (self.character or 0), MOST)


FREE = Price()
FREE_SPEECH = Speech(second=0, character=0)


def cost(usage: Usage, price: Price) -> int:
    """Pico-dollars for `usage`. No token is billed twice, and none of a total is billed at more than one rate, however
    odd the counts: parts that claim more than their total are cut to it. `MOST` at most."""
    for above, tier in reversed(price.tiers):
        if usage.input > above:
            price = tier
            break
    fresh, said = usage.input, usage.output
    if not (usage.cached or usage.cache_write or usage.reasoning or usage.audio_input or usage.audio_output):
        return min(price.request + fresh * price.input + said * price.output, MOST)
    write_rate = price.input if price.cache_write is None else price.cache_write
    total = price.request

    cached = min(usage.cached, fresh)
    fresh -= cached
    cached_rate = price.input if price.cached is None else price.cached
    cached_audio = min(usage.cached_audio, usage.audio_input, cached)
    total += (cached - cached_audio) * cached_rate
    total += cached_audio * (cached_rate if price.cached_audio is None else price.cached_audio)
    written = min(usage.cache_write, fresh)
    fresh -= written
    for_an_hour = min(usage.cache_write_1h, written)
    total += for_an_hour * (write_rate if price.cache_write_1h is None else price.cache_write_1h)
    total += (written - for_an_hour) * write_rate
    if price.audio_input is not None:
        heard = min(usage.audio_input - cached_audio, fresh)
        fresh -= heard
        total += heard * price.audio_input
    if price.audio_output is not None:
        spoken = min(usage.audio_output, said)
        said -= spoken
        total += spoken * price.audio_output
    if price.reasoning is not None:
        thought = min(usage.reasoning, said)
        said -= thought
        total += thought * price.reasoning
    return min(total + fresh * price.input + said * price.output, MOST)


def from_config(price: config.Price) -> Price:
    """The config's USD per million tokens as pico-dollars per token."""
    return Price(
        input=_pico(price.input) or 0,
        output=_pico(price.output) or 0,
        cached=_pico(price.cached_input),
        cache_write=_pico(price.cache_write),
        audio_input=_pico(price.audio_input),
        cached_audio=_pico(price.cached_audio_input),
        audio_output=_pico(price.audio_output),
    )


def _speech_from_config(price: config.Price) -> Speech:
    """The config's USD per minute and per million characters."""
    minute = price.audio_minute
    return Speech(
        second=None if minute is None else round(minute * PICO / 60), character=_pico(price.million_characters)
    )


def usd(pico: int) -> float:
    """Pico-dollars as dollars, for people and JSON. Sums are made before, in whole numbers."""
    return pico / PICO


def _pico(per_million: float | None) -> int | None:
    return None if per_million is None else round(per_million * 10**6)


class PriceBook:
    """Prices by provider and model id, for one config."""

    def __init__(self, settings: config.Config) -> None:
        self._configured: dict[str, Price] = {}
        for model in settings.models:
            if model.price is not None:
                price = from_config(model.price)
                for tier in model.tiers():
                    for target in tier:
                        self._configured.setdefault(target, price)
        self._speech = {
            target: _speech_from_config(model.price)
            for model in reversed(settings.models)
            if model.price is not None
            for tier in model.tiers()
            for target in tier
        }
        self._models: dict[tuple[str, str], _Model | None] = {}
        self._prices: dict[tuple[str, str, str | None], Price | None] = {}

    def find(
        self, provider: str, model_id: str, now: float | None = None, service_tier: str | None = None
    ) -> Price | None:
        """The price of `provider/model_id`, or None where it is unknown. `now` is Unix seconds (None: the clock says);
        `service_tier` is what the provider says it served the request with."""
        key = (provider, model_id, service_tier)
        try:
            return self._prices[key]
        except KeyError:
            pass
        configured = self._configured.get(f"{provider}/{model_id}")
        if configured is not None or provider in AT_HOME:
            return self._remember(key, configured or FREE)
        model = self._model(provider, model_id)
        if model is None:
            return self._remember(key, None)
        price = model.price(time.time() if now is None else now, service_tier)
        return price if model.depends_on_time else self._remember(key, price)

    def speech(self, provider: str, model_id: str) -> Speech:
        """What `provider/model_id` costs where it is not sold by tokens."""
        configured = self._speech.get(f"{provider}/{model_id}")
        if configured is not None or provider in AT_HOME:
            return configured or FREE_SPEECH
        model = self._model(provider, model_id)
        return Speech() if model is None else model.speech

    def knows(self, provider: str, model_id: str) -> bool:
        """Whether the table has such a model, priced or not."""
        return self._model(provider, model_id) is not None

    def context_window(self, provider: str, model_id: str) -> int | None:
        """The most tokens that the model takes in, where the table knows."""
        model = self._model(provider, model_id)
        return model.context_window if model else None

    def _model(self, provider: str, model_id: str) -> "_Model | None":
        key = (provider, model_id)
        if key not in self._models:
            if len(self._models) >= _MEMO:  # clients can make up model ids without end
                self._models.clear()
            self._models[key] = _find_model(_SOURCES.get(provider, provider), model_id)
        return self._models[key]

    def _remember(self, key: tuple[str, str, str | None], price: Price | None) -> Price | None:
        if len(self._prices) >= _MEMO:
            self._prices.clear()
        self._prices[key] = price
        return price


# The table -----------------------------------------------------------------------------------------------------------


class _Clause(Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One matching rule; exactly one of its fields is set. The words are in lower case."""

    equals: str | None = None
    starts: str | None = None
    ends: str | None = None
    contains: str | None = None
    regex: str | None = None
    any_of: "list[_Clause] | None" = None
    all_of: "list[_Clause] | None" = None

    def matches(self, name: str) -> bool:
        if self.equals is not None:
            return name == self.equals
        if self.starts is not None:
            return name.startswith(self.starts)
        if self.any_of is not None:
            return any(clause.matches(name) for clause in self.any_of)
        if self.contains is not None:
            return self.contains in name
        if self.ends is not None:
            return name.endswith(self.ends)
        if self.all_of is not None:
            return all(clause.matches(name) for clause in self.all_of)
        return bool(self.regex and re.search(self.regex, name))


_Rate: TypeAlias = int | list[tuple[int, int]]  # pico-dollars; or (above this much input, pico-dollars), from 0 on


class _Flat(TypedDict, total=False):
    """The rates of one tier, as arguments of `Price`."""

    input: int
    output: int
    cached: int
    cache_write: int
    cache_write_1h: int
    reasoning: int
    audio_input: int
    cached_audio: int
    audio_output: int
    request: int


class _Rates(Struct, gc=False, forbid_unknown_fields=True):
    """What holds from day `since` (ISO, UTC) on, in the `hours` (seconds of the UTC day), for one `service_tier`."""

    rates: dict[str, _Rate]
    since: str | None = None
    hours: tuple[int, int] | None = None
    service_tier: str | None = None

    def holds(self, moment: datetime) -> bool:
        if self.since is not None:
            return moment.date().isoformat() >= self.since
        if self.hours is not None:
            start, end = self.hours
            second = moment.hour * 3600 + moment.minute * 60 + moment.second
            return start <= second < end if start <= end else second >= start or second < end
        return True


class _Model(Struct, gc=False, forbid_unknown_fields=True):
    id: str
    match: _Clause
    prices: list[_Rates]
    context_window: int | None = None
    speech: Speech = Speech()

    @property
    def depends_on_time(self) -> bool:
        return any(each.since or each.hours for each in self.prices)

    def price(self, now: float, service_tier: str | None) -> Price | None:
        """The last standard rates that hold (else the first), changed by the first variant of the service tier that
        says something of a rate: genai-prices' own rule."""
        moment = datetime.fromtimestamp(now, UTC)
        standard = [each for each in self.prices if each.service_tier is None]
        if not standard:
            return None
        chosen = next((each for each in reversed(standard) if each.holds(moment)), standard[0])
        variants = [each for each in self.prices if each.service_tier and each.service_tier == service_tier]
        changes: dict[str, _Rate] = {}
        for variant in variants:
            if variant.holds(moment):
                changes = variant.rates | changes
        return _price(chosen.rates | changes)


class _Provider(Struct, gc=False, forbid_unknown_fields=True):
    models: list[_Model]
    fallbacks: list[str] = field(default_factory=list)

    def match(self, name: str) -> _Model | None:
        return next((model for model in self.models if model.match.matches(name)), None)


class _Table(Struct):
    source: str
    licence: str
    providers: dict[str, msgspec.Raw]


def _price(rates: dict[str, _Rate]) -> Price | None:
    """The price that `rates` make; None where they say nothing of tokens or requests."""
    if not rates:
        return None
    steps = sorted({step for rate in rates.values() if isinstance(rate, list) for step, _ in rate if step})
    tiers = tuple((step, Price(**_at(rates, step))) for step in steps)
    return Price(**_at(rates, 0), tiers=tiers)


def _at(rates: dict[str, _Rate], step: int) -> _Flat:
    flat = {
        name: rate if isinstance(rate, int) else next(pico for above, pico in reversed(rate) if above <= step)
        for name, rate in rates.items()
    }
    return msgspec.convert(flat, _Flat)


_table: _Table | None = None
_providers: dict[str, _Provider] = {}


def _provider(name: str) -> _Provider | None:
    """The table's part for `name`, decoded once."""
    global _table  # noqa: PLW0603 - a constant, read when it is first needed
    if name in _providers:
        return _providers[name]
    if _table is None:
        _table = msgspec.json.decode(files("dragoman.catalog").joinpath("prices.json").read_bytes(), type=_Table)
    raw = _table.providers.get(name)
    if raw is None:
        return None
    _providers[name] = msgspec.json.decode(raw, type=_Provider)
    return _providers[name]


def _find_model(provider: str, model_id: str) -> _Model | None:
    source = _provider(provider)
    if source is None:
        return None
    name = model_id.lower()
    found = _match(source, name)
    if found is None and (dashed := _COMPACT_DATE.sub(r"-\1-\2-\3", name)) != name:
        found = _match(source, dashed)
    return found


def _match(source: _Provider, name: str) -> _Model | None:
    """The provider's model of that name, else one of the providers whose models it offers."""
    if found := source.match(name):
        return found
    others = (_provider(fallback) for fallback in source.fallbacks)
    return next((model for other in others if other and (model := other.match(name))), None)
