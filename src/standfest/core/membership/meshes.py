"""Whom this node takes for a member: what all say of whom they hear, and how long that lasts.

A machine without I/O. `pulse` says whom this node hears; every node's cluster daemon states the
same of itself. A node that is silent to all is given up at once. Where the statements contradict
each other (a link that works one way, a bridge), the best view (`views.best_view`) is taken when it
has been the same for a deadtime: by then whoever died is missed by all, and a link that flaps
faster than that changes nothing. After two deadtimes it is taken in any case.
"""

from dataclasses import dataclass, replace

from standfest.core.membership.views import Statement, Votes, best_view, mutual, within_reach
from standfest.model.settings import MAX_NODES
from standfest.model.time import Duration, Instant, earliest


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a statement to `destination`, or to all when it is None."""

    statement: Statement
    destination: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What changes: who comes into this node's view (again: was out of it), and who goes.

    outvoted: this node is in no view but its own, although it hears others; only then it has no
    say. tells: what is to be sent.
    """

    came: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    outvoted: bool = False
    tells: tuple[Tell, ...] = ()


class Meshes:
    """One node's part; `now` is monotonic ns.

    view: the other members; heard: whom `pulse` hears; out: who is heard and no member.
    """

    def __init__(self, name: str, session: int, patience: Duration) -> None:
        """Know nobody; patience: how long a contradiction lasts before it counts."""
        self.name = name
        self.view: frozenset[str] = frozenset()
        self.heard: set[str] = set()
        self.out: frozenset[str] = frozenset()
        self.outvoted = False
        self._decided: frozenset[str] = frozenset()  # out by a decision, and heard since
        self._patience = patience
        self._own = Statement(name, session, 0, ())
        self._said: dict[str, Statement] = {}
        self._passed: dict[tuple[str, str], tuple[int, int]] = {}
        self._speaks = False
        self._silent_until: Instant | None = None
        self._pending: tuple[frozenset[str], bool] | None = None
        self._since: Instant = 0
        self._open: Instant = 0
        self._dirty = False

    # --- inputs ---------------------------------------------------------------------------------

    def settle(self) -> None:
        """All have been heard, or given up: from now on this node states whom it hears."""
        self._speaks = self._dirty = True

    def hear(self, node: str) -> None:
        """`pulse` hears a node, or hears it anew."""
        self.heard.add(node)
        self.again(node)

    def again(self, node: str) -> None:
        """What we told a node may be lost."""
        self._passed = {key: kept for key, kept in self._passed.items() if key[0] != node}
        self._dirty = True

    def miss(self, node: str, *, left: bool = False) -> None:
        """`pulse` does not hear a node any more."""
        self.heard.discard(node)
        if left:
            self.forget(node)
            self.view -= {node}
        self.again(node)

    def forget(self, node: str) -> None:
        """A node's cluster daemon has gone: it says nothing any more."""
        self._said.pop(node, None)
        self._dirty = True

    def clear(self) -> None:
        """Nobody is heard any more: this node stood still."""
        self.heard.clear()
        self._said.clear()
        self._passed.clear()
        self.view = self.out = self._decided = frozenset()
        self.outvoted = False
        self._pending, self._dirty = None, True

    def learn(self, sender: str, statement: Statement) -> None:
        """A node says whom it hears, or whom another one does."""
        node, known = statement.node, self._said.get(statement.node)
        if node == self.name or len(statement.hears) > MAX_NODES:
            return
        if known is None and len(self._said) >= MAX_NODES:
            return
        if known is not None:
            if known.session == statement.session and known.number >= statement.number:
                return
            if known.session != statement.session and not self._later(known, sender, statement):
                return
        self._said[node] = statement
        self._dirty = True
        before = known.hears if known is not None and known.session == statement.session else ()
        if self.name in statement.hears and self.name not in before:
            self.again(node)  # what we said before it heard us it has not read

    def _later(self, known: Statement, sender: str, statement: Statement) -> bool:
        """Return whether a statement is of a later daemon of its node than the one known.

        The node knows it best, then who hears it. By hearsay the later start counts, whatever the
        clock was: two that swapped what they know of two daemons would never come to an end.
        """
        node, theirs = statement.node, self._said.get(sender)
        if sender == node or node in self.heard:
            return sender == node
        hears_it = theirs is not None and node in theirs.hears
        return hears_it or statement.session > known.session

    # --- what follows ---------------------------------------------------------------------------

    def deadline(self) -> Instant | None:
        """Return when a contradiction has lasted long enough, or this node begins to speak."""
        due = self._due if self._pending is not None else None
        return earliest(due, None if self._speaks else self._silent_until)

    @property
    def _due(self) -> Instant:
        """Return when what is pending is done.

        It has been the same for a deadtime then, or something has been pending for two: whatever
        else comes and goes meanwhile, who does not hear a member is not one for ever.
        """
        return min(self._since + self._patience, self._open + 2 * self._patience)

    def known(self, node: str) -> Statement | None:
        """Return what a node said last, as far as is known here."""
        return self._said.get(node)

    def heard_of(self) -> set[str]:
        """Return whom those hear that we hear, and that know a later roster than we do."""
        said = (self._said[node] for node in self.heard if node in self._said)
        later = (statement for statement in said if statement.roster > self._own.roster)
        return {node for statement in later for node in statement.hears} - {self.name}

    def why_out(self, node: str) -> str:
        """Return why a node is no member, for people."""
        said = self._everything()
        for other in sorted({self.name, *self.view} - {node}):
            if not mutual(said, other, node):
                heard_by = other in said and node in said[other].hears
                one, two = (node, other) if heard_by else (other, node)
                return f"{one} does not hear {two}"
        return "heard again, not for long enough yet"

    def weigh(
        self, now: Instant, leader: str, votes: Votes, roster: tuple[int, int] = (0, 0)
    ) -> Verdict:
        """Return what changes by all that is known now; votes: of a set of nodes."""
        self._begin(now)
        due = self._pending is not None and self._due <= now
        if (leader, roster) != (self._own.leader, self._own.roster):
            self._dirty = True
        if not (self._dirty or due):
            return Verdict(outvoted=self.outvoted)
        self._dirty = False
        tells = self._state(leader, roster)
        said = self._everything()
        best = best_view(said, self.name, votes)
        wanted = frozenset(best - {self.name}) if self.name in best else frozenset[str]()
        outvoted = self.name not in best
        before = self.view, self.out
        # At once: whom nobody hears goes, and who is new comes.
        listeners = {n for n in self.heard if n in self._said}
        unheard = {
            n
            for n in self.view - self.heard
            if not any(n in self._said[other].hears for other in listeners - {n})
        }
        new = wanted - self._decided if not self.outvoted else frozenset[str]()
        self.view = self.view - unheard | new
        self._decided &= frozenset(self.heard)
        if not self.heard:
            self.outvoted = False
        if (self.view, self.outvoted) == (wanted, outvoted):
            self._pending = None
        else:
            if self._pending is None:
                self._open = now
            if self._pending != (wanted, outvoted):
                self._pending, self._since = (wanted, outvoted), now
            if self._due <= now:
                self._pending = None
                self.view, self.outvoted = wanted, outvoted
                self._decided = frozenset(self.heard - wanted)
        self.out = frozenset(self.heard - self.view)
        came = self.view - before[0]
        return Verdict(
            tuple(sorted(came)),
            tuple(sorted(came & before[1])),
            tuple(sorted(before[0] - self.view)),
            self.outvoted,
            (*tells, *self._pass_on(said)),
        )

    def _begin(self, now: Instant) -> None:
        """Speak before all are heard or given up, half of our patience after we heard anybody.

        So who does not hear a member is outvoted before it joins and is given anything.
        """
        if self.heard and self._silent_until is None:
            self._silent_until = now + self._patience // 2
        if not self._speaks and self._silent_until is not None and self._silent_until <= now:
            self._speaks = self._dirty = True

    def _everything(self) -> dict[str, Statement]:
        own = replace(self._own, hears=tuple(sorted(self.heard)))
        return {**self._said, self.name: own}

    def _state(self, leader: str, roster: tuple[int, int]) -> list[Tell]:
        """Say whom we hear, if that, the coordinator or the roster is another than before."""
        own = self._own
        said = replace(own, hears=tuple(sorted(self.heard)), leader=leader, roster=roster)
        if not self._speaks or (own.number and said == own):
            return []
        self._own = replace(said, number=own.number + 1)
        for node in self.heard:
            if mutual(self._said, node, self.name):
                self._passed[node, self.name] = (own.session, own.number + 1)
        return [Tell(self._own)]

    def _pass_on(self, said: dict[str, Statement]) -> list[Tell]:
        """Tell whom we hear what it cannot hear itself; once."""
        tells: list[Tell] = []
        if not self._own.number:
            return tells
        known = within_reach(said, self.name) & said.keys()
        for node in sorted(self.heard):
            theirs = self._said.get(node)
            if theirs is None or self.name not in theirs.hears:
                missing = [self.name] if theirs is None else []
            else:
                missing = [self.name, *sorted(known.difference(theirs.hears, {node}))]
            for origin in missing:
                statement = self._own if origin == self.name else said[origin]
                mark = (statement.session, statement.number)
                if self._passed.get((node, origin)) != mark:
                    self._passed[node, origin] = mark
                    tells.append(Tell(statement, node))
        return tells
