"""The features that speech models hear."""

import math

import pytest

from dragoman.voice.engine import HEARD
from dragoman.voice.engines.mel import BANDS, log_mel


@pytest.mark.parametrize(("hertz", "band"), [(200, 4), (1000, 26), (4000, 62), (7600, 78)])
def test_a_tone_stands_in_its_band(hertz: float, band: int) -> None:
    import numpy as np

    tone = np.sin(2 * np.pi * hertz * np.arange(HEARD) / HEARD).astype(np.float32)
    features = log_mel(tone)
    assert features.shape == (BANDS, 100)
    assert abs(int(features[:, 50].argmax()) - band) <= 1


def test_features_do_not_depend_on_loudness() -> None:
    import numpy as np

    heard = np.random.default_rng(1).standard_normal(HEARD).astype(np.float32)
    assert math.isclose(float(abs(log_mel(heard) - log_mel(heard * np.float32(0.03))).max()), 0, abs_tol=0.01)
