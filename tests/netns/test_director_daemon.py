"""One director's daemon on Linux: reload, lost addresses, dumps, and no owner that outlives it."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns import vrrp_lab

SKIP = vrrp_lab.why_not()
pytestmark = pytest.mark.skipif(bool(SKIP), reason=SKIP)
RECORDS = pytest.mark.skipif(
    bool(vrrp_lab.why_not("tshark", "dumpcap")), reason="needs tshark and dumpcap"
)

VIP, NEW = "10.77.0.100", "10.77.0.101"
INTERVAL_S = 0.2
ELECTED_S = 4 * INTERVAL_S + 3
LEASE_S = 3.0
"""The shortest lifetime that an address has in the kernel."""


def configuration(priority: int, *addresses: str, name: str = "node") -> str:
    listed = "\n".join(f"{address}/24" for address in addresses)
    return (
        f"global_defs {{\nrouter_id {name}\n}}\nvrrp_instance VI_1 {{\ninterface eth0\nversion 3\n"
        f"virtual_router_id 51\npriority {priority}\nadvert_int {INTERVAL_S}\n"
        f"virtual_ipaddress {{\n{listed}\n}}\n}}\n"
    )


@pytest.fixture(scope="module")
def wires(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vrrp_lab.Lan]:
    with vrrp_lab.lan(tmp_path_factory.mktemp("director")) as made:
        yield made


@pytest.fixture
def lan(wires: vrrp_lab.Lan) -> Iterator[vrrp_lab.Lan]:
    """A pair; node 1 has the address."""
    wires.second.start("standfest", configuration(100, VIP))
    wires.first.start("standfest", configuration(150, VIP))
    assert vrrp_lab.until(lambda: wires.owners(VIP) == [1], ELECTED_S), wires.first.log()
    yield wires
    for node in wires.nodes:
        node.stop()


def reload(node: vrrp_lab.Node, text: str) -> None:
    before = node.log().count("Reload complete")
    (node.directory / "director.conf").write_text(text, encoding="utf-8")
    node.signal(signal.SIGHUP)
    done = vrrp_lab.until(lambda: node.log().count("Reload complete") > before, 5)
    assert done, node.log()


def ask(node: vrrp_lab.Node, *words: str) -> str:
    command = [sys.executable, "-m", "standfest.cli.main", "vrrp", *words]
    done = subprocess.run(
        ["ip", "netns", "exec", node.namespace, *command],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": vrrp_lab.SOURCE},
    )
    return done.stdout


@RECORDS
def test_a_reload_sends_nothing_for_an_instance_that_did_not_change(lan: vrrp_lab.Lan) -> None:
    """Another router_id: no instance is concerned. Adverts keep their rhythm, no ARP is sent."""
    time.sleep(1)  # the first batch of gratuitous ARP is over
    with lan.recording("reload") as capture:
        time.sleep(0.5)
        reload(lan.first, configuration(150, VIP, name="other"))
        time.sleep(1)
    packets = vrrp_lab.decode(capture, "vrrp || arp", "frame.time_relative", "vrrp.prio")
    assert {priority for _, priority in packets} == {"150"}
    times = [float(at) for at, _ in packets]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert min(gaps) > 0.75 * INTERVAL_S
    assert max(gaps) < 1.5 * INTERVAL_S


def test_an_address_that_one_node_has_first_never_has_two_owners(lan: vrrp_lab.Lan) -> None:
    """The roll-out that makes two masters of keepalived: node 1 has the new list first."""
    reload(lan.first, configuration(150, VIP, NEW))
    end = time.monotonic() + 6 * INTERVAL_S  # twice as long as a Backup bears silence
    while time.monotonic() < end:
        assert lan.owners(VIP) == [1]
    assert lan.owners(NEW) == [1]
    reload(lan.second, configuration(100, VIP, NEW))
    end = time.monotonic() + 6 * INTERVAL_S
    while time.monotonic() < end:
        assert lan.owners(VIP) == [1]
        assert lan.owners(NEW) == [1]


def test_a_broken_file_changes_nothing(lan: vrrp_lab.Lan) -> None:
    before = lan.first.log()
    (lan.first.directory / "director.conf").write_text(
        configuration(150, VIP).replace("interface eth0", "interface"), encoding="utf-8"
    )
    lan.first.signal(signal.SIGHUP)
    said = vrrp_lab.until(lambda: "interface" in lan.first.log()[len(before) :], 5)
    assert said, lan.first.log()
    time.sleep(4 * INTERVAL_S)
    assert lan.owners(VIP) == [1]


def test_an_address_that_something_else_removes_is_put_back(lan: vrrp_lab.Lan) -> None:
    vrrp_lab.ip("-n", lan.first.namespace, "address", "delete", f"{VIP}/24", "dev", "eth0")
    assert vrrp_lab.until(lambda: lan.owners(VIP) == [1], 1), lan.first.log()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_no_address_outlives_its_director(lan: vrrp_lab.Lan, number: int) -> None:
    """Supervisor, director and guard at once: the leases in the kernel end."""
    for pid in lan.first.pids():
        os.kill(pid, number)
    assert vrrp_lab.until(lambda: lan.owners(VIP) == [2], LEASE_S + 1.5), lan.second.log()
    for pid in lan.first.pids():
        os.kill(pid, signal.SIGKILL)


def test_status_and_dumps_say_what_the_director_does(lan: vrrp_lab.Lan) -> None:
    assert "VI_1      MASTER" in ask(lan.first, "status")
    assert "VI_1      BACKUP" in ask(lan.second, "status")
    assert " VRRP Instance = VI_1" in ask(lan.first, "dump", "data")
    assert "VRRP Instance: VI_1" in ask(lan.first, "dump", "stats")
    dumps = [Path(f"/tmp/keepalived.{kind}") for kind in ("data", "stats")]
    for dump in dumps:
        dump.unlink(missing_ok=True)
    lan.first.signal(signal.SIGUSR1)
    lan.first.signal(signal.SIGUSR2)
    assert vrrp_lab.until(lambda: all(dump.exists() for dump in dumps), 5), lan.first.log()


@RECORDS
def test_the_first_advert_of_an_ipv6_router_with_its_own_mac_is_sent(wires: vrrp_lab.Lan) -> None:
    """Its interface has no address yet; a Backup that is preempted must hear at once."""
    router = (
        "vrrp_instance VI_6 {{\ninterface eth0\nversion 3\nvirtual_router_id 52\npriority {}\n"
        "advert_int 1\nuse_vmac vrrp6.52\nvirtual_ipaddress {{\nfe80::77:100\n"
        "fd00:77::100\n}}\n}}\n"
    )
    wires.second.start("standfest", router.format(100))
    assert vrrp_lab.until(lambda: wires.owners("fd00:77::100") == [2], 8), wires.second.log()
    with wires.recording("vmac6") as capture:
        wires.first.start("standfest", router.format(150))
        assert vrrp_lab.until(lambda: 1 in wires.owners("fd00:77::100"), 8), wires.first.log()
        alone = vrrp_lab.until(lambda: wires.owners("fd00:77::100") == [1], 0.5)
        assert alone, wires.second.log()
    assert "cannot send" not in wires.first.log().split("VI_6")[-1]
    adverts = vrrp_lab.decode(capture, "vrrp", "eth.src", "vrrp.prio")
    assert ("00:00:5e:00:02:34", "150") in adverts
    for node in wires.nodes:
        node.stop()
