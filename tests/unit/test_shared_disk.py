"""The shared disk on a real file: prepared once, never over something else, and read as written."""

from pathlib import Path

import pytest

from standfest.daemons.diskvote import SharedDiskVote, prepare
from standfest.model.errors import OperationError
from standfest.model.quorum import Breaker, Presence, QuorumRules
from standfest.model.quorumfile import QuorumSettings
from standfest.model.time import milliseconds, seconds

NODES = ("a", "b")
RULES = QuorumRules((("a", 1), ("b", 1)), breaker=Breaker.DISK)
SETTINGS = QuorumSettings(RULES, None, milliseconds(200), seconds(1))
SIZE = 3 * 4096  # a header, and a sector for each of two nodes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(SIZE))
    try:
        prepare(disk, NODES, again=False)
    except OperationError as error:
        if "no direct I/O" in str(error):
            pytest.skip(str(error))
        raise
    return disk


def test_a_disk_is_prepared_once_unless_told_again(path: Path) -> None:
    with pytest.raises(OperationError, match="is prepared already; expected an empty disk"):
        prepare(path, NODES, again=False)
    before = path.read_bytes()
    prepare(path, NODES, again=True)
    assert path.read_bytes() != before  # another disk: old words are none


@pytest.mark.parametrize("again", [True, False])
def test_what_is_not_empty_is_left_as_it_is(path: Path, again: bool) -> None:
    foreign = bytearray(SIZE)
    foreign[2 * 4096 + 5] = 1  # in the last sector that would be written
    path.write_bytes(foreign)
    with pytest.raises(OperationError, match=r"has something on it \(sector 2\)"):
        prepare(path, NODES, again=again)
    assert path.read_bytes() == foreign


def test_a_disk_that_is_too_small_is_refused(path: Path) -> None:
    path.write_bytes(bytes(SIZE - 4096))
    with pytest.raises(OperationError, match="has 8192 bytes; expected at least 12288"):
        prepare(path, NODES, again=False)


def test_two_nodes_on_one_disk_and_one_of_them_gets_the_vote(path: Path) -> None:
    now = [seconds(5)]
    a, b = (SharedDiskVote(str(path), SETTINGS, name, lambda: now[0]) for name in NODES)
    for vote, name in ((a, "a"), (b, "b")):
        vote.present(Presence(frozenset(name), 1, 1, enough=True, busy=False))
        vote.on_timer()
    assert a.lease.votes_until == seconds(6)
    assert b.lease.votes_until == 0
    assert b.status()["answer"] == "a's partition comes first"


def test_a_disk_for_other_nodes_promises_nothing(path: Path) -> None:
    prepare(path, ("a", "c"), again=True)
    vote = SharedDiskVote(str(path), SETTINGS, "a", lambda: 0)
    vote.present(Presence(frozenset("a"), 1, 1, enough=True, busy=False))
    vote.on_timer()
    assert vote.status()["trouble"] == f"{path} is prepared for other nodes; prepare it again"
    assert vote.lease.votes_until == 0
