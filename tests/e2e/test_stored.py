"""The Responses API's memory over every upstream."""

import openai
import pytest

from e2e.columns import COLUMNS
from e2e.test_tools import CLOCK


@pytest.fixture(scope="module")
def client(world):
    return openai.OpenAI(base_url=f"{world.gateway.url}/v1", api_key="any", max_retries=0)


@pytest.fixture(params=COLUMNS)
def model(request):
    return request.param


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_goes_on_from_a_stored_response(world, client, model, stream):
    def ask(**asked):
        if not stream:
            return client.responses.create(model=model, **asked)
        events = list(client.responses.create(model=model, stream=True, **asked))
        assert events[-1].type == "response.completed"
        return events[-1].response

    first = ask(input="my name is Ada")
    second = ask(input="what is my name?", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert second.output_text == "You said: what is my name?"
    third = ask(input="and again?", previous_response_id=second.id)
    assert third.id not in (first.id, second.id)
    if model not in (
        "azure",
        "openai-responses",
    ):  # there the provider has it stored itself, so only the reference goes there
        asked = world.fakes[model].last.body.decode()
        assert "my name is Ada" in asked
        assert "You said: what is my name?" in asked


def test_a_tool_loop_goes_over_stored_responses(client, model):
    tool = {"type": "function", "name": CLOCK.name, "parameters": CLOCK.schema, "strict": False}
    first = client.responses.create(model=f"{model}.think", input="call:clock", tools=[tool])
    (called,) = [item for item in first.output if item.type == "function_call"]
    assert called.arguments == "{}"
    result = {"type": "function_call_output", "call_id": called.call_id, "output": "noon"}
    second = client.responses.create(
        model=f"{model}.think", input=[result], tools=[tool], previous_response_id=first.id
    )
    assert second.output_text == "clock returned: noon"


def test_a_stored_response_is_found_listed_and_forgotten(client, model):
    made = client.responses.create(model=model, input="remember me", instructions="Be brief.")
    found = client.responses.retrieve(made.id)
    assert found.output_text == made.output_text
    items = client.responses.input_items.list(made.id).data
    assert [item.content[0].text for item in items] == ["remember me"]
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.input_items.list(made.id)


def test_what_is_not_to_be_stored_is_not(client, model):
    made = client.responses.create(model=model, input="forget me", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_an_unknown_previous_response_is_refused(client, model):
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=model, input="hello", previous_response_id="resp_unknown")
    assert caught.value.code == "previous_response_not_found"
