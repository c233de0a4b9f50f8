"""What a simulation tells whoever watches it, as it happens; watching changes nothing."""

from standfest.core.membership.effects import Deliver, MembershipEffect
from standfest.model.operations import ExitCode, Operation
from standfest.model.time import Instant
from standfest.runtime.cluster.effects import MemberEffect
from standfest.runtime.cluster.protocol import Request
from standfest.sim.network import Arrival
from standfest.sim.node import SimNode


class Observer:
    """Every method does nothing: a watcher overrides what it wants to hear.

    replays: whether every kept input of the scheduler shall be decided again (slow).
    """

    replays = True

    def powered(self, now: Instant, node: SimNode) -> None:
        """A node's daemons are about to start."""

    def crashed(self, now: Instant, node: SimNode) -> None:
        """A node has lost its power."""

    def left(self, now: Instant, node: SimNode) -> None:
        """A node has left in order."""

    def daemon_died(self, now: Instant, node: SimNode) -> None:
        """A node's cluster daemon has ended."""

    def daemon_started(self, now: Instant, node: SimNode) -> None:
        """A node's cluster daemon has read its disk and begins."""

    def pulse_started(self, now: Instant, node: SimNode) -> None:
        """A node's `pulse` begins."""

    def pulsed(self, now: Instant, node: SimNode, effect: MembershipEffect) -> None:
        """`pulse` wanted something other than to transmit; it has been done."""

    def delivered(self, now: Instant, node: SimNode, effect: Deliver) -> None:
        """`pulse` is about to hand over a payload."""

    def wanted(self, now: Instant, node: SimNode, effect: MemberEffect) -> None:
        """A cluster daemon wants something; it is about to be done."""

    def fenced(self, now: Instant, node: str) -> None:
        """A node was switched off by its fence device."""

    def submitted(self, now: Instant, node: SimNode, destination: str | None, data: bytes) -> None:
        """A payload is about to be given to a node's `pulse`."""

    def arrived(self, now: Instant, node: SimNode, arrival: Arrival) -> None:
        """A datagram is about to be read by a node's `pulse`."""

    def asked(self, now: Instant, node: SimNode, client: int, request: Request) -> None:
        """An administrator is about to ask a node for something."""

    def acted(self, now: Instant, node: str, operation: Operation, code: ExitCode) -> None:
        """An agent's run has had its effect on the world."""

    def damaged(self, now: Instant, node: SimNode, arrival: Arrival) -> None:
        """A damaged datagram arrived."""
