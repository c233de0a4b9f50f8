"""Whole pages: all sections in the order of Pacemaker's, as text, XML, HTML or one line."""

from collections.abc import Callable

from standfest.model.element import Element
from standfest.monitor.crm import fencing
from standfest.monitor.crm.attributes import (
    attribute_block,
    attributes_xml,
    ban_block,
    bans_xml,
    ticket_block,
    tickets_xml,
)
from standfest.monitor.crm.history import (
    failure_block,
    failures_xml,
    history_block,
    history_xml,
)
from standfest.monitor.crm.layout import Block, Tag, document, section_lines, tags_of
from standfest.monitor.crm.nodes import node_section, node_tags, nodes_xml
from standfest.monitor.crm.resources import resource_section
from standfest.monitor.crm.resources_xml import resources_xml
from standfest.monitor.crm.show import SUMMARY, Show
from standfest.monitor.crm.situation import Situation
from standfest.monitor.crm.summary import (
    mode_lines,
    simple_line,
    summary_lines,
    summary_tags,
    summary_xml,
)

STYLE = """.bold { font-weight: bold }
.online { color: green }
.offline { color: red }
.maint { color: blue }
.standby { color: blue }
.health_red { color: red }
.health_yellow { color: GoldenRod }
.rsc-failed { color: red }
.rsc-failure-ignored { color: DarkGreen }
.rsc-managed { color: blue }
.rsc-multiple { color: orange }
.rsc-ok { color: green }
.warning { color: red; font-weight: bold }"""
_TAIL: tuple[Callable[[Situation, Show], Block | None], ...] = (
    attribute_block,
    history_block,
    failure_block,
    fencing.failed_block,
    ticket_block,
    ban_block,
    fencing.history_block,
)


def text(situation: Situation, show: Show) -> str:
    """Return the page as text, each section after an empty line."""
    sections: list[list[str]] = []
    if show.has(*(part for part in SUMMARY if part != "maint-mode")):
        sections.append(summary_lines(situation, show))
    mode = mode_lines(situation) if show.has("maint-mode") else []
    if mode:
        sections.append(mode)
    blocks: list[Block | None] = []
    if show.has("nodes"):
        blocks.append(node_section(situation, show))
    if show.has("resources"):
        blocks.append(resource_section(situation, show))
    blocks += [section(situation, show) for section in _TAIL]
    sections += [section_lines(block) for block in blocks if block is not None]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n" if sections else ""


def html(
    situation: Situation,
    show: Show,
    *,
    title: str = "Cluster Status",
    stylesheet: str = "",
    refresh: int = 0,
) -> str:
    """Return the page as HTML.

    stylesheet: address of one that is read, too; refresh: after how many seconds a browser reads
    the page again, 0: never.
    """
    head = _head(title, stylesheet, refresh)
    body = list(summary_tags(situation, show))
    if show.has("nodes"):
        body += node_tags(situation, show)
    resources = resource_section(situation, show) if show.has("resources") else None
    if resources is not None:
        body += tags_of(resources)
    for section in _TAIL:
        block = section(situation, show)
        if block is not None:
            body += tags_of(block)
    return document(head, body)


def nothing(why: str, *, title: str = "Cluster Status", refresh: int = 0) -> str:
    """Return a page that says why nothing is known."""
    return document(_head(title, "", refresh), [Tag("h2", (why,))])


def _head(title: str, stylesheet: str, refresh: int) -> list[Tag]:
    head = [Tag("title", (title,)), Tag("meta", (), (("charset", "utf-8"),))]
    if refresh:
        content = (("http-equiv", "refresh"), ("content", str(refresh)))
        head.append(Tag("meta", (), content))
    head.append(Tag("style", (STYLE,), raw=True))
    if stylesheet:
        head.append(Tag("link", (), (("rel", "stylesheet"), ("href", stylesheet))))
    return head


def xml(situation: Situation, show: Show) -> tuple[Element, ...]:
    """Return the elements of a <pacemaker-result>, without its <status>."""
    found: list[Element | None] = []
    if show.has(*SUMMARY):
        found.append(summary_xml(situation, show))
    if show.has("nodes"):
        found.append(nodes_xml(situation, show))
    if show.has("resources") and not (show.by_node and not show.inactive):
        found.append(resources_xml(situation, show))
    rest = (
        *(attributes_xml, history_xml, failures_xml, fencing.history_xml, tickets_xml),
        bans_xml,
    )
    found += [section(situation, show) for section in rest]
    return tuple(element for element in found if element is not None)


def simple(situation: Situation) -> str:
    """Return the state in one line."""
    return simple_line(situation) + "\n"
