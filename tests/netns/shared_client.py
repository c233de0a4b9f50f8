"""A client host of a shared address: new connections all the time, old ones kept, SYN-ACKs counted.

Forked into a network namespace of its own; asked over a socket, one letter a question:
K opens connections to keep, E asks which of them still answer, S ends and tells everything.
"""

import contextlib
import json
import os
import select
import socket
import struct
import time
import traceback
from dataclasses import dataclass, field

FIRST_PORT, KEPT_PORT = 20_000, 50_000
KEPT = 60
EVERY_S, PATIENCE_S = 0.005, 0.5
ETH_P_IP = 0x0800
SYN_ACK = 0x12


@dataclass(slots=True)
class Attempt:
    """One connection: its source port, when it was begun, when and by which node answered."""

    port: int
    began: float
    answered: float = 0.0
    node: str = ""


@dataclass(slots=True)
class Client:
    """The loop of the client host."""

    control: socket.socket
    address: tuple[str, int]
    device: str
    done: list[Attempt] = field(default_factory=list)
    syn_acks: list[tuple[float, int, str]] = field(default_factory=list)
    kept: dict[int, socket.socket] = field(default_factory=dict)
    _open: dict[int, tuple[socket.socket, Attempt]] = field(default_factory=dict)
    _port: int = FIRST_PORT

    def run(self) -> None:
        """Serve until asked to stop."""
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        wire.bind((self.device, ETH_P_IP))
        following = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= following:
                following = max(following + EVERY_S, now)
                self._begin(now)
                self._give_up(now)
            watched = [self.control, wire, *(one for one, _ in self._open.values())]
            ready, _, _ = select.select(watched, [], [], max(0.0, following - now))
            for one in ready:
                if one is wire:
                    self._count(wire)
                elif one is self.control:
                    if not self._serve(self.control.recv(1)):
                        return
                else:
                    self._read(one.fileno())

    def _begin(self, now: float) -> None:
        connection = connect(self.address, self._port)
        self._open[connection.fileno()] = (connection, Attempt(self._port, now))
        self._port += 1

    def _read(self, descriptor: int) -> None:
        connection, attempt = self._open.pop(descriptor)
        with contextlib.suppress(OSError):
            attempt.node = connection.recv(64).decode().strip()
        attempt.answered = time.monotonic() if attempt.node else 0.0
        connection.close()
        self.done.append(attempt)

    def _give_up(self, now: float) -> None:
        for descriptor, (connection, attempt) in list(self._open.items()):
            if now - attempt.began > PATIENCE_S:
                del self._open[descriptor]
                connection.close()
                self.done.append(attempt)

    def _count(self, wire: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, origin = wire.recvfrom(2048, socket.MSG_DONTWAIT)
                if origin[2] == socket.PACKET_OUTGOING or frame[23] != socket.IPPROTO_TCP:
                    continue
                start = 14 + 4 * (frame[14] & 15)
                if frame[start + 13] & 0x3F == SYN_ACK:
                    (port,) = struct.unpack_from("!H", frame, start + 2)
                    self.syn_acks.append((time.monotonic(), port, frame[6:12].hex(":")))

    def _serve(self, question: bytes) -> bool:
        match question:
            case b"K":
                self._say(self._keep())
            case b"E":
                self._say(self._alive())
            case _:
                attempts = [[a.port, a.began, a.answered, a.node] for a in self.done]
                self._say([attempts, self.syn_acks])
                return False
        return True

    def _keep(self) -> dict[int, str]:
        found = {}
        for port in range(KEPT_PORT, KEPT_PORT + KEPT):
            connection = connect(self.address, port)
            if select.select([connection], [], [], 2)[0]:
                found[port] = connection.recv(64).decode().strip()
                self.kept[port] = connection
        return found

    def _alive(self) -> list[list[int]]:
        """Return the kept connections that give back what they are sent, and those reset."""
        for connection in self.kept.values():
            with contextlib.suppress(OSError):
                connection.send(b"x")
        alive: list[int] = []
        reset: list[int] = []
        until = time.monotonic() + 1
        waiting = {connection: port for port, connection in self.kept.items()}
        while waiting and time.monotonic() < until:
            for connection in select.select(list(waiting), [], [], 0.1)[0]:
                port = waiting.pop(connection)
                try:
                    if connection.recv(1):
                        alive.append(port)
                except ConnectionResetError:
                    reset.append(port)
        return [sorted(alive), sorted(reset)]

    def _say(self, what: object) -> None:
        data = json.dumps(what).encode()
        self.control.sendall(struct.pack("!I", len(data)) + data)


def connect(address: tuple[str, int], port: int) -> socket.socket:
    """Begin a connection from this source port and do not wait."""
    connection = socket.socket()
    connection.setblocking(False)
    connection.bind(("", port))
    with contextlib.suppress(BlockingIOError):
        connection.connect(address)
    return connection


def serve(control: socket.socket, address: tuple[str, int], device: str) -> None:
    """Be the client host until the end; never returns."""
    try:
        Client(control, address, device).run()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)
