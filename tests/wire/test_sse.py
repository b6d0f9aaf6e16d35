import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.wire import sse
from dragoman.wire.sse import Event, Frames, FrameTooLong, Lines, parse

line = st.sampled_from(
    [
        b"data: {}",
        b"data:x",
        b"data",
        b"data: ",
        b"event: ping",
        b"event:e",
        b": comment",
        b"id: 7",
        b"retry: 1",
        b"x",
        b"data: \xc3\xa9",
    ]
)
frames = st.lists(st.lists(line, min_size=1, max_size=4), max_size=5)
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])


def cut(raw: bytes, data: st.DataObject) -> list[bytes]:
    at = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=8)))
    return [raw[a:b] for a, b in zip([0, *at], [*at, len(raw)], strict=True)]


def feed(cutter: Frames | Lines, parts: list[bytes]) -> list[bytes]:
    return [whole for part in parts for whole in cutter.feed(part)]


@given(frames, ends, st.data())
def test_any_cut_gives_the_same_frames(blocks: list[list[bytes]], end: bytes, data: st.DataObject) -> None:
    raw = b"".join(b"".join(text + end for text in block) + end for block in blocks)
    whole = [b"".join(text + b"\n" for text in block) + b"\n" for block in blocks]
    raw += b": the end"  # so that a last CR is known not to be half a CRLF
    cutter = Frames()
    assert feed(cutter, cut(raw, data)) == whole
    assert cutter.rest() == b": the end"


@given(frames, ends)
def test_frames_that_come_alone_are_the_frames_that_come_together(blocks: list[list[bytes]], end: bytes) -> None:
    alone = [b"".join(text + end for text in block) + end for block in blocks]
    after = b": the end"  # so that a last CR is known not to be half a CRLF
    assert feed(Frames(), [*alone, after]) == feed(Frames(), [b"".join(alone) + after])


@given(
    st.binary(max_size=60).map(lambda raw: raw.translate(bytes(b"\r\n:adt x"[byte % 8] for byte in range(256)))),
    st.data(),
)
def test_any_cut_of_any_bytes_gives_the_same_events(raw: bytes, data: st.DataObject) -> None:
    """Frames of odd bytes may be told apart differently only where they say nothing."""

    def events(parts: list[bytes]) -> list[Event]:
        return [event for frame in feed(Frames(), parts) if (event := parse(frame))]

    assert events(cut(raw, data)) == events([raw])


@given(st.lists(st.sampled_from([b"{}", b"", b" ", b"[1]", b"\xc3\xa9"])), st.sampled_from([b"\n", b"\r\n"]), st.data())
def test_any_cut_gives_the_same_lines(texts: list[bytes], end: bytes, data: st.DataObject) -> None:
    raw = end.join([*texts, b"last"])
    cutter = Lines()
    assert feed(cutter, cut(raw, data)) == [text for text in texts if text.strip()]
    assert cutter.rest() == b"last"


def test_a_stream_that_ends_in_a_lone_cr_ends_its_last_frame() -> None:
    cutter = Frames()
    assert cutter.feed(b"data: 1\r\r") == []
    assert cutter.rest() == b"data: 1\n\r"
    assert parse(cutter.rest()) == Event("", b"1")


@given(st.text("ab{}:, é").map(str.encode), st.sampled_from(["", "ping", "message_start"]))
def test_what_is_written_is_read_back(data: bytes, name: str) -> None:
    (frame,) = Frames().feed(sse.write(data, name))
    assert parse(frame) == Event(name, data)


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        (b"data: 1\n\n", Event("", b"1")),
        (b"data:1\n\n", Event("", b"1")),
        (b"data:  1\n\n", Event("", b" 1")),
        (b"data\n\n", Event("", b"")),
        (b"data: 1\ndata: 2\n\n", Event("", b"1\n2")),
        (b"event: e\ndata: 1\nid: 3\n\n", Event("e", b"1")),
        (b": ping\n\n", None),
        (b"event: e\n\n", None),
        (b"\n\n", None),
        (b"database: 1\n\n", None),
        (b"\xef\xbb\xbfdata: 1\n\n", Event("", b"1")),
    ],
)
def test_the_events_in_frames(frame: bytes, event: Event | None) -> None:
    assert parse(frame) == event


@pytest.mark.parametrize("cutter", [Frames(), Lines()])
def test_an_endless_frame_is_cut_off(cutter: Frames | Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LIMIT", 1000)
    with pytest.raises(FrameTooLong):
        for _ in range(100):
            cutter.feed(b"x" * 100)


def test_a_long_frame_in_small_pieces_takes_no_long_time() -> None:
    """Each arrival looks at what is new, not at all that has come: 4 MB in pieces of 1 KB would be 8 GB otherwise."""
    piece = b"x" * 1024
    for cutter, end in ((Frames(), b"\n\n"), (Lines(), b"\n")):
        started = time.process_time()
        for _ in range(4096):
            assert cutter.feed(piece) == []
        (frame,) = cutter.feed(end)
        assert len(frame.strip()) == 4096 * 1024
        assert time.process_time() - started < 1
