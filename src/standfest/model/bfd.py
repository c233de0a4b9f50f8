"""One BFD control packet as a value. Source: RFC 5880 section 4.1."""

from dataclasses import dataclass
from enum import IntEnum

from standfest.model.time import Duration


class BfdState(IntEnum):
    """What one side thinks of the session."""

    ADMIN_DOWN = 0
    DOWN = 1
    INIT = 2
    UP = 3


class Diagnostic(IntEnum):
    """Why the state changed last."""

    NONE = 0
    DETECTION_TIME_EXPIRED = 1
    ECHO_FAILED = 2
    NEIGHBOR_SIGNALED_DOWN = 3
    FORWARDING_RESET = 4
    PATH_DOWN = 5
    CONCATENATED_PATH_DOWN = 6
    ADMINISTRATIVELY_DOWN = 7
    REVERSE_CONCATENATED_PATH_DOWN = 8


@dataclass(frozen=True, slots=True)
class BfdPacket:
    """A control packet; discriminators 32 bits, intervals in ns (whole us on the wire)."""

    state: BfdState
    diagnostic: Diagnostic
    multiplier: int
    my_discriminator: int
    your_discriminator: int
    desired_min_tx: Duration
    required_min_rx: Duration
    required_min_echo_rx: Duration = 0
    poll: bool = False
    final: bool = False
    demand: bool = False
