"""Resources as lists: groups, clones with their nodes by role, bundles, and the brief form."""

from collections.abc import Iterable, Iterator, Sequence

from standfest.core.scheduler.entities import Kind, Node, Resource, Role
from standfest.core.scheduler.values import natural
from standfest.monitor.crm.bundles import bundle_block
from standfest.monitor.crm.layout import Block, Item, Line, lines_of
from standfest.monitor.crm.primitives import line_of
from standfest.monitor.crm.show import Show
from standfest.monitor.crm.situation import (
    Situation,
    agent_of,
    bundle_parts,
    by_priority,
    failed_probe,
    is_active,
    is_bundle,
    is_disabled,
    is_implied,
    is_removed,
    name_of,
    role_of,
    target_role,
    tree,
)
from standfest.monitor.crm.words import exit_text, plural


def resources_text(situation: Situation, show: Show | None = None) -> list[str]:
    """Return the lines of all resources, `  * ` before each, without a title.

    `Show(inactive=True, place=False)` is what `crm_resource --list` shows, with
    `Show(inactive=True)` what `crm_simulate` shows.
    """
    return lines_of(resource_items(situation, show or Show(inactive=True)))


def resource_section(situation: Situation, show: Show) -> Block | None:
    """Return the section of resources; None if there is to be none."""
    if show.by_node and not show.inactive:
        return None
    items = resource_items(situation, show)
    if show.by_node:
        title, nothing = "Inactive Resources", "No inactive resources"
    elif show.inactive:
        title, nothing = "Full List of Resources", "No resources"
    else:
        title, nothing = "Active Resources", "No active resources"
    return Block(title, tuple(items) or (Line(nothing),))


def resource_items(situation: Situation, show: Show) -> list[Item]:
    """Return what is shown of each outermost resource."""
    wanted = list(shown_resources(situation, show))
    items: list[Item] = []
    if show.brief and not show.by_node:
        primitives = [one for one in wanted if one.kind is Kind.PRIMITIVE]
        if show.inactive:  # these count what is gone, too
            primitives += [
                one
                for one in situation.cluster.resources
                if one.removed and one not in primitives and is_wanted(one, show)
            ]
        items += brief_lines(primitives, show)
        wanted = [one for one in wanted if one.kind is not Kind.PRIMITIVE]
    if not show.detail:
        wanted = [one for one in wanted if not is_implied(one)]
    return items + [item for one in wanted for item in item_of(situation, one, show)]


def shown_resources(
    situation: Situation, show: Show, *, everything: bool = False
) -> Iterator[Resource]:
    """Yield the outermost resources that are shown; everything: whether active or not."""
    parts = bundle_parts(situation.cluster)
    for resource in by_priority(situation):
        if id(resource) in parts or not is_wanted(resource, show):
            continue
        wholly = is_active(resource, wholly=True)
        if is_removed(resource) and not wholly:
            continue
        if everything:
            yield resource
        elif show.by_node:
            if not wholly:
                yield resource
        elif show.inactive or is_active(resource, wholly=False):
            yield resource


def is_wanted(resource: Resource, show: Show) -> bool:
    """Return whether the filters leave anything of a resource."""
    if show.resources is not None:
        above: Resource | None = resource
        named = False
        while above is not None and not named:
            named = bool(show.resources & {above.id, name_of(above), above.base})
            above = above.parent
        if not named and not any(is_wanted(child, show) for child in resource.children):
            return False
    if show.nodes is None:
        return True
    return show.inactive or any(node.name in show.nodes for node in resource.running)


def item_of(situation: Situation, resource: Resource, show: Show) -> list[Item]:
    """Return a resource as a line or a list; nothing if the filters leave nothing of it."""
    if not is_wanted(resource, show):
        return []
    if is_bundle(resource):
        return [bundle_block(situation, resource, show)]
    if resource.kind is Kind.GROUP:
        return [_group(situation, resource, show)]
    if resource.kind is Kind.CLONE:
        return [_clone(situation, resource, show)]
    return [line_of(situation, resource, show)]


def _headed(title: str, words: Sequence[str]) -> str:
    return f"{title} ({', '.join(words)})" if words else title


def _attributes(resource: Resource) -> list[str]:
    words = []
    if resource.is_clone and resource.promotable:
        words.append("promotable")
    if resource.is_clone and resource.globally_unique:
        words.append("unique")
    if not resource.managed:
        words.append("unmanaged")
    if is_disabled(resource):
        words.append("disabled")
    return words


def _group(situation: Situation, group: Resource, show: Show) -> Block:
    members = [child for child in group.children if is_wanted(child, show)]
    words = _attributes(group)
    if not show.inactive:
        active = [child for child in members if is_active(child, wholly=True)]
        if len(active) < len(members):
            words.insert(0, f"{plural(len(members) - len(active), 'member')} inactive")
        members = active
    title = _headed(f"Resource Group: {name_of(group)}", words)
    if show.brief:
        return Block(title, tuple(brief_lines(members, show)))
    return Block(title, tuple(line_of(situation, member, show) for member in members))


# --- clones --------------------------------------------------------------------------------------


def _clone(situation: Situation, clone: Resource, show: Show) -> Block:
    inner = next(
        (c.id for c in clone.element.children if c.tag in ("primitive", "group")), clone.id
    )
    title = _headed(f"Clone Set: {clone.id} [{inner}]", _attributes(clone))
    items: list[Item] = []
    by_role: dict[bool, list[Node]] = {True: [], False: []}
    stopped: list[Resource] = []
    for instance in clone.children:
        if not is_wanted(instance, show):
            continue
        node = _one_place(instance)
        if _in_full(clone, instance, node, show):
            items += item_of(situation, instance, show)
        elif not is_active(instance, wholly=False):
            stopped.append(instance)
        elif node is not None:
            by_role[_highest(instance) > Role.UNPROMOTED].append(node)
    if by_role[True]:
        items += _names("Promoted", by_role[True], show)
    if by_role[False]:
        items += _names(_lower(clone), by_role[False], show)
    if show.inactive and not show.detail and stopped and not clone.globally_unique:
        items += _stopped(situation, clone, show)
    return Block(title, tuple(items))


def _lower(clone: Resource) -> str:
    if not clone.promotable:
        return "Started"
    limited = target_role(clone).lower() in ("unpromoted", "slave")
    return "Unpromoted (target-role)" if limited else "Unpromoted"


def _one_place(instance: Resource) -> Node | None:
    """Return the node where all of an instance is, if there is one."""
    places: list[Node] = []
    for leaf in instance.primitives():
        places += [node for node in leaf.running if node not in places]
    return places[0] if len(places) == 1 else None


def _highest(instance: Resource) -> Role:
    return max((role_of(leaf) for leaf in instance.primitives()), default=Role.STOPPED)


def _in_full(clone: Resource, instance: Resource, node: Node | None, show: Show) -> bool:
    """Return whether an instance gets a line of its own."""
    active = is_active(instance, wholly=False)
    if show.detail:
        return active or show.inactive
    if clone.globally_unique:
        return active or not is_removed(instance)
    if not active:
        return False
    parts = list(tree(instance))
    if any(is_removed(part) or not part.managed or part.failed for part in parts):
        return True
    if not is_active(instance, wholly=True) or node is None:
        return True
    return not node.online and node.unclean


def _names(title: str, nodes: Iterable[Node], show: Show) -> list[Item]:
    names = sorted((n.name for n in nodes if show.of_node(n.name)), key=natural)
    return [Line(f"{title}: [ {' '.join(names)} ]")] if names else []


def _stopped(situation: Situation, clone: Resource, show: Show) -> list[Item]:
    """Return the nodes without an instance, by what is known of why."""
    cluster = situation.cluster
    usual = "Stopped (disabled)" if is_disabled(clone) else "Stopped"
    states: dict[str, list[Node]] = {}
    for node in cluster.nodes if cluster.options.symmetric else ():
        if node in clone.running or node.in_bundle or not show.of_node(node.name):
            continue
        probes = [failed_probe(situation, child, node) for child in clone.primitives()]
        failed = next((probe for probe in probes if probe is not None), None)
        state = f"Stopped ({exit_text(failed.exit_code)})" if failed is not None else usual
        states.setdefault(state, []).append(node)
    return [item for state, nodes in sorted(states.items()) for item in _names(state, nodes, show)]


# --- brief ---------------------------------------------------------------------------------------


def brief_lines(resources: Iterable[Resource], show: Show, *, of_node: bool = False) -> list[Line]:
    """Return how many resources of each agent are active where; of_node: all are on one node."""
    active: dict[str, dict[str, int]] = {}
    total: dict[str, int] = {}
    for resource in resources:
        agent = agent_of(resource)
        total[agent] = total.get(agent, 0) + 1
        where = active.setdefault(agent, {})
        for node in resource.running:
            if show.of_node(node.name):
                where[node.name] = where.get(node.name, 0) + 1
    found = []
    for agent in sorted(active):
        for node_name in sorted(active[agent], key=natural):
            count = active[agent][node_name]
            of = f"{count}/{total[agent]}" if show.inactive and not of_node else f"{count}"
            found.append(Line(f"{of}\t({agent}):\tActive {'' if of_node else node_name}"))
        if not active[agent] and show.inactive and not of_node:
            found.append(Line(f"0/{total[agent]}\t({agent}):\tActive"))
    return found
