"""Failures of the upstream: the SDK raises what it raises for its own provider's failure, and never sees a clean end.

Each failing request has a model and an account of its own (see `World`), which rest afterwards; the request after it,
at the same provider, is answered.
"""

import pytest

from e2e.world import SECRET
from fakes import Scenario, status


def ask(cell, fate: str | None = None):
    """One question to the account of this cell's fate."""
    return cell.talk(f"{fate}.{cell.row}" if fate else None).user("words:40")


def raises(cell, talk, code: int | None):
    """The SDK's exception for the answer to this talk."""
    with pytest.raises(cell.client.failed) as caught:
        talk.reply()
    if code is not None:
        assert talk.status(caught.value) == code
    assert SECRET not in str(caught.value)
    assert ask(cell).reply().text.endswith("word39")  # nobody else suffers
    return caught.value


def test_a_bad_request_is_told_in_the_providers_words(cell):
    cell.fake.script(status(400, "Your request is odd."))
    error = raises(cell, ask(cell), 400)
    assert "Your request is odd." in str(error)


def test_a_refused_account_is_the_gateways_trouble(cell):
    cell.fake.script(status(401, "Who are you?"))
    error = raises(cell, ask(cell, "e401"), 502)
    assert "Who are you?" not in str(error)


def test_a_model_the_provider_does_not_know_is_not_found(cell):
    cell.fake.script(status(404, "No such model."))
    raises(cell, ask(cell, "e404"), 404)


def test_a_rate_limit_tells_how_long_to_wait(cell):
    cell.fake.script(status(429, "Slow down.", retry_after="7"))
    talk = ask(cell, "e429")
    error = raises(cell, talk, 429)
    assert isinstance(error, cell.client.rate_limited)
    waits = talk.retry_after(error)
    assert waits is None or float(waits) == 7  # None: this SDK does not show it


def test_a_failing_provider_is_a_bad_gateway(cell):
    cell.fake.script(status(500, "Out of order."))
    raises(cell, ask(cell, "e500"), 502)


def test_an_error_in_the_middle_is_raised(cell):
    cell.fake.script(Scenario(fault="error", after=3))
    raises(cell, ask(cell, "emid"), None if cell.mode.stream else 502)


def test_a_stream_without_its_end_is_no_answer(cell):
    cell.fake.script(Scenario(fault="cut", after=3))
    raises(cell, ask(cell, "ecut"), None if cell.mode.stream else 502)


def test_a_connection_that_drops_is_no_answer(cell):
    cell.fake.script(Scenario(fault="drop", after=3))
    raises(cell, ask(cell, "edrop"), None if cell.mode.stream else 502)


@pytest.mark.parametrize("column", ["openai-responses", "azure"], indirect=True)
@pytest.mark.parametrize("row", ["openai-responses-sync"], indirect=True)
def test_a_clients_own_mistakes_rest_nobody(cell):
    """OpenAI says 404 of an item that the client invented."""
    for _ in range(8):
        talk = ask(cell)
        talk.history.append({"type": "item_reference", "id": "msg_invented"})
        with pytest.raises(cell.client.failed) as caught:
            talk.reply()
        assert talk.status(caught.value) == 404
    assert ask(cell).reply().text.endswith("word39")
