"""`--seeds N` runs N virtual fleets; `--seeds N -k 'seed17]'` replays one."""

import pytest

_FEW = {
    "seed": 1,
    "saturated_seed": 50,
    "outage_seed": 20,
    "house_seed": 5,
    "nodes_seed": 5,
}  # each kind of scenario runs one in so many of the seeds


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, part in _FEW.items():
        if name in metafunc.fixturenames:
            seeds = range(max(1, metafunc.config.getoption("--seeds") // part))
            metafunc.parametrize(name, seeds, ids=[f"seed{seed}" for seed in seeds])
