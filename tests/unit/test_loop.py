"""The driver: what has arrived is seen before its absence is judged."""

import os
import selectors
import socket
import time
from functools import partial

import pytest

from standfest.runtime.loop import FEW, READ_WRITE, Loop


def test_everything_that_arrived_is_handled_before_a_timer_that_is_due() -> None:
    receive, send = os.pipe()
    seen: list[str] = []

    def on_timer() -> None:
        seen.append("timer")
        loop.stop()

    loop = Loop(lambda: 0, on_timer)

    def on_ready(_events: int) -> None:
        seen.append(os.read(receive, 1).decode())

    loop.watch(receive, on_ready)
    os.write(send, b"abc")  # one byte a call: three rounds
    loop.run()
    os.close(receive)
    os.close(send)
    assert seen == ["a", "b", "c", "timer"]


def test_a_descriptor_that_never_rests_cannot_keep_the_timer_away() -> None:
    receive, send = os.pipe()
    os.write(send, b"x")  # never read: always ready
    seen: list[str] = []

    def on_timer() -> None:
        seen.append("timer")
        loop.stop()

    loop = Loop(lambda: time.monotonic_ns() - 1, on_timer)
    loop.watch(receive, lambda _events: None)
    loop.run()
    for descriptor in (receive, send):
        os.close(descriptor)
    assert seen == ["timer"]


@pytest.mark.parametrize("count", [3, FEW + 1])
def test_readable_and_writable_descriptors_are_served_few_or_many(count: int) -> None:
    pairs = [socket.socketpair() for _ in range(count)]
    seen: list[tuple[int, int]] = []
    loop = Loop(lambda: time.monotonic_ns() + 10**9, loop_must_not_tire)

    def on_ready(number: int, events: int) -> None:
        seen.append((number, events))
        loop.forget(pairs[number][0].fileno())
        if len(seen) == 2:
            loop.stop()

    for number, (ours, _) in enumerate(pairs):
        events = READ_WRITE if number == 1 else selectors.EVENT_READ
        loop.watch(ours.fileno(), partial(on_ready, number), events)
    pairs[1][1].send(b"x")
    pairs[0][1].send(b"x")
    loop.run()
    for pair in pairs:
        for one in pair:
            one.close()
    assert sorted(seen) == [(0, selectors.EVENT_READ), (1, READ_WRITE)]


def test_a_descriptor_that_was_closed_without_a_word_stops_nobody_else() -> None:
    receive, send = os.pipe()
    other, gone = os.pipe()
    loop = Loop(lambda: None, loop_must_not_tire)
    loop.watch(other, lambda _events: None)
    loop.watch(receive, lambda _events: loop.stop())
    os.close(other)
    os.close(gone)
    os.write(send, b"x")
    loop.run()
    os.close(receive)
    os.close(send)


def test_what_is_forgotten_by_a_handler_of_the_same_round_is_not_called() -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    seen: list[int] = []
    loop = Loop(lambda: None, loop_must_not_tire)

    def on_ready(number: int, _events: int) -> None:
        seen.append(number)
        for ours, _ in pairs:
            loop.forget(ours.fileno())
        loop.stop()

    for number, (ours, theirs) in enumerate(pairs):
        loop.watch(ours.fileno(), partial(on_ready, number))
        theirs.send(b"x")
    loop.run()
    for pair in pairs:
        for one in pair:
            one.close()
    assert len(seen) == 1


def loop_must_not_tire() -> None:
    raise AssertionError("no timer was due")
