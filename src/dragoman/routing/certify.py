"""A routing threshold that keeps a promised quality floor, as tested on labelled questions.

How this works. The weak model answers where the strong one is expected to be better by less than the threshold. A
threshold is safe if the mean quality lost against always asking the strong model is at most epsilon. Thresholds are
tested in a fixed order, from the one that sends least to the weak model, each at level delta, up to the first that
fails; the last that passed is certified. So the chance that an unsafe one is certified is at most delta, however many
are tested (fixed-sequence testing; Angelopoulos and others, "Learn then Test", arXiv 2110.01052).

The test: the mean loss plus its standard error times the normal quantile, after two labels with the worst possible
loss have been added. They make up for what the normal approximation misses where few of the labels speak: in
simulations (`docs/router.md`) the promise is broken less often than delta.
"""

from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 60  # thresholds that are tried
PADDING = 2  # labels with the worst loss that are added
FEWEST = 30  # labels without which nothing is tried


class Certificate(Struct, frozen=True, kw_only=True):
    """What was certified, and on what. `threshold` is None where nothing could be."""

    threshold: float | None
    epsilon: float
    delta: float
    labels: int
    weak_share: float
    measured_loss: float
    strong: str
    weak: str
    strong_quality: float
    weak_quality: float
    artifact: str


def threshold(score: "NDArray[Any]", loss: "NDArray[Any]", epsilon: float, delta: float) -> float | None:
    """The certified threshold. `score` is the expected difference between strong and weak model, `loss` the observed
    one (-1..1), of the same questions. The questions must not have been trained on."""
    import numpy as np

    if len(score) < FEWEST:
        return None
    found = None
    for share in np.linspace(0, 1, STEPS + 1)[1:]:
        cut = float(np.quantile(score, share)) if share < 1 else float(score.max()) + 1e-9
        if not safe(np.where(score < cut, loss, 0.0), epsilon, delta):
            break
        found = cut
    return found


def safe(losses: "NDArray[Any]", epsilon: float, delta: float) -> bool:
    """Whether a mean loss above `epsilon` is refuted at level `delta`. Losses are between -1 and 1."""
    import numpy as np

    padded = np.concatenate((losses, np.ones(PADDING)))
    error = float(padded.std()) / len(padded) ** 0.5
    return float(padded.mean()) + NormalDist().inv_cdf(1 - delta) * error <= epsilon
