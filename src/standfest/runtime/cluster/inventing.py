"""Failures that an administrator has the cluster believe in, so that it recovers a resource.

As Pacemaker's `crm_resource --fail`: the node itself records that the resource has failed, as if
a monitor had said so, and everything else is what such news leads to.
Source: crm_resource on a Pacemaker 2.1.5 cluster.
"""

from standfest.model.errors import Ground, RefusedError
from standfest.model.status import Status
from standfest.runtime.cluster.protocol import FailResource

REASON = "Simulated failure"


def check_invented(request: FailResource, names: tuple[str, ...], status: Status) -> str:
    """Return the sentence for the administrator; raises RefusedError for what runs not there.

    names: under which operations of the resource may be recorded.
    """
    resource, node = request.resource, request.node
    if resource not in names:
        text = f"no resource {resource} to fail; expected one of: {', '.join(names)}"
        raise RefusedError(Ground.NO_SUCH, text)
    state = status.node(node)
    if state is None or not (state.online and state.in_membership):
        raise RefusedError(Ground.NOT_ONLINE, f"node {node} is not online")
    if not state.runs(resource):
        raise RefusedError(Ground.NO_SUCH, f"{resource} is not active on {node}")
    return f"{resource} counts as failed on {node}"
