"""Settings from keepalived.conf and the files that it includes; imported only by who reads them."""

import os
from pathlib import Path

from standfest.config.keepalived.load import Configuration, load
from standfest.config.keepalived.source import Setting
from standfest.daemons.included import DiskFiles, text_of
from standfest.model.director import DirectorSettings
from standfest.model.errors import Finding


def read_configuration(path: str) -> Configuration:
    """Return everything that a file says; raises ConfigError."""
    identity = os.uname().nodename.partition(".")[0]
    return load(text_of(Path(path)), path, Setting(identity, dict(os.environ)), DiskFiles())


def read_file(path: str) -> tuple[DirectorSettings, tuple[Finding, ...]]:
    """Return a director's settings and what the operator should know; raises ConfigError."""
    configuration = read_configuration(path)
    return configuration.director, configuration.findings
