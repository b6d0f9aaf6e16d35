"""Writes src/dragoman/catalog/prices.json from the genai-prices package (extra `dev`).

    python scripts/compile_prices.py

genai-prices takes a second to import and brings pydantic along: too heavy for a gateway. So its table is compiled here
into plain data: whole pico-dollars per token, and its own matching rules. See `dragoman.catalog.prices` for the reader.
"""

import json
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    MatchLogic,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

OUT = Path(__file__).parent.parent / "src/dragoman/catalog/prices.json"
RATES = {  # theirs: ours, and what one of theirs is in ours
    "input_mtok": ("input", 10**6),
    "cache_read_mtok": ("cached", 10**6),
    "cache_write_mtok": ("cache_write", 10**6),
    "cache_write_1h_mtok": ("cache_write_1h", 10**6),
    "output_mtok": ("output", 10**6),
    "output_reasoning_mtok": ("reasoning", 10**6),
    "input_audio_mtok": ("audio_input", 10**6),
    "cache_audio_read_mtok": ("cached_audio", 10**6),
    "output_audio_mtok": ("audio_output", 10**6),
    "requests_kcount": ("request", 10**9),
}
SPEECH = {  # the same for what is sold by the second heard or the character said
    "input_mchars": ("character", Decimal(10**6)),
    "audio_hours": ("second", Decimal(10**12) / 3600),
    "input_audio_hours": ("second", Decimal(10**12) / 3600),
}
Constraint = StartDateConstraint | TimeOfDateConstraint | None


def clause(match: MatchLogic) -> dict[str, Any]:
    match match:
        case ClauseEquals(text):
            return {"equals": text.lower()}
        case ClauseStartsWith(text):
            return {"starts": text.lower()}
        case ClauseEndsWith(text):
            return {"ends": text.lower()}
        case ClauseContains(text):
            return {"contains": text.lower()}
        case ClauseRegex(text):
            return {"regex": text}
        case ClauseOr(clauses):
            return {"any_of": [clause(each) for each in clauses]}
        case ClauseAnd(clauses):
            return {"all_of": [clause(each) for each in clauses]}
    raise TypeError(f"a kind of clause this script doesn't know: {match!r}")


def rates(price: ModelPrice) -> dict[str, int | list[list[int]]]:
    """`price` as our names and pico-dollars; a tiered one is [[above this much input, rate], …] from 0 on."""
    found: dict[str, int | list[list[int]]] = {}
    for theirs, (ours, factor) in RATES.items():
        value = getattr(price, theirs)
        if isinstance(value, TieredPrices):
            tiers = [[0, pico(value.base, factor)], *([tier.start, pico(tier.price, factor)] for tier in value.tiers)]
            found[ours] = tiers
        elif value is not None:
            found[ours] = pico(value, factor)
    return found


def speech(price: ModelPrice) -> dict[str, int]:
    return {
        ours: pico(value, factor)
        for theirs, (ours, factor) in SPEECH.items()
        if isinstance(value := getattr(price, theirs), Decimal)
    }


def pico(dollars: Decimal, factor: int | Decimal) -> int:
    return int((dollars * factor).to_integral_value())


def when(constraint: Constraint) -> dict[str, Any]:
    if isinstance(constraint, StartDateConstraint):
        return {"since": constraint.start_date.isoformat()}
    if isinstance(constraint, TimeOfDateConstraint):
        hours = (constraint.start_time, constraint.end_time)
        if any(each.utcoffset() for each in hours):
            raise ValueError("a time of day that is not UTC")
        return {"hours": [each.hour * 3600 + each.minute * 60 + each.second for each in hours]}
    return {}


def model(info: ModelInfo) -> dict[str, Any] | None:
    if isinstance(info.prices, ModelPrice):
        prices = [{"rates": rates(info.prices)}]
    else:
        prices = [{**when(each.constraint), "rates": rates(each.prices)} for each in info.prices]
    if not any(each["rates"] for each in prices):
        prices = []  # it is sold by the hour, the page, …: there is no price for its tokens
    for variant in info.price_variants or ():
        if list(variant.when) == ["service_tier"] and (changed := rates(variant.prices)):
            tier = variant.when["service_tier"]
            prices.append({**when(variant.constraint), "service_tier": tier, "rates": changed})
    found = {"id": info.id, "match": clause(info.match), "prices": prices}
    if isinstance(info.prices, ModelPrice) and (sold := speech(info.prices)):
        found["speech"] = sold
    if info.context_window:
        found["context_window"] = info.context_window
    return found


def provider(source: Provider) -> dict[str, Any]:
    found: dict[str, Any] = {"models": [model(each) for each in source.models]}
    if source.fallback_model_providers:
        found["fallbacks"] = source.fallback_model_providers
    return found


def main() -> None:
    head = {
        "source": f"genai-prices {version('genai-prices')}, https://github.com/pydantic/genai-prices",
        "licence": "MIT, Copyright (c) Pydantic Services Inc. 2025 to present",
        "unit": "pico-dollars a token (request: a request; speech: a second, a character)",
    }
    lines = [f"{json.dumps(key)}:{json.dumps(value)}" for key, value in head.items()]
    providers = [
        f"{json.dumps(each.id)}:{json.dumps(provider(each), separators=(',', ':'))}"
        for each in get_snapshot().providers
        if not each.id.startswith("huggingface_")
    ]
    lines.append('"providers":{\n' + ",\n".join(providers) + "}")
    OUT.write_text("{" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main()
