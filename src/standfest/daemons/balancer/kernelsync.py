"""Connection sync by the kernel's own daemons, which IPVS has."""

from typing import Protocol

from standfest.daemons.balancer.syncing import RECEIVING, SENDING, Nobody
from standfest.daemons.director.words import Words
from standfest.model.balancing import SyncDaemon
from standfest.model.errors import OperationError
from standfest.runtime.balancer.effects import Synchronise
from standfest.wire.ipvs import BACKUP, MASTER, Daemon

NAMES = {MASTER: SENDING, BACKUP: RECEIVING}


class Copier(Protocol):
    """A backend whose kernel copies connections by itself."""

    def daemons(self) -> list[Daemon]:
        """Return the sync daemons that run."""

    def start_sync(self, state: int, settings: SyncDaemon, id: int) -> None:
        """Begin to send or to receive."""

    def stop_sync(self, state: int) -> None:
        """End one of the two."""


class KernelDaemons(Nobody):
    """Runs as many of the kernel's two directions as are wanted."""

    def __init__(self, copier: Copier, words: Words) -> None:
        super().__init__(words)
        self._copier = copier

    def set(self, wanted: Synchronise, settings: SyncDaemon | None) -> None:
        """Start what is missing before stopping what is too much: no connection falls between."""
        try:
            running = {daemon.state: daemon for daemon in self._copier.daemons()}
            states = {MASTER: wanted.sends, BACKUP: wanted.receives}
            for state, is_wanted in states.items():
                if is_wanted and settings is not None:
                    self._start(state, settings, wanted.id or 0, running.get(state))
            for state, is_wanted in states.items():
                if not is_wanted and state in running:
                    self._copier.stop_sync(state)
                    self._words.say(f"Connection sync: no longer {NAMES[state]}")
        except OperationError as error:
            self._words.warn(str(error))

    def _start(self, state: int, settings: SyncDaemon, number: int, there: Daemon | None) -> None:
        if there is not None and (there.interface, there.id) == (settings.interface, number):
            return  # what it has not sent yet would be lost with it
        if there is not None:
            self._copier.stop_sync(state)
        self._copier.start_sync(state, settings, number)
        where = f"{settings.interface}, id {number}"
        self._words.say(f"Connection sync: {NAMES[state]} on {where}")
