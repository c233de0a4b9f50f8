"""Whether the alert agents that a CIB names are on this machine, which may be none of its nodes."""

import os
from collections.abc import Callable

from standfest.config.cib.alerts import alerts_of
from standfest.model.element import Element
from standfest.model.errors import Finding, Severity

WANTED = "an executable file on every node"


def missing(configuration: Element, path_of: Callable[[Element], str]) -> list[Finding]:
    """Return a warning for each alert whose agent cannot be called here."""
    found = []
    for alert in alerts_of(configuration):
        path = alert.get("path") or ""
        if path.startswith("/") and not (os.path.isfile(path) and os.access(path, os.X_OK)):
            problem = f"alert {alert.id}: {path} is no executable file on this machine"
            where = path_of(alert), alert.line
            found.append(Finding(*where, problem, WANTED, Severity.WARNING))
    return found
