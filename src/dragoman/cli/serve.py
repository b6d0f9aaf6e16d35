"""`dragoman serve`: runs the gateway."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from dragoman import config
from dragoman.catalog import loading
from dragoman.catalog.discovery import discover
from dragoman.cli.settings import ConfigFile, config_path, exposed


def serve(
    config_file: ConfigFile = None,
    host: Annotated[str | None, typer.Option(help="Where to listen.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Where to listen.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that answer.")] = None,
    insecure_open: Annotated[
        bool, typer.Option("--insecure-open", help="Let anyone who reaches this host in, without keys.")
    ] = False,
) -> None:
    """Run the gateway."""
    from dragoman.server.voice_names import check_voice

    watched = config_path(config_file)

    def load() -> config.Config:
        settings = loading.load(watched) if watched else discover(os.environ)
        server = settings.server
        server.host, server.port = host or server.host, server.port if port is None else port
        server.workers = workers or server.workers
        if (why := exposed(settings)) and not insecure_open:
            raise config.ConfigError(f"{why}, or start with --insecure-open")
        check_voice(settings)
        return settings

    raise typer.Exit(run(load, watched))


def run(load: Callable[[], config.Config], watched: Path | None) -> int:
    """Serves what `load` gives, until a signal ends it. Returns the exit status. Raises `ConfigError`."""
    import uvloop

    from dragoman.accounts.links import serve_steward
    from dragoman.server.logs import set_up
    from dragoman.server.serve import Worker, listen
    from dragoman.server.workers import Line, supervise, until_gone
    from dragoman.telemetry.settings import plan

    settings = load()
    _make(settings.state.path)
    set_up(settings.server.log, settings.server.log_level)
    telemetry = plan(settings)
    listener = listen(settings)

    several = settings.server.workers > 1
    folder = Path(tempfile.mkdtemp(prefix="dragoman-")) if several and settings.state.shared == "memory" else None
    path = folder / "steward" if folder else None

    def work(number: int, line: Line | None = None) -> None:
        worker = Worker(settings, load, watched, number, path, telemetry=telemetry)

        def ready() -> None:
            if number == 0:
                print(banner(worker.gateway.serving.settings, listener.getsockname()[1]), file=sys.stderr, flush=True)

        uvloop.run(worker.run_on(listener, ready, line))

    if not several:
        work(0)
        return 0

    def steward(first: bool, line: Line) -> None:
        if path is not None:
            uvloop.run(until_gone(line, serve_steward(path, time.monotonic, first)))
            shutil.rmtree(path.parent, ignore_errors=True)  # who would have done it is gone

    try:
        return supervise(settings.server.workers, work, steward if path else None)
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _make(state: Path) -> None:
    """The state directory, before anybody asks: what can't be booked must not be served. Raises `ConfigError`."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=state):
            pass
    except OSError as error:
        raise config.ConfigError(f"state.dir: can't write {state}: {error.strerror}: name another folder") from None


def banner(settings: config.Config, port: int) -> str:
    """What is served, and one curl line to try."""
    server = settings.server
    scheme = "https" if server.tls_cert else "http"
    host = "127.0.0.1" if server.host in {"0.0.0.0", "::"} else server.host  # noqa: S104 - only shown
    url = f"{scheme}://{host}:{port}"
    names = [model.name for model in settings.models] + [route.name for route in settings.routes]
    if any(account.provider == "local" for account in settings.accounts) and "local" not in names:
        names.append("local")
    accounts = ", ".join(f"{account.name} ({account.provider})" for account in settings.accounts)
    lines = [f"dragoman listens on {url}"]
    lines.append(f"  accounts: {accounts or 'none: set OPENAI_API_KEY or another, or write a config'}")
    lines.append(f"  models:   {', '.join([*names, 'provider/model-id of any account'])}")
    if names:
        key = " -H 'authorization: Bearer dgm-…'" if settings.access.mode == "keys" else ""
        body = f'{{"model": "{names[-1]}", "messages": [{{"role": "user", "content": "Say hello."}}]}}'
        lines.append(f"  try:      curl {url}/v1/chat/completions{key} -H 'content-type: application/json' -d '{body}'")
        if find_spec("onnxruntime") is not None:  # as the extra `voice` brings it
            lines.append(f"  talk:     {url}/console/voice")
    return "\n".join(lines)
