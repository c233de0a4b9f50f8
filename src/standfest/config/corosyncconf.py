"""corosync.conf to settings: who the nodes are, and how they vote; the rest is corosync's.

Corosync itself refuses what it cannot use. Here is only what the cluster needs to know before
corosync runs, and what it will not do without. Source: corosync.conf(5), votequorum(5).
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field

from standfest.model.errors import ConfigError, Finding, Severity

MAX_DEPTH = 8
MAX_NODES = 64
VOTEQUORUM = "corosync_votequorum"
_TRUE = ("1", "yes", "on", "true")


@dataclass(frozen=True, slots=True)
class CorosyncSettings:
    """nodes: names as `uname -n` says them, lower case, in the file's order."""

    nodes: tuple[str, ...]
    two_node: bool
    votes: bool


@dataclass(slots=True)
class _Section:
    line: int
    values: dict[str, tuple[str, int]] = field(default_factory=dict)
    sections: list[tuple[str, "_Section"]] = field(default_factory=list)

    def named(self, name: str) -> "Iterator[_Section]":
        return (section for known, section in self.sections if known == name)

    def value(self, key: str) -> str:
        return self.values.get(key, ("", 0))[0]


def parse(text: str, path: str, own_name: str) -> tuple[CorosyncSettings, tuple[Finding, ...]]:
    """Return the settings and warnings; raises ConfigError. own_name: `uname -n`, lower case."""
    errors: list[Finding] = []
    root = _sections(text, path, errors)
    names = _nodes(root, path, own_name, errors)
    quorum = list(root.named("quorum"))
    votes = any(section.value("provider") == VOTEQUORUM for section in quorum)
    two = any(section.value("two_node") in _TRUE for section in quorum)
    device = any(True for section in quorum for _ in section.named("device"))
    if errors:
        raise ConfigError(*errors)
    warnings = []
    if not votes:
        expected = (
            f"quorum {{ provider: {VOTEQUORUM} }}; until then a majority of the nodes decides"
        )
        warnings.append(Finding(path, 0, "nobody counts votes", expected, Severity.WARNING))
    if two and not device:
        problem = "two_node: both halves keep quorum when they lose each other, and both go on"
        expected = "fencing, or a quorum device"
        warnings.append(Finding(path, 0, problem, expected, Severity.WARNING))
    return CorosyncSettings(tuple(names), two, votes), tuple(warnings)


def _nodes(root: _Section, path: str, own_name: str, errors: list[Finding]) -> list[str]:
    found = [node for nodelist in root.named("nodelist") for node in nodelist.named("node")]
    if not found:
        errors.append(Finding(path, 0, "no nodes", "nodelist { node { ... } ... }"))
        return []
    if len(found) > MAX_NODES:
        errors.append(Finding(path, 0, f"{len(found)} nodes", f"at most {MAX_NODES}"))
        return []
    names: list[str] = []
    numbers: set[str] = set()
    for node in found:
        number, name = node.value("nodeid"), _name(node)
        if not number.isdecimal() or number in numbers or not 0 < int(number) < 2**32:
            problem = f"nodeid is {number or 'missing'}"
            errors.append(Finding(path, node.line, problem, "a number of its own for each node"))
        if not name or name in names:
            problem = f"the node's name is {name or 'missing'}"
            errors.append(Finding(path, node.line, problem, "name: as `uname -n` says there"))
        numbers.add(number)
        names.append(name)
    if not errors and own_name not in names:
        problem = f"no node {own_name}, which is `uname -n` here"
        errors.append(Finding(path, 0, problem, " ".join(names)))
    return names


def _name(node: _Section) -> str:
    """Return what a node is called: `name`, else its first address where that is no number."""
    name = node.value("name")
    if not name:
        address = node.value("ring0_addr")
        try:
            ipaddress.ip_address(address)
        except ValueError:
            name = address
    return name.lower()


def _sections(text: str, path: str, errors: list[Finding]) -> _Section:
    root = _Section(0)
    stack = [root]
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line == "}":
            if len(stack) == 1:
                errors.append(Finding(path, number, "} without {", "balanced braces"))
            else:
                stack.pop()
        elif line.endswith("{"):
            section = _Section(number)
            if len(stack) > MAX_DEPTH:
                errors.append(Finding(path, number, "too deep", f"at most {MAX_DEPTH} levels"))
                return root
            stack[-1].sections.append((line[:-1].strip(), section))
            stack.append(section)
        elif ":" in line:
            key, _, value = line.partition(":")
            stack[-1].values[key.strip()] = (value.strip(), number)
        else:
            errors.append(Finding(path, number, line[:40], "key: value, section {, or }"))
    if len(stack) > 1:
        errors.append(Finding(path, stack[-1].line, "{ is never closed", "}"))
    return root
