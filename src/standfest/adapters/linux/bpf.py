"""Classic BPF: programs of a few instructions that keep foreign packets out of our processes.

A filter costs the kernel nanoseconds, a packet that reaches Python costs 30 microseconds and a
wake-up. Source: Linux Documentation/networking/filter.rst, linux/filter.h.
"""

import ctypes
import socket
import struct
from collections.abc import Iterable, Sequence

SO_ATTACH_FILTER = 26
MAX_INSTRUCTIONS = 4096
INSTRUCTION = struct.Struct("=HBBI")

LOAD_BYTE, LOAD_HALF, LOAD_WORD = 0x30, 0x28, 0x20  # at a fixed offset
LOAD_BYTE_AT_X = 0x50
HEADER_LENGTH_TO_X = 0xB1  # 4 * (byte & 0xf): the length of an IPv4 header
AND, JUMP, JUMP_IF_EQUAL, RETURN = 0x54, 0x05, 0x15, 0x06
ANCILLARY = 0xFFFFF000
PACKET_TYPE, VLAN_PRESENT = ANCILLARY + 4, ANCILLARY + 48
OTHER_HOST = 3  # what only a promiscuous interface takes
EVERYTHING = 0xFFFFFFFF

Instruction = tuple[int, int, int, int]
"""Operation, jump if true, jump if false, operand; jumps count instructions to skip."""

DROP: Instruction = (RETURN, 0, 0, 0)
ACCEPT: Instruction = (RETURN, 0, 0, EVERYTHING)


def require(operation: int, offset: int, value: int) -> list[Instruction]:
    """Return instructions that drop the packet unless the field has the value."""
    return [(operation, 0, 0, offset), (JUMP_IF_EQUAL, 1, 0, value), DROP]


def refuse(operation: int, offset: int, value: int) -> list[Instruction]:
    """Return instructions that drop the packet if the field has the value."""
    return [(operation, 0, 0, offset), (JUMP_IF_EQUAL, 0, 1, value), DROP]


def accept_any(values: Iterable[int]) -> list[Instruction]:
    """Return instructions that accept if the loaded field is among the values, else drop."""
    found: list[Instruction] = []
    for value in sorted(set(values)):
        found += [(JUMP_IF_EQUAL, 0, 1, value), ACCEPT]
    return [*found, DROP]


def vrrp_filter(*, six: bool, protocol: int, vrids: Iterable[int]) -> list[Instruction]:
    """Return the filter of a packet socket that hears adverts of these virtual routers only.

    The packet begins with its IP header. Fragments, packets of a VLAN that is not this interface,
    and frames for other machines are not ours.
    """
    start = refuse(LOAD_BYTE, PACKET_TYPE, OTHER_HOST) + refuse(LOAD_BYTE, VLAN_PRESENT, 1)
    if six:
        start += require(LOAD_BYTE, 6, protocol)
        return [*start, (LOAD_BYTE, 0, 0, 41), *accept_any(vrids)]
    start += require(LOAD_BYTE, 9, protocol)
    start += [(LOAD_HALF, 0, 0, 6), (AND, 0, 0, 0x3FFF), (JUMP_IF_EQUAL, 1, 0, 0), DROP]
    if protocol != 112:
        return [*start, ACCEPT]  # an authentication header is in front of the VRID
    start += [(HEADER_LENGTH_TO_X, 0, 0, 0), (LOAD_BYTE_AT_X, 0, 0, 1)]
    return [*start, *accept_any(vrids)]


def arp_sender_filter(addresses: Iterable[int]) -> list[Instruction]:
    """Return the filter of a packet socket for ARP whose sender has one of the IPv4 addresses."""
    return [(LOAD_WORD, 0, 0, 14), *accept_any(addresses)]


def advertisement_filter(last_words: Iterable[int]) -> list[Instruction]:
    """Return the filter for neighbour advertisements whose target ends in one of the words."""
    start = require(LOAD_BYTE, 6, 58) + require(LOAD_BYTE, 40, 136)
    return [*start, (LOAD_WORD, 0, 0, 60), *accept_any(last_words)]


def attach(endpoint: socket.socket, program: Sequence[Instruction]) -> None:
    """Attach a program in place of the one before; raises OSError."""
    assert 0 < len(program) <= MAX_INSTRUCTIONS, "the kernel's limit for classic BPF"
    code = b"".join(INSTRUCTION.pack(*instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: the compiler pads the length to a pointer's alignment
    described = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    endpoint.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, described)
