"""A world of resources without machines: what really runs where, and agents that change it.

Implements ports.agents.AgentRunner for one node in virtual time. The world keeps the truth that the
invariants are checked against; a node that crashes loses what ran on it.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from standfest.model.operations import ExitCode, Operation
from standfest.model.time import Duration, Instant, milliseconds
from standfest.ports.agents import RunEnded, RunId

MIN_RUN_MS, MAX_RUN_MS = 2, 80


@dataclass(slots=True)
class World:
    """What really runs: resource -> nodes. `broken` are (node, resource) whose next start fails."""

    running: dict[str, set[str]] = field(default_factory=dict)
    broken: set[tuple[str, str]] = field(default_factory=set)
    starts: int = 0

    def on(self, resource: str) -> set[str]:
        """Return the nodes where a resource runs."""
        return self.running.setdefault(resource, set())

    def crash(self, node: str) -> None:
        """A node loses its power: nothing runs there any more."""
        for nodes in self.running.values():
            nodes.discard(node)

    def kill(self, resource: str, node: str) -> None:
        """A resource's process dies by itself."""
        self.on(resource).discard(node)

    def doubles(self) -> list[str]:
        """Return the resources that run on more than one node."""
        return sorted(name for name, nodes in self.running.items() if len(nodes) > 1)


class MemoryAgentRunner:
    """Agents of one node, each taking a few milliseconds of virtual time."""

    def __init__(
        self, node: str, world: World, source: random.Random, now: Callable[[], Instant]
    ) -> None:
        self._node = node
        self._world = world
        self._source = source
        self._now = now
        self._ends: list[tuple[Instant, RunId, Operation]] = []
        self._killed: set[RunId] = set()

    def start(self, run: RunId, operation: Operation) -> None:
        """Begin a run; its effect takes place when it ends."""
        took: Duration = milliseconds(self._source.randint(MIN_RUN_MS, MAX_RUN_MS))
        heapq.heappush(self._ends, (self._now() + took, run, operation))

    def kill(self, run: RunId) -> None:
        """End a run without its effect."""
        self._killed.add(run)

    def deadline(self) -> Instant | None:
        """Return when the next run ends."""
        return self._ends[0][0] if self._ends else None

    def poll(self) -> list[RunEnded]:
        """Return the runs that have ended by now, their effects done."""
        ended: list[RunEnded] = []
        while self._ends and self._ends[0][0] <= self._now():
            _, run, operation = heapq.heappop(self._ends)
            if run in self._killed:
                ended.append(RunEnded(run, int(ExitCode.GENERIC), "killed", killed=True))
            else:
                ended.append(RunEnded(run, int(self._perform(operation))))
        return ended

    def _perform(self, operation: Operation) -> ExitCode:
        nodes = self._world.on(operation.resource)
        match operation.task:
            case "start":
                if (self._node, operation.resource) in self._world.broken:
                    return ExitCode.GENERIC
                self._world.starts += 1
                nodes.add(self._node)
                return ExitCode.OK
            case "stop":
                nodes.discard(self._node)
                return ExitCode.OK
            case _:
                return ExitCode.OK if self._node in nodes else ExitCode.NOT_RUNNING
