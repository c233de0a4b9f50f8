"""Documents of schemas 1.0 to 2.10: what they said then is what today's says.

Held against cibadmin 2.1.5 in tests/differential/test_cib_upgrade.py; here, what that one loses,
and what an administrator is told.
"""

from standfest.config.cib import older, upgrade
from standfest.config.cib.legacy import is_legacy
from standfest.config.cib.load import load
from standfest.model import xml
from standfest.model.element import Element


def document(crm_config: str = "", resources: str = "", more: str = "") -> Element:
    text = (
        '<cib validate-with="pacemaker-2.10" admin_epoch="0" epoch="1" num_updates="0">\n'
        f"<configuration><crm_config>{crm_config}</crm_config>\n"
        '<nodes><node id="1" uname="a" type="normal"/></nodes>\n'
        f"<resources>{resources}</resources>\n<constraints/>{more}</configuration><status/></cib>"
    )
    return xml.parse(text, "old.xml")


def options(name: str, value: str, identifier: str = "c", inner: str = "", score: str = "0") -> str:
    pair = f'<nvpair id="{identifier}-1" name="{name}" value="{value}"/>'
    start = f'<cluster_property_set id="{identifier}" score="{score}">'
    return f"{start}{inner}{pair}</cluster_property_set>"


def section(root: Element, tag: str) -> str:
    done = upgrade.upgrade(root, "old.xml")
    assert [str(one) for one in done.findings if one.refuses] == []
    configuration = done.root.child("configuration")
    assert configuration is not None
    found = configuration.child(tag)
    return "" if found is None else "".join(xml.serialise(found, indent=0).splitlines())


def test_of_two_sets_the_option_that_counted_counts() -> None:
    first = options("default-action-timeout", "1s", "first")
    last = options("default_action_timeout", "2s", "last")
    text = (
        '<op_defaults><meta_attributes id="_2TO3_-op-defaults">{}</meta_attributes></op_defaults>'
    )
    kept = '<nvpair id="last-1" name="timeout" value="2s"/>'
    assert section(document(first + last), "op_defaults") == text.format(kept)
    best = options("default-action-timeout", "1s", "first", score="1")
    kept = '<nvpair id="first-1" name="timeout" value="1s"/>'
    assert section(document(best + last), "op_defaults") == text.format(kept)
    named = options("default-action-timeout", "3s", "cib-bootstrap-options")
    kept = '<nvpair id="cib-bootstrap-options-1" name="timeout" value="3s"/>'
    assert section(document(named + best + last), "op_defaults") == text.format(kept)


def test_an_option_by_a_rule_stays_one() -> None:
    rule = (
        '<rule id="r" score="0"><date_expression id="d" operation="gt" start="2020-01-01"/></rule>'
    )
    moved = section(document(options("is-managed-default", "false", inner=rule)), "rsc_defaults")
    assert moved == (
        '<rsc_defaults><meta_attributes id="_2TO3_c-1-set"><rule id="_2TO3_r" score="0">'
        '<date_expression id="_2TO3_d" operation="gt" start="2020-01-01"/></rule>'
        '<nvpair id="c-1" name="is-managed" value="false"/></meta_attributes></rsc_defaults>'
    )


def test_a_section_without_a_set_gets_one() -> None:
    root = document(options("default-resource-stickiness", "7"), more="<rsc_defaults/>")
    assert section(root, "rsc_defaults") == (
        '<rsc_defaults><meta_attributes id="_2TO3_-rsc-defaults">'
        '<nvpair id="c-1" name="resource-stickiness" value="7"/></meta_attributes></rsc_defaults>'
    )


def test_what_is_dropped_is_said_with_its_line() -> None:
    root = document(
        options("default-migration-threshold", "3"),
        '<primitive id="p" class="lsb" type="T"><meta_attributes id="m">'
        '<nvpair id="m1" name="isolation" value="x"/></meta_attributes>'
        '<operations><op id="o" name="monitor" interval="9" requires="quorum"/></operations>'
        "</primitive>",
    )
    assert [str(one) for one in upgrade.upgrade(root, "old.xml").findings] == [
        "old.xml:2: warning: default-migration-threshold is dropped; "
        "expected a migration-threshold in rsc_defaults",
        "old.xml:4: warning: p was isolated: it is disabled; expected a <bundle>",
        "old.xml:4: warning: requires of o is dropped; "
        "expected requires of the resource; of start and promote it is",
    ]


def test_what_needs_no_change_is_the_same_object() -> None:
    configuration = document('<cluster_property_set id="c"/>').child("configuration")
    assert configuration is not None
    sections = tuple(e for e in configuration.children if e.tag not in ("nodes", "crm_config"))
    clean = configuration.with_children(sections)
    assert older.upgrade(clean) is clean


def test_a_document_that_names_its_schema_is_not_heartbeats() -> None:
    """Else it would be told what went without saying in 2007: no fencing."""
    root = document()
    assert not is_legacy(root)
    loaded = load([("old.xml", xml.serialise(root))])
    assert "stonith-enabled" not in xml.serialise(loaded.configuration)
    assert 'type="member"' in xml.serialise(loaded.configuration)


def test_an_older_document_is_read_as_it_was_meant() -> None:
    text = xml.serialise(document(options("stonith_enabled", "false")))
    loaded = load([("old.xml", text)])
    assert 'name="stonith-enabled" value="false"' in xml.serialise(loaded.configuration)
