"""Carriers become node attributes, and derived rules that act on them."""

from standfest.config.cib import compile_configuration, load
from standfest.model.configuration import Expression, Location, Rule
from standfest.runtime.cluster import links

CIB = """<resources><primitive id="ip" class="ocf" provider="myResources" type="IPAddr">
<instance_attributes id="i"><nvpair id="n" name="nic" value="eth0:0"/></instance_attributes>
</primitive><primitive id="other" class="ocf" type="Dummy"/></resources>"""


def test_an_address_gets_a_rule_that_keeps_it_off_nodes_without_carrier() -> None:
    configuration, _ = compile_configuration(load([("c", CIB)]).configuration)
    assert links.devices(configuration) == ("eth0",)
    assert links.with_link_rules(configuration).locations == (
        Location(
            "standfest-link-ip",
            "ip",
            -1_000_000,
            rule=Rule((Expression("#link-eth0", "eq", "down"),)),
        ),
    )


def test_a_cut_link_is_published_only_while_another_node_could_do_better() -> None:
    one = {"a": ("eth0",), "b": ()}
    assert links.published(one, ["a", "b"], ["eth0"]) == {
        ("a", "#link-eth0"): "down",
        ("b", "#link-eth0"): None,
    }
    both = {"a": ("eth0",), "b": ("eth0",)}
    assert set(links.published(both, ["a", "b"], ["eth0"]).values()) == {None}
    assert links.published(one, ["a"], ["eth0"])["a", "#link-eth0"] is None  # b is in standby
