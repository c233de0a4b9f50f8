"""Score stage: each resource's table of nodes from locations, stickiness, failures, locks, health.

Source: facts/formats/SCHEDULER-SPEC.md sections 2, 3, 10.4 b, 11.2, 11.9 and 11.10.
"""

from standfest.core.scheduler import failures, values
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import ABSENT, Kind, Location, Resource, Role
from standfest.core.scheduler.ledger import Cause
from standfest.model.history import Ticket
from standfest.model.scores import INFINITY, add_scores


def score(cluster: Cluster) -> None:
    """Fill in `allowed` of every resource."""
    width = len(cluster.nodes)
    base = [0 if cluster.options.symmetric else ABSENT] * width
    healthy = cluster.options.health_strategy != "none" and any(n.health for n in cluster.nodes)
    for resource in cluster.resources:
        _table(resource, base)
    for resource in cluster.resources:
        _pending_bans(cluster, resource)
    if healthy:
        _health(cluster)
    for resource, location in cluster.locations:
        apply(cluster, resource, location)
    for resource in cluster.resources:
        _own(cluster, resource)
    _tickets(cluster)
    for resource in cluster.resources:
        cluster.note(resource, Cause.OTHER)
        _settle(cluster, resource)


def _table(resource: Resource, base: list[int]) -> None:
    resource.allowed = list(base)
    if resource.remote_node is not None and resource.container is not None:
        # Its container opts in for it: the connection only follows.
        resource.allowed = [0] * len(base)
    for child in resource.children:
        _table(child, base)


def _pending_bans(cluster: Cluster, resource: Resource) -> None:
    """Apply what unpacking the history has found out."""
    for location in resource.locations:
        for index, value in location.scores.items():
            places = range(len(resource.allowed)) if index < 0 else (index,)
            for place in places:
                _everywhere(resource, place, value)
        cluster.note(resource, Cause.HISTORY, location)
    resource.locations = []
    for child in resource.children:
        _pending_bans(cluster, child)


def _everywhere(resource: Resource, index: int, value: int) -> None:
    resource.allowed[index] = add_scores(max(resource.allowed[index], -INFINITY), value)
    for child in resource.children:
        _everywhere(child, index, value)


def apply(cluster: Cluster, resource: Resource, location: Location) -> None:
    """Add a location's scores; those for the promoted role count in the promote stage only."""
    bundled = resource.bundle if resource.element.tag == "bundle" else None
    if location.role > Role.STARTED and bundled is not None:
        resource = bundled  # the role is of what runs inside
    if location.role > Role.STARTED:
        _remember(resource, location)
        return
    scores = location.scores
    _apply(resource, scores, location.discovery)
    cluster.note(resource, Cause.LOCATION, location, scores)


def _remember(resource: Resource, location: Location) -> None:
    resource.locations.append(location)
    for child in resource.children:
        _remember(child, location)


def _apply(resource: Resource, scores: dict[int, int], discovery: str) -> None:
    table = resource.allowed
    if discovery and discovery != "always" and resource.discovery is None:
        resource.discovery = {}
    # Where its rule holds nowhere, too: a constraint that is exclusive to no node allows none.
    resource.exclusive |= discovery == "exclusive"
    for index, value in scores.items():
        table[index] = value if table[index] == ABSENT else add_scores(table[index], value)
        if discovery and resource.discovery is not None and discovery != "always":
            if discovery == "exclusive":
                resource.discovery[index] = discovery
            else:
                resource.discovery.setdefault(index, discovery)
    if resource.kind is Kind.GROUP and resource.collocated:
        # Later members follow the first one: the group's wishes must not count once per member.
        nothing = dict.fromkeys(scores, 0)
        for place, child in enumerate(resource.children):
            _apply(child, nothing if place else scores, discovery)
        return
    for child in resource.children:
        _apply(child, scores, discovery)


def _health(cluster: Cluster) -> None:
    for resource in cluster.resources:
        if values.boolean(resource.meta.get("allow-unhealthy-nodes"), False):
            continue
        for node in cluster.nodes:
            if node.health:
                _apply(resource, {node.index: node.health}, "")
                cluster.note(resource, Cause.HEALTH, None, {node.index: node.health})


def _own(cluster: Cluster, resource: Resource) -> None:
    """Add what comes from the resource's own state: stickiness, failures, locks."""
    for child in resource.children:
        _own(cluster, child)
    if resource.kind is Kind.PRIMITIVE:
        _sticky(cluster, resource)
        _failed(cluster, resource)
        _locked(cluster, resource)


def _sticky(cluster: Cluster, resource: Resource) -> None:
    if not resource.managed or not resource.stickiness or len(resource.running) != 1:
        return
    node = resource.running[0]
    present = resource.allowed[node.index] != ABSENT
    if not cluster.options.symmetric and not present:
        return
    _everywhere(resource, node.index, resource.stickiness)
    cluster.note(resource, Cause.STICKINESS, None, {node.index: resource.stickiness})


def _failed(cluster: Cluster, resource: Resource) -> None:
    if resource.clone is not None and resource.kind is Kind.PRIMITIVE:
        known = resource.known_on
    else:
        known = None
    for node in cluster.nodes:
        if known is not None and node.index not in known and not node.attributes:
            continue
        if len(node.attributes) <= 3 and not _counts(node.attributes):
            continue
        if failures.banned_by_failures(cluster, resource, node):
            banned: Resource = resource
            if resource.clone is not None and not resource.clone.globally_unique:
                banned = resource.clone
                _ban_base(banned, resource.base, node.index)
                cluster.note(banned, Cause.FAILURES, resource, {node.index: -INFINITY})
                continue
            _everywhere(banned, node.index, -INFINITY)
            cluster.note(banned, Cause.FAILURES, resource, {node.index: -INFINITY})


def _ban_base(clone: Resource, base: str, index: int) -> None:
    """Ban an anonymous clone from a node: its instances are all the same thing."""
    clone.allowed[index] = -INFINITY
    for child in clone.children:
        _everywhere(child, index, -INFINITY)


def _counts(attributes: dict[str, str]) -> bool:
    return any(name.startswith("fail-count-") for name in attributes)


def _locked(cluster: Cluster, resource: Resource) -> None:
    options = cluster.options
    if not options.shutdown_lock or resource.fence_device or resource.clone is not None:
        return
    if resource.lock_node is None and len(resource.running) == 1:
        node = resource.running[0]
        if node.online and node.shutdown and not node.unclean:
            resource.lock_node = node
    elif resource.lock_node is not None and resource.running:
        resource.lock_node = None  # it runs again: the lock has done its work
    node_ = resource.lock_node
    if node_ is None or node_.is_remote or node_.is_guest or node_.unclean:
        return
    for other in cluster.nodes:
        if other is not node_:
            _everywhere(resource, other.index, -INFINITY)
    cluster.note(resource, Cause.LOCK, node_)


def _tickets(cluster: Cluster) -> None:
    for rule in cluster.ticket_rules:
        known = cluster.tickets.get(rule.ticket)
        ticket = known if isinstance(known, Ticket) else Ticket(rule.ticket)
        _bound(cluster, rule.resource, rule.role, rule.loss_policy, ticket)


def _bound(cluster: Cluster, resource: Resource, role: Role, policy: str, ticket: Ticket) -> None:
    """Apply one ticket dependency (rule 11.9)."""
    if resource.children:
        for child in resource.children:
            _bound(cluster, child, role, policy, ticket)
        return
    if ticket.granted and not ticket.standby:
        return
    nowhere = {node.index: -INFINITY for node in cluster.nodes}
    # Without the ticket nothing starts; what runs already suffers what loss-policy says.
    lost = not ticket.granted and bool(resource.running)
    promoted = role is Role.PROMOTED
    if lost and policy == "freeze" and not (promoted and resource.role is not Role.PROMOTED):
        resource.managed = False
        resource.blocked = True
        return
    fenced = False
    if lost and policy == "fence":
        # For a role of a promotable clone: only where an instance has it.
        fenced = role in (Role.UNKNOWN, Role.STARTED) or (promoted and resource.role is role)
        for host in list(resource.running) if fenced else ():
            failures.mark_unclean(cluster, host, f"ticket {ticket.id} is lost")
        if not fenced and not promoted:
            return
    if not promoted or policy == "stop" or fenced:
        _apply(resource, nowhere, "")
        cluster.note(resource, Cause.TICKET, ticket.id, nowhere)
    elif promoted:
        where = Location(f"ticket {ticket.id}", Role.PROMOTED, nowhere, resource.element)
        resource.locations.append(where)


def _settle(cluster: Cluster, resource: Resource) -> None:
    """Take nodes out that were never in, or that exclusive discovery leaves out."""
    table = resource.allowed
    for index, value in enumerate(table):
        if value == ABSENT:
            table[index] = -INFINITY
        elif resource.exclusive:
            assert resource.discovery is not None, "set together"
            if resource.discovery.get(index) != "exclusive":
                table[index] = -INFINITY
    if resource.removed and not cluster.options.symmetric:
        for node in resource.running:
            table[node.index] = max(table[node.index], -INFINITY)
    cluster.note(resource, Cause.EXCLUSIVE if resource.exclusive else Cause.OPT_IN)
    for child in resource.children:
        _settle(cluster, child)
