"""keepalived 2.2.7 and ours as a pair, each in each role: the same election, never two speakers.

tshark reads every packet; what we send differs from what keepalived sends in nothing but the
priority and the sender.
"""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest
from tests.netns import vrrp_lab

SKIP = vrrp_lab.why_not("keepalived", "tshark", "dumpcap")
pytestmark = pytest.mark.skipif(bool(SKIP), reason=SKIP)

KEEPALIVED, OURS = "keepalived", "standfest"
HIGH, LOW = 150, 100


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to speak VRRP."""

    name: str
    version: int
    interval_s: float
    address: str
    lines: tuple[str, ...] = ()
    unicast: bool = False

    def configuration(self, number: int, priority: int) -> str:
        """Return keepalived.conf for node 1 or 2."""
        lines = [f"version {self.version}", f"advert_int {self.interval_s:g}", *self.lines]
        if self.unicast:
            mine, other = f"10.77.0.{number}", f"10.77.0.{3 - number}"
            lines += [f"unicast_src_ip {mine}", f"unicast_peer {{\n{other}\n}}"]
        # An IPv6 router's first address is link-local: RFC 5798, section 5.2.9.
        addresses = f"fe80::77:100\n{self.address}/64" if ":" in self.address else self.address
        return "\n".join(
            (
                f"global_defs {{\nrouter_id node{number}\n}}",
                "vrrp_instance VI_1 {",
                f"interface eth0\nvirtual_router_id 51\npriority {priority}",
                *lines,
                f"virtual_ipaddress {{\n{addresses}\n}}",
                "}\n",
            )
        )


PASS = ("authentication {\nauth_type PASS\nauth_pass s3cret\n}",)
VMAC = ("use_vmac vrrp.51",)
VARIANTS = (
    Variant("v2", 2, 1, "10.77.0.100"),
    Variant("v2-pass", 2, 1, "10.77.0.100", PASS),
    Variant("v3", 3, 0.2, "10.77.0.100"),
    Variant("v3-ipv6", 3, 0.2, "fd00:77::100"),
    Variant("v3-unicast", 3, 0.2, "10.77.0.100", unicast=True),
    Variant("v3-vmac", 3, 0.2, "10.77.0.100", VMAC),
)
PAIRS = ((OURS, KEEPALIVED), (KEEPALIVED, OURS))

ADVERT = "vrrp && !icmp"
# Not the flow label, which the sender's kernel chooses, nor the IPv4 identification.
ADVERT_FIELDS = (
    "eth.dst",
    "ip.ttl",
    "ip.dsfield",
    "ip.hdr_len",
    "ip.flags",
    "ipv6.hlim",
    "ipv6.tclass",
    "ipv6.plen",
    "ip.len",
    "ipv6.dst",
    "vrrp.version",
    "vrrp.type",
    "vrrp.virt_rtr_id",
    "vrrp.addr_count",
    "vrrp.auth_type",
    "vrrp.adver_int",
    "vrrp.reserved_mbz",
    "vrrp.short_adver_int",
    "vrrp.ip_addr",
    "vrrp.ipv6_addr",
    "vrrp.auth_string",
    "vrrp.checksum.status",
)
NEIGHBOUR = "arp.isgratuitous == 1 || icmpv6.type == 136"
NEIGHBOUR_FIELDS = (
    "eth.dst",
    "arp.opcode",
    "arp.src.proto_ipv4",
    "arp.dst.hw_mac",
    "arp.dst.proto_ipv4",
    "ipv6.dst",
    "ipv6.hlim",
    "icmpv6.nd.na.flag",
    "icmpv6.nd.na.target_address",
)


STARTED_S = 20
"""A daemon reads its file and opens its sockets within this, on the busiest machine."""


@pytest.fixture(scope="module")
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vrrp_lab.Lan]:
    with vrrp_lab.lan(tmp_path_factory.mktemp("vrrp")) as made:
        yield made


@pytest.fixture(autouse=True)
def _quiet(lan: vrrp_lab.Lan) -> Iterator[None]:
    yield
    for node in lan.nodes:
        node.stop()


def owns(lan: vrrp_lab.Lan, number: int, variant: Variant) -> bool:
    return lan.owners(variant.address) == [number]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
@pytest.mark.parametrize("pair", PAIRS, ids=("ours-first", "keepalived-first"))
def test_the_better_router_is_elected_hands_over_and_comes_back(
    lan: vrrp_lab.Lan, pair: tuple[str, str], variant: Variant
) -> None:
    """Node 1 has the higher priority: it wins, says goodbye when stopped, and preempts."""
    better, worse = variant.configuration(1, HIGH), variant.configuration(2, LOW)
    # At most three intervals and a skew until the first advert; the rest is starting up.
    limit = 4 * variant.interval_s + 3
    (lan.second.directory / "log").unlink(missing_ok=True)
    lan.second.start(pair[1], worse)
    assert vrrp_lab.until(lambda: "BACKUP STATE" in lan.second.log(), STARTED_S), lan.second.log()
    lan.first.start(pair[0], better)
    assert vrrp_lab.until(lambda: owns(lan, 1, variant), limit), lan.first.log()
    listens = vrrp_lab.until(lambda: "Entering BACKUP STATE" in lan.second.log(), limit)
    assert listens, lan.second.log()  # on a busy machine it may start after the election
    with lan.recording(f"{variant.name}-{pair[0]}") as capture:
        time.sleep(variant.interval_s)
        lan.first.signal(signal.SIGTERM)
        # Priority 0 shortens the wait to the skew: (256 - 100) / 256 of an interval.
        took_over = vrrp_lab.until(lambda: owns(lan, 2, variant), variant.interval_s + 0.5)
        assert took_over, lan.second.log()
        lan.first.stop()
        lan.first.start(pair[0], better)
        assert vrrp_lab.until(lambda: owns(lan, 1, variant), limit), lan.first.log()
        lan.second.stop()
        lan.first.stop()
    assert vrrp_lab.decode(capture, "_ws.malformed", "frame.number") == []
    assert priorities(capture) == [HIGH, 0, LOW, HIGH, 0]


def priorities(capture: Path) -> list[int]:
    """Return the priorities of all adverts as they follow each other, each run of equals once."""
    told = vrrp_lab.decode(capture, ADVERT, "vrrp.prio")
    return [int(priority) for (priority,), _ in groupby(told)]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_our_packets_are_keepaliveds_packets(lan: vrrp_lab.Lan, variant: Variant) -> None:
    """The same file on the same machine: every field of adverts, goodbyes, ARP and ND is equal."""
    seen = {}
    for product in (KEEPALIVED, OURS):
        with lan.recording(f"fields-{variant.name}-{product}") as capture:
            lan.first.start(product, variant.configuration(1, HIGH))
            limit = 4 * variant.interval_s + 3
            assert vrrp_lab.until(lambda: owns(lan, 1, variant), limit), lan.first.log()
            time.sleep(variant.interval_s + 0.2)
            lan.first.stop()
        fields = ("eth.src", "ip.src", "ipv6.src", "vrrp.prio", *ADVERT_FIELDS)
        adverts = set(vrrp_lab.decode(capture, ADVERT, *fields))
        neighbours = set(vrrp_lab.decode(capture, NEIGHBOUR, "eth.src", *NEIGHBOUR_FIELDS))
        assert len(adverts) == 2, "adverts of priority 150 and the goodbye"
        assert vrrp_lab.decode(capture, "_ws.malformed", "frame.number") == []
        seen[product] = (adverts, neighbours)
    assert seen[OURS][0] == seen[KEEPALIVED][0]
    assert seen[OURS][1] >= seen[KEEPALIVED][1]
