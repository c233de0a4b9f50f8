"""Filters of an agent's shared address, found again by the next process."""

from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest

from standfest.adapters.linux.shares import Shares
from standfest.adapters.memory.host import MemoryFilter, MemoryHost
from standfest.model.errors import OperationError
from standfest.model.sharing import Answering, HashMode, Layout, SharedAddress, Target
from standfest.ports.sharing import BucketFilter

VIP = ip_address("192.0.2.1")
SHARED = SharedAddress(
    "ip_192.0.2.1",
    (ip_interface("192.0.2.1/24"),),
    "eth0",
    bytes.fromhex("010203040506"),
    Layout(HashMode.SOURCE_IP, 2, 7),
)


class Machine:
    """A kernel in memory; refused: what cannot be made here; chosen: how often AUTO was asked."""

    def __init__(self, directory: Path, *, refused: tuple[Target, ...] = ()) -> None:
        self.host = MemoryHost()
        self.refused = refused
        self.chosen = 0
        self.opened: list[Target] = []
        self.shares = Shares(self.choose, self.open, directory)

    def choose(self, _shared: SharedAddress, target: Target) -> Target:
        self.chosen += target is Target.AUTO
        return Target.NFTABLES if target is Target.AUTO else target

    def open(self, shared: SharedAddress, target: Target) -> BucketFilter:
        if target in self.refused:
            raise OperationError(f"no {target.value} here")
        self.opened.append(target)
        return MemoryFilter(self.host, shared)


def test_what_auto_means_is_decided_when_the_filter_is_made_and_then_remembered(
    tmp_path: Path,
) -> None:
    machine = Machine(tmp_path)
    with machine.shares.sharing(SHARED, Target.AUTO) as buckets:
        assert buckets.look() is None
        buckets.open()
        buckets.answer(Answering(frozenset({1})), None)
    assert machine.chosen == 1
    with machine.shares.sharing(SHARED, Target.AUTO) as buckets:
        assert buckets.look() == Answering(frozenset({1}))
        buckets.open()
    with machine.shares.made(VIP) as (made, buckets):
        assert (made.shared, made.target) == (SHARED, Target.NFTABLES)
        assert buckets.look() == Answering(frozenset({1}))
    assert machine.chosen == 1  # asking changes nothing in the kernel
    assert set(machine.opened) == {Target.NFTABLES}


def test_another_target_is_another_filter(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with machine.shares.sharing(SHARED, Target.NFTABLES) as buckets:
        buckets.open()
    with machine.shares.sharing(SHARED, Target.CLUSTERIP) as buckets:
        assert buckets.look() is None
        buckets.open()
    made, gone = ["rules", "address 192.0.2.1"], ["no address 192.0.2.1", "no rules"]
    assert machine.host.log == made + gone + made
    assert machine.opened[-1] is Target.CLUSTERIP


def test_what_cannot_be_made_can_be_stopped(tmp_path: Path) -> None:
    machine = Machine(tmp_path, refused=(Target.CLUSTERIP,))
    with (
        machine.shares.sharing(SHARED, Target.CLUSTERIP) as buckets,
        pytest.raises(OperationError, match="no CLUSTERIP here"),
    ):
        buckets.open()
    with machine.shares.sharing(SHARED, Target.CLUSTERIP) as buckets:
        assert buckets.look() is None
        buckets.close(keep=False)
    with pytest.raises(OperationError, match="is not shared here"), machine.shares.made(VIP):
        pass


def test_a_filter_whose_file_was_removed_is_still_taken_away(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with machine.shares.sharing(SHARED, Target.AUTO) as buckets:
        buckets.open()
    (tmp_path / "ip_192.0.2.1.json").unlink()
    with machine.shares.sharing(SHARED, Target.AUTO) as buckets:
        assert buckets.look() is None
        buckets.close(keep=False)
    assert machine.host.filters == {}


def test_a_torn_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "ip_192.0.2.1.json").write_text('{"name": "ip_192.0.2.1"}')
    shares = Machine(tmp_path).shares
    with pytest.raises(OperationError, match="is not shared here"), shares.made(VIP):
        pass
