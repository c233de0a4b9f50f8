"""What the CIB's schemas tell: each kind of mistake once, and each difference between versions."""

import pytest

from standfest.config.cib.schema import check
from standfest.config.cib.schema.validate import (
    known_schemas,
    legacy_schemas,
    newest,
    validate,
)
from standfest.model import xml
from standfest.model.element import Element

DB = '<primitive id="db" class="ocf" provider="heartbeat" type="mysql"/>'
IP = '<primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr2"/>'


def cib(
    *,
    crm_config: str = "",
    nodes: str = "",
    resources: str = DB + IP,
    constraints: str = "",
    more: str = "",
    schema: str = "pacemaker-3.9",
) -> Element:
    text = f"""\
<cib validate-with="{schema}" admin_epoch="0" epoch="1" num_updates="0">
<configuration>
<crm_config>{crm_config}</crm_config>
<nodes>{nodes}</nodes>
<resources>{resources}</resources>
<constraints>{constraints}</constraints>
{more}
</configuration>
<status><node_state any="thing"/></status>
</cib>"""
    return xml.parse(text, "cib.xml")


def told(root: Element, schema: str | None = None) -> list[str]:
    return [str(finding) for finding in validate(root, "cib.xml", schema)]


def test_a_right_document_has_no_findings() -> None:
    assert told(cib()) == []


MISTAKES = [
    (
        cib(resources='<primitive id="db" clas="lsb" type="mysql"/>'),
        ['cib.xml:5: <primitive id=db>: unknown attribute clas; expected "class"'],
    ),
    (
        cib(nodes='<node id="1" uname="a" weight="5"/>'),
        [
            "cib.xml:4: <node id=1>: unknown attribute weight; "
            "expected description, id, score, type, uname"
        ],
    ),
    (
        cib(resources='<primitive id="db" class="lbs" type="mysql"/>'),
        ["cib.xml:5: <primitive id=db>: class is 'lbs'; expected \"lsb\""],
    ),
    (
        cib(nodes='<node id="1" uname="a" score="many"/>'),
        ["cib.xml:4: <node id=1>: score is 'many'; expected a whole number, INFINITY or -INFINITY"],
    ),
    (
        cib(nodes='<node id="1"/>'),
        ['cib.xml:4: <node id=1> without uname; expected uname="..."'],
    ),
    (
        cib(
            more='<fencing-topology><fencing-level id="f" index="1" devices="d"/>'
            "</fencing-topology>"
        ),
        [
            "cib.xml:7: <fencing-level id=f> without target, or target-pattern, or "
            'target-attribute and target-value; expected target="..."'
        ],
    ),
    (
        cib(constraints='<rsc_location id="l" rsc="db"/>'),
        [
            "cib.xml:6: <rsc_location id=l> without node and score, or <rule>; "
            'expected node="..." score="..."'
        ],
    ),
    (
        cib(resources=f'<template id="t" class="lsb" type="x"/>{DB[:-2]} template="t"/>'),
        [
            "cib.xml:5: <primitive id=db>: template does not go with class, provider, type; "
            "expected one or the other"
        ],
    ),
    (
        cib(resources=f'<group id="g">{DB}<primitve id="x"/></group>'),
        ['cib.xml:5: unknown element <primitve id=x> in <group id=g>; expected "primitive"'],
    ),
    (
        cib(constraints='<rsc_order id="o" first="db" then="ip"><note/></rsc_order>'),
        ["cib.xml:6: unknown element <note> in <rsc_order id=o>; expected lifetime, resource_set"],
    ),
    (
        cib(resources='<group id="g"/>'),
        ["cib.xml:5: <group id=g> without <primitive>; expected <primitive>"],
    ),
    (
        cib(resources=f'<clone id="c">{DB}{IP}</clone>'),
        [
            "cib.xml:5: <primitive id=ip> in <clone id=c> is one too many, or misplaced; "
            "expected <meta_attributes>, <instance_attributes>"
        ],
    ),
    (
        cib(resources=f"{DB}hello"),
        ["cib.xml:5: <resources> has text 'hello'; expected none"],
    ),
    (
        cib(resources=f"{DB}\n{DB}"),
        [
            "cib.xml:6: <primitive id=db>: id is taken by <primitive> of line 5; "
            "expected an id of its own"
        ],
    ),
    (
        cib(constraints='<rsc_order id="o" first="dbb" then="ip"/>'),
        [
            "cib.xml:6: <rsc_order id=o>: first is 'dbb', which nothing has as its id; "
            'expected "db"'
        ],
    ),
    (
        cib(resources='<primitive id="1db" class="lsb" type="mysql"/>'),
        [
            "cib.xml:5: <primitive id=1db>: id is '1db'; "
            "expected an id: a letter, then letters, digits, -, _ and ."
        ],
    ),
]


@pytest.mark.parametrize(("root", "expected"), MISTAKES)
def test_a_mistake_is_told_once_with_place_and_remedy(root: Element, expected: list[str]) -> None:
    assert told(root) == expected


def test_all_mistakes_are_told_together_in_document_order() -> None:
    root = cib(
        nodes='<node id="1" uname="a" weight="x"/>\n<node id="2"/>',
        resources='<primitive id="db" class="ocf" type="x"/>',
        constraints='<rsc_order id="o" first="db" then="db" score="soon"/>',
    )
    assert told(root) == [
        "cib.xml:4: <node id=1>: unknown attribute weight; "
        "expected description, id, score, type, uname",
        'cib.xml:5: <node id=2> without uname; expected uname="..."',
        'cib.xml:6: <primitive id=db> without provider; expected provider="..."',
        "cib.xml:7: <rsc_order id=o>: score is 'soon'; "
        "expected a whole number, INFINITY or -INFINITY",
    ]


def test_what_refers_into_an_unknown_element_is_no_mistake_of_its_own() -> None:
    root = cib(
        resources=f"<gruop id='g'>{DB}</gruop>{IP}",
        constraints='<rsc_order id="o" first="db" then="ip"/>',
    )
    assert told(root) == [
        'cib.xml:5: unknown element <gruop id=g> in <resources>; expected "group"'
    ]


def test_a_reference_to_nothing_near_is_told_without_a_list() -> None:
    (finding,) = told(cib(constraints='<rsc_order id="o" first="webserver" then="ip"/>'))
    assert finding == (
        "cib.xml:6: <rsc_order id=o>: first is 'webserver', which nothing has as its id; "
        "expected the id of an element"
    )


def test_findings_have_a_limit() -> None:
    nodes = "".join(f'<node id="{number}"/>' for number in range(check.MAX_FINDINGS + 1))
    findings = told(cib(nodes=nodes))
    assert len(findings) == 1_001
    assert findings[-1] == "cib.xml: more than 1000 problems"


def test_long_values_are_cut_in_messages() -> None:
    (finding,) = told(cib(nodes=f'<node id="1" uname="a" type="{"x" * 100}"/>'))
    assert finding == (
        f"cib.xml:4: <node id=1>: type is '{'x' * 60}...'; expected member, ping, remote"
    )


def test_a_document_names_its_schema() -> None:
    assert told(cib(schema="none", nodes="<nonsense/>")) == []
    (unknown,) = told(cib(schema="pacemaker-9.9"))
    assert unknown == "cib.xml:1: validate-with is 'pacemaker-9.9'; expected \"pacemaker-3.9\""
    (missing, *_) = told(xml.parse("<cib/>", "cib.xml"))
    assert missing.startswith(
        "cib.xml:1: <cib> without validate-with; expected none, pacemaker-1.0"
    )
    assert told(xml.parse("<nodes/>", "cib.xml"), "pacemaker-3.9") == [
        "cib.xml:1: root element <nodes>; expected <cib>"
    ]


def test_schemas_are_known_from_the_oldest_to_the_newest() -> None:
    assert known_schemas() == (
        "pacemaker-1.0",
        "pacemaker-1.2",
        "pacemaker-1.3",
        *(f"pacemaker-2.{minor}" for minor in range(11)),
        *(f"pacemaker-3.{minor}" for minor in range(11)),
        "pacemaker-4.0",
    )
    assert newest() == "pacemaker-4.0"
    assert legacy_schemas() == ("heartbeat-2.0.8", "heartbeat-2.1.2", "heartbeat-2.1.3")


def resource(inside: str = "", attributes: str = "") -> Element:
    return cib(
        resources=f'<primitive id="db" class="lsb" type="x"{attributes}>{inside}</primitive>'
    )


def operation(attributes: str) -> Element:
    return resource(f'<operations><op id="o" name="m" interval="1" {attributes}/></operations>')


def place(attributes: str, inside: str = "", node: str = 'node="a" score="1"') -> Element:
    return cib(
        constraints=f'<rsc_location id="l" rsc="db" {node} {attributes}>{inside}</rsc_location>'
    )


def rule(inside: str, attributes: str = 'score="1"') -> Element:
    return place("", f'<rule id="r" {attributes}>{inside}</rule>', node="")


def options(inside: str) -> Element:
    return cib(crm_config=f'<cluster_property_set id="s">{inside}</cluster_property_set>')


def bundle(inside: str) -> Element:
    return cib(resources=f'<bundle id="b">{inside}</bundle>')


def order_of_sets(attributes: str) -> str:
    members = '<resource_ref id="db"/>'
    return (
        f'<rsc_order id="o"><resource_set id="s" {attributes}>{members}</resource_set></rsc_order>'
    )


def alert(inside: str) -> Element:
    return cib(more=f'<alerts><alert id="a" path="/x">{inside}</alert></alerts>')


EXPRESSION = '<expression id="e" attribute="a" operation="defined"/>'
PAIR = '<nvpair id="n" name="a" value="b"/>'
SPEC = '<date_expression id="d" operation="date_spec"><date_spec id="s" {}="1"/></date_expression>'
SINCE = {
    "utilization": (resource('<utilization id="u"/>'), "pacemaker-1.2"),
    "nodes without a type": (cib(nodes='<node id="1" uname="a"/>'), "pacemaker-1.2"),
    "tickets": (cib(constraints='<rsc_ticket id="t" ticket="t" rsc="db"/>'), "pacemaker-1.2"),
    "fencing levels": (cib(more="<fencing-topology/>"), "pacemaker-1.2"),
    "tags": (cib(more='<tags><tag id="t"><obj_ref id="db"/></tag></tags>'), "pacemaker-1.3"),
    "nodes of type remote": (
        cib(nodes='<node id="1" uname="a" type="remote"/>'),
        "pacemaker-1.3",
    ),
    "pairs by reference": (
        resource(f'<meta_attributes id="m">{PAIR}<nvpair id-ref="n"/></meta_attributes>'),
        "pacemaker-1.3",
    ),
    "options by reference": (options(f'{PAIR}<nvpair id-ref="n"/>'), "pacemaker-3.0"),
    "targets of access": (cib(more='<acls><acl_target id="1"/></acls>'), "pacemaker-2.0"),
    "ordering": (
        cib(constraints=order_of_sets('ordering="group"')),
        "pacemaker-2.1",
    ),
    "resource-discovery": (place('resource-discovery="never"'), "pacemaker-2.2"),
    "require-all of orders": (
        cib(constraints='<rsc_order id="o" first="db" then="ip" require-all="true"/>'),
        "pacemaker-2.3",
    ),
    "alerts": (alert(""), "pacemaker-2.5"),
    "patterns": (
        cib(constraints='<rsc_location id="l" rsc-pattern="d." node="a" score="1"/>'),
        "pacemaker-2.6",
    ),
    "templates of services": (
        cib(resources='<template id="t" class="systemd" type="x"/>'),
        "pacemaker-2.7",
    ),
    "bundles": (bundle('<docker image="i"/>'), "pacemaker-2.8"),
    "values from parameters": (
        rule('<expression id="e" attribute="a" operation="eq" value-source="param"/>'),
        "pacemaker-2.9",
    ),
    "what alerts select": (
        alert("<select/>"),
        "pacemaker-2.10",
    ),
    "promoted-max": (bundle('<docker image="i" promoted-max="1"/>'), "pacemaker-3.0"),
    "kinds of sets": (
        cib(constraints=order_of_sets('kind="Optional"')),
        "pacemaker-3.0",
    ),
    "podman": (bundle('<podman image="i"/>'), "pacemaker-3.2"),
    "tags of what is no resource": (
        cib(more='<tags><tag id="t"><obj_ref id="node 1"/></tag></tags>'),
        "pacemaker-3.3",
    ),
    "on-fail demote": (operation('on-fail="demote"'), "pacemaker-3.4"),
    "rules for operations": (
        options('<rule id="r" score="1"><op_expression id="e" name="stop"/></rule>'),
        "pacemaker-3.4",
    ),
    "rules for operations in constraints": (
        rule('<op_expression id="e" name="stop"/>'),
        "pacemaker-3.5",
    ),
    "comparison of integers": (
        rule('<expression id="e" attribute="a" operation="eq" type="integer"/>'),
        "pacemaker-3.5",
    ),
    "influence": (
        cib(constraints='<rsc_colocation id="c" rsc="db" with-rsc="ip" influence="true"/>'),
        "pacemaker-3.6",
    ),
    "promoted": (operation('role="Promoted"'), "pacemaker-3.7"),
    "names of targets": (
        cib(more='<acls><acl_target id="1" name="x"/></acls>'),
        "pacemaker-3.8",
    ),
    "rules without score": (rule(EXPRESSION, ""), "pacemaker-3.9"),
    "dates by minutes": (rule(SPEC.format("minutes")), "pacemaker-3.9"),
}


@pytest.mark.parametrize("what", sorted(SINCE))
def test_what_came_with_a_version_is_wrong_before_it(what: str) -> None:
    root, first = SINCE[what]
    schemas = known_schemas()
    right = [schema for schema in schemas if not told(root, schema)]
    assert right[0] == first
    assert right == list(schemas[schemas.index(first) :])


TWO_RULES = place(
    "",
    f'<rule id="r" score="1">{EXPRESSION}</rule>'
    '<rule id="q" score="1"><expression id="f" attribute="a" operation="defined"/></rule>',
    node="",
)
UNTIL = {
    "nodes of type normal": (
        cib(nodes='<node id="1" uname="a" type="normal"/>'),
        "pacemaker-2.10",
    ),
    "requires of operations": (operation('requires="fencing"'), "pacemaker-2.10"),
    "scores from attributes": (
        cib(constraints='<rsc_colocation id="c" rsc="db" with-rsc="ip" score-attribute="x"/>'),
        "pacemaker-2.10",
    ),
    "nodes of type ping": (cib(nodes='<node id="1" uname="a" type="ping"/>'), "pacemaker-3.10"),
    "masters": (cib(resources=f'<master id="m">{DB}</master>'), "pacemaker-3.10"),
    "upstart": (
        cib(resources='<primitive id="db" class="upstart" type="x"/>'),
        "pacemaker-3.10",
    ),
    "pairs without value": (options('<nvpair id="n" name="a"/>'), "pacemaker-3.10"),
    "dates by moon": (rule(SPEC.format("moon")), "pacemaker-3.10"),
    "lifetimes": (
        place("", f'<lifetime><rule id="r" score="1">{EXPRESSION}</rule></lifetime>'),
        "pacemaker-3.10",
    ),
    "two rules": (TWO_RULES, "pacemaker-3.10"),
}


@pytest.mark.parametrize("what", sorted(UNTIL))
def test_what_a_version_dropped_is_wrong_after_it(what: str) -> None:
    root, last = UNTIL[what]
    schemas = known_schemas()
    right = [schema for schema in schemas if not told(root, schema)]
    assert right == list(schemas[: schemas.index(last) + 1])


NAMES_GONE = {
    "old options": (options('<nvpair id="n" name="dc_deadtime" value="1"/>'), "3.0", "3.10"),
    "old stacks": (
        options('<nvpair id="n" name="cluster-infrastructure" value="cman"/>'),
        "3.0",
        "3.10",
    ),
    "isolation": (
        resource(
            '<meta_attributes id="m"><nvpair id="n" name="isolation" value="1"/></meta_attributes>'
        ),
        "3.0",
        "3.10",
    ),
    "commands of fence devices": (
        resource(
            '<instance_attributes id="m"><nvpair id="n" name="pcmk_off_cmd" value="1"/>'
            "</instance_attributes>"
        ),
        "3.0",
        "3.0",
    ),
    "crmd's options": (
        options('<nvpair id="n" name="crmd-transition-delay" value="1"/>'),
        "4.0",
        "4.0",
    ),
    "poweroff": (
        options('<nvpair id="n" name="stonith-action" value="poweroff"/>'),
        "4.0",
        "4.0",
    ),
    "restart-type": (
        cib(
            more='<rsc_defaults><meta_attributes id="m">'
            '<nvpair id="n" name="restart-type" value="ignore"/></meta_attributes></rsc_defaults>'
        ),
        "4.0",
        "4.0",
    ),
}


@pytest.mark.parametrize("what", sorted(NAMES_GONE))
def test_names_that_a_schema_has_no_more_are_wrong(what: str) -> None:
    root, first, last = NAMES_GONE[what]
    schemas = known_schemas()
    wrong = [schema for schema in schemas if told(root, schema)]
    start, end = schemas.index(f"pacemaker-{first}"), schemas.index(f"pacemaker-{last}")
    assert wrong == list(schemas[start : end + 1])


def test_a_name_that_is_gone_is_told() -> None:
    root = options('<nvpair id="n" name="dc_deadtime" value="1"/>')
    assert told(root, "pacemaker-3.0") == [
        "cib.xml:3: <nvpair id=n>: name is 'dc_deadtime'; "
        "expected another: this schema has it no more"
    ]


def test_access_was_given_otherwise_before_2_0() -> None:
    old = cib(
        more='<acls><acl_role id="r"><read id="a" xpath="//x"/></acl_role>'
        '<acl_user id="u"><role_ref id="r"/></acl_user></acls>'
    )
    assert told(old, "pacemaker-1.3") == []
    assert told(old, "pacemaker-2.0") == [
        'cib.xml:7: unknown element <acl_user id=u> in <acls>; expected "acl_role"',
        "cib.xml:7: unknown element <read id=a> in <acl_role id=r>; expected acl_permission",
    ]


def test_a_legacy_document_is_judged_by_the_release_that_fits_best() -> None:
    text = """\
<cib admin_epoch="0" epoch="1" num_updates="0" have_quorum="{}">
<configuration>
<crm_config/>
<nodes><node id="1" uname="a" type="normal"/></nodes>
<resources/>
<constraints>
<rsc_location id="l" rsc="db"><rule id="r">
<expression id="e" attribute="a" operation="eq" type="{}"/>
</rule></rsc_location>
</constraints>
</configuration>
<status/>
</cib>"""
    assert told(xml.parse(text.format("true", "integer"), "cib.xml")) == []  # 2.0.8's word
    assert told(xml.parse(text.format("yes", "number"), "cib.xml")) == []  # 2.1.2's
    assert told(xml.parse(text.format("yes", "integer"), "cib.xml")) == [
        "cib.xml:8: <expression id=e>: type is 'integer'; expected number, string, version"
    ]


LEGACY_RESOURCE = """\
<cib admin_epoch="0" epoch="1" num_updates="0">
<configuration><crm_config/><nodes/>
<resources><primitive id="db" class="{}" type="x"/></resources>
<constraints/></configuration>
<status/></cib>"""


def test_legacy_mistakes_are_told_with_their_lines() -> None:
    root = xml.parse(LEGACY_RESOURCE.format("systemd"), "cib.xml")
    assert told(root, "heartbeat-2.1.3") == [
        "cib.xml:3: <primitive id=db>: class is 'systemd'; expected heartbeat, lsb, ocf, stonith"
    ]
    assert told(xml.parse("<cib/>", "cib.xml"), "heartbeat-2.0.8") == [
        "cib.xml:1: <cib> without admin_epoch and epoch and num_updates; "
        'expected admin_epoch="..." epoch="..." num_updates="..."',
        "cib.xml:1: <cib> without <configuration> and <status>; expected <configuration> <status>",
    ]
