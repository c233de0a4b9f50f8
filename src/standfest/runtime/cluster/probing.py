"""Look before anything is stopped: what is not known to run may need it.

A clean-up forgets that a group runs; if its node is to be left, what the group stands on would be
stopped beside the probes that find the group again (the simulator's seed 106589). Pacemaker's
transition orders starts after probes; this is the coordinator's addition to it.
"""

from dataclasses import replace

from standfest.model.graph import Action, ActionKind, Graph

LETTING_GO = ("stop", "demote")


def probes_first(graph: Graph) -> Graph:
    """Return the graph in which a node's stops wait for its probes of other resources.

    Only for probes that wait for nothing themselves: so no two actions wait for each other.
    """
    probes: dict[str, list[Action]] = {}
    for action in graph.actions:
        if _probes(action) and not action.inputs:
            probes.setdefault(action.node, []).append(action)
    if not probes:
        return graph
    return Graph(tuple(_after(action, probes.get(action.node, [])) for action in graph.actions))


def _probes(action: Action) -> bool:
    operation = action.operation
    looks = action.kind is ActionKind.RESOURCE and action.task == "monitor" and action.runnable
    return looks and operation is not None and not operation.interval


def _after(action: Action, probes: list[Action]) -> Action:
    if action.kind is not ActionKind.RESOURCE or action.task not in LETTING_GO:
        return action
    others = {probe.id for probe in probes if probe.resource != action.resource}
    return replace(action, inputs=tuple(sorted(others.union(action.inputs))))
