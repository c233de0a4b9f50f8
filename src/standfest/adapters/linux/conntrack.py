"""The kernel's table of connections: read, watched, filled and thinned out over nfnetlink.

Source: netlink(7), linux/netfilter/nfnetlink_conntrack.h.
"""

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence

from standfest.adapters.linux.rtnetlink import F_ACK, F_CREATE, F_DUMP, F_REQUEST
from standfest.model.errors import OperationError
from standfest.model.flows import Flow, FlowKey
from standfest.wire import conntrack
from standfest.wire import netlink as nl

NETLINK_NETFILTER = 12
F_EXCL = 0x200
NLMSG_ERROR, NLMSG_DONE = 2, 3
SOL_NETLINK, ADD_MEMBERSHIP = 270, 1
BUFFER_BYTES = 16 << 20
RECEIVE_BYTES = 1 << 20
BULK = 200
ANSWER_TIMEOUT_S = 10.0
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33


def _socket(timeout: float | None) -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    for option in (_SO_SNDBUFFORCE, _SO_RCVBUFFORCE):
        with contextlib.suppress(PermissionError):
            made.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
    made.bind((0, 0))
    made.settimeout(timeout)
    return made


class Conntrack:
    """Requests about connections. Every call raises OperationError when the kernel refuses."""

    def __init__(self) -> None:
        self._socket = _socket(ANSWER_TIMEOUT_S)
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def flows(self, *, mark: int = 0, mask: int = 0, family: int = 0) -> list[Flow]:
        """Return all connections that have ports and a mark; mask 0: whatever the mark."""
        body = conntrack.encode_dump_mark(mark, family, mask)
        self._send(conntrack.GET, body, F_DUMP)
        found: list[Flow] = []
        for kind, answer in self._answers():
            if kind == NLMSG_DONE:
                return found
            if kind == NLMSG_ERROR:
                raise OperationError(f"read connections: {_error(answer)}")
            flow = conntrack.decode(answer)
            if flow is not None:
                found.append(flow)
        return found

    def put(self, flows: Sequence[Flow], timeout: int | None = None) -> int:
        """Make or renew entries; timeout: seconds, None: each flow's own. Return how many failed.

        A single entry that the kernel refuses (its address is in use otherwise) stops no other.
        """

        def seconds(flow: Flow) -> int:
            return flow.timeout if timeout is None else min(timeout, flow.timeout)

        refused = self._bulk(
            [(conntrack.NEW, conntrack.encode_new(f, seconds(f)), F_CREATE | F_EXCL) for f in flows]
        )
        known = [flows[n] for n, code in refused.items() if code == errno.EEXIST]
        failed = len(refused) - len(known)
        updates = [(conntrack.NEW, conntrack.encode_update(f, seconds(f)), 0) for f in known]
        return failed + len(self._bulk(updates))

    def delete(self, keys: Sequence[FlowKey]) -> None:
        """Delete entries; those that have ended meanwhile are ignored."""
        self._bulk([(conntrack.DELETE, conntrack.encode_delete(key), 0) for key in keys])

    def delete_mark(self, mark: int, mask: int = 0xFFFFFFFF) -> None:
        """Delete all entries with a mark, of both families."""
        for family in (conntrack.INET, conntrack.INET6):
            self._send(conntrack.DELETE, conntrack.encode_delete_mark(mark, family, mask), F_ACK)
            _, answer = next(self._answers())
            if struct.unpack_from("=i", answer)[0] not in (0, -errno.ENOENT):
                raise OperationError(f"delete connections with mark {mark}: {_error(answer)}")

    def _bulk(self, requests: Sequence[tuple[int, bytes, int]]) -> dict[int, int]:
        """Send (message, body, flags); return position -> error of those that were refused."""
        refused: dict[int, int] = {}
        for begin in range(0, len(requests), BULK):
            part = requests[begin : begin + BULK]
            first = self._sequence + 1
            data = b"".join(self._message(m, body, flags | F_ACK) for m, body, flags in part)
            self._socket.send(data)
            missing = len(part)
            while missing:
                for kind, sequence, answer in nl.messages(self._receive()):
                    if kind != NLMSG_ERROR or sequence < first:
                        continue
                    code = -struct.unpack_from("=i", answer)[0]
                    if code:
                        refused[begin + sequence - first] = code
                    missing -= 1
        return refused

    def _send(self, message: int, body: bytes, flags: int) -> None:
        self._socket.send(self._message(message, body, flags))

    def _message(self, message: int, body: bytes, flags: int) -> bytes:
        self._sequence += 1
        size = nl.HEADER.size + len(body)
        kind = conntrack.kind(message)
        return (
            nl.HEADER.pack(size, kind, flags | F_REQUEST, self._sequence, 0)
            + body
            + bytes(-size % 4)
        )

    def _answers(self) -> Iterator[tuple[int, bytes]]:
        while True:
            for kind, sequence, answer in nl.messages(self._receive()):
                if sequence == self._sequence:
                    yield kind, answer

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(RECEIVE_BYTES)
        except OSError as error:
            raise OperationError(f"connections: {error.strerror or 'no answer'}") from error


class FlowEvents:
    """Says which connections begin, change and end."""

    def __init__(self) -> None:
        self._socket = _socket(None)
        self._socket.setblocking(False)
        groups = conntrack.GROUP_NEW, conntrack.GROUP_UPDATE, conntrack.GROUP_DESTROY
        for group in groups:
            self._socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
        self.overrun = False

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._socket.fileno()

    def read(self) -> tuple[list[Flow], list[FlowKey]]:
        """Return what has begun or changed, and what has ended, since the last call.

        `overrun` is set when the kernel had more to say than we read: read the table anew.
        """
        changed: dict[FlowKey, Flow] = {}
        ended: list[FlowKey] = []
        while True:
            try:
                data = self._socket.recv(RECEIVE_BYTES)
            except BlockingIOError:
                return list(changed.values()), ended
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.overrun = True
                continue
            for kind, _, body in nl.messages(data):
                flow = conntrack.decode(body)
                if flow is None:
                    continue
                if kind == conntrack.kind(conntrack.DELETE):
                    changed.pop(flow.key, None)
                    ended.append(flow.key)
                else:
                    changed[flow.key] = flow

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _error(answer: bytes) -> str:
    return os.strerror(-struct.unpack_from("=i", answer)[0])
