"""What a cluster daemon keeps to be looked at later: the scheduler's inputs, the configurations."""

from collections.abc import Callable
from functools import partial

from standfest.adapters.linux.archive import CONFIGURATION, InputArchive, numbers
from standfest.core.cib.document import Cib
from standfest.daemons.places import Places
from standfest.model.element import Element
from standfest.runtime.cluster import inputs, stored
from standfest.runtime.cluster.effects import KeepInput
from standfest.runtime.loop import Loop

MOST_INPUTS = 500
"""How many inputs of the scheduler are kept for `standfest simulate`; some 3 KB each."""
MOST_CONFIGURATIONS = 200
"""How many are kept for `standfest cib log`; one of 5 MB has some 200 KB when it is packed."""


class Archives:
    """Writes in the background; failed: told which kind could not be written."""

    def __init__(self, loop: Loop, where: Places, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._inputs = InputArchive(where.inputs, MOST_INPUTS)
        self._configurations = InputArchive(where.history, MOST_CONFIGURATIONS, CONFIGURATION)
        self._last: Element | None = None
        self._empty = not numbers(where.history, CONFIGURATION)
        for name, archive in (("input", self._inputs), ("configuration", self._configurations)):
            loop.watch(archive.fileno(), partial(self._written, name, archive))

    def begin(self, cib: Cib) -> None:
        """Take what is there at the start for the last one, and keep it if there is none yet."""
        self._last = cib.configuration
        if self._empty:
            self._configurations.keep(partial(_text, cib))

    def keep(self, kept: KeepInput) -> None:
        """Keep an input of the scheduler."""
        self._inputs.keep(partial(inputs.document, kept))

    def keep_configuration(self, cib: Cib) -> None:
        """Keep a configuration, if it is another one than the last."""
        if cib.configuration != self._last:
            self._last = cib.configuration
            self._configurations.keep(partial(_text, cib))

    def _written(self, name: str, archive: InputArchive, _events: int) -> None:
        before = archive.failed
        archive.poll()
        if archive.failed > before:
            self._failed(name)


def _text(cib: Cib) -> str:
    return stored.to_bytes(cib, (0, "")).decode()
