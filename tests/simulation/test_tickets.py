"""Tickets and invented failures in a simulated cluster: what is asked, and what comes of it."""

import pytest
from tests.simulation.test_cluster import ha_cf

from standfest.config.cib import load
from standfest.core.cib.document import Cib
from standfest.model.element import Element
from standfest.model.status import NodeState, Status, Version
from standfest.model.tickets import TicketState
from standfest.model.time import seconds
from standfest.runtime.cluster.effects import Answer
from standfest.runtime.cluster.protocol import (
    ChangeTicket,
    Cleanup,
    FailResource,
    ForgetTicket,
    Request,
)
from standfest.runtime.cluster.stored import to_bytes
from standfest.sim.cluster import SimCluster
from standfest.sim.network import Weather

NODES = ("a", "b", "c")
CIB = """<configuration><crm_config><cluster_property_set id="o">
<nvpair id="o1" name="stonith-enabled" value="{fencing}"/></cluster_property_set></crm_config>
<resources><primitive id="web" class="ocf" provider="x" type="Dummy">
<operations><op id="m" name="monitor" interval="5s"/></operations></primitive>
{devices}</resources><constraints>{constraints}</constraints></configuration>"""
DEVICE = """<primitive id="power" class="stonith" type="fence_test"><instance_attributes id="pi">
<nvpair id="p1" name="pcmk_host_list" value="a b c"/></instance_attributes></primitive>"""
PLACE = '<rsc_location id="l" rsc="web" node="{node}" score="10"/>'
TICKET = '<rsc_ticket id="t" rsc="web" ticket="T" loss-policy="{policy}"/>'
GRANT = ChangeTicket("T", (("granted", "true"),))
REVOKE = ChangeTicket("T", (("granted", "false"),))


def configuration(policy: str = "", place: str = "") -> Element:
    """The service needs the ticket if there is a policy; fencing with the policy `fence` only."""
    fences = policy == "fence"
    constraints = TICKET.format(policy=policy) if policy else ""
    constraints += PLACE.format(node=place) if place else ""
    text = CIB.format(
        fencing=str(fences).lower(), devices=DEVICE if fences else "", constraints=constraints
    )
    return load([("cib.xml", text)]).configuration


def started(seed: int, policy: str = "", place: str = "") -> SimCluster:
    sim = SimCluster(
        seed,
        ha_cf(*NODES),
        configuration(policy, place),
        links=("eth0", "eth1"),
        weather=Weather(),
    )
    for node in NODES:
        sim.power_on(node)
    sim.run_until(lambda: all_synchronised(sim), at_most=seconds(30))
    sim.run_for(seconds(5))
    return sim


def all_synchronised(sim: SimCluster) -> bool:
    members = [node.member for node in sim.nodes.values() if node.up]
    return all(member is not None and member.synchronised for member in members)


def asked(sim: SimCluster, node: str, request: Request) -> Answer:
    sim.nodes[node].answers.clear()
    sim.ask(node, request, 10)
    sim.run_until(lambda: bool(sim.nodes[node].answers), at_most=seconds(5))
    return sim.nodes[node].answers[0]


def leader(sim: SimCluster) -> str:
    return next(n for n, node in sim.nodes.items() if node.member and node.member.coordinator)


def tickets(sim: SimCluster) -> set[tuple[TicketState, ...]]:
    """What the nodes that have power know of tickets: one, if they agree."""
    members = [node.member for node in sim.nodes.values() if node.member is not None]
    return {member.cib.status.tickets.states for member in members}


def state_of(sim: SimCluster, node: str) -> NodeState:
    member = sim.nodes[leader(sim)].member
    assert member is not None
    state = member.cib.status.node(node)
    assert state is not None
    return state


def on(sim: SimCluster) -> set[str]:
    return set(sim.world.on("web"))


def said(answer: Answer) -> tuple[bool, str]:
    return answer.accepted, answer.text


def granted(sim: SimCluster) -> str:
    """The value of `granted` that all nodes know."""
    [states] = tickets(sim)
    return states[0].get("granted") or ""


# --- tickets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("restarted", ["the coordinator", "another"])
def test_a_ticket_lets_a_resource_run_survives_a_restart_and_takes_it_away(restarted: str) -> None:
    sim = started(1, "stop")
    assert on(sim) == set()
    assert asked(sim, "b", GRANT).accepted
    sim.run_until(lambda: len(on(sim)) == 1, at_most=seconds(2))
    [states] = tickets(sim)
    [state] = states
    assert (state.id, state.get("granted")) == ("T", "true")
    since = state.get("last-granted")
    assert since is not None
    assert since.isdecimal()

    first = leader(sim)
    gone = first if restarted == "the coordinator" else next(n for n in NODES if n != first)
    sim.crash(gone)
    sim.run_for(seconds(20))
    assert len(on(sim)) == 1
    sim.power_on(gone)
    sim.run_for(seconds(20))
    assert all_synchronised(sim)
    assert tickets(sim) == {states}  # also on the one that had forgotten it

    other = next(n for n in NODES if n != leader(sim))
    assert said(asked(sim, other, ChangeTicket("T", (("standby", "true"),)))) == (
        True,
        f"ticket T: granted=true last-granted={since} standby=true",
    )
    sim.run_until(lambda: not on(sim), at_most=seconds(2))
    assert asked(sim, other, ChangeTicket("T", (("standby", "false"),))).accepted
    sim.run_until(lambda: len(on(sim)) == 1, at_most=seconds(2))
    assert asked(sim, gone, REVOKE).accepted
    sim.run_until(lambda: not on(sim), at_most=seconds(2))
    sim.run_for(seconds(20))
    assert on(sim) == set()
    assert sim.doubles == []


def test_tickets_are_gone_when_all_nodes_have_restarted() -> None:
    sim = started(2, "stop")
    assert asked(sim, "a", GRANT).accepted
    sim.run_until(lambda: len(on(sim)) == 1, at_most=seconds(2))
    for node in NODES:
        sim.crash(node)
    for node in NODES:
        sim.power_on(node)
    sim.run_until(lambda: all_synchronised(sim), at_most=seconds(30))
    sim.run_for(seconds(10))
    assert tickets(sim) == {()}
    assert on(sim) == set()


def test_a_node_that_missed_that_a_ticket_was_revoked_does_not_bring_it_back() -> None:
    sim = started(3, "stop")
    assert asked(sim, "a", GRANT).accepted
    sim.run_for(seconds(2))
    first = leader(sim)
    others = [node for node in NODES if node != first]
    sim.partition([first], others)  # it still leads, alone
    sim.run_for(seconds(10))
    assert asked(sim, others[0], REVOKE).accepted
    assert said(asked(sim, first, GRANT)) == (
        False,
        f"no quorum: of 3 nodes only {first} would keep it",
    )
    sim.heal()
    sim.run_for(seconds(20))
    assert all_synchronised(sim)
    assert granted(sim) == "false"
    assert on(sim) == set()


def test_a_coordinator_that_has_forgotten_a_ticket_gets_it_of_a_member() -> None:
    """The node with the newest configuration leads, also when its daemon has just restarted."""
    sim = started(4, "stop")
    assert asked(sim, "a", GRANT).accepted
    sim.run_until(lambda: len(on(sim)) == 1, at_most=seconds(2))
    assert leader(sim) == "a"
    newest = Cib(Version(1, 0, 0), configuration("stop"), Status())
    sim.nodes["c"].disk.save(to_bytes(newest, (1, "a")))
    sim.crash("a")
    sim.kill_cluster_daemon("c")
    sim.restart_cluster_daemon("c")
    sim.run_for(seconds(20))
    assert leader(sim) == "c"
    [(state,)] = tickets(sim)
    assert (state.id, state.get("granted")) == ("T", "true")
    assert len(on(sim)) == 1


def test_a_ticket_that_is_forgotten_is_as_if_it_had_never_been() -> None:
    sim = started(5, "stop")
    assert said(asked(sim, "c", ForgetTicket("T"))) == (
        False,
        "no ticket T; expected one of: none",
    )
    asked(sim, "c", GRANT)
    sim.run_until(lambda: len(on(sim)) == 1, at_most=seconds(2))
    assert said(asked(sim, "c", ForgetTicket("T"))) == (True, "ticket T is forgotten")
    sim.run_until(lambda: not on(sim), at_most=seconds(2))
    assert tickets(sim) == {()}


def test_who_holds_what_a_lost_ticket_covers_is_fenced_where_that_is_asked_for() -> None:
    sim = started(6, "fence", place="b")
    assert leader(sim) == "a"
    assert asked(sim, "a", GRANT).accepted
    sim.run_until(lambda: on(sim) == {"b"}, at_most=seconds(2))
    sim.switch.boots = False
    assert asked(sim, "c", REVOKE).accepted
    sim.run_for(seconds(10))
    assert [node for _, node in sim.switch.done] == ["b"]
    needed = [dict(n.fields) for _, n in sim.nodes["a"].notes if n.event == "fencing-needed"]
    assert needed == [{"node": "b", "reason": "ticket T is lost"}]
    assert on(sim) == set()


# --- failures that are invented ------------------------------------------------------------------


def test_a_resource_that_counts_as_failed_is_restarted_where_it_is() -> None:
    sim = started(7, place="b")
    [owner] = on(sim)
    other = next(node for node in NODES if node != owner)
    starts = sim.world.starts
    told = asked(sim, other, FailResource("web", owner))
    assert said(told) == (True, f"web counts as failed on {owner}")
    sim.run_for(seconds(5))
    assert on(sim) == {owner}
    assert sim.world.starts == starts + 1
    state = state_of(sim, owner)
    assert state.attribute("fail-count-web#asyncmon_0") == "1"
    assert (state.attribute("last-failure-web#asyncmon_0") or "").isdecimal()
    told_of = [(e.operation.task, e.exit_code, e.exit_reason) for e in state.of("web")]
    assert ("asyncmon", 1, "Simulated failure") in told_of
    notes = [n for name in NODES for _, n in sim.nodes[name].notes if n.event == "operation-failed"]
    assert [dict(n.fields)["task"] for n in notes] == ["asyncmon"]

    # A new coordinator hears it of the node, and has nothing to do.
    assert leader(sim) != owner
    sim.crash(leader(sim))
    sim.run_for(seconds(15))
    assert sim.world.starts == starts + 1
    assert asked(sim, owner, FailResource("web", owner)).accepted
    sim.run_for(seconds(5))
    assert sim.world.starts == starts + 2
    assert state_of(sim, owner).attribute("fail-count-web#asyncmon_0") == "2"
    assert asked(sim, owner, Cleanup("web", "")).accepted
    sim.run_for(seconds(5))
    assert state_of(sim, owner).attribute("fail-count-web#asyncmon_0") is None
    assert on(sim) == {owner}


def test_only_what_runs_on_a_node_that_is_there_can_fail() -> None:
    sim = started(8)
    [owner] = on(sim)
    other = next(node for node in NODES if node not in (owner, leader(sim)))
    for request, why in (
        (FailResource("web", other), f"web is not active on {other}"),
        (FailResource("web", "nobody"), "no node nobody; expected one of: a, b, c"),
        (FailResource("nosuch", owner), "no resource nosuch; expected one of: web"),
    ):
        assert said(asked(sim, "b", request)) == (False, why)
    sim.crash(other)
    sim.run_for(seconds(5))
    told = asked(sim, owner, FailResource("web", other))
    assert said(told) == (False, f"node {other} is not online")
    assert sim.world.starts == 1
