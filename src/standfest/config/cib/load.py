"""CIB files -> one configuration: whole documents or single sections, in both dialects.

Everything that is wrong in any of the files is reported together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from standfest.config.cib import legacy
from standfest.config.cib.names import meant
from standfest.config.cib.vocabulary import ATTRIBUTES, CHILDREN, NOT_YET, SECTION_TAGS
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import ConfigError, Finding, Severity
from standfest.model.status import Version

REQUIRED_SECTIONS = ("crm_config", "nodes", "resources", "constraints")
_OPAQUE = frozenset({"status"})


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files say: a current-dialect <configuration>, and what to tell the operator.

    legacy: whether any file was in Heartbeat 2's dialect; status: of the last whole document.
    """

    configuration: Element
    findings: tuple[Finding, ...]
    legacy: bool
    status: Element | None
    version: Version


def load(fragments: Sequence[tuple[str, str]]) -> Loaded:
    """Return what (path, text) pairs say together; raises ConfigError with all errors."""
    findings: list[Finding] = []
    sections: dict[str, list[Element]] = {tag: [] for tag in REQUIRED_SECTIONS}
    seen: dict[str, str] = {}
    old = False
    status: Element | None = None
    version = Version()
    for path, text in fragments:
        try:
            root = xml.parse(text, path)
            configuration = _configuration(root, path)
        except ConfigError as error:
            findings += error.findings
            continue
        findings += _examine(configuration, path)
        findings += _duplicates(configuration, path, seen)
        if root.tag == "cib":
            status = root.child("status") or status
            version = max(version, _version(root))
        if legacy.is_legacy(configuration):
            old = True
            configuration = legacy.upgrade(configuration)
        for section in configuration.children:
            sections.setdefault(section.tag, []).append(section)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        raise ConfigError(*errors)
    merged = Element("configuration", (), tuple(_merge(tag, s) for tag, s in sections.items()))
    return Loaded(merged, tuple(findings), old, status, version)


def _configuration(root: Element, path: str) -> Element:
    """Return the <configuration> in, or around, a root element."""
    if root.tag == "cib":
        return root.child("configuration") or Element("configuration", line=root.line)
    if root.tag == "configuration":
        return root
    if root.tag in SECTION_TAGS:
        return Element("configuration", (), (root,), line=root.line)
    expected = meant(root.tag, ("cib", "configuration", *SECTION_TAGS))
    raise ConfigError(Finding(path, root.line, f"root element <{root.tag}>", expected))


def _merge(tag: str, sections: Sequence[Element]) -> Element:
    """Return one section with the children of all; a set that is stated twice counts once."""
    children: list[Element] = []
    ids: set[str] = set()
    for section in sections:
        for child in section.children:
            if child.id and child.id in ids:
                continue  # only the options that `legacy.upgrade` states can repeat
            ids.add(child.id)
            children.append(child)
    return Element(tag, (), tuple(children), line=sections[0].line if sections else 0)


def _examine(element: Element, path: str) -> list[Finding]:
    """Return everything unknown below an element, and a warning for what is not built yet."""
    findings: list[Finding] = []
    children = CHILDREN.get(element.tag)
    attributes = ATTRIBUTES.get(element.tag)
    if attributes is not None:
        for name, _ in element.attributes:
            if name not in attributes:
                problem = f"unknown attribute {name} of <{element.tag}>"
                findings.append(Finding(path, element.line, problem, meant(name, attributes)))
    if element.tag in NOT_YET:
        what = f"<{element.tag} id={element.id}>" if element.id else f"<{element.tag}>"
        problem = f"{what}: {NOT_YET[element.tag]}"
        findings.append(Finding(path, element.line, problem, severity=Severity.WARNING))
    if children is None or element.tag in _OPAQUE:
        return findings
    for child in element.children:
        if child.tag not in children:
            problem = f"unknown element <{child.tag}> in <{element.tag}>"
            expected = meant(child.tag, children) if children else "none"
            findings.append(Finding(path, child.line, problem, expected))
        else:
            findings += _examine(child, path)
    return findings


def _duplicates(configuration: Element, path: str, seen: dict[str, str]) -> list[Finding]:
    findings: list[Finding] = []
    for element in configuration.walk():
        if not element.id or element.tag in ("resource_ref", "obj_ref", "role"):
            continue
        here = f"{path}:{element.line}"
        if element.id in seen:
            problem = f"id {element.id} is taken by {seen[element.id]}"
            findings.append(Finding(path, element.line, problem, "an id of its own"))
        seen.setdefault(element.id, here)
    return findings


def _version(root: Element) -> Version:
    numbers = []
    for name in ("admin_epoch", "epoch", "num_updates"):
        text = root.get(name) or "0"
        numbers.append(int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0)
    return Version(*numbers)
