"""TCP_CHECK, and what all connections have in common."""

import contextlib
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest
from tests.unit.probing import closed_port, hangs, resets, server, site

from standfest.model.balancing import Connection, TcpCheck, Timing
from standfest.model.time import milliseconds, seconds
from standfest.ports.probes import Target

SHORT = Timing(timeout=milliseconds(200))


def test_a_server_that_accepts_is_good() -> None:
    with server(hangs) as port, site() as bench:
        outcome = bench.probe(TcpCheck(), port)
        assert (outcome.succeeded, outcome.reason) == (True, "connects")


def test_a_server_that_resets_after_the_connection_is_good_for_it_was_connected() -> None:
    with server(resets) as port, site() as bench:
        assert bench.probe(TcpCheck(), port).succeeded


def test_a_port_on_which_nobody_listens_is_refused() -> None:
    port = closed_port()
    with site() as bench:
        outcome = bench.probe(TcpCheck(), port)
        assert not outcome.succeeded
        assert outcome.reason == f"connecting to 127.0.0.1:{port}: connection refused"


def test_ipv6_is_connected_and_refused_alike() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener, site() as bench:
        port = listener.getsockname()[1]
        assert bench.probe(TcpCheck(), port, "::1").succeeded
        listener.close()
        outcome = bench.probe(TcpCheck(), port, "::1")
        assert outcome.reason == f"connecting to [::1]:{port}: connection refused"


@contextlib.contextmanager
def full() -> Iterator[int]:
    """Yield the port of a server whose queue is full: it answers no further connection."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(2):  # a queue of 0 holds one, and one more is on its way
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_server_that_does_not_answer_is_waited_for_until_somebody_gives_it_up() -> None:
    with full() as port, site() as bench:
        target = Target(TcpCheck(), _loopback(), port)
        bench.probes.begin("a", 1, target)
        bench.run(at_most=milliseconds(100))
        assert bench.reports == []
        bench.probes.abandon("a", 2)  # not this one
        assert len(bench.probes._tcp._opened) == 1
        bench.probes.abandon("a", 1)
        assert bench.probes._tcp._opened == {}
        bench.run(at_most=milliseconds(50))
        assert bench.reports == []


def test_a_batch_is_reported_together_whoever_is_slow() -> None:
    with full() as slow, server(hangs) as port, site() as bench:
        bench.probes.begin("slow", 1, Target(TcpCheck(), _loopback(), slow))
        for number in range(20):
            bench.probes.begin(f"good-{number}", 7, Target(TcpCheck(), _loopback(), port))
        bench.run(20, seconds(2))
        assert [name for name, _, _ in bench.reports] == [f"good-{n}" for n in range(20)]
        assert {number for _, number, _ in bench.reports} == {7}
        assert bench.loop.now() < bench._end  # type: ignore[operator]


def test_a_connection_comes_from_the_address_and_port_that_are_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, site() as bench:
        mine = closed_port()
        port = listener.getsockname()[1]
        connection = Connection(source=_loopback("127.0.0.9"), source_port=mine)
        for _ in range(3):  # again and again: no TIME_WAIT keeps the port
            assert bench.probe(TcpCheck(connection), port).succeeded
            accepted, peer = listener.accept()
            accepted.close()
            assert peer == ("127.0.0.9", mine)


def test_an_address_that_is_not_ours_is_one_clear_line() -> None:
    with site() as bench:
        connection = Connection(source=_loopback("192.0.2.1"))
        outcome = bench.probe(TcpCheck(connection), 9)
        assert outcome.reason == "connecting to 127.0.0.1:9: cannot assign requested address"


def test_a_connection_is_closed_by_a_reset_so_that_nothing_stays_behind() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, site() as bench:
        assert bench.probe(TcpCheck(), listener.getsockname()[1]).succeeded
        connection, _ = listener.accept()
        with connection, pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_mark_and_an_interface_are_set_or_said_to_be_impossible() -> None:
    with server(hangs) as port, site() as bench:
        outcome = bench.probe(TcpCheck(Connection(interface="lo", mark=7)), port)
        # Without privilege it is refused, with one line.
        refused = f"connecting to 127.0.0.1:{port}: operation not permitted"
        assert outcome.reason in ("connects", refused)
        outcome = bench.probe(TcpCheck(Connection(interface="none-such")), port)
        assert not outcome.succeeded
        assert outcome.reason.startswith(f"connecting to 127.0.0.1:{port}: ")


def _loopback(text: str = "127.0.0.1") -> IPv4Address:
    return IPv4Address(text)
