"""What `pulse` says of this node itself: its carriers, and which ping nodes it reaches.

Kept by the member, so that each new coordinator hears it.
"""

from standfest.model.pinging import Pinging
from standfest.runtime.cluster import protocol
from standfest.runtime.cluster.effects import MemberEffect, Send

Effects = list[MemberEffect]


class Conditions:
    """down: devices without carrier; reached, lost: ping nodes, both empty until known."""

    def __init__(self, settings: Pinging) -> None:
        self._settings = settings
        self.down: tuple[str, ...] = ()
        self.reached: tuple[str, ...] = ()
        self.lost: tuple[str, ...] = ()

    def links(self, leader: str) -> Effects:
        """Tell the coordinator, while there is one, which devices have no carrier."""
        return [Send(leader, protocol.Links(self.down))] if leader else []

    def reach(self, leader: str) -> Effects:
        """Tell the coordinator, while there is one, this node's number, if it has ping nodes."""
        if not leader or not self._settings.nodes:
            return []
        known = bool(self.reached or self.lost)
        number = self._settings.value(self.reached) if known else None
        return [Send(leader, protocol.Reachable(number))]

    def pings(self) -> tuple[tuple[str, str], ...]:
        """Return each ping node's name and status, in the order of ha.cf, in heartbeat's words."""
        words = {**dict.fromkeys(self.reached, "ping"), **dict.fromkeys(self.lost, "dead")}
        return tuple((n.name, words.get(n.name, "unknown")) for n in self._settings.nodes)
