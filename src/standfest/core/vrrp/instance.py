"""One virtual router: RFC 9568 section 6.4 (and RFC 3768), with what keepalived adds to it.

A machine without I/O. It knows nothing of groups and of what is tracked: the director tells it its
priority, whether something is at fault, and (`grouped`) when its group lets it become Active.
Where it differs from keepalived so that two owners never stay: docs/adr/0014.
"""

from dataclasses import replace

from standfest.core.vrrp import moves
from standfest.core.vrrp.announcing import Announcements
from standfest.core.vrrp.effects import (
    Alert,
    Announce,
    Dropped,
    Effects,
    Notify,
    Refusal,
    SendAdvertisement,
    Subject,
    Told,
    Warned,
)
from standfest.core.vrrp.judge import Believed, Judge
from standfest.core.vrrp.states import Active, Backup, Counters, Fault, Initialize, State
from standfest.core.vrrp.timing import down_interval, skew
from standfest.core.vrrp.voice import Voice
from standfest.core.vrrp.warner import Warner
from standfest.model.advertisement import Advertisement, Arrival
from standfest.model.time import Duration, Instant, earliest, seconds
from standfest.model.vrrp import (
    MAX_PRIORITY,
    PRIORITY_OWNER,
    PRIORITY_RESIGN,
    InitialState,
    InstanceSettings,
    IPAddress,
)

STUBBORN_ADVERTS = 3
"""Advertisements in a row of a router that does not yield to our higher priority."""

RESTORE_EVERY: Duration = seconds(1)
"""How often at most addresses that somebody removes are put back."""


class Instance:
    """One virtual router on this node; `now` is monotonic ns and never goes back."""

    def __init__(self, settings: InstanceSettings, *, grouped: bool = False) -> None:
        self.settings = settings
        self.grouped = grouped
        self.state: State = Initialize()
        self.priority = settings.priority
        self.source = settings.source.packed if settings.source else b""
        self.yielded_to = b""
        self.counters = Counters()
        self._judge = Judge(settings)
        self._announcements = Announcements(settings.garp)
        self._voice = Voice(settings)
        self._warner = Warner(settings.name)
        self._stubborn: tuple[bytes, int] = (b"", 0)
        self._missing: tuple[IPAddress, ...] = ()
        self._restore_at: Instant | None = None
        self._restored_at: Instant | None = None

    # --- what the director asks -----------------------------------------------------------------

    @property
    def is_active(self) -> bool:
        """Return whether we own the addresses."""
        return isinstance(self.state, Active)

    @property
    def is_ready(self) -> bool:
        """Return whether only the group keeps us from becoming Active."""
        return isinstance(self.state, Backup) and self.state.ready

    @property
    def told(self) -> Told:
        """Return the state in the operators' words."""
        match self.state:
            case Active():
                return Told.MASTER
            case Fault():
                return Told.FAULT
            case Backup() | Initialize():
                return Told.BACKUP

    def deadline(self) -> Instant | None:
        """Return when `on_timer` wants to be called."""
        match self.state:
            case Backup() as backup:
                return None if backup.ready else backup.down_at
            case Active() as active:
                return earliest(
                    active.advertise_at, self._announcements.deadline(), self._restore_at
                )
            case Initialize() | Fault():
                return None

    # --- inputs ---------------------------------------------------------------------------------

    def start(self, now: Instant) -> Effects:
        """Begin, or begin again after a fault (RFC 9568 section 6.4.1)."""
        assert not isinstance(self.state, Backup | Active)
        settings = self.settings
        backup = self._backup(now, settings.advert_interval)
        owner = self.priority == PRIORITY_OWNER
        # keepalived lets an owner that says `state BACKUP` listen first, and so do we.
        if owner and settings.initial_state is InitialState.MASTER:
            if not self.grouped:
                return self.promote(now)
            backup = replace(backup, down_at=now, ready=True)
        self.state = backup
        return [self._notify()]

    def stop(self, now: Instant) -> Effects:
        """Let go of everything and tell the others (RFC 9568 section 6.4.3, Shutdown)."""
        del now
        effects = self._resign() if self.is_active else []
        self.state = Initialize()
        return effects

    def fail(self, now: Instant, *, can_send: bool) -> Effects:
        """Something that we depend on is missing; can_send: our own interface is not."""
        del now
        effects: Effects = []
        if self.is_active:
            effects = self._resign() if can_send else self._release()
        self.state = Fault()
        return [*effects, self._notify()]

    def promote(self, now: Instant) -> Effects:
        """Become Active: say so, take the addresses, tell the neighbours."""
        self.counters.became_active += 1
        self._stubborn, self.yielded_to = (b"", 0), b""
        self._missing, self._restore_at = (), None
        effects: Effects = [self._advertise(now)]
        effects += moves.take(self.settings)
        self._announcements.start(now)
        everything = (*self.settings.addresses, *self.settings.excluded)
        if everything and self.settings.garp.repeat:
            effects.append(Announce(self.settings.name, everything, self.settings.garp.repeat))
        return [*effects, self._notify()]

    def demote(self, now: Instant, *, extra_intervals: int = 0) -> Effects:
        """Our group is no longer Active: leave, and tell whoever waits for us.

        extra_intervals: how much longer than a down interval we wait.
        """
        effects = self._resign() if self.is_active else []
        was_active = self.is_active
        interval = self.settings.advert_interval
        self.state = self._backup(now + extra_intervals * interval, interval)
        return [*effects, self._notify()] if was_active else effects

    def set_priority(self, now: Instant, priority: int) -> Effects:
        """Change the effective priority (tracking): 1..255."""
        old, self.priority = self.priority, priority
        if old == priority:
            return []
        state = self.state
        if isinstance(state, Backup) and not state.ready:
            moved = self._skew(state.active_interval) - skew(
                self.settings.version, old, state.active_interval
            )
            self.state = replace(state, down_at=max(now, state.down_at + moved))
        if not self.settings.notify.priority_changes or isinstance(state, Initialize | Fault):
            return []
        told = Told.MASTER_PRIORITY if self.is_active else Told.BACKUP_PRIORITY
        return [Notify(Subject.INSTANCE, self.settings.name, told, priority)]

    def change(self, settings: InstanceSettings, *, grouped: bool) -> Effects:
        """Take new settings of the same virtual router without leaving the state.

        Addresses, routes and rules that are new or gone are added or removed when we are Active.
        """
        old, self.settings, self.grouped = self.settings, settings, grouped
        self._judge = Judge(settings)
        before, self._voice = self._voice, Voice(settings)
        self._voice.take_over(before)
        self._announcements.garp = settings.garp
        self._warner.forget()
        if not self.is_active:
            return []
        return moves.difference(old, settings)

    def on_advertisement(self, now: Instant, arrival: Arrival) -> Effects:
        """Take an intact advertisement with our VRID."""
        name = self.settings.name
        if isinstance(self.state, Initialize | Fault):
            return [Dropped(name, Refusal.STOPPED, self.settings.vrid)]
        effects = self._notice_pause(now)
        verdict = self._judge.judge(now, arrival, self.source, self._down(self._interval()))
        if isinstance(verdict, Refusal):
            return [*effects, *self._refuse(verdict, arrival)]
        counters, told = self.counters, arrival.advertisement
        counters.received += 1
        if told.priority == PRIORITY_RESIGN:
            counters.priority_zero_received += 1
        self._voice.hears(told.sequence)
        if verdict.mismatch is not None:
            kind = Warned(verdict.mismatch.value)
            effects += self._warner.about_router(kind, arrival.source)
        state = self.state
        if isinstance(state, Backup):
            return effects + self._backup_hears(now, state, arrival, verdict)
        return effects + self._active_hears(now, arrival, verdict)

    def on_timer(self, now: Instant) -> Effects:
        """Do what is due."""
        match self.state:
            case Backup() as backup if backup.down_at <= now and not backup.ready:
                return self._expire(now, backup)
            case Active():
                return self._notice_pause(now) or self._active_timer(now)
            case Initialize() | Fault() | Backup():
                return []

    def on_address_removed(self, now: Instant, ip: IPAddress) -> Effects:
        """Somebody else removed an address; ours is put back, but not faster than we may."""
        everything = (*self.settings.addresses, *self.settings.excluded)
        ours = any(address.ip == ip and address.track for address in everything)
        if not self.is_active or not ours or ip in self._missing:
            return []
        self._missing = (*self._missing, ip)
        last = self._restored_at
        self._restore_at = now if last is None else max(now, last + RESTORE_EVERY)
        effects: Effects = [Alert(self.settings.name, Warned.ADDRESS_REMOVED, address=ip)]
        return effects + (self._restore(now) if self._restore_at <= now else [])

    def on_active_lost(self, now: Instant, source: bytes) -> Effects:
        """BFD has lost a router: if it is the Active that we obey, that is as good as its goodbye.

        Not at once but after the skew: a better Backup may have lost it, too (docs/adr/0017).
        """
        state = self.state
        if isinstance(state, Backup) and state.heard_source == source and not state.ready:
            soon = now + self._skew(state.active_interval)
            self.state = replace(state, down_at=min(state.down_at, soon), defer_to=None)
        return []

    def on_claim(self, ip: IPAddress, mac: bytes) -> Effects:
        """A neighbour says that one of our addresses is at its MAC: say that it is here."""
        everything = (*self.settings.addresses, *self.settings.excluded)
        claimed = tuple(address for address in everything if address.ip == ip)
        if not self.is_active or not claimed:
            return []
        self.counters.claims += 1
        alert = self._warner.about_address(Warned.DUPLICATE_ADDRESS, mac, ip)
        name = self.settings.name
        return [*alert, Announce(name, claimed, 1)] if alert else []

    # --- Backup (RFC 9568 section 6.4.2) --------------------------------------------------------

    def _backup_hears(
        self, now: Instant, backup: Backup, arrival: Arrival, verdict: Believed
    ) -> Effects:
        told = arrival.advertisement
        if told.priority == PRIORITY_RESIGN:
            # The Active resigns, so wait only for a better Backup.
            if not backup.ready:
                soon = now + self._skew(backup.active_interval)
                self.state = replace(backup, down_at=soon, defer_to=None)
            return []
        deferred = verdict.mismatch is not None and arrival.source == backup.defer_to
        settings = self.settings
        if told.priority >= self.priority or not settings.preempt or deferred:
            interval = (
                max(told.interval, settings.advert_interval)
                if told.version == 2
                else (told.interval)
            )
            heard = self._obey(now, interval, arrival)
            self.state = replace(heard, defer_to=arrival.source) if deferred else heard
            return []
        if settings.preempt_delay:
            until = backup.preempt_at
            if until is None:
                until = now + settings.preempt_delay
            if now < until:
                heard = self._obey(now, told.interval, arrival)
                self.state = replace(heard, preempt_at=until)
        # Otherwise discard: our timer keeps running, and its expiry is the preemption.
        return []

    def _expire(self, now: Instant, backup: Backup) -> Effects:
        late = now - backup.down_at
        if late > self._down(backup.active_interval) and not backup.listened:
            # We did not run for so long that the Active's packets may be lost: listen once more.
            again = now + backup.active_interval + self._skew(backup.active_interval)
            self.state = replace(backup, down_at=again, listened=True)
            return []
        if self.grouped:
            self.state = replace(backup, ready=True)
            return []
        return self.promote(now)

    def _backup(self, now: Instant, active_interval: Duration) -> Backup:
        return Backup(active_interval, now + self._down(active_interval))

    def _obey(self, now: Instant, active_interval: Duration, arrival: Arrival) -> Backup:
        return replace(
            self._backup(now, active_interval),
            heard_source=arrival.source,
            heard_priority=arrival.advertisement.priority,
        )

    # --- Active (RFC 9568 section 6.4.3) --------------------------------------------------------

    def _active_hears(self, now: Instant, arrival: Arrival, verdict: Believed) -> Effects:
        told = arrival.advertisement
        if told.priority == PRIORITY_RESIGN:
            return [self._advertise(now)]
        higher = told.priority > self.priority or (
            told.priority == self.priority and arrival.source > self.source
        )
        if higher:
            self.yielded_to = arrival.source
            return self._yield(now, arrival)
        if told.priority == PRIORITY_OWNER:
            return self._warner.about_router(Warned.OWNER_CONFLICT, arrival.source)
        if verdict.mismatch is not None and self._is_stubborn(arrival.source):
            effects = self._yield(now, arrival)
            assert isinstance(self.state, Backup)
            self.state = replace(self.state, defer_to=arrival.source)
            return [*effects, *self._warner.about_router(Warned.YIELDED, arrival.source)]
        return self._assert_active(now)

    def _assert_active(self, now: Instant) -> Effects:
        """Tell a lower-priority Active, and the switches, who is Active."""
        settings = self.settings
        effects: Effects = []
        if not settings.lower_priority_no_advert:
            effects.append(self._advertise(now))
            count = self._announcements.after_lower_priority(now)
            everything = (*settings.addresses, *settings.excluded)
            if count and everything:
                effects.append(Announce(settings.name, everything, count))
        if settings.notify.master_rx_lower_priority is not None:
            told = Told.MASTER_RX_LOWER_PRI
            effects.append(Notify(Subject.INSTANCE, settings.name, told, self.priority))
        return effects

    def _yield(self, now: Instant, arrival: Arrival) -> Effects:
        effects: Effects = []
        interval = arrival.advertisement.interval
        if self.settings.higher_priority_send_advert:
            effects.append(self._advertise(now))
        effects += self._release()
        if self.settings.version == 2:
            interval = max(interval, self.settings.advert_interval)
        self.state = self._obey(now, interval, arrival)
        return [*effects, self._notify()]

    def _is_stubborn(self, source: bytes) -> bool:
        """Return whether a router goes on although it should have heard that we are Active.

        One whose settings differ from ours and that is a keepalived never accepts ours.
        """
        if self.priority == PRIORITY_OWNER:
            return False
        before, count = self._stubborn
        count = count + 1 if source == before else 1
        self._stubborn = (source, count)
        return count >= STUBBORN_ADVERTS

    def _active_timer(self, now: Instant) -> Effects:
        assert isinstance(self.state, Active)
        effects: Effects = []
        if self._restore_at is not None and self._restore_at <= now:
            effects += self._restore(now)
        if self.state.advertise_at <= now:
            effects.append(self._advertise(now))
        settings = self.settings
        everything = (*settings.addresses, *settings.excluded)
        count = self._announcements.due(now)
        if count and everything:
            effects.append(Announce(settings.name, everything, count))
        if self._announcements.extra_due(now):
            extra = moves.on_other_interfaces(settings)
            if extra:
                effects.append(Announce(settings.name, extra, 1))
        return effects

    def _notice_pause(self, now: Instant) -> Effects:
        """Let go of the addresses when we slept for so long that somebody else may have them.

        The quickest Backup there can be has priority 254.
        """
        active = self.state
        if not isinstance(active, Active):
            return []
        settings = self.settings
        interval = settings.advert_interval
        quickest = down_interval(
            settings.version, MAX_PRIORITY, interval, settings.down_timer_adverts
        )
        if now - active.sent_at < quickest:
            return []
        effects = self._release()
        self.state = self._backup(now, interval)
        return [*effects, Alert(settings.name, Warned.PAUSED), self._notify()]

    def _restore(self, now: Instant) -> Effects:
        missing, self._missing = self._missing, ()
        self._restored_at, self._restore_at = now, None
        return moves.restore(self.settings, missing)

    # --- leaving, sending, telling --------------------------------------------------------------

    def _release(self) -> Effects:
        self.counters.released_active += 1
        self._announcements.stop()
        self._restore_at = None
        return moves.release(self.settings)

    def _resign(self) -> Effects:
        effects = self._release()
        self.counters.priority_zero_sent += 1
        self.counters.sent += 1
        return [*effects, SendAdvertisement(self.settings.name, self.resignation(1))]

    def resignation(self, ahead: int) -> Advertisement:
        """Return the advertisement with priority 0, its sequence so far ahead of the last one."""
        return self._voice.resignation(ahead)

    def _advertise(self, now: Instant) -> SendAdvertisement:
        """Send, and count the interval from now on."""
        self.counters.sent += 1
        self.state = Active(now, now + self.settings.advert_interval)
        return SendAdvertisement(self.settings.name, self._voice.advertisement(self.priority))

    def _notify(self) -> Notify:
        return Notify(Subject.INSTANCE, self.settings.name, self.told, self.priority)

    def _refuse(self, reason: Refusal, arrival: Arrival) -> Effects:
        refused = self.counters.refused
        refused[reason] = refused.get(reason, 0) + 1
        effects: Effects = [Dropped(self.settings.name, reason, self.settings.vrid)]
        if reason in {Refusal.AUTHENTICATION, Refusal.AUTHENTICATION_TYPE}:
            effects += self._warner.about_router(Warned.AUTHENTICATION, arrival.source)
        elif reason is Refusal.ADDRESSES:
            effects += self._warner.about_router(Warned.ADDRESS_LIST, arrival.source)
        return effects

    def _interval(self) -> Duration:
        state = self.state
        return state.active_interval if isinstance(state, Backup) else self.settings.advert_interval

    def _skew(self, interval: Duration) -> Duration:
        return skew(self.settings.version, self.priority, interval)

    def _down(self, interval: Duration) -> Duration:
        settings = self.settings
        adverts = settings.down_timer_adverts
        return down_interval(settings.version, self.priority, interval, adverts)
