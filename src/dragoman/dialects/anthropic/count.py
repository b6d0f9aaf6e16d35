"""POST /v1/messages/count_tokens: how many input tokens a message request would have."""

import msgspec

from dragoman.canon import JSON, Request
from dragoman.dialects.anthropic.names import NAME
from dragoman.dialects.anthropic.request_in import read_request
from dragoman.dialects.anthropic.request_out import write_request
from dragoman.dialects.dialect import Written
from dragoman.dialects.fields import Malformed, decode
from dragoman.dialects.quirks import Quirks

COUNT_PATH = "/v1/messages/count_tokens"
# what the endpoint takes of a message request; `output_config` only without its format on older versions of it
_COUNTED = frozenset(
    {
        "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control", "speed",
        "context_management", "mcp_servers", "user_profile_id", "compaction",
    }
)  # fmt: skip


def read_count_request(body: JSON) -> Request:
    """The same as a message request, but `max_tokens` may be missing. Raises `Malformed`."""
    return read_request(body, counting=True)


def write_count_request(request: Request, quirks: Quirks) -> Written:
    """The body for the endpoint: of a message request, what has input tokens in it. Raises `Unsayable`."""
    written = write_request(request, quirks)
    if request.dialect == NAME:  # its caller may know fields that the endpoint takes and this code does not
        body = {name: value for name, value in written.body.items() if name not in _ANSWER_ONLY}
    else:
        body = {name: value for name, value in written.body.items() if name in _COUNTED}
    return Written(body=body, lossy=written.lossy)


_ANSWER_ONLY = frozenset(
    {"max_tokens", "stream", "temperature", "top_p", "top_k", "stop_sequences", "metadata", "service_tier", "container"}
)


def read_count(body: bytes) -> int:
    """The count in the endpoint's reply. Raises `Malformed`."""
    reply = decode(body)
    count = reply.get("input_tokens") if isinstance(reply, dict) else None
    if not isinstance(count, int):
        raise Malformed("input_tokens", "a whole number", count)
    return count


def write_count(tokens: int) -> bytes:
    """The endpoint's reply."""
    return msgspec.json.encode({"input_tokens": tokens})
