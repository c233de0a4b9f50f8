"""The process `ring`: stands in `pulse`'s place where corosync carries messages and counts votes.

It drives `core.ring` over corosync's libraries and serves one `cluster` daemon by the same Unix
socket and the same frames, so that nothing above knows the difference. It waits for corosync for as
long as that takes and never stands still itself. Source: docs/adr/0031.
"""

import contextlib
import json
import signal
import sys
from collections import Counter, deque

from standfest.adapters.linux.corosync.aside import Aside
from standfest.adapters.linux.corosync.connection import Connection
from standfest.adapters.linux.corosync.library import Libraries
from standfest.adapters.linux.corosync.nodelist import Nodelist, read_nodelist
from standfest.adapters.linux.rtnetlink import LinkEvents, RouteNetlink
from standfest.core.ring import effects
from standfest.core.ring.machine import Ring
from standfest.daemons import identity, places
from standfest.daemons.process import become_realtime, die_with_parent, settle_memory
from standfest.model.errors import OperationError, WireError
from standfest.model.ring import (
    Beat,
    GroupChanged,
    QuorumChanged,
    Received,
    RingChanged,
    RingEvent,
)
from standfest.model.time import Duration, Instant, earliest, milliseconds
from standfest.runtime import frames
from standfest.runtime.channel import Channel, Listener
from standfest.runtime.journal import Journal
from standfest.runtime.loop import Loop
from standfest.runtime.recording import recorder as recording
from standfest.wire import ring as wire

CONNECT_RETRY: Duration = milliseconds(200)
SEND_RETRY: Duration = milliseconds(10)
"""How soon to try again what corosync's flow control refused. Source: cpg_mcast_joined(3)."""
MAX_WAITING_BYTES = 64 * 1024 * 1024
MAX_WAITING_BEATS = 100
QUESTIONS = 4
"""So often corosync is asked for a sign of life in the time after which it counts as hanging."""


class RingDaemon:
    """Carries corosync's reports to the ring machine and its effects to corosync and `cluster`."""

    def __init__(self, where: places.Places, name: str, libraries: Libraries) -> None:
        self._where, self._name, self._libraries = where, name, libraries
        self._journal = Journal(where.run_dir, name, "ring")
        self._loop = Loop(self._deadline, self._on_timer)
        recorder = recording.begin(where.run_dir, "ring", name, self._on_recording_ended)
        self._ring = recorder.attach("ring", Ring(self._loop.now()))
        self._connection: Connection | None = None
        self._descriptors: tuple[int, ...] = ()
        self._connecting: Aside[Connection] = Aside()
        self._naming: Aside[Nodelist] = Aside()
        self._asking: Aside[None] = Aside()
        self._connect_at: Instant | None = 0
        self._ask_at: Instant | None = None
        self._asked: Instant = 0
        self._patience: Duration = 0
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._send_at: Instant | None = None
        self._cluster: Channel | None = None
        self._isolated = False
        self._links, self._netlink = LinkEvents(), RouteNetlink()
        self._own_addresses: tuple[str, ...] = ()
        self._devices: tuple[str, ...] = ()
        self._carrier: dict[str, bool] = {}
        self._ring_devices: frozenset[str] = frozenset()
        self._counts: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._said = ""

    def run(self) -> None:
        """Serve until SIGTERM."""
        self._loop.watch(self._connecting.fileno(), lambda _events: self._on_connected())
        self._loop.watch(self._naming.fileno(), lambda _events: self._on_named())
        self._loop.watch(self._asking.fileno(), lambda _events: self._on_answer())
        self._loop.watch(self._links.fileno(), lambda _events: self._on_link_events())
        Listener(self._loop, self._where.pulse_socket, self._on_value, self._on_close)
        self._loop.on_signal(signal.SIGTERM, self._loop.stop)
        self._loop.on_signal(signal.SIGHUP, self._read_names)
        self._loop.on_signal(signal.SIGINT, lambda: None)
        settle_memory()
        for trouble in become_realtime():
            self._note("info", "without", what=trouble)
        self._loop.run()

    # --- time -----------------------------------------------------------------------------------

    def _deadline(self) -> Instant | None:
        return earliest(self._ring.deadline(), self._connect_at, self._send_at, self._ask_at)

    def _on_timer(self) -> None:
        now = self._loop.now()
        if self._connect_at is not None and self._connect_at <= now:
            self._connect_at = None
            self._connecting.begin(lambda: Connection(self._libraries, self._name))
        if self._send_at is not None and self._send_at <= now:
            self._flush()
        if self._ask_at is not None and self._ask_at <= now:
            self._ask(now)
        at = self._ring.deadline()
        if at is not None and at <= now:
            self._perform(self._ring.on_timer(now))

    # --- corosync -------------------------------------------------------------------------------

    def _on_connected(self) -> None:
        now = self._loop.now()
        try:
            connection = self._connecting.result()
        except OperationError as error:
            if str(error) != self._said:
                self._said = str(error)
                self._note("warning", "no-corosync", why=self._said)
            self._connect_at = now + CONNECT_RETRY
            return
        self._said = ""
        self._connection = connection
        known = connection.nodelist
        self._patience, self._own_addresses = known.patience, known.addresses
        self._note("info", "corosync", node=connection.me, votes=connection.has_votes)
        self._perform(
            self._ring.connect(
                now,
                connection.me,
                known.names,
                patience=known.patience,
                has_votes=connection.has_votes,
            )
        )
        self._descriptors = connection.descriptors()
        for descriptor in self._descriptors:
            self._loop.watch(descriptor, lambda _events: self._on_corosync())
        self._ask_at = now
        self._read_carriers()
        self._on_corosync()

    def _on_corosync(self) -> None:
        if self._connection is None:
            return
        try:
            events = self._connection.poll()
        except OperationError as error:
            self._lose_corosync(str(error))
            return
        for event in events:
            self._report(event)

    def _report(self, event: RingEvent) -> None:
        now = self._loop.now()
        match event:
            case RingChanged(sequence, nodes):
                self._note("info", "ring", sequence=sequence, nodes=",".join(map(str, nodes)))
                self._perform(self._ring.ring(now, event))
            case GroupChanged():
                self._perform(self._ring.group(now, event))
            case QuorumChanged():
                self._perform(self._ring.quorum(now, event))
            case Received(sender, content):
                self._counts["received"] += 1
                try:
                    message = wire.decode(content)
                except WireError as error:
                    self._refused[error.reason] += 1
                    return
                self._perform(self._ring.receive(now, sender, message))

    def _lose_corosync(self, why: str) -> None:
        """Its end of the connection is gone: everything is told at once, then we try again."""
        if self._connection is None:
            return
        self._note("error", "corosync-gone", why=why)
        for descriptor in self._descriptors:
            self._loop.forget(descriptor)
        connection, self._connection = self._connection, None
        self._waiting.clear()
        self._waiting_bytes, self._send_at, self._ask_at = 0, None, None
        now = self._loop.now()
        self._perform(self._ring.disconnect(now, "corosync-gone"))
        if not self._asking.busy:  # else a thread is still inside: rather lose a little memory
            connection.close()
        self._connect_at = now + CONNECT_RETRY

    def _send(self, content: bytes) -> None:
        if self._connection is None:
            return
        self._waiting.append(content)
        self._waiting_bytes += len(content)
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._note("error", "corosync-takes-nothing", bytes=self._waiting_bytes)
            sys.exit(1)  # what waits is worthless by now; a new process says so to everybody
        if self._send_at is None:
            self._flush()

    def _flush(self) -> None:
        self._send_at = None
        while self._waiting and self._connection is not None:
            try:
                taken = self._connection.send(self._waiting[0])
            except OperationError as error:
                self._lose_corosync(str(error))
                return
            if not taken:
                self._counts["refused-at-first"] += 1
                self._send_at = self._loop.now() + SEND_RETRY
                return
            self._counts["sent"] += 1
            self._waiting_bytes -= len(self._waiting.popleft())

    def _ask(self, now: Instant) -> None:
        """Have a thread ask corosync; when its answer stays away, corosync itself stands still."""
        limit = self._patience // 2
        self._ask_at = now + limit // QUESTIONS
        if self._asking.busy:
            if now - self._asked > limit:
                self._perform(self._ring.stall(now))
            return
        if self._connection is not None:
            self._asked = now
            self._asking.begin(self._connection.ask)

    def _on_answer(self) -> None:
        with contextlib.suppress(OperationError):  # whoever reads the events finds out, too
            self._asking.result()

    def _read_names(self) -> None:
        if self._connection is None or self._naming.busy:
            return
        me = self._connection.me
        self._naming.begin(lambda: read_nodelist(self._libraries, me, self._name))

    def _on_named(self) -> None:
        try:
            known = self._naming.result()
        except OperationError as error:
            self._note("warning", "no-nodelist", why=str(error))
            return
        self._own_addresses = known.addresses
        self._perform(self._ring.name(self._loop.now(), known.names))
        self._read_carriers()

    # --- effects --------------------------------------------------------------------------------

    def _perform(self, wanted: effects.Effects) -> None:
        for effect in wanted:
            match effect:
                case effects.Multicast(message):
                    if isinstance(message, Beat) and len(self._waiting) > MAX_WAITING_BEATS:
                        continue  # it would prove nothing that those before it do not
                    self._send(wire.encode(message))
                case effects.Unnamed(nodes):
                    self._note("warning", "unnamed", nodes=",".join(map(str, nodes)))
                    self._read_names()
                case effects.Dropped(reason):
                    self._refused[reason] += 1
                case effects.Isolated(isolated):
                    self._isolated = isolated
                    self._tell(self._carrier_frame())
                case _:
                    self._note_change(effect)
                    for frame in _frames(effect):
                        self._tell(frame)

    def _note_change(self, effect: effects.RingEffect) -> None:
        match effect:
            case effects.Verdict(quorate, reason):
                level = "info" if quorate else "warning"
                self._note(level, "quorum" if quorate else "no-quorum", reason=reason)
            case effects.Heard(node):
                self._note("info", "node-status", node=node, status="active")
            case effects.Lost(node, left):
                status = "left" if left else "dead"
                self._note("info" if left else "warning", "node-status", node=node, status=status)
            case effects.Mute(node):
                self._note("warning", "node-status", node=node, status="without-daemon")
            case effects.Reset(node):
                self._note("info", "node-status", node=node, status="restarted")
            case _:
                return

    # --- links ----------------------------------------------------------------------------------

    def _on_link_events(self) -> None:
        self._links.read()
        self._read_carriers()

    def _read_carriers(self) -> None:
        """Compare the carriers of all our devices with what we knew; tell `cluster` of a change."""
        carriers = {link.name: link.carrier for link in self._netlink.links()}
        addresses = self._netlink.addresses()
        self._ring_devices = frozenset(a.device for a in addresses if a.ip in self._own_addresses)
        watched = self._ring_devices | set(self._devices)
        known = {name: carriers.get(name, False) for name in sorted(watched)}
        if known != self._carrier:
            for name, up in known.items():
                if self._carrier.get(name, up) != up:
                    self._note("info" if up else "warning", "carrier", device=name, up=up)
            self._carrier = known
            self._tell(self._carrier_frame())

    def _carrier_frame(self) -> frames.Carrier:
        down = tuple(name for name, up in self._carrier.items() if not up)
        cut = bool(self._ring_devices) and self._ring_devices <= set(down)
        return frames.Carrier(down, isolated=self._isolated or cut)

    # --- the cluster daemon and commands --------------------------------------------------------

    def _on_value(self, channel: Channel, value: frames.Value | frames.Payload) -> None:
        now = self._loop.now()
        match value:
            case frames.Payload(node, content):
                try:
                    self._perform(self._ring.submit(now, content, node))
                except OperationError as error:
                    self._note("error", "not-sent", why=str(error))
            case frames.Watch(devices):
                self._devices = devices
                self._adopt(channel)
                self._read_carriers()
            case frames.Leave():
                self._perform(self._ring.leave(now))
            case frames.Query():
                channel.send(frames.Reply(True, json.dumps(self._links_report())))
            case _:
                channel.close()

    def _adopt(self, channel: Channel) -> None:
        """Serve a cluster daemon: the first `Watch` says that it is one."""
        if self._cluster is channel:
            return
        self._cluster = channel
        for effect in self._ring.picture():
            if isinstance(effect, effects.Isolated):
                self._tell(self._carrier_frame())
            for frame in _frames(effect):
                self._tell(frame)

    def _on_close(self, channel: Channel) -> None:
        if self._cluster is channel:
            self._cluster = None
            self._perform(self._ring.submit(self._loop.now(), frames.GONE_PAYLOAD, ""))

    def _tell(self, value: frames.Value | frames.Payload) -> None:
        if self._cluster is not None:
            self._cluster.send(value)

    def _links_report(self) -> dict[str, object]:
        return {
            "node": self._name,
            "stack": places.COROSYNC,
            "nodes": self._ring.nodes,
            "quorum": self._ring.quorate,
            "cut_off": self._ring.why_cut,
            "carrier": self._carrier,
            "ring_devices": sorted(self._ring_devices),
            "sent": self._counts["sent"],
            "received": self._counts["received"],
            "waiting": len(self._waiting),
            "refused": dict(self._refused),
        }

    def _on_recording_ended(self, why: str) -> None:
        self._note("warning", "not-recording", why=why)

    def _note(self, level: str, event: str, **fields: object) -> None:
        self._journal.write(level, event, tuple((k, str(v)) for k, v in fields.items()))


def _frames(effect: effects.RingEffect) -> tuple[frames.Value | frames.Payload, ...]:
    """Return what the cluster daemon is told of an effect."""
    match effect:
        case effects.Verdict(quorate, reason):
            return (frames.Quorum(quorate, reason),)
        case effects.Heard(node):
            return (frames.Heard(node),)
        case effects.Lost(node, left):
            return (frames.Lost(node, left),)
        case effects.Reset(node):
            return (frames.Reset(node),)
        case effects.Mute(node):
            return (frames.Payload(node, frames.GONE_PAYLOAD),)
        case effects.Deliver(node, payload):
            return (frames.Payload(node, payload),)
        case effects.Settled():
            return (frames.Settled(),)
        case effects.Departed():
            return (frames.Left(),)
        case _:
            return ()


def main() -> None:
    """Run until SIGTERM; arguments as Places.arguments() writes them."""
    die_with_parent()
    where = places.from_arguments(sys.argv[1:])
    try:
        libraries = Libraries()
    except OperationError as error:
        sys.exit(f"standfest: {error}")
    RingDaemon(where, identity.node_name(), libraries).run()


if __name__ == "__main__":
    main()
