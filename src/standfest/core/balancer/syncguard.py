"""Which copies of connections are believed: what came from where it should, and nothing twice.

Who can put words into a partner's mouth makes a director forward what it should not. Without a key
the address and the way say who speaks; with one the signature does (wire/flowsync), and here only
what is old or has been heard is left to be refused. Source: ADR 25, RFC 5082 (hop limits).
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from standfest.model.errors import WireError
from standfest.model.time import NANOSECONDS_PER_SECOND

MAX_HOPS = 255
MAX_APART_S = 300
"""Seconds that the clocks of both directors may differ, with a key; as Kerberos has it."""


class Refusal(StrEnum):
    """Why a datagram is not believed."""

    SENDER = "sender"
    HOPS = "hops"
    CLOCK = "clock"
    REPLAYED = "replayed"


@dataclass(frozen=True, slots=True)
class Way:
    """Where datagrams of the partner come from.

    partner: its address, None: whoever sends to the group, which our link's hosts do. hops: how far
    it may be away, 1: on our link. It sends with the highest hop limit, so nobody who is farther
    away can be taken for it.
    """

    partner: IPv4Address | IPv6Address | None
    hops: int

    def judge(self, sender: IPv4Address | IPv6Address, hop_limit: int) -> None:
        """Raise WireError for a datagram of somebody else; hop_limit: as it has arrived."""
        if self.partner is None:
            return
        if sender != self.partner:
            raise WireError(Refusal.SENDER, f"{sender}; expected {self.partner}")
        least = MAX_HOPS + 1 - self.hops
        if hop_limit < least:
            raise WireError(Refusal.HOPS, f"hop limit {hop_limit}; expected {least} or more")


class Freshness:
    """Refuses what was recorded and is sent again: each signed datagram says when it was sent.

    What this director has heard is refused because nothing older than the newest counts; what it
    has not heard, because it was started later, when it is older than the clocks may be apart.
    """

    def __init__(self) -> None:
        self._newest = 0

    def judge(self, sent: int, now: int) -> None:
        """Raise WireError for a datagram that is old; both in nanoseconds since 1970."""
        apart = abs(now - sent) // NANOSECONDS_PER_SECOND
        if apart > MAX_APART_S:
            raise WireError(Refusal.CLOCK, f"{apart} s apart; expected at most {MAX_APART_S} s")
        if sent <= self._newest:
            raise WireError(Refusal.REPLAYED, "not newer than what was heard before")
        self._newest = sent
