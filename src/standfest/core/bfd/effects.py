"""What BFD sessions want done, in the order in which it must be done."""

from dataclasses import dataclass
from enum import StrEnum

from standfest.model.bfd import BfdPacket, BfdState, Diagnostic


class Refusal(StrEnum):
    """Why an intact control packet was not believed."""

    NO_SESSION = "no-session"
    TTL = "ttl"
    ADMIN_DOWN = "admin-down"


@dataclass(frozen=True, slots=True)
class SendControl:
    """Send this packet to the session's neighbour at once."""

    session: str
    packet: BfdPacket


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """The session's state is another one; up is what trackers look at."""

    session: str
    up: bool
    state: BfdState
    diagnostic: Diagnostic


@dataclass(frozen=True, slots=True)
class Dropped:
    """A packet was refused; session "" when there is none for it."""

    session: str
    reason: Refusal


BfdEffect = SendControl | SessionChanged | Dropped
Effects = list[BfdEffect]
