"""`dragoman keys`: gateway keys, with or without a running gateway."""

import time
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from dragoman.access import keys
from dragoman.accounts.periods import Period
from dragoman.cli.out import dollars, moment, print_json, print_table
from dragoman.cli.settings import AsJson, ConfigFile, settings
from dragoman.cli.times import point

PICO = 10**12
app = typer.Typer(help="Gateway keys.", no_args_is_help=True)


@app.command()
def create(
    *,
    name: Annotated[str, typer.Option(help="Whom it is for.")] = "",
    budget: Annotated[str | None, typer.Option(metavar="USD", help="The most it may spend.")] = None,
    period: Annotated[Period | None, typer.Option(help="The budget starts anew each day or month (UTC).")] = None,
    rpm: Annotated[int | None, typer.Option(min=1, help="The most requests in a minute.")] = None,
    tpm: Annotated[int | None, typer.Option(min=1, help="The most tokens in a minute.")] = None,
    models: Annotated[
        str | None, typer.Option(metavar="A,B", help="The models, routes or provider/model-ids it may ask for.")
    ] = None,
    expires: Annotated[str | None, typer.Option(metavar="TIME", help="When it ends: 30d, or 2027-01-01.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="It may also use /dragoman/v1.")] = False,
    priority: Annotated[
        int, typer.Option(min=0, max=9, help="When all accounts are busy, lower ones are served first.")
    ] = keys.USUAL,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Make a key. Its secret is shown once, and kept nowhere."""
    from dragoman.ledger.store import Store

    if period and budget is None:
        raise typer.BadParameter("--period says when a budget starts anew: give --budget too")
    now = time.time()
    key = keys.Key(
        id=keys.new_id(),
        name=name,
        created=now,
        expires=point(expires, now, ahead=True) if expires else None,
        budget=_pico(budget) if budget is not None else None,
        period=period,
        rpm=rpm,
        tpm=tpm,
        models=_names(models) if models is not None else None,
        admin=admin,
        priority=priority,
    )
    with Store(settings(config).state) as store:
        secret = keys.create(store, key)
    if as_json:
        print_json({"id": key.id, "name": key.name, "key": secret})
    else:
        typer.echo(f"{secret}\n\nThis is the only time that it is shown. Its id is {key.id}.")


@app.command("list")
def list_(as_json: AsJson = False, config: ConfigFile = None) -> None:
    """All keys, without their secrets."""
    from dragoman.ledger.fold import fold
    from dragoman.ledger.glance import Glance
    from dragoman.ledger.spending import by_key

    state = settings(config).state
    fold(state)
    with Glance(state) as glance:
        found = keys.stored(glance)
        spent = {key: sum(days.values()) for key, days in by_key(glance).items()}
    if as_json:
        print_json([_shown(key, spent.get(key.id, 0)) for key in found])
        return
    columns = ["id", "name", "created", "expires", "budget", "spent", "rpm", "tpm", "models", "priority", "status"]
    print_table(
        columns,
        [_line(key, spent.get(key.id, 0)) for key in found],
        right=("budget", "spent", "rpm", "tpm", "priority"),
    )


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `keys list` shows it.")],
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """End a key. A running gateway refuses it within a second."""
    from dragoman.ledger.store import Store

    with Store(settings(config).state) as store:
        if not keys.revoke(store, key_id, time.time()):
            typer.echo(f'dragoman: there is no key "{key_id}": see `dragoman keys list`', err=True)
            raise typer.Exit(1)
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        typer.echo(f"{key_id} is revoked.")


def _names(text: str) -> list[str]:
    """Never an empty list, and never all: a script's empty variable must not make a key for everything."""
    names = [each.strip() for each in text.split(",") if each.strip()]
    if not names:
        raise typer.BadParameter("--models: expected names such as smart,local; without it, the key is for all")
    return names


def _pico(text: str) -> int:
    """Dollars as pico-dollars, exactly."""
    try:
        amount = Decimal(text.removeprefix("$"))
        if amount.is_finite() and amount >= 0:
            return int((amount * PICO).to_integral_value())
    except InvalidOperation:
        pass
    raise typer.BadParameter(f'--budget: expected an amount in dollars such as 12.50, got "{text}"')


def _shown(key: keys.Key, spent: int) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "created": key.created,
        "expires": key.expires,
        "budget_usd": None if key.budget is None else key.budget / PICO,
        "period": key.period,
        "spent_usd": spent / PICO,
        "rpm": key.rpm,
        "tpm": key.tpm,
        "models": key.models,
        "admin": key.admin,
        "priority": key.priority,
        "revoked": key.revoked,
    }


def _line(key: keys.Key, spent: int) -> tuple[object, ...]:
    budget = dollars(key.budget)
    if budget and key.period:
        budget += f" a {key.period}"
    status = "revoked" if key.revoked else "expired" if key.expires and key.expires <= time.time() else "active"
    return (
        key.id,
        key.name,
        moment(key.created),
        moment(key.expires),
        budget,
        dollars(spent),
        key.rpm,
        key.tpm,
        "all" if key.models is None else ", ".join(key.models),
        key.priority,
        f"{status}, admin" if key.admin else status,
    )
