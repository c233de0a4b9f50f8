"""Persistence and passive failure detection of the proxy."""

from standfest.core.balancer.clients import Clients
from standfest.core.balancer.suspects import Suspects
from standfest.model.time import milliseconds, seconds

ALICE, NEIGHBOUR, BOB = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 9]), bytes([10, 0, 1, 1])
ALL_BITS, NETWORK = b"\xff\xff\xff\xff", b"\xff\xff\xff\x00"


def test_a_client_is_known_for_its_timeout_after_its_last_connection_began() -> None:
    clients = Clients(seconds(50), ALL_BITS)
    clients.bind(0, clients.who(ALICE), 7)
    assert [found.server for found in [clients.find(seconds(49), clients.who(ALICE))] if found] == [
        7
    ]
    assert clients.find(seconds(50), clients.who(ALICE)) is None
    assert clients.find(0, clients.who(BOB)) is None


def test_an_open_connection_keeps_a_client_known_and_its_end_begins_the_timeout() -> None:
    clients = Clients(seconds(50), ALL_BITS)
    binding = clients.bind(0, clients.who(ALICE), 7)
    clients.opened(0, binding)
    assert clients.find(seconds(500), clients.who(ALICE)) is binding
    clients.closed(seconds(500), binding)
    assert clients.find(seconds(549), clients.who(ALICE)) is binding
    assert clients.find(seconds(550), clients.who(ALICE)) is None


def test_a_mask_makes_one_client_of_a_network() -> None:
    clients = Clients(seconds(50), NETWORK)
    assert clients.who(ALICE) == clients.who(NEIGHBOUR) != clients.who(BOB)


def test_what_no_longer_holds_is_forgotten_and_what_does_is_handed_over() -> None:
    clients = Clients(seconds(50), ALL_BITS)
    clients.bind(0, clients.who(ALICE), 7)
    clients.bind(seconds(30), clients.who(BOB), 8)
    clients.forget_old(seconds(60))
    assert len(clients) == 1
    successor = Clients(seconds(50), ALL_BITS)
    # Another process may have another clock: what is handed over is how long it still holds.
    successor.restore(seconds(1000), clients.dump(seconds(60), at_most=10))
    found = successor.find(seconds(1000), successor.who(BOB))
    assert found is not None
    assert (found.server, found.until) == (8, seconds(1020))  # 30 + 50 - 60 = 20 s are left


def test_a_server_that_failed_is_avoided_until_a_trial_succeeds() -> None:
    suspects = Suspects()
    assert suspects.failed(0, 3)
    assert set(suspects.avoided) == {3}
    assert suspects.deadline() == milliseconds(500)
    assert suspects.due(milliseconds(499)) == []
    assert suspects.due(milliseconds(500)) == [3]
    assert suspects.due(milliseconds(500)) == []  # one trial at a time
    assert suspects.works(3)
    assert not suspects.avoided
    assert not suspects.works(3)  # no news


def test_trials_become_rarer_up_to_eight_seconds() -> None:
    suspects = Suspects()
    now = 0
    suspects.failed(now, 3)
    pauses = []
    for _ in range(6):
        at = suspects.deadline()
        assert at is not None
        pauses.append(at - now)
        now = at
        assert suspects.due(now) == [3]
        assert not suspects.failed(now, 3)
    assert pauses == [milliseconds(n) for n in (500, 1000, 2000, 4000, 8000, 8000)]


def test_further_failures_of_clients_do_not_put_the_trial_off() -> None:
    suspects = Suspects()
    suspects.failed(0, 3)
    suspects.failed(milliseconds(400), 3)
    assert suspects.deadline() == milliseconds(500)
