"""What a member says when it joins, and what its coordinator makes of it."""

from dataclasses import replace

import pytest
from tests.simulation.test_cluster import agree, cluster, owner

from standfest.model.operations import Operation, OperationStatus
from standfest.model.time import Instant, seconds
from standfest.runtime.cluster.effects import KeepInput, MemberEffect, Send
from standfest.runtime.cluster.member import ClusterMember
from standfest.runtime.cluster.protocol import Execute, Join, Lead, Move, Outcome, Standby

Led = tuple[ClusterMember, Instant, int, Join]


@pytest.fixture
def led() -> Led:
    """Coordinator a at rest, its time, wall clock, and what b, which runs all, would join with."""
    sim = cluster(1, "a", "b")
    sim.run_until(lambda: owner(sim) is not None, at_most=seconds(2))
    sim.run_for(seconds(5))
    sim.ask("a", Move("mail", "b"))
    sim.run_for(seconds(5))
    assert (owner(sim), agree(sim, "a", "b")) == ("b", True)
    members = [node.member for node in sim.nodes.values() if node.member is not None]
    leader, other = members
    assert leader.coordinator is not None
    join = Join(leader.election.term, other.cib.version, other.executor.history(), ())
    return leader, sim.now, sim.wall, join


def decided(effects: list[MemberEffect]) -> bool:
    return any(isinstance(effect, KeepInput) for effect in effects)


def test_a_join_that_answers_an_earlier_call_counts_for_nothing(led: Led) -> None:
    leader, now, wall, join = led
    leader.reset(now, wall, "b")
    effects = leader.receive(now, wall, "b", join)
    assert not decided(effects)
    sent = [effect for effect in effects if isinstance(effect, Send)]
    assert [one.destination for one in sent] == ["b"]
    assert isinstance(sent[0].message, Lead)
    assert sent[0].message.invitation == 1  # the first call is number 0
    assert decided(leader.receive(now, wall, "b", replace(join, invitation=1)))


def test_nothing_is_decided_before_what_runs_on_who_joins_has_ended(led: Led) -> None:
    leader, now, wall, join = led
    entry = join.history[0][1][0]
    begun = replace(entry.operation, key="1:1:0:another-term")
    pending = replace(entry, operation=begun, status=OperationStatus.PENDING)
    history = ((join.history[0][0], (*join.history[0][1], pending)), *join.history[1:])
    leader.reset(now, wall, "b")
    joined = leader.receive(now, wall, "b", replace(join, invitation=1, history=history))
    assert not decided(joined)
    ended = replace(pending, status=OperationStatus.DONE, call_id=pending.call_id + 1)
    assert decided(leader.receive(now, wall, "b", Outcome(ended)))


def test_what_never_ends_is_given_up(led: Led) -> None:
    leader, now, wall, join = led
    entry = join.history[0][1][0]
    begun = replace(entry.operation, key="1:1:0:another-term", timeout=seconds(20))
    pending = replace(entry, operation=begun, status=OperationStatus.PENDING)
    history = ((join.history[0][0], (*join.history[0][1], pending)), *join.history[1:])
    leader.reset(now, wall, "b")
    leader.receive(now, wall, "b", replace(join, invitation=1, history=history))
    late = now + seconds(80)  # 20 s, and cluster-delay's 60
    assert not decided(leader.on_timer(late - 1, wall))
    assert decided(leader.on_timer(late, wall + 80))


def asked(effects: list[MemberEffect], other: str) -> list[Operation]:
    """Return what a member is ordered to do."""
    sent = [e.message for e in effects if isinstance(e, Send) and e.destination == other]
    return [message.operation for message in sent if isinstance(message, Execute)]


def as_pending(join: Join, operations: list[Operation]) -> Join:
    entry = join.history[0][1][0]
    waiting = [
        (one.resource, (replace(entry, operation=one, status=OperationStatus.PENDING),))
        for one in operations
    ]
    return replace(join, history=(*join.history, *waiting))


def test_an_order_that_has_arrived_is_waited_for_when_its_node_joins_once_more(led: Led) -> None:
    leader, now, wall, join = led
    orders = asked(leader.ask(now, wall, 1, Standby("b", True)), "b")
    assert [(one.resource, one.task) for one in orders] == [("address", "stop")]
    leader.reset(now, wall, "b")
    again = replace(as_pending(join, orders), invitation=1)
    assert not decided(leader.receive(now, wall, "b", again))


def test_an_order_that_was_lost_is_not_waited_for(led: Led) -> None:
    leader, now, wall, join = led
    assert asked(leader.ask(now, wall, 1, Standby("b", True)), "b")
    leader.reset(now, wall, "b")
    assert decided(leader.receive(now, wall, "b", replace(join, invitation=1)))


def test_an_order_that_follows_the_call_to_join_arrives_after_the_join_was_said(led: Led) -> None:
    leader, now, wall, join = led
    leader.reset(now, wall, "b")
    assert asked(leader.ask(now, wall, 1, Standby("b", True)), "b")
    assert not decided(leader.receive(now, wall, "b", replace(join, invitation=1)))
