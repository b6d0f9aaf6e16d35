"""Plain answers: every client, every upstream."""

import pytest


def test_text_is_answered(cell):
    talk = cell.talk().user("hello")
    said = talk.reply()
    assert said.text == "You said: hello"
    assert said.finish == "stop"
    assert said.input > 0
    assert said.output > 0
    assert said.model == cell.column.model
    assert talk.headers["x-dragoman-target"].endswith("/" + cell.column.model)
    assert talk.headers["x-dragoman-account"] == cell.column.name


def test_a_conversation_goes_on(cell):
    talk = cell.talk().user("first")
    assert talk.reply().text == "You said: first"
    assert talk.user("second").reply().text == "You said: second"
    assert "first" in cell.fake.last.body.decode()


def test_a_long_text_arrives_whole(cell):
    said = cell.talk().user("words:300").reply()
    assert said.text == " ".join(f"word{i}" for i in range(300))


def test_every_letter_survives(cell):
    text = 'exact:häßlich 你好 😀 "quoted" \\back/ \u2028 \t <&> é'
    assert cell.talk().user(text).reply().text == text.removeprefix("exact:")
