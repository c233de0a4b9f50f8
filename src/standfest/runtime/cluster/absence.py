"""Nodes that are heard, but whose cluster daemons take no part (yet): how long they may."""

from standfest.core.cib.changes import Change, SetNodeState, SetTransientAttribute
from standfest.core.scheduler.caution import AWAY, BRIEFLY
from standfest.model.status import Join
from standfest.model.time import Duration, Instant, earliest
from standfest.runtime.cluster.ledger import Ledger
from standfest.runtime.cluster.settings import ABSENCE_PATIENCE, ARRIVAL_PATIENCE


class Absence:
    """One term's waiting for daemons. With fencing their nodes are fenced when it is over."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._until: dict[str, Instant] = {}

    @property
    def fences(self) -> bool:
        """Return whether nodes are fenced here."""
        return self._ledger.configuration().options.stonith_enabled

    @property
    def arrival(self) -> Duration:
        """Return how long a node that has just been heard may take: it may wait for another one."""
        return max(ARRIVAL_PATIENCE, self._ledger.settings.initdead + ABSENCE_PATIENCE)

    def expected(self, node: str) -> bool:
        """Return whether a node that does not take part is missed, and to be fenced one day.

        Not one that has left in order, or was fenced, until it joins again.
        """
        known = self._ledger.replica.cib.status.node(node)
        return known is None or known.expected or not self.fences

    def away(self, now: Instant, node: str, patience: Duration) -> tuple[Change, ...]:
        """Return what is to be stated of a node that is heard, but takes no part (yet).

        With fencing it would be fenced, so its daemon gets time to come (back).
        """
        mark = "true"
        if self.fences:
            self._until[node] = now + patience
            mark = BRIEFLY
        return (
            SetNodeState(node, True, False, Join.PENDING, self.expected(node)),
            SetTransientAttribute(node, AWAY, mark),
        )

    def begin(self, now: Instant, node: str, patience: Duration | None = None) -> None:
        """Wait for a node, anew for so long; without patience as for one that is just heard."""
        if patience is not None:
            self._until[node] = now + patience
        else:
            self._until.setdefault(node, now + self.arrival)

    def over(self, node: str) -> None:
        """Wait no longer."""
        self._until.pop(node, None)

    def missed(self, now: Instant) -> list[str]:
        """Return whom nobody waits for any longer, in the order in which that was decided."""
        late = [node for node, at in self._until.items() if at <= now]
        for node in late:
            del self._until[node]
        return late

    def deadline(self) -> Instant | None:
        """Return when somebody is missed."""
        return earliest(*self._until.values())
