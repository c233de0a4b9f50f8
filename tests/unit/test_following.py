"""A member that follows a coordinator which it cannot join: what it asks, and when."""

from standfest.core.cib.document import Cib
from standfest.core.membership.election import Hello
from standfest.model.element import Element
from standfest.model.status import Status, Version
from standfest.model.time import seconds
from standfest.runtime.cluster.effects import MemberEffect, Send
from standfest.runtime.cluster.member import ClusterMember
from standfest.runtime.cluster.protocol import ClusterMessage, Lead
from standfest.runtime.cluster.settings import ClusterSettings

NODES = ("a", "b", "c")


def said(effects: list[MemberEffect]) -> list[ClusterMessage]:
    return [e.message for e in effects if isinstance(e, Send) and e.destination == "a"]


def test_who_can_not_promise_a_term_asks_whether_its_coordinator_still_leads() -> None:
    """Else two that take each other for the coordinator wait for each other for ever."""
    cib = Cib(Version(), Element("configuration"), Status())
    member = ClusterMember(ClusterSettings("b", NODES, "b-1"), 1, cib, (6, "c"))
    member.settle(0, 0)
    member.appear(0, 0, "a")
    leads = Hello(2, (0, 0, 1), 5, True, promised=(5, "a"), follows="a")
    member.receive(0, 0, "a", leads)
    assert member.leader == "a"
    answer = said(member.receive(0, 0, "a", Lead(5, Version(), 1)))
    assert [type(one) for one in answer] == [Hello]  # no Join: term 6 is promised
    assert not any(one.seeking for one in answer if isinstance(one, Hello))  # once to each Lead
    asked = said(member.on_timer(seconds(2), 0))
    assert [(type(one), getattr(one, "seeking", None)) for one in asked] == [(Hello, True)]
