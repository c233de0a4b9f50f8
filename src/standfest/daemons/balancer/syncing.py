"""Connection sync: tells the kernel to copy connections to the partner, or from it."""

from typing import Protocol

from standfest.daemons.director.words import Words
from standfest.model.balancing import SyncDaemon
from standfest.model.errors import OperationError
from standfest.runtime.balancer.effects import Synchronise
from standfest.wire.ipvs import BACKUP, MASTER, Daemon

NAMES = {MASTER: "sending", BACKUP: "receiving"}


class Copier(Protocol):
    """The part of a backend that copies connections."""

    def daemons(self) -> list[Daemon]:
        """Return the sync daemons that run."""

    def start_sync(self, state: int, settings: SyncDaemon, id: int) -> None:
        """Begin to send or to receive."""

    def stop_sync(self, state: int) -> None:
        """End one of the two."""


class Synchroniser:
    """Runs as many of the two directions as are wanted."""

    def __init__(self, backend: object, words: Words) -> None:
        self._words = words
        self._copier: Copier | None = backend if hasattr(backend, "start_sync") else None  # type: ignore[assignment]

    def set(self, wanted: Synchronise, settings: SyncDaemon | None) -> None:
        """Start what is missing before stopping what is too much: no connection falls between."""
        if self._copier is None:
            if wanted.sends or wanted.receives:
                self._words.warn("this backend copies no connections: lvs_sync_daemon is ignored")
            return
        try:
            self._set(self._copier, wanted, settings)
        except OperationError as error:
            self._words.warn(str(error))

    def _set(self, copier: Copier, wanted: Synchronise, settings: SyncDaemon | None) -> None:
        running = {daemon.state: daemon for daemon in copier.daemons()}
        states = {MASTER: wanted.sends, BACKUP: wanted.receives}
        for state, is_wanted in states.items():
            there = running.get(state)
            if is_wanted and settings is not None:
                number = wanted.id or 0
                if there == Daemon(state, settings.interface, number):
                    continue
                if there is not None:
                    copier.stop_sync(state)
                copier.start_sync(state, settings, number)
                self._words.say(
                    f"Connection sync: {NAMES[state]} on {settings.interface}, id {number}"
                )
        for state, is_wanted in states.items():
            if not is_wanted and state in running:
                copier.stop_sync(state)
                self._words.say(f"Connection sync: no longer {NAMES[state]}")
