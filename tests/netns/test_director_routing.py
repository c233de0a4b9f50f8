"""What the director sets besides virtual addresses: routes, rules, static things, and no_accept."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.netns import vrrp_lab
from tests.netns.test_director_daemon import reload

SKIP = vrrp_lab.why_not("nft")
pytestmark = pytest.mark.skipif(bool(SKIP), reason=SKIP)

VIP, VIP6, STATIC = "10.77.0.100", "fd00:77::100", "10.77.0.50"
START_S, RESTORED_S = 6.0, 2.0


def configuration(*, accept: bool = True, static: bool = True) -> str:
    statics = f"""static_ipaddress {{
{STATIC}/24 dev eth0
}}
static_routes {{
10.88.0.0/24 via 10.77.0.9 dev eth0
blackhole 10.87.0.0/24
}}
static_rules {{
from 10.88.0.0/24 table 77
}}
"""
    word = "accept" if accept else "no_accept"
    return (
        (statics if static else "")
        + f"""vrrp_instance VI_1 {{
interface eth0
version 3
virtual_router_id 51
priority 100
advert_int 0.2
{word}
virtual_ipaddress {{
{VIP}/24
}}
virtual_routes {{
10.89.0.0/24 via 10.77.0.9 dev eth0
}}
virtual_rules {{
from 10.89.0.0/24 table 78
}}
}}
vrrp_instance VI_6 {{
interface eth0
version 3
virtual_router_id 52
priority 100
advert_int 0.2
{word}
virtual_ipaddress {{
fe80::77:100
{VIP6}/64
}}
}}
"""
    )


@pytest.fixture(scope="module")
def wires(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vrrp_lab.Lan]:
    with vrrp_lab.lan(tmp_path_factory.mktemp("routing")) as made:
        yield made


@pytest.fixture
def node(wires: vrrp_lab.Lan) -> Iterator[vrrp_lab.Node]:
    node = wires.first
    for one in wires.nodes:
        (one.directory / "log").unlink(missing_ok=True)
    node.start("standfest", configuration())
    assert vrrp_lab.until(lambda: node.holds(VIP) and node.holds(VIP6), START_S), node.log()
    assert vrrp_lab.until(lambda: seen(node) == EVERYTHING, RESTORED_S), seen(node)
    yield node
    if node.process is not None:
        node.stop()


WANTED = {
    "10.88.0.0/24 via 10.77.0.9 dev eth0",
    "blackhole 10.87.0.0/24",
    "from 10.88.0.0/24 lookup 77",
    "10.89.0.0/24 via 10.77.0.9 dev eth0",
    "from 10.89.0.0/24 lookup 78",
    f"inet {STATIC}/24",
}
EVERYTHING = sorted(WANTED)
VIRTUAL = sorted(line for line in WANTED if "10.89" in line)
STATICS = sorted(line for line in WANTED if "10.89" not in line)


def seen(node: vrrp_lab.Node) -> list[str]:
    """Return which of our routes, rules and static addresses the kernel has, and how often."""
    commands = (("route",), ("rule",), ("address", "show", "dev", "eth0"))
    text = "".join(vrrp_lab.ip("-n", node.namespace, *words) for words in commands)
    return sorted(line for line in WANTED for _ in range(text.count(line)))


KNOCK = """import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), 1).close()
except ConnectionRefusedError:
    sys.exit(0)
except OSError:
    sys.exit(1)
"""


def answers(node: vrrp_lab.Node, address: str) -> bool:
    """Return whether anybody refuses a connection: a closed port of a machine that accepts us."""
    command = ["ip", "netns", "exec", node.namespace, sys.executable, "-c", KNOCK, address]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_everything_goes_with_its_director(node: vrrp_lab.Node) -> None:
    node.stop()
    assert seen(node) == []


def test_what_somebody_removes_is_put_back_once(node: vrrp_lab.Node) -> None:
    for words in (
        ("route", "delete", "10.88.0.0/24"),
        ("route", "delete", "10.89.0.0/24"),
        ("rule", "delete", "from", "10.88.0.0/24", "table", "77"),
        ("rule", "delete", "from", "10.89.0.0/24", "table", "78"),
        ("address", "delete", f"{STATIC}/24", "dev", "eth0"),
    ):
        vrrp_lab.ip("-n", node.namespace, *words)
    assert seen(node) == ["blackhole 10.87.0.0/24"]
    assert vrrp_lab.until(lambda: seen(node) == EVERYTHING, RESTORED_S), (seen(node), node.log())


def test_routes_and_rules_of_a_virtual_router_go_with_its_addresses(
    wires: vrrp_lab.Lan, node: vrrp_lab.Node
) -> None:
    better = configuration(static=False).replace("priority 100", "priority 200")
    wires.second.start("standfest", better)
    assert vrrp_lab.until(lambda: wires.owners(VIP) == [2], START_S), wires.second.log()
    assert vrrp_lab.until(lambda: seen(node) == STATICS, RESTORED_S), seen(node)
    assert vrrp_lab.until(lambda: seen(wires.second) == VIRTUAL, RESTORED_S), seen(wires.second)
    wires.second.stop()


def test_a_reload_takes_away_what_the_file_names_no_longer(node: vrrp_lab.Node) -> None:
    reload(node, configuration(static=False))
    assert vrrp_lab.until(lambda: seen(node) == VIRTUAL, RESTORED_S), seen(node)


def test_a_cable_that_was_out_brings_static_routes_back(
    wires: vrrp_lab.Lan, node: vrrp_lab.Node
) -> None:
    vrrp_lab.ip("-n", node.namespace, "link", "set", "eth0", "down")
    assert vrrp_lab.until(lambda: "10.88.0.0/24 via" not in " ".join(seen(node)), 1)
    vrrp_lab.ip("-n", node.namespace, "link", "set", "eth0", "up")
    assert vrrp_lab.until(lambda: seen(node) == EVERYTHING, START_S), (seen(node), node.log())


def test_a_killed_directors_routes_are_gone_when_its_successor_listens(
    wires: vrrp_lab.Lan, node: vrrp_lab.Node
) -> None:
    wires.second.start("standfest", configuration(static=False))
    assert vrrp_lab.until(lambda: "(VI_1) Entering BACKUP" in wires.second.log(), START_S)
    os.kill(node.pid_named("sf-director"), signal.SIGKILL)
    assert vrrp_lab.until(lambda: wires.owners(VIP) == [2], 2), wires.second.log()
    assert vrrp_lab.until(lambda: seen(node) == STATICS, RESTORED_S), (seen(node), node.log())
    wires.second.stop()


@pytest.mark.parametrize("address", [VIP, VIP6])
def test_an_address_that_is_not_accepted_has_neighbours_but_no_answer(
    wires: vrrp_lab.Lan, node: vrrp_lab.Node, address: str
) -> None:
    assert vrrp_lab.until(lambda: answers(wires.second, address), 3)
    reload(node, configuration(accept=False))
    assert vrrp_lab.until(lambda: not answers(wires.second, address), 3)
    vrrp_lab.ip("-n", wires.second.namespace, "neighbour", "flush", "dev", "eth0")
    assert not answers(wires.second, address)
    neighbours = vrrp_lab.ip("-n", wires.second.namespace, "neighbour", "show", address)
    assert "lladdr" in neighbours
    reload(node, configuration())
    assert vrrp_lab.until(lambda: answers(wires.second, address), 3)
