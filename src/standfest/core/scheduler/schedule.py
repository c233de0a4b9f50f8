"""The policy engine: configuration and status in, a transition graph out.

Pure and deterministic; everything is computed anew each time, the only memory is the CIB. The list
of stages in `schedule` is the table of contents. Source: facts/formats/SCHEDULER-SPEC.md.
"""

from dataclasses import dataclass

from standfest.core.scheduler.act import act, withheld
from standfest.core.scheduler.allocate import Placements, allocate
from standfest.core.scheduler.graph import GraphBuilder
from standfest.core.scheduler.score import base_scores
from standfest.core.scheduler.unpack import Situation, members_of, unpack
from standfest.model.configuration import Configuration
from standfest.model.graph import Graph
from standfest.model.status import Status
from standfest.model.time import NANOSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Schedule:
    """What must be done, and where everything belongs.

    placements: (primitive, node name or "") in document order; notes: what was left out and why;
    recheck_at: when, in seconds since 1970, the passing of time alone will change the outcome.
    """

    graph: Graph
    placements: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    recheck_at: int | None


def schedule(configuration: Configuration, status: Status, now: int) -> Schedule:
    """Return the transition that brings the cluster where it belongs; `now` in s since 1970."""
    situation = unpack(configuration, status, now)
    table = base_scores(situation)
    placements = withheld(situation, allocate(situation, table))
    decisions = act(situation, placements)
    graph = GraphBuilder(situation, decisions).build()
    held = [f"{name}: {d.held}" for name, d in decisions.items() if d.held]
    notes = (*situation.notes, *held)
    return Schedule(graph, _named(situation, placements), notes, _recheck(situation))


def _named(situation: Situation, placements: Placements) -> tuple[tuple[str, str], ...]:
    found = []
    for unit in situation.units:
        for primitive in members_of(unit):
            index = placements[primitive.id]
            found.append((primitive.id, "" if index is None else situation.nodes[index].name))
    return tuple(found)


def _recheck(situation: Situation) -> int | None:
    """Return when the next failure expires, or None."""
    moments: list[int] = []
    for primitive in situation.configuration.primitives():
        timeout = primitive.options.failure_timeout // NANOSECONDS_PER_SECOND
        if not timeout:
            continue
        for state in situation.status.nodes:
            for name, value in state.attributes:
                if name.startswith(f"last-failure-{primitive.id}#") and value.isdigit():
                    expiry = int(value) + timeout + 1
                    if expiry > situation.now:
                        moments.append(expiry)
    return min(moments, default=None)
