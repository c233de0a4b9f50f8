"""Carriers become node attributes, and derived rules that act on them."""

from standfest.config.cib import compile_configuration, load
from standfest.runtime.cluster import links

CIB = """<resources><primitive id="ip" class="ocf" provider="myResources" type="IPAddr">
<instance_attributes id="i"><nvpair id="n" name="nic" value="eth0:0"/></instance_attributes>
</primitive><clone id="all"><primitive id="shared" class="ocf" type="IPaddr2">
<instance_attributes id="j"><nvpair id="m" name="nic" value="eth1"/></instance_attributes>
</primitive></clone><primitive id="other" class="ocf" type="Dummy"/></resources>"""


def test_an_address_gets_a_rule_that_keeps_it_off_nodes_without_carrier() -> None:
    element = load([("c", CIB)]).configuration
    configuration, _ = compile_configuration(element)
    assert links.devices(configuration) == ("eth0", "eth1")
    section = links.with_link_rules(element, configuration).child("constraints")
    assert section is not None
    found = []
    for constraint in section.children:
        rule = constraint.children[0]
        expression = rule.children[0]
        found.append((constraint.get("rsc"), rule.get("score"), expression.attributes[1:]))
    down = (("operation", "eq"), ("value", "down"))
    assert found == [
        ("ip", "-INFINITY", (("attribute", "#link-eth0"), *down)),
        ("all", "-INFINITY", (("attribute", "#link-eth1"), *down)),  # a clone goes as a whole
    ]


def test_a_cut_link_is_published_only_while_another_node_could_do_better() -> None:
    one = {"a": ("eth0",), "b": ()}
    assert links.published(one, ["a", "b"], ["eth0"]) == {
        ("a", "#link-eth0"): "down",
        ("b", "#link-eth0"): None,
    }
    both = {"a": ("eth0",), "b": ("eth0",)}
    assert set(links.published(both, ["a", "b"], ["eth0"]).values()) == {None}
    assert links.published(one, ["a"], ["eth0"])["a", "#link-eth0"] is None  # b is in standby
