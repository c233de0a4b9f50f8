"""A coordinator's fencing: the machine's view of the cluster, its calls as messages, its history.

What a confirmed fencing means for the cluster is the coordinator's to say; see docs/adr/0028.
"""

import random
from dataclasses import replace

from standfest.core.fencing.effects import (
    Begun,
    Call,
    Confirmed,
    Ending,
    Failed,
    FencingEffect,
    Withdrawn,
)
from standfest.core.fencing.machine import Fencing as Machine
from standfest.core.fencing.plan import Scene
from standfest.model.fencing import FencingRecord, FencingState
from standfest.model.time import Instant, in_milliseconds
from standfest.runtime.cluster import protocol
from standfest.runtime.cluster.effects import Level, MemberEffect, Send, note
from standfest.runtime.cluster.ledger import Ledger

Effects = list[MemberEffect]
Result = tuple[Effects, list[Ending]]

MOST_RECORDS = 100
"""How many fencings are remembered."""

WITHDRAWN = "not wanted any more"
"""Why a fencing was given up of which nothing is under way."""


class Fencing:
    """Fencing of one term. records: what its predecessor's members know, oldest first.

    None: nobody has told this member; what others know is not to be replaced by nothing.

    Inputs return effects and what has ended. Chance is drawn from the daemon's identity, which is
    chance itself, so that two coordinators of a cluster that fell apart wait differently long.
    """

    _told = False  # a recording of before it was there (runtime.recording) has no value for it

    def __init__(self, ledger: Ledger, records: tuple[FencingRecord, ...] | None) -> None:
        settings = ledger.settings
        self._ledger = ledger
        self._machine = Machine(Scene(settings.name, frozenset()))
        seed = f"{settings.instance} {settings.name} {ledger.term}"
        self._chance = random.Random(seed)  # noqa: S311  a delay, no secret
        self.records = tuple(_orphaned(record) for record in records or ())
        self._told = records is not None
        self._begun = 0

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return self._machine.deadline()

    # --- inputs ---------------------------------------------------------------------------------

    def request(
        self, now: Instant, wall: int, node: str, action: str, *, origin: str = ""
    ) -> tuple[Effects, bool]:
        """Fence a node; return also whether something is being done about it now."""
        self._look()
        draw = self._chance.random()
        settle = 0 if node in self._ledger.joined else self._ledger.settings.settle
        wanted = self._machine.request(
            now, node, action, draw=draw, settle=settle, asked=bool(origin)
        )
        effects, _ = self._carried(wall, wanted, origin)
        if wanted:
            effects += self.publish()
        return effects, self._machine.busy(node, action)

    def confirm(self, wall: int, node: str, origin: str) -> Result:
        """An administrator on the node `origin` says that nothing runs on a node."""
        if self._open(node, "off") is None:
            self._keep(wall, node, "off", origin)
        else:
            self._change(node, "off", origin=origin)
        return self._result(wall, self._machine.confirm(node))

    def want(self, wall: int, wanted: set[tuple[str, str]]) -> Effects:
        """These fencings are what the newest decision asks for."""
        return self._result(wall, self._machine.want(wanted))[0]

    def stand_down(self, wall: int) -> Effects:
        """This partition may fence nobody any more."""
        return self._result(wall, self._machine.stand_down())[0]

    def ended(self, now: Instant, wall: int, message: protocol.Fenced) -> Result:
        """A member has called an agent."""
        if message.term != self._ledger.term:
            return [], []
        self._look()
        ended = self._machine.on_ended(
            now, message.run, succeeded=message.succeeded, reason=message.reason
        )
        return self._result(wall, ended)

    def member_lost(self, now: Instant, wall: int, node: str) -> Result:
        """This member calls nothing for us any more."""
        self._look()
        return self._result(wall, self._machine.on_member_lost(now, node))

    def news(self, now: Instant, wall: int) -> Result:
        """Something has changed: another attempt may do better."""
        self._look()
        return self._result(wall, self._machine.news(now))

    def on_timer(self, now: Instant, wall: int) -> Result:
        """Do what is due."""
        at = self._machine.deadline()
        if at is None or at > now:
            return [], []
        self._look()
        return self._result(wall, self._machine.on_timer(now))

    def publish(self) -> Effects:
        """Tell all members what was fenced lately."""
        history = protocol.FencingHistory(self._ledger.term, self.records)
        return [Send(None, history), Send(self._ledger.settings.name, history)]

    @property
    def tells(self) -> bool:
        """Return whether who joins is to be told of records, or that none are left."""
        return bool(self.records) or self._told

    def knows(self, node: str) -> bool:
        """Return whether a node is on record, or of the cluster."""
        on_record = any(record.target == node for record in self.records)
        return on_record or node in self._ledger.roster().nodes

    def forget(self, node: str, origin: str) -> tuple[Effects, str]:
        """Drop the records of a node, or of all if it is empty; returns also the sentence for it.

        Only records: the machine goes on with what it is to fence, and what is under way stays
        on record, since how it ends is noted there.
        """
        kept = tuple(
            record
            for record in self.records
            if record.state is FencingState.UNDER_WAY or node not in {"", record.target}
        )
        number = len(self.records) - len(kept)
        self.records, self._told = kept, True
        effects: Effects = [
            note("fencing-forgotten", node=node or "*", records=number, origin=origin),
            *self.publish(),
        ]
        return effects, f"{number} fencings of {node or 'all nodes'} are forgotten"

    # --- the machine's view ---------------------------------------------------------------------

    def _look(self) -> None:
        ledger = self._ledger
        configuration = ledger.configuration()
        members = frozenset(ledger.joined | {ledger.settings.name})
        states = {node: ledger.state(node) for node in ledger.roster().nodes}
        attributes = {entry.name: dict(entry.attributes) for entry in configuration.nodes}
        for node, state in states.items():
            attributes[node] = attributes.get(node, {}) | dict(state.attributes)
        there = [state for node, state in states.items() if node in members]
        active = {
            device.id: frozenset(state.name for state in there if state.runs(device.id))
            for device in configuration.fencing.devices
        }
        self._machine.scene = Scene(
            ledger.settings.name, members, configuration.fencing, active, attributes
        )

    def _result(self, wall: int, wanted: list[FencingEffect]) -> Result:
        effects, endings = self._carried(wall, wanted)
        return effects + (self.publish() if endings else []), endings

    def _carried(self, wall: int, wanted: list[FencingEffect], origin: str = "") -> Result:
        """Return effects of the machine as effects of the member, and note what has ended."""
        effects: Effects = []
        endings: list[Ending] = []
        for effect in wanted:
            match effect:
                case Call(run, executor, call):
                    effects.append(Send(executor, protocol.Fence(self._ledger.term, run, call)))
                case Begun(target, action):
                    if self._open(target, action) is None:
                        self._keep(wall, target, action, origin)
                    effects.append(
                        note("fencing-started", Level.WARNING, node=target, action=action)
                    )
                case Confirmed():
                    endings.append(effect)
                    effects.append(self._confirmed(wall, effect))
                case Failed():
                    endings.append(effect)
                    effects.append(self._failed(wall, effect))
                case Withdrawn(target, action):
                    endings.append(effect)
                    state, reason = FencingState.FAILED, WITHDRAWN
                    self._change(target, action, state=state, ended=wall, reason=reason)
                    effects.append(note("fencing-withdrawn", node=target, action=action))
        return effects, endings

    def _confirmed(self, wall: int, done: Confirmed) -> MemberEffect:
        state = FencingState.DONE if done.executor else FencingState.CONFIRMED
        self._change(
            done.target,
            done.action,
            state=state,
            ended=wall,
            executor=done.executor,
            devices=done.devices,
            reason="",
        )
        by = done.executor or "an administrator"
        devices = ",".join(done.devices)
        return note(
            "fenced", Level.WARNING, node=done.target, action=done.action, by=by, devices=devices
        )

    def _failed(self, wall: int, failed: Failed) -> MemberEffect:
        over = failed.again is None
        self._change(
            failed.target,
            failed.action,
            state=FencingState.FAILED if over else FencingState.UNDER_WAY,
            ended=wall if over else 0,
            attempts=failed.attempts,
            reason=failed.reason,
        )
        again = "on news" if failed.again is None else f"in {in_milliseconds(failed.again)} ms"
        return note(
            "fencing-failed",
            Level.ERROR,
            node=failed.target,
            action=failed.action,
            attempts=failed.attempts,
            again=again,
            reason=failed.reason,
        )

    # --- history --------------------------------------------------------------------------------

    def _open(self, node: str, action: str) -> FencingRecord | None:
        for record in reversed(self.records):
            alike = record.target == node and (record.action == "on") == (action == "on")
            if alike and record.state is FencingState.UNDER_WAY:
                return record
        return None

    def _keep(self, wall: int, node: str, action: str, origin: str) -> None:
        self._begun += 1
        identifier = f"{self._ledger.term}-{self._begun}"
        record = FencingRecord(identifier, node, action, FencingState.UNDER_WAY, origin, wall)
        self.records = (*self.records, record)[-MOST_RECORDS:]

    def _change(self, node: str, action: str, **fields: object) -> None:
        known = self._open(node, action)
        if known is not None:
            changed = replace(known, **fields)  # type: ignore[arg-type]
            self.records = tuple(changed if r is known else r for r in self.records)


def _orphaned(record: FencingRecord) -> FencingRecord:
    """Return a record whose coordinator is gone: how it ended will never be known."""
    if record.state is not FencingState.UNDER_WAY:
        return record
    return replace(record, state=FencingState.FAILED, reason="the coordinator has changed")
