"""One member of a shared address: beats and time to the machine, its effects to the world.

It decides nothing: `core.sharing` does. What the kernel answers outlives it for the rest of the
lease, and a successor adopts it. A fork of the supervisor, with real-time priority.
"""

import json
import os
import pickle
import signal
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from standfest.adapters.linux.sharing.selection import choose, limits, open_filter
from standfest.core.sharing.effects import (
    Answer,
    MemberChanged,
    OtherLayout,
    QuorumChanged,
    Refusal,
    Refused,
    Remember,
    Renew,
    Send,
    SharingEffect,
)
from standfest.core.sharing.machine import Sharing
from standfest.daemons.director.words import Words
from standfest.daemons.process import become_realtime, die_with_parent, name_process, settle_memory
from standfest.daemons.sharing.beats import Beats
from standfest.daemons.sharing.errands import Errands
from standfest.daemons.sharing.ledger import Ledger
from standfest.daemons.sharing.probes import Probes
from standfest.daemons.sharing.reading import Task
from standfest.daemons.sharing.report import report
from standfest.model.errors import OperationError
from standfest.model.sharing import FOREVER, Answering
from standfest.model.time import Duration, Instant, earliest, in_milliseconds, seconds
from standfest.ports.sharing import BucketFilter
from standfest.runtime import frames
from standfest.runtime.channel import Channel, Listener
from standfest.runtime.loop import Loop
from standfest.wire.sharing import Errand, Verb

END, READY = b"end", b"ready"
"""The supervisor's word for the end, and what it hears when the address is there."""
MAX_NEWS = 256 * 1024
LEAVE_TIMEOUT: Duration = seconds(2)
"""Beyond a deadtime: so long do we wait for the others to take over before we go anyway."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """What a member finds at its birth: its line to the supervisor, words, where it is asked.

    generation: of this start; greater than all that the other members have heard of it.
    """

    generation: int
    run_dir: Path
    news: socket.socket
    words: socket.socket

    def socket_of(self, name: str) -> Path:
        """Return where commands ask."""
        return socket_path(self.run_dir, name)


def socket_path(run_dir: Path, name: str) -> Path:
    """Return where commands ask a member of the shared address of this name."""
    return run_dir / f"share-{name}.sock"


class Daemon:
    """One member, from its fork to its end."""

    def __init__(self, task: Task, rooms: Rooms) -> None:
        """Open what is needed but the address; raises OperationError."""
        self._task, self._rooms = task, rooms
        shared = task.file.shared
        self._words = Words(rooms.words, f"share-{shared.name}")
        self._ledger = Ledger(rooms.run_dir / f"share-{shared.name}.votes")
        self._loop = Loop(self._deadline, self._on_timer)
        self._beats = Beats(task)
        self._target = choose(shared, task.file.target)
        self._filter: BucketFilter = open_filter(shared, self._target)
        self._machine = Sharing(
            name=task.name,
            generation=rooms.generation,
            digest=task.digest,
            settings=task.file.settings,
            established=shared.established,
        )
        self._errands = Errands(task.name, self._machine, self._beats.send)
        self._probes = Probes(task.name, self._machine, self._beats.send, self._beats.send_to_mac)
        self._refused: Counter[str] = Counter()
        self._leave_at: Instant | None = None

    def run(self) -> None:
        """Take part until the supervisor says that it is over."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.on_signal(number, lambda: None)  # they mean the supervisor
        for fileno in self._beats.descriptors():
            self._loop.watch(fileno, lambda _events: self._on_datagram())
        self._loop.watch(self._rooms.news.fileno(), lambda _events: self._on_news())
        path = self._rooms.socket_of(self._task.file.shared.name)
        Listener(self._loop, path, self._on_value, lambda _channel: None)
        answering, left = self._adopted()
        votes, draining = self._ledger.read()
        settle_memory()
        if self._task.file.realtime:
            for trouble in become_realtime():
                self._words.warn(f"without {trouble}")
        self._say_begin(answering, left)
        now = self._loop.now()
        if draining:
            self._machine.drain(now, on=True)
        self._perform(self._machine.start(now, answering, left, votes))
        self._rooms.news.send(READY)
        self._loop.run()

    def _adopted(self) -> tuple[Answering, Duration]:
        """Open the filter; return what it answers already, and for how long."""
        answering, left = self._filter.open()
        if left == FOREVER:  # by a command, without a daemon
            left = self._task.file.settings.deadtime
            self._filter.renew(left)
        return answering, left

    def _say_begin(self, answering: Answering, left: Duration) -> None:
        shared = self._task.file.shared
        addresses = ", ".join(str(address) for address in shared.addresses)
        self._words.say(
            f"{self._task.name} shares {addresses} on {shared.interface} as {shared.mac.hex(':')} "
            f"by {self._target.value}"
        )
        if not limits(self._target).leases:
            self._words.warn(
                f"{self._target.value} ends no lease: whatever kills us leaves our buckets answered"
            )
        if left > 0:
            self._words.say(
                f"adopting {len(answering.mine)} buckets for {in_milliseconds(left)} ms"
            )

    # --- inputs ---------------------------------------------------------------------------------

    def _deadline(self) -> Instant | None:
        return earliest(
            self._machine.deadline(),
            self._errands.deadline(),
            self._probes.deadline(),
            self._leave_at,
        )

    def _on_timer(self) -> None:
        now = self._loop.now()
        due = self._machine.deadline()
        if due is not None and due <= now:
            self._perform(self._machine.on_timer(now))
        self._errands.on_timer(now)
        self._probes.on_timer(now)
        if self._leave_at is not None and self._leave_at <= now:
            self._words.warn("nobody has taken over everything: leaving all the same")
            self._leave()

    def _on_datagram(self) -> None:
        heard = self._beats.receive()
        if heard is None:
            return
        now = self._loop.now()
        if isinstance(heard, Errand):
            if self._errands.is_for_us(now, heard):
                self._run_errand(heard)
            return
        self._perform(self._machine.on_beat(now, heard))
        self._errands.on_beat(heard)

    def _run_errand(self, errand: Errand) -> None:
        match errand.verb:
            case Verb.DRAIN | Verb.UNDRAIN:
                self._words.say(f"{errand.source} asks: {errand.verb.value}")
                self._drain(on=errand.verb is Verb.DRAIN)
            case Verb.PROBE:
                self._probes.on_probe(errand)
            case Verb.HEARD:
                self._probes.on_heard(errand)

    def _on_news(self) -> None:
        try:
            news = self._rooms.news.recv(MAX_NEWS)
        except BlockingIOError:
            return
        if news in (END, b""):
            self._begin_leaving()
        else:
            self._take_over(pickle.loads(news))  # noqa: S301  from our own supervisor

    def _take_over(self, task: Task) -> None:
        """Go over to what the file says now; the supervisor has seen that this is possible."""
        before, self._task = self._task, task
        self._beats.use(task)
        if before.file.heartbeats != task.file.heartbeats:
            raise OperationError("heartbeats go to other addresses: starting again")
        self._perform(self._machine.reload(self._loop.now(), task.file.settings))
        self._words.say("the file is read again")

    # --- effects --------------------------------------------------------------------------------

    def _perform(self, effects: list[SharingEffect]) -> None:
        for effect in effects:
            match effect:
                case Remember(votes):
                    self._ledger.vote(votes)
                case Answer(answering, until):
                    self._answer(answering, until)
                case Renew(until):
                    left = until - self._loop.now()
                    if left > 0:
                        self._filter.renew(left)
                case Send(beat):
                    self._errands.note(self._loop.now(), beat)
                    if not self._beats.send(beat) and self._beats.is_another_interface():
                        raise OperationError("the interface is gone, or a new one")
                case MemberChanged(member, alive):
                    self._changed(member, alive=alive)
                case QuorumChanged(quorum):
                    self._quorum(quorum=quorum)
                case Refused(member, refusal):
                    self._count(member, refusal)
                case OtherLayout(member, standing_by):
                    self._other_layout(member, standing_by=standing_by)
        if self._leave_at is not None and self._is_relieved():
            self._leave()

    def _answer(self, answering: Answering, until: Instant | None) -> None:
        left = until - self._loop.now() if until is not None else None
        if left is not None and left <= 0:
            answering, left = Answering(), None  # too late: the machine is about to see that, too
        self._filter.answer(answering, left)

    def _changed(self, member: str, *, alive: bool) -> None:
        if alive:
            self._words.say(f"{member} is here")
        else:
            self._words.warn(f"{member} has been silent for the deadtime")

    def _quorum(self, *, quorum: bool) -> None:
        if quorum:
            self._words.say("enough members hear us: answering")
        else:
            self._words.warn("too few members hear us: answering nothing")

    def _count(self, member: str, refusal: Refusal) -> None:
        first = not self._refused[refusal.value]
        self._refused[refusal.value] += 1
        if first and refusal is Refusal.OURSELVES:
            self._words.warn(f"another machine says that it is {member}, too; expected one")
        elif first and refusal is Refusal.UNKNOWN:
            self._words.warn(f"{member} is heard, but is no member in our file")

    def _other_layout(self, member: str, *, standing_by: bool) -> None:
        self._words.warn(
            f"{member} shares by other settings; expected the same addresses, mode, buckets, "
            f"seed, mac, deadtime, established and no_quorum"
        )
        if standing_by:
            self._words.warn(f"{member} answers already: we answer nothing")

    # --- commands -------------------------------------------------------------------------------

    def _on_value(self, channel: Channel, value: frames.Value | frames.Payload) -> None:
        match value:
            case frames.Query("status"):
                found = report(self._loop.now(), self._task, self._machine)
                found |= {"target": self._target.value, "beats": self._counters()}
                channel.send(frames.Reply(True, json.dumps(found)))
            case frames.Command(Verb.PROBE.value):
                self._probes.begin(self._loop.now(), partial(_reply, channel.send))
            case frames.Command(Verb.DRAIN.value | Verb.UNDRAIN.value as verb, node=member):
                self._command(Verb(verb), member or self._task.name, channel.send)
            case _:
                channel.send(frames.Reply(False, "nobody knows this command"))

    def _command(self, verb: Verb, member: str, reply: Callable[[frames.Reply], None]) -> None:
        if member == self._task.name:
            self._drain(on=verb is Verb.DRAIN)
            reply(frames.Reply(True, f"{member}: {verb.value}"))
            return
        self._errands.begin(self._loop.now(), verb, member, partial(_reply, reply))

    def _drain(self, *, on: bool) -> None:
        if self._leave_at is None:
            self._ledger.drain(on=on)
            self._perform(self._machine.drain(self._loop.now(), on=on))

    def _counters(self) -> dict[str, object]:
        return {
            "sent": self._beats.sent,
            "failed": self._beats.failed,
            "received": self._beats.received,
            "refused": dict(sorted((self._beats.refused + self._refused).items())),
        }

    # --- the end --------------------------------------------------------------------------------

    def _begin_leaving(self) -> None:
        if self._leave_at is None:
            now = self._loop.now()
            self._leave_at = now + self._task.file.settings.deadtime + LEAVE_TIMEOUT
            self._perform(self._machine.drain(now, on=True))

    def _is_relieved(self) -> bool:
        """Return whether the others answer everything, or there is nobody who could."""
        others = [
            peer.beat
            for peer in self._machine.peers.values()
            if peer.alive and peer.beat.layout == self._task.digest
        ]
        if all(beat.draining or beat.abstains for beat in others):
            return True
        held = 0
        for beat in others:
            held |= beat.holds
        everything = (1 << self._task.file.shared.layout.buckets) - 1
        return not self._machine.holds and held == everything

    def _leave(self) -> None:
        self._filter.close(keep=False)
        self._ledger.forget()
        self._rooms.socket_of(self._task.file.shared.name).unlink(missing_ok=True)
        self._words.say("left")
        self._leave_at = None
        self._loop.stop()


def _reply(reply: Callable[[frames.Reply], None], accepted: bool, text: str) -> None:
    reply(frames.Reply(accepted, text))


def take_part(task: Task, rooms: Rooms) -> int:
    """Be a member; return the exit status."""
    die_with_parent()
    name_process("sf-share")
    os.umask(0o077)
    try:
        Daemon(task, rooms).run()
    except (OperationError, OSError) as error:
        Words(rooms.words, f"share-{task.file.shared.name}").warn(str(error))
        return 1
    return 0
