"""Where a command's config comes from, and the options that all commands share."""

import os
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from dragoman import config

DEFAULT = Path("dragoman.toml")
LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})

ConfigFile: TypeAlias = Annotated[
    Path | None, typer.Option("--config", help="The config file. Default: ./dragoman.toml, if it is there.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def config_path(given: Path | None) -> Path | None:
    """The config file to use: the one given, else ./dragoman.toml if it is there."""
    return given or (DEFAULT if DEFAULT.exists() else None)


def settings(given: Path | None) -> config.Config:
    """The config of the file given or found; without one, what the environment offers. What was changed of accounts at
    run time is laid over it. Raises `ConfigError`."""
    from dragoman.accounts.overlay import Overlay

    found = declared(given)
    return Overlay(found.state.path).lay(found)


def declared(given: Path | None) -> config.Config:
    """As `settings`, without what was changed at run time. Raises `ConfigError`."""
    path = config_path(given)
    if path is not None:
        from dragoman.catalog.loading import load

        return load(path)
    from dragoman.catalog.discovery import discover

    return discover(os.environ)


def exposed(found: config.Config) -> str | None:
    """Why a gateway with this config must not be open to all, if so, and the mend."""
    server = found.server
    if server.host in LOCAL or found.access.mode == "keys":
        return None
    return f'server.host "{server.host}" can be reached from elsewhere: set access.mode = "keys"'
