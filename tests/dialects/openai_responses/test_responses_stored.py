import copy
from typing import Any

import pytest
from openai.types.responses import ResponseItem, ResponseItemList
from pydantic import TypeAdapter
from responses_wire import read, response

from dragoman.canon import Choice, Reasoning, Reply, Text, ToolCall, ToolResult
from dragoman.dialects.fields import Malformed
from dragoman.dialects.openai_responses import stored

FIRST: dict[str, Any] = {"model": "m", "input": "hello", "instructions": "be brief"}
SECOND: dict[str, Any] = {
    "model": "m",
    "previous_response_id": "resp_a",
    "input": [{"type": "function_call_output", "call_id": "c1", "output": "42"}, {"role": "user", "content": "and?"}],
}


def first() -> stored.Record:
    parts = [Reasoning(text="hm", signature="s", dialect="anthropic"), ToolCall(id="c1", name="f", arguments="{}")]
    reply = Reply(dialect="anthropic", id="resp_a", model="claude", choices=[Choice(parts=[*parts])])
    return stored.record(FIRST, response(reply))


def test_responses_are_stored_unless_the_client_says_otherwise() -> None:
    assert stored.wanted({}) and stored.wanted({"store": True}) and stored.wanted({"store": None})
    assert not stored.wanted({"store": False})


def test_a_conversation_goes_on_over_any_upstream() -> None:
    before = copy.deepcopy(SECOND)
    body = stored.expand(SECOND, first())
    assert before == SECOND
    assert "previous_response_id" not in body and "instructions" not in body
    request = read(body)
    assert [message.role for message in request.messages] == ["user", "assistant", "user", "user"]
    thought, call = request.messages[1].parts
    assert thought == Reasoning(text="hm", signature="s", dialect="anthropic")
    assert isinstance(call, ToolCall) and call.id == "c1"
    assert isinstance(request.messages[2].parts[0], ToolResult)


def test_a_chain_holds_everything_said_before() -> None:
    body = stored.expand(SECOND, first())
    reply = Reply(dialect="anthropic", id="resp_b", choices=[Choice(parts=[Text(text="so")])])
    second = stored.record(body, response(reply))
    third = stored.expand({"model": "m", "input": "more", "previous_response_id": "resp_b"}, second)
    said = [item.get("content") or item["type"] for item in third["input"]]
    assert said == [
        [{"type": "input_text", "text": "hello"}],
        "reasoning",
        "function_call",
        "function_call_output",
        [{"type": "input_text", "text": "and?"}],
        [{"type": "output_text", "text": "so", "annotations": []}],
        "more",
    ]
    assert not any("_in_" in item.get("id", "") for item in third["input"])


def test_references_are_replaced_by_what_they_name() -> None:
    record = first()
    call = record.response["output"][1]
    body = {
        "model": "m",
        "input": [{"type": "item_reference", "id": call["id"]}, {"id": "msg_else"}, {"id": "msg_gone"}],
    }
    elsewhere = {"msg_else": {"role": "user", "content": "x"}}
    assert stored.expand(body, None, elsewhere.get)["input"] == [
        {"type": "item_reference", "id": call["id"]},
        elsewhere["msg_else"],
        {"id": "msg_gone"},
    ]
    assert stored.expand(body, record, elsewhere.get)["input"][3] == call


@pytest.mark.parametrize(("given", "path"), [({"input": 3}, "input"), ({"input": ["x"]}, "input[0]")])
def test_malformed_input_is_refused_with_its_path(given: dict[str, Any], path: str) -> None:
    with pytest.raises(Malformed) as caught:
        stored.expand(given, None)
    assert caught.value.path == path
    with pytest.raises(Malformed):
        stored.previous_id({"previous_response_id": 3})


def test_input_items_are_listed_page_by_page() -> None:
    body = {"input": [{"role": "user", "content": f"{n}"} for n in range(5)]}
    record = stored.record(body, {"id": "resp_a"})
    ids = [f"msg_a_in_{n}" for n in range(5)]
    page = stored.input_items(record, {"limit": "2"})
    ResponseItemList.model_validate(page)
    assert ([item["id"] for item in page["data"]], page["has_more"]) == ([ids[4], ids[3]], True)
    page = stored.input_items(record, {"order": "asc", "after": ids[2]})
    assert (page["first_id"], page["last_id"], page["has_more"]) == (ids[3], ids[4], False)
    assert stored.input_items(record, {"order": "asc", "after": ids[4]})["data"] == []


def test_listed_items_are_what_the_sdk_expects() -> None:
    item: TypeAdapter[Any] = TypeAdapter(ResponseItem)
    for listed in stored.record(stored.expand(SECOND, first()), {"id": "resp_b"}).items:
        item.validate_python(listed)


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"order": "up"}, {"after": "no"}])
def test_a_bad_page_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        stored.input_items(first(), query)


def test_what_is_gone_is_said_so() -> None:
    assert stored.deleted("resp_a") == {"id": "resp_a", "object": "response", "deleted": True}
    assert stored.not_found("resp_a").status == 404
    missing = stored.not_found("resp_a", "previous_response_id")
    assert (missing.status, missing.code) == (400, "previous_response_not_found")
