"""A transition runs its graph in order, and lets go at the first surprise."""

from dataclasses import replace

from standfest.core.transition.effects import (
    Cancel,
    Execute,
    Fence,
    Finished,
    Outcome,
    Perform,
    TransitionEffect,
)
from standfest.core.transition.machine import Transition
from standfest.model.graph import Action, ActionKind, Graph
from standfest.model.operations import Agent, Operation, OperationResult, OperationStatus
from standfest.model.time import seconds

UUID = "a3b1c2d4-0000-4000-8000-00000000c0de"
AGENT = Agent("ocf", "Dummy", "heartbeat")


def operation(resource: str, task: str, interval: int = 0, expected: int = 0) -> Operation:
    return Operation(resource, AGENT, task, interval, seconds(20), expected=expected)


def act(
    number: int, resource: str, task: str, node: str = "one", inputs: tuple[int, ...] = ()
) -> Action:
    wanted = operation(resource, task, expected=7 if task == "monitor" else 0)
    key = f"{resource}_{task}_0"
    return Action(number, ActionKind.RESOURCE, task, key, node, resource, wanted, inputs)


def pseudo(number: int, key: str, *inputs: int) -> Action:
    return Action(number, ActionKind.PSEUDO, key, key, inputs=inputs)


def ended(effect: TransitionEffect, code: int = 0) -> OperationResult:
    assert isinstance(effect, Execute)
    return OperationResult(effect.operation, OperationStatus.DONE, code, 1)


def begun(*actions: Action, batch_limit: int = 0) -> tuple[Transition, list[TransitionEffect]]:
    machine = Transition(seconds(60), batch_limit=batch_limit)
    return machine, machine.begin(0, 5, UUID, Graph(actions))


def executed(effects: list[TransitionEffect]) -> list[str]:
    found = [effect for effect in effects if isinstance(effect, Execute)]
    return [f"{e.operation.task} {e.operation.resource} {e.node}" for e in found]


def outcome(effects: list[TransitionEffect]) -> Outcome | None:
    return next((e.outcome for e in effects if isinstance(e, Finished)), None)


def test_an_action_starts_when_all_its_inputs_have_succeeded_and_not_before() -> None:
    machine, first = begun(
        act(0, "a", "start"), act(1, "b", "start"), act(2, "c", "stop", "two", (0, 1))
    )
    assert executed(first) == ["start a one", "start b one"]
    assert executed(machine.on_result(1, "one", ended(first[0]))) == []
    second = machine.on_result(2, "one", ended(first[1]))
    assert executed(second) == ["stop c two"]
    last = machine.on_result(3, "two", ended(second[0]))
    assert last == [Finished(5, Outcome.COMPLETE, "")]
    assert machine.idle


def test_keys_name_action_transition_expected_code_and_instance() -> None:
    _, effects = begun(act(0, "a", "monitor"), act(1, "b", "start"))
    keys = [e.operation.key for e in effects if isinstance(e, Execute)]
    assert keys == [f"0:5:7:{UUID}", f"1:5:0:{UUID}"]


def test_milestones_pass_at_once_and_free_what_waits_for_them() -> None:
    _, effects = begun(pseudo(0, "g_start_0"), pseudo(1, "x", 0), act(2, "a", "start", "one", (1,)))
    assert executed(effects) == ["start a one"]


def test_an_empty_graph_is_complete_at_once() -> None:
    machine, effects = begun()
    assert outcome(effects) is Outcome.COMPLETE
    assert machine.idle
    assert machine.deadline() is None


def test_what_cannot_run_and_what_depends_on_it_never_starts() -> None:
    barred = replace(act(0, "a", "start"), runnable=False, reason="not fenced")
    _, effects = begun(barred, act(1, "b", "start", "one", (0,)))
    assert effects == [Finished(5, Outcome.COMPLETE, "")]


def test_an_unexpected_result_starts_nothing_more_but_waits_for_what_runs() -> None:
    machine, first = begun(
        act(0, "a", "start"), act(1, "b", "start"), act(2, "c", "start", "one", (1,))
    )
    assert machine.on_result(1, "one", ended(first[0], code=1)) == []
    assert not machine.idle
    last = machine.on_result(2, "one", ended(first[1]))
    assert executed(last) == []
    assert outcome(last) is Outcome.ABORTED
    assert last == [Finished(5, Outcome.ABORTED, "a_start_0 on one: rc 1")]


def test_a_probe_that_finds_something_running_aborts() -> None:
    machine, first = begun(act(0, "a", "monitor"))
    assert outcome(machine.on_result(1, "one", ended(first[0], code=0))) is Outcome.ABORTED


def test_a_probe_that_finds_nothing_running_is_expected() -> None:
    machine, first = begun(act(0, "a", "monitor"))
    assert outcome(machine.on_result(1, "one", ended(first[0], code=7))) is Outcome.COMPLETE


def test_results_of_other_transitions_and_nodes_are_none_of_ours() -> None:
    machine, first = begun(act(0, "a", "start"))
    result = ended(first[0])
    older = replace(result, operation=replace(result.operation, key=f"0:4:0:{UUID}"))
    assert machine.on_result(1, "one", older) == []
    assert machine.on_result(1, "two", result) == []
    assert not machine.idle


def test_a_pending_result_is_no_result() -> None:
    machine, first = begun(act(0, "a", "start"))
    pending = replace(ended(first[0]), status=OperationStatus.PENDING)
    assert machine.on_result(1, "one", pending) == []
    assert not machine.idle


def test_an_action_without_answer_fails_after_its_timeout_and_the_clusters_delay() -> None:
    machine, _ = begun(act(0, "a", "start"))
    # 20 s of the operation + 60 s of cluster_delay
    assert machine.deadline() == seconds(80)
    assert machine.on_timer(seconds(80) - 1) == []
    assert outcome(machine.on_timer(seconds(80))) is Outcome.ABORTED
    assert machine.idle


def test_an_abort_lets_running_actions_end_and_starts_no_others() -> None:
    machine, first = begun(act(0, "a", "start"), act(1, "b", "start", "one", (0,)))
    assert machine.abort(1, "standby") == []
    assert machine.on_result(2, "one", ended(first[0])) == [Finished(5, Outcome.ABORTED, "standby")]


def test_actions_on_a_lost_node_end_with_it() -> None:
    machine, first = begun(act(0, "a", "stop", "one"), act(1, "b", "stop", "two"))
    assert machine.on_node_lost(1, "one") == []
    last = machine.on_result(2, "two", ended(first[1]))
    assert last == [Finished(5, Outcome.ABORTED, "one is gone")]


def test_a_loss_that_concerns_no_action_changes_nothing() -> None:
    machine, _ = begun(act(0, "a", "stop", "one"))
    assert machine.on_node_lost(1, "two") == []
    assert not machine.idle


def test_the_coordinators_own_actions_wait_for_its_word() -> None:
    forget = Action(0, ActionKind.CLUSTER, "lrm_delete", "a_lrm_delete_0", "one", "a")
    machine, first = begun(forget, act(1, "b", "start", "one", (0,)))
    assert first == [Perform(forget)]
    assert machine.on_done(1, 7) == []
    assert executed(machine.on_done(1, 0)) == ["start b one"]


def test_a_cancel_is_sent_and_nothing_waits_for_it() -> None:
    ending = replace(act(0, "a", "cancel"), operation=operation("a", "monitor", seconds(5)))
    _, effects = begun(ending)
    assert effects == [
        Cancel("one", "a", "monitor", seconds(5)),
        Finished(5, Outcome.COMPLETE, ""),
    ]


def test_no_more_than_the_batch_limit_runs_at_once() -> None:
    machine, first = begun(*[act(i, f"r{i}", "start") for i in range(5)], batch_limit=2)
    assert executed(first) == ["start r0 one", "start r1 one"]
    assert executed(machine.on_result(1, "one", ended(first[0]))) == ["start r2 one"]


def test_a_second_transition_begins_after_the_first() -> None:
    machine, first = begun(act(0, "a", "start"))
    machine.on_result(1, "one", ended(first[0]))
    second = machine.begin(2, 6, UUID, Graph((act(0, "a", "stop"),)))
    assert [e.operation.key for e in second if isinstance(e, Execute)] == [f"0:6:0:{UUID}"]
    # An answer to the first is not one to the second, though its action has the same number.
    assert machine.on_result(3, "one", ended(first[0])) == []


def fence(number: int, node: str, how: str = "reboot") -> Action:
    key = f"stonith-{node}-{how}"
    return Action(number, ActionKind.FENCE, "stonith", key, node, how=how)


def test_recovery_waits_for_fencing_however_long_it_takes() -> None:
    machine, first = begun(
        fence(0, "two"), pseudo(1, "web_stop_0", 0), act(2, "web", "start", "one", (1,))
    )
    assert first == [Fence("two", "reboot")]
    assert machine.deadline() is None
    assert machine.on_timer(seconds(100_000)) == []
    assert machine.on_fenced(0, "one", "reboot") == []
    assert machine.on_fenced(0, "two", "on") == []
    assert machine.on_node_lost(0, "two") == []
    assert executed(machine.on_fenced(0, "two", "off")) == ["start web one"]


def test_fencing_that_failed_ends_only_what_waits_for_it() -> None:
    machine, _ = begun(
        fence(0, "two"), act(1, "web", "start", "one", (0,)), act(2, "mail", "start", "one")
    )
    assert machine.on_fencing_failed(0, "two", "reboot") == []
    assert not machine.awaits_fencing("two", "reboot")
    assert machine.on_fenced(0, "two", "reboot") == []  # by another transition, not by this one
    assert not machine.idle


def test_an_abort_does_not_wait_for_fencing() -> None:
    machine, _ = begun(fence(0, "two"), act(1, "web", "start", "one", (0,)))
    assert outcome(machine.abort(0, "news")) is Outcome.ABORTED
    assert machine.idle
