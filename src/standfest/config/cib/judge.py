"""Whether a whole CIB that somebody is about to keep is one that a cluster can use.

Every problem at once: what `load` refuses, what `compile` refuses, ids that are none. The status is
not looked at: it is nobody's to write but the cluster's.
"""

import re

from standfest.config.cib.compile import compile_configuration
from standfest.config.cib.load import REQUIRED_SECTIONS, load
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import ConfigError, Finding

_NAME = re.compile(r"[^\W\d][\w.-]*")
_FREE = frozenset({"node"})
"""Elements whose id is free text."""
NO_SCHEMA = "none"


def problems(cib: Element, path: str) -> tuple[Finding, ...]:
    """Return all errors of a <cib>; none where it says that it is not to be validated."""
    if cib.get("validate-with") == NO_SCHEMA:
        return ()
    text = xml.serialise(
        cib.with_children(tuple(child for child in cib.children if child.tag != "status"))
    )
    try:
        configuration = xml.parse(text, path).child("configuration")  # with its lines
    except ConfigError as error:
        return error.findings
    found = _ids(configuration, path)
    for section in REQUIRED_SECTIONS:
        if configuration is None or configuration.child(section) is None:
            found.append(Finding(path, 0, f"no <{section}>", "one, empty or not"))
    try:
        loaded = load([(path, text)])
        compile_configuration(loaded.configuration, path)
    except ConfigError as error:
        found += error.findings
    return tuple(dict.fromkeys(finding for finding in found if finding.refuses))


def _ids(configuration: Element | None, path: str) -> list[Finding]:
    if configuration is None:
        return []
    return [
        Finding(path, element.line, f"id {element.id!r} of <{element.tag}>", "an XML name")
        for element in configuration.walk()
        if element.tag not in _FREE and element.get("id") is not None
        if not _NAME.fullmatch(element.id)
    ]
