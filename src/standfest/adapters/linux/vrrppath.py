"""One virtual router's way to its peers: whole packets, built once and sent again as they are.

Only the IPv4 identification differs from one advert to the next; the kernel fills in the header's
checksum. Source: facts/KEEPALIVED.md section 4 for TTL, class and identification.
"""

import struct
from dataclasses import replace

from standfest.adapters.linux.vrrplink import PROTOCOL_AUTHENTICATION, PROTOCOL_VRRP, Mouth
from standfest.model.advertisement import Advertisement, Arrival
from standfest.model.errors import WireError
from standfest.model.vrrp import AuthenticationType, Family, InstanceSettings, IPAddress
from standfest.wire import vrrp
from standfest.wire.checksum import is_intact
from standfest.wire.ipv4 import encode_header

IPV6_UNICAST_HOPS = 64
"""What keepalived sends when nothing else is configured."""
IPV6_HEADER_BYTES = 40
SEQUENCE_AHEAD = 100_000
IDENTIFICATION = slice(4, 6)


class Path:
    """Encodes and sends one instance's adverts; `mouth` is shared by those of one interface."""

    def __init__(self, settings: InstanceSettings, mouth: Mouth, source: IPAddress) -> None:
        self.settings, self.mouth, self.source = settings, mouth, source
        self._count = 0
        self._last: Advertisement | None = None
        self._packets: list[tuple[bytearray, str]] = []
        self._six = settings.family is Family.IPV6
        self._sealed = settings.authentication.type is AuthenticationType.AH

    @property
    def protocol(self) -> int:
        """Return the IP protocol that the adverts have on the wire."""
        return PROTOCOL_AUTHENTICATION if self._sealed else PROTOCOL_VRRP

    def is_new(self, advertisement: Advertisement) -> bool:
        """Return whether an advert says something else than the last one did."""
        return advertisement is not self._last and not self._sealed

    def send(self, advertisement: Advertisement) -> None:
        """Send an advert to the group, or to each peer; raises OSError when one cannot leave."""
        self._count = self._count % 0xFFFF + 1
        if self._sealed or advertisement is not self._last:
            self._packets = self.encode(advertisement)
            self._last = advertisement
        if not self._six and not self._sealed:
            number = self._count.to_bytes(2)
            for packet, _ in self._packets:
                packet[IDENTIFICATION] = number
        self._send(self._packets)

    def encode(self, advertisement: Advertisement) -> list[tuple[bytearray, str]]:
        """Return (whole packet, destination) for the group or each peer."""
        settings = self.settings
        if not settings.unicast:
            return [self._packet(advertisement, settings.multicast_group, vrrp.TTL)]
        ttl = settings.unicast_ttl
        if ttl is None:
            ttl = IPV6_UNICAST_HOPS if self._six else vrrp.TTL
        return [self._packet(advertisement, peer.address, ttl) for peer in settings.unicast_peers]

    def goodbyes(self) -> list[tuple[bytes, str]]:
        """Return the packets that resign, for somebody else to send when we cannot."""
        last = self._last
        if last is None:
            return []
        # Adverts that we send until then count the authentication header's sequence up.
        sequence = (last.sequence + SEQUENCE_AHEAD) % 2**32 if self._sealed else 0
        resigned = replace(last, priority=0, sequence=sequence)
        return [(bytes(packet), destination) for packet, destination in self.encode(resigned)]

    def _send(self, packets: list[tuple[bytearray, str]]) -> None:
        failure: OSError | None = None
        for packet, destination in packets:
            try:
                self.mouth.send(packet, destination)
            except OSError as error:
                failure = error  # the other peers shall hear us all the same
        if failure is not None:
            raise failure

    def _packet(
        self, advertisement: Advertisement, destination: IPAddress, ttl: int
    ) -> tuple[bytearray, str]:
        source, target = self.source.packed, destination.packed
        if self._sealed:
            return self._sealed_packet(advertisement, source, target, ttl), str(destination)
        settings = self.settings
        message = vrrp.encode(
            advertisement,
            source=source,
            destination=target,
            pseudo_header=not settings.checksum_as_v2,
        )
        if self._six:
            word = 6 << 28 | vrrp.TRAFFIC_CLASS << 20
            header = struct.pack("!IHBB", word, len(message), PROTOCOL_VRRP, ttl) + source + target
        else:
            header = encode_header(
                source=source,
                destination=target,
                ttl=ttl,
                tos=vrrp.TRAFFIC_CLASS,
                identification=self._count,
                protocol=PROTOCOL_VRRP,
                payload_bytes=len(message),
            )
        return bytearray(header + message), str(destination)

    def _sealed_packet(
        self, advertisement: Advertisement, source: bytes, target: bytes, ttl: int
    ) -> bytearray:
        from standfest.wire import vrrp_ah  # noqa: PLC0415  1 MB that hardly anybody needs

        return bytearray(
            vrrp_ah.encode_packet(
                advertisement,
                key=self.settings.authentication.password,
                source=source,
                destination=target,
                identification=self._count or 1,
                ttl=ttl,
            )
        )


class Hearing:
    """Decodes what one Ear hears; what says the same again is recognised instead."""

    def __init__(self) -> None:
        self._same: tuple[bytes, bytes, bytes] | None = None
        self._changing = 0
        self._arrival: Arrival | None = None

    def decode(self, packet: bytes, interface: str, version: int) -> Arrival:
        """Return the advertisement of a packet; raises WireError."""
        if version != 4:
            return decode(packet, interface, version)
        # From one advert to the next the identification changes, and the header's checksum with
        # it: the header is intact when their one's complement sum is the same as before.
        same = (packet[:4], packet[6:10], packet[12:])
        changing = (int.from_bytes(packet[4:6]) + int.from_bytes(packet[10:12])) % 0xFFFF
        if same == self._same and changing == self._changing and self._arrival is not None:
            return self._arrival
        self._arrival = None
        self._arrival = decode(packet, interface, version)
        self._same, self._changing = same, changing
        return self._arrival


def decode(packet: bytes, interface: str, version: int) -> Arrival:
    """Return the advertisement of a packet that an Ear has heard; raises WireError.

    The kernel's own sockets get no packet with a damaged IPv4 header; a packet socket does.
    """
    if version == 4:
        if not is_intact(packet[: (packet[0] & 15) * 4]):
            raise WireError(vrrp.Reason.IP_HEADER, "its checksum is wrong")
        return vrrp.decode_ipv4_packet(packet, interface)
    if len(packet) < IPV6_HEADER_BYTES:
        raise WireError(vrrp.Reason.SHORT, f"IPv6 header: have {len(packet)} bytes")
    end = IPV6_HEADER_BYTES + int.from_bytes(packet[4:6])
    if len(packet) < end:
        raise WireError(vrrp.Reason.SHORT, f"IPv6 packet: need {end} bytes, have {len(packet)}")
    if packet[6] != PROTOCOL_VRRP:
        raise WireError(vrrp.Reason.PROTOCOL, f"next header {packet[6]}")
    source, destination, hops = packet[8:24], packet[24:40], packet[7]
    message = packet[IPV6_HEADER_BYTES:end]
    told = vrrp.decode(message, source=source, destination=destination, ttl=hops)
    return Arrival(interface, source, destination, hops, told)


def decode_sealed(packet: bytes, interface: str, key: bytes) -> Arrival:
    """Return the advertisement below an authentication header; raises WireError."""
    from standfest.wire import vrrp_ah  # noqa: PLC0415  see Path

    return vrrp_ah.decode_packet(packet, interface, key=key)
