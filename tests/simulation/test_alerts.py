"""Alerts of a simulated cluster: one event is told once in each place, whatever else happens."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulation.test_fencing import FencedCluster, configuration, serving

from standfest.model.operations import ExitCode, Operation
from standfest.model.time import Instant
from standfest.runtime.cluster.effects import Alert, MemberEffect
from standfest.runtime.cluster.protocol import SetAttribute, Standby
from standfest.sim.node import SimNode
from standfest.sim.observer import Observer

Told = tuple[str, dict[str, str]]


class Ears(Observer):
    """Hears all alerts, and what agents really did."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.done: Counter[tuple[str, str, str]] = Counter()

    def wanted(self, now: Instant, node: SimNode, effect: MemberEffect) -> None:
        del now
        if isinstance(effect, Alert):
            self.told.append((node.name, {"kind": effect.kind.value, **dict(effect.fields)}))

    def acted(self, now: Instant, node: str, operation: Operation, code: ExitCode) -> None:
        del now, code
        if not operation.interval and operation.task != "monitor":
            self.done[node, operation.resource, operation.task] += 1

    def heard(self, kind: str, *fields: str) -> Counter[tuple[str, ...]]:
        """Return how often each node told which values of these fields, of a kind of events."""
        return Counter(
            (teller, *(told[name] for name in fields))
            for teller, told in self.told
            if told["kind"] == kind
        )


class Heard(FencedCluster):
    """A cluster with power switches that is listened to."""

    def __init__(self, seed: int, *nodes: str, fencing: str = "stop") -> None:
        super().__init__(seed, configuration(fencing), *nodes)
        self.observer = self.ears = Ears()

    def leader(self) -> str:
        """Return who coordinates."""
        return next(n.name for n in self.nodes.values() if n.member and n.member.coordinator)

    def pairs(self, kind: str) -> set[tuple[str, str]]:
        """Return who told of which node; fails if anybody did more than once."""
        found = self.ears.heard(kind, "node")
        assert set(found.values()) <= {1}, found
        return {(teller, node) for teller, node in found}


def each_operation_was_told_where_it_ran(sim: Heard) -> None:
    found = Counter(
        (told["node"], told["rsc"], told["task"])
        for teller, told in sim.ears.told
        if told["kind"] == "resource" and told["interval"] == "0" and told["task"] != "monitor"
        if teller == told["node"]
    )
    assert found == sim.ears.done
    assert len(sim.ears.heard("resource", "rsc")) > 0


@given(seed=st.integers(0, 2**32))
@settings(max_examples=8, deadline=None)
def test_a_lost_node_is_told_once_by_every_other_and_so_are_its_fencing_and_return(
    seed: int,
) -> None:
    sim = Heard(seed, "a", "b", "c")
    owner, _ = serving(sim)
    others = [name for name in sim.nodes if name != owner]
    sim.ears.told.clear()  # of nodes that came later than the first to lead
    sim.ears.done.clear()
    sim.crash(owner)
    sim.go(15_000)
    assert sim.pairs("node") == {(name, owner) for name in others}
    assert {told["desc"] for _, told in sim.ears.told if told["kind"] == "node"} == {"lost"}
    assert sim.pairs("fencing") == {(name, owner) for name in others}
    each_operation_was_told_where_it_ran(sim)
    sim.ears.told.clear()
    sim.power_on(owner)
    sim.go(20_000)
    # Who comes back tells neither of the others nor of what it did, and what was done, before.
    assert sim.pairs("node") == {(name, owner) for name in others}
    assert {told["desc"] for _, told in sim.ears.told if told["kind"] == "node"} == {"member"}
    assert sim.ears.heard("fencing", "node") == {}
    tasks = {told["task"] for _, told in sim.ears.told if told["kind"] == "resource"}
    assert tasks <= {"start", "stop", "monitor"}  # of the fence device alone, which has to start
    assert {told["rsc"] for _, told in sim.ears.told if told["kind"] == "resource"} <= {"power"}


@given(seed=st.integers(0, 2**32))
@settings(max_examples=8, deadline=None)
def test_a_new_coordinator_tells_nothing_again(seed: int) -> None:
    sim = Heard(seed, "a", "b", "c")
    serving(sim)
    leader = sim.leader()
    sim.ask(leader, SetAttribute("a", "load", "7"))
    sim.go(1000)
    assert sim.ears.heard("attribute", "node", "attribute_name", "attribute_value")[
        leader, "a", "load", "7"
    ] == 1  # fmt: skip
    assert [told for teller, told in sim.ears.told if told["kind"] == "attribute"] != []
    sim.ears.told.clear()
    sim.kill_cluster_daemon(leader)
    sim.go(300)
    sim.restart_cluster_daemon(leader)
    sim.go(10_000)
    assert len(sim.world.on("web")) == 1
    assert sim.ears.heard("node", "node") == {}  # it was heard all the time
    assert sim.ears.heard("fencing", "node") == {}
    assert sim.ears.heard("attribute", "node") == {}
    successor = sim.leader()
    sim.ask(successor, SetAttribute("a", "load", "8"))
    sim.ask(successor, Standby("b", on=True))
    sim.go(5000)
    assert sim.ears.heard("attribute", "node", "attribute_name", "attribute_value") == {
        (successor, "a", "load", "8"): 1,
        (successor, "b", "standby", "on"): 1,
    }


def test_a_monitor_is_told_when_its_result_changes_and_not_each_time() -> None:
    sim = Heard(5, "a", "b")
    owner, _ = serving(sim)
    sim.go(30_000)  # six more runs of the monitor
    found = sim.ears.heard("resource", "rsc", "task", "interval")
    assert found[owner, "web", "monitor", "5000"] == 1
    assert found[owner, "web", "start", "0"] == 1
    probes = [told for _, told in sim.ears.told if told.get("interval") == "0"]
    assert [told for told in probes if told["task"] == "monitor"] == []
