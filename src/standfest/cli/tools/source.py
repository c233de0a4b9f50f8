"""Which CIB a tool works on: a file (CIB_file), a named copy (CIB_shadow), or the cluster's own.

Source: facts/formats/TOOLS.md, environment.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.live import LiveSource
from standfest.config.compressed import read_file
from standfest.daemons.places import DEFAULT_RUN_DIR
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import ConfigError, OperationError

SHADOW_DIR = Path("/var/lib/pacemaker/cib")


class Source(Protocol):
    """Where a CIB comes from, and where a changed one goes."""

    @property
    def live(self) -> bool:
        """Return whether this is the running cluster's."""
        ...

    def read(self) -> Element:
        """Return the whole <cib>; raises ToolError."""
        ...


@dataclass(frozen=True, slots=True)
class FileSource:
    """A CIB in a file; `-` is standard input."""

    path: str

    @property
    def live(self) -> bool:
        """Return False: no cluster has it."""
        return False

    def read(self) -> Element:
        """Return what the file says."""
        try:
            return xml.parse(read_file(self.path), self.path)
        except OperationError as error:
            raise ToolError(Exit.NO_INPUT, str(error)) from error
        except ConfigError as error:
            raise ToolError(Exit.BAD_DATA, str(error)) from error


def chosen(environment: Mapping[str, str] = os.environ) -> Source:
    """Return the source that the environment asks for; the live cluster when it asks for none.

    STANDFEST_RUN_DIR names the directory of the daemons' sockets where it is not the usual one.
    """
    file = environment.get("CIB_file")
    if file:
        return FileSource(file)
    shadow = environment.get("CIB_shadow")
    if shadow:
        return FileSource(str(shadow_path(shadow, environment)))
    return LiveSource(Path(environment.get("STANDFEST_RUN_DIR") or DEFAULT_RUN_DIR))


def shadow_path(name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the file of a named copy."""
    directory = Path(environment.get("CIB_shadow_dir") or SHADOW_DIR)
    return directory / f"shadow.{name}"
