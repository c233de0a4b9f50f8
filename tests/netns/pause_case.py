"""What a node does that was stopped as a whole, or only one of its daemons.

Run as `python -m tests.netns.pause_case CASE`. Prints one JSON value.
"""

import json
import sys
import time
from collections.abc import Callable

from tests.netns.cluster_case import SIGNED, new_lab, owner, pid, status, until

from standfest.lab import measure, sandbox
from standfest.lab.lab import Lab

ALL = ("supervisor", "pulse", "cluster", "log")


def signal(lab: Lab, node: str, number: str, daemons: tuple[str, ...]) -> None:
    """Send all these daemons a signal at once."""
    found = [pid(lab, node, daemon) for daemon in daemons]
    lab.nodes[node].run("/bin/kill", number, *found)


def begin(lab: Lab) -> str:
    """Start the installation; return who owns the services."""
    lab.start()
    first = lab.wait_healthy(30)[0]
    until(lambda: set(status(lab, first).values()) == {"online"}, 10)
    return first


def whole(lab: Lab) -> object:
    """All daemons of the owner stand still for 4 s: the other takes over, then they wake."""
    first = begin(lab)
    signal(lab, first, "-STOP", ALL)
    until(lambda: owner(lab) not in ("", first), 10)
    heir = owner(lab)
    time.sleep(2)
    signal(lab, first, "-CONT", ALL)
    woke = time.monotonic()
    until(lambda: set(status(lab, heir).values()) == {"online"}, 15)
    time.sleep(1)
    began = woke + 0.3  # a stop takes tens of milliseconds; the machine is shared
    _, replies = lab.stop_client()
    names = [e.name for e in lab.events() if e.node == first]
    return {
        "heir": heir != first and owner_of(lab, heir),
        "paused": "paused" in names,
        "twice": max(measure.answered_twice(replies, a.ip, began) for a in lab.plan.addresses),
    }


def owner_of(lab: Lab, node: str) -> bool:
    """Return whether a node says that all services run on it."""
    code, output = lab.command(node, "status", "--json")
    assert code == 0
    resources = json.loads(output)["resources"]
    members = [m for r in resources for m in r.get("group", [r])]
    return all(member["nodes"] == [node] for member in members)


def pulse_alone(lab: Lab) -> object:
    """Only the owner's pulse stands still: its cluster daemon gives up and ends it."""
    first = begin(lab)
    old = pid(lab, first, "pulse")
    signal(lab, first, "-STOP", ("pulse",))
    until(lambda: owner(lab) not in ("", first), 10)
    until(lambda: pid(lab, first, "pulse") not in ("", old), 5)
    heir = owner(lab)
    until(lambda: set(status(lab, heir).values()) == {"online"}, 15)
    time.sleep(2)
    return {"moved": owner(lab) == heir, "whole": owner_of(lab, heir)}


def cluster_alone(lab: Lab) -> object:
    """Only the owner's cluster daemon stands still: nothing moves, and it starts anew."""
    first = begin(lab)
    other = next(name for name in lab.plan.nodes if name != first)
    old = pid(lab, first, "cluster")
    wall = time.time()
    signal(lab, first, "-STOP", ("cluster",))
    until(lambda: status(lab, other).get(first) == "pending", 10)
    signal(lab, first, "-CONT", ("cluster",))
    until(lambda: set(status(lab, other).values()) == {"online"}, 15)
    time.sleep(1)
    events = [e for e in lab.events() if e.at > wall]
    return {
        "again": pid(lab, first, "cluster") not in ("", old),
        "moved": owner(lab) != first,
        "tasks": sorted({e.field("task") for e in events if e.name == "operation-started"}),
    }


CASES: dict[str, Callable[[Lab], object]] = {
    "whole": whole,
    "pulse": pulse_alone,
    "cluster": cluster_alone,
}


def main() -> int:
    """Run one case in a sandbox."""

    def inside() -> int:
        with new_lab("node-1", "node-2", keys=SIGNED) as lab:
            print(json.dumps(CASES[sys.argv[1]](lab)), flush=True)
        return 0

    return sandbox.run(inside)


if __name__ == "__main__":
    sys.exit(main())
