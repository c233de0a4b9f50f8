"""One virtual service: which of its servers count, with which weight, and whether they are enough.

Source: keepalived.conf(5): quorum, hysteresis, sorry_server, inhibit_on_failure, alpha, omega.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from standfest.core.balancer.effects import Drained, PoolEffect, QuorumChanged, ServerChanged
from standfest.model.balancing import RealServer, SorryServer, VirtualService
from standfest.model.forwarding import Destination, DestinationKey
from standfest.model.time import Duration, Instant, earliest

MAX_WEIGHT = 65535
NOT_CHECKED = "not checked yet"
RAMP_STEPS = 10
"""In how many steps a server that comes back reaches its weight (slow start)."""

Effects = list[PoolEffect]


@dataclass(slots=True)
class _Server:
    settings: RealServer
    failed: dict[str, str] = field(default_factory=dict)  # checker -> why
    weight: int = 0  # what the configuration or a dynamic checker says
    added: dict[str, int] = field(default_factory=dict)  # checker -> what a file adds
    drained: bool = False
    drain_until: Instant | None = None
    step: int = RAMP_STEPS  # of slow start; RAMP_STEPS: at its full weight
    step_at: Instant | None = None  # when the next step is due

    @property
    def up(self) -> bool:
        return not self.failed

    @property
    def wanted(self) -> int:
        """Return the weight without slow start: 0 while drained or failed."""
        if self.failed or self.drained:
            return 0
        return max(0, min(MAX_WEIGHT, self.weight + sum(self.added.values())))


class Pool:
    """One service's state; servers go by their position in the configuration.

    number: this service's position, for effects. slow_start: how long a server that comes back
    takes to its full weight, 0 at once.
    """

    def __init__(self, number: int, settings: VirtualService, *, slow_start: Duration = 0) -> None:
        self.number = number
        self.settings = settings
        self.slow_start = slow_start
        self._servers = [_Server(s, weight=s.weight) for s in settings.servers]
        self.quorate = True

    def inherit(self, before: "Pool") -> None:
        """Take over what is known of the servers that an earlier configuration had, too.

        Weights are the new configuration's, except where a dynamic checker has found another one
        and the configured one is the same. Whose checkers have changed is told by `retain`.
        """
        known = {(s.settings.ip, s.settings.port): s for s in before._servers}
        for state in self._servers:
            old = known.get((state.settings.ip, state.settings.port))
            if old is None:
                continue
            state.failed, state.added = dict(old.failed), dict(old.added)
            state.drained, state.drain_until = old.drained, old.drain_until
            state.step, state.step_at = old.step, old.step_at
            if old.settings.weight == state.settings.weight:
                state.weight = old.weight
        self.quorate = before.quorate

    # --- what checkers say ----------------------------------------------------------------------

    def start(self, down: Collection[tuple[int, str]], *, anew: bool = True) -> Effects:
        """Begin; down: (server, checker) of those that count as failed until they succeed.

        Nobody is told that a server is down that never was up; a quorum that is not there is told.
        anew: the service was not there before, so that its quorum has to be gained; else it is
        kept as long as it is not lost.
        """
        for server, checker in down:
            self._servers[server].failed[checker] = NOT_CHECKED
        if anew:
            self.quorate = self.weight() >= self.settings.quorum + self.settings.hysteresis
            if not self.quorate:
                return [QuorumChanged(self.number, False, self.weight(), self.settings.quorum)]
        return self._count()

    def checker_changed(
        self, now: Instant, server: int, checker: str, *, up: bool, reason: str
    ) -> Effects:
        """A checker's verdict on a server is another one: all of them must be good."""
        state = self._servers[server]
        before = state.up
        if up:
            state.failed.pop(checker, None)
        else:
            state.failed[checker] = reason
        if state.up == before:
            return []
        self._ramp(now, state)
        return [ServerChanged(self.number, server, state.up, reason), *self._count()]

    def retain(self, server: int, checkers: Collection[str]) -> Effects:
        """Checkers that a server no longer has have no say any more."""
        state = self._servers[server]
        before = state.up
        state.failed = {name: why for name, why in state.failed.items() if name in checkers}
        state.added = {name: more for name, more in state.added.items() if name in checkers}
        if state.up == before:
            return self._count()
        return [ServerChanged(self.number, server, True, "not checked any more"), *self._count()]

    def weight_found(self, server: int, weight: int) -> Effects:
        """A dynamic checker says which weight the server should have."""
        self._servers[server].weight = weight
        return self._count()

    def weight_added(self, server: int, checker: str, weight: int) -> Effects:
        """A tracked file adds to the weight."""
        self._servers[server].added[checker] = weight
        return self._count()

    # --- what administrators say ----------------------------------------------------------------

    def drain(self, server: int, until: Instant | None = None) -> Effects:
        """Give a server no new connections; until: when it counts as drained, whatever is left."""
        state = self._servers[server]
        state.drained, state.drain_until = True, until
        return self._count()

    def undrain(self, now: Instant, server: int) -> Effects:
        """Let a server take part again."""
        state = self._servers[server]
        state.drained, state.drain_until = False, None
        self._ramp(now, state)
        return self._count()

    def connections(self, now: Instant, server: int, active: int) -> Effects:
        """How many connections a server that is being drained still has."""
        state = self._servers[server]
        late = state.drain_until is not None and state.drain_until <= now
        if not state.drained or (active > 0 and not late):
            return []
        state.drain_until = None
        return [Drained(self.number, server, active)]

    def standing(self, server: int) -> tuple[int, int]:
        """Return (weight that a server has now, weight that it is going to have)."""
        state = self._servers[server]
        return self._destination(state).weight, state.wanted

    def weight(self) -> int:
        """Return the weight that counts for the quorum."""
        return sum(state.wanted for state in self._servers)

    # --- conclusions ----------------------------------------------------------------------------

    def failures(self, server: int) -> dict[str, str]:
        """Return checker -> reason for a server that counts as failed."""
        return dict(self._servers[server].failed)

    def destinations(self) -> dict[DestinationKey, Destination]:
        """Return what the service forwards to now; empty: refuse."""
        found: dict[DestinationKey, Destination] = {}
        sorry = self.settings.sorry_server
        if self.quorate or sorry is None:
            # Too few are better than none when nobody stands in for them.
            for state in self._servers:
                if state.up or state.settings.inhibit_on_failure:
                    found[self.key(state.settings)] = self._destination(state)
            if sorry is not None and sorry.inhibit:
                found.setdefault(self._sorry_key(sorry), Destination(sorry.method, 0))
            return found
        for state in self._servers:  # inhibited servers keep what they have
            if state.settings.inhibit_on_failure:
                found[self.key(state.settings)] = Destination(
                    state.settings.method, 0, *self._thresholds(state)
                )
        found[self._sorry_key(sorry)] = Destination(sorry.method, 1)
        return found

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return earliest(
            *(state.drain_until for state in self._servers),
            *(state.step_at for state in self._servers),
        )

    def on_timer(self, now: Instant) -> None:
        """Let servers that come back rise a step; `destinations` says to what."""
        for state in self._servers:
            while state.step_at is not None and state.step_at <= now:
                state.step += 1
                more = state.step < RAMP_STEPS
                state.step_at = state.step_at + self.slow_start // RAMP_STEPS if more else None

    def _ramp(self, now: Instant, state: _Server) -> None:
        """Begin a server's slow start, or forget it when the server is down again."""
        rises = state.up and not state.drained and self.slow_start > 0
        state.step = 1 if rises else RAMP_STEPS
        state.step_at = now + self.slow_start // RAMP_STEPS if rises else None

    def _destination(self, state: _Server) -> Destination:
        weight = state.wanted
        if weight:
            weight = max(1, weight * state.step // RAMP_STEPS)
        return Destination(state.settings.method, weight, *self._thresholds(state))

    @staticmethod
    def _thresholds(state: _Server) -> tuple[int, int]:
        return state.settings.upper_threshold, state.settings.lower_threshold

    def key(self, server: RealServer) -> DestinationKey:
        """Return where a server of this service is forwarded to."""
        return DestinationKey(server.ip, server.port or self._own_port())

    def _sorry_key(self, sorry: SorryServer) -> DestinationKey:
        return DestinationKey(sorry.ip, sorry.port or self._own_port())

    def _own_port(self) -> int:
        return getattr(self.settings.service, "port", 0)

    def _count(self) -> Effects:
        """Compare the weight of all that is up with the quorum (keepalived.conf(5), `quorum`)."""
        weight = self.weight()
        needed = self.settings.quorum
        if self.quorate and weight < needed - self.settings.hysteresis:
            self.quorate = False
        elif not self.quorate and weight >= needed + self.settings.hysteresis:
            self.quorate = True
        else:
            return []
        return [QuorumChanged(self.number, self.quorate, weight, needed)]
