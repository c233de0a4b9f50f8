"""Alerts as values: of what kind an event is, and whom of the operator's programs it is told.

Compiled by `config.cib`, emitted by `runtime.cluster`, performed by `daemons.alerting`.
Source: facts/formats/CIB-MODERN.md section 6; Pacemaker Explained, chapter "Alerts".
"""

from dataclasses import dataclass, field
from enum import Enum

from standfest.model.time import Duration, seconds

DEFAULT_TIMEOUT: Duration = seconds(30)
DEFAULT_FORMAT = "%H:%M:%S.%06N"


class AlertKind(Enum):
    """What an event is about; the words that agents are told."""

    NODE = "node"
    FENCING = "fencing"
    RESOURCE = "resource"
    ATTRIBUTE = "attribute"


UNSELECTED = frozenset({AlertKind.NODE, AlertKind.FENCING, AlertKind.RESOURCE})
"""What an alert without `<select>` is told."""


@dataclass(frozen=True, slots=True)
class AlertTarget:
    """An alert and one of its recipients: an event is one call of the agent for each of these.

    alert, recipient: ids; recipient is empty, and value None, where an alert has no recipients.
    names: of the attributes whose changes are told, empty for all; kinds decides whether any are.
    environment: instance attributes by name, sorted; may be secret.
    """

    alert: str
    path: str
    recipient: str = ""
    value: str | None = None
    timeout: Duration = DEFAULT_TIMEOUT
    timestamp_format: str = DEFAULT_FORMAT
    kinds: frozenset[AlertKind] = UNSELECTED
    names: frozenset[str] = frozenset()
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def wants(self, kind: AlertKind, attribute: str = "") -> bool:
        """Return whether an event is told here; attribute: the name of the one that changed."""
        if kind not in self.kinds:
            return False
        return kind is not AlertKind.ATTRIBUTE or not self.names or attribute in self.names
