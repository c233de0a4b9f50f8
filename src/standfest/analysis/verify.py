"""Whether a CIB, or a part of one, can be used, and what is wrong with the situation that it tells.

A part is a section or a single element of one, in either dialect: what it refers to may stand
elsewhere, so it is read, but references to other sections are not followed.
"""

import re
import time
from dataclasses import dataclass

from standfest.analysis.alertfiles import missing
from standfest.config import cib
from standfest.config.cib import legacy
from standfest.config.cib.schema.validate import newest, validate
from standfest.config.cib.vocabulary import SECTION_TAGS
from standfest.config.recorded import read
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.engine import decide
from standfest.core.scheduler.outcome import leaves_of
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import ConfigError, Finding

_SECTIONS = {
    "primitive": "resources",
    "group": "resources",
    "clone": "resources",
    "master": "resources",
    "master_slave": "resources",
    "bundle": "resources",
    "template": "resources",
    "rsc_location": "constraints",
    "rsc_order": "constraints",
    "rsc_colocation": "constraints",
    "rsc_ticket": "constraints",
    "node": "nodes",
    "cluster_property_set": "crm_config",
    "tag": "tags",
    "alert": "alerts",
}
"""Element -> the section that it stands in."""
_REFERENCES = frozenset(("first", "id-ref", "rsc", "template", "then", "with-rsc"))
_REFERRING = frozenset(("obj_ref", "resource_ref", "role"))
"""Attributes that name an element; elements whose `id` does."""
_REQUIRED = ("crm_config", "nodes", "resources", "constraints")
_LEANING = frozenset(("constraints", "tags", "acls", "fencing-topology"))
"""Sections that say something of what stands in others."""
_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong: with the text, as an operator must mend it; with the situation.

    notes: warnings about the text, which can be used all the same; part: the outermost element's
    name, if it is not a whole CIB.
    """

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    part: str = ""


def verify(text: str, path: str, now: int = 0) -> Verdict:
    """Return what is wrong with a CIB, a section or a single element; never raises.

    now: seconds since 1970 at which rules are judged, this moment by default.
    """
    try:
        root = xml.parse(text, path)
        section = _SECTIONS.get(root.tag)
        known = section is not None or root.tag in ("cib", "configuration", *SECTION_TAGS)
        broken = validate(_whole(root, section or root.tag), path) if known else ()
        if broken:
            return Verdict(errors=_lines(tuple(broken)))
        loaded = cib.load([(path, text if section is None else _within(section, text))])
        if (section or root.tag) in _LEANING:
            return Verdict(notes=_lines(loaded.findings), part=root.tag)
        _, warnings = cib.compile_configuration(loaded.configuration, loaded.path_of)
    except ConfigError as error:
        return Verdict(errors=_lines(error.findings))
    absent = missing(loaded.configuration, loaded.path_of)
    notes = _lines((*loaded.findings, *warnings, *absent))
    if root.tag != "cib":
        return Verdict(notes=notes, part=root.tag)
    try:
        configuration, recorded = read(text, path)
        cluster = decide(configuration, recorded, now or int(time.time()))
    except ConfigError as error:
        return Verdict(_lines(error.findings), (), notes)
    return Verdict(_errors(cluster), _warnings(cluster), notes)


def _whole(root: Element, section: str) -> Element:
    """Return a whole CIB around a part, by the newest schema, or in Heartbeat 2's dialect.

    What the part refers to, and does not have, is there as tags.
    """
    if root.tag == "cib":
        return root
    configuration = root
    if root.tag != "configuration":
        inside = root if root.tag == section else Element(section, (), (root,))
        sections = {tag: Element(tag) for tag in _REQUIRED} | {section: inside}
        if section != "tags" and not legacy.is_legacy(root):
            sections["tags"] = Element("tags", (), tuple(map(_tag, _elsewhere(root))))
        configuration = Element("configuration", (), tuple(sections.values()))
    named = () if legacy.is_legacy(root) else (("validate-with", newest()),)
    version = (("admin_epoch", "0"), ("epoch", "0"), ("num_updates", "0"))
    return Element("cib", (*named, *version), (configuration, Element("status")))


def _tag(name: str) -> Element:
    return Element("tag", (("id", name),), (Element("obj_ref", (("id", name),)),))


def _elsewhere(root: Element) -> list[str]:
    """Return the ids that a part refers to and does not have."""
    own, others = set(), set()
    for element in root.walk():
        refers = element.tag in _REFERRING
        for name, value in element.attributes:
            if name in _REFERENCES or (refers and name == "id"):
                others.add(value)
            elif name == "id":
                own.add(value)
    return sorted(others - own)


def _within(section: str, text: str) -> str:
    """Return the text of an element within its section, on the same lines as before."""
    head = _DECLARATION.match(text)
    start = head.end() if head is not None else 0
    return f"{text[:start]}<{section}>{text[start:]}</{section}>"


def _lines(findings: tuple[Finding, ...]) -> tuple[str, ...]:
    return tuple(map(str, findings))


def _errors(cluster: Cluster) -> tuple[str, ...]:
    options = cluster.options
    watchdog = options.have_watchdog and options.watchdog_timeout
    if not options.fencing or watchdog or any(leaf.fence_device for leaf in leaves_of(cluster)):
        return ()
    return (
        "Resource start-up disabled since no STONITH resources have been defined",
        "Either configure some or disable STONITH with the stonith-enabled option",
        "NOTE: Clusters with shared data need STONITH to ensure data integrity",
    )


def _warnings(cluster: Cluster) -> tuple[str, ...]:
    found = []
    for node in cluster.nodes:
        if node.unclean:
            reason = f": {node.reason.replace('is unseen', 'it is unseen')}" if node.reason else ""
            found.append(f"Cluster node {node.name} will be fenced{reason}")
    return tuple(found)
