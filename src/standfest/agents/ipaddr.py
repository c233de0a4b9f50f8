"""`IPaddr`: a floating address, with the report's two extensions.

It brings its interface up without an address first, so that nodes need no address of their own in
the service's network, and sets the default route of parameter `gateway`.
Source: TUM-I0828 section 5.2.5 and appendix B.2.
"""

import ipaddress
from typing import ClassVar

from standfest.agents.kit import Agent, AgentError, Parameter, Timeouts
from standfest.model.operations import ExitCode
from standfest.ports.host import Host


class IPaddr(Agent):
    """One IPv4 or IPv6 address on one interface."""

    name = "IPaddr"
    short = "Floating IP address with optional default gateway"
    long = (
        "Brings the interface up, adds the address, sets the default route if a gateway is given, "
        "and announces the address to the neighbours. The interface needs no address of its own."
    )
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("ip", "The address", required=True, unique=True),
        Parameter("nic", "The interface; without it, the one whose network the address is in"),
        Parameter("netmask", "Prefix length, or netmask in dotted form"),
        Parameter("cidr_netmask", "The same, as IPaddr2 calls it"),
        Parameter("gateway", "Gateway of the default route while the address is here"),
        Parameter("broadcast", "Accepted for compatibility: the broadcast address is derived"),
        Parameter("iflabel", "Accepted for compatibility"),
    )
    timeouts = Timeouts(20, 20, 20)

    def validate(self, host: Host) -> None:
        """Check the address, the mask, the gateway and the interface."""
        super().validate(host)
        self._prefix()
        gateway = self.value("gateway")
        if gateway:
            self._parse("gateway", gateway)
        if self.value("nic") and host.link(self._nic()) is None:
            raise AgentError(ExitCode.NOT_INSTALLED, f"no network interface {self._nic()}")

    def start(self, host: Host) -> ExitCode:
        """Add the address; neighbours are told even if it was here, they may know another owner."""
        device = self._ready(host)
        if not self._present(host):
            host.add_address(device, self._ip(), self._prefix())
        self._set_route(host, device)
        host.announce(device, self._ip())
        return ExitCode.OK

    def stop(self, host: Host) -> ExitCode:
        """Take the address away, and the default route if it is still the one we set."""
        ip = self._ip()
        held = [address for address in host.addresses() if address.ip == ip]
        for address in held:
            self._reset_route(host, address.device)
            host.delete_address(address.device, ip, address.prefix)
        return ExitCode.OK

    def monitor(self, host: Host) -> ExitCode:
        """The address must be here, on an interface that has carrier."""
        ip = self._ip()
        held = next((address for address in host.addresses() if address.ip == ip), None)
        if held is None:
            return ExitCode.NOT_RUNNING
        link = host.link(held.device)
        if link is None or not link.carrier:
            raise AgentError(ExitCode.GENERIC, f"{held.device} has no carrier")
        return ExitCode.OK

    def _ready(self, host: Host) -> str:
        """Bring the interface up and return its name; raises AgentError without carrier."""
        device = self._device(host)
        host.link_up(device)
        link = host.link(device)
        if link is None or not link.carrier:
            raise AgentError(ExitCode.GENERIC, f"{device} has no carrier")
        return device

    def _set_route(self, host: Host, device: str) -> None:
        gateway = self.value("gateway")
        if gateway:
            host.set_default_route(gateway, device)

    def _reset_route(self, host: Host, device: str) -> None:
        gateway = self.value("gateway")
        if gateway and host.default_route() == (gateway, device):
            host.delete_default_route(gateway, device)

    def _ip(self) -> str:
        return str(self._parse("ip", self.required("ip")))

    def _nic(self) -> str:
        return self.value("nic").partition(":")[0]  # eth0:0, as the report's ifconfig wrote it

    def _present(self, host: Host) -> bool:
        return any(address.ip == self._ip() for address in host.addresses())

    def _prefix(self) -> int:
        address = self._parse("ip", self.required("ip"))
        longest = address.max_prefixlen
        text = self.value("cidr_netmask") or self.value("netmask") or str(longest)
        if text.isdigit() and int(text) <= longest:
            return int(text)
        try:
            return ipaddress.ip_network(f"0.0.0.0/{text}").prefixlen
        except ValueError:
            reason = f"netmask is {text}; expected 0..{longest} or a dotted mask"
            raise AgentError(ExitCode.NOT_CONFIGURED, reason) from None

    def _device(self, host: Host) -> str:
        if self._nic():
            return self._nic()
        wanted = self._parse("ip", self.required("ip"))
        for address in host.addresses():
            network = ipaddress.ip_network(f"{address.ip}/{address.prefix}", strict=False)
            if wanted in network and address.device != "lo":
                return address.device
        raise AgentError(
            ExitCode.NOT_CONFIGURED, f"no interface has an address in the network of {wanted}"
        )

    @staticmethod
    def _parse(name: str, text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        try:
            return ipaddress.ip_address(text)
        except ValueError:
            reason = f"{name} is {text}; expected an IP address"
            raise AgentError(ExitCode.NOT_CONFIGURED, reason) from None
