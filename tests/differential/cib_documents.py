"""Small CIB documents: one for every element and for every form that it may have, right and wrong.

A line of cib_documents.txt is a section and what stands in it; braces list variants. What is right
in some schemas only is what this is for.
"""

import random
import re
from pathlib import Path

from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import ConfigError

OF_A_LINE = 48
"""Variants of a line that are taken, by lot where there are more."""
_ROOT = '<cib validate-with="pacemaker-3.9" admin_epoch="0" epoch="0" num_updates="0"{}>'
_SECTIONS = ("crm_config", "nodes", "resources", "constraints")
_P = '<primitive id="P" class="ocf" provider="x" type="y"/>'
_Q = '<primitive id="Q" class="lsb" type="y"/>'
_EXPRESSION = '<expression id="e" attribute="a" operation="eq" value="1"/>'
_MACROS = {
    "@P": _P,
    "@Q": _Q,
    "@N": '<node id="n" uname="u" type="member"/>',
    "@E": _EXPRESSION,
    "@F": _EXPRESSION.replace('"e"', '"f"'),
    "@R": f'<rule id="r" score="1">{_EXPRESSION}</rule>',
    "@S": '<resource_set id="s"><resource_ref id="P"/></resource_set>',
    "@T": '<resource_set id="t"><resource_ref id="Q"/></resource_set>',
    "@L": '<lifetime><rule id="lr" score="1">'
    '<expression id="le" attribute="a" operation="defined"/></rule></lifetime>',
}

_LINES = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")

_DUMMY = '<primitive id="P" class="lsb" type="y">{}</primitive>'
_MEMBER = '<node id="n" uname="u" type="member">{}</node>'
_PLACES = {
    "crm_config": '<cluster_property_set id="p">{}</cluster_property_set>',
    "nodes": _MEMBER.format('<instance_attributes id="p">{}</instance_attributes>'),
    "resources": _DUMMY.format('<meta_attributes id="p">{}</meta_attributes>'),
    "op_defaults": '<meta_attributes id="p">{}</meta_attributes>',
    "alerts": '<alert id="a" path="x"><meta_attributes id="p">{}</meta_attributes></alert>',
}
_RULE_PLACES = {
    **_PLACES,
    "constraints": '<rsc_location id="p" rsc-pattern="x">{}</rsc_location>',
}


def _variants(line: str) -> list[str]:
    """Return what the line says, once for each way through its braces."""
    inner = re.search(r"\{([^{}]*)\}", line)
    if inner is None:
        return [line]
    head, tail = line[: inner.start()], line[inner.end() :]
    return [text for way in inner[1].split("|") for text in _variants(f"{head}{way}{tail}")]


def _fields(line: str) -> list[str]:
    """Return the parts of a line, between bars that stand in no braces."""
    fields, depth = [""], 0
    for letter in line:
        depth += (letter == "{") - (letter == "}")
        if letter == "|" and depth == 0:
            fields.append("")
        else:
            fields[-1] += letter
    return fields


def _cib(sections: dict[str, str], extra: str = "", attributes: str = "") -> str:
    inside = "".join(sections.get(name, f"<{name}/>") for name in _SECTIONS)
    root = _ROOT.format(attributes)
    return f"{root}<configuration>{inside}{extra}</configuration><status><x>y</x></status></cib>"


def _written(kind: str, text: str) -> list[str]:
    """Return the whole documents that hold a text."""
    for name, meaning in _MACROS.items():
        text = text.replace(name, meaning)
    if kind == "cib":
        return [_cib({}, attributes=f" {text}")]
    resources = {"resources": f"<resources>{_P}{_Q}</resources>"}
    if kind == "extra":
        return [_cib(resources, extra=text)]
    if kind in _SECTIONS:
        return [_cib({**resources, kind: f"<{kind}>{text}</{kind}>"})]
    if kind == "rule":
        attributes, _, terms = text.partition("|")
        own = "" if "id-ref" in attributes else 'id="r" '
        text = f"<rule {own}{attributes}>{terms}</rule>"
    places = _RULE_PLACES if kind == "rule" else _PLACES
    return [_placed(section, place.format(text)) for section, place in places.items()]


def _placed(section: str, text: str) -> str:
    whole = f"<{section}>{text}</{section}>"
    return _cib({section: whole}) if section in _SECTIONS else _cib({}, extra=whole)


def _documents() -> dict[str, Element]:
    found: dict[str, Element] = {}
    source = random.Random(OF_A_LINE)
    for line in _LINES.strip().splitlines():
        kind, *rest = _fields(line)
        texts = [t for text in _variants("|".join(rest)) for t in _written(kind, text)]
        roots = {text: root for text in texts if (root := _parsed(text)) is not None}
        chosen = source.sample(sorted(roots), min(len(roots), OF_A_LINE))
        found |= {text: roots[text] for text in chosen}
    return {f"{number} {_head(text)}": root for number, (text, root) in enumerate(found.items())}


def _parsed(text: str) -> Element | None:
    """Return the document; None where opening and closing tags are of two variants."""
    try:
        return xml.parse(text, "cib.xml")
    except ConfigError:
        return None


def _head(document: str) -> str:
    """Return the part of a document that tells it from others."""
    inside = document[document.index("<configuration>") + len("<configuration>") :]
    for name in _SECTIONS:
        inside = inside.replace(f"<{name}/>", "")
    return inside.removeprefix(f"<resources>{_P}{_Q}</resources>").partition("</configuration>")[0]


DOCUMENTS = _documents()
"""Name -> document."""

_LEGACY_SET = '<attributes><nvpair id="v1" name="a" value="b"/></attributes>'
_LEGACY = f"""
<cib admin_epoch="0" epoch="1" num_updates="0" have_quorum="true" cib_feature_revision="1.3">
  <configuration>
    <crm_config><cluster_property_set id="c1">{_LEGACY_SET}</cluster_property_set></crm_config>
    <nodes>
      <node id="n1" uname="u" type="normal">
        <instance_attributes id="i1"><rule id="r1"/>{_LEGACY_SET}</instance_attributes>
      </node>
    </nodes>
    <resources>
      <primitive id="p1" class="ocf" provider="x" type="y" is_managed="true">
        <operations>
          <op id="o1" name="monitor" interval="1" timeout="2" start_delay="3" disabled="false"
              role="Started" prereq="nothing" on_fail="restart"/>
        </operations>
      </primitive>
      <group id="g1" ordered="true" collocated="false">
        <primitive id="p2" class="lsb" type="y" restart_type="ignore" multiple_active="block"/>
      </group>
      <clone id="c2" notify="false" globally_unique="true" interleave="true">
        <primitive id="p3" class="heartbeat" type="y"/>
      </clone>
      <master_slave id="m1"><meta_attributes id="m2">{_LEGACY_SET}</meta_attributes></master_slave>
    </resources>
    <constraints>
      <rsc_location id="l1" rsc="p1">
        <rule id="r2" score="1" boolean_op="and">
          <expression id="e1" attribute="a" operation="eq" value="1" type="string"/>
          <date_expression id="d1" operation="date_spec">
            <date_spec id="s1" hours="1"/>
          </date_expression>
        </rule>
      </rsc_location>
      <rsc_location id="l2" rsc="p1"><lifetime id="t1"><rule id="r3"/></lifetime></rsc_location>
      <rsc_colocation id="k1" from="p1" to="p2" score="1" to_role="master"/>
      <rsc_order id="q1" from="p1" to="p2" type="before" action="start" symmetrical="true"/>
    </constraints>
  </configuration>
  <status>
    <node_state id="n1" uname="u" ha="active" crmd="online" join="member" expected="member">
      <transient_attributes id="n1">
        <instance_attributes id="i2">{_LEGACY_SET}</instance_attributes>
      </transient_attributes>
      <lrm id="n1">
        <lrm_resources>
          <lrm_resource id="p1" type="y" class="ocf" provider="x">
            <lrm_rsc_op id="x1" operation="start" op_status="0" rc_code="0" call_id="1"
                crm_feature_set="1" interval="0" transition_magic="x"/>
          </lrm_resource>
        </lrm_resources>
      </lrm>
    </node_state>
  </status>
</cib>
"""
LEGACY_DOCUMENTS = {
    "everything": xml.parse(_LEGACY, "everything"),
    "newer": xml.parse(
        _LEGACY.replace('rsc="p1">', 'rsc="p1" node="u" score="1">', 1).replace(
            'type="string"', 'type="number"'
        ),
        "newer",
    ),
    "older": xml.parse(_LEGACY.replace('type="string"', 'type="integer"'), "older"),
    "words": xml.parse(_LEGACY.replace('ordered="true"', 'ordered="yes"'), "words"),
}
