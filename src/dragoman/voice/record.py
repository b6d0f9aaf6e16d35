"""A turn's record: how long every stage of it took.

Stages overlap where an answer was prepared before the turn was over; `total` is what somebody waited, from the true
end of speech (or from the client's `response.create`) to the first sound on its way.
"""

from msgspec import Struct

from dragoman.voice.events import JSON, event

STAGES = ("vad_hang", "turn_model", "stt_final", "route", "llm_ttft", "first_clause", "tts_ttfa", "send", "total")


class Turn(Struct, kw_only=True):
    """Times are seconds of the session's clock, None where the stage did not come about. `began`: when speech ended
    or, without any, when the answer was asked for."""

    number: int
    began: float
    response_id: str | None = None
    spoken: bool = False  # somebody said something that is answered
    over: float | None = None  # the turn was found to be over
    judge: float | None = None  # seconds the judge took
    words: float | None = None
    asked: float | None = None
    route: float | None = None  # seconds from asking to the upstream call
    text: float | None = None  # the model's first word
    clause: float | None = None  # the first clause goes to the speaker
    sound: float | None = None  # and its first sound is there
    sent: float | None = None
    speculative: bool = False  # the answer was begun before the turn was over
    status: str = ""
    tokens: int = 0  # that the answer took, as the client is told
    target: str | None = None
    decision: str | None = None

    def ask(self, now: float) -> None:
        """The model is asked. Where it was asked before, in vain, nothing of that answer counts any more."""
        self.asked = now
        self.route = self.text = self.clause = self.sound = self.sent = None
        self.target = self.decision = None

    def stages_ms(self) -> dict[str, float | None]:
        """By the names of `STAGES`."""
        return {
            "vad_hang": _ms(self.began, self.over if self.spoken else None),
            "turn_model": None if self.judge is None else round(self.judge * 1000, 1),
            "stt_final": _ms(self.over, self.words),
            "route": None if self.route is None else round(self.route * 1000, 1),
            "llm_ttft": _ms(self.asked, self.text),
            "first_clause": _ms(self.text, self.clause),
            "tts_ttfa": _ms(self.clause, self.sound),
            "send": _ms(self.sound, self.sent),
            "total": _ms(self.began, self.sent),
        }

    def event(self) -> JSON:
        """What a client is told that asked for it."""
        return event("dragoman.turn", turn=self.number, response_id=self.response_id, stages_ms=self.stages_ms(),
                     target=self.target, decision=self.decision)  # fmt: skip


def _ms(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else round(max(0.0, end - begin) * 1000, 1)
