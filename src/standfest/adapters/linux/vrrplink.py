"""The sockets that carry VRRP: packets in with their IP header, packets out as they are written.

Receiving is a packet socket on the instance's interface, below macvlans and firewalls: one socket
for all virtual routers of an interface, and no membership on a virtual MAC's interface, whose IGMP
reports would tell the switch that a Backup has the Active router's MAC. The interface itself joins
the group, so that its network card and the switch let the packets through. Sending is a raw socket
that takes whole packets. Source: packet(7), raw(7), ip(7), ipv6(7).
"""

import contextlib
import socket
import struct
from collections.abc import Iterable

from standfest.adapters.linux import bpf

PROTOCOL_VRRP = 112
PROTOCOL_AUTHENTICATION = 51
MAX_PACKET_BYTES = 9216
ETHERTYPE = {4: 0x0800, 6: 0x86DD}
SO_BINDTODEVICE = 25
IPV6_HDRINCL, IPV6_FREEBIND = 36, 78
ANY_LINK_LOCAL = "fe80::1"
SOL_PACKET = 263
PACKET_IGNORE_OUTGOING = 23
RECEIVE_BUFFER_BYTES = 256 * 1024


class Ear:
    """Hears the adverts of one IP version on one interface."""

    def __init__(self, interface: str, version: int, protocol: int = PROTOCOL_VRRP) -> None:
        """Open the socket; raises OSError. Until `listen` nothing is heard."""
        self.interface, self.version, self.protocol = interface, version, protocol
        self._groups: dict[str, socket.socket] = {}
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            bpf.attach(self._socket, [bpf.DROP])
            self._socket.bind((interface, ETHERTYPE[version]))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the receiving socket's descriptor."""
        return self._socket.fileno()

    def listen(self, vrids: Iterable[int]) -> None:
        """Hear these virtual routers from now on; none: nothing."""
        program = bpf.vrrp_filter(six=self.version == 6, protocol=self.protocol, vrids=vrids)
        bpf.attach(self._socket, program)

    def join(self, group: str) -> None:
        """Ask network card and switch for a multicast group's packets; raises OSError."""
        if group in self._groups:
            return
        index = socket.if_nametoindex(self.interface)
        six = self.version == 6
        member = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            if six:
                request = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index)
                member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
            else:
                request = socket.inet_aton(group) + struct.pack("@4si", b"\0" * 4, index)
                member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        except OSError:
            member.close()
            raise
        self._groups[group] = member

    def receive(self) -> bytes | None:
        """Return one packet, beginning with its IP header, or None for a false alarm."""
        try:
            return self._socket.recv(MAX_PACKET_BYTES)
        except OSError:
            return None  # nothing there, or the interface's own trouble (ENETDOWN)

    def close(self) -> None:
        """Close all sockets, which leaves the groups."""
        for member in self._groups.values():
            member.close()
        self._socket.close()


class Mouth:
    """Sends whole packets, IP header included, out of one interface."""

    def __init__(self, interface: str, version: int) -> None:
        """Open the socket; raises OSError. interface "": the routing table chooses."""
        self.interface = interface
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        try:
            self._socket.setblocking(False)
            if interface:
                name = interface.encode() + b"\0"
                self._socket.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, name)
            if version == 6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, IPV6_HDRINCL, 1)
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
                if interface:
                    index = socket.if_nametoindex(interface)
                    self._socket.setsockopt(
                        socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, struct.pack("@I", index)
                    )
                    self._name_source(index)
            else:
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
                if interface:
                    index = socket.if_nametoindex(interface)
                    request = struct.pack("@4s4si", b"\0" * 4, b"\0" * 4, index)
                    self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
            with contextlib.suppress(OSError):  # before other traffic in the queue
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 6)
        except OSError:
            self._socket.close()
            raise

    def _name_source(self, index: int) -> None:
        """Spare the kernel the search for a source address, which our packets have already.

        It would find none on a virtual MAC's interface before the virtual addresses are there, and
        refuse the first advert of a new Active.
        """
        self._socket.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        self._socket.bind((ANY_LINK_LOCAL, 0, 0, index))

    def send(self, packet: bytes | bytearray, destination: str) -> None:
        """Send one packet; raises OSError when the interface cannot now."""
        self._socket.sendto(packet, (destination, 0))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
