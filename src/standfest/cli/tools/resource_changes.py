"""`crm_resource`: options, moves, bans, and deleting, in the configuration."""

from collections.abc import Callable, Iterator

from standfest.cli.tools.codes import MESSAGES, Exit, ToolError
from standfest.cli.tools.resource_run import TOOL, Run, ended, moment_now, performing
from standfest.core.cib import moves, options, resources
from standfest.core.scheduler import calendar
from standfest.core.scheduler.colocate import dependents_of
from standfest.core.scheduler.entities import Node, Resource, Role
from standfest.model.element import Element
from standfest.monitor.crm.situation import is_promotable, role_of
from standfest.monitor.crm.words import iso_moment
from standfest.monitor.resource.found import is_instance
from standfest.monitor.resource.lifetimes import end_of

Change = Callable[[Element, options.Option], options.Changed]
NO_DURATION = (
    "Please refer to https://en.wikipedia.org/wiki/ISO_8601#Durations "
    "for examples of valid durations"
)


# --- options -------------------------------------------------------------------------------------


def set_option(run: Run) -> int:
    """Set an option."""
    if run.asked.value is None:
        raise ToolError(Exit.USAGE, f"{TOOL}: You need to supply a value with the -v option")
    value = run.asked.value
    return _options(run, lambda cib, option: options.with_option(cib, option, value))


def delete_option(run: Run) -> int:
    """Delete an option."""
    return _options(run, options.without_option)


def _options(run: Run, change: Change) -> int:
    resource = run.resource(parts=True)
    cib = run.cib
    said: list[str] = []
    names = [run.name]
    kind = options.Kind(run.asked.kind)
    setting = run.asked.command == "set_parameter"
    if run.asked.recursive and setting and kind is options.Kind.META:
        names += _dependents(run, resource, {id(resource)})
    for name in names:
        # The set and the nvpair that were named are the resource's own.
        own = (run.asked.set_id, run.asked.pair_id) if name == run.name else ("", "")
        asked = options.Option(name, run.asked.argument, kind, *own, run.asked.force)
        try:
            changed = change(cib, asked)
        except options.UnknownError as error:
            raise performing(Exit.NO_SUCH, f"{TOOL}: Resource '{error}' not found") from error
        except options.NoPlaceError as error:
            raise ToolError(Exit.CONFIG, f"{TOOL}: {error}\n{ended(Exit.CONFIG).text}") from error
        except options.SeveralError as error:
            for line in error.said:
                run.saying.remark(line)
            text = f"{TOOL}: Error performing operation: {MESSAGES[Exit.NOT_UNIQUE]}"
            raise ToolError(Exit.NOT_UNIQUE, "\n".join([*error.warned, text])) from error
        said += changed.said
        cib = changed.cib
    run.change(cib)
    for line in said:
        run.saying.remark(line)
    return Exit.OK


def _dependents(run: Run, resource: Resource, seen: set[int]) -> Iterator[str]:
    """Yield what is to be with a resource, or the clone around it, and what is with that."""
    whole = resource
    if not run.asked.force and resource.parent is not None and resource.parent.is_clone:
        whole = resource.parent
    seen.add(id(whole))
    for colocation in dependents_of(whole):
        other = colocation.dependent
        if colocation.primary is whole and colocation.score > 0 and id(other) not in seen:
            seen.add(id(other))
            yield other.id
            yield from _dependents(run, other, seen)


def set_property(run: Run) -> int:
    """Set an attribute of a resource's own element, as Heartbeat 2's tool did."""
    name = run.resource(parts=True).id
    if not run.asked.tag:
        raise performing(Exit.NO_SUCH, f"{TOOL}: Must specify -t with resource type")
    if run.asked.value is None:
        raise ToolError(Exit.USAGE, f"{TOOL}: You need to supply a value with the -v option")
    meant = resources.without_number(run.cib, name)
    after = resources.with_property(
        run.cib, meant, run.asked.tag, run.asked.argument, run.asked.value
    )
    if after is None:
        raise ended(Exit.NO_SUCH)
    run.change(after)
    return Exit.OK


def delete(run: Run) -> int:
    """Delete a resource; of another type than is given, nothing is deleted."""
    run.resource(parts=True)
    if not run.asked.tag:
        raise performing(Exit.NO_SUCH, f"{TOOL}: You need to specify a resource type with -t")
    run.change(resources.without_resource(run.cib, run.name, run.asked.tag))
    return Exit.OK


# --- moves ---------------------------------------------------------------------------------------


def move(run: Run) -> int:
    """Move a resource to a node, or away from where it is."""
    resource = _whole(run)
    node = run.node()
    if node is None:
        return _ban(run, _only_place(resource, run.name), run.cib, run.asked.promoted)
    promoted = run.asked.promoted
    if promoted and not is_promotable(resource):
        run.saying.remark(f"Ignoring --promoted option: {run.name} is not promotable")
        promoted = False
    count, current = _current(resource, promoted)
    if current is node and not run.asked.force:
        raise ended(Exit.EXISTS)
    until = _until(run)
    after = moves.preferred(run.cib, moves.Where(run.name, node.name, promoted, until))
    if run.asked.force and current is None and count > 1:
        run.saying.remark(
            f"Resource '{run.name}' is currently active in {count} locations. "
            f"One may now move to {node.name}\n"
            f"To prevent '{run.name}' from being active at a specific location, specify a node."
        )
    if run.asked.force and current is not None and current is not node:
        return _ban(run, current, after, promoted)
    run.change(after)
    return Exit.OK


def ban(run: Run) -> int:
    """Keep a resource off a node; without one, off the node where it is."""
    resource = _whole(run)
    node = run.node() or _only_place(resource, run.name)
    return _ban(run, node, run.cib, run.asked.promoted)


def clear(run: Run) -> int:
    """Take moves and bans back, and say which."""
    if not run.asked.expired or run.asked.resource:
        _whole(run)
    node = run.node()
    name = node.name if node is not None else ""
    if run.asked.expired:
        now = moment_now()
        gone = moves.expired(run.cib, lambda end: _is_over(end, now), run.asked.resource, name)
    else:
        gone = moves.constraints_of(run.cib, run.name, name, force=run.asked.force)
    run.change(moves.without(run.cib, gone))
    for identifier in gone:
        run.saying.remark(f"Removing constraint: {identifier}")
    return Exit.OK


def _is_over(end: str, now: int) -> bool:
    moment = calendar.parse(end)
    return moment is not None and moment <= now


def _whole(run: Run) -> Resource:
    """Return the resource asked for, unless it is one instance of a clone by its number."""
    resource = run.resource()
    if is_instance(resource, run.name):
        text = f"{TOOL}: Cannot operate on clone resource instance '{run.name}'"
        raise performing(Exit.INVALID, text)
    return resource


def _promoted_on(resource: Resource) -> list[Node]:
    """Return where instances of a promotable clone are promoted."""
    if not (resource.is_clone and resource.promotable):
        return []
    return [
        node
        for child in resource.children
        for node in child.running
        if any(role_of(leaf) is Role.PROMOTED for leaf in child.primitives())
    ]


def _current(resource: Resource, promoted: bool) -> tuple[int, Node | None]:
    """Return how many nodes a resource is on, and which counts as the one that it leaves."""
    leaders = _promoted_on(resource)
    if len(leaders) == 1:
        return 1, leaders[0]
    if promoted:
        return len(leaders), None
    return len(resource.running), resource.running[0] if len(resource.running) == 1 else None


def _only_place(resource: Resource, name: str) -> Node:
    """Return the node where a resource is; raises ToolError if that is not one."""
    if len(resource.running) == 1:
        return resource.running[0]
    leaders = _promoted_on(resource)
    if len(leaders) == 1:
        return leaders[0]
    count = len(resource.running)
    hint = f"To prevent '{name}' from running on a specific location, specify a node."
    if resource.is_clone and resource.promotable:
        text = (
            f"Resource '{name}' not moved: active in {count} locations "
            f"(promoted in {len(leaders)}).\n{hint}"
            f"To prevent '{name}' from being promoted at a specific location, specify a node "
            "and the --promoted option."
        )
    else:
        text = f"Resource '{name}' not moved: active in {count} locations.\n{hint}"
    raise ToolError(Exit.USAGE, f"{TOOL}: {text}")


def _ban(run: Run, node: Node, cib: Element, promoted: bool) -> int:
    name = run.name
    until = _until(run)
    after = moves.banned(cib, moves.Where(name, node.name, promoted, until))
    kept = "being promoted" if promoted else "running"
    run.saying.remark(
        f"WARNING: Creating rsc_location constraint '{moves.ban_id(name, node.name)}' with a score "
        f"of -INFINITY for resource {name} on {node.name}.\n"
        f"\tThis will prevent {name} from {kept} on {node.name} until the constraint is removed "
        "using the clear option or by editing the CIB with an appropriate tool\n"
        f"\tThis will be the case even if {node.name} is the last node in the cluster"
    )
    run.change(after)
    return Exit.OK


def _until(run: Run) -> str:
    """Return when a move or a ban ends, "" for never, and say it; raises ToolError."""
    duration = run.asked.lifetime
    if not duration:
        return ""
    end = end_of(duration, moment_now())
    if end is None:
        raise ToolError(Exit.USAGE, f"Invalid duration specified: {duration}\n{NO_DURATION}")
    text = iso_moment(end)
    run.saying.remark(f"Migration will take effect until: {text}")
    return text
