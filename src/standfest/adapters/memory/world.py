"""A world of resources without machines: what really runs where, and agents that change it.

Implements ports.agents.AgentRunner for one node in virtual time. The world keeps the truth that the
invariants are checked against; a node that crashes loses what ran on it.
"""

import heapq
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from standfest.model.operations import ExitCode, Operation
from standfest.model.time import Duration, Instant, milliseconds, seconds
from standfest.ports.agents import RunEnded, RunId

MIN_RUN_MS, MAX_RUN_MS = 2, 80
FOR_EVER: Duration = seconds(10**9)


@dataclass(frozen=True, slots=True)
class Told:
    """One notification that reached an instance: `occasion` is `pre` or `post`, `task` what for."""

    at: Instant
    node: str
    resource: str
    occasion: str
    task: str
    meta: tuple[tuple[str, str], ...]


class Mood(Enum):
    """How an agent misbehaves on one node."""

    HANGS = "hangs"
    SLOW = "slow"
    STARTS_FAIL = "starts-fail"
    STOPS_FAIL = "stops-fail"
    STARTS_LIE = "starts-lie"  # says that it runs, without starting it
    MONITORS_LIE = "monitors-lie"  # says that it does not run, though it does


SLOWNESS = 50
"""How many times longer a slow agent takes."""


@dataclass(slots=True)
class World:
    """What really runs: resource -> nodes; `promoted`: the same for the promoted role.

    shared: what may run on several nodes at once (anonymous clones); most_promoted: resource -> how
    many instances may be promoted, 1 unless it says more. broken: (node, resource) whose next start
    fails. dead: nodes without power. stops: how often something was stopped that ran. inherited:
    (resource, node, lost node) of each start that was told of a lost owner. changes: counts what
    may have changed who runs what. moods: (node, resource) -> how its agent misbehaves. acted: told
    of every run's effect. orphans: node -> what it ran when it lost its power.
    """

    shared: frozenset[str] = frozenset()
    most_promoted: Mapping[str, int] = field(default_factory=dict)
    running: dict[str, set[str]] = field(default_factory=dict)
    promoted: dict[str, set[str]] = field(default_factory=dict)
    broken: set[tuple[str, str]] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    told: list[Told] = field(default_factory=list)
    inherited: list[tuple[str, str, str]] = field(default_factory=list)
    starts: int = 0
    stops: int = 0
    changes: int = 0
    moods: dict[tuple[str, str], Mood] = field(default_factory=dict)
    acted: Callable[[str, Operation, ExitCode], None] = lambda *_: None
    orphans: dict[str, set[str]] = field(default_factory=dict)

    def on(self, resource: str) -> set[str]:
        """Return the nodes where a resource runs."""
        return self.running.setdefault(resource, set())

    def promoted_on(self, resource: str) -> set[str]:
        """Return the nodes where a resource is promoted."""
        return self.promoted.setdefault(resource, set())

    def crash(self, node: str) -> None:
        """A node loses its power: nothing runs there any more."""
        self.dead.add(node)
        self.changes += 1
        self.orphans[node] = {name for name, nodes in self.running.items() if node in nodes}
        for nodes in (*self.running.values(), *self.promoted.values()):
            nodes.discard(node)

    def kill(self, resource: str, node: str) -> None:
        """A resource's process dies by itself."""
        self.changes += 1
        self.on(resource).discard(node)
        self.promoted_on(resource).discard(node)

    def doubles(self) -> list[str]:
        """Return what runs, or is promoted, on more nodes than it may."""
        several = {
            name
            for name, nodes in self.running.items()
            if len(nodes) > 1 and name not in self.shared
        }
        several |= {
            name
            for name, nodes in self.promoted.items()
            if len(nodes) > self.most_promoted.get(name, 1)
        }
        return sorted(several)


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
        mood = self._mood(operation)
        if mood is Mood.SLOW:
            took *= SLOWNESS
        elif mood is Mood.HANGS:
            took = FOR_EVER
        heapq.heappush(self._ends, (self._now() + took, run, operation))

    def kill(self, run: RunId) -> None:
        """End a run without its effect."""
        self._killed.add(run)
        for index, (_, known, operation) in enumerate(self._ends):
            if known == run:
                self._ends[index] = (self._now(), run, operation)
                heapq.heapify(self._ends)
                return

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
                code = self._misbehave(operation)
                if code is None:
                    code = self._perform(operation)
                self._world.changes += 1
                self._world.acted(self._node, operation, code)
                ended.append(RunEnded(run, int(code)))
        return ended

    def _mood(self, operation: Operation) -> Mood | None:
        return self._world.moods.get((self._node, operation.resource))

    def _misbehave(self, operation: Operation) -> ExitCode | None:
        """Return what a misbehaving agent answers instead of doing its work."""
        match self._mood(operation), operation.task:
            case (Mood.STARTS_FAIL, "start") | (Mood.STOPS_FAIL, "stop"):
                return ExitCode.GENERIC
            case Mood.STARTS_LIE, "start":
                return ExitCode.OK
            case Mood.MONITORS_LIE, "monitor" if operation.interval:
                return ExitCode.NOT_RUNNING
            case _:
                return None

    def _perform(self, operation: Operation) -> ExitCode:
        world, node, name = self._world, self._node, operation.resource
        nodes, promoted = world.on(name), world.promoted_on(name)
        match operation.task:
            case "start":
                if (node, name) in world.broken:
                    return ExitCode.GENERIC
                world.starts += 1
                if lost := dict(operation.meta).get("lost_on"):
                    world.inherited.append((name, node, lost))
                nodes.add(node)
            case "stop":
                world.stops += node in nodes
                nodes.discard(node)
                promoted.discard(node)
            case "promote" | "demote" if node not in nodes:
                return ExitCode.NOT_RUNNING
            case "promote":
                promoted.add(node)
            case "demote":
                promoted.discard(node)
            case "migrate_to" if node in nodes:
                target = dict(operation.meta)["migrate_target"]
                if target in world.dead:
                    return ExitCode.GENERIC
                # The whole of it goes over in one instant; what is left to stop is empty.
                nodes.discard(node)
                nodes.add(target)
            case "notify":
                self._notify(operation)
            case _:
                if node in promoted:
                    return ExitCode.RUNNING_PROMOTED
                return ExitCode.OK if node in nodes else ExitCode.NOT_RUNNING
        return ExitCode.OK

    def _notify(self, operation: Operation) -> None:
        meta = dict(operation.meta)
        self._world.told.append(
            Told(
                self._now(),
                self._node,
                operation.resource,
                meta["notify_type"],
                meta["notify_operation"],
                operation.meta,
            )
        )
