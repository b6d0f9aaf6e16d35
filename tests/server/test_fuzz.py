"""The fuzzer's short version; `python bench/fuzz.py` is the long one."""

import asyncio
import importlib.util
import sys
from pathlib import Path

_SPEC = importlib.util.spec_from_file_location("fuzz", Path(__file__).parents[2] / "bench" / "fuzz.py")
assert _SPEC is not None
assert _SPEC.loader is not None
fuzz = sys.modules.get("fuzz") or importlib.util.module_from_spec(_SPEC)
if "fuzz" not in sys.modules:
    sys.modules["fuzz"] = fuzz
    _SPEC.loader.exec_module(fuzz)


def test_two_thousand_bad_requests_harm_nothing() -> None:
    report = asyncio.run(fuzz.run(2000, seed=7))
    assert report.faults == []
    assert report.requests == 2000
    assert report.statuses[200] > 200
