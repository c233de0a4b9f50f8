"""Connections of a data plane that is the kernel's connection tracking. Implements FlowTable."""

from collections.abc import Callable, Iterable, Sequence

from standfest.adapters.linux.conntrack import Conntrack, FlowEvents
from standfest.model.flows import Flow, FlowKey
from standfest.model.time import Duration
from standfest.ports.flows import Changes


class TrackedFlows:
    """is_ours: whether the balancer made a tracked connection. find_mark: FlowTable's `mark_of`."""

    look_every: Duration | None = None

    def __init__(self, is_ours: Callable[[Flow], bool], find_mark: Callable[[Flow], int]) -> None:
        self._is_ours, self._find_mark = is_ours, find_mark
        self._table = Conntrack()
        self._events: FlowEvents | None = None

    def begin(self) -> Iterable[Flow]:
        """Watch first, then read: what changes meanwhile is seen twice."""
        self.end()
        self._events = FlowEvents()
        return filter(self._is_ours, self._table.flows())

    def fileno(self) -> int | None:
        """Return the descriptor of the kernel's events."""
        return self._events.fileno() if self._events is not None else None

    def changes(self) -> Changes:
        """Return what the kernel's events say; incomplete when it had more than could be read."""
        assert self._events is not None, "begun before"
        changed, ended = self._events.read()
        return Changes([f for f in changed if self._is_ours(f)], ended, not self._events.overrun)

    def end(self) -> None:
        """Watch no more."""
        if self._events is not None:
            self._events.close()
            self._events = None

    def mark_of(self, flow: Flow) -> int:
        """Return our mark of a told connection's server, 0 if there is none."""
        return self._find_mark(flow)

    def put(self, flows: Sequence[Flow], lease_s: int | None) -> int:
        """Make or renew entries; one that the kernel refuses stops no other."""
        return self._table.put(flows, lease_s)

    def delete(self, keys: Sequence[FlowKey]) -> None:
        """Delete entries."""
        self._table.delete(keys)

    def close(self) -> None:
        """Close both sockets."""
        self.end()
        self._table.close()
