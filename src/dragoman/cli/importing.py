"""`dragoman import`: configs of other gateways."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from dragoman import config

app = typer.Typer(help="Write a config from that of another gateway.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Write a config from that of another gateway."""


@app.command()
def litellm(
    source: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="The LiteLLM proxy's config.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write; - prints. Default: dragoman.toml, if not there.")
    ] = None,
) -> None:
    """Write the dragoman.toml that a LiteLLM proxy config comes to, and say what has no equivalent."""
    from dragoman.cli import toml
    from dragoman.cli.litellm import translate

    translation = translate(_read(source))
    remarks = "".join(f"# {' '.join(remark.split())}\n" for remark in translation.remarks)
    head = f"# Made from {source.name}.\n" + (f"# Not carried over, or changed:\n{remarks}" if remarks else "")
    text = f"{head}\n{toml.dumps(translation.data)}"
    target = out or Path("dragoman.toml")
    config.parse(text.encode(), str(target), source.parent, _Anything())
    if out is None and target.exists():
        typer.echo(f"dragoman: {target} is there already: name another place with --out", err=True)
        raise typer.Exit(1)
    if str(target) == "-":
        typer.echo(text, nl=False)
    else:
        target.touch(mode=0o600)  # keys may stand in it
        target.write_text(text)
        accounts, models = len(translation.data["accounts"]), len(translation.data["models"])
        typer.echo(f"{target}: {accounts} accounts, {models} models")
    for remark in translation.remarks:
        typer.echo(f"  {remark}", err=True)


def _read(path: Path) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]  # PyYAML has no types of its own

    try:
        data = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise config.ConfigError(f"{path}: not valid YAML: {error}") from None
    except OSError as error:
        raise config.ConfigError(f"{path}: can't be read: {error.strerror}") from None
    if not isinstance(data, dict) or not isinstance(data.get("model_list"), list):
        raise config.ConfigError(f"{path}: expected a LiteLLM proxy config, with a model_list")
    return data


class _Anything(Mapping[str, str]):
    """An environment that has every variable: the config is checked as if all of them were set."""

    def __getitem__(self, name: str) -> str:
        return "redis://env" if "REDIS" in name else "env"

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
