"""Bridges and cables: one bridge for each network, one veth pair for each device of each host.

The bridge ends stay in the lab's own network namespace; cutting a cable is setting such an end
down, so that the host sees its carrier go. Everything goes through pyroute2.
"""

import errno
import ipaddress
import warnings
import zlib
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from standfest.lab.plan import Network

IFNAME_LENGTH = 15
SYSCTLS = {
    "net/ipv6/conf/all/disable_ipv6": "1",
    "net/ipv6/conf/default/disable_ipv6": "1",
    # One link's addresses are not answered on another: the wire tells who owns what.
    "net/ipv4/conf/all/arp_ignore": "1",
    "net/ipv4/conf/all/arp_announce": "2",
}


class Wiring:
    """The lab's switches and cables."""

    def __init__(self, networks: tuple[Network, ...]) -> None:
        warnings.simplefilter("ignore", DeprecationWarning)  # pyroute2's own
        self._ip = IPRoute()
        self._bridges: dict[str, int] = {}
        self.macs: dict[str, tuple[str, str]] = {}
        _write_sysctls()
        self._up("lo")
        for number, network in enumerate(networks):
            name = f"br{number}"
            self._ip.link("add", ifname=name, kind="bridge", br_forward_delay=0, br_stp_state=0)
            self._up(name)
            self._bridges[network.device] = self._index(name)

    def plug(self, host: str, number: int, devices: tuple[str, ...], process: int) -> None:
        """Give a host its devices; `process` is in its network namespace."""
        for position, device in enumerate(devices):
            port, inner = self.port(host, device), f"h{number}x{position}"
            mac = f"02:00:00:00:{position:02x}:{number:02x}"
            self._ip.link("add", ifname=port, kind="veth", peer={"ifname": inner, "address": mac})
            self.macs[mac] = (host, device)
            self._ip.link("set", index=self._index(port), master=self._bridges[device])
            self._up(port)
            inside = self._index(inner)
            self._ip.link("set", index=inside, net_ns_pid=process, ifname=device)

    def unplug(self, host: str, devices: tuple[str, ...]) -> None:
        """Remove a host's cables; those of a dead host are gone already."""
        for device in devices:
            found = self._ip.link_lookup(ifname=self.port(host, device))
            try:
                if found:
                    self._ip.link("del", index=found[0])
            except NetlinkError as error:
                if error.code != errno.ENODEV:  # the kernel was taking the dead host's away
                    raise

    def cut(self, host: str, device: str) -> None:
        """Pull a cable."""
        self._ip.link("set", index=self._index(self.port(host, device)), state="down")

    def mend(self, host: str, device: str) -> None:
        """Put a cable back."""
        self._up(self.port(host, device))

    def ports(self) -> tuple[str, ...]:
        """Return the names of all bridge ends."""
        names = (link.get_attr("IFLA_IFNAME") for link in self._ip.get_links())
        return tuple(sorted(name for name in names if name.startswith("p-")))

    @staticmethod
    def port(host: str, device: str) -> str:
        """Return the name of the bridge end of a host's cable; the kernel allows 15 characters."""
        name = f"p-{host}-{device}"
        if len(name) <= IFNAME_LENGTH:
            return name
        return f"p-{zlib.crc32(name.encode()):08x}"

    def _index(self, name: str) -> int:
        found: list[int] = list(self._ip.link_lookup(ifname=name))
        assert found, f"{name} was made a moment ago"
        return found[0]

    def _up(self, name: str) -> None:
        self._ip.link("set", index=self._index(name), state="up")


def configure_host(networks: tuple[Network, ...], addresses: dict[str, str]) -> None:
    """Inside a host's namespaces: give its devices their addresses; those without stay down."""
    warnings.simplefilter("ignore", DeprecationWarning)
    _write_sysctls()
    with IPRoute() as ip:
        ip.link("set", index=ip.link_lookup(ifname="lo")[0], state="up")
        for network in networks:
            address = addresses.get(network.device)
            if not address:
                continue
            index = ip.link_lookup(ifname=network.device)[0]
            subnet = ipaddress.ip_network(f"{address}/{network.prefix}", strict=False)
            ip.addr(
                "add",
                index=index,
                address=address,
                prefixlen=network.prefix,
                broadcast=str(subnet.broadcast_address),
            )
            ip.link("set", index=index, state="up")


def _write_sysctls() -> None:
    for name, value in SYSCTLS.items():
        path = Path("/proc/sys") / name
        if path.exists():
            path.write_text(value, encoding="ascii")
