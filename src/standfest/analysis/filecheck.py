"""Whether the operator's files can be used: each by its kind; directors, members with each other.

Files that are sections of a CIB are one cluster's and read together, as the cluster does.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath

from standfest.config import authkeys, cib, hacf, halogd, share, sharecompare
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
    SHARE = "standfest share"


_BLOCK = re.compile(r"^\s*(global_defs|vrrp_\w+|virtual_server\w*|bfd_instance|static_\w+)\b", re.M)
_HEARTBEAT = re.compile(r"^\s*(ucast|bcast|mcast|node|deadtime|keepalive|crm|pacemaker)\s", re.M)
_KEYS = re.compile(r"^\s*auth\s+\d+\s*$", re.M)
_ASIDE = re.compile(r"<!--.*?-->|<[?!][^>]*>", re.S)
_ROOT = re.compile(r"\s*<([\w-]+)")
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
    if path.endswith(".toml"):
        return Kind.SHARE
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
    clusters = _Clusters()
    for (path, text), (_path, kind) in zip(texts, kinds, strict=True):
        try:
            if kind is Kind.KEEPALIVED:
                parsed = read(text, path, setting, files)
                directors.append(parsed)
                findings += parsed.report.findings
            else:
                findings += clusters.read(kind, text, path)
        except ConfigError as error:
            findings += error.findings
    findings += clusters.findings()
    findings += sharecompare.compare(clusters.shared)
    if len(directors) > 1:
        report = Report()
        compare(directors, report)
        findings += report.findings
    return Checked(kinds, tuple(findings), tuple(directors))


class _Clusters:
    """The files of clusters and of shared addresses.

    CIBs come last: how many nodes there are may stand in an ha.cf.
    """

    def __init__(self) -> None:
        self._nodes = 0
        self.shared: list[sharecompare.Named] = []
        self._whole: list[tuple[str, str]] = []
        self._sections: list[tuple[str, str]] = []

    def read(self, kind: Kind, text: str, path: str) -> Sequence[Finding]:
        """Return what is wrong with a file, but for CIBs; raises ConfigError."""
        match kind:
            case Kind.HEARTBEAT:
                settings, findings = hacf.parse(text, path)
                self._nodes = len(settings.nodes)
                return findings
            case Kind.LOG:
                return halogd.parse(text, path)[1]
            case Kind.KEYS:
                return authkeys.parse(text, path)[1]
            case Kind.SHARE:
                file, findings = share.parse(text, path)
                self.shared.append((path, file))
                return findings
            case Kind.CIB | Kind.KEEPALIVED:
                whole = _root(text) in ("cib", "configuration")
                (self._whole if whole else self._sections).append((path, text))
        return ()

    def findings(self) -> list[Finding]:
        """Return what is wrong with the CIBs."""
        found: list[Finding] = []
        for texts in (*([one] for one in self._whole), self._sections):
            try:
                found += _cib(texts, self._nodes) if texts else ()
            except ConfigError as error:
                found += error.findings
        return found


def _cib(texts: Sequence[tuple[str, str]], nodes: int) -> Sequence[Finding]:
    loaded = cib.load(texts)
    _settings, warnings = cib.compile_configuration(loaded.configuration, loaded.path_of, nodes)
    return (*loaded.findings, *warnings)


def _root(text: str) -> str:
    """Return the name of an XML text's outermost element; "" if it has none."""
    match = _ROOT.match(_ASIDE.sub("", text))
    return match[1] if match is not None else ""
