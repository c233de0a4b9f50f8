"""A connection as the kernel tracks it, for a director that copies it to its partner."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlowTuple:
    """One direction's packets: packed addresses of one family, ports 0..65535 (0: has none)."""

    source: bytes
    destination: bytes
    source_port: int
    destination_port: int


@dataclass(frozen=True, slots=True)
class FlowKey:
    """What tells connections apart: the first packet's direction and its transport's number."""

    protocol: int
    original: FlowTuple


@dataclass(frozen=True, slots=True)
class Flow:
    """A connection. reply: what answers look like before they are translated back.

    mark: the server it was given to, never 0 for ours. timeout: seconds that it may be idle.
    tcp_state: the kernel's number, 0 for other protocols. scales: window scales of both sides,
    original's first.
    """

    key: FlowKey
    reply: FlowTuple
    mark: int
    timeout: int
    tcp_state: int = 0
    scales: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Entry:
    """What one director tells another: a flow that is there, or one that has ended."""

    flow: Flow
    gone: bool = False
