"""OpenAI Responses: `POST /responses`, whole and streamed.

| what                          | where the mapping is                     |
|-------------------------------|------------------------------------------|
| request fields                | `read_request`, written by `write_request` |
| input items                   | `items`                                  |
| content parts                 | `content`                                |
| tools, namespaces, tool choice| `tools`                                  |
| whole replies                 | `read_reply`, `response` and `write_reply` |
| streams                       | `stream_reader`, `stream_writer`         |
| errors                        | `errors`                                 |
| the relay lane                | `relay`                                  |
| `previous_response_id`, stored responses | `stored`                      |

Source: the API reference of OpenAI, as the types of its Python SDK state it, and the Open Responses specification.
"""

from collections.abc import Mapping

from dragoman.dialects.openai_responses.errors import read_error, write_error
from dragoman.dialects.openai_responses.name import NAME
from dragoman.dialects.openai_responses.read_reply import read_reply
from dragoman.dialects.openai_responses.read_request import ResponsesRequest, read_request
from dragoman.dialects.openai_responses.relay import TAP_MARKS, retarget, tap, usage_of
from dragoman.dialects.openai_responses.stream_reader import StreamReader
from dragoman.dialects.openai_responses.stream_writer import StreamWriter
from dragoman.dialects.openai_responses.write_reply import write_reply
from dragoman.dialects.openai_responses.write_request import write_request

__all__ = [
    "FIELD_NAMES", "NAME", "STREAM_TYPE", "TAP_MARKS", "ResponsesRequest", "StreamReader", "StreamWriter", "path",
    "read_error", "read_reply", "read_request", "retarget", "tap", "usage_of", "write_error", "write_reply",
    "write_request",
]  # fmt: skip

STREAM_TYPE = "text/event-stream"
FIELD_NAMES: Mapping[str, str] = {
    "messages": "input",
    "output": "text.format",
    "verbosity": "text.verbosity",
    "thinking": "reasoning",
    "logprobs": "include",
    "cache_key": "prompt_cache_key",
    "user": "safety_identifier",
}


def path(model: str, stream: bool) -> str:
    """The same for every model."""
    return "/responses"
