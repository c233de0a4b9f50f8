"""One direction between two of three nodes is dropped by nftables, with one link and with two.

Run as `python -m tests.netns.views_case CASE`. Prints one JSON value.
"""

import json
import sys
import time

from tests.netns import many_case
from tests.netns.cluster_case import owner, status, until
from tests.netns.many_case import lab_of

from standfest.lab import sandbox
from standfest.lab.lab import Lab
from standfest.model.errors import OperationError
from standfest.runtime import channel, frames

THREE = ("node-1", "node-2", "node-3")
RULES = """table inet oneway {{ chain in {{ type filter hook input priority -300;
iifname "eth1" ip saddr {address} meta l4proto udp drop; }}; }}"""


def view(lab: Lab, node: str) -> dict[str, object]:
    """Return what `standfest membership --json` says of the view."""
    code, output = lab.command(node, "membership", "--json")
    found: dict[str, object] = json.loads(output)["view"] if code == 0 else {}
    return found


def members(lab: Lab, node: str) -> list[str]:
    """Return who is a member for a node."""
    try:
        socket = lab.nodes[node].path("/run/standfest/cluster.sock")
        answer = channel.request(socket, frames.Query("view"), 2.0)
    except OperationError:
        return []
    assert isinstance(answer, frames.Reply)
    found: list[str] = json.loads(answer.text)["members"]
    return found


def deafen(lab: Lab, node: str, to: str) -> None:
    """Drop what one node sends to another, on eth1."""
    _, shown = lab.nodes[to].run("/sbin/ip", "-4", "-j", "addr", "show", "eth1")
    address = json.loads(shown)[0]["addr_info"][0]["local"]
    lab.nodes[node].run("/usr/sbin/nft", RULES.format(address=address))


def begin(lab: Lab) -> str:
    """Start all; return who serves."""
    for name in THREE:
        lab.boot(name)
    lab.start_client()
    for name in THREE:
        lab.launch(name)
    first = lab.wait_healthy(30)[0]
    until(lambda: status(lab, first) == dict.fromkeys(THREE, "online"), 15)
    return first


def one_link(lab: Lab) -> object:
    """node-2 does not hear node-1: one of them is out, and comes back."""
    begin(lab)
    deafen(lab, "node-2", "node-1")
    until(lambda: len(members(lab, "node-3")) == 2, 20)
    together = members(lab, "node-3")
    out = next(name for name in THREE if name not in together)
    until(lambda: members(lab, out) == [out], 10)
    until(lambda: owner(lab) in together, 20)
    agreed = [members(lab, name) for name in together] == [together, together]
    shown = view(lab, "node-3")["outvoted"]
    _, text = lab.command("node-3", "membership")
    lab.nodes["node-2"].run("/usr/sbin/nft", "delete table inet oneway")
    until(lambda: all(members(lab, name) == list(THREE) for name in THREE), 20)
    until(lambda: status(lab, "node-1") == dict.fromkeys(THREE, "online"), 20)
    time.sleep(1)
    return {
        "with": "node-3" in together,
        "agreed": agreed,
        "why": shown == [{"node": out, "why": "node-2 does not hear node-1"}],
        "lines": text.splitlines()[:2]
        == [f"View: {' '.join(together)}", f"  {out} is outvoted: node-2 does not hear node-1"],
        "served": owner(lab) in THREE,
    }


def two_links(lab: Lab) -> object:
    """The same with another link beside: nothing happens, but that the link is shown."""
    first = begin(lab)
    wall = time.time()
    deafen(lab, "node-2", "node-1")
    time.sleep(6)  # the deadtime is 2 s
    _, text = lab.command("node-2", "membership", "--json")
    peers = {peer["node"]: peer for peer in json.loads(text)["steadiness"]}
    links = {link["link"]: link["up"] for link in peers["node-1"]["links"]}
    tasks = {e.field("task") for e in lab.events() if e.at > wall and e.name == "operation-started"}
    return {
        "members": [members(lab, name) for name in THREE] == [list(THREE)] * 3,
        "links": sorted(up for name, up in links.items() if name.startswith("eth")),
        "owner": owner(lab) == first,
        "untouched": not {"start", "stop"} & tasks,
    }


CASES = {"one_link": one_link, "two_links": two_links}


def main() -> int:
    """Run one case in a sandbox of its own."""
    case = sys.argv[1]
    if case == "two_links":
        many_case.HA_CF = many_case.HA_CF.replace("bcast eth1", "bcast eth1 eth2")

    def inside() -> int:
        with lab_of(3) as lab:
            print(json.dumps(CASES[case](lab)), flush=True)
        return 0

    return sandbox.run(inside)


if __name__ == "__main__":
    sys.exit(main())
