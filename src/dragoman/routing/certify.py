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

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from dragoman.routing.certificate import Certificate
from dragoman.routing.estimate import Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dragoman.routing.outcomes import Answered
    from dragoman.routing.predictor import Trained

STEPS = 60  # thresholds that are tried
PADDING = 2  # labels with the worst loss that are added
FEWEST = 30  # labels without which nothing is tried


class Certified(Certificate, kw_only=True):
    """A certificate with what was measured, as it is written. `labels_needed`, where nothing could be certified: about
    how many labels like these would do, if any number would."""

    weak_share: float
    measured_loss: float
    strong_quality: float
    weak_quality: float


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
    return bool(float(padded.mean()) + NormalDist().inv_cdf(1 - delta) * error <= epsilon)


def certified(
    trained: "Trained", rows: "Sequence[Answered]", pair: tuple[str, str], epsilon: float, delta: float
) -> Certified:
    """What can be promised of a strong and a weak model on these rows, of which all have outcomes of both."""
    import numpy as np

    strong, weak = pair
    scores = []
    for row in rows:
        query = Query(prompt=row.prompt, task=row.task, category=row.category)
        found = trained.predict(query, pair).candidates
        scores.append(found[strong].quality - found[weak].quality)
    score = np.array(scores)
    quality = np.array([[row.outcomes[model].quality for model in pair] for row in rows])
    loss = quality[:, 0] - quality[:, 1]
    cut = threshold(score, loss, epsilon, delta)
    sent = score < cut if cut is not None else np.zeros(len(rows), bool)
    return Certified(
        threshold=cut,
        epsilon=epsilon,
        delta=delta,
        labels=len(rows),
        weak_share=float(sent.mean()),
        measured_loss=float(np.where(sent, loss, 0).mean()),
        strong=strong,
        weak=weak,
        strong_quality=float(quality[:, 0].mean()),
        weak_quality=float(quality[:, 1].mean()),
        artifact=trained.name,
        labels_needed=needed(score, loss, epsilon, delta) if cut is None else None,
    )


def needed(score: "NDArray[Any]", loss: "NDArray[Any]", epsilon: float, delta: float) -> int | None:
    """About how many labels it takes to certify that a tenth of the questions or more may go to the weak model, if
    these labels are a fair sample; None where no number would do."""
    import numpy as np

    least = None
    for share in np.linspace(0.1, 1, 10):
        losses = np.where(score <= np.quantile(score, share), loss, 0.0)
        room = epsilon - float(losses.mean())
        if room > 0:
            error = NormalDist().inv_cdf(1 - delta) * float(losses.std())
            # room ≥ error / √n + what the added labels take away: a quadratic in √n
            root = (error + (error**2 + 4 * room * PADDING) ** 0.5) / (2 * room)
            least = min(least or 10**9, max(FEWEST, round(root**2) + 1))
    return least
