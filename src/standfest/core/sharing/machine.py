"""One member's part in a shared address: whom it votes for, what it may answer, what it says.

Inputs carry the time; effects are performed in their order: a bucket has left the packet filter
before anybody hears that it is free. Source: docs/adr/0024-load-sharing.md.
"""

from collections.abc import Mapping

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
from standfest.core.sharing.leases import Asked, Support, covered, grant
from standfest.core.sharing.peer import Peer
from standfest.core.sharing.preference import Preference
from standfest.model.sharing import (
    Answering,
    Beat,
    Buckets,
    Established,
    NoQuorum,
    SharingSettings,
    as_buckets,
    bucket_set,
)
from standfest.model.time import Duration, Instant, earliest, milliseconds

Effects = list[SharingEffect]

MARGIN_SHARE = 20
MIN_MARGIN: Duration = milliseconds(20)
"""What a lease is shorter than the deadtime: a twentieth, at least 20 ms, for clocks that differ
and timers that are late."""
PATIENCE = 2
"""Beats: nobody is found dead for so long after we have stood still ourselves."""
SILENT_SHARE = 4
"""Of the lease: so long has a member been silent for whom `ignore` does not wait."""
PROMPT_SHARE = 2
"""A voter's echo that is younger than the lease by this, when it comes, shows a good network."""


class Sharing:
    """One member, from its start to its end. `now` is monotonic ns of this machine."""

    def __init__(
        self,
        *,
        name: str,
        generation: int,
        digest: int,
        settings: SharingSettings,
        established: Established = Established.STAY,
    ) -> None:
        """Prepare; digest: of everything that all members' files must agree on."""
        self._name = name
        self._generation = generation
        self._digest = digest
        self._established = established
        self._draining = False
        self._number = 0
        self._sent: dict[int, Instant] = {}
        self._sent_at: Instant = 0
        self._patient_until: Instant = 0
        self._beat_at: Instant | None = None
        self._silent_until: Instant = 0
        self._votes: dict[str, Buckets] = {}
        self._asked = Asked()
        self._wants: Buckets = 0
        self._holds: Buckets = 0
        self._former: Buckets = 0
        self._orphaned: Buckets = 0
        self._ends: dict[Instant, Buckets] = {}
        self._expire_at: Instant | None = None
        self._horizon: Instant = 0
        self._adopted: Buckets = 0
        self._adopted_orphaned: Buckets = 0
        self._adopted_until: Instant = 0
        self._gate: Instant | None = None
        self._quorum = False
        self._standing_by = False
        self._said: Beat | None = None
        self._answered = Answering()
        self._remembered: dict[str, Buckets] = {}
        self.peers: dict[str, Peer] = {}
        self._configure(settings)

    def _configure(self, settings: SharingSettings) -> None:
        self.settings = settings
        self._all: Buckets = (1 << settings.layout.buckets) - 1
        self._lease = settings.deadtime - max(settings.deadtime // MARGIN_SHARE, MIN_MARGIN)
        self._preference = Preference(settings.members, settings.layout.buckets)
        self._positions = {one.name: at for at, one in enumerate(settings.members)}
        self.peers = {
            name: self.peers.get(name, Peer(name)) for name in self._positions if name != self._name
        }

    # --- inputs ---------------------------------------------------------------------------------

    def start(
        self,
        now: Instant,
        answering: Answering,
        left: Duration,
        votes: Mapping[str, Buckets] | None,
    ) -> Effects:
        """Begin with what a predecessor left in the filter, and for whom it had voted.

        votes: None when that is not known: then we vote for nobody for a deadtime.
        """
        for peer in self.peers.values():
            peer.heard_at = now  # whoever we voted for may have been heard just now
        if left > 0:
            self._holds = self._wants = self._adopted = as_buckets(answering.mine) & self._all
            self._adopted_orphaned = as_buckets(answering.orphaned)
            self._former = as_buckets(answering.former) & self._all & ~self._holds
            self._adopted_until = self._gate = now + left
            self._answered = answering
        if votes is None:
            self._silent_until = now + self.settings.deadtime
        else:
            self._votes = {name: some & self._all for name, some in votes.items()}
            self._remembered = dict(self._votes)
        self._beat_at = self._sent_at = now
        return self.on_timer(now)

    def on_timer(self, now: Instant) -> Effects:
        """Beat, judge silences, let leases end."""
        self._wake(now)
        due = self._beat_at is not None and self._beat_at <= now
        return self._settle(now, beat=due)

    def on_beat(self, now: Instant, beat: Beat) -> Effects:
        """Take what a member says."""
        if beat.source == self._name:
            other = beat.generation != self._generation
            return [Refused(beat.source, Refusal.OURSELVES)] if other else []
        self._wake(now)
        peer = self.peers.get(beat.source)
        if peer is None:
            return [Refused(beat.source, Refusal.UNKNOWN)]
        if not peer.take(now, beat):
            return [Refused(beat.source, Refusal.OLD)]
        effects: Effects = []
        if not peer.alive:
            peer.alive = True
            effects.append(MemberChanged(peer.name, alive=True))
        if not beat.abstains or self.settings.no_quorum is NoQuorum.IGNORE:
            peer.support = self._support(now, beat)
        return effects + self._settle(now)

    def drain(self, now: Instant, *, on: bool = True) -> Effects:
        """Give all buckets away in good order and take no more; or take part again."""
        self._draining = on
        return self._settle(now)

    def reload(self, now: Instant, settings: SharingSettings) -> Effects:
        """Take over other members or weights; what must be the same everywhere has not changed."""
        assert settings.layout == self.settings.layout
        assert settings.deadtime == self.settings.deadtime
        self._configure(settings)
        self._votes = {name: some for name, some in self._votes.items() if name in self._positions}
        return self._settle(now)

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return earliest(
            self._beat_at,
            self._expire_at,
            *(self._dead_at(peer) for peer in self.peers.values() if peer.is_waited_for),
        )

    # --- what others want to know ---------------------------------------------------------------

    @property
    def holds(self) -> Buckets:
        """Return what is answered here."""
        return self._holds

    @property
    def former(self) -> Buckets:
        """Return what was given away, but for connections that are open here."""
        return self._former

    @property
    def quorum(self) -> bool:
        """Return whether enough members hear us."""
        return self._quorum

    @property
    def draining(self) -> bool:
        """Return whether we give all away."""
        return self._draining

    @property
    def gate(self) -> Instant | None:
        """Return until when the filter answers."""
        return self._gate

    def wishes(self, now: Instant) -> dict[str, Buckets]:
        """Return who is to have which buckets, of those who are here now."""
        owners = self._preference.owners(self._present(now))
        return {name: owners.get(position, 0) for name, position in self._positions.items()}

    def _wake(self, now: Instant) -> None:
        """Find out whether we stood still: what others said meanwhile has yet to be read."""
        due = self.deadline()
        if due is None or now - due < self.settings.keepalive:
            return
        self._patient_until = now + PATIENCE * self.settings.keepalive
        # Who answers goes on; with `ignore` nobody else keeps us from taking what is another's.
        is_careful = self.settings.no_quorum is NoQuorum.IGNORE and not self._holds
        if is_careful or now - self._sent_at >= self._lease:  # to others we may be dead
            self._silent_until = max(self._silent_until, self._patient_until)

    # --- one round ------------------------------------------------------------------------------

    def _settle(self, now: Instant, *, beat: bool = False) -> Effects:
        """Bring wishes, votes and leases up to date, and say what is new."""
        effects: Effects = []
        for peer in self.peers.values():
            if peer.is_waited_for and self._dead_at(peer) <= now:
                if peer.alive:
                    effects.append(MemberChanged(peer.name, alive=False))
                peer.lose()
        effects += self._stand_by()
        self._wish(now)
        self._vote(now)
        self._count(now)
        effects += self._told_quorum(now)
        if self._votes != self._remembered:
            self._remembered = dict(self._votes)
            effects.append(Remember(self._remembered))
        effects += self._answer(now)
        return effects + self._say(now, beat=beat)

    def _stand_by(self) -> Effects:
        """Leave the address to those who share it by another layout, if they had it first."""
        others = [p for p in self.peers.values() if p.alive and p.beat.layout != self._digest]
        before, self._standing_by = (
            self._standing_by,
            any(peer.beat.holds and not self._holds for peer in others),
        )
        found: Effects = []
        for peer in others:
            if peer.told != peer.beat.layout or before != self._standing_by:
                peer.told = peer.beat.layout
                found.append(OtherLayout(peer.name, self._standing_by))
        return found

    def _wish(self, now: Instant) -> None:
        """Find what we want; what we held and want no longer is given away with this."""
        owners = self._preference.owners(self._present(now))
        preferred = 0 if self._standing_by else owners.get(self._positions[self._name], 0)
        asked = 0
        for name, position in self._positions.items():
            peer = self.peers.get(name)
            if peer is not None and position in owners:
                asked |= owners[position] & peer.beat.wants
        self._wants = preferred | (self._holds & ~asked)
        for peer in self.peers.values():
            peer.forget(~self._wants)
        given = self._holds & ~self._wants
        self._holds &= self._wants
        if self._established is Established.STAY:
            self._former |= given

    def _vote(self, now: Instant) -> None:
        """Take votes back from whoever lets go, or is dead; give those that are free."""
        wanted = {self._name: self._wants}
        wanted.update(
            (peer.name, peer.beat.wants if self._shares(peer) else 0)
            for peer in self.peers.values()
            if peer.is_heard
        )
        votes: dict[str, Buckets] = {}
        for name, some in self._votes.items():
            # Of whoever has not been heard yet we keep to what we said, for a deadtime.
            unheard = name in self.peers and self.peers[name].is_waited_for
            votes[name] = some & wanted.get(name, -1 if unheard else 0)
        free = self._all
        for some in votes.values():
            free &= ~some
        names = tuple(self._positions)
        sharing = [peer for peer in self.peers.values() if self._shares(peer)]
        answered = {peer.name: peer.beat.holds for peer in sharing}
        if not self._abstains(now):
            wishes = (answered, self.wishes(now), dict.fromkeys(names, self._all))
            grant(names, votes, wanted, free, wishes)
        elif self.settings.no_quorum is NoQuorum.IGNORE and not self._standing_by:
            # All who are heard have to agree there: who answers has everybody's vote already.
            grant(names, votes, wanted, free, (answered,))
        self._votes = {name: some for name, some in votes.items() if some}

    def _count(self, now: Instant) -> None:
        """Find what we may answer, and until when."""
        self._asked.want(self._number + 1, self._wants)
        # Our own vote has to be among them: then we know who had the bucket before.
        own = self._votes.get(self._name, 0) & self._wants
        supports = [self._own_support(own)]
        supports += [Support(one.buckets & own, one.until) for one in self._supports(now)]
        ends = covered(supports, self._needed())
        if self._adopted_until > now:
            fresh = 0
            for until, some in ends.items():
                fresh |= some if until > self._adopted_until else 0
            self._adopted &= self._wants & ~fresh
            if self._adopted:
                ends = {until: some & ~self._adopted for until, some in ends.items()}
                ends[self._adopted_until] = ends.get(self._adopted_until, 0) | self._adopted
        # What ends before the rest goes before the rest would be closed with it.
        early = self._guard if any(until > now + self._guard for until in ends) else 0
        self._ends = {until: some for until, some in ends.items() if until > now + early and some}
        self._expire_at = min(self._ends) - early if self._ends else None
        self._holds = 0
        for some in self._ends.values():
            self._holds |= some & self._wants
        self._former &= ~self._holds

    def _told_quorum(self, now: Instant) -> Effects:
        """Judge whether we may answer at all."""
        everything = [self._own_support(1)]
        everything += [Support(1, one.until) for one in self._supports(now)]
        ends = covered(everything, self._needed())
        self._horizon = max(*ends, now, self._adopted_until)
        before, self._quorum = self._quorum, self._horizon > now
        if not self._quorum:
            self._former = 0  # others think that we are dead, and reset our connections
        return [QuorumChanged(self._quorum)] if before != self._quorum else []

    def _answer(self, now: Instant) -> Effects:
        """Tell the filter what has changed, or to go on."""
        taken = self._adopted & ~self._adopted_orphaned if self._adopted_until > now else 0
        self._orphaned = self._holds & ~self._open_elsewhere() & ~taken
        if self._holds or self._former:
            gate = min([self._horizon, *self._ends]) if self._ends else self._horizon
        else:
            gate = None
        answering = self._answering()
        if answering != self._answered or (gate is None) != (self._gate is None):
            self._answered, self._gate = answering, gate
            return [Answer(answering, gate)]
        if gate is not None and self._gate is not None and gate >= self._gate + self._guard:
            self._gate = gate
            return [Renew(gate)]
        return []

    def _open_elsewhere(self) -> Buckets:
        """Return the buckets of which others may have connections, by all that we hear.

        Whoever has voted for us since another let a bucket go has heard of that, if we have not.
        """
        found = 0
        for peer in self.peers.values():
            found |= peer.beat.former | peer.beat.known
        return found

    def _answering(self) -> Answering:
        before = self._answered
        if (
            as_buckets(before.mine) == self._holds
            and as_buckets(before.orphaned) == self._orphaned
            and as_buckets(before.former) == self._former
        ):
            return before
        return Answering(
            bucket_set(self._holds), bucket_set(self._orphaned), bucket_set(self._former)
        )

    def _say(self, now: Instant, *, beat: bool) -> Effects:
        """Say how things are, when it is time or when that is new."""
        abstains = self._abstains(now)
        said = self._said
        news = (
            said is None
            or said.wants != self._wants
            or said.holds != self._holds
            or said.former != self._former
            or said.known != self._former_of_others()
            or said.draining != self._draining
            or said.abstains != abstains
            or said.votes != self._votes
        )
        if not (beat or news) or self._beat_at is None:
            return []
        self._number += 1
        self._sent[self._number] = self._sent_at = now
        for number in [n for n, at in self._sent.items() if at + self.settings.deadtime <= now]:
            del self._sent[number]
        if self._beat_at <= now:
            missed = (now - self._beat_at) // self.settings.keepalive
            self._beat_at += (missed + 1) * self.settings.keepalive
        self._said = Beat(
            self._name,
            self._generation,
            self._number,
            self._digest,
            self._draining,
            abstains,
            self._wants,
            self._holds,
            self._former,
            self._former_of_others(),
            dict(self._votes),
            {peer.name: peer.newest for peer in self.peers.values() if peer.is_heard},
        )
        return [Send(self._said)]

    # --- inside ---------------------------------------------------------------------------------

    @property
    def _guard(self) -> Duration:
        return self.settings.keepalive // 4

    def _needed(self) -> int:
        """Return how many have to support a bucket, ourselves among them."""
        if self.settings.no_quorum is NoQuorum.IGNORE:
            return 1 + sum(1 for peer in self.peers.values() if self._counts(peer))
        return len(self._positions) // 2 + 1

    def _supports(self, now: Instant) -> list[Support]:
        """Return what the others' votes are worth."""
        if self.settings.no_quorum is NoQuorum.STOP:
            return [one.support for one in self.peers.values() if one.support.until > now]
        return [self._lasting(now, one) for one in self.peers.values() if self._counts(one)]

    def _own_support(self, buckets: Buckets) -> Support:
        """Return our own vote: as long as nobody can think that we are dead."""
        return Support(buckets, self._sent_at + self._lease)

    def _counts(self, peer: Peer) -> bool:
        """Return whether `ignore` has to ask for this one's vote.

        Whoever has just started and has not heard us yet answers nothing, or what it has adopted:
        for more it asks us. So it takes nothing from us if we may answer already. Whoever may be
        there, and has not been heard since we have started, may answer.
        """
        if not peer.alive:
            return peer.is_waited_for
        asks = not peer.beat.abstains and not self._quorum
        answers = peer.beat.holds != 0 or asks
        return self._shares(peer) and (self._hears_us(peer) or answers)

    def _lasting(self, now: Instant, peer: Peer) -> Support:
        """Return a vote that lasts while its voter is silent, if it heard us well until then.

        Whoever is silent is on its way out, and must not take us with it.
        """
        one = peer.support
        silent = now - peer.heard_at >= self._lease // SILENT_SHARE
        if silent and one.until - peer.heard_at >= self._lease // PROMPT_SHARE:
            return Support(one.buckets, peer.heard_at + self.settings.deadtime + self._guard)
        return one

    def _support(self, now: Instant, beat: Beat) -> Support:
        """Return what a beat promises us."""
        generation, number = beat.echoes.get(self._name, (0, 0))
        at = self._sent.get(number) if generation == self._generation else None
        if at is None or beat.layout != self._digest:
            return Support(0, now)
        return Support(beat.votes.get(self._name, 0) & self._asked.by(number), at + self._lease)

    def _present(self, now: Instant) -> frozenset[int]:
        """Return the positions of those who can take buckets: who does not hear us cannot."""
        found = {
            self._positions[peer.name]
            for peer in self.peers.values()
            if self._shares(peer)
            and self._hears_us(peer)
            and not (peer.beat.draining or peer.beat.abstains)
        }
        if not self._draining and not self._abstains(now):
            found.add(self._positions[self._name])
        return frozenset(found)

    def _former_of_others(self) -> Buckets:
        found = 0
        for peer in self.peers.values():
            found |= peer.beat.former
        return found

    def _hears_us(self, peer: Peer) -> bool:
        generation, number = peer.beat.echoes.get(self._name, (0, 0))
        return generation == self._generation and number in self._sent

    def _shares(self, peer: Peer) -> bool:
        return peer.is_heard and peer.beat.layout == self._digest

    def _abstains(self, now: Instant) -> bool:
        return self._standing_by or now < self._silent_until

    def _dead_at(self, peer: Peer) -> Instant:
        return max(peer.heard_at + self.settings.deadtime, self._patient_until)
