"""`dragoman check`: reads the config as `serve` would, and prints what it comes to."""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import typer

from dragoman import config
from dragoman.catalog.prices import PriceBook
from dragoman.cli.out import print_json, print_table
from dragoman.cli.settings import AsJson, ConfigFile, config_path, exposed, settings

if TYPE_CHECKING:
    from dragoman.routing.certificate import Certificate


def check(config_file: ConfigFile = None, as_json: AsJson = False) -> None:
    """Validate the config, and print accounts, models and routes. Secrets are masked."""
    from dragoman.catalog.directory import Directory
    from dragoman.gateway.router import Router
    from dragoman.server.voice_names import check_voice
    from dragoman.telemetry.settings import plan

    path = config_path(config_file)
    found = settings(path)
    prices = PriceBook(found)
    directory = Directory(found, prices)  # raises ConfigError where a target's provider does not exist
    traced = plan(found)  # raises ConfigError where it is asked for and can't be
    floors = Router(found, directory, prices).certificates
    check_voice(found)
    resolved = {
        "config": str(path) if path else None,
        "listens": f"{found.server.host}:{found.server.port}",
        "access": found.access.mode,
        "issuer": None if found.access.oidc is None else found.access.oidc.issuer,
        "telemetry": None if traced is None else _without_password(traced.endpoint),
        "state": str(found.state.path),
        "accounts": [_account(account) for account in found.accounts],
        "models": [_model(model, found, prices) for model in found.models],
        "routes": [_route(route, floors.get(route.name)) for route in found.routes],
    }
    if as_json:
        print_json(resolved)
    else:
        _print(resolved, path)
        if exposed(found):
            typer.echo(f"\n`serve` will not start without --insecure-open: {exposed(found)}")


def _account(account: config.Account) -> dict[str, Any]:
    secrets = (account.key, account.client_secret, account.credentials, account.secret_access_key)
    return {
        "name": account.name,
        "state": None if account.state == "serving" else account.state,
        "provider": account.provider,
        "key": next((str(secret) for secret in secrets if secret is not None), None),
        "base_url": _without_password(account.base_url) if account.base_url else None,
        "region": account.region,
        "weight": account.weight,
        "max_in_flight": account.max_in_flight,
        "rpm": account.rpm,
        "tpm": account.tpm,
        "models": account.models,
    }


def _model(model: config.Model, found: config.Config, prices: PriceBook) -> dict[str, Any]:
    providers = {account.provider for account in found.accounts}
    targets = []
    for preference, tier in enumerate(model.tiers(), 1):
        for target in tier:
            provider, _, model_id = target.partition("/")
            price = prices.find(provider, model_id)
            rates = None if price is None else {"input": price.input / 10**6, "output": price.output / 10**6}
            targets.append(
                {"target": target, "preference": preference, "price": rates, "account": provider in providers}
            )
    return {"name": model.name, "aliases": model.aliases, "targets": targets}


def _route(route: config.Route, floor: "Certificate | None") -> dict[str, Any]:
    limits = {key: value for key, value in msgspec.structs.asdict(route.constraints).items() if value not in (None, [])}
    return {
        "name": route.name,
        "mode": route.mode,
        "models": route.models,
        "constraints": limits,
        "budget_usd_per_day": route.budget_usd_per_day,
        "artifact": route.artifact,
        "floor": floor.status() if floor else None,
    }


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return parts._replace(netloc="…@" + parts.netloc.rpartition("@")[2]).geturl()


def _print(resolved: dict[str, Any], path: Path | None) -> None:
    typer.echo(f"{path or 'no config file: accounts from the environment'}: in order")
    typer.echo(f"listens on {resolved['listens']}, access {resolved['access']}, state in {resolved['state']}")
    if resolved["issuer"] is not None:
        typer.echo(f"callers are signed in by {resolved['issuer']}")
    if resolved["telemetry"] is not None:
        typer.echo(f"telemetry goes to {resolved['telemetry']}")
    typer.echo()
    accounts = resolved["accounts"]
    columns = [name for name in accounts[0] if any(each[name] is not None for each in accounts)] if accounts else []
    typer.echo("Accounts" if accounts else "No accounts: set OPENAI_API_KEY or another, or declare [[accounts]]")
    if accounts:
        accounts_lines = [[_text(account[column]) for column in columns] for account in accounts]
        print_table(columns, accounts_lines, right=("weight", "max_in_flight", "rpm", "tpm"))
    if resolved["models"]:
        typer.echo("Models (prices in USD per million tokens)")
        lines = []
        for model in resolved["models"]:
            name = ", ".join([model["name"], *model["aliases"]])
            for target in model["targets"]:
                price = target["price"]
                cost = (f"{price['input']:g}", f"{price['output']:g}") if price else ("no price", "no price")
                lines.append((name, target["preference"], target["target"], *cost, _served(target["account"])))
                name = ""
        print_table(["name", "order", "target", "input", "output", ""], lines, right=("order", "input", "output"))
    if resolved["routes"]:
        typer.echo("Routes")
        print_table(
            ["name", "mode", "models", "constraints", "quality floor"],
            [
                (
                    route["name"],
                    route["mode"],
                    ", ".join(route["models"]),
                    "; ".join(f"{key}={_text(value)}" for key, value in route["constraints"].items()),
                    route["floor"],
                )
                for route in resolved["routes"]
            ],
        )


def _served(has_account: bool) -> str:
    return "" if has_account else "no account of this provider"


def _text(value: object) -> object:
    return ", ".join(str(each) for each in value) if isinstance(value, list) else value
