"""A shared address on its interface: the MAC that all hear, the address, what neighbours learn.

The shared MAC is never a frame's source, so that no switch learns at which port it is.
Source: netdevice(7), rtnetlink(7), linux/if_bridge.h; RFC 826, RFC 4861 section 7.2.6.
"""

import contextlib
import errno
import fcntl
import os
import socket
import struct

from standfest.adapters.linux.rtnetlink import F_ACK, F_CREATE, RouteNetlink, attribute
from standfest.model.errors import OperationError
from standfest.model.sharing import SharedAddress
from standfest.wire import arp, ndp

SIOCADDMULTI, SIOCDELMULTI = 0x8931, 0x8932
RTM_NEWNEIGH, RTM_DELNEIGH = 28, 29
AF_BRIDGE, NUD_PERMANENT, NTF_SELF, NDA_LLADDR = 7, 0x80, 0x02, 2
NAME_BYTES = 16


class Segment:
    """The interface's side of one shared address. Every call raises OperationError."""

    def __init__(self, shared: SharedAddress) -> None:
        self._shared = shared
        self._netlink = RouteNetlink()

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()

    def holds(self) -> bool:
        """Return whether the interface has all addresses."""
        there = {(one.device, one.ip) for one in self._netlink.addresses()}
        wanted = {(self._shared.interface, str(one.ip)) for one in self._shared.addresses}
        return wanted <= there

    def hear(self) -> None:
        """Hear the shared MAC."""
        self._listen(SIOCADDMULTI, RTM_NEWNEIGH, F_ACK | F_CREATE, errno.EEXIST)

    def ignore(self) -> None:
        """Hear it no more; an interface that is gone hears nothing."""
        if self._netlink.link(self._shared.interface) is not None:
            self._listen(SIOCDELMULTI, RTM_DELNEIGH, F_ACK, errno.ENOENT)

    def take(self) -> None:
        """Have the addresses; those that are there stay."""
        for one in self._shared.addresses:
            self._netlink.add_address(
                self._shared.interface,
                str(one.ip),
                one.network.prefixlen,
                # Never the source of what this machine asks others: the answers would fall into
                # buckets of other nodes.
                deprecated=True,
            )

    def leave(self) -> None:
        """Have the addresses no more; an interface that is gone has taken them along."""
        if self._netlink.link(self._shared.interface) is None:
            return
        for one in self._shared.addresses:
            device, prefix = self._shared.interface, one.network.prefixlen
            self._netlink.delete_address(device, str(one.ip), prefix)

    def announce(self) -> None:
        """Tell all neighbours that the addresses are at the shared MAC."""
        link = self._netlink.link(self._shared.interface)
        own, mac = link.mac if link is not None else b"", self._shared.mac
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as packets,
        ):
            packets.bind((self._shared.interface, 0))
            for one in self._shared.addresses:
                if one.version == 4:
                    frame = arp.gratuitous_frame(mac, one.ip.packed)
                else:
                    frame = ndp.unsolicited_frame(mac, one.ip.packed, router=False)
                packets.send(frame[:6] + own + frame[12:])

    def _listen(self, call: int, message: int, flags: int, ignored: int) -> None:
        what = f"MAC {self._shared.mac.hex(':')} on {self._shared.interface}"
        if self._shared.is_multicast:
            name = self._shared.interface.encode().ljust(NAME_BYTES, b"\0")
            request = name + struct.pack("=H", socket.AF_UNSPEC) + self._shared.mac
            try:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
                    fcntl.ioctl(asked, call, request.ljust(40, b"\0"))
            except OSError as error:
                if error.errno != ignored:
                    raise OperationError(f"{what}: {os.strerror(error.errno or 0)}") from error
            return
        index = self._netlink.index(self._shared.interface)
        body = struct.pack("=BxHiHBB", AF_BRIDGE, 0, index, NUD_PERMANENT, NTF_SELF, 0)
        body += attribute(NDA_LLADDR, self._shared.mac)
        self._netlink.request(message, flags, body, what, ignore=ignored)
