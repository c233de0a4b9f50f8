"""A third node is added to two while they serve, and removed again; or joins by itself.

Run as `python -m tests.netns.nodes_case CASE`. Prints one JSON value.
"""

import json
import sys
import time
from collections.abc import Callable

from tests.netns.cluster_case import owner, pid, status, until
from tests.netns.many_case import heard, lab_of

from standfest.lab import measure, sandbox
from standfest.lab.lab import Lab

TWO, THREE = ("node-1", "node-2"), ("node-1", "node-2", "node-3")


def begin(lab: Lab, extra: str = "") -> str:
    """Start two of three nodes, which know only of each other; return who serves."""
    for name in THREE:
        path = lab.boot(name).path("/etc/ha.d/ha.cf")
        text = path.read_text(encoding="utf-8") + extra
        if name in TWO or extra:
            text = text.replace("node node-1 node-2 node-3", "node node-1 node-2")
        path.write_text(text, encoding="utf-8")
    lab.start_client()
    for name in TWO:
        lab.launch(name)
    first = lab.wait_healthy(30)[0]
    until(lambda: status(lab, first) == dict.fromkeys(TWO, "online"), 15)
    return first


def quorum(lab: Lab, node: str) -> tuple[int, int]:
    """Return the votes that a node counts, and how many there are."""
    _, output = lab.command(node, "quorum", "status", "--json")
    found = json.loads(output)
    return found["votes"], found["expected"]


def gone(lab: Lab, node: str) -> None:
    """Stop a node in order."""
    lab.nodes[node].run("/bin/sh", "-c", "kill $(cat /run/standfest/supervisor.pid)")
    until(lambda: not pid(lab, node, "supervisor"), 20)


def untouched(lab: Lab, first: str, since: float, wall: float) -> bool:
    """Return whether one node served all the time, and nothing was started or stopped."""
    time.sleep(0.5)
    stayed, now = owner(lab) == first, time.monotonic()
    answers, _ = lab.stop_client()
    gap = measure.outage(answers, 0, since, now)
    tasks = [
        e.field("task")
        for e in lab.events()
        if e.at > wall and e.name == "operation-started" and e.node in TWO
    ]
    return stayed and (gap is None or gap.seconds < 0.2) and not {"start", "stop"} & set(tasks)


def commands(lab: Lab) -> object:
    """Added by a command, stopped, removed by one; started again it is nobody."""
    first = begin(lab)
    since, wall = time.monotonic(), time.time()
    added = lab.command("node-2", "node", "add", "node-3")
    alone = quorum(lab, "node-1")
    lab.launch("node-3")
    until(lambda: status(lab, "node-1") == dict.fromkeys(THREE, "online"), 15)
    whole = quorum(lab, "node-3")
    refused = lab.command("node-1", "node", "remove", "node-3")
    gone(lab, "node-3")
    until(lambda: status(lab, "node-1").get("node-3") == "offline", 10)
    removed = lab.command("node-1", "node", "remove", "node-3")
    left = sorted(status(lab, "node-2"))
    for daemon in ("cluster", "pulse"):
        old = pid(lab, "node-2", daemon)
        lab.nodes["node-2"].run("/bin/kill", "-9", old)
        until(lambda d=daemon, o=old: pid(lab, "node-2", d) not in ("", o), 15)  # type: ignore[misc]
        until(lambda: status(lab, "node-2") == dict.fromkeys(TWO, "online"), 15)
    lab.launch("node-3")
    until(lambda: bool(status(lab, "node-3")), 15)
    time.sleep(5)
    return {
        "added": added,
        "votes": [alone, whole, quorum(lab, "node-2")],
        "refused": refused,
        "removed": removed,
        "left": left,
        "strangers": sorted(set(heard(lab, "node-3")) | set(heard(lab, "node-1")) - set(TWO)),
        "untouched": untouched(lab, first, since, wall),
    }


def joins(lab: Lab) -> object:
    """Nobody named it, but nodes may join by themselves; both daemons remember it."""
    first = begin(lab, "autojoin any\n")
    since, wall = time.monotonic(), time.time()
    lab.launch("node-3")
    until(lambda: status(lab, "node-1") == dict.fromkeys(THREE, "online"), 20)
    until(lambda: quorum(lab, "node-3") == (3, 3), 10)
    found = {name: lab.nodes[name].read("/var/lib/standfest/hostcache").split() for name in THREE}
    old = pid(lab, "node-1", "pulse")
    lab.nodes["node-1"].run("/bin/kill", "-9", old)
    until(lambda: pid(lab, "node-1", "pulse") not in ("", old), 15)
    until(lambda: heard(lab, "node-1") == dict.fromkeys(THREE, "active"), 15)
    return {
        "remembered": [names == list(THREE) for names in found.values()],
        "untouched": untouched(lab, first, since, wall),
    }


CASES: dict[str, Callable[[Lab], object]] = {"commands": commands, "joins": joins}


def main() -> int:
    """Run one case in a sandbox."""

    def inside() -> int:
        with lab_of(3) as lab:
            print(json.dumps(CASES[sys.argv[1]](lab)), flush=True)
        return 0

    return sandbox.run(inside)


if __name__ == "__main__":
    sys.exit(main())
