"""Which model a session is with, and how much of its prompt that model's provider still has in its cache."""

from collections import OrderedDict

from dragoman.routing.decide import Held

FRESH = 300.0  # seconds that providers keep a prompt for sure (Anthropic and OpenAI: 5 minutes and more)
_WARM = 0.95  # the chance of a hit while fresh
_MOST = 50_000  # sessions remembered


class Sessions:
    """The sessions of one process, the longest unused forgotten first. `now` is seconds of a steady clock."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._held: OrderedDict[str, tuple[str, int, float]] = OrderedDict()

    def held(self, session: str, now: float) -> Held | None:
        """The session's model, where it has one that is not cold yet."""
        found = self._held.get(session)
        if found is None:
            return None
        model, tokens, when = found
        age = now - when
        warm = _WARM if age <= FRESH else _WARM * 0.5 ** ((age - FRESH) / FRESH)
        return Held(model, tokens, warm) if warm > 0.05 else None

    def keep(self, session: str, model: str, tokens: int, now: float) -> None:
        """The session's last turn, with `tokens` in its prompt and answer, was `model`'s."""
        self._held[session] = (model, tokens, now)
        self._held.move_to_end(session)
        if len(self._held) > self._most:
            self._held.popitem(last=False)
