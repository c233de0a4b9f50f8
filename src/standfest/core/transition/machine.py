"""Runs a transition graph: every action as soon as all its inputs have succeeded.

A machine without I/O. Whatever comes unexpected aborts it: what runs may end, nothing else is
started, and the coordinator schedules anew. Fencing, which may take long, is not waited for then:
it goes on by itself, and the next transition joins it.
Source: facts/formats/SCHEDULER-SPEC.md section 12.
"""

from collections.abc import Collection
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
from standfest.model.graph import Action, ActionKind, Graph
from standfest.model.operations import OperationResult, OperationStatus
from standfest.model.time import Duration, Instant, earliest

Effects = list[TransitionEffect]


class Transition:
    """One after the other; `cluster_delay` is what a round trip may take beyond timeouts.

    batch_limit: how many actions may run at once, 0 for any number.
    """

    def __init__(self, cluster_delay: Duration, *, batch_limit: int = 0) -> None:
        self._cluster_delay = cluster_delay
        self._batch_limit = batch_limit
        self._number = 0
        self._instance = ""
        self._waiting: dict[int, Action] = {}
        self._running: dict[int, tuple[Action, Instant | None]] = {}
        self._done: set[int] = set()
        self._abort = ""
        self._active = False

    @property
    def idle(self) -> bool:
        """Return whether a new transition may begin."""
        return not self._active

    def deadline(self) -> Instant | None:
        """Return when an action has taken too long."""
        return earliest(*(until for _, until in self._running.values()))

    def begin(self, now: Instant, number: int, instance: str, graph: Graph) -> Effects:
        """Begin a transition; instance: 36 characters that end every key."""
        assert self.idle, "one transition at a time"
        self._number = number
        self._instance = instance
        self._waiting = {action.id: action for action in graph.actions if action.runnable}
        self._running.clear()
        self._done.clear()
        self._abort = ""
        self._active = True
        return self._advance(now)

    def on_result(self, now: Instant, node: str, result: OperationResult) -> Effects:
        """An operation ended somewhere; results of other transitions are none of ours."""
        for number, (action, _) in list(self._running.items()):
            operation = action.operation
            if action.node == node and operation and self._key(action) == result.operation.key:
                if result.status is OperationStatus.PENDING:
                    return []
                del self._running[number]
                if result.succeeded or operation.task == "notify":  # nobody judges those
                    self._done.add(number)
                else:
                    self._give_up(f"{action.key} on {node}: rc {result.exit_code}")
                return self._advance(now)
        return []

    def on_done(self, now: Instant, action_id: int) -> Effects:
        """A CLUSTER action is done."""
        if self._running.pop(action_id, None) is None:
            return []
        self._done.add(action_id)
        return self._advance(now)

    def awaits_fencing(self, node: str, how: str) -> bool:
        """Return whether something here waits for this node to be fenced."""
        return bool(self._fences(node, how))

    def on_fenced(self, now: Instant, node: str, how: str) -> Effects:
        """A node is fenced: what waited for it may go on. `reboot` and `off` are alike here."""
        for number in self._fences(node, how):
            del self._running[number]
            self._done.add(number)
        return self._advance(now)

    def on_fencing_failed(self, now: Instant, node: str, how: str) -> Effects:
        """Nothing waits any longer for this: what comes after it is not begun, all else is."""
        for number in self._fences(node, how):
            del self._running[number]
        return self._advance(now)

    def _fences(self, node: str, how: str) -> list[int]:
        return [
            number
            for number, (action, _) in self._running.items()
            if action.kind is ActionKind.FENCE
            and action.node == node
            and (action.how == "on") == (how == "on")
        ]

    def runs(self, node: str, key: str) -> bool:
        """Return whether an operation with this key is under way on a node for this transition."""
        return any(
            action.node == node and action.operation is not None and self._key(action) == key
            for action, _ in self._running.values()
        )

    def on_node_lost(
        self, now: Instant, node: str, still: Collection[str] = frozenset()
    ) -> Effects:
        """Nothing will come back from this node, but of operations with the keys in `still`."""
        lost = [
            number
            for number, (action, _) in self._running.items()
            if action.node == node and action.kind is not ActionKind.FENCE
            if action.operation is None or self._key(action) not in still
        ]
        for number in lost:
            del self._running[number]
        if lost:
            self._give_up(f"{node} is gone")
        return self._advance(now)

    def abort(self, now: Instant, reason: str) -> Effects:
        """Start nothing more; the transition is finished when what runs has ended."""
        self._give_up(reason)
        return self._advance(now)

    def on_timer(self, now: Instant) -> Effects:
        """Give up what has taken longer than its timeout and the cluster's delay."""
        late = [
            number
            for number, (_, until) in self._running.items()
            if until is not None and until <= now
        ]
        for number in late:
            action, _ = self._running.pop(number)
            self._give_up(f"{action.key} on {action.node}: no answer")
        return self._advance(now) if late else []

    def _give_up(self, reason: str) -> None:
        self._abort = self._abort or reason
        self._running = {
            number: running
            for number, running in self._running.items()
            if running[0].kind is not ActionKind.FENCE
        }

    def _advance(self, now: Instant) -> Effects:
        """Start what can start; pseudo actions succeed at once and may free others."""
        effects: Effects = []
        if not self._active:
            return effects
        progress = not self._abort
        while progress:
            progress = False
            for number, action in list(self._waiting.items()):
                if not self._done.issuperset(action.inputs) or self._full(action):
                    continue
                del self._waiting[number]
                progress = True
                effects += self._start(now, action)
        if not self._running:
            self._active = False
            outcome = Outcome.ABORTED if self._abort else Outcome.COMPLETE
            effects.append(Finished(self._number, outcome, self._abort))
        return effects

    def _full(self, action: Action) -> bool:
        limited = self._batch_limit and action.kind is not ActionKind.PSEUDO
        return bool(limited) and len(self._running) >= self._batch_limit

    def _start(self, now: Instant, action: Action) -> Effects:
        if action.kind is ActionKind.PSEUDO:
            self._done.add(action.id)
            return []
        operation = action.operation
        timeout = operation.timeout + operation.start_delay if operation else 0
        if action.task == "cancel":
            assert operation is not None, "a cancel names the operation that it cancels"
            self._done.add(action.id)  # nothing waits for a monitor to end
            return [Cancel(action.node, action.resource, operation.task, operation.interval)]
        if action.kind is ActionKind.FENCE:
            self._running[action.id] = (action, None)
            return [Fence(action.node, action.how)]
        self._running[action.id] = (action, now + timeout + self._cluster_delay)
        if action.kind is ActionKind.CLUSTER:
            return [Perform(action)]
        assert operation is not None, "a resource action has an operation"
        return [Execute(action.id, action.node, replace(operation, key=self._key(action)))]

    def _key(self, action: Action) -> str:
        assert action.operation is not None, "only operations have keys"
        expected = int(action.operation.expected)
        return f"{action.id}:{self._number}:{expected}:{self._instance}"
