"""Listening for others who answer for our addresses: one sensor for each interface."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from standfest.adapters.linux.neighbours import ClaimSensor
from standfest.daemons.director.network import Network
from standfest.daemons.director.words import Words
from standfest.model.director import DirectorSettings
from standfest.runtime.loop import Loop

AnyAddress = IPv4Address | IPv6Address
MAX_ADDRESSES = 2000
"""What one filter holds; more addresses on one interface are not watched."""


class Sensors:
    """All sensors of one director."""

    def __init__(
        self, loop: Loop, on_claim: Callable[[AnyAddress, bytes], None], words: Words
    ) -> None:
        self._loop, self._on_claim, self._words = loop, on_claim, words
        self._sensors: dict[str, tuple[int, ClaimSensor]] = {}

    def watch(self, settings: DirectorSettings, network: Network) -> None:
        """Listen for claims of all addresses that the settings name, and no others.

        A sensor whose interface is still there is told the new addresses: closing a packet socket
        takes the kernel tens of milliseconds.
        """
        wanted: dict[str, set[AnyAddress]] = {}
        for instance in settings.instances:
            for address in (*instance.addresses, *instance.excluded):
                device = address.interface or instance.interface
                wanted.setdefault(device, set()).add(address.ip)
        for device in [device for device in self._sensors if device not in wanted]:
            self._sensors[device][1].watch(())
        for device, addresses in wanted.items():
            if len(addresses) > MAX_ADDRESSES:
                self._words.warn(f"{device}: too many addresses to watch for duplicates")
            elif device in network.facts:
                self._watch(device, network.facts[device].index, addresses)

    def _watch(self, device: str, index: int, addresses: set[AnyAddress]) -> None:
        known = self._sensors.get(device)
        if known is not None and known[0] == index:
            known[1].watch(addresses)
            return
        if known is not None:
            for descriptor in known[1].descriptors():
                self._loop.forget(descriptor)
            known[1].close()
            del self._sensors[device]
        try:
            sensor = ClaimSensor(device)
        except OSError as error:
            self._words.warn(f"{device}: not watched for duplicates: {error.strerror}")
            return
        self._sensors[device] = (index, sensor)
        sensor.watch(addresses)
        for descriptor in sensor.descriptors():
            self._loop.watch(descriptor, lambda _events: self._on_ready(sensor))

    def _on_ready(self, sensor: ClaimSensor) -> None:
        for claim in sensor.receive():
            self._on_claim(claim.ip, claim.mac)
