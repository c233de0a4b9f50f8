"""Connection tracking over netlink: flows to messages and back.

What may be said differs: translation (NAT) only when an entry is made, and the answers' tuple then
without translation, which the kernel applies itself. Sequence numbers are not copied: the entry is
made liberal, so that the partner's kernel takes the stream wherever it is.
Source: facts/DATAPLANE.md section 1.1 (connection sync), linux/netfilter/nfnetlink_conntrack.h.
"""

import struct
from typing import Final

from standfest.model.flows import Flow, FlowKey, FlowTuple
from standfest.wire import netlink as nl

SUBSYSTEM: Final = 1
NEW, GET, DELETE = 0, 1, 2
GROUP_NEW, GROUP_UPDATE, GROUP_DESTROY = 1, 2, 3
INET, INET6 = 2, 10
TCP: Final = 6
SYN_SENT: Final = 1
ESTABLISHED: Final = 3
FIN_WAIT: Final = 4
"""TCP's states, in the kernel's order."""
PORT_PROTOCOLS: Final = frozenset({6, 17, 33, 132, 136})
"""TCP, UDP, DCCP, SCTP, UDP-Lite: what is told apart by ports."""

_ORIGINAL, _REPLY, _STATUS, _PROTOCOL_INFO, _SOURCE_NAT, _TIMEOUT, _MARK = 1, 2, 3, 4, 6, 7, 8
_DESTINATION_NAT, _MARK_MASK = 13, 21
_IP, _PROTOCOL = 1, 2
_PROTOCOL_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_TCP_INFO = 1
_TCP_STATE, _SCALE_ORIGINAL, _SCALE_REPLY, _FLAGS_ORIGINAL, _FLAGS_REPLY = 1, 2, 3, 4, 5
_NAT_PORTS, _PORT_LEAST, _PORT_MOST = 3, 1, 2
_SEEN_REPLY, _ASSURED, _CONFIRMED = 0x2, 0x4, 0x8
_SCALED, _LIBERAL = 0x1, 0x8
_HEADER = struct.Struct(">BBH")


def kind(message: int) -> int:
    """Return a message's netlink kind."""
    return SUBSYSTEM << 8 | message


def header(family: int) -> bytes:
    """Return what stands before the attributes of a request; family 0: of all."""
    return _HEADER.pack(family, 0, 0)


def decode(body: bytes) -> Flow | None:
    """Return the flow of an event or dump, or None of one without ports, mark or both tuples."""
    data = nl.values(body[_HEADER.size :])
    original = _decode_tuple(data.get(_ORIGINAL, b""))
    reply = _decode_tuple(data.get(_REPLY, b""))
    mark = _be32(data, _MARK)
    if original is None or reply is None or not mark or original[0] != reply[0]:
        return None
    if len(original[1].source) != len(reply[1].source):
        return None
    information = nl.values(nl.values(data.get(_PROTOCOL_INFO, b"")).get(_TCP_INFO, b""))
    return Flow(
        FlowKey(*original),
        reply[1],
        mark,
        _be32(data, _TIMEOUT),
        nl.number(information, _TCP_STATE),
        (nl.number(information, _SCALE_ORIGINAL), nl.number(information, _SCALE_REPLY)),
    )


def encode_new(flow: Flow, timeout: int) -> bytes:
    """Return the body of a request that makes the flow's entry; timeout: seconds."""
    answered = _inverse(flow.key.original)
    return (
        header(_family(flow))
        + _tuple(_ORIGINAL, flow.key.protocol, flow.key.original)
        + _tuple(_REPLY, flow.key.protocol, answered)
        + _state(flow, timeout)
        + _translations(flow, answered)
    )


def encode_update(flow: Flow, timeout: int) -> bytes:
    """Return the body of a request that changes an entry that is there."""
    return (
        header(_family(flow))
        + _tuple(_ORIGINAL, flow.key.protocol, flow.key.original)
        + _state(flow, timeout)
    )


def encode_delete(key: FlowKey) -> bytes:
    """Return the body of a request that deletes one entry."""
    family = INET if len(key.original.source) == 4 else INET6
    return header(family) + _tuple(_ORIGINAL, key.protocol, key.original)


def encode_delete_mark(mark: int, family: int, mask: int = 0xFFFFFFFF) -> bytes:
    """Return the body of a request that deletes all entries with a mark."""
    return header(family) + nl.be32(_MARK, mark) + nl.be32(_MARK_MASK, mask)


def encode_dump_mark(mark: int, family: int, mask: int = 0xFFFFFFFF) -> bytes:
    """Return the body of a dump of all entries with a mark; 0 and mask 0: of all."""
    marks = nl.be32(_MARK, mark) + nl.be32(_MARK_MASK, mask) if mask else b""
    return header(family) + marks


def _family(flow: Flow) -> int:
    return INET if len(flow.key.original.source) == 4 else INET6


def _inverse(way: FlowTuple) -> FlowTuple:
    return FlowTuple(way.destination, way.source, way.destination_port, way.source_port)


def _tuple(kind: int, protocol: int, way: FlowTuple) -> bytes:
    source, destination = (1, 2) if len(way.source) == 4 else (3, 4)
    return nl.nested(
        kind,
        nl.nested(
            _IP, nl.attribute(source, way.source), nl.attribute(destination, way.destination)
        ),
        nl.nested(
            _PROTOCOL,
            nl.u8(_PROTOCOL_NUMBER, protocol),
            nl.be16(_SOURCE_PORT, way.source_port),
            nl.be16(_DESTINATION_PORT, way.destination_port),
        ),
    )


def _decode_tuple(data: bytes) -> tuple[int, FlowTuple] | None:
    parts = nl.values(data)
    addresses, protocol = nl.values(parts.get(_IP, b"")), nl.values(parts.get(_PROTOCOL, b""))
    number = nl.number(protocol, _PROTOCOL_NUMBER)
    source = addresses.get(1) or addresses.get(3, b"")
    destination = addresses.get(2) or addresses.get(4, b"")
    if number not in PORT_PROTOCOLS or len(source) not in (4, 16):
        return None
    if len(destination) != len(source):
        return None
    ports = _be16(protocol, _SOURCE_PORT), _be16(protocol, _DESTINATION_PORT)
    return number, FlowTuple(source, destination, *ports)


def _state(flow: Flow, timeout: int) -> bytes:
    """Return status, timeout, mark, and for TCP its state with liberal windows."""
    status = _SEEN_REPLY | _ASSURED | _CONFIRMED
    common = nl.be32(_STATUS, status) + nl.be32(_TIMEOUT, timeout) + nl.be32(_MARK, flow.mark)
    if flow.key.protocol != TCP:
        return common
    flags = _SCALED | _LIBERAL if any(flow.scales) else _LIBERAL
    said = bytes((flags, flags))  # value, mask
    return common + nl.nested(
        _PROTOCOL_INFO,
        nl.nested(
            _TCP_INFO,
            nl.u8(_TCP_STATE, flow.tcp_state),
            nl.u8(_SCALE_ORIGINAL, flow.scales[0]),
            nl.u8(_SCALE_REPLY, flow.scales[1]),
            nl.attribute(_FLAGS_ORIGINAL, said),
            nl.attribute(_FLAGS_REPLY, said),
        ),
    )


def _translations(flow: Flow, answered: FlowTuple) -> bytes:
    """Return how the kernel shall translate: what answers have that the inverse does not."""
    reply, parts = flow.reply, b""
    if (reply.source, reply.source_port) != (answered.source, answered.source_port):
        parts += _nat(_DESTINATION_NAT, reply.source, reply.source_port)
    if (reply.destination, reply.destination_port) != (
        answered.destination,
        answered.destination_port,
    ):
        parts += _nat(_SOURCE_NAT, reply.destination, reply.destination_port)
    return parts


def _nat(kind: int, address: bytes, port: int) -> bytes:
    least, most = (1, 2) if len(address) == 4 else (4, 5)
    return nl.nested(
        kind,
        nl.attribute(least, address),
        nl.attribute(most, address),
        nl.nested(_NAT_PORTS, nl.be16(_PORT_LEAST, port), nl.be16(_PORT_MOST, port)),
    )


def _be32(data: dict[int, bytes], kind: int) -> int:
    value = data.get(kind, b"")
    return int.from_bytes(value) if len(value) == 4 else 0


def _be16(data: dict[int, bytes], kind: int) -> int:
    value = data.get(kind, b"")
    return int.from_bytes(value) if len(value) == 2 else 0
