"""Ping nodes: machines outside that answer pings, and what a node does with who answers."""

from dataclasses import dataclass

from standfest.model.time import Duration, seconds

ATTRIBUTE = "pingd"
MULTIPLIER = 100
"""What one reached ping node counts in the attribute, where ha.cf has no line for `pingd`."""

DAMPENING_ECHOES = 3
"""The default dampening in intervals: members hear of the same death one interval apart, one more
when a reply was lost, and the third is for the way to the coordinator."""


@dataclass(frozen=True, slots=True)
class PingNode:
    """One ping node, or a group: reached while one of its hosts is. hosts: literal addresses."""

    name: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pinging:
    """What ha.cf says of ping nodes; durations in ns.

    interval: between two echo requests to a host; deadping: after so long without a reply a host
    counts as not reached; attribute, multiplier: of the transient node attribute, so much for each
    ping node; counted: the names that count in it, all when empty; dampen: how long the coordinator
    waits for the others' numbers before it writes a change; ipfail: whether resources prefer the
    nodes with the highest number.
    """

    nodes: tuple[PingNode, ...] = ()
    interval: Duration = seconds(1)
    deadping: Duration = seconds(30)
    attribute: str = ATTRIBUTE
    multiplier: int = MULTIPLIER
    counted: tuple[str, ...] = ()
    dampen: Duration = seconds(3)
    ipfail: bool = False

    def value(self, reached: tuple[str, ...]) -> int:
        """Return what the attribute is on a node that reaches these ping nodes."""
        counts = self.counted or tuple(node.name for node in self.nodes)
        return self.multiplier * len(set(reached) & set(counts))
