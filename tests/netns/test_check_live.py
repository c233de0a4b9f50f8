"""`standfest check --live` on a director, and servers that are wrong in every way it looks for."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns import vrrp_lab

pytestmark = pytest.mark.skipif(bool(vrrp_lab.why_not()), reason=vrrp_lab.why_not())

VIP, SIX, OUTER = "10.93.0.100", "fd93::100", "203.0.113.100"
CONFIGURATION = f"""
virtual_server {VIP} 80 {{
    lvs_sched rr
    lvs_method DR
    protocol TCP
    real_server 10.93.0.11 80 {{ weight 1 }}
    real_server 10.93.0.12 80 {{ weight 1 }}
}}
virtual_server {SIX} 80 {{
    lvs_sched rr
    lvs_method DR
    protocol TCP
    real_server fd93::11 80 {{ weight 1 }}
}}
virtual_server {OUTER} 25 {{
    lvs_sched rr
    lvs_method NAT
    protocol TCP
    real_server 10.93.0.11 25 {{ weight 1 }}
    real_server 10.93.0.12 25 {{ weight 1 }}
}}
"""


class Segment:
    """A director d and two servers on one bridge; the director has a network outside, too."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.names = {end: f"sfcl{os.getpid()}{end}" for end in ("d", "1", "2", "b")}
        self.file = directory / "keepalived.conf"

    def ip(self, end: str, *words: str) -> str:
        return vrrp_lab.ip("-n", self.names[end], *words)

    def build(self) -> None:
        for name in self.names.values():
            vrrp_lab.ip("netns", "add", name)
        self.ip("b", "link", "add", "br0", "type", "bridge")
        self.ip("b", "link", "set", "br0", "up")
        for end, number in (("d", 5), ("1", 11), ("2", 12)):
            peer = ("peer", "name", "eth0", "netns", self.names[end])
            self.ip("b", "link", "add", f"p{end}", "type", "veth", *peer)
            self.ip("b", "link", "set", f"p{end}", "master", "br0", "up")
            for words in (
                ("link", "set", "lo", "up"),
                ("link", "set", "eth0", "up"),
                ("address", "add", f"10.93.0.{number}/24", "dev", "eth0"),
                ("address", "add", f"fd93::{number}/64", "dev", "eth0", "nodad"),
            ):
                self.ip(end, *words)
        self.ip("d", "link", "add", "eth1", "type", "veth", "peer", "name", "eth1p")
        for words in (
            ("link", "set", "eth1", "up"),
            ("link", "set", "eth1p", "up"),
            ("address", "add", f"{OUTER}/24", "dev", "eth1"),
            ("address", "add", f"{VIP}/32", "dev", "eth0"),
            ("address", "add", f"{SIX}/128", "dev", "eth0", "nodad"),
        ):
            self.ip("d", *words)
        for end in ("1", "2"):
            self.ip(end, "route", "add", "default", "via", "10.93.0.5")
            up = self.run(end, "realserver", "up", "--vip", f"{VIP},{SIX}", "--method", "dr")
            assert up.returncode == 0, up.stderr

    def destroy(self) -> None:
        for name in self.names.values():
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def run(self, end: str, *words: str) -> subprocess.CompletedProcess[str]:
        more = ("--run-dir", str(self.directory / "run")) if words[0] == "realserver" else ()
        command = ["ip", "netns", "exec", self.names[end], sys.executable]
        return subprocess.run(
            [*command, "-m", "standfest.cli.main", *words, *more],
            capture_output=True, text=True, check=False, timeout=60,
            env={**os.environ, "PYTHONPATH": vrrp_lab.SOURCE},
        )  # fmt: skip

    def problems(self, configuration: str = CONFIGURATION) -> list[str]:
        self.file.write_text(configuration)
        checked = self.run("d", "check", "--live", str(self.file), "--json")
        live = json.loads(checked.stdout)["live"]
        errors = [one["problem"] for one in live if one["severity"] == "error"]
        assert checked.returncode == (1 if errors else 0), checked.stdout + checked.stderr
        return sorted(one["problem"] for one in live)


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    made = Segment(tmp_path)
    try:
        made.build()
        yield made
    finally:
        made.destroy()


def test_what_is_wrong_between_director_and_servers_is_found(segment: Segment) -> None:
    assert vrrp_lab.until(
        lambda: "tentative" not in segment.ip("d", "-6", "address", "show", "dev", "eth0"), 5
    )
    assert segment.problems() == []

    # A server that answers for the address, by ARP and by neighbour advertisements.
    silent = ("ip", "netns", "exec", segment.names["1"], "sysctl", "-qw")
    subprocess.run([*silent, "net.ipv4.conf.all.arp_ignore=0"], check=True)
    segment.ip("1", "address", "add", f"{SIX}/128", "dev", "eth0", "nodad")
    assert segment.problems() == [
        f"the real server 10.93.0.11 answers for {VIP} on eth0",
        f"the real server fd93::11 answers for {SIX} on eth0",
    ]
    subprocess.run([*silent, "net.ipv4.conf.all.arp_ignore=1"], check=True)
    segment.ip("1", "address", "delete", f"{SIX}/128", "dev", "eth0")

    # A NAT server whose default route does not lead back, and one that is switched off for DR.
    segment.ip("2", "route", "replace", "default", "via", "10.93.0.77")
    assert segment.problems() == ["answers of the NAT server 10.93.0.12 do not come back"]
    segment.ip("2", "link", "set", "eth0", "down")
    assert segment.problems() == ["nobody on eth0 has the DR server's 10.93.0.12"]
    segment.ip("2", "link", "set", "eth0", "up")

    # The address is gone from here, and nobody else has it.
    segment.ip("d", "address", "delete", f"{VIP}/32", "dev", "eth0")
    assert f"nobody has {VIP}" in segment.problems()
    segment.ip("d", "address", "add", f"{VIP}/32", "dev", "eth0")

    # A machine that is no server has it as well: the second active director.
    segment.ip("2", "address", "delete", "10.93.0.12/24", "dev", "eth0")
    segment.ip("2", "address", "add", f"{VIP}/24", "dev", "eth0")
    (found,) = [one for one in segment.problems() if "too" in one]
    assert found.endswith(f" answers for {VIP} on eth0, too")


def test_direct_routing_into_another_segment_is_an_error(segment: Segment) -> None:
    other = CONFIGURATION.replace("real_server 10.93.0.12 80", "real_server 198.51.100.7 80")
    assert segment.problems(other) == [
        "the DR server 198.51.100.7 is in no network of this machine"
    ]


def test_a_tunnel_that_clients_packets_do_not_fit_into_is_a_warning(segment: Segment) -> None:
    """1500 bytes of eth0 less 20 are 1480, and clients send 1500."""
    tunnel = f"""
    virtual_server {VIP} 80 {{
        lvs_sched rr
        lvs_method TUN
        protocol TCP
        real_server 10.93.0.11 80 {{ weight 1 }}
    }}
    """
    assert segment.problems(tunnel) == [
        "packets of clients (up to 1500) do not fit into the tunnel to 10.93.0.11: 1480"
    ]
    segment.ip("d", "link", "set", "eth1", "mtu", "1480")
    outside = tunnel.replace(VIP, OUTER)
    assert segment.problems(outside) == []
