"""The proxy backend: a balancer in user space, for whom nothing in the kernel may be touched.

What forwards is a process of its own (standfest.daemons.proxy), which this starts when there is
none and which outlives it. Implements BalancerBackend; NAT only, TCP and UDP, no privileges needed
but those of the ports that are listened on.
"""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from standfest import __version__
from standfest.model.balancing import Forwarding
from standfest.model.errors import OperationError, WireError
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Change,
    Counters,
    DestinationKey,
    Service,
    ServiceKey,
    SetDestination,
    Shares,
)
from standfest.ports.balancer import Capabilities
from standfest.wire import proxytable
from standfest.wire.proxycontrol import (
    VERSION,
    Apply,
    Carriage,
    Configure,
    Count,
    Describe,
    Description,
    Done,
    Forwarded,
    Frames,
    Read,
    Refused,
    Stop,
    frame,
)

PROGRAM = "standfest.daemons.proxy.main"
MAX_WORKERS = 8
START_S = 60.0
ANSWER_S = 30.0
RECEIVE_BYTES = 256 * 1024
SCHEDULERS = frozenset(["rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "dh", "mh", "fo", "ovf"])


def default_path() -> Path:
    """Return the socket file of this user's proxy in this network namespace."""
    if os.geteuid() == 0:
        directory = Path("/run/standfest")
    else:
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        directory = Path(runtime, "standfest") if runtime else Path.home() / ".standfest"
    return directory / f"proxy-{os.stat('/proc/thread-self/ns/net').st_ino}.sock"


class ProxyBackend:
    """All services of one proxy."""

    name = "proxy"

    def __init__(self, path: Path | None = None, *, workers: int = 0) -> None:
        """Prepare; a proxy that runs is adopted when it is first asked, else one is started.

        path: its socket file. workers: processes that carry connections; 0: one for each core, at
        most eight.
        """
        self._path = path or default_path()
        self._workers = workers or min(len(os.sched_getaffinity(0)), MAX_WORKERS)
        self._line: socket.socket | None = None
        self._frames = Frames()

    def capabilities(self) -> Capabilities:
        """Return what the proxy can."""
        return Capabilities(
            methods=frozenset({"NAT"}),
            schedulers=SCHEDULERS,
            ipv6=True,
            persistence=True,
            sync=False,
            counted=True,
            protocols=frozenset({"TCP", "UDP"}),
            marks=False,
            all_ports=False,
            client_header=True,
        )

    def read(self) -> dict[ServiceKey, Service]:
        """Return what is forwarded now."""
        said = self._ask(Read(), Forwarded)
        try:
            return proxytable.table(said)
        except WireError as error:
            raise OperationError(f"{self._path}: {error}") from error

    def apply(self, changes: Sequence[Change]) -> None:
        """Make all changes, or none."""
        for change in changes:
            self._judge(change)
        self.describe()  # a change must not be said twice: be sure of the line before
        self._ask(Apply(tuple(proxytable.edit(change) for change in changes)), Done)

    def share(self, shares: Mapping[ServiceKey, Shares]) -> None:
        """Refuse: the proxy chooses by connections itself."""
        raise OperationError(f"share {len(shares)} services: the proxy counts connections itself")

    def counters(self) -> Mapping[tuple[ServiceKey, DestinationKey], Counters]:
        """Return what every server has carried; a proxy sees no packets, only bytes."""
        said = self._ask(Count(), Carriage)
        return {
            proxytable.carried_by(row): Counters(
                connections=row.connections,
                bytes_in=row.bytes_in,
                bytes_out=row.bytes_out,
                active=row.active,
            )
            for row in said.rows
        }

    def close(self, *, keep: bool) -> None:
        """Let go; keep=False ends the proxy with all its connections."""
        if not keep and (self._line is not None or self._connect()):
            self._ask(Stop(), Done)
            self._path.unlink(missing_ok=True)
        self._hang_up()

    # --- beyond the port ------------------------------------------------------------------------

    def set_timeouts(self, tcp_s: int, tcp_fin_s: int, udp_s: int, connect_ms: int = 0) -> None:
        """Set how long idle connections live, and a server may take to accept; 0: as it is."""
        self._ask(Configure(tcp_s * 1000, tcp_fin_s * 1000, udp_s * 1000, connect_ms), Done)

    def describe(self) -> Description:
        """Return which proxy answers; when ours was succeeded meanwhile, its successor."""
        try:
            found: Description = self._ask(Describe(), Description)
        except OperationError:
            found = self._ask(Describe(), Description)
        return found

    def upgrade(self) -> None:
        """Let a new proxy take over; the old one carries its connections to their end."""
        self._hang_up()
        self._start("--take-over")

    def _judge(self, change: Change) -> None:
        if isinstance(change, AddService) and change.key.protocol not in {"TCP", "UDP"}:
            raise OperationError(f"{change.key}: backend proxy; expected a service by TCP or UDP")
        if isinstance(change, AddDestination | SetDestination):
            method = change.destination.method.forwarding
            if method is not Forwarding.NAT:
                raise OperationError(
                    f"{change.service}: method {method.value} with backend proxy; expected NAT"
                )

    def _adopt(self) -> None:
        """Have a proxy of our version: the one that runs, its successor, or a new one."""
        if not self._connect():
            self._start()
            return
        found = self.describe()
        if (found.version, found.release) != (VERSION, __version__):
            self.upgrade()

    def _own_directory(self) -> None:
        directory = self._path.parent
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = directory.stat().st_uid
        except OSError as error:
            raise OperationError(f"{directory}: {error.strerror}; expected a directory") from error
        if owner not in (0, os.geteuid()):
            raise OperationError(f"{directory}: belongs to user {owner}; expected our own")

    def _connect(self) -> bool:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        line.settimeout(ANSWER_S)
        try:
            line.connect(str(self._path))
        except OSError:
            line.close()
            return False
        self._line, self._frames = line, Frames()
        return True

    def _start(self, *options: str) -> None:
        self._own_directory()
        command = [sys.executable, "-P", "-m", PROGRAM, str(self._path), *options]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        try:
            done = subprocess.run(
                [*command, "--workers", str(self._workers)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
                timeout=START_S,
                check=False,
                env=environment,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise OperationError(f"cannot start the proxy: {error}") from error
        if done.returncode or not self._connect():
            raise OperationError(f"cannot start the proxy: {done.stdout.strip() or 'no answer'}")

    def _ask(self, question: object, expected: type) -> Any:
        """Return the answer; raises OperationError when there is none or it cannot be done."""
        if self._line is None:
            self._adopt()
        try:
            return self._said(question, expected)
        except (OSError, WireError) as error:
            self._hang_up()
            raise OperationError(f"{self._path}: {error}; expected an answer") from error

    def _said(self, question: object, expected: type) -> Any:
        assert self._line is not None
        self._line.sendall(frame(question))
        while data := self._line.recv(RECEIVE_BYTES):
            for answer in self._frames.feed(data):
                if isinstance(answer, Refused):
                    raise OperationError(answer.reason)
                if not isinstance(answer, expected):
                    raise WireError("wrong-shape", f"{type(answer).__name__} as an answer")
                return answer
        raise WireError("wrong-shape", "the line has ended")

    def _hang_up(self) -> None:
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.close()
            self._line = None
