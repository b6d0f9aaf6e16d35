import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.wire.client import Client
from dragoman.wire.head import block, check_method, check_target, lines
from dragoman.wire.origin import Origin

ORIGIN = Origin("http", "127.0.0.1", 9)


def test_a_block_is_its_lines() -> None:
    assert block([(b"accept", b"*/*"), (b"x-a", b"")]) == b"accept: */*\r\nx-a: \r\n"
    assert lines(b"accept: */*\r\nX-A:b\r\n") == b"accept: */*\r\nX-A: b\r\n"
    assert lines(b"") == b""


@pytest.mark.parametrize(
    "pair",
    [
        (b"a", b"b\r\nc: d"),
        (b"a", b"b\n"),
        (b"a", b"\0"),
        (b"a b", b"c"),
        (b"a:", b"c"),
        (b"", b"c"),
        (b"a\r\n", b"c"),
        (b"Host", b"x"),
        (b"content-length", b"0"),
        (b"Transfer-Encoding", b"chunked"),
        (b"connection", b"close"),
    ],
)
def test_what_would_break_the_head_is_refused(pair: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match=r"header|break"):
        block([pair])


@pytest.mark.parametrize("text", [b"a: b", b"a: b\r\n\r\n", b"a: b\nc: d\r\n", b"ab\r\n", b"a : b\r\n", b" a: b\r\n"])
def test_a_ready_block_is_checked_too(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"header|break"):
        lines(text)


@pytest.mark.parametrize("target", [b"", b"x", b"http://x/", b"/a b", b"/a\r\nx: y", b"/\xc3\xa9", b"/\0", b"*"])
async def test_a_target_that_breaks_the_request_line_is_refused(target: bytes) -> None:
    with pytest.raises(ValueError, match="target"):
        await Client().send(ORIGIN, "GET", target)


@pytest.mark.parametrize("method", [b"", b"GE T", b"GET\r\n", b"CONNECT"])
async def test_a_method_that_is_none_is_refused(method: bytes) -> None:
    with pytest.raises(ValueError, match="method"):
        await Client().send(ORIGIN, method, b"/")


@pytest.mark.parametrize("host", ["a b", "a\r\nx: y", "a/b\n"])
async def test_a_host_that_breaks_the_head_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r"target|label|host|codec|Codepoint"):
        await Client().send(Origin("http", host, 80), "GET", b"/")


@given(st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), max_size=3))
def test_a_block_has_one_line_for_each_header_or_is_refused(pairs: list[tuple[bytes, bytes]]) -> None:
    try:
        text = block(pairs)
    except ValueError:
        return
    assert text.count(b"\n") == text.count(b"\r") == len(pairs)


@given(st.binary(max_size=20))
def test_a_checked_target_or_method_is_one_word(text: bytes) -> None:
    for check in (check_target, check_method):
        try:
            check(text)
        except ValueError:
            continue
        assert len(text.split()) == 1


@pytest.mark.parametrize(
    ("url", "origin", "authority"),
    [
        ("https://api.openai.com/v1", Origin("https", "api.openai.com", 443), "api.openai.com"),
        ("http://localhost:11434", Origin("http", "localhost", 11434), "localhost:11434"),
        ("http://[::1]:9/x", Origin("http", "::1", 9), "[::1]:9"),
        ("https://bücher.example/", Origin("https", "bücher.example", 443), "xn--bcher-kva.example"),
    ],
)
def test_origins_come_from_urls(url: str, origin: Origin, authority: str) -> None:
    assert Origin.of(url) == origin
    assert origin.authority == authority


@pytest.mark.parametrize("url", ["api.openai.com", "ftp://x/", "https:///v1", "http://x:port/"])
def test_what_is_no_url_is_no_origin(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|[Pp]ort"):
        Origin.of(url)
