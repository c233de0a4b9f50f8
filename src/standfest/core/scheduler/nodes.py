"""Unpack stage: options of the cluster, its nodes, and what each node's state means.

Source: facts/formats/SCHEDULER-SPEC.md sections 10.1 and 11.10, CIB-STATUS.md section 1.
"""

from collections.abc import Mapping

from standfest.core.scheduler import values
from standfest.core.scheduler.cluster import Cluster, Options
from standfest.core.scheduler.entities import Node
from standfest.core.scheduler.rules import Facts, values_of
from standfest.model.element import Element
from standfest.model.history import NodeRecord
from standfest.model.scores import INFINITY, add_scores

_RENAMED = {
    "fencing-enabled": "stonith-enabled",
    "fencing-action": "stonith-action",
    "fencing-timeout": "stonith-timeout",
    "fencing-watchdog-timeout": "stonith-watchdog-timeout",
    "stop-removed-resources": "stop-orphan-resources",
    "cancel-removed-actions": "stop-orphan-actions",
}


def read_options(cluster: Cluster, configuration: Element) -> None:
    """Fill in `cluster.options` from crm_config."""
    section = configuration.child("crm_config")
    facts = Facts(cluster.now)
    given: dict[str, str] = {}
    if section is not None:
        read = values_of(section, "cluster_property_set", facts, "cib-bootstrap-options")
        for name, value in read.items():
            plain = name.replace("_", "-")
            given.setdefault(_RENAMED.get(plain, plain), value)
    _fill(cluster.options, given)


def _fill(options: Options, given: Mapping[str, str]) -> None:
    def flag(name: str, default: bool) -> bool:
        return values.boolean(given.get(name), default)

    options.given = given
    options.symmetric = flag("symmetric-cluster", True)
    policy = given.get("no-quorum-policy", "stop")
    known = ("stop", "freeze", "ignore", "demote", "suicide", "fence")
    options.no_quorum_policy = policy if policy in known else "stop"
    options.fencing = flag("stonith-enabled", True)
    action = given.get("stonith-action", "reboot")
    options.fencing_action = "off" if action == "poweroff" else action
    options.fencing_timeout = values.milliseconds(given.get("stonith-timeout"), 60_000)
    options.have_watchdog = flag("have-watchdog", False)
    watchdog = values.milliseconds(given.get("stonith-watchdog-timeout"), 0)
    options.watchdog_timeout = watchdog if options.have_watchdog else 0
    options.concurrent_fencing = flag("concurrent-fencing", True)
    options.startup_fencing = flag("startup-fencing", True)
    delay = values.milliseconds(given.get("priority-fencing-delay"), 0)
    options.priority_fencing_delay = delay
    options.pending_timeout = values.milliseconds(given.get("node-pending-timeout"), 0) // 1000
    options.maintenance_mode = flag("maintenance-mode", False)
    options.stop_all = flag("stop-all-resources", False)
    options.stop_removed_resources = flag("stop-orphan-resources", True)
    options.stop_removed_actions = flag("stop-orphan-actions", True)
    options.remove_after_stop = flag("remove-after-stop", False)
    options.enable_startup_probes = flag("enable-startup-probes", True)
    options.placement = given.get("placement-strategy", "default")
    options.shutdown_lock = flag("shutdown-lock", False)
    options.shutdown_lock_limit = values.milliseconds(given.get("shutdown-lock-limit"), 0) // 1000
    options.health_strategy = given.get("node-health-strategy", "none")
    options.health_base = values.score(given.get("node-health-base"), 0)
    green = values.score(given.get("node-health-green"), 0)
    yellow = values.score(given.get("node-health-yellow"), 0)
    red = values.score(given.get("node-health-red"), -INFINITY)
    strategy = options.health_strategy
    if strategy == "migrate-on-red":
        red, yellow, green = -INFINITY, 0, 0
    elif strategy == "only-green":
        red, yellow, green = -INFINITY, -INFINITY, 0
    options.health_scores = {"red": red, "yellow": yellow, "green": green}
    options.cluster_delay = values.milliseconds(given.get("cluster-delay"), 60_000)


def add_node(cluster: Cluster, id: str, name: str) -> Node:
    """Return a new node at the end of all tables; `sort_nodes` gives the final places."""
    node = Node(len(cluster.nodes), id, name)
    cluster.nodes.append(node)
    cluster.node_by_name[name] = node
    cluster.node_by_id.setdefault(id, node)
    node.attributes["#uname"] = name
    node.attributes["#id"] = id
    node.attributes["#kind"] = "cluster"
    cluster_name = cluster.options.given.get("cluster-name")
    if cluster_name:
        node.attributes["#cluster-name"] = cluster_name
    return node


def read_nodes(cluster: Cluster, configuration: Element) -> None:
    """Make the nodes of the configuration."""
    section = configuration.child("nodes")
    for element in section.children if section is not None else ():
        if element.tag != "node":
            continue
        name = element.get("uname") or element.id
        kind = element.get("type") or "member"
        if kind == "ping":
            continue
        node = cluster.node_by_name.get(name)
        if node is None:
            node = add_node(cluster, element.id, name)
        if kind == "remote":
            _mark_remote(node)
        facts = Facts(cluster.now, node.attributes)
        for key, value in values_of(element, "instance_attributes", facts).items():
            node.attributes.setdefault(key, value)
        if element.child("utilization") is not None:
            for key, value in values_of(element, "utilization", facts).items():
                node.capacity[key] = values.integer(value, 0)


def _mark_remote(node: Node) -> None:
    node.is_remote = True
    node.attributes["#kind"] = "remote"


def add_remote(cluster: Cluster, name: str) -> Node:
    """Return the remote node with this name, made if the configuration has none."""
    node = cluster.node_by_name.get(name)
    if node is None:
        node = add_node(cluster, name, name)
    _mark_remote(node)
    cluster.have_remote = True
    return node


def sort_nodes(cluster: Cluster) -> None:
    """Give the nodes their places: by name, so that equal candidates are tried in that order."""
    cluster.nodes.sort(key=lambda node: values.natural(node.name))
    for index, node in enumerate(cluster.nodes):
        node.index = index


def read_states(cluster: Cluster) -> None:
    """Read every `<node_state>`: attributes first, then who is there."""
    assert cluster.recorded is not None, "unpack sets it"
    options = cluster.options
    fence_unseen = options.fencing and options.startup_fencing
    for node in cluster.nodes:
        # A node without any state has never been seen: that may be because it is a danger.
        node.unclean = fence_unseen and not node.is_guest
        if node.is_guest:
            node.attributes["#kind"] = "container"
        elif node.is_remote:
            node.revocable = True
            node.unclean = node.unclean and node.connection is not None
        node.reason = "is unseen" if node.unclean else ""
    for record in cluster.recorded.nodes:
        node_ = cluster.node_by_id.get(record.id) or cluster.node_by_name.get(record.name)
        if node_ is None:
            continue
        node_.record = record
        _attributes(node_, record)
        if node_.is_remote or node_.is_guest:
            node_.remote_maintenance = values.boolean(
                record.attributes.get("node_in_maintenance"), False
            )
            node_.unclean = node_.revocable = False
            node_.reason = ""
            node_.remote_was_fenced = values.integer(record.attributes.get("node_fenced"), 0) > 0
            continue
        _member(cluster, node_, record)
    for node in cluster.nodes:
        node.attributes["#is_dc"] = "true" if node is cluster.dc else "false"
        _wishes(cluster, node)
        _health(cluster, node)


def _attributes(node: Node, record: NodeRecord) -> None:
    node.attributes.update(record.transient)
    for name, value in record.utilization.items():
        node.capacity[name] = values.integer(value, 0)


def _present(text: str | None) -> bool:
    """Return whether `in_ccm` or `crmd` says yes: a word, or since 3.18 the time it began."""
    if text is None:
        return False
    number = values.integer(text, -1)
    return number > 0 if number >= 0 else text.lower() in ("true", "yes", "on", "y", "online")


def _member(cluster: Cluster, node: Node, record: NodeRecord) -> None:
    attributes = record.attributes
    member = _present(attributes.get("in_ccm"))
    controller = _present(attributes.get("crmd"))
    join = attributes.get("join")
    expected = attributes.get("expected") or join or "down"
    expected_up = expected == "member"
    node.expected = expected_up
    node.unclean, node.reason = False, ""
    shutdown = values.integer(node.attributes.get("shutdown"), 0) > 0
    node.shutdown = shutdown
    if shutdown:
        expected_up = False
        node.expected = False
    terminate = node.attributes.get("terminate")
    asked = values.boolean(terminate, False) or values.integer(terminate, 0) > 1
    if join == "banned":
        member, controller = True, True
    if not cluster.options.fencing:
        node.online = member and controller and join == "member"
        if member and not controller and not shutdown and expected_up:
            _mark(node, "peer is unexpectedly down")
        if asked:
            node.unclean = True
        return
    node.online = member
    stated = attributes.get("expected") or "down"
    if shutdown:
        node.online = controller
    elif attributes.get("in_ccm") is None:
        node.online = False
        _mark(node, "peer has not been seen by the cluster")
    elif join == "banned":
        _mark(node, "peer failed the membership criteria")
    elif not asked and stated == "down":
        if member or controller:
            node.pending = True
    elif asked and join == "down" and not member and not controller:
        node.online = False  # it has just been shot
    elif not member:
        _mark(node, "peer is no longer part of the cluster")
    elif not controller:
        _mark(node, "peer process is no longer available")
    elif asked:
        _mark(node, "fencing is requested")
    elif join in ("pending", "down"):
        node.pending = True
    elif join != "member":
        _mark(node, "peer was in an unknown state")
    if node.pending and cluster.options.pending_timeout and member:
        since = values.integer(attributes.get("in_ccm"), 0)
        limit = since + cluster.options.pending_timeout
        if since > 1 and not controller:
            if cluster.now >= limit:
                _mark(node, "peer pending timed out on joining the process group")
            else:
                cluster.recheck(limit)


def _mark(node: Node, reason: str) -> None:
    node.unclean = True
    node.reason = node.reason or reason


def _wishes(cluster: Cluster, node: Node) -> None:
    """Read standby, maintenance and discovery, which an administrator set."""
    attributes = node.attributes
    node.standby = values.boolean(attributes.get("standby"), False)
    node.maintenance = values.boolean(attributes.get("maintenance"), False)
    discovered = values.boolean(attributes.get("resource-discovery-enabled"), True)
    if not discovered and (not cluster.options.fencing or node.is_remote or node.is_guest):
        node.discovery = False


def _health(cluster: Cluster, node: Node) -> None:
    strategy = cluster.options.health_strategy
    if strategy in ("none", "custom"):
        return
    colours = cluster.options.health_scores
    total = cluster.options.health_base if strategy == "progressive" else 0
    for name, value in node.attributes.items():
        if not name.startswith("#health"):
            continue
        score = colours[value] if value in colours else values.score(value, 0)
        total = add_scores(total, score)
    node.health = total
