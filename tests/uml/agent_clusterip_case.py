"""Runs in User Mode Linux: the cluster's agent shares by the kernel's own CLUSTERIP.

Two nodes with the agent as an OCF program; prints a line for each thing that holds.
"""

import errno
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from ipaddress import ip_interface
from pathlib import Path

from tests.netns import sharing_lab
from tests.netns.sharing_lab import ACK, GROUP_MAC, SHARED, SYN, VIP4, Lab, Node, Wire

from standfest.core.sharing.hashing import clusterip_bucket_of
from standfest.model.sharing import HashMode, Layout

LAYOUT = Layout(HashMode.SOURCE_IP_PORT, 2, 0)
OURS = replace(SHARED, addresses=(ip_interface(f"{VIP4}/24"),), layout=LAYOUT)
PROC = Path("/proc/net/ipt_CLUSTERIP") / str(VIP4)
PARAMETERS = {
    "ip": str(VIP4),
    "nic": "eth0",
    "cidr_netmask": "24",
    "mac": GROUP_MAC.hex(":"),
    "clusterip_hash": "sourceip-sourceport",
    "clusterip_target": "CLUSTERIP",
    "CRM_meta_clone_max": "2",
    "CRM_meta_clone_node_max": "2",
    "CRM_meta_globally_unique": "true",
}
RUN = Path(tempfile.mkdtemp())


def on(node: Node, *words: str, **environment: str) -> tuple[int, str]:
    """Run one of our programs on a node, which has a /run of its own."""
    own = RUN / node.name
    own.mkdir(exist_ok=True)
    script = 'mkdir -p /run/standfest; mount --bind "$0" /run/standfest; exec "$@"'
    command = ["/bin/sh", "-c", script, str(own), sys.executable, "-m", *words]
    done = subprocess.run(
        ["ip", "netns", "exec", node.name, *command],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def agent(node: Node, action: str, number: int, **more: str) -> int:
    """Do one action of an instance on a node."""
    values = {**PARAMETERS, "CRM_meta_clone": str(number), **more}
    environment = {f"OCF_RESKEY_{name}": value for name, value in values.items()}
    code, said = on(node, "standfest.agents.front", "IPaddr2", action, **environment)
    print(f"# {node.number} {action} {number}: {code} {said}", flush=True)
    return code


def answer(node: Node, change: str) -> tuple[int, str]:
    """Do `standfest share answer`."""
    return on(node, "standfest.cli.main", "share", "answer", change, str(VIP4))


def table(node: Node) -> str:
    """Return what the kernel's file says, "" without the file."""
    with node.inside():
        return PROC.read_text().strip() if PROC.exists() else ""


def written(node: Node, text: str) -> str:
    """Write into the kernel's file as the report did; return the error's name."""
    with node.inside():
        try:
            PROC.write_text(text)
        except OSError as error:
            return errno.errorcode[error.errno or 0]
    return ""


def owners(lab: Lab) -> list[set[str]]:
    """Connect from everywhere: each is answered once; return who answers each bucket."""
    with Wire(lab) as wire:
        talks = [lab.connect(client=number % 20) for number in range(40)]
        heard = wire.answers(SYN | ACK)
    assert set(heard.values()) == {1}, heard
    assert len(heard) == len(talks)
    found: list[set[str]] = [set(), set()]
    for talk in talks:
        found[clusterip_bucket_of(LAYOUT, talk.flow)].add(talk.server)
        talk.socket.close()
    lab.talks.clear()
    return found


def main() -> None:
    with sharing_lab.lab(2, OURS) as lab:
        first, second = lab.nodes
        began = time.monotonic()
        assert [agent(first, "monitor", 0), agent(first, "start", 0)] == [7, 0]
        assert agent(second, "start", 1) == 0
        assert (table(first), table(second)) == ("1", "2")
        assert [agent(first, "monitor", number) for number in (0, 1)] == [0, 7]
        assert owners(lab) == [{"node1"}, {"node2"}]
        print("each its own", flush=True)

        assert agent(second, "stop", 1) == 0
        assert table(second) == ""
        assert "CLUSTERIP" not in second.execute("iptables-legacy", "-S")
        assert str(VIP4) not in second.ip("address")
        assert agent(first, "start", 1) == 0
        assert table(first) == "1,2"
        assert owners(lab) == [{"node1"}, {"node1"}]
        print("one for both", flush=True)

        # The report's own way, and ours: the agent sees both.
        assert written(first, "-2\n") == ""
        assert agent(first, "monitor", 1) == 7
        assert answer(first, "+2") == (0, f"{VIP4}: answers 1, 2 of 2")
        assert table(first) == "1,2"
        said = f"standfest: bucket 2 of {VIP4} is already answered here"
        assert answer(first, "+2") == (1, said)
        kernel = [written(first, text) for text in ("+2\n", "+3\n", "-3\n", "2\n")]
        assert kernel == ["ENOMEM", "ENOMEM", "ENOENT", "EIO"]  # where we say what is wrong
        assert answer(first, "-2") == (0, f"{VIP4}: answers 1 of 2")
        print("by hand", flush=True)

        assert agent(second, "start", 1) == 0
        assert owners(lab) == [{"node1"}, {"node2"}]
        assert [agent(first, "stop", 0), agent(second, "stop", 1)] == [0, 0]
        assert [agent(node, "stop", number) for node in lab.nodes for number in (0, 1)] == [0] * 4
        assert (table(first), table(second)) == ("", "")
        print(f"given back: {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
