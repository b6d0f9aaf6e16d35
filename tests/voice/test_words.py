"""What a model writes, as it is said: cut into clauses, without what is for the eye, and aligned with its sound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.voice.clauses import Clauses
from dragoman.voice.playback import Alignment, Playback
from dragoman.voice.speakable import Speakable, plain


def cut(text, *, piece=1):
    clauses = Clauses()
    found = [c for at in range(0, len(text), piece) for c in clauses.add(text[at : at + piece])]
    return found + clauses.rest()


CUT = {
    "Yes.": ["Yes."],
    "Yes. I do.": ["Yes. ", "I do."],
    "Well, that depends on it. So.": ["Well, that depends on ", "it. ", "So."],
    "In short, no.": ["In short, ", "no."],
    "Ask Dr. Who. Then go.": ["Ask Dr. Who. ", "Then go."],
    "Pi is 3.14 or so. Right?": ["Pi is 3.14 or ", "so. ", "Right?"],
    "One two three four five six, seven eight. Nine ten.": [
        "One two three four ",
        "five six, seven eight. ",
        "Nine ten.",
    ],
    "Hm…\n\nThen: yes": ["Hm…\n", "\nThen: yes"],
    "1. First\n2. Second": ["1. First\n", "2. Second"],
    "你好。再见。": ["你好。", "再见。"],
}


@pytest.mark.parametrize(("text", "clauses"), CUT.items(), ids=CUT.keys())
def test_a_text_is_cut_into_what_can_be_said_at_once(text, clauses):
    assert cut(text) == clauses


@given(st.text(alphabet="ab .,!?\n…“”*_d1", max_size=400), st.integers(1, 50))
def test_the_pieces_are_the_text_however_it_streams_in(text, piece):
    pieces = cut(text, piece=piece)
    assert "".join(pieces) == text and all(pieces)


def test_a_sentence_without_end_is_cut_all_the_same():
    assert max(map(len, cut("word " * 500))) <= 281
    assert max(map(len, cut("w" * 5000))) <= 281


SAID = {
    "**Bold**, *soft* and __loud__ ~~gone~~.": "Bold, soft and loud gone.",
    "## Title": "Title",
    "- one": "one",
    "* [x] done": "done",
    "> quoted": "quoted",
    "See [the docs](https://a.example/b?c=d \"T\").": "See the docs.",
    "![a cat](cat.png)": "a cat",
    "Go to https://www.example.com/a/b?c#d.": "Go to example dot com.",
    "Run `make test` now": "Run make test now",
    "Great! 😀👍🏽 👩‍👩‍👧 →": "Great!",
    "🎉": "",
    "---": "",
    "| a | b |": "a, b",
    "|---|---|": "",
    "5 * 3 is 15": "5 * 3 is 15",
    "snake_case stays": "snake_case stays",
    "Salt & pepper, 50 %": "Salt and pepper, 50 percent",
    "<b>no</b> tags": "no tags",
    "x < 5 and y > 3": "x < 5 and y > 3",
    "Crème brûlée, naïve": "Crème brûlée, naïve",
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), SAID.items(), ids=SAID.keys())
def test_what_is_for_the_eye_is_not_said(text, said):
    assert plain(text) == said


def test_code_is_not_read_aloud():
    speakable = Speakable()
    assert [speakable.say(each) for each in ("Like so:\n", "```py\n", "print(1)\n", "```\n", "Done.")] == [
        "Like so:", "", "", "", "Done.",
    ]  # fmt: skip


@given(st.text(max_size=300))
def test_any_text_can_be_made_speakable(text):
    assert plain(plain(text)) is not None


def aligned(*clauses):
    alignment = Alignment()
    for text, ms in clauses:
        alignment.text += text
        alignment.mark(ms, len(alignment.text))
    return alignment


def test_what_was_heard_ends_with_a_whole_word():
    alignment = aligned(("One two three. ", 1500), ("Four five.", 1000))
    assert alignment.heard(0) == "" and alignment.heard(299) == ""
    assert alignment.heard(300) == "One" and alignment.heard(1300) == "One two"
    assert alignment.heard(1500) == "One two three." and alignment.heard(1999) == "One two three. Four"
    assert alignment.heard(2500) == alignment.heard(10**9) == "One two three. Four five."


@given(
    st.lists(st.tuples(st.sampled_from(["a b ", "word. ", "x", "  "]), st.integers(0, 500)), max_size=20),
    st.floats(-10, 9000),
    st.floats(0, 500),
)
def test_who_listens_longer_hears_more(clauses, ms, more):
    alignment = aligned(*clauses)
    assert alignment.heard(ms + more).startswith(alignment.heard(ms).rstrip())
    assert alignment.text.startswith(alignment.heard(ms))


def test_a_client_has_heard_what_was_sent_as_far_as_time_allows():
    playback = Playback()
    playback.send(10.0, "a", 500)
    playback.send(10.1, "b", 500)
    assert playback.heard("a", 10.2) == pytest.approx(200) and playback.heard("b", 10.2) == 0
    assert playback.lead(10.2) == pytest.approx(800) and playback.ends(10.2) == pytest.approx(11.0)
    assert playback.unheard(10.2) == ["a", "b"] and playback.unheard(10.7) == ["b"]
    assert playback.heard("b", 99.0) == 500 and playback.lead(99.0) == 0
    playback.send(20.0, "c", 100)  # after a silence
    assert playback.heard("c", 20.05) == pytest.approx(50) and playback.heard("nobody", 20.0) is None
    playback.flush(20.05)
    assert playback.heard("c", 30.0) == pytest.approx(50) and playback.lead(20.05) == 0


def test_the_first_piece_does_not_wait_for_a_space_that_never_comes():
    pieces = Clauses().add("3,1,4,1,5,9,2,6,5,3,5,8,9,7,9,3,2,3,8,4,6,2,6,4,3,3,8,3")
    assert pieces and len(pieces[0]) < 60
