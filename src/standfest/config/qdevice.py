"""The quorum server's file: where it listens, and for which clusters it decides.

Nothing is read from disk here. Source: docs/guide/quorum.md.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from standfest.config.lines import BadValueError, Report
from standfest.config.lines import time as written_time
from standfest.config.quorum import absolute, cluster_name
from standfest.config.tomllines import tables, whole, word
from standfest.model.quorumfile import DEFAULT_PORT
from standfest.model.time import Duration, seconds

FILE: Final = "qdevice.toml"
MAX_CLUSTERS: Final = 256
DEFAULT_LEASE: Final = seconds(15)
MIN_LEASE: Final = seconds(1)
MAX_LEASE: Final = seconds(60)
_LEASE: Final = "seconds from 1 to 60, or with ms"


@dataclass(frozen=True, slots=True)
class ServedCluster:
    """One cluster: its name, and the file with its keys (as authkeys)."""

    name: str
    key_file: str


@dataclass(frozen=True, slots=True)
class ServerFile:
    """All of it; longest: the longest lease that any cluster gets."""

    address: str
    port: int
    longest: Duration
    clusters: tuple[ServedCluster, ...]


def parse(text: str, path: str) -> ServerFile:
    """Return what the file says; raises ConfigError with all errors."""
    report = Report(path)
    root, entries = tables(report, text, "clusters")
    report.raise_errors()
    root.unknown({"address", "port", "longest_lease", "clusters"})
    if not entries:
        root.error("clusters", "no clusters", '[[clusters]] with name = "mail" for each')
    if entries is not None and len(entries) > MAX_CLUSTERS:
        root.error("clusters", f"{len(entries)} clusters", f"at most {MAX_CLUSTERS}")
        entries = ()
    clusters: dict[str, ServedCluster] = {}
    for entry in entries or ():
        entry.unknown({"name", "key_file"})
        name = entry.need("name", cluster_name, "", '"mail"')
        key_file = entry.need("key_file", absolute, "", '"/etc/standfest/mail.keys"')
        if name in clusters:
            entry.error("name", f'name is "{name}" again', "each cluster once")
        clusters[name] = ServedCluster(name, key_file)
    file = ServerFile(
        root.read("address", _address, "0.0.0.0"),  # noqa: S104  nodes are elsewhere
        root.read("port", whole(1, 65_535), DEFAULT_PORT),
        root.read("longest_lease", _lease, DEFAULT_LEASE),
        tuple(clusters.values()),
    )
    report.raise_errors()
    return file


def _address(value: object) -> str:
    try:
        return str(ip_address(word(value)))
    except ValueError:
        raise BadValueError("an IP address of this machine, 0.0.0.0 or ::") from None


def _lease(value: object) -> Duration:
    try:
        lease = written_time(word(value))
    except BadValueError:
        raise BadValueError(_LEASE) from None
    if not MIN_LEASE <= lease <= MAX_LEASE:
        raise BadValueError(_LEASE)
    return lease
