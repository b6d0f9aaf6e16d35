"""The config of a file, and whether all that it names is there: providers, accounts, files."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from dragoman import config
from dragoman.catalog.providers import PROVIDERS
from dragoman.local import model as local


def load(path: Path, environ: Mapping[str, str] = os.environ) -> config.Config:
    """The config in the file at `path`. Raises `ConfigError`, which names file, key path and mend."""
    found = config.load(path, environ)
    for problem in (*_nowhere(found), *_unreadable(found)):
        raise config.ConfigError(f"{path.name}: {problem}")
    return found


def _nowhere(found: config.Config) -> Iterator[str]:
    """Names that stand for nothing."""
    providers = [*PROVIDERS, *(entry.name for entry in found.providers if entry.name not in PROVIDERS)]
    mend = "declare it in [[providers]], or use one of " + ", ".join(providers)
    for i, account in enumerate(found.accounts):
        if account.provider not in providers:
            yield f'accounts[{i}].provider: no provider is named "{account.provider}": {mend}'
    for i, model in enumerate(found.models):
        for target in (target for tier in model.tiers() for target in tier):
            if target.partition("/")[0] not in providers:
                yield f'models[{i}].targets: "{target}": no provider is named "{target.partition("/")[0]}": {mend}'
    declared = {name for model in found.models for name in (model.name, *model.aliases)}
    declared |= {name for account in found.accounts if account.provider == "local" for name in local.names(account)}
    served = {account.provider for account in found.accounts}
    for i, route in enumerate(found.routes):
        for name in route.models:
            if name not in declared and name.partition("/")[0] not in served:
                yield f'routes[{i}].models: "{name}" is no model, and no account can serve it'
    for key, engine in (("stt", found.voice.stt), ("tts", found.voice.tts)):
        if engine != "local" and engine.partition("/")[0] not in served:
            yield f'voice.{key}: "{engine}": no account has it: add one of {engine.partition("/")[0]} to [[accounts]]'


def _unreadable(found: config.Config) -> Iterator[str]:
    """Files that can't be read."""
    server = found.server
    files = {"server.tls_cert": server.tls_cert, "server.tls_key": server.tls_key, "server.ca_file": server.ca_file}
    files |= {f"accounts[{i}].gguf": account.gguf for i, account in enumerate(found.accounts)}
    for key, name in files.items():
        if name is not None and not os.access(Path(name).expanduser(), os.R_OK):
            yield f"{key}: can't read {name}: no such file, or not for this user"
