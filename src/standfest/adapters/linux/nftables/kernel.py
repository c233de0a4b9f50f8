"""The netlink socket to nf_tables: whole transactions, and dumps of maps.

Source: netlink(7), linux/netfilter/nfnetlink.h; facts/DATAPLANE.md section 1.3.
"""

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence

from standfest.adapters.linux.rtnetlink import F_ACK, F_DUMP, F_REQUEST
from standfest.model.errors import OperationError
from standfest.wire import netlink as nl
from standfest.wire import nftables as nft

NETLINK_NETFILTER = 12
NLMSG_ERROR, NLMSG_DONE = 2, 3
SOL_NETLINK, CAP_ACK = 270, 10
BUFFER_BYTES = 64 << 20
RECEIVE_BYTES = 1 << 20
ANSWER_TIMEOUT_S = 30.0
"""The kernel answers within the call; a transaction may wait for others' and for old readers."""
MAX_ELEMENTS = 4_000_000
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33


class ChangedError(OperationError):
    """Somebody else has changed the rule set meanwhile: read it again."""


class NetfilterNetlink:
    """One socket. Every call raises OperationError with what was wanted and why it was refused."""

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        except OSError as error:
            raise OperationError(f"the kernel has no nf_tables: {error.strerror}") from error
        for option in (_SO_SNDBUFFORCE, _SO_RCVBUFFORCE):
            with contextlib.suppress(PermissionError):
                self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        self._socket.setsockopt(SOL_NETLINK, CAP_ACK, 1)
        self._socket.bind((0, 0))
        self._socket.settimeout(ANSWER_TIMEOUT_S)
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def generation(self) -> int:
        """Return the number of the rule set in force; each transaction makes another."""
        answers = self._ask(nft.GET_GENERATION, nft.header(0), 0, "read the rule set's number")
        return nft.read_generation(answers[0]) if answers else 0

    def table_comment(self, table: nft.Table) -> str | None:
        """Return the comment of a table, or None when there is no such table."""
        try:
            answers = self._ask(nft.GET_TABLE, table.get(), 0, f"read table {table}")
        except FileNotFoundError:
            return None
        return nft.read_table_comment(answers[0]) if answers else None

    def tables(self) -> list[nft.Table]:
        """Return all tables of all families."""
        answers = self._ask(nft.GET_TABLE, nft.header(0), F_DUMP, "read the tables")
        return [nft.read_table(answer) for answer in answers]

    def chains(self, family: int) -> list[tuple[str, str]]:
        """Return (table, chain) of all chains of a family."""
        answers = self._ask(nft.GET_CHAIN, nft.header(family), F_DUMP, "read chains")
        return [nft.read_chain(answer) for answer in answers]

    def elements(self, table: nft.Table, name: str) -> list[nft.Element]:
        """Return all elements of a set."""
        what = f"read {name} of {table}"
        found: list[nft.Element] = []
        try:
            for answer in self._ask(nft.GET_ELEMENTS, table.elements(name), F_DUMP, what):
                found += nft.read_elements(answer)
        except FileNotFoundError as error:
            raise ChangedError(f"{what}: {os.strerror(errno.ENOENT)}") from error
        return found

    def learned(self, table: nft.Table, name: str, key_bytes: int) -> list[nft.Learned]:
        """Return all elements of a learning map whose keys have so many bytes."""
        what = f"read {name} of {table}"
        found: list[nft.Learned] = []
        try:
            for answer in self._ask(nft.GET_ELEMENTS, table.elements(name), F_DUMP, what):
                found += nft.read_learned(answer, key_bytes)
        except FileNotFoundError as error:
            raise ChangedError(f"{what}: {os.strerror(errno.ENOENT)}") from error
        return found

    def found(
        self, table: nft.Table, name: str, keys: Iterable[bytes], key_bytes: int
    ) -> dict[bytes, nft.Learned]:
        """Return those elements of a learning map that are there, asked for all at once."""
        kind = nft.SUBSYSTEM << 8 | nft.GET_ELEMENTS
        asked = [self._message(kind, 0, table.element(name, key)) for key in keys]
        if not asked:
            return {}
        last, first = self._sequence, self._sequence - len(asked) + 1
        self._socket.send(b"".join(asked))
        found: dict[bytes, nft.Learned] = {}
        for answer_kind, sequence, answer in self._received(f"read {name} of {table}"):
            if not first <= sequence <= last:
                continue
            if answer_kind != NLMSG_ERROR:
                found |= {one[0]: one for one in nft.read_learned(answer, key_bytes)}
            if sequence == last:
                break
        return found

    def commit(self, generation: int, messages: Sequence[nft.Message]) -> None:
        """Make all changes at once, or none.

        generation: of the rule set that the changes were made for; raises ChangedError if it is
        not in force any more.
        """
        begin = self._message(nft.BATCH_BEGIN, 0, nft.batch_begin(generation))
        first = self._sequence
        parts = [begin]
        for position, message in enumerate(messages, 1):
            # The last one is acknowledged, so that success has an answer on every kernel.
            ack = F_ACK if position == len(messages) else 0
            parts.append(self._message(message.kind, message.flags | ack, message.body))
        last = self._sequence
        parts.append(self._message(nft.BATCH_END, 0, nft.batch_end()))
        try:
            self._socket.send(b"".join(parts))
        except OSError as error:
            raise OperationError(f"change the rule set: {error.strerror}") from error
        self._judge(first, last, messages)

    def _judge(self, first: int, last: int, messages: Sequence[nft.Message]) -> None:
        refused: OperationError | None = None
        for kind, sequence, answer in self._received("change the rule set"):
            if kind != NLMSG_ERROR or not first <= sequence <= last:
                continue
            code = -struct.unpack_from("=i", answer)[0]
            if code == errno.ERESTART:
                raise ChangedError("change the rule set: another program changed it")
            if code and refused is None:
                where = (
                    messages[sequence - first - 1].what
                    if sequence > first
                    else "change the rule set"
                )
                refused = OperationError(f"{where}: {os.strerror(code)}")
            if sequence == last or (sequence == first and code):
                break
        if refused is not None:
            raise refused

    def _ask(self, kind: int, body: bytes, flags: int, what: str) -> list[bytes]:
        """Return the answers' bodies; raises FileNotFoundError for what is not there."""
        flags = flags or F_ACK
        self._socket.send(self._message(nft.SUBSYSTEM << 8 | kind, flags, body))
        asked, found = self._sequence, list[bytes]()
        for answer_kind, sequence, answer in self._received(what):
            if sequence != asked:
                continue
            if answer_kind in (NLMSG_DONE, NLMSG_ERROR):
                code = -struct.unpack_from("=i", answer)[0] if len(answer) >= 4 else 0
                if code == errno.ENOENT:
                    raise FileNotFoundError(what)
                if code == errno.EINTR:
                    raise ChangedError(f"{what}: it changed meanwhile")
                if code:
                    raise OperationError(f"{what}: {os.strerror(code)}")
                return found
            found.append(answer)
            if len(found) > MAX_ELEMENTS:
                break
        raise OperationError(f"{what}: more than {MAX_ELEMENTS} answers")

    def _message(self, kind: int, flags: int, body: bytes) -> bytes:
        self._sequence += 1
        size = nl.HEADER.size + len(body)
        head = nl.HEADER.pack(size, kind, flags | F_REQUEST, self._sequence, 0)
        return head + body + bytes(-size % 4)

    def _received(self, what: str) -> Iterator[tuple[int, int, bytes]]:
        while True:
            try:
                data = self._socket.recv(RECEIVE_BYTES)
            except OSError as error:
                raise OperationError(f"{what}: {error.strerror or 'no answer'}") from error
            yield from nl.messages(data)
