"""What a request loses on its way into another dialect (law 4)."""

from functools import cache

import msgspec

from dragoman.canon import JSON, Request

# set on every request, or said in some form by every dialect
_ALWAYS = frozenset(
    {"dialect", "model", "messages", "stream", "include_usage", "tools", "tool_choice", "extra", "previous_response_id"}
)
# fields whose value says only what is so anyway, in every dialect
_IDLE: JSON = {"caller": {"type": "direct"}}
_OPTIONAL = tuple(f.name for f in msgspec.structs.fields(Request) if f.name not in _ALWAYS)


@cache
def _unsayable(can_say: frozenset[str]) -> tuple[str, ...]:
    return tuple(name for name in _OPTIONAL if name not in can_say)


class Losses:
    """The names of what could not be said, in the order found, each once. They end up in `x-dragoman-lossy`."""

    def __init__(self, request: Request, dialect: str, can_say: frozenset[str]) -> None:
        """Notes at once every field set on `request` that is not in `can_say` (names of `Request`'s fields), and the
        request's unknown top-level fields if it came from another dialect."""
        self.same_dialect = request.dialect == dialect
        self.names: list[str] = []
        for name in _unsayable(can_say):
            value = getattr(request, name)
            if value is not None and value != []:
                self.note(name)
        if request.extra and not self.same_dialect:
            self.note(*request.extra)

    def note(self, *names: str) -> None:
        for name in names:
            if name not in self.names:
                self.names.append(name)

    def carry(self, into: JSON, extra: JSON | None, where: str = "") -> None:
        """Unknown fields go back `into` the object they came from if the dialect is the same; else they are noted as
        `where.name`."""
        if not extra:
            return
        if self.same_dialect:
            into.update(extra)
        else:
            told = [name for name, value in extra.items() if _IDLE.get(name, self) != value]
            self.note(*(f"{where}.{name}" if where else name for name in told))
