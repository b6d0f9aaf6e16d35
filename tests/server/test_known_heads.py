"""A head that came before is not parsed again; nobody may be able to tell."""

from hypothesis import given
from hypothesis import strategies as st
from rude_clients import serve

from dragoman.server.heads import LONGEST, MOST, Heads

LENGTHS = (b"Content-Length", b"content-length")


def learned(data: bytes) -> Heads:
    """What is known after `data`, a POST to /a, was parsed."""
    heads = Heads()
    lines = [line.partition(b": ") for line in data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]]
    heads.learn(data, "POST", "/a", b"", {name.lower(): value for name, _, value in lines})
    return heads


def post(body: bytes, name: bytes = b"Content-Length", more: bytes = b"") -> bytes:
    return b"POST /a HTTP/1.1\r\nHost: x\r\n%b%b: %d\r\n\r\n%b" % (more, name, len(body), body)


def test_a_head_is_known_whatever_the_length_of_the_body():
    heads = learned(post(b"hello"))
    found = heads.find(post(b"good morning"), 100)
    assert found is not None
    head, length, start = found
    assert (head.method, head.path, head.headers, length) == ("POST", "/a", {b"host": b"x"}, b"12")
    assert post(b"good morning")[start:] == b"good morning"


def test_another_head_is_not():
    heads = learned(post(b"hello"))
    assert heads.find(post(b"hello", more=b"X-Else: 1\r\n"), 100) is None
    assert heads.find(post(b"hello").replace(b"/a", b"/b"), 100) is None


def test_a_length_that_another_header_names_is_not_taken_for_the_bodys():
    for more in (b"X-Length: 5\r\n", b"X-Strength: 5\r\n", b"X-Said: content-length: 5\r\n"):
        heads = learned(post(b"hello", more=more))
        lying = post(b"hello", more=more.replace(b"5", b"1"))
        assert heads.find(lying, 100) is None


def test_what_is_no_plain_number_or_is_too_large_is_the_parsers_to_judge():
    heads = learned(post(b"hello"))
    for length in (b"+5", b"-1", b"5, 5", b"5 ", b"0x5", b"", b"1" * 40, b"101"):
        assert heads.find(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %b\r\n\r\nhello" % length, 100) is None


def test_two_lengths_are_never_learned():
    doubled = post(b"hello", more=b"content-length: 5\r\n")
    assert learned(doubled).find(doubled, 100) is None


def test_heads_are_forgotten_before_they_fill_the_memory():
    heads = Heads()
    for number in range(3 * MOST):
        data = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number
        heads.learn(data, "GET", f"/{number}", b"", {b"host": b"x"})
    assert len(heads._known) <= MOST
    long = b"GET /" + b"a" * LONGEST + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    heads.learn(long, "GET", "/a", b"", {b"host": b"x"})
    assert heads.find(long, 0) is None


requests = st.lists(
    st.builds(
        post,
        st.binary(max_size=12),
        st.sampled_from(LENGTHS),
        st.sampled_from((b"", b"X-Length: 5\r\n", b"Accept: */*\r\n")),
    )
    | st.sampled_from(
        (
            b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n",
            post(b"hi")
            .replace(b"Content-Length: 2", b"Transfer-Encoding: chunked")
            .replace(b"hi", b"2\r\nhi\r\n0\r\n\r\n"),
        )
    ),
    min_size=1,
    max_size=6,
)


@given(requests, st.lists(st.integers(1, 40), max_size=8))
def test_requests_are_read_alike_whether_their_heads_are_known_or_not(sent: list[bytes], cuts: list[int]) -> None:
    import asyncio

    async def run() -> None:
        async with serve() as served:
            alone = []
            for request in sent:
                served.listener.heads = Heads()
                talk = await served.say(request)
                alone.append((await talk.answer()).body)
                talk.leave()
            for request in sent:  # now all are known
                await (await served.say(request)).answer()
            talk = await served.dial()
            stream = b"".join(sent)
            for cut in cuts:
                talk.send(stream[:cut])
                stream = stream[cut:]
                await asyncio.sleep(0)
            if stream:
                talk.send(stream)
            assert [(await talk.answer()).body for _ in sent] == alone

    asyncio.run(run())
