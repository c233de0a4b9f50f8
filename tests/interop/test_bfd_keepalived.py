"""BFD with keepalived 2.2.7 on the other side: sessions come up, fall and say why."""

import time
from collections.abc import Iterator

import pytest
from tests.netns import vrrp_lab

SKIP = vrrp_lab.why_not("keepalived", "tshark", "dumpcap")
pytestmark = pytest.mark.skipif(bool(SKIP), reason=SKIP)

UP_S = 5.0
DETECTION_S = 3 * 0.05
SLACK_S = 0.5


def configuration(own: int, address: str) -> str:
    return f"""bfd_instance peer {{
neighbor_ip {address.replace("@", str(3 - own))}
source_ip {address.replace("@", str(own))}
min_rx 50
min_tx 50
multiplier 3
}}
vrrp_instance VI_1 {{
interface eth0
version 3
virtual_router_id 51
priority {100 + own}
advert_int 1
virtual_ipaddress {{
10.77.0.100/24
}}
track_bfd {{
peer weight 10
}}
}}
"""


@pytest.fixture(scope="module")
def wires(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vrrp_lab.Lan]:
    with vrrp_lab.lan(tmp_path_factory.mktemp("bfd-keepalived")) as made:
        yield made


def said(node: vrrp_lab.Node) -> str:
    """Return what the session became last."""
    lines = [line for line in node.log().splitlines() if "(peer) Entering" in line]
    return lines[-1] if lines else ""


@pytest.mark.parametrize("address", ["10.77.0.@", "fd00:77::@"])
def test_a_session_with_keepalived_comes_up_and_falls(wires: vrrp_lab.Lan, address: str) -> None:
    ours, theirs = wires.first, wires.second
    with wires.recording(f"bfd{len(address)}") as capture:
        theirs.start("keepalived", configuration(2, address))
        ours.start("standfest", configuration(1, address))
        up = vrrp_lab.until(lambda: all("Up state" in said(node) for node in wires.nodes), UP_S)
        assert up, ours.log() + theirs.log()
        time.sleep(1)
        assert all("Up state" in said(node) for node in wires.nodes)
        wires.cut(ours)
        lost = vrrp_lab.until(
            lambda: all("Control Detection Time Expired" in said(node) for node in wires.nodes),
            DETECTION_S + SLACK_S,
        )
        assert lost, ours.log() + theirs.log()
        wires.cut(ours, cut=False)
        up = vrrp_lab.until(lambda: all("Up state" in said(node) for node in wires.nodes), UP_S)
        assert up, ours.log() + theirs.log()
        ours.stop()
        told = vrrp_lab.until(lambda: "Neighbor Signaled" in said(theirs), SLACK_S)
        assert told, theirs.log()
        theirs.stop()
    mine = address.replace("@", "1")
    source = "ipv6.src" if ":" in address else "ip.src"
    ours_only = f"bfd && !icmp && !icmpv6 && {source} == {mine}"
    assert vrrp_lab.decode(capture, "bfd && _ws.malformed", "frame.number") == []
    fields = ("ip.ttl", "ipv6.hlim", "bfd.version", "bfd.message_length", "udp.dstport")
    sent = set(vrrp_lab.decode(capture, ours_only, *fields))
    hops = ("", "255") if ":" in address else ("255", "")
    assert sent == {(*hops, "1", "24", "3784")}
    ports = set(vrrp_lab.decode(capture, ours_only, "udp.srcport"))
    assert len(ports) == 1
    assert 49_152 <= int(ports.pop()[0]) <= 65_535
