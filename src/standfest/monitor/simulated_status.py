"""The cluster before and after a simulated transition, as crm_simulate shows it.

Source: samples/outputs/*.crm_simulate.*, and what crm_simulate 2.1.5 prints with --show-scores.
"""

from collections.abc import Iterable, Iterator

from standfest.model.element import Element
from standfest.monitor.crm import Show, Situation, nodes_xml, resources_xml
from standfest.monitor.crm.attributes import attribute_block, attributes_xml
from standfest.monitor.crm.history import (
    failure_block,
    failures_xml,
    history_block,
    history_xml,
)
from standfest.monitor.crm.layout import Block, Item, lines_of
from standfest.monitor.crm.nodes import node_items
from standfest.monitor.crm.resources import resource_items
from standfest.monitor.crm.summary import counts

_LISTS = ("Online: ", "OFFLINE: ", "RemoteOnline: ", "RemoteOFFLINE: ", "GuestOnline: ")


def show_of(*, attributes: bool, failures: bool) -> Show:
    """Return what is shown: nodes and all resources, and what else is asked for."""
    sections = {"nodes", "resources"}
    if attributes:
        sections.add("attributes")
    if failures:
        sections |= {"failcounts", "failures"}
    return Show(sections=frozenset(sections), inactive=True)


def disabled_line(situation: Situation) -> str:
    """Return how many instances will not be started; "" if none."""
    total, disabled, blocked = counts(situation)
    if not disabled and not blocked:
        return ""
    return (
        f"{disabled} of {total} resource instances DISABLED and {blocked} BLOCKED "
        "from further action due to failure"
    )


def status_lines(situation: Situation, show: Show, *, plain: bool) -> list[str]:
    """Return the status, an empty line between its lists; plain: without titles and margins."""
    found: list[str] = []
    for block in _blocks(situation, show):
        found += [""] if found else []
        found += list(_plain(block.items)) if plain else lines_of([block])
    return found


def _blocks(situation: Situation, show: Show) -> Iterator[Block]:
    yield Block("Node List", tuple(node_items(situation, show)))
    yield Block("Full List of Resources", tuple(resource_items(situation, show)))
    for make in (attribute_block, history_block, failure_block):
        block = make(situation, show)
        if block is not None:
            yield block


def _plain(items: Iterable[Item]) -> Iterator[str]:
    for item in items:
        if isinstance(item, Block):
            yield from _plain(item.items)
        else:
            title = next((word for word in _LISTS if item.text.startswith(word)), "")
            yield item.text.removeprefix(title)


def status_element(tag: str, situation: Situation, show: Show) -> Element:
    """Return the status as an element of this name."""
    children = [nodes_xml(situation, show), resources_xml(situation, show)]
    for make in (attributes_xml, history_xml, failures_xml):
        element = make(situation, show)
        if element is not None:
            children.append(element)
    return Element(tag, (), tuple(children))
