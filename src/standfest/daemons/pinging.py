"""Hosts outside that a partition reaches: a tiebreaker where nodes can be fenced.

Source: RFC 792, RFC 4443 section 4.
"""

import contextlib
import os
import socket
from collections.abc import Callable, Sequence

from standfest.model.errors import WireError
from standfest.model.quorum import NO_LEASE, Lease, Presence
from standfest.model.quorumfile import QuorumSettings
from standfest.model.time import Instant
from standfest.wire import icmp

MAX_PACKET = 2048


class HostsOutside:
    """Implements daemons.arbiter.Tiebreaker; one host that answered within a lease is enough."""

    def __init__(
        self, hosts: Sequence[str], settings: QuorumSettings, clock: Callable[[], Instant]
    ) -> None:
        self._hosts = hosts
        self._settings = settings
        self._clock = clock
        self._token = os.urandom(16)
        self._sequence = 0
        self._asked: dict[int, Instant] = {}
        self._answered: dict[str, Instant] = {}
        self._due: Instant = 0
        self.reachable = False
        self._sockets = {
            version: _raw(version) for version in sorted({6 if ":" in h else 4 for h in hosts})
        }

    def descriptors(self) -> list[int]:
        """Return the sockets."""
        return [one.fileno() for one in self._sockets.values()]

    @property
    def lease(self) -> Lease:
        """Return nothing: a host that answers promises nothing."""
        return NO_LEASE

    def present(self, presence: Presence) -> None:
        """Who is present makes no difference."""

    def deadline(self) -> Instant | None:
        """Return when to ask again."""
        return self._due

    def on_timer(self) -> None:
        """Ask all of them."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + self._settings.interval
        self._sequence = (self._sequence + 1) % 65_536
        self._asked[self._sequence] = now
        oldest = now - self._settings.lease
        self._asked = {n: at for n, at in self._asked.items() if at > oldest}
        for host in self._hosts:
            version = 6 if ":" in host else 4
            request = icmp.echo(version, os.getpid() & 0xFFFF, self._sequence, self._token)
            with contextlib.suppress(OSError):  # not reached
                self._sockets[version].sendto(request, (host, 0))
        self._judge(now)

    def on_ready(self) -> None:
        """Read what has arrived."""
        now = self._clock()
        for version, endpoint in self._sockets.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    packet, (host, *_) = endpoint.recvfrom(MAX_PACKET)
                    self._take(version, packet, str(host).partition("%")[0])
        self._judge(now)

    def _take(self, version: int, packet: bytes, host: str) -> None:
        try:
            message = icmp.without_ipv4_header(packet) if version == 4 else packet
        except WireError:
            return
        if host not in self._hosts:
            return
        for number, at in self._asked.items():
            if icmp.is_reply(version, message, number, self._token):
                self._answered[host] = max(at, self._answered.get(host, 0))

    def _judge(self, now: Instant) -> None:
        self.reachable = any(now < at + self._settings.lease for at in self._answered.values())

    def status(self) -> dict[str, object]:
        """Return who answers."""
        now = self._clock()
        answering = [
            host for host, at in sorted(self._answered.items()) if now < at + self._settings.lease
        ]
        return {
            "hosts": " ".join(self._hosts),
            "answering": " ".join(answering) or "none",
            "trouble": "" if self.reachable else "no host outside answers",
        }


def _raw(version: int) -> socket.socket:
    family, protocol = (
        (socket.AF_INET6, socket.IPPROTO_ICMPV6) if version == 6 else (socket.AF_INET, 1)
    )
    endpoint = socket.socket(family, socket.SOCK_RAW, protocol)
    endpoint.setblocking(False)
    return endpoint
