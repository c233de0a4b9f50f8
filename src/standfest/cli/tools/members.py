"""Who is a node of the running cluster, whether its CIB names it or not.

A cluster writes an entry for each node when it begins and when nodes come; a CIB that was kept
before it did so has none. The coordinator schedules with all, so what is shown must have all.
"""

import json

from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.live import LiveSource, ask
from standfest.cli.tools.source import Source
from standfest.core.cib.document import with_section
from standfest.model.element import Element
from standfest.runtime import frames


def with_members(source: Source, cib: Element) -> Element:
    """Return the CIB with an entry for each node: to look at, never to be changed and kept.

    Of a file, as it is: nobody else knows of nodes. Raises ToolError.
    """
    configuration = cib.child("configuration")
    if not isinstance(source, LiveSource) or configuration is None:
        return cib
    try:
        report = json.loads(ask(source.run_dir, frames.Query("status")).text)
    except ToolError as error:
        if error.code is Exit.NO_PERMISSION:  # of a user who may see a part of the CIB only
            return cib
        raise
    section = configuration.child("nodes") or Element("nodes")
    known = {node.get("uname") for node in section.all("node")}
    names = [str(node["name"]) for node in report["nodes"]]
    missing = [name for name in names if name not in known]
    if not missing:
        return cib
    added = tuple(Element("node", (("id", name), ("uname", name))) for name in missing)
    whole = with_section(configuration, section.with_children((*section.children, *added)))
    children = tuple(whole if child is configuration else child for child in cib.children)
    return cib.with_children(children)
