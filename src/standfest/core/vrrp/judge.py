"""Whether an intact advertisement is for a virtual router and to be believed.

Source: RFC 3768 section 7.1, RFC 9568 section 7.1; where we differ from keepalived: docs/adr/0014.
"""

from dataclasses import dataclass
from enum import Enum

from standfest.core.vrrp.effects import Refusal
from standfest.model.advertisement import ADDRESS_BYTES, Advertisement, Arrival
from standfest.model.time import Duration, Instant
from standfest.model.vrrp import (
    PRIORITY_OWNER,
    AuthenticationType,
    InstanceSettings,
    UnicastPeer,
)

MAX_SEQUENCE_SOURCES = 64
"""Senders whose authentication header's sequence is remembered."""


class Mismatch(Enum):
    """What of a believed advertisement is not as ours: a keepalived of its side refuses ours."""

    ADDRESS_LIST = "address-list"
    INTERVAL = "interval"


@dataclass(frozen=True, slots=True)
class Believed:
    """The advertisement counts; mismatch: with a warning."""

    mismatch: Mismatch | None = None


BELIEVED = Believed()


class Judge:
    """Knows what one instance expects; everything that can be is prepared before packets come."""

    def __init__(self, settings: InstanceSettings) -> None:
        self._settings = settings
        self._block = address_block(settings)
        size = ADDRESS_BYTES[settings.family]
        self._addresses = frozenset(_split(self._block, size))
        self._size = size
        self._password = settings.authentication.password[:8].ljust(8, b"\0")
        self._type = settings.authentication.type
        self._check_type = settings.version == 2
        self._peers: dict[bytes, UnicastPeer] | None = None
        if settings.unicast:
            self._peers = {peer.address.packed: peer for peer in settings.unicast_peers}
        self._owner = settings.priority == PRIORITY_OWNER and (
            settings.strict or settings.owner_ignore_adverts
        )
        self._last_source = b""
        self._sequences: dict[bytes, tuple[int, Instant]] = {}

    def judge(
        self, now: Instant, arrival: Arrival, own_source: bytes, down: Duration
    ) -> Believed | Refusal:
        """Return how an arrival counts, or why it does not.

        own_source: our packed source address. down: how long a silence ends a sequence of the
        authentication header.
        """
        told = arrival.advertisement
        if arrival.source == own_source:
            return Refusal.OWN
        if self._peers is None:
            if not _is_multicast(arrival.destination):
                return Refusal.MODE
        else:
            peer = self._peers.get(arrival.source)
            if peer is None:
                return Refusal.STRANGER
            if not peer.min_ttl <= arrival.ttl <= peer.max_ttl:
                return Refusal.PEER_TTL
        if told.version != self._settings.version:
            return Refusal.VERSION
        if self._owner:
            return Refusal.OWNER
        if self._check_type:
            refusal = self._authenticate(now, arrival.source, told, down)
            if refusal is not None:
                return refusal
        return self._compare(arrival.source, told)

    def _authenticate(
        self, now: Instant, source: bytes, told: Advertisement, down: Duration
    ) -> Refusal | None:
        if told.authentication_type != self._type:
            return Refusal.AUTHENTICATION_TYPE
        if self._type is AuthenticationType.PASS and told.authentication != self._password:
            return Refusal.AUTHENTICATION
        if self._type is AuthenticationType.AH:
            last, at = self._sequences.get(source, (0, now))
            # A sender that was silent for so long may have started again, counting from 1.
            if told.sequence <= last and now - at < down:
                return Refusal.SEQUENCE
            if source in self._sequences or len(self._sequences) < MAX_SEQUENCE_SOURCES:
                self._sequences[source] = (told.sequence, now)
        return None

    def _compare(self, source: bytes, told: Advertisement) -> Believed | Refusal:
        settings = self._settings
        same_source, self._last_source = source == self._last_source, source
        if told.version == 2 and told.interval != settings.advert_interval:
            return Refusal.INTERVAL if settings.strict else Believed(Mismatch.INTERVAL)
        if told.addresses == self._block or (same_source and settings.skip_check_address_list):
            return BELIEVED
        theirs = frozenset(_split(told.addresses, self._size))
        if theirs == self._addresses:
            return BELIEVED
        if not theirs:
            # RFC 9568 section 5.2.5; obeying a router of version 2 that has none, either, would
            # leave ours to nobody.
            return Refusal.ADDRESSES
        # Lists that share nothing are two clusters with one VRID; obeying would cost us addresses
        # that nobody else has. Lists that overlap are one cluster, being changed node by node.
        if theirs and self._addresses and theirs.isdisjoint(self._addresses):
            return Refusal.ADDRESSES
        return Believed(Mismatch.ADDRESS_LIST)


def address_block(settings: InstanceSettings) -> bytes:
    """Return the address list of our own advertisements."""
    return b"".join(address.ip.packed for address in settings.addresses)


def _split(block: bytes, size: int) -> list[bytes]:
    return [block[at : at + size] for at in range(0, len(block), size)]


def _is_multicast(address: bytes) -> bool:
    return 224 <= address[0] <= 239 if len(address) == 4 else address[0] == 0xFF
