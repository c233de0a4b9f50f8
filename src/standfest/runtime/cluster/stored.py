"""What one node keeps of the cluster on disk: the configuration, and the term that it promised."""

from dataclasses import dataclass, replace

from standfest.config import cib as cib_config
from standfest.core.cib.document import Author, Cib
from standfest.core.cib.status_xml import cib_element
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import Finding
from standfest.model.status import Status
from standfest.runtime.cluster.printing import Printer

WRITTEN, TERM, LEADER = "standfest-written", "standfest-term", "standfest-leader"
CHANGED = "standfest-changed"
"""Attributes of <cib> that only this file has."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A node's document as it was read; findings: warnings about the configuration."""

    cib: Cib
    promised: tuple[int, str]
    findings: tuple[Finding, ...] = ()


def to_bytes(cib: Cib, promised: tuple[int, str], printer: Printer | None = None) -> bytes:
    """Return the document: version and configuration; status lives in memory only.

    printer: has printed the last one, and writes again only what is new.
    """
    element = cib_element(replace(cib, status=Status()))
    own = ((WRITTEN, str(cib.written)), (TERM, str(promised[0])), (LEADER, promised[1]))
    changed = ((CHANGED, str(cib.author.at)),) if cib.author is not None else ()
    for name, value in (*own, *changed):
        element = element.with_attribute(name, value)
    return (printer or Printer()).text(element).encode()


def from_bytes(content: bytes) -> Stored:
    """Return what `to_bytes` wrote; raises ConfigError."""
    text = content.decode()
    loaded = cib_config.load([("stored cib.xml", text)])
    element = xml.parse(text, "stored cib.xml")
    written = _number(element.get(WRITTEN))
    cib = Cib(loaded.version, loaded.configuration, Status(), written, _author(element))
    promised = _number(element.get(TERM)), element.get(LEADER) or ""
    return Stored(cib, promised, loaded.findings)


def _author(element: Element) -> Author | None:
    names = ("update-user", "update-client", "update-origin")
    user, client, origin = (element.get(name) or "" for name in names)
    at = _number(element.get(CHANGED))
    return Author(at, user, client, origin) if at else None


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
