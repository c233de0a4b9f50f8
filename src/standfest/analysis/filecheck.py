"""Whether the operator's files can be used: each by its kind; directors, members with each other.

Files that are sections of a CIB are one cluster's and read together, as the cluster does.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath

from standfest.analysis.alertfiles import missing
from standfest.config import authkeys, cib, hacf, halogd, qdevice, quorum, share, sharecompare
from standfest.config.keepalived.directors import compare
from standfest.config.keepalived.load import read
from standfest.config.keepalived.parse import Parsed
from standfest.config.keepalived.source import Files, Report, Setting
from standfest.model.configuration import Configuration
from standfest.model.errors import ConfigError, Finding
from standfest.model.quorumfile import QuorumFile
from standfest.model.settings import HeartbeatSettings


class Kind(Enum):
    """What a file is."""

    KEEPALIVED = "keepalived.conf"
    HEARTBEAT = "ha.cf"
    KEYS = "authkeys"
    LOG = "ha_logd.cf"
    CIB = "CIB"
    SHARE = "standfest share"
    QUORUM = "quorum.toml"
    SERVER = "qdevice.toml"


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
    quorum.FILE: Kind.QUORUM,
    qdevice.FILE: Kind.SERVER,
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
        self._heartbeat: HeartbeatSettings | None = None
        self._quorum: tuple[str, QuorumFile] | None = None
        self.shared: list[sharecompare.Named] = []
        self._whole: list[tuple[str, str]] = []
        self._sections: list[tuple[str, str]] = []

    def read(self, kind: Kind, text: str, path: str) -> Sequence[Finding]:
        """Return what is wrong with a file, but for CIBs; raises ConfigError."""
        match kind:
            case Kind.HEARTBEAT:
                settings, findings = hacf.parse(text, path)
                self._heartbeat = settings
                return findings
            case Kind.LOG:
                return halogd.parse(text, path)[1]
            case Kind.KEYS:
                return authkeys.parse(text, path)[1]
            case Kind.SHARE:
                file, findings = share.parse(text, path)
                self.shared.append((path, file))
                return findings
            case Kind.QUORUM:
                self._quorum = (path, quorum.parse(text, path))
            case Kind.SERVER:
                qdevice.parse(text, path)
            case Kind.CIB | Kind.KEEPALIVED:
                whole = _root(text) in ("cib", "configuration")
                (self._whole if whole else self._sections).append((path, text))
        return ()

    def findings(self) -> list[Finding]:
        """Return what is wrong with the CIBs, and with how their clusters count votes."""
        found: list[Finding] = []
        nodes = len(self._heartbeat.nodes) if self._heartbeat is not None else 0
        configuration: Configuration | None = None
        for texts in (*([one] for one in self._whole), self._sections):
            try:
                if texts:
                    loaded = cib.load(texts)
                    configuration, warnings = cib.compile_configuration(
                        loaded.configuration, loaded.path_of, nodes
                    )
                    absent = missing(loaded.configuration, loaded.path_of)
                    found += (*loaded.findings, *warnings, *absent)
            except ConfigError as error:
                found += error.findings
        return found + self._votes(configuration)

    def _votes(self, configuration: Configuration | None) -> list[Finding]:
        """Return what nothing decides; with quorum.toml, or with ha.cf and a CIB beside it."""
        if self._heartbeat is None or (self._quorum is None and configuration is None):
            return []
        path, file = self._quorum or ("ha.cf", None)
        try:
            settings = quorum.resolve(file, self._heartbeat, path)
        except ConfigError as error:
            return list(error.findings)
        return quorum.warnings(settings, configuration, path)


def _root(text: str) -> str:
    """Return the name of an XML text's outermost element; "" if it has none."""
    match = _ROOT.match(_ASIDE.sub("", text))
    return match[1] if match is not None else ""
