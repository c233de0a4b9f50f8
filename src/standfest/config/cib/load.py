"""CIB files -> one configuration: whole documents or single sections, in both dialects.

Everything that is wrong in any of the files is reported together.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from standfest.config.cib import legacy, legacy_defaults, older, references
from standfest.config.cib.compile import compile_configuration
from standfest.config.cib.names import meant
from standfest.config.cib.vocabulary import (
    ATTRIBUTES,
    CHILDREN,
    NOT_YET,
    REQUIRED,
    SECTION_TAGS,
)
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import ConfigError, Finding, Severity
from standfest.model.status import Version

REQUIRED_SECTIONS = ("crm_config", "nodes", "resources", "constraints")
_REFERENCES = frozenset({"resource_ref", "obj_ref", "role"})


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
    files: tuple[tuple[Element, str], ...] = field(default=(), repr=False, compare=False)

    def path_of(self, element: Element) -> str:
        """Return the file that an element of `configuration` came from; for error messages."""
        paths = {id(known): path for known, path in self.files}
        return paths.get(id(element), self.files[0][1] if self.files else "cib.xml")


def load(fragments: Sequence[tuple[str, str]]) -> Loaded:
    """Return what (path, text) pairs say together; raises ConfigError with all errors."""
    findings: list[Finding] = []
    sections: dict[str, list[Element]] = {tag: [] for tag in REQUIRED_SECTIONS}
    seen: dict[tuple[bool, str], str] = {}
    files: list[tuple[Element, str]] = []
    old = False
    read: list[tuple[Element, Element, str]] = []
    status: Element | None = None
    version = Version()
    for path, text in fragments:
        try:
            root = xml.parse(text, path)
            configuration = _configuration(root, path)
        except ConfigError as error:
            findings += error.findings
            continue
        findings += _examine(root if root.tag == "cib" else configuration, path)
        findings += _duplicates(configuration, path, seen)
        if root.tag == "cib":
            status = root.child("status") or status
            version = max(version, version_of(root))
        old = old or legacy.is_legacy(root)
        read.append((root, configuration, path))
    for root, written, path in read:
        # One cluster, one dialect: a section may hold nothing that only one of them allows.
        configuration = written
        if old and root.get("validate-with") is None:
            findings += legacy.losses(written, path)
            configuration = legacy.upgrade(written)
        elif older.is_older(root):
            findings += older.losses(written, path)
            configuration = older.upgrade(written)
        files += [(element, path) for element in configuration.walk()]
        for section in configuration.children:
            sections.setdefault(section.tag, []).append(section)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        raise ConfigError(*errors)
    merged = Element("configuration", (), tuple(_merge(tag, s) for tag, s in sections.items()))
    merged = _without_references(merged, files)
    if old:
        merged = legacy_defaults.state(merged)
    return Loaded(merged, tuple(findings), old, status, version, tuple(files))


def checked(configuration: Element, path: str, before: Element | None = None) -> Element:
    """Return a current-dialect configuration as it is kept; raises ConfigError with all errors.

    What is as it was is the same object: only what changed is new. before: one that was checked;
    elements of it are not looked at again, which a running cluster with a large CIB relies on.
    """
    known = frozenset() if before is None else frozenset(map(id, before.walk()))
    fresh = list(_fresh(configuration, known))
    findings = _examine(configuration, path, known)
    findings += _taken(configuration, fresh, known, path)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        raise ConfigError(*errors)
    for tag in REQUIRED_SECTIONS:
        if configuration.child(tag) is None:
            configuration = configuration.with_children((*configuration.children, Element(tag)))
    if any(element.get("id-ref") is not None for element in fresh):
        configuration = _without_references(configuration, [(configuration, path)])
    compile_configuration(configuration, path)
    return configuration


def _fresh(element: Element, known: Collection[int]) -> Iterable[Element]:
    """Yield what is new in a configuration: immutable as it is, the rest is as it was."""
    if id(element) in known:
        return
    yield element
    for child in element.children:
        yield from _fresh(child, known)


def _taken(
    configuration: Element, fresh: Sequence[Element], known: Collection[int], path: str
) -> list[Finding]:
    """Return an error for each id of what is new that is taken."""
    new = Element("new", (), tuple(e.with_children(()) for e in fresh))
    seen: dict[tuple[bool, str], str] = {}
    findings = _duplicates(new, path, seen)
    for element in configuration.walk() if known and seen else ():
        key = (element.tag == "node", element.id)
        if key in seen and id(element) in known and element.tag not in _REFERENCES:
            problem = f"id {element.id} is taken by {path}:{element.line}"
            findings.append(Finding(path, 0, problem, "an id of its own"))
    return findings


def _without_references(merged: Element, files: list[tuple[Element, str]]) -> Element:
    """Return the configuration with copies for references; raises ConfigError for dangling ones.

    files: gets the copies, too: what is wrong with one is wrong where its original stands.
    """
    resolved = references.resolve(merged)
    paths = {id(element): path for element, path in files}
    if resolved.dangling:
        raise ConfigError(*(_dangling(e, paths, resolved.known) for e in resolved.dangling))
    for copy, original in resolved.origins:
        if id(original) in paths:
            paths[id(copy)] = paths[id(original)]
            files.append((copy, paths[id(copy)]))
    return resolved.configuration


def _dangling(
    element: Element, paths: Mapping[int, str], known: Collection[tuple[str, str]]
) -> Finding:
    name = element.get("id-ref") or ""
    others = [identifier for tag, identifier in known if tag == element.tag]
    expected = meant(name, others) if others else f"the id of a <{element.tag}>"
    if name in others:
        expected = "one that does not lead back to itself"
    path = paths.get(id(element), "cib.xml")
    return Finding(path, element.line, f"<{element.tag}> with id-ref {name}", expected)


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
    """Return one section with the children of all, in the order of the files."""
    children = tuple(child for section in sections for child in section.children)
    return Element(tag, (), children, line=sections[0].line if sections else 0)


def _examine(element: Element, path: str, known: Collection[int] = frozenset()) -> list[Finding]:
    """Return everything unknown below an element, and a warning for what has no effect yet.

    known: identities of elements that were looked at before.
    """
    if id(element) in known:
        return []
    findings = [*_attributes(element, path), *_not_yet(element, path)]
    children = CHILDREN.get(element.tag)
    if children is None:
        return findings
    for child in element.children:
        if child.tag not in children:
            problem = f"unknown element <{child.tag}> in <{element.tag}>"
            expected = meant(child.tag, children) if children else "none"
            findings.append(Finding(path, child.line, problem, expected))
        else:
            findings += _examine(child, path, known)
    return findings


def _attributes(element: Element, path: str) -> Iterable[Finding]:
    known = ATTRIBUTES.get(element.tag)
    for name, _ in element.attributes:
        if known is not None and name not in known:
            problem = f"unknown attribute {name} of <{element.tag}>"
            yield Finding(path, element.line, problem, meant(name, known))
    if element.get("id-ref") is not None and element.tag in references.REFERABLE:
        return
    for name in REQUIRED.get(element.tag, ()):
        if not element.get(name):
            who = f"<{element.tag} id={element.id}>" if element.id else f"<{element.tag}>"
            yield Finding(path, element.line, f"{who} without {name}", f'{name}="..."')


def _not_yet(element: Element, path: str) -> Iterable[Finding]:
    who = f"<{element.tag} id={element.id}>" if element.id else f"<{element.tag}>"
    if element.tag in NOT_YET:
        problem = f"{who}: {NOT_YET[element.tag]}"
        yield Finding(path, element.line, problem, severity=Severity.WARNING)


def _duplicates(
    configuration: Element, path: str, seen: dict[tuple[bool, str], str]
) -> list[Finding]:
    """Return an error for each id that is taken already; ids of nodes are a world of their own."""
    findings: list[Finding] = []
    for element in configuration.walk():
        if not element.id or element.tag in _REFERENCES:
            continue
        key = (element.tag == "node", element.id)
        if key in seen:
            problem = f"id {element.id} is taken by {seen[key]}"
            findings.append(Finding(path, element.line, problem, "an id of its own"))
        seen.setdefault(key, f"{path}:{element.line}")
    return findings


def version_of(root: Element) -> Version:
    """Return the version that a <cib> says it has; what is no number counts as 0."""
    numbers = []
    for name in ("admin_epoch", "epoch", "num_updates"):
        text = root.get(name) or "0"
        numbers.append(int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0)
    return Version(*numbers)
