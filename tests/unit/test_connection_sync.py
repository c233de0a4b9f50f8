"""Sync daemons of the kernel are left alone where they are what is wanted; ours sign with a key."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from standfest.daemons.balancer.kernelsync import KernelDaemons
from standfest.daemons.balancer.syncing import FlowCopies
from standfest.daemons.director.words import Words, pair
from standfest.model.balancing import SyncDaemon
from standfest.model.flows import Flow, FlowKey
from standfest.model.time import Duration
from standfest.ports.flows import Changes, FlowTable
from standfest.runtime.balancer.effects import Synchronise
from standfest.runtime.loop import Loop
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


# --- our own datagrams ---------------------------------------------------------------------------


class Nothing:
    """A data plane without a connection."""

    look_every: Duration | None = None

    def begin(self) -> list[Flow]:
        return []

    def fileno(self) -> int | None:
        return None

    def changes(self) -> Changes:
        return Changes((), ())

    def end(self) -> None:
        pass

    def mark_of(self, flow: Flow) -> int:
        return flow.mark

    def put(self, flows: Sequence[Flow], lease_s: int | None) -> int:
        return 0

    def delete(self, keys: Sequence[FlowKey]) -> None:
        pass

    def close(self) -> None:
        pass

    def flow_table(self) -> FlowTable:
        return self


def test_a_key_is_read_at_each_reload_and_nothing_is_copied_without(tmp_path: Path) -> None:
    path = tmp_path / "key"
    settings = SyncDaemon("lo", "gw", port=18848, key_file=str(path))
    speakers, reader = pair()
    with speakers, reader:
        copies = FlowCopies(Nothing(), Loop(lambda: None, lambda: None), Words(speakers, "b"))

        def told() -> str:
            copies.set(SENDS, settings)
            return reader.recv(4096).decode()

        assert f"{path}: No such file or directory; expected a key" in told()
        path.write_text("0123456789abcdef")
        path.chmod(0o644)
        assert "mode is 0644; expected 0600" in told()
        path.chmod(0o600)
        assert "connections: 0 taken over" in told()
        assert "sending on lo, port 18848, signed" in reader.recv(4096).decode()
        path.chmod(0o640)
        assert "expected 0600: the one from before is used" in told()
        path.chmod(0o600)
        copies.set(SENDS, settings)
        reader.setblocking(False)
        with pytest.raises(BlockingIOError):
            reader.recv(4096)  # it goes on as before
        copies.set(Synchronise(sends=False, receives=False, id=None), None)
