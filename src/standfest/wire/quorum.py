"""What nodes and the quorum server say to each other, in bytes.

    "SFq1"  length (1)  cluster's name  sealed datagram

The name stands before the seal, since each cluster has keys of its own; what is inside the seal
(`wire.sealed`) is an Ask, a Told, or nothing: a greeting that lets the other side prove that it
hears us now. Total and bounded: whatever the bytes, the outcome is a value or a `WireError`.
"""

from typing import Final

from standfest.model.errors import WireError
from standfest.model.quorum import Ask, Told
from standfest.wire import values

MAGIC: Final = b"SFq1"
MAX_DATAGRAM: Final = 16_384
MAX_NAME: Final = 64
"""Characters of a cluster's name and of a node's."""
MAX_NODES: Final = 64
MAX_VOTES: Final = 1_000_000
_MOST: Final = 2**63
_TYPES: Final = {"Ask": Ask, "Told": Told}

REASON_FRAMING: Final = "quorum-framing"
REASON_RANGE: Final = "out-of-range"
GREETING: Final = b""


def wrap(cluster: str, sealed: bytes) -> bytes:
    """Return a datagram."""
    name = cluster.encode()
    assert len(name) <= MAX_NAME
    return MAGIC + bytes((len(name),)) + name + sealed


def unwrap(datagram: bytes) -> tuple[str, bytes]:
    """Return the cluster's name and what is sealed; raises WireError `quorum-framing`."""
    start = len(MAGIC) + 1
    if not datagram.startswith(MAGIC) or not start < len(datagram) <= MAX_DATAGRAM:
        raise WireError(REASON_FRAMING, "another start, or another size")
    end = start + datagram[len(MAGIC)]
    name = datagram[start:end]
    if len(name) > MAX_NAME or end > len(datagram) or not name.isascii():
        raise WireError(REASON_FRAMING, "no cluster's name")
    return name.decode("ascii"), datagram[end:]


def encode(message: Ask | Told) -> bytes:
    """Return what is to be sealed."""
    return values.encode(message)


def decode(content: bytes) -> Ask | Told | None:
    """Return the message, None for a greeting; raises WireError, `out-of-range` among others."""
    if content == GREETING:
        return None
    message: Ask | Told = values.decode(content, _TYPES)
    if isinstance(message, Ask):
        names = (message.node, *message.view)
        fits = (
            len(message.view) <= MAX_NODES
            and all(0 < len(name) <= MAX_NAME for name in names)
            and list(message.view) == sorted(set(message.view))
            and 0 <= message.votes <= MAX_VOTES
            and 0 <= message.lease < _MOST
        )
        if not fits:
            raise WireError(REASON_RANGE, "a view, votes or a lease that nobody has")
    if not (0 <= message.session < _MOST and 0 <= message.number < _MOST):
        raise WireError(REASON_RANGE, "a session or a number that nobody has")
    return message
