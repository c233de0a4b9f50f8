"""How often a resource failed on a node, in a whole <cib>, and forgetting it.

Source: facts/formats/CIB-STATUS.md sections 2 and 5; crm_failcount 2.1.5 by experiment.
"""

from standfest.core.cib.attributes import Attributes, found
from standfest.core.cib.places import element_at, put_at, replaced_at, section_path
from standfest.model.element import Element

INFINITY = 1_000_000
COUNT, LAST = "fail-count-", "last-failure-"


def failures(cib: Element, which: Attributes, resource: str, operation: str) -> tuple[str, str]:
    """Return the name of what was counted and how often: a number, or INFINITY.

    which: the node's transient attributes; operation: `monitor_10000`, empty for all together.
    Counts without an operation, which old clusters kept, are used where there is no other.
    """
    name = f"{COUNT}{resource}#{operation}" if operation else f"{COUNT}{resource}"
    total = 0
    for one in found(cib, which, None):
        counts = one.name == name if operation else one.name.startswith(f"{name}#")
        if counts:
            total += _number(one.value)
    if total == 0:
        old = f"{COUNT}{resource}"
        kept = sum(_number(one.value) for one in found(cib, which, old))
        if kept:
            name, total = old, kept
    return name, "INFINITY" if total >= INFINITY else str(total)


def forgotten(cib: Element, which: Attributes, resource: str, operation: str) -> Element:
    """Return the CIB without the counts and times of failures, and without the failed history.

    The history of the resource on the node goes as a whole, so that a cluster looks again.
    """
    tails = (f"{resource}#{operation}",) if operation else (resource, f"{resource}#")
    gone = [
        one.place
        for one in found(cib, which, None)
        if any(_is_of(one.name, tail, exact=bool(operation)) for tail in tails)
    ]
    for place in reversed(gone):
        cib = replaced_at(cib, place)
    return _without_history(cib, which, resource) if gone else cib


def _is_of(name: str, tail: str, *, exact: bool) -> bool:
    for head in (COUNT, LAST):
        if name == head + tail or (
            not exact and tail.endswith("#") and name.startswith(head + tail)
        ):
            return True
    return False


def _without_history(cib: Element, which: Attributes, resource: str) -> Element:
    path = section_path(cib, "status")
    assert which.node is not None
    status = element_at(cib, path) if path is not None else Element("status")
    for index, node in enumerate(status.children):
        if node.tag == "node_state" and node.id == which.node.id:
            assert path is not None
            return put_at(cib, (*path, index), _pruned(node, resource))
    return cib


def _pruned(element: Element, resource: str) -> Element:
    kept = tuple(
        _pruned(child, resource) if child.tag in ("lrm", "lrm_resources") else child
        for child in element.children
        if not (child.tag == "lrm_resource" and child.id == resource)
    )
    return element.with_children(kept)


def _number(text: str) -> int:
    if text == "INFINITY":
        return INFINITY
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
