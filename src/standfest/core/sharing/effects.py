"""What a node of a shared address has to do, in this order."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from standfest.model.sharing import Answering, Beat, Buckets
from standfest.model.time import Instant


@dataclass(frozen=True, slots=True)
class Remember:
    """Write these votes where a successor on this machine finds them, before they are said."""

    votes: Mapping[str, Buckets]


@dataclass(frozen=True, slots=True)
class Answer:
    """Let the packet filter answer exactly this, until then and no longer; None: nothing now."""

    answering: Answering
    until: Instant | None


@dataclass(frozen=True, slots=True)
class Renew:
    """Let the packet filter go on until then."""

    until: Instant


@dataclass(frozen=True, slots=True)
class Send:
    """Send a beat to all members."""

    beat: Beat


@dataclass(frozen=True, slots=True)
class MemberChanged:
    """A member is heard, or has been silent for the deadtime."""

    member: str
    alive: bool


@dataclass(frozen=True, slots=True)
class QuorumChanged:
    """A majority of the members hears us (always so with `ignore`), or does not any more."""

    quorum: bool


class Refusal(Enum):
    """Why a beat was not taken."""

    UNKNOWN = "unknown-member"
    OLD = "old"
    OURSELVES = "ourselves"


@dataclass(frozen=True, slots=True)
class Refused:
    """A beat was not taken."""

    member: str
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class OtherLayout:
    """A member shares by another layout (mode, buckets, seed, addresses): we cannot share."""

    member: str
    standing_by: bool


SharingEffect = (
    Remember | Answer | Renew | Send | MemberChanged | QuorumChanged | Refused | OtherLayout
)
