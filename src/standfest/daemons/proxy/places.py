"""Listening sockets of services, and which of a service's sockets a client's connection goes to."""

import contextlib
import ctypes
import socket
import struct

from standfest.model.errors import OperationError
from standfest.model.forwarding import ServiceKey
from standfest.model.vrrp import Family

BACKLOG = 4096
IP_FREEBIND = 15
IPV6_FREEBIND = 78
SO_ATTACH_REUSEPORT_CBPF = 51
NETWORK_HEADER = -0x100000  # SKF_NET_OFF of linux/filter.h
KINDS = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}
MULTIPLIER = 0x9E3779B1  # 2^32 / golden ratio: neighbours go far apart


def listen(key: ServiceKey) -> socket.socket:
    """Return one more listening socket of a service; raises OperationError.

    The address need not be here yet: a virtual address comes and goes with the director's role.
    """
    family = socket.AF_INET6 if key.family is Family.IPV6 else socket.AF_INET
    listener = socket.socket(family, KINDS[key.protocol])
    try:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        else:
            listener.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        listener.bind((str(key.address), key.port))
        if key.protocol == "TCP":
            # Accepted connections inherit both.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OperationError(f"cannot listen on {key}: {error.strerror}") from error
    return listener


def spread_by_client(listener: socket.socket, mask: bytes, workers: int) -> None:
    """Let a client's address decide which of a service's sockets takes its connections.

    A client of a persistent service must come to the worker that knows it. mask: the bits that
    tell clients apart, 4 or 16 bytes. Where the kernel refuses, ports decide as before.
    """
    offset = 12 if len(mask) == 4 else 8  # of the source address in its header
    program = [_step(0x00, 0), _step(0x02, 0)]  # A = 0, M[0] = A
    for at in range(0, len(mask), 4):
        program += [
            _step(0x20, (NETWORK_HEADER + offset + at) & 0xFFFFFFFF),  # A = word
            _step(0x54, int.from_bytes(mask[at : at + 4])),  # A &= mask
            _step(0x61, 0),  # X = M[0]
            _step(0x0C, 0),  # A += X
            _step(0x24, MULTIPLIER),  # A *= multiplier
            _step(0x02, 0),  # M[0] = A
        ]
    program += [_step(0x74, 16), _step(0x94, workers), _step(0x16, 0)]  # A >>= 16, %=, return A
    code = ctypes.create_string_buffer(b"".join(program))
    with contextlib.suppress(OSError):
        listener.setsockopt(
            socket.SOL_SOCKET,
            SO_ATTACH_REUSEPORT_CBPF,
            struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)),
        )


def spread_by_port(listener: socket.socket) -> None:
    """Let addresses and ports decide again."""
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)


SO_DETACH_REUSEPORT_BPF = 68


def _step(code: int, value: int) -> bytes:
    """Return one instruction. Source: linux/filter.h, struct sock_filter; bpf_common.h."""
    return struct.pack("HBBI", code, 0, 0, value)
