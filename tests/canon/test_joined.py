"""Several streams joined to one: nothing twice, nothing missing, one beginning and one end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.canon import (
    Begin,
    End,
    Event,
    Finish,
    Fold,
    Opaque,
    PartDelta,
    PartEnd,
    PartPatch,
    PartStart,
    Reasoning,
    Reply,
    Text,
    ToolCall,
    Usage,
    Used,
)  # fmt: skip
from dragoman.canon.joined import Joined, Seam

SAID = "The ship sails at dawn, and the harbour master wants his fee before it does."
texts = st.text(st.sampled_from("ab \n.é😀"), min_size=1, max_size=60)


def pieces(text: str, cuts: list[int]) -> list[str]:
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(edges) if a < b]


def answer(texts: list[str], end: bool = True) -> list[Event]:
    """A stream of one text."""
    events: list[Event] = [Begin(id="x", model="m"), PartStart(index=0, part=Text())]
    events += [PartDelta(index=0, text=text) for text in texts]
    return [*events, PartEnd(index=0), Finish(reason="stop"), Used(usage=Usage(input=3, output=4)), End()][
        : None if end else len(events)
    ]


def folded(events: list[Event]) -> Reply:
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold.reply


@given(texts, st.lists(st.integers(0, 99), max_size=8), st.lists(st.integers(0, 99), max_size=8), st.integers(0, 99))
def test_an_exact_rest_makes_the_whole_text_wherever_it_broke(whole: str, cuts, later, at: int) -> None:
    first = pieces(whole, cuts)
    joined = Joined()
    out = joined.add(answer(first[: at % (len(first) + 1)], end=False))
    said = joined.said
    assert said == said.rstrip() and whole.startswith(said)
    assert joined.obstacle() is None
    joined.broke(Usage(input=10, output=2))
    joined.go_on(Seam(said, "exact"))
    out += joined.add(answer(pieces(whole[len(said) :], later)))
    reply = folded(out)
    assert "".join(part.text for part in reply.choices[0].parts if isinstance(part, Text)) == whole
    assert len(reply.choices[0].parts) == 1
    assert [type(event) for event in out].count(Begin) == [type(event) for event in out].count(End) == 1
    assert reply.usage == Usage(input=13, output=6)


@given(
    st.integers(1, len(SAID)), st.lists(st.integers(0, 99), max_size=8), st.sampled_from(["echo", "asked"]), st.data()
)
def test_what_is_repeated_at_the_seam_is_left_out(cut: int, cuts, how, data) -> None:
    said = SAID[:cut].rstrip()
    start = 0 if how == "echo" else data.draw(st.integers(0, max(0, len(said) - 30)))
    seam = Seam(said, how)
    new = "".join(map(seam.feed, pieces(SAID[start:], cuts))) + seam.end()
    if said == SAID[start:]:
        assert new == ""
    assert said + new == SAID


def test_a_rest_that_repeats_nothing_is_taken_as_it_comes() -> None:
    seam = Seam("The ship sails at dawn,", "asked")
    assert seam.feed(" and the") + seam.feed(" master wants his fee.") + seam.end() == " and the master wants his fee."


def test_a_short_likeness_is_chance() -> None:
    seam = Seam("I counted one, two, three, and the", "asked")
    assert seam.feed("the fourth was gone") + seam.end() == "the fourth was gone"


def test_a_tool_call_that_broke_is_made_anew() -> None:
    joined = Joined()
    call = PartStart(index=1, part=ToolCall(id="1", name="f"))
    out = joined.add([*answer(["Let me see."], end=False), PartEnd(index=0), call, PartDelta(index=1, text='{"a"')])
    joined.broke(None)
    joined.go_on(Seam(joined.said, "exact"))
    again = PartStart(index=0, part=ToolCall(id="2", name="f"))
    arguments = PartDelta(index=0, text='{"a": 1}')
    out += joined.add([Begin(), again, arguments, PartEnd(index=0), Finish(reason="tool_calls"), End()])
    text, made = folded(out).choices[0].parts
    assert isinstance(text, Text) and isinstance(made, ToolCall)
    assert (text.text, made.id, made.arguments) == ("Let me see.", "2", '{"a": 1}')


def test_tool_calls_come_whole_and_in_order_at_the_end() -> None:
    joined = Joined()
    events: list[Event] = [Begin()]
    for i in range(2):
        events += [PartStart(index=i, part=ToolCall(id=str(i), name="f")), PartDelta(index=i, text="{}")]
    assert joined.add(events) == [Begin()]
    out = [Begin(), *joined.add([PartEnd(index=0), PartEnd(index=1), Finish(reason="tool_calls"), End()])]
    assert [part.id for part in folded(out).choices[0].parts if isinstance(part, ToolCall)] == ["0", "1"]


def test_thinking_about_the_rest_is_not_shown() -> None:
    joined = Joined()
    out = joined.add(answer(["One"], end=False))
    joined.broke(None)
    joined.go_on(Seam("One", "exact"))
    out += joined.add([
        Begin(), PartStart(index=0, part=Reasoning()), PartDelta(index=0, text="hm"), PartEnd(index=0),
        PartStart(index=1, part=Text()), PartDelta(index=1, text=" two"), PartPatch(index=1, signature="s"),
        PartEnd(index=1), Finish(reason="stop"), End(),
    ])  # fmt: skip
    assert folded(out).choices[0].parts == [Text(text="One two")]


def test_the_words_of_another_dialect_are_not_taken_for_the_firsts_own() -> None:
    joined = Joined()
    joined.add([Begin(dialect="anthropic"), PartStart(index=0, part=Text(text="One"))])
    joined.broke(None)
    joined.go_on(Seam("One", "exact"))
    usage = Usage(output=3, extra={"theirs": 1})
    begin = Begin(dialect="ollama", id="2")
    out = joined.add([begin, Used(usage=usage), Finish(reason="stop", raw="their-word")])
    assert out[0] == Used(usage=Usage(output=3))
    assert out[-1] == Finish(reason="stop")


def test_before_anything_was_said_all_begins_anew() -> None:
    joined = Joined()
    out = joined.add([Begin(id="x"), PartStart(index=0, part=Text()), PartDelta(index=0, text="  ")])
    joined.broke(None)
    joined.go_on(None)
    out += joined.add(answer([" All of it"]))
    assert folded(out).choices[0].parts == [Text(text=" All of it")]


@pytest.mark.parametrize(
    "shown",
    [
        [PartStart(index=0, part=Reasoning()), PartDelta(index=0, text="hm")],
        [PartStart(index=0, part=Reasoning(signature="s")), PartStart(index=1, part=Text(text="Yes"))],
        [PartStart(index=0, part=Reasoning(encrypted="s")), PartEnd(index=0)],
        [PartStart(index=0, part=Text(text="Yes")), PartPatch(index=0, signature="s")],
        [PartStart(index=0, part=Opaque(dialect="anthropic", kind="server_tool_use", data={}))],
        [PartStart(index=0, part=Text(text="Yes")), PartStart(index=1, part=Reasoning()), PartDelta(index=1, text="h")],
    ],
)
def test_what_nobody_else_can_go_on_with_is_an_obstacle(shown: list[Event]) -> None:
    joined = Joined()
    joined.add([Begin(), *shown])
    assert joined.obstacle()
