"""What the tests of shared limits use: a clock (and `redis_server`, see `services`)."""

import time

_STEP = 0.6  # seconds that pass at most between two looks


class _Clock:
    """Unix seconds that never go back. Where nobody has looked for long, as on a machine that is too busy to run this
    process, they have stood still: a worker that is not run for seconds would be taken for dead, and rightly so."""

    def __init__(self) -> None:
        self._now = time.time()
        self._seen = time.monotonic()

    def __call__(self) -> float:
        seen = time.monotonic()
        self._now += min(seen - self._seen, _STEP)
        self._seen = seen
        return self._now


clock = _Clock()
