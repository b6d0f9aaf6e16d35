"""`dragoman accounts`: the pool at run time.

Changes go to the layer over the config, in the state directory: they hold with or without a running gateway, and one
that runs takes them up within a second. What only a running gateway knows is asked of it.
"""

import math
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from dragoman import config
from dragoman.cli.asking import AskError, Running
from dragoman.cli.out import moment, print_json, print_table
from dragoman.cli.settings import AsJson, ConfigFile, declared, settings

if TYPE_CHECKING:
    from dragoman.accounts import overlay

Edit: TypeAlias = "Callable[[overlay.Layer, config.Config], overlay.Layer]"
_LOOK = 0.25  # seconds between two looks at what is under way
_HEARD = 3.0  # seconds after which all workers have taken up a change and said so
app = typer.Typer(help="The accounts: how they do, and what is changed of them at run time.")
Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The account's name.")]
Url: TypeAlias = Annotated[
    str | None, typer.Option("--url", help="Where the gateway is. Default: the config's host and port.")
]
Key: TypeAlias = Annotated[
    str | None,
    typer.Option("--key", metavar="KEY", help="env:NAME, file:PATH, or - to read it from standard input."),
]
Sets: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any other key of an account in the config, its value as TOML."),
]


class AccountError(RuntimeError):
    """There is no such account, or there is one already."""


@app.callback(invoke_without_command=True)
def accounts(context: typer.Context, as_json: AsJson = False, url: Url = None, config_file: ConfigFile = None) -> None:
    """The accounts: how they do, and what is changed of them at run time."""
    if context.invoked_subcommand is None:
        list_(as_json, url, config_file)
    elif as_json or url is not None or config_file is not None:
        raise typer.BadParameter(f"options go behind the command: dragoman accounts {context.invoked_subcommand} …")


@app.command("list")
def list_(as_json: AsJson = False, url: Url = None, config_file: ConfigFile = None) -> None:
    """All accounts: by the gateway, if one answers, else by the config."""
    found = settings(config_file)
    answer, why = _live_or_not(found, url)
    if as_json:
        print_json({"running": answer is not None, **(answer or {"accounts": [_declared(a) for a in found.accounts]})})
    elif answer is None:
        typer.echo(f"{why}; by the config:")
        shown = [_declared(account) for account in found.accounts]
        columns = ["name", "state", "provider", "key", "weight", "max_in_flight", "rpm", "tpm", "daily_usd"]
        print_table(columns, [[each[column] for column in columns] for each in shown], right=columns[4:])
    else:
        _print_live(answer)


@app.command()
def test(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The account; without, all.")] = None,
    *,
    model: Annotated[str | None, typer.Option("--model", help="Ask this model id for one token.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    config_file: ConfigFile = None,
) -> None:
    """Make one cheap real call through an account, or each; what does well rests no more."""
    found = settings(config_file)
    names = [_known(found, name).name] if name is not None else [account.name for account in found.accounts]
    path = f"/dragoman/v1/accounts/{name}/test" if name is not None else "/dragoman/v1/accounts/test"
    answer = Running(found, url).ask("POST", path, {"model": model}, seconds=120.0)
    if answer is None:
        tests = _test_here(found, names, model)
    else:
        tests = [answer] if name is not None else answer["tests"]
    if as_json:
        print_json({"tests": tests})
    else:
        columns = ["account", "", "ms", "by", "message"]
        print_table(columns, [_trial(each) for each in tests], right=("ms",))
    raise typer.Exit(0 if all(each["ok"] for each in tests) else 1)


@app.command()
def disable(name: Name, as_json: AsJson = False, url: Url = None, config_file: ConfigFile = None) -> None:
    """Send nothing new to an account. What is under way comes to its end."""
    _switch(name, "disabled", as_json, url, config_file)


@app.command()
def enable(name: Name, as_json: AsJson = False, url: Url = None, config_file: ConfigFile = None) -> None:
    """Let an account take calls again."""
    _switch(name, "serving", as_json, url, config_file)


@app.command()
def drain(
    name: Name,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Until no call is under way there.")] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="Wait no longer; status 1 if calls are left.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    config_file: ConfigFile = None,
) -> None:
    """Send nothing new to an account that is to go, and say how many calls are left."""
    if not wait:
        _switch(name, "draining", as_json, url, config_file)
        return
    _put(name, "draining", config_file)
    left = _wait_until_idle(Running(settings(config_file), url), name, math.inf if timeout is None else timeout)
    said = f"No calls are under way at {name}." if not left else f"Calls still under way at {name}: {left}."
    _say(as_json, {"name": name, "state": "draining", "in_flight": left}, said)
    raise typer.Exit(1 if left else 0)


@app.command()
def add(
    name: Name,
    *,
    provider: Annotated[str, typer.Option("--provider", help="A built-in provider, or one of the config.")],
    key: Key = None,
    base_url: Annotated[str | None, typer.Option("--base-url", help="Instead of the provider's.")] = None,
    sets: Sets = None,
    as_json: AsJson = False,
    config_file: ConfigFile = None,
) -> None:
    """Add an account."""
    from dragoman.accounts import overlay

    if not overlay.NAME.fullmatch(name):
        raise typer.BadParameter("NAME: expected up to 64 letters, digits and . _ : @ -")
    table = _keys(key, sets) | {"provider": provider} | ({"base_url": base_url} if base_url else {})

    def edit(layer: overlay.Layer, known: config.Config) -> overlay.Layer:
        if any(account.name == name for account in known.accounts):
            raise AccountError(f'there is an account "{name}" already: `dragoman accounts rekey` changes it')
        return overlay.add(layer, name, table)

    _change(config_file, edit)
    _say(as_json, {"name": name, "added": True}, f"{name} is added.")


@app.command()
def rekey(
    name: Name, *, key: Key = None, sets: Sets = None, as_json: AsJson = False, config_file: ConfigFile = None
) -> None:
    """Change an account's credentials, weight or limits. Calls under way end as they began."""
    from dragoman.accounts import overlay

    keys = _keys("-" if key is None and not sets else key, sets)

    def edit(layer: overlay.Layer, known: config.Config) -> overlay.Layer:
        _known(known, name)
        return overlay.patch(layer, name, keys)

    _change(config_file, edit)
    _say(as_json, {"name": name, "changed": sorted(keys)}, f"{name}: changed {', '.join(sorted(keys))}.")


@app.command()
def remove(name: Name, as_json: AsJson = False, config_file: ConfigFile = None) -> None:
    """Take an account out. One of the config file stays out until it is added again."""
    from dragoman.accounts import overlay

    in_config = any(account.name == name for account in declared(config_file).accounts)

    def edit(layer: overlay.Layer, known: config.Config) -> overlay.Layer:
        _known(known, name)
        return overlay.remove(layer, name, in_config)

    _change(config_file, edit)
    _say(as_json, {"name": name, "removed": True}, f"{name} is removed.")


def _wait_until_idle(running: Running, name: str, patience: float) -> int:
    """Seconds of `patience` at most; how many calls are left then. Of several workers, each takes a second to hear of
    the change, and another to say what it does: none of them may have a call for longer than that."""
    began = calm_since = time.monotonic()
    while True:
        answer = running.ask("GET", "/dragoman/v1/accounts")
        if answer is None:
            return 0  # nobody is there who could make calls
        found = next((each for each in answer["accounts"] if each["name"] == name), None)
        left = found["in_flight"] if found is not None else 0
        now = time.monotonic()
        if left or (found is not None and found["serving"]):
            calm_since = now
        elif answer["workers"] == 1 or now - calm_since > _HEARD:
            return 0
        if now - began >= patience:
            return left
        time.sleep(_LOOK)


def _switch(name: str, state: str, as_json: bool, url: str | None, config_file: Path | None) -> None:
    _put(name, state, config_file)
    left = None
    if state != "serving" and (answer := _live_or_not(settings(config_file), url)[0]):
        left = next((each["in_flight"] for each in answer["accounts"] if each["name"] == name), 0)
    under_way = "" if left is None else f" Calls under way: {left}."
    _say(as_json, {"name": name, "state": state, "in_flight": left}, f"{name} is {state}.{under_way}")


def _put(name: str, state: str, config_file: Path | None) -> None:
    from dragoman.accounts import overlay

    def edit(layer: overlay.Layer, known: config.Config) -> overlay.Layer:
        _known(known, name)
        return overlay.patch(layer, name, {"state": state})

    _change(config_file, edit)


def _live_or_not(found: config.Config, url: str | None) -> tuple[dict[str, Any] | None, str]:
    """What the running gateway says of its accounts; or why it does not."""
    running = Running(found, url)
    try:
        return running.ask("GET", "/dragoman/v1/accounts"), f"no gateway answers at {running.url}"
    except AskError as error:
        return None, str(error)


def _change(config_file: Path | None, edit: Edit) -> None:
    from dragoman.accounts.overlay import Overlay

    found = declared(config_file)
    Overlay(found.state.path).change(found, edit)


def _known(found: config.Config, name: str) -> config.Account:
    for account in found.accounts:
        if account.name == name:
            return account
    names = ", ".join(account.name for account in found.accounts) or "none"
    raise AccountError(f'there is no account "{name}": there are {names}')


def _keys(key: str | None, sets: list[str] | None) -> dict[str, Any]:
    """What `--key` and `--set` say, as keys of an account's table."""
    keys: dict[str, Any] = {}
    for each in sets or ():
        name, sign, value = each.partition("=")
        if not sign or name == "name":
            raise typer.BadParameter(f'--set: expected KEY=VALUE, got "{each}"')
        try:
            keys[name] = _absolute(tomllib.loads(f"x = {value}")["x"])
        except tomllib.TOMLDecodeError:
            keys[name] = _absolute(value)
    if key is not None:
        keys["key"] = _absolute(key)
    for name in keys.keys() & config.CREDENTIALS:
        if keys[name] == "-":
            keys[name] = _read_key()
        elif not str(keys[name]).startswith(("env:", "file:")):
            raise typer.BadParameter(f"{name}: expected env:NAME, file:PATH or -: others can see a command's words")
    return keys


def _absolute(value: Any) -> Any:
    """A file is named from here, but read from there."""
    if isinstance(value, str) and value.startswith("file:"):
        return f"file:{Path(value[5:]).expanduser().absolute()}"
    return value


def _read_key() -> str:
    key = str(typer.prompt("Key", hide_input=True)) if sys.stdin.isatty() else sys.stdin.read()
    if not key.strip():
        raise typer.BadParameter("--key: standard input is empty")
    return key.strip()


def _test_here(found: config.Config, names: list[str], model: str | None) -> list[dict[str, Any]]:
    """Without a gateway: the same call, from this process."""
    import asyncio

    import msgspec

    from dragoman.cli.chat import gateway

    async def run() -> list[dict[str, Any]]:
        here = await gateway(found)
        try:
            trials = await here.trials.all(here.serving, names, model)
        finally:
            await here.close()
        return [msgspec.to_builtins(trial) for trial in trials]

    return asyncio.run(run())


def _declared(account: config.Account) -> dict[str, Any]:
    secrets = (getattr(account, name) for name in sorted(config.CREDENTIALS, reverse=True))
    return {
        "name": account.name,
        "state": account.state,
        "provider": account.provider,
        "key": next((str(secret) for secret in secrets if secret is not None), None),
        "region": account.region,
        "weight": account.weight,
        "models": account.models,
        "max_in_flight": account.max_in_flight,
        "rpm": account.rpm,
        "tpm": account.tpm,
        "daily_usd": account.daily_usd,
        "monthly_usd": account.monthly_usd,
    }


def _say(as_json: bool, value: dict[str, Any], text: str) -> None:
    if as_json:
        print_json(value)
    else:
        typer.echo(text)


def _trial(each: dict[str, Any]) -> tuple[object, ...]:
    by = f"a reply of {each['model']}" if each.get("model") else "its list of models"
    message = f"{each['error']}: {each['message']}" if each.get("error") else ""
    return each["account"], "well" if each["ok"] else "failed", each["ms"], by, message


def _print_live(answer: dict[str, Any]) -> None:
    counts = ["in flight", "waiting", "served", "failed", "today", "month"]
    columns = ["name", "state", "provider", *counts, "rests", "last error"]
    print_table(columns, [_live(each) for each in answer["accounts"]], right=counts)
    if answer["waiting"]:
        typer.echo(f"{answer['waiting']} calls wait for an account.")


def _live(each: dict[str, Any]) -> tuple[object, ...]:
    limit = each["limits"].get("in_flight", {}).get("limit")
    error = each["last_error"]
    return (
        each["name"],
        each["state"],
        each["provider"],
        f"{each['in_flight']} of {limit}" if limit else each["in_flight"],
        each["waiting"],
        each["served"],
        each["failed"],
        *(None if usd is None else f"${usd:.4g}" for usd in (each["spent_usd"]["day"], each["spent_usd"]["month"])),
        "; ".join(_rests(each)),
        f"{moment(error['at'])} {error['kind']}: {error['message']}"[:200] if error else None,
    )


def _rests(each: dict[str, Any]) -> list[str]:
    """What of an account rests, until when, and why."""
    found = [("all", each["rest"]), (each["host"], each["host_rest"])]
    found += [(seat["model"], seat["rest"]) for seat in each["seats"]]
    return [f"{what} until {moment(rest['until'])}: {rest['kind']}" for what, rest in found if rest]
