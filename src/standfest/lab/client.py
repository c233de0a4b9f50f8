"""The client host: uses every service every few milliseconds, and watches who answers for what.

Each probe is a new TCP connection that waits for the protocol's greeting, as a client of that
protocol does; probes overlap, so that a slow one delays none. ARP requests for every cluster
address go out at the same pace, and every reply is noted with its sender.
"""

import errno
import json
import select
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass

from standfest.lab.measure import Answer, Reply
from standfest.lab.plan import LabPlan, Service

PACE_S = 0.005
GIVE_UP_S = 0.25
MAX_OUTSTANDING = 60
ETHERTYPE_ARP = 0x0806
LINGER_NONE = struct.pack("ii", 1, 0)
WATCHER_MAC = bytes.fromhex("0200000000fe")
"""Nobody's: a reply to it shows who answers, and does not refresh the client's own ARP table, which
must learn of a new owner as every neighbour does, from the owner's announcement."""

RPC_NULL = struct.pack("!I", 0x80000000 | 40) + struct.pack(
    "!10I", 0x53746E64, 0, 2, 100003, 3, 0, 0, 0, 0, 0
)
REQUESTS = {"http": b"GET / HTTP/1.0\r\n\r\n", "rpc": RPC_NULL}


@dataclass(slots=True)
class _Attempt:
    service: int
    began: float
    endpoint: socket.socket
    connected: bool = False
    heard: bytes = b""


class Prober:
    """Runs in the client host's process until its control socket closes or asks for the records."""

    def __init__(self, plan: LabPlan, control: socket.socket) -> None:
        self.plan = plan
        self.control = control
        self.answers: list[Answer] = []
        self.replies: list[Reply] = []
        self._poll = select.epoll()
        self._attempts: dict[int, _Attempt] = {}
        self._order: deque[tuple[float, int, _Attempt]] = deque()
        self._latest: dict[int, tuple[float, str]] = {}
        self._arp: dict[int, tuple[socket.socket, list[bytes], str]] = {}
        self._nodes = {node.encode() for node in self.plan.nodes}

    def run(self) -> None:
        """Probe until told to stop."""
        self._open_arp()
        self._poll.register(self.control.fileno(), select.EPOLLIN)
        due = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= due:
                due += PACE_S
                if due < now:
                    due = now + PACE_S  # fell behind: no burst
                self._probe(now)
            while self._order and now - self._order[0][0] > GIVE_UP_S:
                _, fileno, attempt = self._order.popleft()
                if self._attempts.get(fileno) is attempt:
                    self._done(fileno, None)
            for fileno, _ in self._poll.poll(max(0.0, due - time.monotonic())):
                if fileno == self.control.fileno():
                    if not self._command():
                        return
                elif fileno in self._arp:
                    self._read_arp(fileno)
                elif fileno in self._attempts:
                    self._progress(fileno)

    # --- services -------------------------------------------------------------------------------

    def _probe(self, now: float) -> None:
        for number, service in enumerate(self.plan.services):
            if len(self._attempts) < MAX_OUTSTANDING:
                self._attempt(now, number, service)
        for sender, requests, _ in self._arp.values():
            for frame in requests:
                try:
                    sender.send(frame)
                except OSError:
                    continue

    def _attempt(self, now: float, number: int, service: Service) -> None:
        endpoint = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
        result = endpoint.connect_ex((service.address, service.probe.port))
        if result not in (0, errno.EINPROGRESS):
            endpoint.close()
            self.answers.append(Answer(number, now, time.monotonic(), None))
            return
        attempt = _Attempt(number, now, endpoint)
        self._attempts[endpoint.fileno()] = attempt
        self._order.append((now, endpoint.fileno(), attempt))
        self._poll.register(endpoint.fileno(), select.EPOLLOUT)

    def _progress(self, fileno: int) -> None:
        attempt = self._attempts[fileno]
        try:
            if not attempt.connected:
                if attempt.endpoint.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self._done(fileno, None)
                    return
                attempt.connected = True
                request = REQUESTS.get(self.plan.services[attempt.service].probe.protocol)
                if request is not None:
                    attempt.endpoint.send(request)
                self._poll.modify(fileno, select.EPOLLIN)
                return
            data = attempt.endpoint.recv(4096)
        except OSError:
            self._done(fileno, None)
            return
        attempt.heard += data
        node = self._greeted(attempt.heard)
        if node is not None or not data or len(attempt.heard) > 4096:
            self._done(fileno, node)

    def _greeted(self, heard: bytes) -> str | None:
        """Return the node whose name the greeting holds."""
        return next((node.decode() for node in self._nodes if node in heard), None)

    def _done(self, fileno: int, node: str | None) -> None:
        attempt = self._attempts.pop(fileno)
        self._poll.unregister(fileno)
        attempt.endpoint.close()
        ended = time.monotonic()
        self.answers.append(Answer(attempt.service, attempt.began, ended, node))
        if node is not None:
            self._latest[attempt.service] = (ended, node)

    # --- ARP ------------------------------------------------------------------------------------

    def _open_arp(self) -> None:
        for network in self.plan.networks:
            wanted = [a.ip for a in self.plan.addresses if a.device == network.device]
            if not wanted:
                continue
            packets = socket.socket(
                socket.AF_PACKET,
                socket.SOCK_RAW | socket.SOCK_NONBLOCK,
                socket.htons(ETHERTYPE_ARP),
            )
            packets.bind((network.device, ETHERTYPE_ARP))
            own = socket.inet_aton(network.watcher)
            frames = [_arp_request(WATCHER_MAC, own, socket.inet_aton(ip)) for ip in wanted]
            self._arp[packets.fileno()] = (packets, frames, network.device)
            self._poll.register(packets.fileno(), select.EPOLLIN)

    def _read_arp(self, fileno: int) -> None:
        packets = self._arp[fileno][0]
        while True:
            try:
                frame = packets.recv(2048)
            except OSError:
                return
            if len(frame) >= 42 and frame[20:22] == b"\0\2" and frame[:6] != b"\xff" * 6:
                ip, mac = socket.inet_ntoa(frame[28:32]), frame[22:28].hex(":")
                self.replies.append(Reply(ip, time.monotonic(), mac))

    # --- the lab's questions --------------------------------------------------------------------

    def _command(self) -> bool:
        """Answer `latest` or `stop`; return whether to go on."""
        word = self.control.recv(1)
        if word == b"L":
            self._say([self._latest.get(n) for n in range(len(self.plan.services))])
            return True
        if word == b"S":
            answers = [[a.service, a.began, a.ended, a.node] for a in self.answers]
            replies = [[r.ip, r.at, r.mac] for r in self.replies]
            self._say([answers, replies])
        return False

    def _say(self, value: object) -> None:
        data = json.dumps(value).encode()
        self.control.sendall(struct.pack("!I", len(data)) + data)


def _arp_request(mac: bytes, own: bytes, wanted: bytes) -> bytes:
    head = b"\xff" * 6 + mac + struct.pack("!HHHBBH", ETHERTYPE_ARP, 1, 0x0800, 6, 4, 1)
    return head + mac + own + b"\0" * 6 + wanted


def ask(control: socket.socket, word: bytes) -> object:
    """From the lab: ask the prober and return its answer."""
    control.sendall(word)
    size = struct.unpack("!I", _exactly(control, 4))[0]
    return json.loads(_exactly(control, size))


def _exactly(control: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = control.recv(size - len(data))
        if not more:
            raise ConnectionError("the client host is gone")
        data += more
    return data
