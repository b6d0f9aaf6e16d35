"""Why an answer ends: stop sequences, the token limit, refusals, filters."""

import pytest

SORRY = "I'm sorry, I can't help with that."


def lossy(talk) -> str:
    return talk.headers.get("x-dragoman-lossy", "")


def test_the_token_limit_ends_an_answer(cell):
    # the Responses API's least limit is 16
    said = cell.talk(max_tokens=16).user("words:50").reply()
    assert said.text == " ".join(f"word{i}" for i in range(50))[:64]
    assert said.finish == "length"


def test_a_stop_sequence_ends_an_answer(cell):
    if not cell.client.can_stop:
        talk = cell.talk().user("words:50")  # its API has none
        assert talk.reply().text.endswith("word49")
        return
    talk = cell.talk(stop=["word3", "word9"]).user("words:50")
    said = talk.reply()
    if cell.column.stops:
        assert said.text == "word0 word1 word2 "
        assert lossy(talk) == ""
    else:
        assert said.text.endswith("word49")  # the upstream has none, which is told
        assert lossy(talk) in ("stop", "stop_sequences", "generationConfig.stopSequences", "options.stop")
    assert said.finish == "stop"


def test_a_refusal_is_told(cell):
    said = cell.talk().user("refuse").reply()
    if not cell.client.can_refuse:
        # no word for it: what the model said of it, if anything, is the answer
        assert said.finish == "stop"
        assert said.text in (SORRY, "")
    elif said.finish == "stop":
        assert said.text == SORRY  # upstreams without refusals say it in plain text
    else:
        assert said.finish in ("refusal", "content_filter")
        assert (said.refusal or said.text or SORRY) == SORRY


def test_a_filtered_answer_is_told(cell):
    talk = cell.talk().user("filter")
    if cell.column.filters == "error":
        with pytest.raises(cell.client.failed):  # the provider says only that it failed
            talk.reply()
        return
    said = talk.reply()
    if cell.column.filters == "stop" or not cell.client.can_refuse:
        assert said.finish == "stop"
    else:
        assert said.finish in ("content_filter", "refusal")
