"""What a node gives up when it stood still: first of all the addresses that it answers for.

Others may answer for them by now. Everything else is stopped in the order that the configuration
asks for, which takes longer.
"""

from standfest.core.executor.machine import Executor
from standfest.model.configuration import Configuration
from standfest.model.operations import Operation
from standfest.model.status import Join, NodeState
from standfest.model.time import Duration, Instant
from standfest.runtime.cluster import inputs
from standfest.runtime.cluster.effects import MemberEffect, Note
from standfest.runtime.cluster.links import ADDRESS_TYPES
from standfest.runtime.cluster.translate import executed

RESTING = "resting"
"""What a coordinator notes when nothing is left to do."""


class Surrender:
    """One node's giving up after a pause. until: when it takes too long; slept: for how long."""

    def __init__(self, node: str, executor: Executor, until: Instant, slept: Duration) -> None:
        self.until = until
        self.slept = slept
        self._node = node
        self._executor = executor

    def begin(self, now: Instant, wall: int, configuration: Configuration) -> list[MemberEffect]:
        """Forget what waits to be started, and stop every address that the cluster may touch.

        With the parameters of its last operation: what runs was started with those.
        """
        self._executor.drop_waiting()
        state = self._state()
        addresses = {
            primitive.id: primitive
            for primitive in configuration.primitives()
            if primitive.agent.type.lower() in ADDRESS_TYPES
        }
        effects: list[MemberEffect] = []
        for name in inputs.running(configuration, state):
            primitive = addresses.get(name.partition(":")[0])
            if primitive is None:
                continue
            entry = next((op for op in primitive.operations if op.name == "stop"), None)
            timeout = entry.timeout if entry is not None else primitive.default_timeout
            last = state.of(name)[-1].operation
            stop = Operation(name, last.agent, "stop", 0, timeout, last.parameters, last.meta)
            effects += executed(self._node, "", self._executor.execute(now, wall, stop))
        return effects

    def over(self, now: Instant, configuration: Configuration, effects: list[MemberEffect]) -> bool:
        """Return whether nothing that was owned is left, or it takes too long; effects: of now."""
        if self.until <= now:
            return True
        resting = any(isinstance(e, Note) and e.event == RESTING for e in effects)
        return resting and not inputs.running(configuration, self._state())

    def _state(self) -> NodeState:
        """Return this node's state as its own executor knows it."""
        return NodeState(self._node, True, True, Join.MEMBER, True, self._executor.history())
