"""What the tests of the cluster on Debian's corosync do inside namespaces.

Run as `python -m tests.netns.corosync_case CASE`; prints one JSON value.
"""

import json
import sys
import time
from collections.abc import Callable

from tests.netns.cluster_case import daemons, owner, pid, status, until
from tests.netns.corosync_lab import CorosyncLab

from standfest.lab import measure, sandbox
from standfest.lab.lab import Lab

DAEMONS = ("log", "ring", "cluster", "supervisor")


def links(lab: CorosyncLab, node: str) -> dict[str, object]:
    """Return what `ring` on a node says."""
    code, output = lab.command(node, "status", "--links", "--json")
    report: dict[str, object] = {} if code else json.loads(output)
    return report


def has_address(lab: CorosyncLab, node: str) -> bool:
    """Return whether the first cluster address is on a node."""
    address = lab.plan.addresses[0].ip
    return f" {address}/" in lab.nodes[node].run("/sbin/ip", "-o", "address")[1]


def at_rest(lab: CorosyncLab, node: str) -> bool:
    """Return whether nothing of the group runs on a node any more, as it says itself."""
    code, output = lab.command(node, "status", "--json")
    if code:
        return False
    group = json.loads(output)["resources"][0]["group"]
    return all(node not in member["nodes"] for member in group)


def all_online(lab: CorosyncLab, node: str) -> bool:
    """Return whether a node sees all nodes online."""
    return set(status(lab, node).values()) == {"online"}


def begin(lab: CorosyncLab) -> str:
    """Start everything; return who serves."""
    lab.start()
    first = lab.wait_healthy(40)[0]
    until(lambda: all_online(lab, first), 15)
    return first


def twice(lab: CorosyncLab, began: float) -> float:
    """Return for how long an address had two owners, at most."""
    _, replies = lab.stop_client()
    return max(measure.answered_twice(replies, a.ip, began) for a in lab.plan.addresses)


def three(lab: CorosyncLab) -> object:
    """Kill the owner; cut the next one off; heal; the others go on, it stops and joins again."""
    first = begin(lab)
    lab.kill(first)
    until(lambda: owner(lab) not in ("", first), 15)
    lab.bury(first)
    lab.boot(first)
    lab.launch(first)
    second = owner(lab)
    until(lambda: all_online(lab, second), 20)
    lab.block(second)
    until(lambda: owner(lab) not in ("", second), 15)
    until(lambda: at_rest(lab, second), 10)
    third, said = owner(lab), links(lab, second)
    lab.unblock(second)
    until(lambda: all_online(lab, second) and all_online(lab, third), 20)
    return {
        "distinct": len({first, second}) == len({second, third}) == 2,
        "quorum": said["quorum"],
        "itself": said["nodes"][second],  # type: ignore[index]
        "stayed": owner(lab) == third and not has_address(lab, second),
    }


def two(lab: CorosyncLab) -> object:
    """Leave in order, corosync stays; kill corosync under an owner, stop it under the next one."""
    first, began = begin(lab), time.monotonic()
    lab.nodes[first].run("/bin/sh", "-c", "kill $(cat /run/standfest/supervisor.pid)")
    until(lambda: owner(lab) not in ("", first), 5)
    second = owner(lab)
    until(lambda: not pid(lab, first, "ring"), 5)
    until(lambda: status(lab, second).get(first) == "offline", 5)
    left = [event.field("node") for event in lab.events() if event.name == "member-left"]
    stands = links(lab, second)["nodes"][first]  # type: ignore[index]
    lab.daemons(first)
    until(lambda: all_online(lab, second) and all_online(lab, first), 15)
    stayed = owner(lab) == second

    lab.signal_ring(second, "KILL")
    until(lambda: not has_address(lab, second), 5)
    alone = owner(lab) in ("", second)  # the other one has not even noticed yet
    until(lambda: owner(lab) == first and at_rest(lab, second), 10)
    lab.ring(second)
    until(lambda: all_online(lab, second) and all_online(lab, first), 20)
    stayed = stayed and owner(lab) == first

    lab.signal_ring(first, "STOP")
    until(lambda: owner(lab) == second and at_rest(lab, first), 10)
    reason = links(lab, first)["cut_off"]
    lab.signal_ring(first, "CONT")
    until(lambda: all_online(lab, second) and all_online(lab, first), 20)
    return {
        "left in order": left == [first],
        "stands": stands,
        "let go first": alone,
        "reason": reason,
        "stayed": stayed and owner(lab) == second,
        "twice": twice(lab, began),
    }


def alone(lab: CorosyncLab) -> object:
    """All daemons of the owner die, nobody starts them again; then daemons meet a dead corosync."""
    for name in lab.plan.nodes:
        lab.boot(name)
        lab.ring(name)
    lab.start_client()
    for name in lab.plan.nodes:
        lab.daemons(name, respawn=False)
    first, began = lab.wait_healthy(40)[0], time.monotonic()
    second = next(name for name in lab.plan.nodes if name != first)
    until(lambda: all_online(lab, first), 15)
    lab.nodes[first].run("/bin/sh", "-c", "kill -9 $(cat /run/standfest/supervisor.pid)")
    until(lambda: status(lab, second)[first] == "pending", 8)
    said = links(lab, second)["nodes"][first]  # type: ignore[index]
    time.sleep(1)
    untouched = owner(lab) == first
    lab.kill(first)
    until(lambda: owner(lab) == second, 10)
    lab.signal_ring(second, "STOP")
    until(lambda: at_rest(lab, second), 10)
    lab.nodes[second].run("/bin/kill", "-9", pid(lab, second, "ring"))
    # It answers while it connects, and lets go after 3 s of that.
    until(lambda: links(lab, second).get("cut_off") == "no-corosync", 10)
    lab.signal_ring(second, "CONT")
    until(lambda: owner(lab) == second, 15)
    return {"untouched": untouched, "said": said, "twice": twice(lab, began)}


def killed(lab: Lab) -> object:
    """Kill each of our daemons on each node."""
    return daemons(lab, DAEMONS)


TWO = ("node-1", "node-2")
CASES: dict[str, tuple[Callable[[CorosyncLab], object], tuple[str, ...], str, str]] = {
    "three": (three, (*TWO, "node-3"), "udpu", "stop"),
    # Whoever has lost corosync lets go whatever the policy is: the other one takes over.
    "two": (two, TWO, "knet", "ignore"),
    "alone": (alone, TWO, "knet", "stop"),
    "killed": (killed, TWO, "knet", "stop"),
}


def show_events(lab: CorosyncLab) -> None:
    """Print what happened last, for whoever reads why a case has failed."""
    for event in lab.events()[-120:]:
        words = " ".join(f"{name}={value}" for name, value in event.fields)
        line = f"{event.at:.3f} {event.node} {event.process} {event.name} {words}"
        print(line, file=sys.stderr)


def main() -> int:
    """Run one case in a sandbox."""
    case, nodes, transport, policy = CASES[sys.argv[1]]

    def inside() -> int:
        lab = CorosyncLab(*nodes, transport=transport, policy=policy)
        with lab:
            try:
                print(json.dumps(case(lab)), flush=True)
            except BaseException:
                show_events(lab)
                raise
        return 0

    return sandbox.run(inside)


if __name__ == "__main__":
    sys.exit(main())
