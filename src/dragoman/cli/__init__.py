"""The command line: each command is one small module that parses, calls and prints.

A module is imported when its command is asked for (all of them for `--help`), so none pays for the others. It has a
function named as the command, or `app` where the command has subcommands. A new command is one line in `COMMANDS`.
"""

import sys
from importlib import import_module
from importlib.util import find_spec

import typer

COMMANDS = {
    "serve": "serve",
    "check": "check",
    "explain": "explain",
    "chat": "chat",
    "keys": "keys",
    "usage": "usage",
    "decisions": "decisions",
    "accounts": "accounts",
    "compare": "compare",
    "router": "router",
    "voice": "voice",
    "import": "importing",
}


def main() -> None:
    """The program `dragoman`. Exit status: 0 done, 1 failed, 2 bad usage or bad config."""
    from dragoman.config import ConfigError

    asked = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    app = assemble([asked] if asked in COMMANDS else list(COMMANDS))
    try:
        app(prog_name="dragoman")
    except ConfigError as error:
        _fail(2, str(error))
    except OSError as error:
        _fail(1, f"{error.filename or 'dragoman'}: {error.strerror or error}")
    except RuntimeError as error:
        if type(error).__module__.partition(".")[0] != "dragoman":
            raise
        _fail(1, str(error))


def assemble(names: list[str]) -> typer.Typer:
    """The program with these commands; those whose module is not there are left out."""
    # Pretty tracebacks show local variables, and so secrets.
    app = typer.Typer(name="dragoman", add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
    app.callback()(_program)
    for name in names:
        path = f"dragoman.cli.{COMMANDS[name]}"
        if find_spec(path) is not None:
            module = import_module(path)
            if hasattr(module, "app"):
                app.add_typer(module.app, name=name)
            else:
                app.command(name)(getattr(module, name))
    return app


def _version(wanted: bool) -> None:
    if wanted:
        from dragoman import __version__

        typer.echo(f"dragoman {__version__}")
        raise typer.Exit


def _program(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """One endpoint between programs and AI models."""


def _fail(status: int, message: str) -> None:
    typer.echo(f"dragoman: {message}", err=True)
    raise SystemExit(status)
