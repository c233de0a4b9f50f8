"""What is known of a process group on a ring of nodes, and what its members say to each other.

The words are Corosync's: a ring is the set of nodes that agree on each other, numbered by a
sequence that only grows; a process group is the set of processes that joined under one name.
Source: cpg_overview(3), cpg_model_initialize(3), quorum_trackstart(3).
"""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True, order=True)
class Process:
    """A member of the group: node number and process id."""

    node: int
    pid: int


class Absence(Enum):
    """Why a process is no longer in the group."""

    LEFT = "left"
    NODE_DOWN = "node-down"
    PROCESS_DOWN = "process-down"


@dataclass(frozen=True, slots=True)
class RingChanged:
    """The ring has these nodes now, in this order of rings."""

    sequence: int
    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GroupChanged:
    """The group has these members now; `gone` are those that it had before, with the reason."""

    members: tuple[Process, ...]
    gone: tuple[tuple[Process, Absence], ...]


@dataclass(frozen=True, slots=True)
class Received:
    """A member, perhaps this one, has sent something; all members get everything in one order."""

    sender: Process
    content: bytes


@dataclass(frozen=True, slots=True)
class QuorumChanged:
    """What the votes say about the ring with this number."""

    sequence: int
    quorate: bool


RingEvent = RingChanged | GroupChanged | Received | QuorumChanged


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a payload, for one node or (destination 0) for all.

    ring: the number of the ring that the sender's cluster daemon knew when it sent this; message:
    counts the sender's payloads; index, count: which part of how many.
    """

    ring: int
    destination: int
    message: int
    index: int
    count: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Beat:
    """A message to ourselves: when it comes back, the ring carries what we say."""

    number: int


@dataclass(frozen=True, slots=True)
class Farewell:
    """The sender has handed over everything and leaves."""


GroupMessage = Fragment | Beat | Farewell
