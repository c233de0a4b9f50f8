"""The process `pulse`: heartbeats and messages between nodes, and nothing else.

It drives `core.membership` over real sockets and serves one `cluster` daemon by a Unix socket.
Few imports, real-time priority, locked memory: neither a long scheduling run nor a slow agent may
delay a heartbeat. Source: facts/HEARTBEAT-WIRE.md.
"""

import json
import os
import random
import signal
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from standfest.adapters.linux.media import Media
from standfest.adapters.linux.rtnetlink import LinkEvents, RouteNetlink
from standfest.core.membership.effects import (
    Deliver,
    Dropped,
    LinkChanged,
    MembershipEffect,
    NodeChanged,
    NodeStatus,
    Paused,
    Settled,
    StreamReset,
    Transmit,
    Unsteady,
)
from standfest.core.membership.machine import Membership
from standfest.core.membership.pings import Pings
from standfest.daemons import hosts, identity, places, reading
from standfest.daemons.membership import steadiness
from standfest.daemons.pingnodes import PingNodes
from standfest.daemons.process import become_realtime, die_with_parent, settle_memory, take_time
from standfest.model.errors import ConfigError, OperationError, WireError
from standfest.model.keys import Key, Keyring
from standfest.model.message import Message
from standfest.model.settings import HeartbeatSettings
from standfest.model.time import (
    Duration,
    Instant,
    earliest,
    in_milliseconds,
    milliseconds,
    seconds,
)
from standfest.runtime import frames
from standfest.runtime.channel import Channel, Listener
from standfest.runtime.journal import Journal
from standfest.runtime.loop import Loop, since_boot
from standfest.runtime.recording import recorder as recording
from standfest.wire import heartbeat
from standfest.wire.sealed import is_sealed

if TYPE_CHECKING:
    from standfest.daemons.sealing import Sealing

GREET_EVERY: Duration = milliseconds(20)
"""Between heartbeats that let somebody believe at once that we are alive."""


CLUSTER_PATIENCE: Duration = seconds(2)
"""A cluster daemon that says nothing for so long, and for a deadtime, stands still: the others are
told as if it had ended."""


class Pulse:
    """Carries datagrams to the membership machine and its effects to sockets."""

    def __init__(
        self, where: places.Places, name: str, settings: HeartbeatSettings, keyring: Keyring
    ) -> None:
        self._settings = settings
        self._journal = Journal(where.run_dir, name, "pulse")
        self._loop = Loop(self._deadline, self._on_timer, clock=since_boot, on_turn=self._on_turn)
        self._media = Media(settings)
        self._sealing: Sealing | None = None
        self._greet_at: Instant = 0
        self._use_keys(keyring)
        recorder = recording.begin(where.run_dir, "pulse", name, self._on_recording_ended)
        self._membership = recorder.attach(
            "membership",
            Membership(
                name=name,
                uuid=identity.node_uuid(where.state_dir),
                generation=identity.next_generation(where.state_dir),
                settings=settings,
                random=random.Random(os.urandom(16)),  # noqa: S311  spreads retransmissions
                links=self._media.links,
            ),
        )
        self._pings = recorder.attach("pings", Pings(settings.pinging))
        self._ping_nodes = PingNodes(settings.pinging, self._note, self._tell)
        self._cluster: Channel | None = None
        self._cluster_spoke: Instant = 0
        self._untold_pause: Duration = 0
        self._woke: Instant | None = None
        self._heard: dict[str, str] = {}
        self._heard_with: dict[str, int] = {}
        self._settled = False
        self._carrier: dict[str, bool] = {}
        self._refused: Counter[str] = Counter()
        self._received: Counter[str] = Counter()
        self._load_read, self._load = 0, _load()
        self._name = name
        self._links = LinkEvents()
        self._netlink = RouteNetlink()
        self._where = where

    def run(self) -> None:
        """Beat until SIGTERM."""
        for link, fileno in self._media.descriptors():
            self._loop.watch(fileno, partial(self._on_datagrams, link))
        for version, fileno in self._ping_nodes.descriptors():
            self._loop.watch(fileno, partial(self._on_replies, version))
        self._loop.watch(self._links.fileno(), lambda _events: self._on_link_events())
        Listener(self._loop, self._where.pulse_socket, self._on_value, self._on_close)
        self._loop.on_signal(signal.SIGTERM, self._loop.stop)
        self._loop.on_signal(signal.SIGHUP, self._on_reload)
        self._loop.on_signal(signal.SIGINT, lambda: None)
        self._read_carriers()
        self._perform(self._membership.start(self._loop.now(), self._loop.wall()))
        self._ping_nodes.perform(self._pings.start(self._loop.now()))
        settle_memory()
        take_time()
        if self._settings.realtime:
            for trouble in become_realtime():
                self._note("info", "without", what=trouble)
        self._loop.run()

    # --- the network ----------------------------------------------------------------------------

    def _on_datagrams(self, link: str, _events: int) -> None:
        datagram = self._media.receive(link)
        if datagram is None:
            return
        self._received[link] += 1
        try:
            decoded = self._decode(datagram)
        except WireError as error:
            self._refused[error.reason] += 1
            decoded = None
        now, wall = self._loop.now(), self._loop.wall()
        if decoded is not None:
            message, key = decoded
            self._perform(self._membership.on_message(now, wall, link, message))
            source = message.text("src") or ""
            if source in self._heard:
                self._heard_with[source] = key.number
        # A recording of many starts must not make us talk: not more often than this.
        waits = self._sealing is not None and self._sealing.newcomer()
        if waits and now >= self._greet_at:
            self._greet_at = now + GREET_EVERY
            self._perform(self._membership.greet(now, wall))

    def _on_replies(self, version: int, _events: int) -> None:
        for host, sequence in self._ping_nodes.receive(version):
            self._ping_nodes.perform(self._pings.on_reply(self._loop.now(), host, sequence))

    def _decode(self, datagram: bytes) -> tuple[Message, Key] | None:
        """Return an authentic message and its key, or None for our own; raises WireError."""
        if not is_sealed(datagram):
            return heartbeat.decode_signed(datagram, self._keyring)
        if self._sealing is None:
            raise WireError("seal-unexpected")
        opened = self._sealing.open(datagram)
        if opened is None:
            return None
        key, content = opened
        if key.encrypts:
            return heartbeat.read_inner(content), key
        return heartbeat.decode_signed(content, self._keyring)

    def _transmit(self, message: Message) -> None:
        secret, encrypts = self._keyring.signing.secret, self._keyring.signing.encrypts
        content = heartbeat.write_inner(message) if encrypts else self._signed(message)
        for outlet in self._media.outlets():
            if outlet.sealed and not secret:
                outlet.failed += 1  # the key is a crc by now: nothing could hide what we say
                continue
            try:
                if outlet.sealed or encrypts:
                    assert self._sealing is not None
                    # Sealed for each way out: a counter that comes twice is a replay.
                    outlet.transmit(self._sealing.close(content))
                else:
                    outlet.transmit(content)
            except OSError:
                outlet.failed += 1
            else:
                outlet.sent += 1

    def _signed(self, message: Message) -> bytes:
        form = heartbeat.form_for(self._keyring)
        inner = self._settings.classic_auth_field
        return heartbeat.encode(message, self._keyring, form=form, inner=inner)

    def _deadline(self) -> Instant | None:
        return earliest(self._membership.deadline(), self._pings.deadline())

    def _on_turn(self) -> None:
        now = self._loop.now()
        if now >= self._membership.dead_at:
            self._perform(self._membership.wake(now))

    def _on_timer(self) -> None:
        now, wall = self._loop.now(), self._loop.wall()
        at = self._pings.deadline()
        if at is not None and at <= now:
            self._ping_nodes.perform(self._pings.on_timer(now))
        at = self._membership.deadline()
        if at is not None and at > now:
            return
        if wall != self._load_read:  # the kernel averages over minutes; once a second is plenty
            self._load_read, self._load = wall, _load()
        self._perform(self._membership.on_timer(now, wall, self._load))
        self._tell(frames.Alive())
        patience = max(CLUSTER_PATIENCE, self._settings.deadtime)
        if self._cluster is not None and now - self._cluster_spoke > patience:
            self._note("warning", "cluster-silent", ms=in_milliseconds(now - self._cluster_spoke))
            self._cluster.close()

    def _perform(self, effects: list[MembershipEffect]) -> None:
        for effect in effects:
            match effect:
                case Transmit(message):
                    self._transmit(message)
                case Deliver(sender=sender, payload=payload):
                    self._tell(frames.Payload(sender, payload))
                case NodeChanged():
                    self._node_changed(effect)
                case StreamReset(node):
                    self._tell(frames.Reset(node))
                case Settled():
                    self._settled = True
                    self._tell(frames.Settled())
                case LinkChanged(node, link, up):
                    level = "info" if up else "warning"
                    event = "link-up" if up else "link-lost"
                    self._note(level, event, node=node, link=link)
                case Unsteady():
                    self._note_unsteady(effect)
                case Paused(duration):
                    self._paused(duration)
                case Dropped(reason=reason):
                    self._refused[reason.value] += 1

    def _note_unsteady(self, news: Unsteady) -> None:
        event = "late-heartbeat" if news.silence else "lost-messages"
        self._note(
            "info" if news.over else "warning",
            "steady-again" if news.over else event,
            node=news.node,
            late=news.late,
            lost=news.lost,
            silence_ms=in_milliseconds(news.silence),
            deadtime_ms=in_milliseconds(self._settings.deadtime),
            advised_deadtime_ms=in_milliseconds(news.advised),
        )

    def _paused(self, duration: Duration) -> None:
        """We stood still: `cluster` gives up what it owns before it hears anything else."""
        self._note("warning", "paused", ms=in_milliseconds(duration))
        self._heard.clear()
        self._heard_with.clear()
        self._woke = self._cluster_spoke = self._loop.now()
        self._untold_pause = duration if self._cluster is None else 0
        self._tell(frames.Paused(duration))
        self._media.drain()

    def _node_changed(self, change: NodeChanged) -> None:
        before, after = self._heard.get(change.node), change.state
        level = "warning" if after is NodeStatus.DEAD else "info"
        self._note(
            level,
            "node-status",
            node=change.node,
            status=after.value,
            reason=change.reason.value,
        )
        if after in (NodeStatus.DEAD, NodeStatus.LEFT):
            self._heard.pop(change.node, None)
            self._heard_with.pop(change.node, None)
            # Also what only our predecessor has heard: `cluster` may have that from it.
            self._tell(frames.Lost(change.node, left=after is NodeStatus.LEFT))
            return
        self._heard[change.node] = after.value
        if before is None:
            self._tell(frames.Heard(change.node))

    # --- links ----------------------------------------------------------------------------------

    def _on_link_events(self) -> None:
        self._links.read()
        self._read_carriers()

    def _read_carriers(self) -> None:
        """Compare the carriers of all our devices with what we knew; tell `cluster` of a change."""
        carriers = {link.name: link.carrier for link in self._netlink.links()}
        known = {name: carriers.get(name, False) for name in self._media.links}
        if known != self._carrier:
            self._carrier = known
            self._tell(self._carrier_frame())

    def _carrier_frame(self) -> frames.Carrier:
        down = tuple(sorted(name for name, up in self._carrier.items() if not up))
        return frames.Carrier(down, isolated=not any(self._carrier.values()))

    def _watch(self, devices: tuple[str, ...]) -> None:
        """Beat over the devices that carry cluster addresses, too (docs/adr/0004)."""
        for device in devices:
            if device in self._media.links:
                continue
            if not self._keyring.signing.secret:
                self._note("warning", "no-service-link", device=device, why="crc has no secret")
                continue
            self._need_sealing()
            try:
                self._netlink.link_up(device)
            except OperationError as error:
                self._note("warning", "no-service-link", device=device, why=str(error))
                continue
            if self._media.add_service_link(device):
                self._note("info", "service-link", device=device)
                descriptor = dict(self._media.descriptors())[device]
                self._loop.watch(descriptor, partial(self._on_datagrams, device))
        self._read_carriers()

    # --- keys -----------------------------------------------------------------------------------

    def _need_sealing(self) -> None:
        if self._sealing is None:
            from standfest.daemons.sealing import Sealing  # noqa: PLC0415  9 MB, only if used

            self._sealing = Sealing(self._keyring, os.urandom)

    def _on_reload(self) -> None:
        """SIGHUP: read authkeys again; a file that cannot be used changes nothing."""
        try:
            keyring, _ = reading.keyring(self._where.ha_dir)
        except ConfigError as error:
            for finding in error.findings:
                self._note("error", "keys-refused", why=str(finding))
            return
        if keyring == self._keyring:
            return
        self._use_keys(keyring)
        accepted = ",".join(str(key.number) for key in keyring.keys)
        method = keyring.signing.method.value
        self._note("info", "keys-changed", active=keyring.active, method=method, keys=accepted)

    def _use_keys(self, keyring: Keyring) -> None:
        self._keyring = keyring
        if any(key.encrypts for key in keyring.keys):
            self._need_sealing()
        if self._sealing is not None:
            self._sealing.change(keyring)

    # --- the cluster daemon and commands --------------------------------------------------------

    def _on_value(self, channel: Channel, value: frames.Value | frames.Payload) -> None:
        now, wall = self._loop.now(), self._loop.wall()
        if channel is self._cluster:
            self._cluster_spoke = now
        match value:
            case frames.Payload(node, content):
                try:
                    self._perform(self._membership.submit(now, wall, content, node or None))
                except OperationError as error:
                    self._note("error", "not-sent", why=str(error))
            case frames.Watch(devices):
                self._adopt(channel)
                self._watch(devices)
            case frames.Enrolled(nodes, removed):
                self._perform(self._membership.enroll(now, wall, nodes, removed))
            case frames.Leave():
                self._perform(self._membership.leave(now, wall))
                channel.send(frames.Left())
            case frames.Alive():
                return
            case frames.Query("pause"):
                channel.send(frames.Reply(True, json.dumps(self._pause_report(now))))
            case frames.Query():
                channel.send(frames.Reply(True, json.dumps(self._report())))
            case _:
                channel.close()

    def _adopt(self, channel: Channel) -> None:
        """Serve a cluster daemon: the first `Watch` says that it is one."""
        if self._cluster is channel:
            return
        self._cluster = channel
        self._cluster_spoke = self._loop.now()
        if self._untold_pause:
            self._tell(frames.Paused(self._untold_pause))
            self._untold_pause = 0
        for node in sorted(self._heard):
            self._tell(frames.Heard(node))
        if self._settled:
            self._tell(frames.Settled())
        self._read_carriers()
        self._tell(self._carrier_frame())
        self._ping_nodes.tell_all()

    def _on_close(self, channel: Channel) -> None:
        if self._cluster is channel:
            self._cluster = None
            now, wall = self._loop.now(), self._loop.wall()
            self._perform(self._membership.submit(now, wall, frames.GONE_PAYLOAD, None))

    def _tell(self, value: frames.Value | frames.Payload) -> None:
        if self._cluster is not None:
            self._cluster.send(value)

    def _pause_report(self, now: Instant) -> dict[str, object]:
        """Return how long ago we woke from a pause (ns, None: never), and whether we are served."""
        woke = None if self._woke is None else now - self._woke
        return {"woke": woke, "served": self._cluster is not None}

    def _report(self) -> dict[str, object]:
        return {
            "node": self._name,
            "nodes": {self._name: "active", **self._heard},
            "pings": self._ping_nodes.report(),
            "carrier": self._carrier,
            "keys": {
                "active": self._keyring.active,
                "method": self._keyring.signing.method.value,
                "accepted": [key.number for key in self._keyring.keys],
                "mixed": self._keyring.mixed,
                "heard": dict(self._heard_with),
            },
            "steadiness": [steadiness(peer, self._loop.now()) for peer in self._membership.peers],
            "deadtime": in_milliseconds(self._settings.deadtime),
            "received": dict(self._received),
            "refused": dict(self._refused),
            "sent": [
                {"link": o.link, "service_link": o.sealed, "sent": o.sent, "failed": o.failed}
                for o in self._media.outlets()
            ],
        }

    def _on_recording_ended(self, why: str) -> None:
        self._note("warning", "not-recording", why=why)

    def _note(self, level: str, event: str, **fields: object) -> None:
        self._journal.write(level, event, tuple((k, str(v)) for k, v in fields.items()))


def _load() -> str:
    """Return /proc/loadavg's line; heartbeat sends it along."""
    try:
        return Path("/proc/loadavg").read_text(encoding="ascii").strip()
    except OSError:
        return "0.00 0.00 0.00 1/1 1"


def main() -> None:
    """Run until SIGTERM; arguments as Places.arguments() writes them."""
    die_with_parent()
    where = places.from_arguments(sys.argv[1:])
    settings, _ = reading.heartbeat_settings(where.ha_dir)
    settings = hosts.known(where, settings)
    keys, _ = reading.keyring(where.ha_dir)
    Pulse(where, identity.node_name(), settings, keys).run()


if __name__ == "__main__":
    main()
