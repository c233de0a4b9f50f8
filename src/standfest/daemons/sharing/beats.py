"""Beats on the shared interface: signed datagrams, by broadcast or to each member's address."""

import contextlib
import socket
from collections import Counter
from collections.abc import Iterator

from standfest.adapters.linux.media import ETHERTYPE_IPV4, Media, broadcast_packets
from standfest.daemons.sharing.reading import Task
from standfest.model.errors import OperationError, WireError
from standfest.model.settings import HeartbeatSettings, Ucast
from standfest.model.sharing import Beat
from standfest.wire import sharing


class Beats:
    """The sockets of one member.

    Broadcast as on a service link (docs/adr/0004): the interface may have no address but the shared
    ones, which nobody can be heard from.
    """

    def __init__(self, task: Task) -> None:
        """Open the sockets; raises OperationError."""
        file = task.file
        self._interface, self._port = file.shared.interface, file.port
        self.refused: Counter[str] = Counter()
        self.received = 0
        try:
            self._index = socket.if_nametoindex(self._interface)
            targets = tuple(Ucast(self._interface, address) for address in file.heartbeats)
            self._media = Media(HeartbeatSettings(file.names, targets, udpport=file.port))
        except OSError as error:
            raise OperationError(f"{self._interface}: {error.strerror}") from error
        if not targets and not self._media.add_service_link(self._interface):
            raise OperationError(f"{self._interface}: cannot broadcast beats; expected to be root")
        self.use(task)

    def use(self, task: Task) -> None:
        """Sign and verify with these keys from now on."""
        self._name, self._keyring = task.file.shared.name, task.keyring
        self._mac = task.file.shared.mac

    def descriptors(self) -> Iterator[int]:
        """Yield the descriptors to wait for."""
        for _, fileno in self._media.descriptors():
            yield fileno

    def send(self, beat: Beat | sharing.Errand) -> bool:
        """Send to all members; return whether it left the machine by any way."""
        datagram = sharing.encode(beat, self._name, self._keyring)
        left = False
        for outlet in self._media.outlets():
            try:
                outlet.transmit(datagram)
            except OSError:
                outlet.failed += 1
            else:
                outlet.sent += 1
                left = True
        return left

    def send_to_mac(self, errand: sharing.Errand) -> None:
        """Send a broadcast to whoever hears the shared MAC, and nobody else."""
        datagram = sharing.encode(errand, self._name, self._keyring)
        target = (self._interface, ETHERTYPE_IPV4, 0, 0, self._mac)
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as packets,
        ):
            for packet in broadcast_packets(datagram, self._port):
                packets.sendto(packet, target)

    def receive(self) -> Beat | sharing.Errand | None:
        """Return what has arrived, or None when that is nothing of ours; counts why."""
        datagram = self._media.receive(self._interface)
        if datagram is None:
            return None
        self.received += 1
        try:
            return sharing.decode(datagram, self._name, self._keyring)
        except WireError as error:
            self.refused[error.reason] += 1
            return None

    def is_another_interface(self) -> bool:
        """Return whether the interface has gone, or is a new one of the same name."""
        try:
            return socket.if_nametoindex(self._interface) != self._index
        except OSError:
            return True

    @property
    def sent(self) -> int:
        """Return how many datagrams have left."""
        return sum(outlet.sent for outlet in self._media.outlets())

    @property
    def failed(self) -> int:
        """Return how many datagrams could not leave."""
        return sum(outlet.failed for outlet in self._media.outlets())
