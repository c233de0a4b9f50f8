"""Reading the operator's files for the daemons: text from disk, settings from `config`."""

from dataclasses import dataclass
from pathlib import Path

from standfest.config import authkeys, corosyncconf, hacf, halogd, quorum
from standfest.config.corosyncconf import CorosyncSettings
from standfest.daemons.places import COROSYNC, Places
from standfest.model.errors import ConfigError, Finding
from standfest.model.keys import Keyring
from standfest.model.pinging import Pinging
from standfest.model.quorumfile import QuorumSettings
from standfest.model.settings import Autojoin, HeartbeatSettings, LogSettings
from standfest.model.time import Duration, seconds

COROSYNC_INITDEAD: Duration = seconds(10)
MAX_FILE_BYTES = 16 * 1024 * 1024
LOG_FILES = ("ha_logd.cf", "logd.cf")


def text_of(path: Path, expected: str) -> str:
    """Return a file's text; raises ConfigError naming the file and what it should be."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(Finding(str(path), 0, str(error.strerror), expected)) from error
    if len(content) > MAX_FILE_BYTES:
        size = f"{len(content)} bytes"
        raise ConfigError(Finding(str(path), 0, size, f"at most {MAX_FILE_BYTES}"))
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(Finding(str(path), line, "not UTF-8", expected)) from error


def heartbeat_settings(ha_dir: Path) -> tuple[HeartbeatSettings, tuple[Finding, ...]]:
    """Return ha.cf as settings, and its warnings."""
    path = ha_dir / "ha.cf"
    return hacf.parse(text_of(path, "the cluster's ha.cf"), str(path))


@dataclass(frozen=True, slots=True)
class Installation:
    """What both stacks say.

    initdead: how long a node that was cut off waits for the others; deadtime: after how much
    silence the others give a node up, None where corosync decides; settle: `ClusterSettings`.
    """

    nodes: tuple[str, ...]
    initdead: Duration
    deadtime: Duration | None
    warnings: tuple[Finding, ...]
    settle: Duration = 0
    autojoin: Autojoin = Autojoin.NONE
    pinging: Pinging = Pinging()


def installation(where: Places, own_name: str) -> Installation:
    """Return the nodes as the stack's own file has them; raises ConfigError."""
    if where.stack == COROSYNC:
        corosync, warnings = corosync_settings(where, own_name)
        # It loses all at once.
        return Installation(corosync.nodes, COROSYNC_INITDEAD, None, warnings)
    heartbeat, warnings = heartbeat_settings(where.ha_dir)
    settle = 2 * heartbeat.keepalive
    return Installation(
        heartbeat.nodes,
        heartbeat.initdead,
        heartbeat.deadtime,
        warnings,
        settle,
        heartbeat.autojoin,
        heartbeat.pinging,
    )


def corosync_settings(where: Places, own_name: str) -> tuple[CorosyncSettings, tuple[Finding, ...]]:
    """Return corosync.conf as settings, and its warnings."""
    path = where.corosync_conf
    return corosyncconf.parse(text_of(path, "corosync's configuration"), str(path), own_name)


def quorum_settings(ha_dir: Path, heartbeat: HeartbeatSettings) -> QuorumSettings:
    """Return quorum.toml's rules for these nodes; without the file a plain majority."""
    path = ha_dir / quorum.FILE
    text = text_of(path, "the cluster's quorum rules") if path.exists() else None
    file = quorum.parse(text, str(path)) if text is not None else None
    return quorum.resolve(file, heartbeat, str(path))


def keyring(ha_dir: Path) -> tuple[Keyring, tuple[Finding, ...]]:
    """Return authkeys, which nobody but its owner may read, and what is weak about it."""
    path = ha_dir / "authkeys"
    text = text_of(path, "the cluster's keys")
    authkeys.check_mode(path.stat().st_mode, str(path))
    return authkeys.parse(text, str(path))


def log_settings(
    ha_dir: Path, heartbeat: HeartbeatSettings | None
) -> tuple[LogSettings, tuple[Finding, ...]]:
    """Return where events go: with `use_logd on` as ha_logd.cf says, else as ha.cf does.

    heartbeat: None where there is no ha.cf, as with corosync; then ha_logd.cf counts if it exists.
    """
    if heartbeat is None or heartbeat.use_logd:
        for name in LOG_FILES:
            path = ha_dir / name
            if path.exists():
                return halogd.parse(text_of(path, "the log daemon's settings"), str(path))
        return LogSettings(), ()
    return LogSettings(heartbeat.logfile, heartbeat.debugfile, heartbeat.logfacility), ()


def events_of(where: Places) -> LogSettings:
    """Return where this node's events go."""
    heartbeat = None if where.stack == COROSYNC else heartbeat_settings(where.ha_dir)[0]
    return log_settings(where.ha_dir, heartbeat)[0]
