"""Why an answer ends: stop sequences, the token limit, refusals, filters."""


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
        assert lossy(talk) in ("stop", "stop_sequences", "stopSequences", "options.stop")
    assert said.finish == "stop"


def test_a_refusal_is_told(cell):
    said = cell.talk().user("refuse").reply()
    assert said.finish in ("refusal", "stop", "content_filter")
    assert "can't help" in (said.refusal or said.text) or said.finish in ("refusal", "content_filter")


def test_a_filtered_answer_is_told(cell):
    said = cell.talk().user("filter").reply()
    assert said.finish in ("content_filter", "refusal")
