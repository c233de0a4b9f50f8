"""The whole engine for a coordinator: a situation in, a transition that can be run out.

Pure and deterministic; everything is computed anew each time, the only memory is the CIB.
`engine.STAGES` is the table of contents. Source: facts/formats/SCHEDULER-SPEC.md.
"""

from dataclasses import dataclass

from standfest.core.scheduler import outcome
from standfest.core.scheduler.engine import decide
from standfest.core.scheduler.graph import graph
from standfest.model.element import Element
from standfest.model.graph import ActionKind, Graph
from standfest.model.history import Recorded


@dataclass(frozen=True, slots=True)
class Schedule:
    """What must be done.

    events: what happens to resources and nodes, as administrators see it; notes: what was ignored
    and why; recheck_at: when, in seconds since 1970, the passing of time alone may change the
    outcome.
    """

    graph: Graph
    events: tuple[outcome.Event, ...]
    notes: tuple[str, ...]
    recheck_at: int | None

    @property
    def steps(self) -> tuple[str, ...]:
        """Return the transition in short; see `steps_of`."""
        return steps_of(self.graph)


def steps_of(graph: Graph) -> tuple[str, ...]:
    """Return what agents, fencer and coordinator are to do, `KEY NODE` each, sorted."""
    return tuple(
        sorted(
            f"{action.task} {action.key} {action.node}"
            if action.task == "cancel"
            else f"{action.key} {action.node}"
            for action in graph.actions
            if action.kind is not ActionKind.PSEUDO
        )
    )


def schedule(configuration: Element, recorded: Recorded, now: int) -> Schedule:
    """Return the transition that brings the cluster where it belongs; `now` in s since 1970.

    configuration: a <configuration> in the current dialect.
    """
    cluster = decide(configuration, recorded, now)
    assert cluster.reader is not None, "unpack sets it"
    return Schedule(
        graph(cluster, cluster.reader),
        tuple(outcome.events(cluster)),
        tuple(cluster.notes),
        cluster.recheck_at,
    )
