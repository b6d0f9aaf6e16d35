"""The embedded engines, loaded once a process."""

from collections.abc import Iterator

import pytest

from dragoman.voice.engines.pool import Pool


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool()
    yield made
    made.close()
