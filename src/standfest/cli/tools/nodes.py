"""Which node a tool means, and what it changes of the status."""

import os
from collections.abc import Mapping

from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.live import LiveSource, do
from standfest.cli.tools.source import Source
from standfest.core.cib import attributes
from standfest.model.element import Element
from standfest.runtime.cluster.protocol import SetAttribute


def meant(tool: str, cib: Element, name: str | None) -> attributes.Node:
    """Return the node that is named, this one without a name; raises ToolError."""
    wanted = name or os.uname().nodename
    node = attributes.node_named(cib, wanted)
    if node is None:
        raise ToolError(Exit.NO_SUCH, f"{tool}: Could not map name={wanted} to a UUID")
    return node


def transient(
    source: Source,
    before: Element,
    which: attributes.Attributes,
    values: Mapping[str, str | None],
) -> None:
    """Set attributes of a node that a restart forgets, or remove them for None.

    before: what was read. Raises ToolError, AmbiguousError.
    """
    assert which.scope == "status"
    after = before
    for name, value in values.items():
        if value is None:
            after, _ = attributes.without(after, which, name)
        else:
            after = attributes.with_value(after, which, name, value)
    if not isinstance(source, LiveSource):
        source.change(before, after)
        return
    assert which.node is not None, "attributes of the status are a node's"
    for name in values:
        found = attributes.found(after, which, name)
        do(source.run_dir, SetAttribute(which.node.name, name, found[0].value if found else None))
