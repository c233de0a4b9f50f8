"""Asking an interface whether it has a link, for drivers that do not tell the kernel.

ETHTOOL_GLINK first; a driver that has neither that nor MII registers is taken at the kernel's
word. Source: linux/ethtool.h, linux/sockios.h, linux/mii.h.
"""

import array
import contextlib
import fcntl
import socket
import struct

SIOCETHTOOL, SIOCGMIIPHY, SIOCGMIIREG = 0x8946, 0x8947, 0x8948
ETHTOOL_GLINK = 0x0A
MII_STATUS, MII_LINK_UP = 1, 0x0004
NAME_BYTES = 16


class Linkbeat:
    """One socket to ask through."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def is_up(self, interface: str) -> bool:
        """Return whether the interface has a link; True when its driver cannot say."""
        name = interface.encode()[: NAME_BYTES - 1].ljust(NAME_BYTES, b"\0")
        with contextlib.suppress(OSError):
            return self._ethtool(name)
        with contextlib.suppress(OSError):
            return self._mii(name)
        return True

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _ethtool(self, name: bytes) -> bool:
        value = array.array("I", [ETHTOOL_GLINK, 0])
        request = struct.pack("=16sQ16x", name, value.buffer_info()[0])
        fcntl.ioctl(self._socket, SIOCETHTOOL, request)
        return bool(value[1])

    def _mii(self, name: bytes) -> bool:
        request = fcntl.ioctl(self._socket, SIOCGMIIPHY, name + bytes(24))
        (phy,) = struct.unpack_from("=H", request, NAME_BYTES)
        wanted = name + struct.pack("=HHHH", phy, MII_STATUS, 0, 0) + bytes(16)
        answer = fcntl.ioctl(self._socket, SIOCGMIIREG, wanted)
        (status,) = struct.unpack_from("=H", answer, NAME_BYTES + 6)
        return bool(status & MII_LINK_UP)
