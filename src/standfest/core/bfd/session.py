"""One BFD session in asynchronous mode (RFC 5880 section 6.8), as a machine without I/O.

No echo, no authentication, never demand mode of our own; a neighbour that demands silence gets it.
Single hop by RFC 5881 when `max_hops` is 0.
"""

from typing import Protocol

from standfest.core.bfd.effects import Dropped, Effects, Refusal, SendControl, SessionChanged
from standfest.model.bfd import BfdPacket, BfdState, Diagnostic
from standfest.model.director import BfdInstance
from standfest.model.time import Duration, Instant, earliest, microseconds, seconds

SLOW: Duration = seconds(1)
"""Nobody sends faster than this before the session is up (RFC 5880 section 6.8.3)."""

ANY_HOPS = 255
HOP_LIMIT_OF_KEEPALIVED = 64
"""What keepalived sends for IPv6 where RFC 5881 has 255."""


class Random(Protocol):
    """The part of random.Random that the machine needs."""

    def randint(self, a: int, b: int, /) -> int:
        """Return an integer N with a <= N <= b."""


class Session:
    """One neighbour; `discriminator` is ours: not 0, and no other session's."""

    def __init__(self, settings: BfdInstance, discriminator: int, random: Random) -> None:
        assert discriminator != 0
        self.settings = settings
        self.discriminator = discriminator
        self._random = random
        self.state = BfdState.DOWN
        self.diagnostic = Diagnostic.NONE
        self.remote_discriminator = 0
        self._remote_state = BfdState.DOWN
        self._remote_min_rx: Duration = microseconds(1)
        self._remote_min_tx: Duration = 0
        self._remote_multiplier = 0
        self._remote_demand = False
        self._tx_in_use = max(settings.idle_tx, SLOW)
        self._polling = False
        self._send_at: Instant | None = None
        self._sent_at: Instant | None = None
        self._detect_at: Instant | None = None
        sent = HOP_LIMIT_OF_KEEPALIVED if settings.neighbor.version == 6 else 255
        self._min_ttl = (settings.ttl or sent) - settings.max_hops

    # --- inputs ---------------------------------------------------------------------------------

    def start(self, now: Instant) -> Effects:
        """Begin: send at once unless we are passive."""
        if self.settings.passive:
            return []
        return self._send(now)

    def stop(self, now: Instant) -> Effects:
        """Say that an administrator took the session down, and fall silent."""
        del now
        if self.state is BfdState.ADMIN_DOWN:
            return []
        self.state, self.diagnostic = BfdState.ADMIN_DOWN, Diagnostic.ADMINISTRATIVELY_DOWN
        self._send_at = self._detect_at = None
        return [SendControl(self.settings.name, self._packet()), self._changed()]

    def on_packet(self, now: Instant, ttl: int, packet: BfdPacket) -> Effects:
        """Take an intact packet that was found to be for this session (section 6.8.6)."""
        name = self.settings.name
        if self.settings.max_hops != ANY_HOPS and ttl < self._min_ttl:
            return [Dropped(name, Refusal.TTL)]
        if self.state is BfdState.ADMIN_DOWN:
            return [Dropped(name, Refusal.ADMIN_DOWN)]
        self.remote_discriminator = packet.my_discriminator
        self._remote_state = packet.state
        self._remote_demand = packet.demand
        self._remote_min_rx = packet.required_min_rx
        self._remote_min_tx = packet.desired_min_tx
        self._remote_multiplier = packet.multiplier
        if packet.final and self._polling:
            self._polling = False
            self._tx_in_use = self._desired_min_tx()
        effects = self._decide(packet.state)
        self._detect_at = now + self._detection_time()
        if packet.poll:
            effects.append(SendControl(name, self._packet(final=True)))
        return effects + self._reschedule(now, urgent=bool(effects) and not packet.poll)

    def on_timer(self, now: Instant) -> Effects:
        """Send, and judge the neighbour's silence."""
        effects: Effects = []
        if self._detect_at is not None and self._detect_at <= now:
            effects += self._silent()
        if self._send_at is not None and self._send_at <= now:
            if self._may_send():
                effects += self._send(now)
            else:
                self._send_at = None
        return effects

    def deadline(self) -> Instant | None:
        """Return when `on_timer` wants to be called."""
        return earliest(self._send_at, self._detect_at)

    # --- the state machine (section 6.2) --------------------------------------------------------

    def _decide(self, heard: BfdState) -> Effects:
        before = self.state
        match before:
            case BfdState.DOWN if heard is BfdState.DOWN:
                self.state = BfdState.INIT
            case BfdState.DOWN if heard is BfdState.INIT:
                self.state = BfdState.UP
            case BfdState.INIT if heard in {BfdState.INIT, BfdState.UP}:
                self.state = BfdState.UP
            case BfdState.INIT if heard is BfdState.ADMIN_DOWN:
                self.state, self.diagnostic = BfdState.DOWN, Diagnostic.NEIGHBOR_SIGNALED_DOWN
            case BfdState.UP if heard in {BfdState.DOWN, BfdState.ADMIN_DOWN}:
                self.state, self.diagnostic = BfdState.DOWN, Diagnostic.NEIGHBOR_SIGNALED_DOWN
            case _:
                pass
        if self.state is before:
            return []
        if self.state is BfdState.UP:
            self.diagnostic = Diagnostic.NONE
            self._polling = True  # our interval has changed: section 6.8.3 wants a poll
            self._tx_in_use = min(self._tx_in_use, self._desired_min_tx())
        elif before is BfdState.UP:
            self._slow_down()
        return [self._changed()]

    def _silent(self) -> Effects:
        """The detection time has passed (section 6.8.4)."""
        self._detect_at = None
        self.remote_discriminator = 0
        self._remote_demand = False
        self._remote_min_rx = microseconds(1)
        if self.state not in {BfdState.INIT, BfdState.UP}:
            return []
        self.state, self.diagnostic = BfdState.DOWN, Diagnostic.DETECTION_TIME_EXPIRED
        self._slow_down()
        return [self._changed()]

    def _slow_down(self) -> None:
        self._polling = False
        self._tx_in_use = self._desired_min_tx()

    # --- intervals (sections 6.8.2, 6.8.3, 6.8.7) -----------------------------------------------

    def _desired_min_tx(self) -> Duration:
        if self.state is BfdState.UP:
            return self.settings.min_tx
        return max(self.settings.idle_tx, SLOW)

    def _detection_time(self) -> Duration:
        return self._remote_multiplier * max(self.settings.min_rx, self._remote_min_tx)

    def _may_send(self) -> bool:
        if self.remote_discriminator == 0 and self.settings.passive:
            return False
        if self._remote_min_rx == 0 and not self._polling:
            return False
        both_up = self.state is BfdState.UP and self._remote_state is BfdState.UP
        return not (self._remote_demand and both_up and not self._polling)

    def _wait(self) -> Duration:
        """Return the time to the next packet: 75 to 100 % of the interval, 90 % at multiplier 1."""
        interval = max(self._tx_in_use, self._remote_min_rx)
        most = 90 if self.settings.multiplier == 1 else 100
        return interval * self._random.randint(75 * 100, most * 100) // 10_000

    def _send(self, now: Instant) -> Effects:
        self._sent_at = now
        self._send_at = now + self._wait()
        return [SendControl(self.settings.name, self._packet())]

    def _reschedule(self, now: Instant, *, urgent: bool) -> Effects:
        """Send at once when our state has changed, else not later than the new interval allows."""
        if not self._may_send():
            self._send_at = None
            return []
        if urgent or self._sent_at is None:
            return self._send(now)
        latest = self._sent_at + self._wait()
        if self._send_at is None or latest < self._send_at:
            self._send_at = max(now, latest)
        return []

    def _packet(self, *, final: bool = False) -> BfdPacket:
        return BfdPacket(
            state=self.state,
            diagnostic=self.diagnostic,
            multiplier=self.settings.multiplier,
            my_discriminator=self.discriminator,
            your_discriminator=self.remote_discriminator,
            desired_min_tx=self._desired_min_tx(),
            required_min_rx=self.settings.min_rx,
            poll=self._polling and not final,
            final=final,
        )

    def _changed(self) -> SessionChanged:
        up = self.state is BfdState.UP
        return SessionChanged(self.settings.name, up, self.state, self.diagnostic)
