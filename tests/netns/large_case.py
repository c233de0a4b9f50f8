"""Three nodes with a CIB of 5 MB: asked for it, one value of it changed.

Run as `python -m tests.netns.large_case CASE`. Prints one JSON value.
"""

import json
import statistics
import sys
import time

from tests.netns.cluster_case import pid, status, until
from tests.netns.many_case import CIB, lab_of

from standfest.config.cib import version_of
from standfest.core.cib.patch import difference
from standfest.lab import sandbox
from standfest.lab.lab import CIB_FILE, Lab
from standfest.model import xml
from standfest.model.element import Element
from standfest.runtime import channel, frames
from standfest.runtime.cluster.protocol import ChangeConfiguration, encode_request

NODES = ("node-1", "node-2", "node-3")
ATTRIBUTES = 13_000
"""Of each node, some 130 bytes each: they cost no agent a call."""
QUIET_S = 2.0


def large() -> str:
    """Return the CIB of `many_case` with 5 MB of node attributes."""
    nodes = []
    for node in NODES:
        pairs = "".join(
            f'<nvpair id="{node}-{n}" name="attribute-{n}" value="{"x" * 70}"/>\n'
            for n in range(ATTRIBUTES)
        )
        inner = f'<instance_attributes id="{node}-set">\n{pairs}</instance_attributes>'
        nodes.append(f'<node id="{node}" uname="{node}">\n{inner}</node>\n')
    return CIB.replace("<nodes/>", f"<nodes>\n{''.join(nodes)}</nodes>")


def begin(lab: Lab) -> None:
    """Switch the nodes on with the large CIB, and wait until they serve together."""
    text = large()
    for name in NODES:
        lab.boot(name).path(CIB_FILE).write_text(text, encoding="utf-8")
    for name in NODES:
        lab.launch(name)
    until(lambda: status(lab, "node-1") == dict.fromkeys(NODES, "online"), 120)
    time.sleep(QUIET_S)


def sent(lab: Lab) -> int:
    """Return how many bytes all nodes have put on their cables."""
    total = 0
    for node in NODES:
        for line in lab.nodes[node].run("/bin/cat", "/proc/net/dev")[1].splitlines():
            name, _, counts = line.partition(":")
            if name.strip().startswith("eth"):
                total += int(counts.split()[8])  # received bytes come first, of eight numbers
    return total


def memory(lab: Lab, node: str) -> int:
    """Return the most memory that a node's cluster daemon ever had, in MB."""
    text = lab.nodes[node].read(f"/proc/{pid(lab, node, 'cluster')}/status")
    line = next(line for line in text.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024


def asked(lab: Lab, node: str) -> tuple[float, str]:
    """Return how many ms it took to get the CIB at the socket, and its text."""
    place = lab.nodes[node].path("/run/standfest/cluster.sock")
    began = time.perf_counter()
    answer = channel.request(place, frames.Query("cib-xml"))
    took = 1000 * (time.perf_counter() - began)
    assert isinstance(answer, frames.Reply)
    return took, answer.text


def changed(lab: Lab, node: str, value: str) -> bool:
    """Change one attribute of a resource; return whether that was acknowledged."""
    cib = xml.parse(asked(lab, node)[1], "cib")
    configuration = cib.child("configuration")
    assert configuration is not None

    def other(element: Element) -> Element:
        if element.id == "nm":
            return element.with_attribute("value", value)
        if element.tag == "nodes":
            return element
        return element.with_children(tuple(other(child) for child in element.children))

    patch = difference(configuration, other(configuration))
    request = ChangeConfiguration(patch, version_of(cib), client="large_case")
    command = frames.Command("cib", how=encode_request(request).decode())
    place = lab.nodes[node].path("/run/standfest/cluster.sock")
    answer = channel.request(place, command)
    assert isinstance(answer, frames.Reply)
    assert answer.accepted, answer.text[:600]
    return answer.accepted


def one(lab: Lab) -> object:
    """Ask each node, change one value through node-2, ask again."""
    begin(lab)
    size = len(asked(lab, "node-3")[1])
    quiet = sent(lab)
    time.sleep(QUIET_S)
    at_rest = sent(lab) - quiet
    before = sent(lab)
    began = time.monotonic()
    accepted = changed(lab, "node-2", "25")
    time.sleep(max(0.0, QUIET_S - (time.monotonic() - began)))
    spent = time.monotonic() - began
    extra = sent(lab) - before - at_rest * spent / QUIET_S
    times = [asked(lab, node)[0] for node in NODES for _ in range(5)]
    return {
        "bytes": size,
        "accepted": accepted,
        "everywhere": ['id="nm" name="cidr_netmask" value="25"' in asked(lab, n)[1] for n in NODES],
        "sent for it": round(extra),
        "asked ms": [round(min(times)), round(statistics.median(times)), round(max(times))],
        "memory MB": max(memory(lab, node) for node in NODES),
    }


def main() -> int:
    """Run it in a sandbox."""

    def inside() -> int:
        with lab_of(3) as lab:
            print(json.dumps(one(lab)), flush=True)
        return 0

    return sandbox.run(inside)


if __name__ == "__main__":
    sys.exit(main())
