"""Whether the operator's files can be used: each file by its kind, directors with each other."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath

from standfest.config import authkeys, cib, hacf, halogd
from standfest.config.keepalived.directors import compare
from standfest.config.keepalived.load import read
from standfest.config.keepalived.parse import Parsed
from standfest.config.keepalived.source import Files, Report, Setting
from standfest.model.errors import ConfigError, Finding


class Kind(Enum):
    """What a file is."""

    KEEPALIVED = "keepalived.conf"
    HEARTBEAT = "ha.cf"
    KEYS = "authkeys"
    LOG = "ha_logd.cf"
    CIB = "CIB"


_BLOCK = re.compile(r"^\s*(global_defs|vrrp_\w+|virtual_server\w*|bfd_instance|static_\w+)\b", re.M)
_HEARTBEAT = re.compile(r"^\s*(ucast|bcast|mcast|node|deadtime|keepalive|crm|pacemaker)\s", re.M)
_KEYS = re.compile(r"^\s*auth\s+\d+\s*$", re.M)
_NAMES = {
    "ha.cf": Kind.HEARTBEAT,
    "authkeys": Kind.KEYS,
    "ha_logd.cf": Kind.LOG,
    "logd.cf": Kind.LOG,
}


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in all files; paths and kinds of those that were looked at."""

    kinds: tuple[tuple[str, Kind], ...]
    findings: tuple[Finding, ...]
    directors: tuple[Parsed, ...]

    @property
    def usable(self) -> bool:
        """Return whether nothing refuses a file."""
        return not any(found.refuses for found in self.findings)


def kind_of(path: str, text: str) -> Kind:
    """Return what a file is, by its name, or else by its content."""
    named = _NAMES.get(PurePath(path).name)
    if named is not None:
        return named
    if text.lstrip().startswith("<"):
        return Kind.CIB
    if _BLOCK.search(text):
        return Kind.KEEPALIVED
    if _KEYS.search(text):
        return Kind.KEYS
    return Kind.HEARTBEAT if _HEARTBEAT.search(text) else Kind.KEEPALIVED


def check(texts: Sequence[tuple[str, str]], setting: Setting, files: Files) -> Checked:
    """Return what is wrong with (path, text) pairs; several keepalived.conf are directors."""
    kinds = tuple((path, kind_of(path, text)) for path, text in texts)
    findings: list[Finding] = []
    directors: list[Parsed] = []
    for (path, text), (_path, kind) in zip(texts, kinds, strict=True):
        try:
            if kind is Kind.KEEPALIVED:
                parsed = read(text, path, setting, files)
                directors.append(parsed)
                findings += parsed.report.findings
            else:
                findings += _others(kind, text, path)
        except ConfigError as error:
            findings += error.findings
    if len(directors) > 1:
        report = Report()
        compare(directors, report)
        findings += report.findings
    return Checked(kinds, tuple(findings), tuple(directors))


def _others(kind: Kind, text: str, path: str) -> Sequence[Finding]:
    match kind:
        case Kind.HEARTBEAT:
            return hacf.parse(text, path)[1]
        case Kind.LOG:
            return halogd.parse(text, path)[1]
        case Kind.KEYS:
            authkeys.parse(text, path)
            return ()
        case Kind.CIB | Kind.KEEPALIVED:
            loaded = cib.load([(path, text)])
            _settings, warnings = cib.compile_configuration(loaded.configuration, loaded.path_of)
            return (*loaded.findings, *warnings)
