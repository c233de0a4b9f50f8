"""What another coordinator began on a member is waited for, but not for ever."""

from standfest.core.transition.machine import Transition
from standfest.model.graph import Action, ActionKind, Graph
from standfest.model.operations import Agent, ExitCode, Operation, OperationResult, OperationStatus
from standfest.model.time import seconds
from standfest.runtime.cluster.strange import Strange

AGENT = Agent("ocf", "Dummy", "x")


def operation(resource: str, task: str, key: str) -> Operation:
    return Operation(resource, AGENT, task, 0, timeout=seconds(20), key=key)


def result(op: Operation, status: OperationStatus) -> OperationResult:
    return OperationResult(op, status, int(ExitCode.OK), 1)


def test_nothing_is_strange_until_all_have_ended() -> None:
    strange = Strange()
    assert not strange
    stop, start = operation("files", "stop", "1"), operation("mail", "start", "2")
    strange.begin(0, "a", (stop, start), seconds(60))
    assert strange
    strange.ended("b", result(stop, OperationStatus.DONE))
    strange.ended("a", result(stop, OperationStatus.PENDING))
    strange.ended("a", result(stop, OperationStatus.DONE))
    assert strange
    strange.ended("a", result(start, OperationStatus.DONE))
    assert not strange
    assert strange.deadline() is None


def test_operations_of_one_resource_follow_each_other_those_of_others_do_not() -> None:
    strange = Strange()
    both = operation("files", "stop", "1"), operation("files", "start", "2")
    strange.begin(seconds(5), "a", (*both, operation("mail", "stop", "3")), seconds(60))
    assert strange.deadline() == seconds(85)  # 5 + 20 + 60
    assert not strange.on_timer(seconds(85))  # files' start may still follow its stop
    assert strange.deadline() == seconds(105)  # 5 + 20 + 20 + 60
    assert strange.on_timer(seconds(105))
    assert not strange.on_timer(seconds(106)), "it is given up once"


def test_a_member_that_joins_again_says_all_that_runs_there() -> None:
    strange = Strange()
    strange.begin(0, "a", (operation("files", "stop", "1"),), 0)
    strange.begin(0, "b", (operation("files", "stop", "1"),), 0)
    strange.begin(0, "a", (), 0)
    assert strange
    strange.lost("b")
    assert not strange


def test_a_transition_keeps_what_is_still_under_way_on_a_node_that_joined_again() -> None:
    transition = Transition(seconds(60))
    vertices = tuple(
        Action(
            id=number,
            kind=ActionKind.RESOURCE,
            task="stop",
            key=f"{name}_stop_0",
            node="a",
            resource=name,
            operation=operation(name, "stop", ""),
        )
        for number, name in ((1, "files"), (2, "mail"))
    )
    transition.begin(0, 7, "i", Graph(vertices))
    keys = "1:7:0:i", "2:7:0:i"  # action, transition, expected exit code, instance
    assert all(transition.runs("a", key) for key in keys)
    assert not transition.runs("b", keys[0])
    assert transition.on_node_lost(1, "a", {keys[1]}) == []
    assert [transition.runs("a", key) for key in keys] == [False, True]
    assert not transition.idle
