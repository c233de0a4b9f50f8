"""The process `cluster`: this node's part in deciding what runs where, and in doing it.

It drives `runtime.cluster.ClusterMember` over `pulse`'s socket, the disk and the agents, and
answers the commands of administrators. All decisions are the member's; here are only the hands.
"""

import json
import os
import random
import signal
import socket
import sys
import time
import uuid
from functools import partial

from standfest.adapters.linux import fenceagents
from standfest.adapters.linux.agentrunner import BuiltIn, LinuxAgentRunner
from standfest.adapters.linux.host import LinuxHost
from standfest.adapters.linux.store import FileStore
from standfest.agents.invoke import invoke
from standfest.agents.registry import built_in
from standfest.daemons import hosts, identity, places, reading, seed, thisboot
from standfest.daemons.admission import document, refused, requested
from standfest.daemons.alerting import Alerting
from standfest.daemons.archives import Archives
from standfest.daemons.process import die_with_parent, settle_memory
from standfest.model.errors import Ground, OperationError, WireError
from standfest.model.operations import ExitCode
from standfest.model.quorum import Counted, Lease, QuorumRules, Reached
from standfest.model.settings import Autojoin
from standfest.model.time import (
    Duration,
    Instant,
    earliest,
    in_milliseconds,
    milliseconds,
    seconds,
)
from standfest.ports.fencing import FenceEnded
from standfest.runtime import channel as channels
from standfest.runtime import frames
from standfest.runtime.channel import Channel, Listener
from standfest.runtime.cluster import effects, protocol, stored
from standfest.runtime.cluster.member import ClusterMember
from standfest.runtime.cluster.printing import Printer
from standfest.runtime.cluster.quorumreport import quorum_report
from standfest.runtime.cluster.report import report
from standfest.runtime.cluster.settings import ClusterSettings, session_of
from standfest.runtime.journal import Journal
from standfest.runtime.loop import Loop, since_boot
from standfest.runtime.recording import recorder as recording

RING_WAIT: Duration = seconds(5)
"""How long `ring` may be away: then what corosync says counts as no, and everything is let go."""

PULSE_RETRY: Duration = milliseconds(20)
"""How soon to try again when `pulse` cannot be reached; it is restarting."""

PAUSE_ANSWER_S = 1.0
"""How long to wait for `pulse` to say whether the whole node stood still."""

DISK_RETRY: Duration = seconds(1)

TICKS = 8
"""How often in a deadtime this daemon turns at least, so that a pause is noticed as one."""

EXIT_STALLED = 75  # EX_TEMPFAIL of sysexits.h: the supervisor starts us again


class ClusterDaemon:
    """Feeds the member and performs its effects in order."""

    def __init__(
        self,
        where: places.Places,
        member: ClusterMember,
        store: FileStore,
        deadtime: Duration | None,
    ) -> None:
        self._where = where
        self._journal = Journal(where.run_dir, member.name, "cluster")
        recorder = recording.begin(where.run_dir, "cluster", member.name, self._on_recording_ended)
        self._member = recorder.attach("member", member)
        self._store = store
        self._loop = Loop(self._deadline, self._on_timer, clock=since_boot, on_turn=self._on_turn)
        self._deadtime = deadtime
        self._turned = self._loop.now()
        self._tick_at: Instant | None = None if deadtime is None else self._turned
        self._pulse_spoke: Instant = self._turned
        self._runner = LinuxAgentRunner(
            find_built_in=_built_in,
            make_host=LinuxHost,
            on_line=lambda resource, line: self._note(
                effects.note("agent-says", effects.Level.DEBUG, resource=resource, line=line)
            ),
        )
        self._fencer = LinuxAgentRunner(
            find_built_in=lambda _name: None,
            make_host=LinuxHost,
            on_line=lambda device, line: self._note(
                effects.note("fence-agent-says", effects.Level.DEBUG, device=device, line=line)
            ),
        )
        self._archives = Archives(self._loop, where, self._on_not_kept)
        self._alerting = Alerting(self._loop, lambda: self._member.cib.configuration, self._note)
        self._pulse: Channel | None = None
        self._pulse_gone_at: Instant | None = None
        self._retry_at: Instant | None = 0
        self._clients: dict[int, Channel] = {}
        self._next_client = 1
        self._watching: tuple[str, ...] | None = None
        self._leaving = False
        self._printer, self._saved = Printer(), Printer()
        self._arbiter: Channel | None = None
        self._arbiter_status: dict[str, object] = {}
        self._presence: frames.Present | None = None

    def run(self) -> None:
        """Serve until this node has left the cluster."""
        Listener(self._loop, self._where.cluster_socket, self._on_command, self._on_client_gone)
        self._loop.watch(self._runner.fileno(), lambda _events: self._on_runs())
        self._loop.watch(self._fencer.fileno(), lambda _events: self._on_runs())
        self._archives.begin(self._member.cib)
        self._loop.on_signal(signal.SIGTERM, self._on_terminate)
        self._loop.on_signal(signal.SIGINT, lambda: None)
        settle_memory()
        self._loop.run()
        self._alerting.farewell()

    # --- time -----------------------------------------------------------------------------------

    def _deadline(self) -> Instant | None:
        gone = self._pulse_gone_at
        let_go = None if gone is None else gone + RING_WAIT
        others = self._retry_at, let_go, self._tick_at, self._alerting.deadline()
        return earliest(self._member.deadline(), *others)

    def _on_timer(self) -> None:
        now = self._loop.now()
        if self._deadtime is not None and self._tick_at is not None and self._tick_at <= now:
            self._tick(now, self._deadtime)
        if self._retry_at is not None and self._retry_at <= now:
            self._connect()
        if self._pulse_gone_at is not None and self._pulse_gone_at + RING_WAIT <= now:
            self._pulse_gone_at = None
            self._without_ring(now)
        at = self._member.deadline()
        if at is not None and at <= now:
            self._perform(self._member.on_timer(now, self._loop.wall()))
        self._alerting.end_late()

    def _moment(self) -> tuple[Instant, int]:
        """Return the time for an input, once what ran out before it is acted on."""
        now, wall = self._loop.now(), self._loop.wall()
        self._perform(self._member.expire(now, wall))
        return now, wall

    def _on_turn(self) -> None:
        """Before anything is looked at that came while we stood still, if we did.

        `pulse` says whether the whole node was paused. If only we were, the others may have been
        told that this node is without us: then we start anew, and look before we act.
        """
        now = self._loop.now()
        gap, self._turned = now - self._turned, now
        if self._deadtime is None or gap < self._deadtime or self._pulse is None:
            return
        self._note(effects.note("stood-still", effects.Level.WARNING, ms=in_milliseconds(gap)))
        self._pulse_spoke = now
        try:
            question = frames.Query("pause")
            answer = channels.request(self._where.pulse_socket, question, PAUSE_ANSWER_S)
        except OperationError:
            answer = None
        if not isinstance(answer, frames.Reply):
            self._paused(gap)  # whatever happened to `pulse`: the others do not hear us
            return
        state = json.loads(answer.text)
        if not state["served"]:
            sys.exit(EXIT_STALLED)
        if state["woke"] is not None and state["woke"] < gap:
            self._paused(gap)

    def _paused(self, duration: Duration) -> None:
        self._perform(self._member.paused(self._loop.now(), self._loop.wall(), duration))

    def _tick(self, now: Instant, deadtime: Duration) -> None:
        """Show `pulse` that we turn; end one that does not: nobody hears this node then."""
        self._tick_at = now + max(deadtime // TICKS, milliseconds(50))
        if self._pulse is None:
            return
        self._pulse.send(frames.Alive())
        silence = now - self._pulse_spoke
        if self._pulse is not None and silence >= deadtime:
            self._note(
                effects.note("pulse-silent", effects.Level.ERROR, ms=in_milliseconds(silence))
            )
            self._pulse.kill_peer()
            self._pulse.close()
            self._paused(silence)

    # --- pulse ----------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._retry_at = None
        try:
            endpoint = channels.connect(self._where.pulse_socket)
        except OperationError:
            self._retry_at = self._loop.now() + PULSE_RETRY
            return
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)
        self._pulse = Channel(self._loop, endpoint, self._on_pulse, self._on_pulse_gone)
        self._pulse_spoke = self._loop.now()
        self._watching = None
        self._watch_devices()
        self._tell_roster()

    def _remember_roster(self, nodes: tuple[str, ...], removed: tuple[str, ...]) -> None:
        try:
            hosts.remember(self._where, nodes, removed)
        except OSError as error:  # the CIB has it, and tells `pulse` again at the next start
            self._note(
                effects.note("cannot-cache-nodes", effects.Level.WARNING, why=error.strerror)
            )

    def _tell_roster(self) -> None:
        roster = self._member.partition.roster
        if self._pulse is not None and self._where.stack != places.COROSYNC:
            self._pulse.send(frames.Enrolled(roster.nodes, roster.removed))

    def _without_ring(self, now: Instant) -> None:
        """Nobody says any more whether corosync still has this node: act as if it had not."""
        wall = self._loop.wall()
        self._perform(self._member.tell(now, wall, Counted(False, "no-ring")))
        self._perform(self._member.carrier(now, wall, (), isolated=True))

    def _on_pulse_gone(self, _channel: Channel) -> None:
        self._pulse = None
        now = self._loop.now()
        self._retry_at = now + PULSE_RETRY
        if self._where.stack == places.COROSYNC:
            self._pulse_gone_at = now

    def _on_pulse(self, _channel: Channel, value: frames.Value | frames.Payload) -> None:
        now, wall = self._moment()
        self._pulse_spoke = now
        match value:
            case frames.Paused(duration):
                self._paused(duration)
            case frames.Payload(node, content):
                try:
                    message = protocol.decode(content)
                except WireError as error:
                    self._note(
                        effects.note(
                            "not-understood", effects.Level.WARNING, node=node, why=error.reason
                        )
                    )
                    return
                self._perform(self._member.receive(now, wall, node, message))
            case frames.Heard(node):
                self._perform(self._member.appear(now, wall, node))
            case frames.Lost(node, left):
                self._perform(self._member.vanish(now, wall, node, left=left))
            case frames.Reset(node):
                self._perform(self._member.reset(now, wall, node))
            case frames.Settled():
                self._perform(self._member.settle(now, wall))
            case frames.Carrier(down, isolated):
                self._perform(self._member.carrier(now, wall, down, isolated=isolated))
            case frames.Pings(reached, lost):
                self._perform(self._member.pinged(now, wall, reached, lost))
            case frames.Quorum(quorate, reason):
                self._pulse_gone_at = None
                self._perform(self._member.tell(now, wall, Counted(quorate, reason)))
            case frames.Left():
                self._loop.stop()
            case _:
                return

    def _watch_devices(self) -> None:
        devices = self._member.devices()
        if self._pulse is not None and devices != self._watching:
            self._watching = devices
            self._pulse.send(frames.Watch(devices))

    # --- agents ---------------------------------------------------------------------------------

    def _on_runs(self) -> None:
        """Runs have ended; those that could not even start did so without a descriptor."""
        for ended in self._runner.poll():
            now, wall = self._moment()
            self._perform(self._member.run_ended(now, wall, ended))
        for ended in self._fencer.poll():
            now, wall = self._moment()
            fenced = FenceEnded(ended.run, ended.exit_code == ExitCode.OK, ended.reason)
            self._perform(self._member.fence_ended(now, wall, fenced))

    def _on_not_kept(self, what: str) -> None:
        self._note(effects.note(f"cannot-keep-{what}", effects.Level.WARNING))

    # --- administrators -------------------------------------------------------------------------

    def _on_command(self, client: Channel, value: frames.Value | frames.Payload) -> None:
        match value:
            case frames.Query("cib-xml"):
                client.send(document(client, self._member.cib, self._printer))
            case frames.Promise():
                if refused(client, self._member.cib):
                    client.close()
                else:
                    self._on_promise(client, value)
            case frames.Query() if why := refused(client, self._member.cib, report=True):
                client.send(frames.Reply(False, why, Ground.NOT_ALLOWED))
            case frames.Query("quorum"):
                found = quorum_report(self._member.partition, self._arbiter_status)
                client.send(frames.Reply(True, json.dumps(found)))
            case frames.Query():
                answer = json.dumps(report(self._member, value.what))
                client.send(frames.Reply(True, answer))
            case frames.Command():
                try:
                    request = requested(value, client, self._member.cib)
                except OperationError as error:
                    client.send(frames.Reply(False, str(error), error.ground))
                    return
                number = self._next_client
                self._next_client += 1
                self._clients[number] = client
                now, wall = self._moment()
                self._perform(self._member.ask(now, wall, number, request))
            case _:
                client.close()

    def _on_promise(self, client: Channel, promise: frames.Promise) -> None:
        """The arbiter speaks for the tiebreaker; the first word says that it is there."""
        if self._arbiter is not client:
            self._arbiter, self._presence = client, None
        self._arbiter_status = json.loads(promise.status)
        lease = Lease(promise.since, promise.votes_until, promise.kept_until)
        now, wall = self._moment()
        self._perform(self._member.tell(now, wall, lease))
        self._perform(self._member.tell(now, wall, Reached(promise.reachable)))

    def _tell_arbiter(self) -> None:
        if self._arbiter is None:
            return
        known = self._member.partition.presence(self._member.executor.history())
        presence = frames.Present(
            tuple(sorted(known.view)), known.since, known.votes, known.enough, known.busy
        )
        if presence != self._presence:
            self._presence = presence
            self._arbiter.send(presence)

    def _on_client_gone(self, client: Channel) -> None:
        if client is self._arbiter:
            self._arbiter, self._arbiter_status = None, {}
        self._clients = {n: other for n, other in self._clients.items() if other is not client}

    def _on_terminate(self) -> None:
        if not self._leaving:
            self._leaving = True
            self._perform(self._member.depart(self._loop.now(), self._loop.wall()))

    # --- effects --------------------------------------------------------------------------------

    def _perform(self, wanted: list[effects.MemberEffect]) -> None:
        for effect in wanted:
            match effect:
                case effects.Send(destination, message):
                    if self._pulse is not None:
                        content = protocol.encode(message)
                        self._pulse.send(frames.Payload(destination or "", content))
                case effects.StartRun(run, operation):
                    self._runner.start(run, operation)
                case effects.KillRun(run):
                    self._runner.kill(run)
                case effects.FenceRun(number, call):
                    self._fencer.start(number, fenceagents.operation_of(call))
                case effects.FenceKill(number):
                    self._fencer.kill(number)
                case effects.Save(cib, promised):
                    self._save(stored.to_bytes(cib, promised, self._saved))
                    self._archives.keep_configuration(cib)
                case effects.KeepInput():
                    self._archives.keep(effect)
                case effects.Answer(client, accepted, text, ground):
                    if client in self._clients:
                        self._clients.pop(client).send(frames.Reply(accepted, text, ground))
                case effects.RememberAll():
                    thisboot.remember(self._where.seen_all)
                case effects.Enrolled(nodes, removed):
                    self._remember_roster(nodes, removed)
                    self._tell_roster()
                case effects.Acquaint(nodes, removed):
                    if self._pulse is not None and self._where.stack != places.COROSYNC:
                        self._pulse.send(frames.Enrolled(nodes, removed))
                case effects.LeaveCluster():
                    self._leave()
                case effects.Alert():
                    self._alerting.tell(effect)
                case effects.Note():
                    self._note(effect)
        self._on_runs()
        self._watch_devices()
        self._tell_arbiter()
        self._alerting.go_on()

    def _save(self, content: bytes) -> None:
        try:
            self._store.save(content)
        except OSError as error:
            # Going on would promise what is not on disk. The supervisor starts us again.
            self._note(effects.note("cannot-save", effects.Level.ERROR, why=error.strerror))
            raise

    def _leave(self) -> None:
        thisboot.forget(self._where.begun)
        if self._pulse is None:
            self._loop.stop()
        else:
            self._pulse.send(frames.Leave())

    def _on_recording_ended(self, why: str) -> None:
        self._note(effects.note("not-recording", effects.Level.WARNING, why=why))

    def _note(self, event: effects.Note) -> None:
        self._journal.write(event.level.value, event.event, event.fields)


def _built_in(name: str) -> BuiltIn | None:
    agent = built_in(name)
    return None if agent is None else partial(invoke, agent)


def _rules(where: places.Places) -> QuorumRules:
    heartbeat, _ = reading.heartbeat_settings(where.ha_dir)
    return reading.quorum_settings(where.ha_dir, heartbeat).rules


def main() -> None:
    """Run until this node has left; arguments as Places.arguments() writes them."""
    die_with_parent()
    where = places.from_arguments(sys.argv[1:])
    node = identity.node_name()
    installation = reading.installation(where, node)
    on_corosync = where.stack == places.COROSYNC
    store = FileStore(where.stored_cib)
    loaded = seed.load(store, where.cib_files, installation.nodes, votes=on_corosync)
    member = ClusterMember(
        ClusterSettings(
            name=node,
            nodes=tuple(sorted(installation.nodes)),
            instance=str(uuid.UUID(bytes=os.urandom(16))),
            initdead=installation.initdead,
            settle=installation.settle,
            rules=None if on_corosync else _rules(where),
            seen_all=thisboot.remembered(where.seen_all),
            autojoin=installation.autojoin is not Autojoin.NONE,
            pinging=installation.pinging,
            succeeds=thisboot.remembered(where.begun),
            deadtime=installation.deadtime or seconds(2),
        ),
        session_of(time.time_ns(), random.SystemRandom().getrandbits(10)),
        loaded.cib,
        loaded.promised,
        since_boot(),
    )
    thisboot.remember(where.begun)
    if on_corosync:
        # Until `ring` says what the votes are.
        member.tell(since_boot(), 0, Counted(False, "not-asked-yet"))
    ClusterDaemon(where, member, store, installation.deadtime).run()


if __name__ == "__main__":
    main()
