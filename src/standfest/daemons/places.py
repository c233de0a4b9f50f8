"""Where a node's files are; the one place that knows their names."""

from dataclasses import dataclass
from pathlib import Path

DEFAULT_HA_DIR = Path("/etc/ha.d")
DEFAULT_STATE_DIR = Path("/var/lib/standfest")
DEFAULT_RUN_DIR = Path("/run/standfest")
DEFAULT_COROSYNC_CONF = Path("/etc/corosync/corosync.conf")
HEARTBEAT, COROSYNC = "heartbeat", "corosync"
STACKS = (HEARTBEAT, COROSYNC)
"""What carries the cluster's messages and says who is there."""


@dataclass(frozen=True, slots=True)
class Places:
    """Directories of one node: configuration, what outlives a restart, sockets.

    keepalived: a director's file, when a director runs beside the cluster; corosync_conf: counts
    when the stack is corosync, and then ha.cf does not; arbiter: whether a process
    asks a tiebreaker.
    """

    ha_dir: Path = DEFAULT_HA_DIR
    state_dir: Path = DEFAULT_STATE_DIR
    run_dir: Path = DEFAULT_RUN_DIR
    cib_files: tuple[Path, ...] = ()
    keepalived: Path | None = None
    stack: str = HEARTBEAT
    corosync_conf: Path = DEFAULT_COROSYNC_CONF
    arbiter: bool = False

    @property
    def pulse_socket(self) -> Path:
        """Return the socket of `pulse`, or of `ring` in its place."""
        return self.run_dir / "pulse.sock"

    @property
    def cluster_socket(self) -> Path:
        """Return the socket of `cluster`, where commands ask."""
        return self.run_dir / "cluster.sock"

    @property
    def seen_all(self) -> Path:
        """Return the file that says since which boot all nodes were there at once."""
        return self.run_dir / "quorum-seen-all"

    @property
    def begun(self) -> Path:
        """Return the file that says in which boot a cluster daemon began and has not left since."""
        return self.run_dir / "cluster-begun"

    @property
    def pid_file(self) -> Path:
        """Return the file with the supervisor's process id."""
        return self.run_dir / "supervisor.pid"

    @property
    def stored_cib(self) -> Path:
        """Return the file with the replicated configuration."""
        return self.state_dir / "cib.xml"

    @property
    def hostcache(self) -> Path:
        """Return the file with the cluster's nodes, a name a line, if they are not ha.cf's."""
        return self.state_dir / "hostcache"

    @property
    def delhostcache(self) -> Path:
        """Return the file with the nodes that were removed, a name a line."""
        return self.state_dir / "delhostcache"

    @property
    def inputs(self) -> Path:
        """Return the directory with the last inputs of the scheduler."""
        return self.state_dir / "inputs"

    @property
    def history(self) -> Path:
        """Return the directory with the last configurations."""
        return self.state_dir / "history"

    def arguments(self) -> list[str]:
        """Return these places as a daemon's command line."""
        words = [
            *("--ha-dir", str(self.ha_dir)),
            *("--state-dir", str(self.state_dir)),
            *("--run-dir", str(self.run_dir)),
            *("--stack", self.stack),
            *("--corosync-conf", str(self.corosync_conf)),
        ]
        if self.arbiter:
            words += ["--arbiter", "yes"]
        for path in self.cib_files:
            words += ["--cib", str(path)]
        if self.keepalived is not None:
            words += ["--keepalived", str(self.keepalived)]
        return words


def from_arguments(words: list[str]) -> Places:
    """Return the places that `arguments()` wrote; for daemons."""
    options = ("--ha-dir", "--state-dir", "--run-dir", "--cib", "--keepalived")
    more = ("--stack", "--corosync-conf", "--arbiter")
    values: dict[str, list[str]] = {option: [] for option in (*options, *more)}
    for option, value in zip(words[::2], words[1::2], strict=True):
        values[option].append(value)
    return Places(
        Path(values["--ha-dir"][-1]),
        Path(values["--state-dir"][-1]),
        Path(values["--run-dir"][-1]),
        tuple(Path(value) for value in values["--cib"]),
        Path(values["--keepalived"][-1]) if values["--keepalived"] else None,
        values["--stack"][-1],
        Path(values["--corosync-conf"][-1]),
        bool(values["--arbiter"]),
    )
