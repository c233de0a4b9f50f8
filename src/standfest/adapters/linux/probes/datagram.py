"""UDP_CHECK, DNS_CHECK and PING_CHECK: one datagram, and what comes back.

The sockets are connected, so that an ICMP error about the datagram is told, and only the server's
datagrams come. Source: udp(7), icmp(7), raw(7).
"""

import errno
import os
import selectors
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from standfest.adapters.linux.probes import sockets
from standfest.adapters.linux.probes.alarms import Alarm, Alarms
from standfest.adapters.linux.probes.sockets import Place
from standfest.model.balancing import DnsCheck, PingCheck, UdpCheck
from standfest.model.errors import OperationError, WireError
from standfest.model.time import in_seconds
from standfest.ports.probes import Outcome, Target, Waiter
from standfest.wire import dns, icmp

MAX_DATAGRAM: Final = 65_536
MAX_HEARD: Final = 64
"""Datagrams that are looked at in one turn of the loop."""
TOKEN: Final = 16
"""Random bytes by which a reply is known to be ours."""
_PING: Final = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}


class Exchange(Protocol):
    """What is sent, and what may come back."""

    question: bytes

    def hear(self, data: bytes) -> Outcome | None:
        """Return what a datagram comes to, None when it is not for us."""

    def silence(self, limit: str) -> Outcome:
        """Return what it means that nothing came."""


class DatagramProbe:
    """One exchange with a server."""

    def __init__(self, waiter: Waiter, alarms: Alarms, on_end: Callable[[Outcome], None]) -> None:
        self._waiter, self._alarms, self._on_end = waiter, alarms, on_end
        self._socket: socket.socket | None = None
        self._alarm: Alarm | None = None
        self._exchange: Exchange | None = None
        self._where = ""

    def begin(self, target: Target, number: int) -> None:
        """Send the question; raises OSError, OperationError."""
        checker = target.checker
        assert isinstance(checker, UdpCheck | DnsCheck | PingCheck), "whoever sorts has looked"
        place = Place.of(target, checker.connection)
        if isinstance(checker, PingCheck):
            place = replace(place, port=0)  # an echo goes to an address
        self._exchange = exchange = self._open(checker, place, number)
        self._where = str(place)
        assert self._socket is not None, "it has been opened"
        try:
            self._socket.connect(sockets.sockaddr(place.address, place.port, place.connection))
            self._socket.send(exchange.question)
        except OSError:
            self.give_up()
            raise
        limit = checker.timing.timeout
        words = f"{in_seconds(limit):g} s"
        self._alarm = self._alarms.set(
            self._waiter.now() + limit, lambda: self._end(exchange.silence(words))
        )
        self._waiter.watch(self._socket.fileno(), self._on_ready, selectors.EVENT_READ)

    def _open(
        self, checker: UdpCheck | DnsCheck | PingCheck, place: Place, number: int
    ) -> Exchange:
        """Open the socket for a kind of exchange, and return that."""
        if isinstance(checker, PingCheck):
            self._socket, raw = open_ping(place)
            return EchoExchange(place.address.version, number, raw=raw)
        exchange = UdpExchange(checker) if isinstance(checker, UdpCheck) else DnsExchange(checker)
        self._socket = sockets.open_socket(socket.SOCK_DGRAM, place.address, place.connection)
        return exchange

    def give_up(self) -> None:
        """End it without a report."""
        if self._alarm is not None:
            self._alarm.cancel()
        if self._socket is not None:
            self._waiter.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _on_ready(self, _events: int) -> None:
        assert self._exchange is not None, "it has begun"
        for _ in range(MAX_HEARD):
            if self._socket is None:
                return
            try:
                data = self._socket.recv(MAX_DATAGRAM)
                outcome = self._exchange.hear(data)
            except BlockingIOError:
                return
            except WireError as error:
                outcome = Outcome(False, error.detail or error.reason)
            except OSError as error:
                outcome = Outcome(False, sockets.words(error.errno))
            if outcome is not None:
                self._end(outcome)

    def _end(self, outcome: Outcome) -> None:
        self.give_up()
        reason = f"{self._where}: {outcome.reason}"
        self._on_end(Outcome(outcome.succeeded, reason, outcome.weight))


# --- UDP ------------------------------------------------------------------------------------------


class UdpExchange:
    """A payload; without `require_reply` no news is good news."""

    def __init__(self, checker: UdpCheck) -> None:
        self._checker = checker
        self.question = checker.payload or os.urandom(TOKEN)

    def hear(self, data: bytes) -> Outcome:
        """Return whether a reply is as it should be."""
        checker = self._checker
        if not checker.require_reply:
            return Outcome(True, f"answers with {len(data)} bytes")
        least, most = checker.min_reply_length, checker.max_reply_length
        if not least <= len(data) <= most:
            return Outcome(False, f"a reply of {len(data)} bytes; expected {least} to {most}")
        for position, (came, wanted) in enumerate(zip(data, checker.reply, strict=False)):
            mask = checker.reply_mask[position] if position < len(checker.reply_mask) else 0xFF
            if (came ^ wanted) & mask:
                text = f"byte {position} of the reply is {came:#04x}; expected {wanted:#04x}"
                return Outcome(False, text)
        return Outcome(True, f"answers with {len(data)} bytes")

    def silence(self, limit: str) -> Outcome:
        """Return what no reply means."""
        if self._checker.require_reply:
            return Outcome(False, f"no reply within {limit}")
        return Outcome(True, f"no ICMP error within {limit}")


# --- DNS ------------------------------------------------------------------------------------------


class DnsExchange:
    """A query; raises OperationError when it is none that DNS can ask."""

    def __init__(self, checker: DnsCheck) -> None:
        self._what = f"{checker.type} {checker.name}"
        number = int.from_bytes(os.urandom(2), "big")
        try:
            self.question = dns.query(number, checker.name, checker.type)
        except ValueError as error:
            raise OperationError(str(error)) from error

    def hear(self, data: bytes) -> Outcome | None:
        """Return what an answer says; raises WireError."""
        try:
            code = dns.code_of(self.question, data)
        except WireError as error:
            if error.reason == "other":
                return None
            raise
        if code:
            words = dns.CODES.get(code, f"response code {code}")
            return Outcome(False, f"{self._what}: {words}")
        return Outcome(True, f"answers {self._what}")

    def silence(self, limit: str) -> Outcome:
        """Return what no answer means."""
        return Outcome(False, f"{self._what}: no answer within {limit}")


# --- ICMP -----------------------------------------------------------------------------------------


class EchoExchange:
    """An echo request with random bytes; raw: replies come with their IPv4 header."""

    def __init__(self, version: int, sequence: int, *, raw: bool) -> None:
        self._version, self._sequence, self._raw = version, sequence & 0xFFFF, raw
        self._token = os.urandom(TOKEN)
        identifier = int.from_bytes(os.urandom(2), "big")
        self.question = icmp.echo(version, identifier, self._sequence, self._token)

    def hear(self, data: bytes) -> Outcome | None:
        """Return whether this is our reply."""
        if self._raw and self._version == 4:
            data = icmp.without_ipv4_header(data)
        if icmp.is_reply(self._version, data, self._sequence, self._token):
            return Outcome(True, "answers the ping")
        return None

    def silence(self, limit: str) -> Outcome:
        """Return what no reply means."""
        return Outcome(False, f"no reply to the ping within {limit}")


def open_ping(place: Place) -> tuple[socket.socket, bool]:
    """Return a socket for an echo request, and whether it is a raw one; raises OSError.

    Ping sockets need no privilege, but the sysctl net.ipv4.ping_group_range keeps even root from
    them by default; raw ones need CAP_NET_RAW.
    """
    protocol = _PING[place.address.version]
    try:
        made = sockets.open_socket(socket.SOCK_DGRAM, place.address, place.connection, protocol)
        return made, False
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM):
            raise
    return sockets.open_socket(socket.SOCK_RAW, place.address, place.connection, protocol), True
