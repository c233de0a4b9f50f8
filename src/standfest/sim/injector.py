"""Does faults to a simulated cluster and undoes them; what counts is the set active now."""

from collections.abc import Callable
from dataclasses import replace

from standfest.adapters.memory.world import Mood
from standfest.model.time import NANOSECONDS_PER_SECOND, milliseconds, seconds
from standfest.runtime.cluster.protocol import (
    AddNode,
    Cleanup,
    Clear,
    Move,
    RemoveNode,
    Request,
    Standby,
)
from standfest.sim.cluster import SimCluster
from standfest.sim.faults import KINDS, Fault
from standfest.sim.network import Weather
from standfest.sim.power import SWITCH_TAKES

REMOVED_AFTER = seconds(10)
"""So long after its stop was asked for a node is removed: only one that is gone may be."""
BACK_AFTER = seconds(60)
"""So long after everything was put right who could leave only then is started again."""
MOODS = {
    "agent-hangs": Mood.HANGS,
    "agent-slow": Mood.SLOW,
    "starts-fail": Mood.STARTS_FAIL,
    "stops-fail": Mood.STOPS_FAIL,
    "starts-lie": Mood.STARTS_LIE,
    "monitors-lie": Mood.MONITORS_LIE,
}


class Injector:
    """Begins and ends the faults of a plan in one simulation."""

    def __init__(self, sim: SimCluster, calm: Weather) -> None:
        self._sim = sim
        self._calm = calm
        self._active: dict[int, Fault] = {}
        self._flaps: set[int] = set()
        self._client = 100
        self._removed = ""  # who is removed, or on the way; one at a time
        self._moved: set[str] = set()  # `clear` may have been asked of who died before it acted
        self.done: list[Fault] = []

    def schedule(self, faults: list[Fault]) -> None:
        """Have these faults happen when their time comes."""
        for fault in faults:
            self._sim.later(fault.at - self._sim.now, self._beginner(fault))

    def _beginner(self, fault: Fault) -> Callable[[], None]:
        return lambda: self._begin(fault)

    def end_all(self) -> None:
        """End every fault that still is there, and have every node up and running."""
        for fault in list(self._active.values()):
            self._end(fault)
        self._all_up()

    def _all_up(self) -> None:
        for node in self._sim.nodes.values():
            node.disk.cut_after = None
            if not node.up:
                self._sim.power_on(node.name)
            elif node.member is None:
                self._sim.restart_cluster_daemon(node.name)

    def put_right(self) -> None:
        """Have an operator forget failures of what misbehaved, and take back what was asked.

        Who was on the way out when the faults ended may have left meanwhile, and comes back; who
        could not leave before this, by and by.
        """
        self._all_up()
        self._sim.later(BACK_AFTER, self._back)
        if self._removed:
            self._ask_anyone(AddNode(self._removed))
        for resource in sorted(self._sim.shaken):
            self._ask_anyone(Cleanup(resource, ""))
        for name in self._sim.nodes:
            self._ask_anyone(Standby(name, False))
        for resource in sorted(self._moved):
            self._ask_anyone(Clear(resource))
        self._removed, self._moved = "", set()

    def _back(self) -> None:
        for node in self._sim.nodes.values():
            if node.left and not node.up:
                self._sim.power_on(node.name)

    # --- one fault ------------------------------------------------------------------------------

    def _begin(self, fault: Fault) -> None:
        sim = self._sim
        self._active[fault.number] = fault
        self.done.append(fault)
        if KINDS[fault.kind].silence:
            sim.last_silence = max(sim.last_silence, sim.now + fault.lasts)
        sim.later(fault.lasts, lambda: self._end(fault))
        self._arrange()
        node = sim.nodes.get(fault.node)
        match fault.kind:
            case "flapping":
                self._flap(fault)
            case "cable":
                sim.unplug(fault.node, fault.others[0])
            case "pause":
                sim.pause(fault.node, fault.lasts)
            case "cluster-pauses":
                sim.pause(fault.node, fault.lasts, member_only=True)
            case "disk-full" if node is not None:
                node.disk.full = True
            case "disk-lies" if node is not None:
                node.disk.lies = True
            case "disk-torn" if node is not None:
                node.disk.cut_after = int(fault.amount)
            case "clock-jumps" if node is not None:
                node.clock.jump_s += int(fault.amount)
            case "clock-drifts":
                sim.drift(fault.node, int(fault.amount))
            case "fence-fails":
                sim.switch.broken = True
            case "fence-slow":
                sim.switch.takes = int(fault.amount * NANOSECONDS_PER_SECOND)
            case "fence-lies":
                sim.fences_lied = sim.switch.lies = True
            case "resource-dies":
                self._kill_resource(fault.resource, fault.node)
            case "standby" | "move" | "cleanup":
                if fault.kind == "move":
                    self._moved.add(fault.resource)
                self._ask(fault.node, _request(fault))
            case kind if kind in MOODS:
                sim.world.moods[fault.node, fault.resource] = MOODS[kind]
                sim.shaken.add(fault.resource)
            case _ if node is not None and node.up:
                self._strike(fault)
            case _:
                pass

    def _strike(self, fault: Fault) -> None:
        """Do what needs a node with power."""
        sim, name = self._sim, fault.node
        node = sim.nodes[name]
        match fault.kind:
            case "crash":
                sim.crash(name)
            case "pulse-restarts":
                sim.restart_pulse(name)
            case "daemons-restart":
                sim.restart_daemons(name)
            case "cluster-dies" if node.member is not None:
                sim.kill_cluster_daemon(name)
            case "disk-flips":
                node.disk.flip_bit()
                sim.kill_cluster_daemon(name)
            case "leave" if node.member is not None:
                sim.depart(name)
            case "removed" if node.member is not None and not self._removed:
                self._removed = name
                sim.depart(name)
                gone = RemoveNode(name)
                sim.later(REMOVED_AFTER, lambda: self._ask_anyone(gone))
            case _:
                pass

    def _end(self, fault: Fault) -> None:
        if self._active.pop(fault.number, None) is None:
            return
        sim = self._sim
        self._arrange()
        node = sim.nodes.get(fault.node)
        match fault.kind:
            case "cable":
                sim.plug(fault.node, fault.others[0])
            case "disk-full" if node is not None:
                node.disk.full = False
            case "disk-lies" if node is not None:
                if node.up:
                    sim.crash(fault.node)
                node.disk.lies = False
                sim.power_on(fault.node)
            case "clock-drifts":
                sim.drift(fault.node, 0)
            case "fence-fails":
                sim.switch.broken = False
            case "fence-slow":
                sim.switch.takes = SWITCH_TAKES
            case "fence-lies":
                sim.switch.lies = False
            case "crash" | "leave" | "disk-torn" if node is not None:
                node.disk.cut_after = None
                if not node.up:
                    sim.power_on(fault.node)
            case "cluster-dies" | "disk-flips" if node is not None:
                if node.up and node.member is None:
                    sim.restart_cluster_daemon(fault.node)
            case "removed" if fault.node == self._removed and node is not None:
                self._ask_anyone(AddNode(fault.node))
                if not node.up:
                    sim.power_on(fault.node)
            case "standby":
                self._ask_anyone(Standby(fault.node, False))
            case "move":
                self._ask_anyone(Clear(fault.resource))
            case kind if kind in MOODS:
                sim.world.moods.pop((fault.node, fault.resource), None)
            case _:
                pass

    # --- the network ----------------------------------------------------------------------------

    def _arrange(self) -> None:
        """Make the network what all active faults together say."""
        weather, cut, slow = self._calm, set[tuple[str, str]](), {}
        for fault in self._active.values():
            weather = _worse(weather, fault)
            cut |= self._cut(fault)
            if fault.kind == "slow-node":
                slow[fault.node] = milliseconds(int(fault.amount))
        network = self._sim.network
        network.weather, network.cut, network.slow = weather, cut, slow
        self._sim.targets.arrange(self._active.values())

    def _cut(self, fault: Fault) -> set[tuple[str, str]]:
        names = tuple(self._sim.nodes)
        match fault.kind:
            case "split":
                return _apart(fault.others, names)
            case "isolation":
                return _apart((fault.node,), names)
            case "flapping" if fault.number in self._flaps:
                return _apart((fault.node,), names)
            case "one-way":
                return {(fault.node, other) for other in fault.others}
            case "ring":
                neighbours = set(zip(names, (*names[1:], names[0]), strict=True))
                return {
                    (a, b)
                    for a in names
                    for b in names
                    if a != b and (a, b) not in neighbours and (b, a) not in neighbours
                }
            case "bridge":
                others = [name for name in names if name != fault.node]
                half = others[: len(others) // 2]
                return _apart(half, [name for name in others if name not in half])
            case _:
                return set()

    def _flap(self, fault: Fault) -> None:
        if fault.number not in self._active:
            self._flaps.discard(fault.number)
            return
        self._flaps ^= {fault.number}
        self._arrange()
        self._sim.later(int(fault.amount * NANOSECONDS_PER_SECOND), lambda: self._flap(fault))

    # --- resources and operators ----------------------------------------------------------------

    def _kill_resource(self, resource: str, preferred: str) -> None:
        nodes = self._sim.world.on(resource)
        if nodes:
            self._sim.shaken.add(resource)
            where = preferred if preferred in nodes else min(nodes)
            self._sim.world.kill(resource, where)

    def _ask(self, name: str, request: Request) -> None:
        node = self._sim.nodes[name]
        if node.member is not None and self._sim.now >= node.paused_until:
            self._client += 1
            self._sim.ask(name, request, self._client)

    def _ask_anyone(self, request: Request) -> None:
        """Ask where the cluster is: not at a node that was removed."""
        for name, node in self._sim.nodes.items():
            if (
                name != self._removed
                and node.member is not None
                and node.member.leader
                and self._sim.now >= node.paused_until
            ):
                self._ask(name, request)
                return


def _request(fault: Fault) -> Request:
    if fault.kind == "standby":
        return Standby(fault.node, True)
    if fault.kind == "move":
        return Move(fault.resource, fault.node)
    return Cleanup(fault.resource, "")


def _apart(
    left: "tuple[str, ...] | list[str]", all_nodes: "tuple[str, ...] | list[str]"
) -> set[tuple[str, str]]:
    right = [name for name in all_nodes if name not in left]
    return {pair for a in left for b in right for pair in ((a, b), (b, a))}


def _worse(weather: Weather, fault: Fault) -> Weather:
    match fault.kind:
        case "loss":
            return replace(weather, loss=max(weather.loss, fault.amount))
        case "delay":
            late = milliseconds(int(fault.amount))
            return replace(weather, min_delay=late, max_delay=late + milliseconds(3))
        case "reordering":
            late = weather.min_delay + milliseconds(int(fault.amount))
            return replace(weather, max_delay=max(weather.max_delay, late))
        case "duplication":
            return replace(weather, duplication=max(weather.duplication, fault.amount))
        case "damage":
            return replace(weather, damage=max(weather.damage, fault.amount))
        case _:
            return weather
