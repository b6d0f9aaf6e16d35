"""Responses that outlive their request: `previous_response_id`, `store`, and what is told of a stored response later.

The gateway keeps the records; here is what goes into them and what comes out, over any upstream. For a request:

1. `if (id := previous_id(body)) is not None`: load its record. There is none: answer `not_found(id)`; or, where the
   upstream itself keeps responses, pass the body on as it is.
2. `body = expand(body, record, find)`: the body with all of the conversation in `input`, and without
   `previous_response_id`. `find` gives an item by its id, for `item_reference` items (of any record; None if unknown).
3. `request = read_request(body)` is what upstreams are asked. For the client's own reply writers, set
   `previous_response_id = id` on a copy of it, so that the response names the one before.
4. `if wanted(body)`: once the reply is whole, `record(body, response)` is to be stored under its `id`. `body` is the
   expanded one (keep a deep copy from before `read_request`, which takes it apart) and `response` the response object
   that the client got: the body of a whole reply, or `response` in the stream's last event. Failed ones count too.

`GET /responses/{id}` answers `record.response` (404: `not_found`), `…/input_items` answers
`input_items(record, query)`, `DELETE` answers `deleted(id)`. The body of `POST /responses/input_tokens` is read by
`read_request` once `model` is set.

Instructions are not carried over from response to response, nor is any other setting: that is the API's rule. A record
holds the whole conversation up to it, so that any one of a chain may be deleted without harm to the others.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct

from dragoman.canon import JSON, Failure
from dragoman.dialects.fields import Malformed
from dragoman.dialects.openai_responses.name import NAME

_PREFIXES = {
    "message": "msg", "reasoning": "rs", "function_call": "fc", "function_call_output": "fco",
    "custom_tool_call": "ctc", "custom_tool_call_output": "ctco", "compaction": "cmp", "web_search_call": "ws",
    "file_search_call": "fs", "code_interpreter_call": "ci", "image_generation_call": "ig", "mcp_call": "mcp",
    "tool_search_call": "tsc", "tool_search_output": "tso",
}  # fmt: skip
_MADE = "_in_"  # stands in every id made here, and in none of the API's
_STATED = frozenset({"message", "function_call", "function_call_output", "custom_tool_call"})
_LIMIT = 20  # items of a page, unless the query says
_MOST = 100


class Record(Struct, kw_only=True):
    """A stored response. `items` are its input items, those of all responses before it included."""

    id: str
    items: list[JSON]
    response: JSON


def wanted(body: JSON) -> bool:
    """Whether the response is to be stored: yes, unless the client says otherwise."""
    return body.get("store") is not False


def previous_id(body: JSON) -> str | None:
    """The response that the request goes on from. Raises `Malformed`."""
    given = body.get("previous_response_id")
    if given is None or isinstance(given, str):
        return given or None
    raise Malformed("previous_response_id", "a string", given)


def expand(body: JSON, previous: Record | None, find: Callable[[str], JSON | None] = lambda _: None) -> JSON:
    """The body with the conversation so far in its `input`, and references replaced by the items they name.

    Nothing of `body` or `previous` is changed. Raises `Malformed`.
    """
    items = _given(body)
    if previous is not None:
        output = previous.response.get("output")
        said = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
        known = {item.get("id"): item for item in [*previous.items, *said]}
        items = [*previous.items, *said, *(_resolved(item, lambda id: known.get(id) or find(id)) for item in items)]
    else:
        items = [_resolved(item, find) for item in items]
    expanded = {key: value for key, value in body.items() if key != "previous_response_id"}
    expanded["input"] = [_unmarked(item) for item in items]
    return expanded


def _given(body: JSON) -> list[JSON]:
    given = body.get("input")
    if given is None:
        return []
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    if not isinstance(given, list):
        raise Malformed("input", "a string or an array of items", given)
    for i, item in enumerate(given):
        if not isinstance(item, dict):
            raise Malformed(f"input[{i}]", "an object", item)
    return given


def _resolved(item: JSON, find: Callable[[str], JSON | None]) -> JSON:
    """The item that a reference names; any other item, and a reference to something unknown, as it is."""
    item_id = item.get("id")
    if isinstance(item_id, str) and item.get("type", "item_reference") == "item_reference" and "role" not in item:
        return find(item_id) or item
    return item


def _unmarked(item: JSON) -> JSON:
    """Without an id that was made here: no provider knows it."""
    item_id = item.get("id")
    if isinstance(item_id, str) and _MADE in item_id:
        return {key: value for key, value in item.items() if key not in {"id", "status"}}
    return item


def record(body: JSON, response: JSON) -> Record:
    """What to store of a request (expanded) and the response object that answered it."""
    response_id = str(response.get("id", ""))
    core = response_id.removeprefix("resp_")
    return Record(
        id=response_id, items=[_listed(item, core, i) for i, item in enumerate(_given(body))], response=response
    )


def _listed(item: JSON, core: str, index: int) -> JSON:
    """An input item as the API lists it: with type, id and status, and its content as parts."""
    kind = item.get("type") or "message"
    if not isinstance(kind, str):
        return item  # the provider took it, whatever it is
    prefix = _PREFIXES.get(kind, "item")
    listed = {"id": f"{prefix}_{core}{_MADE}{index}", **{k: v for k, v in item.items() if v is not None}, "type": kind}
    if kind in _STATED:
        listed.setdefault("status", "completed")
    if kind == "message" and isinstance(content := item.get("content"), str):
        spoken = item.get("role") == "assistant"
        part: JSON = {"type": "output_text" if spoken else "input_text", "text": content}
        listed["content"] = [{**part, "annotations": []} if spoken else part]
    return listed


def input_items(record: Record, query: Mapping[str, str]) -> JSON:
    """A page of a response's input items. `query`: `limit` (1 to 100, else 20), `order` (`desc`, or `asc`), `after`
    (an item's id). Raises `Malformed`."""
    limit = query.get("limit", str(_LIMIT))
    if not limit.isdecimal() or not 1 <= int(limit) <= _MOST:
        raise Malformed("limit", f"a whole number from 1 to {_MOST}", limit)
    order = query.get("order", "desc")
    if order not in {"asc", "desc"}:
        raise Malformed("order", "asc or desc", order)
    items = record.items if order == "asc" else record.items[::-1]
    if (after := query.get("after")) is not None:
        ids = [item.get("id") for item in items]
        if after not in ids:
            raise Malformed("after", "the id of one of the response's input items", after)
        items = items[ids.index(after) + 1 :]
    page = items[: int(limit)]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(items) > len(page),
    }


def deleted(response_id: str) -> JSON:
    """The answer to a deletion."""
    return {"id": response_id, "object": "response", "deleted": True}


def not_found(response_id: str, param: str | None = None) -> Failure:
    """There is no such response, or no longer. `param`: the request's field that named it, if one did."""
    return Failure(
        kind="not_found",
        message=f"Response with id '{response_id}' not found; it was never stored (store: false) or has been deleted.",
        status=400 if param else 404,
        code="previous_response_not_found" if param else None,
        param=param,
        dialect=NAME,
        type="invalid_request_error",
    )
