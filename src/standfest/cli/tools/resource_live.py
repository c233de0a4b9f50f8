"""`crm_resource`: what has a cluster act: clean up, refresh, restart, wait.

On a file nothing is cleaned up: it is said what would be, as with Pacemaker's tool.
"""

import time
from collections.abc import Callable, Iterator

from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.live import EMPTY, LiveSource, ask, do
from standfest.cli.tools.members import with_members
from standfest.cli.tools.resource_run import TOOL, Run, ended, moment_now, performing
from standfest.core.cib import failcounts, options
from standfest.core.cib.attributes import Attributes, found, node_named
from standfest.core.cib.patch import ConflictError, applied, difference
from standfest.core.scheduler.entities import Kind, Node, Resource
from standfest.core.scheduler.values import milliseconds
from standfest.model.element import Element
from standfest.monitor.crm.situation import Situation
from standfest.monitor.resource.found import found as resource_named
from standfest.monitor.resource.found import is_running, primitives
from standfest.monitor.resource.settled import left_to_do
from standfest.runtime import frames
from standfest.runtime.cluster import protocol

POLL_S = 0.5
WAIT_S = 3600.0
"""How long a wait lasts when no --timeout is given."""
STOPPED = "Stopped"


# --- clean up, refresh ---------------------------------------------------------------------------


def clean(run: Run) -> int:
    """Forget failures, and look again."""
    _check_interval(run)
    if not isinstance(run.source, LiveSource):
        return _dry(run)
    node = run.node()
    wanted = [run.resource()] if run.asked.resource else None
    for name, where in _failed(run, wanted, node):
        answer = ask(run.source.run_dir, frames.Command("cleanup", resource=name, node=where))
        if not answer.accepted:
            raise performing(Exit.ERROR, f"{TOOL}: {answer.text}")
        run.saying.remark(f"Cleaned up {name} on {where}")
    return Exit.OK


def refresh(run: Run) -> int:
    """Forget all that is known, and look again."""
    if not isinstance(run.source, LiveSource):
        return _dry(run)
    node = run.node()
    name = _whole(run, run.resource()).id if run.asked.resource else ""
    told = do(run.source.run_dir, protocol.Refresh(name, node.name if node else ""))
    run.saying.remark(told)
    return Exit.OK


def fail(run: Run) -> int:
    """Have the cluster believe that a resource has failed on a node, and recover it."""
    node = run.needed_node()
    leaf = resource_named(run.situation.cluster, run.name)
    if leaf is None:
        run.saying.error(f"Resource {run.name} not found")
        raise ended(Exit.NO_SUCH)
    if leaf.kind is not Kind.PRIMITIVE:
        run.saying.error(f"We can only process primitive resources, not {leaf.id}")
        raise ended(Exit.SOFTWARE)
    if not isinstance(run.source, LiveSource):
        raise ToolError(Exit.UNAVAILABLE, f"{TOOL}: --fail: nothing fails in a file")
    if not node.online:
        run.saying.error(f"Node {node.name} is not online")
        raise ended(Exit.DISCONNECTED)
    name = leaf.id if leaf.globally_unique else leaf.base
    try:
        do(run.source.run_dir, protocol.FailResource(name, node.name))
    except ToolError as error:
        run.saying.error(f"{TOOL}: {error.text}")
        raise ended(error.code) from error
    run.saying.remark("Waiting for 1 reply from the controller\n... got reply (done)")
    return Exit.OK


def _dry(run: Run) -> int:
    node = run.node()
    if not run.asked.resource:
        what = node.name if node is not None else "all nodes"
        run.saying.remark(f"Dry run: skipping clean-up of {what} due to CIB_file")
        return Exit.OK
    for leaf in _whole(run, run.resource()).primitives():
        for where in _known(run.situation, leaf, node):
            text = f"Dry run: skipping clean-up of {leaf.id} on {where.name} due to CIB_file"
            run.saying.error(text)
    return Exit.OK


def _whole(run: Run, resource: Resource) -> Resource:
    """Return what is cleaned up: all around a resource, if it is not forced."""
    return resource if run.asked.force else resource.outermost


def _known(situation: Situation, leaf: Resource, node: Node | None) -> list[Node]:
    """Return the nodes that know of a resource; all that are there if none does."""
    if node is not None:
        return [node]
    nodes = situation.cluster.nodes
    known = [one for one in nodes if one.index in leaf.history]
    return [one for one in reversed(known or nodes) if one.online]


def _check_interval(run: Run) -> None:
    if run.asked.interval and milliseconds(run.asked.interval, -1) < 0:
        text = f"{TOOL}: interval {run.asked.interval}; expected a time, e.g. 10s"
        raise ToolError(Exit.USAGE, text)


def _failed(
    run: Run, wanted: list[Resource] | None, node: Node | None
) -> Iterator[tuple[str, str]]:
    """Yield (resource, node) of what has failed, of these resources, on this node."""
    cluster = run.situation.cluster
    leaves = (
        list(primitives(cluster))
        if wanted is None
        else [leaf for one in wanted for leaf in _whole(run, one).primitives()]
    )
    names = {leaf.id if leaf.globally_unique else leaf.base: leaf for leaf in leaves}
    for name, leaf in sorted(names.items()):
        for where in cluster.nodes:
            if node in (None, where) and _has_failed(run, name, leaf, where):
                yield name, where.name


def _has_failed(run: Run, name: str, leaf: Resource, where: Node) -> bool:
    counted = node_named(run.whole, where.name)
    if counted is not None:
        attributes = Attributes("status", counted)
        if run.asked.operation:
            interval = milliseconds(run.asked.interval, 0) if run.asked.interval else 0
            task = f"{failcounts.COUNT}{name}#{run.asked.operation}_{interval}"
            return bool(found(run.whole, attributes, task))
        prefix = f"{failcounts.COUNT}{name}#"
        if any(one.name.startswith(prefix) for one in found(run.whole, attributes, None)):
            return True
    failures = run.situation.cluster.failures
    return any(r.base == leaf.base and n is where for r, n, _ in failures)


# --- restart, wait -------------------------------------------------------------------------------


def wait(run: Run) -> int:
    """Wait until the cluster has nothing left to do."""
    if not run.source.live:
        if left_to_do(run.cib, moment_now()):
            raise ToolError(Exit.UNAVAILABLE, f"{TOOL}: --wait: nothing happens in a file")
        return Exit.OK
    _until(run, run.asked.timeout or WAIT_S, lambda cib: not left_to_do(cib, moment_now()))
    return Exit.OK


def restart(run: Run) -> int:
    """Have the cluster stop a resource and what depends on it, and start it again.

    Its target-role is what it was afterwards, even when it does not stop or start in time.
    """
    if not isinstance(run.source, LiveSource):
        text = f"{TOOL}: --restart: nothing is stopped or started in a file"
        raise ToolError(Exit.UNAVAILABLE, text)
    resource = run.resource()
    if resource.clone is not None and resource is not resource.clone:
        resource = resource.clone
    if not is_running(resource):
        raise ToolError(Exit.ERROR, f"{TOOL}: {resource.id} is not running; nothing to restart")
    end = time.monotonic() + (run.asked.timeout or WAIT_S)
    option = options.Option(resource.id, "target-role", options.Kind.META, force=True)
    before = run.cib
    stopped = options.with_option(before, option, STOPPED).cib
    run.saying.remark(f"Set '{resource.id}' option: name=target-role value={STOPPED}")
    run.change(stopped)
    try:
        run.saying.remark(f"Waiting for {resource.id} to stop")
        _until(run, end - time.monotonic(), lambda cib: not _runs(run, cib, resource.id))
    finally:
        _put_back(run, before, stopped)
        run.saying.remark(f"Put the target-role of '{resource.id}' back")
    run.saying.remark(f"Waiting for {resource.id} to start again")
    _until(
        run,
        end - time.monotonic(),
        lambda cib: _runs(run, cib, resource.id) and not left_to_do(cib, moment_now()),
    )
    return Exit.OK


def _put_back(run: Run, before: Element, stopped: Element) -> None:
    """Make the target-role what it was; what others have changed meanwhile stays."""
    now = run.source.read()
    old, new, here = (cib.child("configuration") or EMPTY for cib in (stopped, before, now))
    back = difference(old, new)
    if back is None:
        return
    try:
        put = applied(back, here)
    except ConflictError as error:
        text = f"{TOOL}: the target-role is not put back: {error}"
        raise ToolError(Exit.UNSATISFIED, text) from error
    children = tuple(put if child is here else child for child in now.children)
    run.source.change(now, now.with_children(children))


def _runs(run: Run, cib: Element, name: str) -> bool:
    resource = resource_named(run.view(cib).cluster, name)
    return resource is not None and is_running(resource)


def _until(run: Run, left_s: float, reached: Callable[[Element], bool]) -> None:
    """Look again and again until something is reached; raises ToolError when time is up."""
    end = time.monotonic() + left_s
    while not reached(with_members(run.source, run.source.read())):
        if time.monotonic() >= end:
            raise ended(Exit.TIMEOUT)
        time.sleep(POLL_S)
