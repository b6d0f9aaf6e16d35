"""What the tests of shared limits use: the real clock (and `redis_server`, see `services`)."""

import time


def clock() -> float:
    """Unix seconds that never go back."""
    return _BEGAN + time.monotonic()


_BEGAN = time.time() - time.monotonic()
