"""`crm_resource`: lists, and everything that only asks."""

from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.resource_run import TOOL, Run, ended
from standfest.model.element import Element
from standfest.monitor.crm import resources_text, resources_xml
from standfest.monitor.crm.show import Show
from standfest.monitor.resource import constraints, operations, shown, why
from standfest.monitor.resource.found import places, primitives

ALL = Show(inactive=True, place=False)


def listed(run: Run) -> int:
    """Show all resources with their state."""
    run.node()
    lines = resources_text(run.situation, ALL)
    run.saying.line("Full List of Resources:")
    run.saying.lines(lines or ["  * No resources"])
    found = resources_xml(run.situation, ALL)
    if not found.children:
        run.saying.element(found.with_children((Element("item", text="No resources"),)))
        raise ended(Exit.NO_SUCH)
    run.saying.element(found)
    return Exit.OK


def listed_raw(run: Run) -> int:
    """Name all primitives, instances of clones with their numbers."""
    run.node()
    names = [one.id for one in primitives(run.situation.cluster)]
    if not names:
        run.saying.error("NO resources configured\n")
        raise ended(Exit.NO_SUCH)
    run.saying.lines(names)
    run.saying.element(named_list("resource names", "resource", names))
    return Exit.OK


def named_list(title: str, item: str, names: list[str] | tuple[str, ...]) -> Element:
    """Return <list> with <item>s; item: what they are called, "" for nothing."""
    attributes = (("name", item),) if item else ()
    children = tuple(Element("item", attributes, text=name) for name in names)
    return Element("list", (("name", title), ("count", str(len(names)))), children)


def listed_operations(run: Run) -> int:
    """Show what was done."""
    node = run.node()
    wanted = operations.Asked(
        run.asked.resource or None,
        node.name if node is not None else None,
        active=run.asked.command == "list_operations",
    )
    run.saying.lines(operations.operations_text(run.situation, wanted))
    found = operations.operations_xml(run.situation, wanted)
    if found is not None:
        run.saying.element(found)
    return Exit.OK


def located(run: Run) -> int:
    """Say where a resource is."""
    resource, name = run.resource(), run.name
    run.node()
    found = places(resource, name)
    children = []
    for place in found:
        state = (("state", "promoted"),) if place.promoted else ()
        children.append(Element("node", state, text=place.node.name))
        role = " Promoted" if place.promoted else ""
        if run.asked.quiet:
            run.saying.line(place.node.name)
        else:
            run.saying.line(f"resource {name} is running on: {place.node.name}{role}")
    if not found and not run.asked.quiet and not run.saying.as_xml:
        run.saying.error(f"resource {name} is NOT running")
    run.saying.element(Element("nodes", (("resource", name),), tuple(children)))
    return Exit.OK


def described(run: Run) -> int:
    """Show a resource's state and its XML."""
    resource = run.resource(parts=True)
    raw = run.asked.command == "query_xml_raw"
    run.saying.line(shown.config_text(run.situation, resource, raw=raw).rstrip("\n"))
    run.saying.element(shown.config_xml(run.situation, resource, raw=raw))
    return Exit.OK


def option(run: Run) -> int:
    """Show an option's value."""
    resource, name = run.resource(parts=True), run.asked.argument
    value = shown.option(run.situation, resource, run.asked.kind, name)
    if value is None:
        run.saying.error(f"Attribute '{name}' not found for '{resource.id}'")
        return Exit.OK
    run.saying.line(value)
    run.saying.element(named_list("attributes", name, [value]))
    return Exit.OK


def own_property(run: Run) -> int:
    """Show an attribute of a resource's own element; nothing when it has none such."""
    value = run.resource(parts=True).element.get(run.asked.argument)
    if value is not None:
        run.saying.line(value)
        run.saying.element(named_list("attributes", run.asked.argument, [value]))
    return Exit.OK


def constrained(run: Run) -> int:
    """Show constraints; those of the whole that a resource is part of, if not forced."""
    resource = run.resource()
    whole = resource if run.asked.force else resource.outermost
    recursive = run.asked.recursive or run.asked.command == "stack"
    run.saying.lines(constraints.constraints_text(run.situation, whole, recursive=recursive))
    run.saying.element(constraints.constraints_xml(run.situation, whole, recursive=recursive))
    return Exit.OK


def explained(run: Run) -> int:
    """Say whether resources run, and what in their configuration keeps them from it."""
    node = run.node()
    resource = run.resource() if run.asked.resource else None
    wanted = why.Why(resource, node)
    run.saying.lines(why.why_text(run.situation, wanted))
    run.saying.element(why.why_xml(run.situation, wanted))
    return Exit.OK


def digested(run: Run) -> int:
    """Show by which hashes a change of parameters is noticed."""
    if not run.asked.resource:
        raise ToolError(Exit.USAGE, f"{TOOL}: Must supply a resource id with -r")
    node = run.needed_node()
    resource = run.resource()
    found = shown.digests_of(run.situation, resource, node, run.asked.instead)
    run.saying.lines(shown.digests_text(found))
    run.saying.element(shown.digests_xml(found))
    return Exit.OK
