"""Instances that change state together: a sync group, or one instance alone.

A group becomes Active when each of its members would: while one still hears a better router, the
others wait (`Backup.ready`). It leaves when one of them leaves. So members never serve half of what
belongs together, and two routers that are each the better one for a half do not take turns.
"""

from collections.abc import Callable
from dataclasses import dataclass

from standfest.core.vrrp.effects import Effects, Notify, Subject, Told
from standfest.core.vrrp.instance import Instance
from standfest.core.vrrp.states import Active, Backup, Fault, Initialize, State
from standfest.model.time import Instant
from standfest.model.vrrp import SyncGroup


@dataclass(slots=True)
class Unit:
    """The members in the order of the settings; group None: one instance alone."""

    members: tuple[Instance, ...]
    group: SyncGroup | None = None
    told: Told | None = None

    @property
    def name(self) -> str:
        """Return the name of the group, or of the one instance."""
        return self.group.name if self.group else self.members[0].settings.name

    def apply(
        self,
        now: Instant,
        *,
        faulty: bool,
        waiting: bool,
        can_send: Callable[[Instance], bool],
    ) -> Effects:
        """Bring all members to what their dependencies allow: one fault is everybody's.

        waiting: something that a member depends on has not been looked at yet.
        """
        effects: Effects = []
        for member in self.members:
            match member.state:
                case Fault() if not faulty:
                    effects += member.start(now)
                case Initialize() if faulty:
                    effects += member.fail(now, can_send=False)
                case Initialize() if not waiting:
                    effects += member.start(now)
                case Fault() | Initialize():
                    pass
                case _ if faulty:
                    effects += member.fail(now, can_send=can_send(member))
                case _:
                    pass
        first = self.told is None
        settled = self.settle(now)
        return settled + effects if first else effects + settled

    def settle(self, now: Instant) -> Effects:
        """Promote all when all are ready; tell what has become of the group."""
        effects: Effects = []
        members = self.members
        if all(member.is_ready or member.is_active for member in members):
            for member in members:
                if member.is_ready:
                    effects += member.promote(now)
        return effects + self.tell()

    def follow(self, now: Instant, moved: Instance, before: State) -> Effects:
        """Let the others follow a member that was in the state `before` and has had an input.

        A member that has left, or that hears somebody else be Active, takes all others along.
        """
        if self.group is None:
            return []
        effects: Effects = []
        if _others_must_leave(before, moved.state):
            # Two groups of which each wins on another segment send each other away, and would do
            # so for ever: the one with the lower address waits so long that the other is first.
            extra = 1 if moved.yielded_to > moved.source else 0
            for member in self.members:
                if member.is_active:
                    effects += member.demote(now, extra_intervals=extra)
        return effects + self.settle(now)

    def tell(self) -> Effects:
        """Return the group's notification when its state is another one than the one told last."""
        if self.group is None:
            return []
        states = [member.state for member in self.members]
        if any(isinstance(state, Initialize) for state in states):
            return []
        if all(member.is_active for member in self.members):
            told = Told.MASTER
        elif any(isinstance(state, Fault) for state in states):
            told = Told.FAULT
        else:
            told = Told.BACKUP
        if told is self.told:
            return []
        self.told = told
        return [Notify(Subject.GROUP, self.group.name, told, 0)]


def _others_must_leave(before: State, after: State) -> bool:
    if not isinstance(after, Backup):
        return False
    return isinstance(before, Active) or (
        isinstance(before, Backup) and after.down_at > before.down_at
    )
