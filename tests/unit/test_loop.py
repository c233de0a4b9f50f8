"""The driver: what has arrived is seen before its absence is judged."""

import os
import time

from standfest.runtime.loop import Loop


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
