"""Where a call may still go after a failure (pure).

| failure                                                      | goes on to                                          |
|--------------------------------------------------------------|-----------------------------------------------------|
| the account's or the provider's (`ANYWHERE`)                 | any other account or target                         |
| `context_length`                                             | targets whose window is known to be larger          |
| `unsupported`, or what can't be said in the target's dialect | other targets, not other accounts of this one       |
| `content_filter`, with `on_content_filter = "next"`          | other providers                                     |
| any other fault of the request                               | nowhere: it comes back to the client at once        |

What a client did not write can't be its fault: whatever another target makes of the rest of a broken stream, the next
may be tried.
"""

from collections.abc import Callable

from dragoman.accounts.lease import Attempted
from dragoman.accounts.pool import LineUp, Seat
from dragoman.canon import Failure
from dragoman.catalog.directory import Model
from dragoman.gateway.ask import UNSAYABLE

ANYWHERE = frozenset({
    "unauthorized", "forbidden", "budget_spent", "unknown_model", "not_found", "rate_limited", "overloaded",
    "upstream_error", "upstream_timeout", "timeout", "method_not_allowed", "unreachable", "stream_broken",
})  # fmt: skip
REFUSED = frozenset({"rate_limited", "overloaded"})  # nothing goes to a seat that rests for these: no need to avoid it


def closed(failure: Failure, seat: Seat, line_up: LineUp, model: Model, resuming: bool) -> frozenset[Attempted] | None:
    """The seats that are not to be tried after `failure` at `seat`, beyond those that were before; None: all."""
    kind = failure.kind
    if kind in REFUSED:
        return frozenset()
    here = frozenset({(seat.account.name, seat.target.model)})
    if kind in ANYWHERE:
        return here
    if kind == "context_length":
        window = seat.target.window
        return _but(line_up, lambda other: window is not None and (other.target.window or 0) > window)
    if kind == "unsupported" or failure.code == UNSAYABLE:
        return _but(line_up, lambda other: other.target.name != seat.target.name)
    if kind == "content_filter" and model.on_content_filter == "next":
        return _but(line_up, lambda other: other.target.provider.name != seat.target.provider.name)
    return here if resuming else None


def _but(line_up: LineUp, hopeful: Callable[[Seat], bool]) -> frozenset[Attempted]:
    return frozenset(
        (seat.account.name, seat.target.model) for seat in line_up.seats.values() if not hopeful(seat)
    )  # fmt: skip
