"""The kernel's sync daemons are left alone where they are what is wanted."""

from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from standfest.daemons.balancer.kernelsync import KernelDaemons
from standfest.daemons.director.words import Words, pair
from standfest.model.balancing import SyncDaemon
from standfest.runtime.balancer.effects import Synchronise
from standfest.wire.ipvs import BACKUP, MASTER, Daemon

SETTINGS = SyncDaemon("eth0")
SENDS = Synchronise(sends=True, receives=False, id=51)


class Kernel:
    """Runs daemons and says of them what Linux 6.1 says."""

    def __init__(self, *running: Daemon) -> None:
        self.running = {daemon.state: daemon for daemon in running}
        self.calls: list[tuple[str, int]] = []

    def daemons(self) -> list[Daemon]:
        return list(self.running.values())

    def start_sync(self, state: int, settings: SyncDaemon, id: int) -> None:
        self.calls.append(("start", state))
        self.running[state] = said(state, settings.interface, id)

    def stop_sync(self, state: int) -> None:
        self.calls.append(("stop", state))
        del self.running[state]


def said(state: int, interface: str = "eth0", id: int = 51) -> Daemon:
    return Daemon(state, interface, id, 1472, IPv4Address("224.0.0.81"), 8848, 1)


@pytest.fixture
def words() -> Iterator[Words]:
    speakers, reader = pair()
    with speakers, reader:
        yield Words(speakers, "balancer")


def test_a_daemon_that_runs_as_wanted_is_not_started_again(words: Words) -> None:
    # Messages that wait in the kernel for up to two seconds would be lost with it.
    kernel = Kernel(said(MASTER))
    KernelDaemons(kernel, words).set(SENDS, SETTINGS)
    assert kernel.calls == []


@pytest.mark.parametrize("other", [said(MASTER, "eth1"), said(MASTER, id=52)])
def test_one_that_runs_otherwise_is(words: Words, other: Daemon) -> None:
    kernel = Kernel(other)
    KernelDaemons(kernel, words).set(SENDS, SETTINGS)
    assert kernel.calls == [("stop", MASTER), ("start", MASTER)]


def test_the_other_direction_begins_before_the_first_ends(words: Words) -> None:
    kernel = Kernel(said(BACKUP))
    KernelDaemons(kernel, words).set(SENDS, SETTINGS)
    assert kernel.calls == [("start", MASTER), ("stop", BACKUP)]
