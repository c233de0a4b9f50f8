"""Connection sync: the kernel's own daemons (IPVS), or copies of a data plane's connections."""

import os
from typing import TYPE_CHECKING, Protocol

from standfest.daemons.director.words import Words
from standfest.model.balancing import SyncDaemon
from standfest.model.errors import OperationError
from standfest.model.time import Instant
from standfest.ports.flows import Shower
from standfest.runtime.balancer.effects import Synchronise
from standfest.runtime.loop import Loop

if TYPE_CHECKING:
    from standfest.daemons.balancer.flowsync import FlowSync

SENDING, RECEIVING = "sending", "receiving"


class Synchroniser(Protocol):
    """Copies connections as it is told."""

    def set(self, wanted: Synchronise, settings: SyncDaemon | None) -> None:
        """Send, receive, both, or neither."""

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""

    def on_timer(self, now: Instant) -> None:
        """Do what is due."""


def make(backend: object, loop: Loop, words: Words) -> Synchroniser:
    """Return what copies connections for a backend."""
    if hasattr(backend, "start_sync"):
        from standfest.daemons.balancer.kernelsync import KernelDaemons  # noqa: PLC0415  IPVS only

        return KernelDaemons(backend, words)  # type: ignore[arg-type]
    if isinstance(backend, Shower):
        return FlowCopies(backend, loop, words)
    return Nobody(words)


class Nobody:
    """For backends that cannot."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def set(self, wanted: Synchronise, settings: SyncDaemon | None) -> None:
        """Say that nothing is copied."""
        if settings is not None and (wanted.sends or wanted.receives):
            self._words.warn("this backend copies no connections: lvs_sync_daemon is ignored")

    def deadline(self) -> Instant | None:
        """Return None: nothing is ever due."""
        return None

    def on_timer(self, now: Instant) -> None:
        """Do nothing."""


class FlowCopies(Nobody):
    """Tells of our connections while we are active, and takes the partner's in while we are not."""

    def __init__(self, shower: Shower, loop: Loop, words: Words) -> None:
        super().__init__(words)
        self._shower, self._loop = shower, loop
        self._settings: SyncDaemon | None = None
        self._key, self._role = b"", ""
        self._flows: FlowSync | None = None

    def set(self, wanted: Synchronise, settings: SyncDaemon | None) -> None:
        """Begin, change roles, or end."""
        if settings != self._settings or not (wanted.sends or wanted.receives):
            self._close()
        self._settings = settings
        if settings is None or not (wanted.sends or wanted.receives):
            return
        if wanted.sends and wanted.receives:
            self._words.warn("lvs_sync_daemon without an instance copies nothing with this backend")
            return
        try:
            self._sign(settings)
            flows = self._begin(settings)
            if wanted.sends:
                flows.become_active()
            else:
                flows.become_passive()
        except OperationError as error:
            self._words.warn(str(error))
            return
        signed = ", signed" if self._key else ""
        role = SENDING if wanted.sends else RECEIVING
        self._say(f"{role} on {settings.interface}, port {settings.port}{signed}")

    def _sign(self, settings: SyncDaemon) -> None:
        """Take the key as it is now; raises OperationError if there is none to begin with."""
        from standfest.daemons.balancer.flowsync import read_key  # noqa: PLC0415  see _begin

        try:
            self._key = read_key(settings.key_file) if settings.key_file else b""
        except OperationError as error:
            if self._flows is None:
                raise
            self._words.warn(f"{error}: the one from before is used")
        if self._flows is not None:
            self._flows.sign_with(self._key)

    def _say(self, role: str) -> None:
        if role != self._role:
            self._words.say(f"Connection sync: {role}")
        self._role = role

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return self._flows.deadline() if self._flows is not None else None

    def on_timer(self, now: Instant) -> None:
        """Tell what is due, forget what has ended."""
        if self._flows is not None:
            self._flows.on_timer(now)

    def _begin(self, settings: SyncDaemon) -> "FlowSync":
        if self._flows is not None:
            return self._flows
        from standfest.daemons.balancer.flowsync import FlowSync, open_path  # noqa: PLC0415  rare

        path, way = open_path(settings.interface, settings.port, settings.group, settings.ttl)
        self._flows = FlowSync(
            self._loop,
            path,
            self._shower.flow_table(),
            way=way,
            incarnation=int.from_bytes(os.urandom(4)),
            key=self._key,
            say=self._words.say,
        )
        return self._flows

    def _close(self) -> None:
        if self._flows is not None:
            self._flows.close()
            self._flows, self._role = None, ""
