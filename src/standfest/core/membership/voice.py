"""How one node speaks: its own fields, then the common ones, numbered and kept for repetition.

Source: facts/HEARTBEAT-WIRE.md sections 3 and 5.
"""

from standfest.core.membership.effects import Transmit
from standfest.core.membership.sender import Sender
from standfest.model.message import FieldValue, Message
from standfest.model.time import Instant

Fields = tuple[tuple[str, FieldValue], ...]


class Voice:
    """One node's stream of messages; load: /proc/loadavg's line, ttl: hops on a serial ring."""

    def __init__(self, name: str, uuid: bytes, generation: int, ttl: int) -> None:
        self.load = "0.00 0.00 0.00 1/1 1"
        self.ttl = ttl
        self._origin: Fields = (("src", name), ("srcuuid", uuid))
        self._generation = f"{generation:x}"
        self._sender = Sender()

    def numbered(self, wall: int, own: Fields, destination: str | None = None) -> Transmit:
        """Return a message of our stream; kept, so that it can be sent again as it was."""
        number = self._sender.number()
        address: Fields = (("dest", destination),) if destination else ()
        message = Message(
            (
                *own,
                *address,
                *self._origin,
                ("seq", f"{number:x}"),
                ("hg", self._generation),
                ("ts", f"{wall:x}"),
                ("ld", self.load),
                ("ttl", str(self.ttl)),
            )
        )
        self._sender.keep(number, message)
        return Transmit(message)

    def nodes(
        self, wall: int, nodes: tuple[str, ...], removed: tuple[str, ...], destination: str
    ) -> Transmit:
        """Return who belongs to the cluster and who was removed, for one node."""
        lists = [("".join(f"{node} " for node in names) or " ") for names in (nodes, removed)]
        own: Fields = (("dest", destination), ("t", "repnodes"))
        return self.numbered(wall, (*own, ("nodelist", lists[0]), ("delnodelist", lists[1])))

    def control(self, wall: int, own: Fields) -> Transmit:
        """Return a message outside the stream; nobody asks for it again."""
        tail: Fields = (("hg", self._generation), ("ts", f"{wall:x}"), ("ttl", str(self.ttl)))
        return Transmit(Message((*own, *self._origin, *tail)))

    def again(self, now: Instant, wall: int, node: str, first: int, last: int) -> list[Transmit]:
        """Return what a node asks for once more, or that we no longer have it."""
        found, lost = self._sender.again(now, first, last)
        answers = [Transmit(message) for message in found]
        for number in lost:
            own: Fields = (
                ("t", "NS_nak_rexmit"),
                ("firstseq", f"{number:x}"),
                ("dest", node),
                ("info", "no longer kept"),
            )
            answers.append(self.control(wall, own))
        return answers
