"""The process `arbiter`: asks the cluster's tiebreaker, and tells `cluster` what it promises.

Apart from the others, since a disk may hang and the network is nobody's friend: what it cannot
renew runs out in `cluster` by itself. It decides nothing; where the rules need no tiebreaker that
has to be asked, it is not started.
"""

import json
import socket
import sys
import time
from typing import Protocol

from standfest.daemons import identity, places, reading
from standfest.daemons.process import die_with_parent, settle_memory
from standfest.model.errors import OperationError
from standfest.model.quorum import Lease, Presence
from standfest.model.quorumfile import DiskSettings, PingSettings, QuorumSettings, ServerSettings
from standfest.model.time import Duration, Instant, earliest, milliseconds, seconds
from standfest.runtime import channel as channels
from standfest.runtime import frames
from standfest.runtime.channel import Channel
from standfest.runtime.journal import Journal
from standfest.runtime.loop import Loop

RETRY: Duration = milliseconds(20)
REPORT_EVERY: Duration = seconds(1)
"""How often `cluster` hears what an operator may ask for, if nothing else is new."""


class Tiebreaker(Protocol):
    """Something to ask; it calls back when a promise or reachability changes."""

    def descriptors(self) -> list[int]:
        """Return what to wait for."""
        ...

    def on_ready(self) -> None:
        """Something has arrived."""
        ...

    def present(self, presence: Presence) -> None:
        """The partition, or what runs here, is another one."""
        ...

    def on_timer(self) -> None:
        """Something is due."""
        ...

    def deadline(self) -> Instant | None:
        """Return when on_timer is due."""
        ...

    @property
    def lease(self) -> Lease:
        """Return what is promised."""
        ...

    @property
    def reachable(self) -> bool:
        """Return whether hosts outside answer."""
        ...

    def status(self) -> dict[str, object]:
        """Return what an operator may want to know."""
        ...


class Arbiter:
    """Joins a tiebreaker with `cluster`."""

    def __init__(self, where: places.Places, name: str, settings: QuorumSettings) -> None:
        self._where = where
        self._loop = Loop(self._deadline, self._on_timer)
        self._journal = Journal(where.run_dir, name, "arbiter")
        self._breaker = _tiebreaker(settings, name, self._loop)
        self._cluster: Channel | None = None
        self._retry_at: Instant | None = 0
        self._report_at: Instant = 0
        self._told: tuple[Lease, bool] | None = None
        self._trouble = ""

    def run(self) -> None:
        """Ask until SIGTERM: nothing has to be put in order, every promise ends by itself."""
        for descriptor in self._breaker.descriptors():
            self._loop.watch(descriptor, lambda _events: self._do(self._breaker.on_ready))
        settle_memory()
        self._loop.run()

    def _deadline(self) -> Instant | None:
        report_at = self._report_at if self._cluster is not None else None
        return earliest(self._breaker.deadline(), self._retry_at, report_at)

    def _on_timer(self) -> None:
        now = self._loop.now()
        if self._retry_at is not None and self._retry_at <= now:
            self._connect()
        at = self._breaker.deadline()
        if at is not None and at <= now:
            self._do(self._breaker.on_timer)
        if self._report_at <= now:
            self._tell(now)

    def _do(self, action: object) -> None:
        assert callable(action)
        action()
        if self._told != (self._breaker.lease, self._breaker.reachable):
            self._tell(self._loop.now())
        trouble = str(self._breaker.status().get("trouble", ""))
        if trouble != self._trouble:
            self._trouble = trouble
            level, event = ("warning", "tiebreaker-fails") if trouble else ("info", "tiebreaker-ok")
            self._journal.write(level, event, (("why", trouble),) if trouble else ())

    def _connect(self) -> None:
        try:
            endpoint = channels.connect(self._where.cluster_socket)
        except OperationError:
            self._retry_at = self._loop.now() + RETRY
            return
        self._retry_at = None
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 256 * 1024)
        self._cluster = Channel(self._loop, endpoint, self._on_value, self._on_gone)
        self._tell(self._loop.now())

    def _on_gone(self, _channel: Channel) -> None:
        self._cluster = None
        self._retry_at = self._loop.now() + RETRY

    def _on_value(self, channel: Channel, value: frames.Value | frames.Payload) -> None:
        if not isinstance(value, frames.Present):
            channel.close()
            return
        presence = Presence(
            frozenset(value.view), value.since, value.votes, value.enough, value.busy
        )
        self._do(lambda: self._breaker.present(presence))

    def _tell(self, now: Instant) -> None:
        self._report_at = now + REPORT_EVERY
        if self._cluster is None:
            return
        lease = self._breaker.lease
        self._told = (lease, self._breaker.reachable)
        status = json.dumps(self._breaker.status())
        self._cluster.send(
            frames.Promise(
                lease.since, lease.votes_until, lease.kept_until, self._breaker.reachable, status
            )
        )


def _tiebreaker(settings: QuorumSettings, name: str, loop: Loop) -> Tiebreaker:
    """Return what the file names; each is imported only where it is used."""
    match settings.device:
        case ServerSettings() as server:
            from standfest.daemons.asking import ServerVote  # noqa: PLC0415

            return ServerVote(server, settings, name, time.time_ns(), loop.now)
        case DiskSettings(path):
            from standfest.daemons.diskvote import SharedDiskVote  # noqa: PLC0415

            return SharedDiskVote(path, settings, name, loop.now)
        case PingSettings(hosts):
            from standfest.daemons.pinging import HostsOutside  # noqa: PLC0415

            return HostsOutside(hosts, settings, loop.now)
        case None:
            raise AssertionError("started without anything to ask")


def main() -> None:
    """Run until SIGTERM; arguments as Places.arguments() writes them."""
    die_with_parent()
    where = places.from_arguments(sys.argv[1:])
    heartbeat, _ = reading.heartbeat_settings(where.ha_dir)
    settings = reading.quorum_settings(where.ha_dir, heartbeat)
    Arbiter(where, identity.node_name(), settings).run()


if __name__ == "__main__":
    main()
