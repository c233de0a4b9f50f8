"""What a cluster daemon must know besides the CIB."""

from dataclasses import dataclass

from standfest.model.time import Duration, seconds

JOIN_TIMEOUT: Duration = seconds(3)
"""How long a new coordinator waits for the members' histories before it acts without them."""


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """One node's view of the installation.

    nodes: all configured node names, sorted; instance: 36 characters that end the transition keys,
    drawn at the daemon's start; initdead: how long a node that had no carrier at all waits for the
    others when its cables are back.
    """

    name: str
    nodes: tuple[str, ...]
    instance: str
    initdead: Duration = seconds(10)

    def quorate(self, present: int) -> bool:
        """Return whether `present` of the configured nodes are a majority."""
        return 2 * present > len(self.nodes)
