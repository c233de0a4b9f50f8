"""Ping nodes in `pulse`: carries the machine's requests to sockets, its news to log and `cluster`.

Without raw sockets (not root) every ping node counts as not reached, and the log says why.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from standfest.adapters.linux.pingsockets import PingSockets
from standfest.core.membership.pings import Echo, PingChanged, PingEffect, Reached
from standfest.model.errors import OperationError
from standfest.model.pinging import Pinging
from standfest.runtime import frames

PING, DEAD, UNKNOWN = "ping", "dead", "unknown"
"""The status of a ping node; the first two are heartbeat's words (`cl_status nodestatus`)."""


class Note(Protocol):
    """Writes an event into the log."""

    def __call__(self, level: str, event: str, **fields: object) -> None:
        """Write it."""


class PingNodes:
    """The hands of `core.membership.pings`."""

    def __init__(self, settings: Pinging, note: Note, tell: Callable[[frames.Value], None]) -> None:
        self._settings = settings
        self._note = note
        self._tell = tell
        self._states = {node.name: UNKNOWN for node in settings.nodes}
        self._picture: Reached | None = None
        self._sockets: PingSockets | None = None
        hosts = dict.fromkeys(host for node in settings.nodes for host in node.hosts)
        try:
            self._sockets = PingSockets(hosts) if hosts else None
        except OperationError as error:
            note("error", "cannot-ping", why=str(error))

    def descriptors(self) -> list[tuple[int, int]]:
        """Return (IP version, descriptor) to wait for."""
        return self._sockets.descriptors() if self._sockets is not None else []

    def receive(self, version: int) -> Iterator[tuple[str, int]]:
        """Yield (host, sequence) of the answers that have arrived, a bounded number."""
        return self._sockets.receive(version) if self._sockets is not None else iter(())

    def perform(self, effects: list[PingEffect]) -> None:
        """Do what the machine wants."""
        for effect in effects:
            match effect:
                case Echo(host, sequence):
                    if self._sockets is not None:
                        self._sockets.send(host, sequence)
                case PingChanged(node, reached):
                    status = PING if reached else DEAD
                    self._states[node] = status
                    level = "info" if reached else "warning"
                    self._note(level, "ping-node", node=node, status=status)
                case Reached():
                    self._picture = effect
                    self.tell_all()

    def tell_all(self) -> None:
        """Tell `cluster` which ping nodes are reached, once that is known of all."""
        if self._picture is not None:
            self._tell(frames.Pings(self._picture.reached, self._picture.lost))

    def report(self) -> list[dict[str, object]]:
        """Return the ping nodes as plain JSON values, in the order of ha.cf."""
        return [
            {
                "name": node.name,
                "type": "ping",
                "status": self._states[node.name],
                "hosts": list(node.hosts),
            }
            for node in self._settings.nodes
        ]
