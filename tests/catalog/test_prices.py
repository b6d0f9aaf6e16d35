"""Prices: the table says what genai-prices says, the config goes first, and no token is billed twice."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice
from hypothesis import given
from hypothesis import strategies as st

from dragoman.canon import Usage
from dragoman.catalog.prices import FREE, MOST, PICO, Price, PriceBook, cost, from_config, usd
from dragoman.config import Config, parse
from dragoman.config import Price as ConfigPrice

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
BOOK = PriceBook(Config())
SOURCES = {
    "anthropic": "anthropic",
    "azure": "azure",
    "bedrock": "aws",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "gemini": "google",
    "groq": "groq",
    "mistral": "mistral",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "vertex": "google",
    "xai": "x-ai",
}
USAGES = (
    Usage(input=1000, output=200),
    Usage(input=10_000, output=1, cached=4000, cache_write=1000, cache_write_1h=300),
    Usage(input=900_000, output=5000, cached=1000),
    Usage(input=50_000, output=7000, reasoning=5000),
    Usage(input=5000, output=900, audio_input=700, audio_output=300),
)
KNOWN_UNITS = {
    "input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok", "output_reasoning_mtok",
    "input_audio_mtok", "output_audio_mtok", "requests_kcount",
}  # fmt: skip


def book(text: str) -> PriceBook:
    return PriceBook(parse(text.encode(), "dragoman.toml", Path(), {}))


def theirs(usage: Usage) -> TheirUsage:
    """`usage` with every count that genai-prices would else want to infer."""
    return TheirUsage(
        input_tokens=usage.input,
        output_tokens=usage.output,
        cache_read_tokens=usage.cached,
        cache_write_tokens=usage.cache_write,
        cache_write_1h_tokens=usage.cache_write_1h,
        output_reasoning_tokens=usage.reasoning,
        input_audio_tokens=usage.audio_input,
        output_audio_tokens=usage.audio_output,
        cache_audio_read_tokens=0,
        cache_image_read_tokens=0,
        cache_text_read_tokens=usage.cached,
    )


def by_the_token(price: ModelPrice) -> bool:
    return any(getattr(price, unit) is not None for unit in KNOWN_UNITS)


def a_name(model: ModelInfo) -> str:
    """The model's id, or a name in its place that its clauses match."""
    words = re.findall(r"(?:equals|starts_with)='([^']+)'", repr(model.match))
    return next((name for name in [model.id, *words] if model.is_match(name)), model.id)


@pytest.mark.parametrize("provider", SOURCES)
def test_every_model_costs_what_genai_prices_says(provider: str) -> None:
    source = SOURCES[provider]
    models = next(each for each in get_snapshot().providers if each.id == source).models
    compared = 0
    for model in models:
        prices = [model.prices] if isinstance(model.prices, ModelPrice) else [each.prices for each in model.prices]
        if not by_the_token(prices[0]):
            continue
        name = a_name(model)
        price = BOOK.find(provider, name, NOW.timestamp())
        for usage in USAGES:
            try:
                expected = calc_price(theirs(usage), name, provider_id=source, genai_request_timestamp=NOW)
            except (LookupError, ValueError):  # a name that no clause matches; counts that it refuses
                continue
            assert price is not None, name
            off = Decimal(cost(usage, price)) / PICO - expected.total_price
            assert abs(off) <= Decimal(usage.input + usage.output) / PICO, (name, usage, expected.total_price)
            compared += 1
    assert compared >= len(models)


@pytest.mark.parametrize(
    ("provider", "source", "name"),
    [
        ("openai", "openai", "gpt-4o-2024-08-06"),
        ("openai", "openai", "GPT-4o"),
        ("openai", "openai", "gpt-5.2-20251211"),
        ("azure", "azure", "gpt-4o-mini"),
        ("azure", "azure", "claude-sonnet-4-5"),
        ("anthropic", "anthropic", "claude-sonnet-4-5-20250929"),
        ("anthropic", "anthropic", "claude-opus-4-6"),
        ("bedrock", "aws", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("bedrock", "aws", "amazon.nova-pro-v1:0"),
        ("vertex", "google", "claude-sonnet-4-5@20250929"),
        ("vertex", "google", "gemini-2.5-flash"),
        ("gemini", "google", "gemini-2.5-pro"),
        ("groq", "groq", "llama-3.3-70b-versatile"),
        ("openrouter", "openrouter", "anthropic/claude-sonnet-4.5"),
        ("xai", "x-ai", "grok-4-0709"),
    ],
)
def test_names_are_matched_as_genai_prices_matches_them(provider: str, source: str, name: str) -> None:
    expected = calc_price(theirs(USAGES[0]), name, provider_id=source, genai_request_timestamp=NOW).total_price
    price = BOOK.find(provider, name, NOW.timestamp())
    assert price is not None
    assert Decimal(cost(USAGES[0], price)) / PICO == expected > 0


@pytest.mark.parametrize("hour", range(0, 24, 3))
@pytest.mark.parametrize("year", [2025, 2026])
@pytest.mark.parametrize("name", ["deepseek-chat", "deepseek-reasoner"])
def test_the_price_may_depend_on_the_day_and_the_hour(name: str, year: int, hour: int) -> None:
    moment = datetime(year, 6, 1, hour, 30, tzinfo=UTC)
    expected = calc_price(theirs(USAGES[0]), name, provider_id="deepseek", genai_request_timestamp=moment)
    price = BOOK.find("deepseek", name, moment.timestamp())
    assert price is not None
    assert Decimal(cost(USAGES[0], price)) / PICO == expected.total_price


@pytest.mark.parametrize("tier", ["flex", "priority", "default", "made-up"])
def test_the_service_tier_changes_the_price(tier: str) -> None:
    expected = calc_price(
        theirs(USAGES[1]),
        "gpt-5.4",
        provider_id="openai",
        genai_request_timestamp=NOW,
        price_context={"service_tier": tier},
    )
    price = BOOK.find("openai", "gpt-5.4", NOW.timestamp(), tier)
    assert price is not None
    assert Decimal(cost(USAGES[1], price)) / PICO == expected.total_price


def test_flex_is_cheaper_than_priority() -> None:
    flex, priority = (BOOK.find("openai", "gpt-5.4", NOW.timestamp(), tier) for tier in ("flex", "priority"))
    assert flex is not None and priority is not None
    assert cost(USAGES[0], flex) < cost(USAGES[0], priority)


@pytest.mark.parametrize(
    ("provider", "name"), [("openai", "no-such-model"), ("mine", "gpt-4o"), ("openai", "whisper-1-ultra")]
)
def test_an_unknown_price_is_none_and_not_zero(provider: str, name: str) -> None:
    assert BOOK.find(provider, name) is None


@pytest.mark.parametrize("provider", ["local", "ollama", "llamacpp", "vllm"])
def test_what_runs_at_home_is_free(provider: str) -> None:
    assert BOOK.find(provider, "anything") == FREE


def test_a_price_in_the_config_goes_first_for_all_targets_of_the_model() -> None:
    prices = book(
        """
        [[models]]
        name = "m"
        targets = ["openai/gpt-4o", ["mine/x", "ollama/y"]]
        price = { input = 1.25, cached_input = 0.125, output = 10.0 }
        """
    )
    for provider, name in [("openai", "gpt-4o"), ("mine", "x"), ("ollama", "y")]:
        assert prices.find(provider, name) == Price(input=1_250_000, cached=125_000, output=10_000_000)
    assert prices.find("openai", "gpt-4o-mini") == BOOK.find("openai", "gpt-4o-mini")


def test_dollars_per_million_are_pico_dollars_per_token() -> None:
    assert from_config(ConfigPrice(input=1.25)).input == 1_250_000
    assert from_config(ConfigPrice(input=0.1, output=0.3)).output == 300_000  # no binary fraction creeps in
    assert usd(cost(Usage(input=1_000_000), from_config(ConfigPrice(input=1.25)))) == 1.25


def test_a_cached_token_without_a_price_of_its_own_costs_what_a_fresh_one_costs() -> None:
    assert cost(Usage(input=100, cached=60, cache_write=20), Price(input=7)) == 700


def test_cached_tokens_are_billed_once() -> None:
    price = Price(input=10, cached=1, cache_write=12, cache_write_1h=20, output=50)
    assert cost(Usage(input=100, cached=60, cache_write=20, cache_write_1h=5, output=2), price) == (
        20 * 10 + 60 * 1 + 15 * 12 + 5 * 20 + 2 * 50
    )


def test_cached_sound_has_a_price_of_its_own_and_is_billed_once() -> None:
    usage = Usage(input=100, cached=50, audio_input=60, cached_audio=30)
    price = Price(input=1, cached=10, audio_input=100, cached_audio=1000)
    assert cost(usage, price) == 20 * 1 + 20 * 10 + 30 * 100 + 30 * 1000
    assert cost(usage, Price(input=1, cached=10, audio_input=100)) == 20 * 1 + 50 * 10 + 30 * 100


def test_the_request_itself_may_cost() -> None:
    assert cost(Usage(), Price(input=1, request=5_000_000)) == 5_000_000


def test_a_tier_holds_for_all_tokens_once_the_input_is_above_it() -> None:
    price = Price(input=1, output=1, tiers=((100, Price(input=2, output=3)), (1000, Price(input=4, output=5))))
    assert [cost(Usage(input=n, output=1), price) for n in (100, 101, 1000, 1001)] == [101, 205, 2003, 4009]


counts = st.integers(0, 10**7)


@given(
    st.builds(
        Usage,
        input=counts,
        output=counts,
        cached=counts,
        cache_write=counts,
        cache_write_1h=counts,
        reasoning=counts,
        audio_input=counts,
        audio_output=counts,
    )
)
def test_no_token_is_billed_twice_whatever_the_provider_counts(usage: Usage) -> None:
    one_each = Price(
        input=1, output=1, cached=1, cache_write=1, cache_write_1h=1, reasoning=1, audio_input=1, audio_output=1
    )
    assert cost(usage, one_each) == usage.input + usage.output


def test_made_up_model_ids_do_not_grow_the_memory() -> None:
    prices = PriceBook(Config())
    for n in range(10_000):
        prices.find("cohere", f"x{n}")
    assert len(prices._prices) <= 4096 and len(prices._models) <= 4096


def test_the_table_says_where_it_comes_from() -> None:
    from dragoman.catalog import prices

    prices._provider("openai")
    assert prices._table is not None
    assert prices._table.source.startswith("genai-prices ") and prices._table.licence.startswith("MIT")


def test_the_context_window_is_in_the_table_too() -> None:
    assert BOOK.context_window("openai", "gpt-4o") == 128_000
    assert BOOK.context_window("mine", "gpt-4o") is None


def test_no_price_and_no_counts_make_a_cost_that_the_ledger_can_not_hold() -> None:
    dear = from_config(ConfigPrice(input=1e300, output=1e300))
    assert cost(Usage(input=10**8, output=10**8), dear) == MOST
