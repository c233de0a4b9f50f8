"""A connection to corosync: membership of our process group, and what quorum says.

`connect` may wait for corosync and belongs in a thread (`connecting`); everything else returns at
once. What arrives is collected by callbacks that do nothing else and handed out by `poll`.
Source: cpg_overview(3), quorum_overview(3).
"""

import ctypes
from ctypes import byref, c_int, c_uint32, c_uint64
from typing import Any

from standfest.adapters.linux.corosync import library
from standfest.adapters.linux.corosync.library import (
    OK,
    TRY_AGAIN,
    Address,
    Buffer,
    GroupCallbacks,
    Libraries,
    Name,
    QuorumCallbacks,
)
from standfest.adapters.linux.corosync.nodelist import Nodelist, read_nodelist
from standfest.model.errors import OperationError
from standfest.model.ring import (
    Absence,
    GroupChanged,
    Process,
    QuorumChanged,
    Received,
    RingChanged,
    RingEvent,
)

GROUP = b"standfest"
MAX_EVENTS = 200
"""Taken at once, so that the loop's other descriptors get their turn."""
ABSENCES = {2: Absence.LEFT, 3: Absence.NODE_DOWN, 5: Absence.PROCESS_DOWN}


class Connection:
    """A joined group and a tracked quorum."""

    def __init__(self, libraries: Libraries, own_name: str) -> None:
        """Connect and join; raises OperationError. May wait for corosync."""
        self._libraries = libraries
        self._events: list[RingEvent] = []
        self._callbacks = GroupCallbacks(
            library.MODEL_V1,
            library.Deliver(self._on_message),
            library.GroupChange(self._on_group),
            library.RingChange(self._on_ring),
            library.INITIAL_RING,
        )
        self._quorum_callbacks = QuorumCallbacks(library.QuorumChange(self._on_quorum))
        self._group, self._quorum = c_uint64(), c_uint64()
        self.has_votes = False
        libraries.call(
            "cpg_model_initialize",
            *(byref(self._group), library.MODEL_V1, byref(self._callbacks), None),
        )
        try:
            self._join(own_name)
        except OperationError:
            libraries.ask("cpg_finalize", self._group)
            raise

    def _join(self, own_name: str) -> None:
        libraries = self._libraries
        me, kind = c_uint32(), c_uint32()
        libraries.call("cpg_local_get", self._group, byref(me))
        self.me: int = me.value
        self.nodelist: Nodelist = read_nodelist(libraries, self.me, own_name)
        start = (byref(self._quorum), byref(self._quorum_callbacks), byref(kind))
        libraries.call("quorum_initialize", *start)
        try:
            self.has_votes = kind.value == library.QUORUM_SET
            libraries.call("quorum_trackstart", self._quorum, library.TRACK)
            libraries.call("cpg_join", self._group, byref(Name(len(GROUP), GROUP)))
        except OperationError:
            libraries.ask("quorum_finalize", self._quorum)
            raise

    def descriptors(self) -> tuple[int, int]:
        """Return what becomes readable when `poll` has something: of the group, of quorum."""
        group, quorum = c_int(-1), c_int(-1)
        self._libraries.call("cpg_fd_get", self._group, byref(group))
        self._libraries.call("quorum_fd_get", self._quorum, byref(quorum))
        return group.value, quorum.value

    def poll(self) -> list[RingEvent]:
        """Return what has arrived, in order; raises OperationError when corosync is gone."""
        for function, handle in (("quorum_dispatch", self._quorum), ("cpg_dispatch", self._group)):
            for _ in range(MAX_EVENTS):
                result = self._libraries.ask(function, handle, library.DISPATCH_ONE)
                if result == TRY_AGAIN:
                    break
                if result != OK:
                    why = library.ERRORS.get(result, f"error {result}")
                    raise OperationError(f"corosync: {function}: {why}")
        events, self._events = self._events, []
        return events

    def send(self, content: bytes) -> bool:
        """Send to all members, ourselves included; return whether corosync took it.

        Raises OperationError when corosync is gone.
        """
        buffer = Buffer(content, len(content))
        result = self._libraries.ask(
            "cpg_mcast_joined", self._group, library.TYPE_AGREED, byref(buffer), 1
        )
        if result not in (OK, TRY_AGAIN):
            why = library.ERRORS.get(result, f"error {result}")
            raise OperationError(f"corosync: cpg_mcast_joined: {why}")
        return result == OK

    def ask(self) -> None:
        """Wait for any answer of corosync's, which only shows that it runs. For a thread.

        On the connection to quorum nothing else is ever asked, so no two threads share a request.
        """
        quorate = c_int()
        self._libraries.ask("quorum_getquorate", self._quorum, byref(quorate))

    def close(self) -> None:
        """Let go of a connection whose other end is gone."""
        self._libraries.ask("quorum_finalize", self._quorum)
        self._libraries.ask("cpg_finalize", self._group)

    # --- callbacks: an exception would be lost here, so they only keep what they are given -------

    def _on_message(
        self, _handle: int, _group: Any, node: int, pid: int, content: int | None, length: int
    ) -> None:
        data = ctypes.string_at(content, length) if content else b""
        self._events.append(Received(Process(node, pid), data))

    def _on_group(
        self,
        _handle: int,
        _group: Any,
        members: Any,
        member_count: int,
        left: Any,
        left_count: int,
        _joined: Any,
        _joined_count: int,
    ) -> None:
        present = tuple(_process(members[n]) for n in range(member_count))
        gone = tuple(
            (_process(left[n]), ABSENCES.get(left[n].reason, Absence.PROCESS_DOWN))
            for n in range(left_count)
        )
        self._events.append(GroupChanged(present, gone))

    def _on_ring(self, _handle: int, ring: Any, count: int, nodes: Any) -> None:
        self._events.append(RingChanged(ring.sequence, tuple(nodes[n] for n in range(count))))

    def _on_quorum(
        self, _handle: int, quorate: int, sequence: int, _count: int, _nodes: Any
    ) -> None:
        self._events.append(QuorumChanged(sequence, bool(quorate)))


def _process(address: Address) -> Process:
    return Process(address.node, address.pid)
