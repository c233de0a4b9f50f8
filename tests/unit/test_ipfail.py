"""ipfail's preference, by the numbers in the status: who is preferred, and what rules follow."""

from standfest.config.cib import compile_configuration, load
from standfest.model.configuration import Configuration
from standfest.model.element import Element
from standfest.model.pinging import Pinging, PingNode
from standfest.model.status import NodeState, Status
from standfest.runtime.cluster.conditions import Conditions
from standfest.runtime.cluster.effects import Send
from standfest.runtime.cluster.ipfail import Preference, preference, with_preference
from standfest.runtime.cluster.protocol import Reachable

CIB = """<configuration><nodes><node id="1" uname="c"><instance_attributes id="n">
<nvpair id="s" name="standby" value="on"/></instance_attributes></node></nodes><resources>
<primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr"/>
<group id="mail"><primitive id="files" class="ocf" type="Dummy"/></group>
<clone id="all"><primitive id="each" class="ocf" type="Dummy"/></clone>
<master id="data"><primitive id="drbd" class="ocf" type="Stateful"/></master>
<primitive id="power" class="stonith" type="fence_x"/></resources></configuration>"""
ON = Pinging((PingNode("10.0.0.1", ("10.0.0.1",)),), ipfail=True)


def compiled() -> tuple[Element, Configuration]:
    element = load([("c", CIB)]).configuration
    return element, compile_configuration(element)[0]


def status(**numbers: str | None) -> Status:
    found = Status()
    for name, number in numbers.items():
        found = found.with_node(NodeState(name).with_attribute("pingd", number))
    return found


def prefer(settings: Pinging = ON, *, joined: str = "ab", **numbers: str | None) -> int | None:
    wanted = preference(settings, compiled()[1], status(**numbers), set(joined))
    return None if wanted is None else wanted.least


def test_the_highest_number_is_preferred_and_a_tie_prefers_nobody() -> None:
    assert prefer(a="100", b="200") == 200
    assert prefer(a="200", b="200") is None
    assert prefer(a="0", b="0") is None
    assert prefer(joined="abd", a="100", b="0", d="100") == 100


def test_who_is_not_known_counts_less_than_any_and_foreign_words_are_no_numbers() -> None:
    assert prefer(a="0", b=None) == 0
    assert prefer(a="0", b="-5") == 0
    assert prefer(a=None, b="many") is None


def test_only_members_that_may_run_something_are_compared() -> None:
    assert prefer(joined="a", a="100", b="200") is None
    assert prefer(joined="abc", a="100", b="100", c="200") is None  # c is in standby for good
    resting = status(a="100", b="200")
    state = resting.node("b")
    assert state is not None
    resting = resting.with_node(state.with_attribute("standby", "on"))
    assert preference(ON, compiled()[1], resting, {"a", "b"}) is None


def test_without_ipfail_nobody_is_preferred() -> None:
    assert prefer(Pinging(ON.nodes), a="100", b="200") is None


def test_each_resource_gets_a_rule_and_the_promoted_instance_of_a_clone() -> None:
    element, configuration = compiled()
    made = with_preference(element, configuration, Preference("pingd", 200))
    section = made.child("constraints")
    assert section is not None
    found = [
        (c.get("rsc"), c.children[0].get("score"), c.children[0].get("role"))
        for c in section.children
    ]
    assert found == [
        ("ip", "100000", None),
        ("mail", "100000", None),
        ("all", "100000", None),
        ("data", "100000", "Promoted"),
    ]
    expression = section.children[0].children[0].children[0]
    assert expression.attributes[1:] == (
        ("attribute", "pingd"),
        ("operation", "gte"),
        ("value", "200"),
        ("type", "number"),
    )
    assert with_preference(element, configuration, None) is element


def test_a_member_tells_its_number_once_it_knows_all_and_only_with_ping_nodes() -> None:
    conditions = Conditions(ON)
    assert conditions.reach("") == []
    assert conditions.reach("b") == [Send("b", Reachable(None))]
    assert conditions.pings() == (("10.0.0.1", "unknown"),)
    conditions.lost = ("10.0.0.1",)
    assert conditions.reach("b") == [Send("b", Reachable(0))]
    assert conditions.pings() == (("10.0.0.1", "dead"),)
    conditions.reached, conditions.lost = ("10.0.0.1",), ()
    assert conditions.reach("b") == [Send("b", Reachable(100))]
    assert conditions.pings() == (("10.0.0.1", "ping"),)
    assert Conditions(Pinging()).reach("b") == []
