"""What is not known to run is looked at before anything that it may need is stopped."""

from dataclasses import replace

from standfest.model.graph import Action, ActionKind, Graph
from standfest.model.operations import Agent, Operation
from standfest.runtime.cluster.probing import probes_first

DUMMY = Agent("ocf", "Dummy", "x")


def action(
    number: int, resource: str, task: str, node: str, *inputs: int, every: int = 0
) -> Action:
    operation = Operation(resource, DUMMY, task, every, 20)
    key = f"{resource}_{task}_{every}"
    return Action(number, ActionKind.RESOURCE, task, key, node, resource, operation, inputs)


def inputs(*actions: Action) -> dict[int, tuple[int, ...]]:
    return {one.id: one.inputs for one in probes_first(Graph(actions)).actions}


def test_stops_wait_for_the_probes_of_other_resources_on_their_node() -> None:
    found = inputs(
        action(1, "files", "monitor", "a"),
        action(2, "smtp", "monitor", "b"),
        action(3, "lsd", "stop", "a", 7),
        action(4, "web", "demote", "a"),
        action(5, "db", "start", "a"),
        action(6, "files", "stop", "a"),
        action(7, "top", "stop", "b"),
    )
    assert found == {1: (), 2: (), 3: (1, 7), 4: (1,), 5: (), 6: (), 7: (2,)}


def test_recurring_monitors_and_probes_that_wait_themselves_are_no_reason() -> None:
    # A probe in a container waits for the container; it may have to stop first.
    graph = Graph(
        (
            action(1, "files", "monitor", "a", every=60),
            action(2, "smtp", "monitor", "a", 3),
            action(3, "lsd", "stop", "a"),
            replace(action(4, "db", "monitor", "a"), runnable=False),
        )
    )
    assert probes_first(graph) == graph
