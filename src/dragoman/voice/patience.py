"""How much silence is waited for, by how likely the turn is complete."""

from dragoman.voice.detection import Detection, Eagerness

# (probability from which on, silence in ms), the surest first
_STEPS: dict[Eagerness, tuple[tuple[float, float], ...]] = {
    "auto": ((0.75, 140), (0.6, 180)),
    "high": ((0.9, 200), (0.5, 400), (0.3, 1000)),
    "medium": ((0.9, 400), (0.5, 800), (0.3, 2000)),
    "low": ((0.9, 800), (0.5, 1600), (0.3, 4000)),
}


def patience(detection: Detection, complete: float | None) -> float:
    """Ms of silence since the end of speech after which the turn is over. `complete`: the judge's probability that it
    is; None while it has not answered."""
    if detection.silence_ms is not None:
        return detection.silence_ms
    if complete is None:
        return detection.longest_ms
    return next((wait for least, wait in _STEPS[detection.eagerness] if complete >= least), detection.longest_ms)
