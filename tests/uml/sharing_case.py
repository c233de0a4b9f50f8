"""Runs in User Mode Linux: three nodes share an address by the kernel's own CLUSTERIP.

Prints a line for each thing that holds; whatever does not hold ends it.
"""

import itertools
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from ipaddress import ip_address, ip_interface
from pathlib import Path

from tests.netns import sharing_lab, vrrp_lab
from tests.netns.sharing_lab import ACK, GROUP_MAC, SHARED, SYN, VIP4, Lab, Wire, every

from standfest.adapters.linux.sharing.selection import open_filter
from standfest.adapters.linux.sharing.xtcluster import XtClusterFilter
from standfest.core.sharing.hashing import clusterip_bucket_of
from standfest.model.errors import OperationError
from standfest.model.sharing import FOREVER, Answering, Flow, HashMode, Layout, Target

BUCKETS, ROUNDS = 16, 100
LAYOUT = Layout(HashMode.SOURCE_IP_PORT, BUCKETS, 42)
OURS = replace(SHARED, addresses=(ip_interface(f"{VIP4}/32"),), layout=LAYOUT)
PROC = Path("/proc/net/ipt_CLUSTERIP") / str(VIP4)
COMPLAINTS = ("BUG", "WARNING", "Oops", "Call Trace", "refcount", "unregister_netdevice", "panic")
TRAFFIC = (
    "import itertools, socket, time; vip = ('10.8.0.100', 80)\n"
    "for port in itertools.count():\n"
    "    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):\n"
    "        with socket.socket(socket.AF_INET, kind) as made:\n"
    "            made.setblocking(False)\n"
    "            made.connect_ex(vip)\n"
    "            try: made.send(b'?')\n"
    "            except OSError: pass\n"
    "    time.sleep(0.002)\n"
)


def main() -> None:
    with sharing_lab.lab(3, OURS) as lab:
        for test in (buckets, answers, commands, up_and_down):
            began = time.monotonic()
            test(lab)
            print(f"{test.__name__}: {time.monotonic() - began:.1f} s", flush=True)


def buckets(lab: Lab) -> None:
    """Compare the bucket that we compute with the kernel's, for all modes."""
    chance, node = random.Random(7), lab.nodes[0]
    for mode in HashMode:
        layout = replace(LAYOUT, mode=mode)
        flows = [
            Flow(ip_address(0x0A080000 + chance.randrange(300, 65000)),
                 chance.randrange(1, 65536), 5000 + number % 8)
            for number in range(200)
        ]  # fmt: skip
        node.open(replace(OURS, layout=layout), Target.CLUSTERIP)
        found = dict.fromkeys(flows, 0)
        for bit in range(4):  # 16 buckets: each bit of the number is asked for
            node.answer(Answering(frozenset(n for n in range(BUCKETS) if n >> bit & 1)), None)
            for flow in lab.reached(node, flows):
                found[flow] |= 1 << bit
        node.close()
        assert found == {flow: clusterip_bucket_of(layout, flow) for flow in flows}, mode


def answers(lab: Lab) -> None:
    """Connect from everywhere: each is answered once, by the owner of its bucket."""
    lab.share(Target.CLUSTERIP)
    with Wire(lab) as wire:
        talks = [lab.connect(client=number % 20) for number in range(60)]
        heard = wire.answers(SYN | ACK)
    owners = {talk.flow: clusterip_bucket_of(LAYOUT, talk.flow) % 3 + 1 for talk in talks}
    assert heard == dict.fromkeys(owners.items(), 1), heard
    assert set(Counter(owners.values())) == {1, 2, 3}
    assert f"{VIP4} dev eth0 lladdr {GROUP_MAC.hex(':')}" in lab.client.ip("neigh")
    lab.unshare()


def commands(lab: Lab) -> None:
    """Give a bucket away and take it as `echo -1`, `echo +1` did; a successor finds it so."""
    lab.share(Target.CLUSTERIP)
    first, second, _ = lab.nodes
    assert who(lab, 3) == "node1"
    with first.inside():
        assert PROC.read_text() == "1,4,7,10,13,16\n"
    first.answer(Answering(every(0, 3, BUCKETS) - {3}))
    second.answer(Answering(every(1, 3, BUCKETS) | {3}))
    assert who(lab, 3) == "node2"
    with first.inside():
        assert PROC.read_text() == "1,7,10,13,16\n"
    first.close(keep=True)
    with first.inside():
        first.filter = open_filter(OURS, Target.CLUSTERIP)
        found = Answering(frozenset({0, 6, 9, 12, 15}))
        assert first.filter.look() == found
        assert first.filter.open() == (found, FOREVER)
        first.filter.answer(Answering(), 0)
        assert first.filter.look() == Answering()
    plain = replace(OURS, layout=replace(LAYOUT, mode=HashMode.SOURCE_IP))
    chosen = open_filter(plain, Target.AUTO)
    chosen.close(keep=True)
    assert isinstance(chosen, XtClusterFilter)  # this kernel's nftables has no tables for IP
    for wrong in (SHARED, replace(OURS, layout=replace(LAYOUT, buckets=17))):
        try:
            open_filter(wrong, Target.CLUSTERIP)
        except OperationError:
            continue
        raise AssertionError("was not refused")
    lab.unshare()
    assert "CLUSTERIP" not in first.execute("iptables-legacy", "-S")


def who(lab: Lab, bucket: int) -> str:
    """Return who answers a flow of a bucket."""
    for number in itertools.count():
        talk = lab.connect(client=number % 20)
        if clusterip_bucket_of(LAYOUT, talk.flow) == bucket:
            return talk.server
    raise AssertionError


def up_and_down(lab: Lab) -> None:
    """Take the address down and up on one node under traffic: the kernel has nothing to say."""
    lab.share(Target.CLUSTERIP)
    before = kernel_log()
    words = ["ip", "netns", "exec", lab.client.name, sys.executable, "-c", TRAFFIC]
    traffic = subprocess.Popen(words)
    try:
        first = lab.nodes[0]
        for _ in range(ROUNDS):
            first.close()
            first.open(OURS, Target.CLUSTERIP)
            first.answer(Answering(every(0, 3, BUCKETS)))
        assert traffic.poll() is None
    finally:
        traffic.kill()
        traffic.wait()
    assert lab.connect().server
    # A namespace that goes with the rule in it.
    second = lab.nodes[1]
    second.close(keep=True)
    assert second.process is not None
    second.process.kill()
    subprocess.run(["ip", "netns", "delete", second.name], check=True)
    assert vrrp_lab.until(lambda: "port2" not in lab.switch.ip("link"), 10)
    said = kernel_log()[len(before) :]
    assert not [line for line in said if any(word in line for word in COMPLAINTS)], said
    for number in (0, 2):
        lab.nodes[number].close()


def kernel_log() -> list[str]:
    """Return the kernel's messages, asked for by syslog(2): this machine has no /dev/kmsg."""
    shown = subprocess.run(["dmesg", "-S"], check=True, capture_output=True, text=True).stdout
    return shown.splitlines()


if __name__ == "__main__":
    main()
