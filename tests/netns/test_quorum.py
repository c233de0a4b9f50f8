"""Two real nodes and a tiebreaker: when nothing but the heartbeats is cut, one goes on alone."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.netns import balancing_lab, quorum_lab
from tests.netns.quorum_lab import Lab, until

SKIP = balancing_lab.why_not("unshare", "hostname")
pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(SKIP), reason=SKIP),
]
SERVER = """tiebreaker = "qdevice"
[qdevice]
address = "10.9.0.3"
cluster = "lab"
key_file = "{keys}"
"""
DISK = """tiebreaker = "disk"
[disk]
path = "{path}"
"""
ONE, TWO, BOTH = ["node-1"], ["node-2"], ["node-1", "node-2"]
Prepare = Callable[[Lab], None]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with quorum_lab.lab(tmp_path) as built:
        yield built


def with_server(lab: Lab) -> None:
    lab.serve()
    lab.start(SERVER.format(keys=lab.place / "keys"))
    lab.ready()
    # The server has just been started: before its longest lease is over it promises nothing.
    until(lambda: all(node.arbiter("answer") == "vote" for node in lab.nodes.values()), 10)


def with_disk(lab: Lab) -> None:
    path = lab.place / "shared"
    path.write_bytes(bytes(64 * 1024))
    init = ("quorum", "disk", "init", str(path), "--yes", "--ha-dir", str(lab.place / "ha.d"))
    (lab.place / "ha.d").mkdir()
    (lab.place / "ha.d" / "ha.cf").write_text(
        quorum_lab.HA_CF.format(log="/dev/null"), encoding="utf-8"
    )
    lab.third.start(*init)
    assert lab.third.processes.pop().wait(30) == 0, lab.third.console()
    lab.start(DISK.format(path=path))
    lab.ready()
    until(lambda: all(node.arbiter("took_ms") is not None for node in lab.nodes.values()), 10)


@pytest.mark.parametrize("prepare", [with_server, with_disk], ids=["server", "disk"])
def test_of_two_nodes_that_are_cut_apart_exactly_one_keeps_quorum(
    lab: Lab, prepare: Prepare
) -> None:
    prepare(lab)
    lab.nodes["node-2"].do("resource", "move", "ip", "--node", "node-2")
    until(lambda: lab.owners() == TWO, 10)
    lab.cut()
    # The lowest name goes on, once the other one has stopped what it runs.
    assert lab.watch(8) == [TWO, [], ONE]
    assert lab.quorate() == ONE
    other = lab.nodes["node-2"].quorum()
    assert (other["mandate"], other["votes"], other["needed"]) == ("lost", 1, 2)
    lab.join()
    until(lambda: lab.quorate() == BOTH, 20)


@pytest.mark.hunt
@pytest.mark.skipif("STANDFEST_HUNT_SEED" not in os.environ, reason="runs in ./dev hunt only")
@pytest.mark.parametrize("prepare", [with_server, with_disk], ids=["server", "disk"])
def test_the_partner_of_a_dead_node_goes_on_without_a_break(lab: Lab, prepare: Prepare) -> None:
    prepare(lab)
    (owner,) = lab.owners()
    (survivor,) = set(lab.nodes) - {owner}
    lab.nodes[owner].kill()
    address = (f"{quorum_lab.ADDRESS}/24", "dev", "eth0")
    balancing_lab.run("ip", "-n", lab.nodes[owner].space, "addr", "del", *address)
    # Deadtime 1 s, half of it to settle, at most a lease of 1 s and a 32nd, intervals of 0.2 s.
    until(lambda: lab.owners() == [survivor], 5)
    assert lab.quorate() == [survivor]
    # It keeps the address for as long as it is alone.
    assert lab.watch(3) == [[survivor]]


@pytest.mark.hunt
@pytest.mark.skipif("STANDFEST_HUNT_SEED" not in os.environ, reason="runs in ./dev hunt only")
def test_a_lost_server_is_no_disaster_for_a_majority(lab: Lab) -> None:
    with_server(lab)
    (owner,) = lab.owners()
    lab.third.kill()
    assert lab.watch(4) == [[owner]]
    assert lab.quorate() == BOTH
    arbiter = lab.nodes["node-1"].quorum()["arbiter"]
    assert arbiter["trouble"] == "the server does not answer"


def test_hosts_outside_break_no_tie_without_fencing(lab: Lab) -> None:
    lab.start('tiebreaker = "ping"\n[ping]\nhosts = ["10.9.0.3"]\n')
    lab.ready()
    until(lambda: lab.nodes["node-1"].arbiter("answering") == "10.9.0.3", 10)
    lab.cut()
    until(lambda: not lab.quorate(), 5)
    found = lab.nodes["node-1"].quorum()
    assert found["why"] == "half of the votes; a ping tiebreaker counts only with fencing"
    balancing_lab.run("ip", "-n", lab.third.space, "link", "set", "eth0", "down")
    until(lambda: lab.nodes["node-1"].arbiter("answering") == "none", 5)
