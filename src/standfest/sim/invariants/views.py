"""Members are those that all hear each other (docs/adr/0036), checked on what really arrived."""

from standfest.core.membership import effects as membership
from standfest.core.membership.peer import ALIVE
from standfest.model.configuration import Configuration
from standfest.model.time import Duration, Instant, in_seconds, seconds
from standfest.runtime.cluster import effects, protocol
from standfest.sim.invariants.base import Invariant
from standfest.sim.network import Arrival
from standfest.sim.node import SimNode
from standfest.sim.scene import Scene

SAID: Duration = seconds(2)
"""How long statements of who hears whom may be on their way, some of them lost."""


class HearEachOther(Invariant):
    """Who hears both halves of a divided cluster must choose one of them."""

    name = "hear-each-other"
    promise = (
        "nothing starts on the word of a coordinator that has heard two members, "
        "one of them silent to the other, for more than three deadtimes"
    )

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        super().__init__(scene, configuration)
        self._arrived: dict[tuple[str, str], Instant] = {}
        self._heard: dict[tuple[str, str], Instant] = {}

    def powered(self, now: Instant, node: SimNode) -> None:
        """All that was before counts for nothing."""
        for other in self.sim.nodes.keys() - {node.name}:
            self._arrived[other, node.name] = self._arrived[node.name, other] = now

    def pulse_started(self, now: Instant, node: SimNode) -> None:
        """A new process has heard nobody, and waits for all of them anew."""
        self.powered(now, node)

    def arrived(self, now: Instant, node: SimNode, arrival: Arrival) -> None:
        """Remember when anything came from whom."""
        self._arrived[arrival.message.head.source or "", node.name] = now

    def pulsed(self, now: Instant, node: SimNode, effect: membership.MembershipEffect) -> None:
        """Remember who came when: two that nobody heard before contradict nothing until then."""
        if isinstance(effect, membership.NodeChanged) and effect.state in ALIVE:
            self._heard[node.name, effect.node] = now

    def wanted(self, now: Instant, node: SimNode, effect: effects.MemberEffect) -> None:
        """Look at every order to start."""
        if not isinstance(effect, effects.Send) or node.member is None:
            return
        message, coordinator = effect.message, node.member.coordinator
        if not isinstance(message, protocol.Execute) or coordinator is None:
            return
        if message.operation.task in {"start", "promote"}:
            self._look(now, node.name, coordinator.ledger.joined, message.operation.resource)

    def _look(self, now: Instant, leader: str, joined: set[str], resource: str) -> None:
        """Look at all pairs of members; who stood still, or whose other one did, may be late."""
        bound = 3 * self.scene.deadtime + SAID
        since = {name: self._heard.get((leader, name), 0) for name in joined}
        for (sender, receiver), last in self._arrived.items():
            if now - last <= bound or sender not in joined or receiver not in joined:
                continue
            silent = now - max(last, since[sender], since[receiver])
            stood = sum(self.sim.stood_still(name, silent) for name in (sender, receiver))
            if silent > bound + stood:
                raise self.broken(
                    f"{leader} has {resource} started, with {receiver}, which has not heard "
                    f"{sender} for {in_seconds(silent):.1f} s"
                )
