"""A director's orderly end: goodbye first, the addresses go when the successor has spoken.

The kernel goes on answering meanwhile, so that clients do not notice. Who lets go before saying
goodbye leaves nobody there for as long as the successor waits: up to a second.
"""

from collections.abc import Mapping

from standfest.core.vrrp.effects import (
    Effects,
    RemoveAddresses,
    RemoveRoutes,
    RemoveRules,
    StopListening,
)
from standfest.daemons.director.possession import successor_wait
from standfest.model.advertisement import Arrival
from standfest.model.time import Instant
from standfest.model.vrrp import InstanceSettings


class Farewell:
    """Effects of the machine's stop, divided: `first` now, the rest of each instance later."""

    def __init__(
        self, now: Instant, instances: Mapping[str, InstanceSettings], effects: Effects
    ) -> None:
        self._instances = instances
        self._later: dict[str, Effects] = {}
        self._until: dict[str, Instant] = {}
        self.first: Effects = []
        for effect in effects:
            match effect:
                case RemoveRules(name) | RemoveRoutes(name) | RemoveAddresses(name):
                    self._later.setdefault(name, []).append(effect)
                    self._until[name] = now + successor_wait(instances[name])
                case StopListening():
                    pass  # the sockets are needed until the end, and closed all together
                case _:
                    self.first.append(effect)

    @property
    def is_done(self) -> bool:
        """Return whether nothing is held any longer."""
        return not self._later

    def deadline(self) -> Instant | None:
        """Return when a successor should have spoken."""
        return min(self._until.values(), default=None)

    def on_arrival(self, arrival: Arrival) -> Effects:
        """Let go of what a successor has announced to have."""
        told = arrival.advertisement
        if told.priority == 0:
            return []
        return self._let_go(
            [
                name
                for name in self._later
                if self._instances[name].vrid == told.vrid
                and self._instances[name].family == told.family
                and self._instances[name].interface in ("", arrival.interface)
            ]
        )

    def on_timer(self, now: Instant) -> Effects:
        """Let go of what nobody wants."""
        return self._let_go([name for name, at in self._until.items() if at <= now])

    def everything(self) -> Effects:
        """Let go of all at once."""
        return self._let_go(list(self._later))

    def _let_go(self, names: list[str]) -> Effects:
        effects: Effects = []
        for name in names:
            del self._until[name]
            effects += self._later.pop(name)
        return effects
