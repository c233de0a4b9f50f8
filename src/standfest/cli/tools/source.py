"""Which CIB a tool works on: a file (CIB_file), a named copy (CIB_shadow), or the cluster's own.

Source: facts/formats/TOOLS.md, environment.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from standfest.cli.tools.filesource import FileSource
from standfest.cli.tools.live import LiveSource
from standfest.daemons.places import DEFAULT_RUN_DIR
from standfest.model.element import Element

SHADOW_DIR = Path("/var/lib/pacemaker/cib")
SHADOW = "CIB_shadow"
"""The variable that names the copy in use."""


class Source(Protocol):
    """Where a CIB comes from, and where a changed one goes."""

    @property
    def live(self) -> bool:
        """Return whether this is the running cluster's."""
        ...

    def read(self) -> Element:
        """Return the whole <cib>; raises ToolError."""
        ...

    def change(self, before: Element, after: Element) -> None:
        """Make `before`, which was read, `after`, as a whole or not at all; raises ToolError.

        The version is counted here.
        """
        ...


def chosen(environment: Mapping[str, str] = os.environ) -> Source:
    """Return the source that the environment asks for; the live cluster when it asks for none.

    A named copy comes before a file, as with Pacemaker.
    STANDFEST_RUN_DIR names the directory of the daemons' sockets where it is not the usual one.
    """
    shadow = environment.get(SHADOW)
    if shadow:
        return FileSource(str(shadow_path(shadow, environment)))
    file = environment.get("CIB_file")
    if file:
        return FileSource(file)
    return LiveSource(Path(environment.get("STANDFEST_RUN_DIR") or DEFAULT_RUN_DIR))


def shadow_path(name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the file of a named copy."""
    directory = Path(environment.get("CIB_shadow_dir") or SHADOW_DIR)
    return directory / f"shadow.{name}"
