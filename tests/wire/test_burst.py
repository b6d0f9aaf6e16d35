"""Writes that are made together."""

import asyncio

from dragoman.wire.burst import MOST, Burst


class Transport:
    """Notes what is written, and when."""

    def __init__(self, log: list[object]) -> None:
        self.log = log

    def write(self, data: bytes) -> None:
        self.log.append(data)


async def _turn() -> None:
    await asyncio.sleep(0)


async def test_writes_go_out_in_order_at_the_end_of_the_turn_after_what_must_come_before():
    log: list[object] = []
    burst = Burst(lambda: log.append("journal"))
    one, two = Transport(log), Transport(log)
    burst.write(one, b"a")
    burst.write(two, b"b")
    burst.write(one, b"c")
    assert log == []
    await _turn()
    assert log == ["journal", b"a", b"b", b"c"]


async def test_what_must_come_before_happens_even_where_nothing_is_written():
    log: list[object] = []
    Burst(lambda: log.append("journal")).soon()
    await _turn()
    assert log == ["journal"]


async def test_a_flush_by_hand_leaves_nothing_for_the_end_of_the_turn():
    log: list[object] = []
    burst = Burst()
    burst.write(Transport(log), b"a")
    burst.flush()
    assert log == [b"a"]
    await _turn()
    assert log == [b"a"]


async def test_one_whose_other_end_has_left_holds_up_nobody():
    class Closed(Transport):
        def write(self, data: bytes) -> None:
            raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    log: list[object] = []
    burst = Burst()
    for transport in (Transport(log), Closed(log), Transport(log)):
        burst.write(transport, b"a")
    await _turn()
    assert log == [b"a", b"a"]


async def test_one_who_never_lets_the_turn_end_keeps_no_more_than_a_burst_waiting():
    log: list[object] = []
    burst = Burst()
    for _ in range(MOST * 3):
        burst.write(Transport(log), b"x")
    assert len(log) == MOST * 3
