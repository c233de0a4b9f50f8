"""Connections that are open: bytes from each end to the other, until both have said all.

Everything here runs once per event and is written for that: edge-triggered, no object made for an
event, one buffer for all. A short read means that nothing is left (epoll(7), question 9), unless
the event said that the end has hung up. Sockets stay blocking, every call asks not to wait.
"""

import contextlib
import select
import socket
import struct

from standfest.daemons.proxy.flow import End, Flow
from standfest.daemons.proxy.tally import ACTIVE, BYTES_IN, BYTES_OUT, CELLS
from standfest.model.time import Instant

BUFFER_BYTES = 128 * 1024
READS = 8
"""Full buffers from one end before others have their turn."""
TALKS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
HANGS = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
READABLE = select.EPOLLIN | HANGS
RECEIVE = socket.MSG_DONTWAIT
SEND = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


class Relay:
    """All open connections of a worker."""

    def __init__(self, epoll: select.epoll, cells: memoryview) -> None:
        self.now: Instant = 0
        self.ends: dict[int, End] = {}
        self.again: list[End] = []
        self._dead: list[socket.socket] = []
        self._epoll, self._cells = epoll, cells
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._nobody = End(socket.socket(), -1, Flow(None, None, ("", 0)), 0)

    def begin(self, flow: Flow, client: socket.socket, header: bytes) -> None:
        """Join a client and its server, which is connected and in the epoll set already."""
        upstream = flow.socket
        assert upstream is not None
        at = CELLS * flow.number
        near = flow.near = End(client, client.fileno(), flow, at + BYTES_IN)
        far = flow.far = End(upstream, flow.fd, flow, at + BYTES_OUT)
        near.peer, far.peer = far, near
        self.ends[near.fd] = near
        self.ends[far.fd] = far
        # What the client said meanwhile goes at once; then the set tells what is still there.
        if header:
            far.waiting, near.stalled = header, True
            self._flush(far)
        else:
            self._pump(near, 0)
        if flow.near is not None:
            self._epoll.register(near.fd, TALKS)

    def on_event(self, end: End, events: int) -> None:
        """Something happened at one end."""
        end.flow.touched = self.now
        if end.waiting and events & select.EPOLLOUT:
            self._flush(end)
        if not events & READABLE:
            return
        if end.ended:
            if events & select.EPOLLERR:
                self.abort(end.flow)
        elif end.peer.waiting:
            end.stalled = True
        else:
            self._pump(end, events & HANGS)

    def resume(self) -> None:
        """Go on with those who had more to say than one turn holds."""
        ends, self.again = self.again, []
        for end in ends:
            if end.flow.near is not None and not end.ended and not end.peer.waiting:
                self._pump(end, 1)

    def abort(self, flow: Flow) -> None:
        """End a connection with a reset at both ends: nobody shall take half for all."""
        for end in (flow.near, flow.far):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._close(flow)

    def bury(self) -> None:
        """Close what ended during this round: only now may its descriptors be used again."""
        dead, self._dead = self._dead, []
        for endpoint in dead:
            endpoint.close()

    def lay_out(self, endpoint: socket.socket) -> None:
        """Close a socket at the end of this round."""
        self._dead.append(endpoint)

    def flows(self) -> list[Flow]:
        """Return all connections."""
        return [end.flow for end in self.ends.values() if end.flow.near is end]

    def _pump(self, end: End, hung: int) -> None:
        """Carry what an end says until it pauses, its peer is full, or its turn is over.

        hung: not 0: it has hung up, so a short read is not the last.
        """
        view, peer = self._view, end.peer
        for _ in range(READS):
            try:
                got = end.socket.recv_into(view, 0, RECEIVE)
            except BlockingIOError:
                return
            except OSError:
                self.abort(end.flow)
                return
            if not got:
                self._on_silence(end)
                return
            self._cells[end.cell] += got
            try:
                sent = peer.socket.send(view[:got], SEND)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.abort(end.flow)
                return
            if sent < got:
                peer.waiting = bytes(view[sent:got])
                end.stalled = True
                self._epoll.modify(peer.fd, TALKS | select.EPOLLOUT)
                return
            if got < BUFFER_BYTES and not hung:
                return
        self.again.append(end)

    def _flush(self, end: End) -> None:
        """Send what waits for an end; then its peer goes on."""
        try:
            sent = end.socket.send(end.waiting, SEND)
        except BlockingIOError:
            return
        except OSError:
            self.abort(end.flow)
            return
        end.waiting = end.waiting[sent:]
        if end.waiting:
            return
        peer = end.peer
        if peer.stalled:
            peer.stalled = False
            self._pump(peer, 1)
        elif peer.ended:
            self._finish(end)

    def _on_silence(self, end: End) -> None:
        """An end has said all: its peer is told when it has heard all of it."""
        end.ended = True
        if not end.peer.waiting:
            self._finish(end.peer)

    def _finish(self, end: End) -> None:
        """Tell an end, which has heard all, that its peer has nothing more to say."""
        if end.ended and not end.peer.waiting:
            self._close(end.flow)
            return
        try:
            end.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.abort(end.flow)

    def _close(self, flow: Flow) -> None:
        for end in (flow.near, flow.far):
            if end is not None:
                self.ends.pop(end.fd, None)
                self._dead.append(end.socket)
                end.peer = self._nobody  # no cycle is left for the garbage collector
        flow.near = flow.far = None
        self._cells[CELLS * flow.number + ACTIVE] -= 1
        flow.release(self.now)
