"""Heartbeat 2's dialect ends in today's words and keeps what the old cluster did."""

from pathlib import Path

import pytest

from standfest.config.cib import compile_configuration, load
from standfest.model.configuration import Configuration
from standfest.model.element import Element
from standfest.model.time import seconds
from standfest.model.xml import parse

SAMPLES = Path(__file__).parents[3] / "shared/facts/formats/samples/legacy"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples are not here")

RESOURCES = """<resources>
<primitive id="a" class="ocf" type="Dummy" is_managed="false"/>
<primitive id="b" class="ocf" type="Dummy" is_managed="true"/></resources>"""


def upgraded(*texts: str) -> Element:
    return load([(f"{number}.xml", text) for number, text in enumerate(texts, 1)]).configuration


def compiled(*texts: str) -> Configuration:
    return compile_configuration(upgraded(*texts))[0]


def properties(*pairs: tuple[str, str]) -> str:
    inner = "".join(f'<nvpair id="i-{n}" name="{n}" value="{v}"/>' for n, v in pairs)
    return (
        f'<crm_config><cluster_property_set id="p"><attributes>{inner}</attributes>'
        "</cluster_property_set></crm_config>"
    )


def only(element: Element, tag: str) -> Element:
    (found,) = [inner for inner in element.walk() if inner.tag == tag]
    return found


def pairs(element: Element) -> dict[str, str]:
    return {e.get("name") or "": e.get("value") or "" for e in element.walk() if e.tag == "nvpair"}


def constraint(text: str) -> dict[str, str]:
    configuration = upgraded(RESOURCES, f"<constraints>{text}</constraints>")
    section = configuration.child("constraints")
    assert section is not None
    return dict(section.children[0].attributes)


def test_fencing_stays_on_when_any_file_says_so_in_any_order() -> None:
    stated = properties(("stonith_enabled", "true"))
    assert compiled(stated, RESOURCES).options.stonith_enabled
    assert compiled(RESOURCES, stated).options.stonith_enabled
    assert not compiled(RESOURCES).options.stonith_enabled
    assert [e.id for e in only(upgraded(RESOURCES, stated), "crm_config").children] == ["p"]


def test_the_missing_policy_is_left_for_the_caller_to_decide() -> None:
    assert "no-quorum-policy" not in pairs(upgraded(RESOURCES))


def test_a_current_file_with_a_lifetime_is_not_taken_for_an_old_one() -> None:
    text = (
        '<constraints><rsc_location id="l" rsc="a" node="n" score="1"><lifetime><rule id="r">'
        '<expression id="e" attribute="x" operation="defined"/></rule></lifetime></rsc_location>'
        "</constraints>"
    )
    loaded = load([("1.xml", text)])
    assert not loaded.legacy
    assert pairs(loaded.configuration) == {}


@pytest.mark.parametrize(
    "text",
    [
        '<cib cib_feature_revision="1.3"><configuration/></cib>',
        '<cib have_quorum="true"><configuration/></cib>',
        '<nodes><node id="1" uname="n" type="normal"/></nodes>',
        '<constraints><rsc_order id="o" from="a" to="b"/></constraints>',
        '<resources><master_slave id="m"/></resources>',
        RESOURCES,
    ],
)
def test_every_sign_of_the_old_dialect_is_recognised(text: str) -> None:
    assert load([("1.xml", text)]).legacy


def test_old_defaults_stand_where_todays_tools_look_for_them() -> None:
    configuration = upgraded(
        RESOURCES,
        properties(
            ("default_resource_stickiness", "77"),
            ("is_managed_default", "false"),
            ("default-action-timeout", "15s"),
            ("default_resource_failure_stickiness", "-INFINITY"),
            ("transition_idle_timeout", "2min"),
            ("no_quorum_policy", "ignore"),
        ),
    )
    sections = {child.tag: pairs(child) for child in configuration.children}
    assert sections["crm_config"] == {
        "cluster-delay": "2min",
        "no-quorum-policy": "ignore",
        "stonith-enabled": "false",
    }
    assert sections["rsc_defaults"] == {
        "resource-stickiness": "77",
        "is-managed": "false",
        "migration-threshold": "1",
    }
    assert sections["op_defaults"] == {"timeout": "15s"}
    a, b = compile_configuration(configuration)[0].primitives()
    assert (a.options.is_managed, b.options.is_managed) == (False, True)  # own words come first
    assert a.options.resource_stickiness == 77
    assert a.options.migration_threshold == 1
    assert a.default_timeout == seconds(15)


def test_a_failure_stickiness_without_equivalent_is_told_and_dropped() -> None:
    text = properties(("default_resource_failure_stickiness", "-100"))
    loaded = load([("1.xml", text)])
    assert "migration-threshold" not in pairs(loaded.configuration)
    assert [str(finding) for finding in loaded.findings] == [
        "1.xml:1: warning: default_resource_failure_stickiness is -100: it is dropped, nothing "
        "today does the same; expected a migration-threshold of the resource"
    ]


def test_options_among_a_resources_parameters_become_meta_attributes() -> None:
    text = """<resources><primitive id="a" class="lsb" type="x" provider="heartbeat"
      resource_stickiness="5" restart_type="restart"><instance_attributes id="i"><attributes>
      <nvpair id="1st" name="target_role" value="stopped"/>
      <nvpair id="p2" name="start_prereq" value="nothing"/>
      <nvpair id="p3" name="ip" value="1.2.3.4"/></attributes></instance_attributes></primitive>
      </resources>"""
    primitive = only(upgraded(text), "primitive")
    assert primitive.attributes == (("id", "a"), ("class", "lsb"), ("type", "x"))
    meta, parameters = primitive.children
    assert (meta.tag, parameters.tag) == ("meta_attributes", "instance_attributes")
    assert pairs(meta) == {
        "resource-stickiness": "5",
        "restart-type": "restart",
        "target-role": "stopped",
        "requires": "nothing",
    }
    assert pairs(parameters) == {"ip": "1.2.3.4"}


def test_a_groups_own_parameters_stay_with_its_members() -> None:
    text = """<resources><group id="g" ordered="false"><instance_attributes id="i"><attributes>
      <nvpair id="i1" name="device" value="/dev/x"/></attributes></instance_attributes>
      <primitive id="a" class="ocf" type="Dummy"/></group></resources>"""
    assert pairs(only(upgraded(text), "meta_attributes")) == {
        "ordered": "false",
        "collocated": "true",
    }
    (member,) = compiled(text).primitives()
    assert member.parameters == (("device", "/dev/x"),)


def test_a_master_slave_becomes_a_promotable_clone() -> None:
    text = """<resources><master_slave id="ms" notify="true"><meta_attributes id="m"><attributes>
      <nvpair id="m1" name="master_max" value="1"/></attributes></meta_attributes>
      <primitive id="a" class="ocf" type="Stateful"/></master_slave></resources>"""
    clone = only(upgraded(text), "clone")
    assert pairs(clone) == {
        "notify": "true",
        "promotable": "true",
        "globally-unique": "true",
        "master-max": "1",
    }


def test_an_operation_says_enabled_and_its_interval_and_leaves_prereq_to_the_resource() -> None:
    text = """<resources><primitive id="a" class="ocf" type="Dummy"><operations>
      <op id="s" name="start" prereq="nothing" start_delay="3s"/>
      <op id="m" name="monitor" interval="9s" disabled="true" on_fail="fence" prereq="quorum"/>
      </operations></primitive></resources>"""
    primitive = only(upgraded(text), "primitive")
    operations = only(primitive, "operations")
    assert [dict(op.attributes) for op in operations.children] == [
        {"id": "s", "name": "start", "start-delay": "3s", "interval": "0"},
        {"id": "m", "name": "monitor", "interval": "9s", "on-fail": "fence", "enabled": "false"},
    ]
    assert pairs(only(primitive, "meta_attributes")) == {"requires": "nothing"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (  # A's action after B's
            '<rsc_order id="o" from="a" to="b"/>',
            {"id": "o", "first": "b", "then": "a", "then-action": "start"},
        ),
        (
            '<rsc_order id="o" from="a" type="after" to="b" action="start" to_action="promote"/>',
            {
                "id": "o",
                "first": "b",
                "then": "a",
                "first-action": "promote",
                "then-action": "start",
            },
        ),
        (  # A's action before B's
            '<rsc_order id="o" from="a" type="before" to="b" action="stop" score="0"/>',
            {
                "id": "o",
                "score": "0",
                "first": "a",
                "then": "b",
                "first-action": "stop",  # and B's too, as nothing else is said
            },
        ),
        (
            '<rsc_colocation id="c" from="a" to="b" to_role="master" score="-infinity"/>',
            {
                "id": "c",
                "rsc": "a",
                "with-rsc": "b",
                "with-rsc-role": "Master",
                "score": "-INFINITY",
            },
        ),
        (
            '<rsc_colocation id="c:1" from="a" to="b" score="10.7" symmetrical="true"/>',
            {"id": "c-1", "rsc": "a", "with-rsc": "b", "score": "10"},
        ),
    ],
)
def test_a_constraint_points_the_way_it_did(old: str, new: dict[str, str]) -> None:
    assert constraint(old) == new


def test_an_order_keeps_its_score_which_says_whether_it_is_mandatory() -> None:
    assert constraint('<rsc_order id="o" from="a" to="b" score="0"/>') == {
        "id": "o",
        "score": "0",
        "first": "b",
        "then": "a",
        "then-action": "start",
    }


def test_a_rule_without_score_or_expression_says_what_it_meant() -> None:
    text = '<constraints><rsc_location id="l" rsc="a"><rule id="r"/></rsc_location></constraints>'
    rule = only(upgraded(RESOURCES, text), "rule")
    assert rule.get("score") == "0"
    assert dict(rule.children[0].attributes) == {
        "id": "r-always",
        "attribute": "#uname",
        "operation": "defined",
    }


@needs_samples
def test_the_sample_of_2_0_8_becomes_what_the_known_upgrade_makes_of_it() -> None:
    ours = load([("old.xml", (SAMPLES / "legacy-cib-2.0.8.xml").read_text())]).configuration
    theirs = parse((SAMPLES / "step2-pacemaker-3.9-by-cibadmin-2.1.5.xml").read_bytes(), "new.xml")
    other = theirs.child("configuration")
    assert other is not None

    def section(configuration: Element, tag: str) -> Element:
        found = configuration.child(tag)
        assert found is not None
        return found

    options = pairs(section(other, "crm_config"))
    # The upgrade by style sheet leaves one name, meaningless to all, in its old spelling.
    options["short-resource-names"] = options.pop("short_resource_names")
    assert pairs(section(ours, "crm_config")) == options
    for tag in ("rsc_defaults", "op_defaults"):
        assert pairs(section(ours, tag)) == pairs(section(other, tag))
    assert [dict(n.attributes) for n in section(ours, "nodes").children] == [
        dict(n.attributes) for n in section(other, "nodes").children
    ]
    for mine in section(ours, "resources").walk():
        if mine.tag not in ("primitive", "group", "clone"):
            continue
        (same,) = [e for e in section(other, "resources").walk() if e.id == mine.id]
        assert _options(mine, "meta_attributes") == _options(same, "meta_attributes"), mine.id
        assert _options(mine, "instance_attributes") == _options(same, "instance_attributes")
        assert dict(mine.attributes) == dict(same.attributes)
        if mine.tag == "primitive" and (operations := mine.child("operations")):
            assert [dict(op.attributes) for op in operations.children] == [
                dict(op.attributes) for op in section(same, "operations").children
            ]
    mine_constraints = [dict(c.attributes) for c in section(ours, "constraints").children]
    assert mine_constraints == [dict(c.attributes) for c in section(other, "constraints").children]


def _options(element: Element, tag: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for attributes in element.all(tag):
        found |= pairs(attributes)
    if tag == "instance_attributes":
        found.pop("target_role", None)  # the style sheet hands it to the agent, too: noise
    elif element.id == "ms-drbd0":
        found["promotable"] = "true"  # there, the tag `master` says it
    return found


def test_the_name_of_the_stack_that_ran_is_dropped_because_todays_schema_refuses_it() -> None:
    stated = properties(("cluster-infrastructure", "heartbeat"), ("cluster-name", "mail"))
    assert pairs(upgraded(stated)) == {"cluster-name": "mail", "stonith-enabled": "false"}
