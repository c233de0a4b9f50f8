"""What goes wrong in a simulated data centre, drawn from a seed."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from standfest.model.time import Duration, Instant, in_seconds, milliseconds, seconds
from standfest.sim.scene import UNMANAGED, Scene

NO_ONE = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    number: its place in the plan; at, lasts: ns; node, others, resource, amount: as the kind needs.
    """

    number: int
    at: Instant
    lasts: Duration
    kind: str
    node: str = NO_ONE
    others: tuple[str, ...] = ()
    resource: str = ""
    amount: float = 0.0

    def __str__(self) -> str:
        """Return one line for people."""
        words = [f"#{self.number}", f"{in_seconds(self.at):.3f} s", self.kind]
        words += [word for word in (self.node, ",".join(self.others), self.resource) if word]
        if self.amount:
            words.append(f"{self.amount:g}")
        return " ".join(words) + f", for {in_seconds(self.lasts):.3f} s"


Draw = Callable[[random.Random, Scene], dict[str, object]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to go wrong.

    says: what it is; weight: how often it is drawn; silence: whether a node that lives falls
    silent to another; shortest, longest: how long it lasts, ns.
    """

    says: str
    weight: int
    draw: Draw
    silence: bool = False
    shortest: Duration = seconds(1)
    longest: Duration = seconds(90)
    fencing: bool = False
    least_nodes: int = 2
    pings: bool = False
    roster: bool = False


def _nothing(source: random.Random, scene: Scene) -> dict[str, object]:
    del source, scene
    return {}


def _amount(low: float, high: float) -> Draw:
    def draw(source: random.Random, scene: Scene) -> dict[str, object]:
        del scene
        return {"amount": round(source.uniform(low, high), 3)}

    return draw


def _node(source: random.Random, scene: Scene) -> dict[str, object]:
    return {"node": source.choice(scene.names)}


def _node_amount(low: float, high: float) -> Draw:
    def draw(source: random.Random, scene: Scene) -> dict[str, object]:
        return {"node": source.choice(scene.names), "amount": round(source.uniform(low, high), 3)}

    return draw


def _two(source: random.Random, scene: Scene) -> dict[str, object]:
    one, other = source.sample(scene.names, 2)
    return {"node": one, "others": (other,)}


def _some(source: random.Random, scene: Scene) -> dict[str, object]:
    count = source.randint(1, len(scene.names) - 1)
    return {"others": tuple(sorted(source.sample(scene.names, count)))}


def _link(source: random.Random, scene: Scene) -> dict[str, object]:
    return {"node": source.choice(scene.names), "others": (source.choice(scene.links),)}


def _resource(source: random.Random, scene: Scene) -> dict[str, object]:
    names = [name for name in scene.primitives if name != UNMANAGED]
    return {"node": source.choice(scene.names), "resource": source.choice(names)}


def _movable(source: random.Random, scene: Scene) -> dict[str, object]:
    return {"node": source.choice(scene.names), "resource": source.choice(scene.movable)}


def _target(source: random.Random, scene: Scene) -> dict[str, object]:
    hosts = [host for node in scene.settings.pinging.nodes for host in node.hosts]
    return {"others": (source.choice(hosts),)}


KINDS: dict[str, Kind] = {
    "loss": Kind("datagrams are lost", 6, _amount(0.02, 0.5), silence=True),
    "delay": Kind("datagrams take long (ms)", 3, _amount(5, 400), silence=True),
    "duplication": Kind("datagrams come twice", 3, _amount(0.05, 0.8)),
    "reordering": Kind("datagrams overtake each other (ms)", 3, _amount(5, 150), silence=True),
    "damage": Kind("bits flip on the wire", 3, _amount(0.02, 0.3), silence=True),
    "split": Kind("two sets of nodes do not hear each other", 8, _some, silence=True),
    "isolation": Kind("one node hears nobody and is not heard", 6, _node, silence=True),
    "one-way": Kind("one node is not heard by another", 6, _two, silence=True),
    "ring": Kind("only neighbours hear each other", 2, _nothing, silence=True, least_nodes=4),
    "bridge": Kind("one node alone hears both halves", 3, _node, silence=True, least_nodes=3),
    "flapping": Kind("a node's network comes and goes", 4, _node_amount(0.2, 8), silence=True),
    "cable": Kind("a cable is pulled", 5, _link, silence=True),
    "slow-node": Kind(
        "a node is slow to send and read (ms)", 3, _node_amount(5, 500), silence=True
    ),
    "crash": Kind("a node loses its power", 14, _node, longest=seconds(240)),
    "pulse-restarts": Kind("pulse is killed and started again", 5, _node),
    "cluster-dies": Kind("the cluster daemon is killed", 7, _node, shortest=milliseconds(10)),
    "daemons-restart": Kind("all daemons are killed and started again", 4, _node),
    "leave": Kind("a node is stopped in order, and started later", 4, _node, longest=seconds(200)),
    "pause": Kind(
        "a node stands still",
        5,
        _node,
        silence=True,
        shortest=milliseconds(50),
        longest=seconds(60),
    ),
    "cluster-pauses": Kind("the cluster daemon stands still", 4, _node, silence=True),
    "disk-full": Kind("a disk is full", 3, _node),
    "disk-lies": Kind("a disk loses what it synced, by a crash", 2, _node),
    "disk-torn": Kind("a power cut in the middle of a write", 4, _node_amount(0, 5)),
    "disk-flips": Kind("a bit flips on a disk before a restart", 2, _node),
    "resource-dies": Kind("a resource's process dies", 6, _resource),
    "agent-hangs": Kind("an agent does not come back", 3, _resource),
    "agent-slow": Kind("an agent takes fifty times longer", 3, _resource),
    "starts-fail": Kind("a resource cannot start on a node", 3, _resource),
    "stops-fail": Kind("a resource cannot stop on a node", 3, _resource),
    "starts-lie": Kind("an agent says that it started, and did not", 2, _resource),
    "monitors-lie": Kind("an agent says that nothing runs", 2, _resource),
    "clock-jumps": Kind("a wall clock jumps (s)", 3, _node_amount(-4000, 4000)),
    "clock-drifts": Kind("a clock runs too fast or too slow (ppm)", 2, _node_amount(-5000, 5000)),
    "fence-fails": Kind("the fence device fails", 3, _nothing, fencing=True),
    "fence-slow": Kind("the fence device is slow (s)", 2, _amount(2, 50), fencing=True),
    "fence-lies": Kind("the fence device says off, and is not", 1, _nothing, fencing=True),
    "standby": Kind("an operator puts a node into standby for a while", 5, _node),
    "move": Kind("an operator moves a resource, and takes it back", 5, _movable),
    "cleanup": Kind("an operator cleans up a resource", 3, _resource),
    "target-dies": Kind("a host that is pinged answers nobody", 8, _target, pings=True),
    "way-lost": Kind("a node loses its way to the hosts that are pinged", 10, _node, pings=True),
    "removed": Kind(
        "a node is stopped, removed from the cluster, and added again",
        12,
        _node,
        shortest=seconds(20),
        longest=seconds(300),
        least_nodes=3,
        roster=True,
    ),
}


def draw_plan(
    source: random.Random, scene: Scene, count: int, within: tuple[Instant, Instant], first: int
) -> list[Fault]:
    """Return `count` faults within two instants, in the order of time, numbered from `first`.

    Half of the scenes whose operator trusts silence get no silence: there every promise holds.
    """
    begin, end = within
    silence = scene.fencing or source.random() < 0.5
    drawn = {
        name: kind
        for name, kind in KINDS.items()
        if (silence or not kind.silence)
        and (scene.fencing or not kind.fencing)
        and (scene.settings.pinging.nodes or not kind.pings)
        and (scene.roster or not kind.roster)
        and len(scene.names) >= kind.least_nodes
    }
    names, weights = list(drawn), [kind.weight for kind in drawn.values()]
    faults: list[Fault] = []
    times = sorted(source.randrange(begin, end) for _ in range(count))
    for offset, at in enumerate(times):
        name = source.choices(names, weights)[0]
        kind = drawn[name]
        # As many short ones as long ones, on a scale of ratios.
        ratio = kind.longest / kind.shortest
        lasts = int(kind.shortest * ratio ** source.random())
        made = kind.draw(source, scene)
        fault = Fault(first + offset, at, min(lasts, end - at), name, **made)  # type: ignore[arg-type]
        faults.append(fault)
    return faults
