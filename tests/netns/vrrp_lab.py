"""Two directors on one bridge, in network namespaces: keepalived's and ours, in any pairing.

Everything is named after this process, so that two runs do not meet.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = str(Path(__file__).parents[2] / "src")
LOOK_S = 0.005
ONE_SEGMENT = (("10.77.0.@/24", "fd00:77::@/64"),)


def why_not(*programs: str) -> str:
    """Return why these tests cannot run here, or nothing."""
    if os.geteuid() != 0:
        return "needs root: network namespaces"
    missing = [program for program in ("ip", *programs) if shutil.which(program) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


def ip(*words: str) -> str:
    """Run iproute2 and return what it printed."""
    return subprocess.run(("ip", *words), check=True, capture_output=True, text=True).stdout


def until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Return whether the condition came true in time."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(LOOK_S)
    return True


@dataclass
class Node:
    """One director's machine: a namespace with eth0, and the daemon that runs in it."""

    namespace: str
    directory: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self, product: str, configuration: str) -> None:
        """Start keepalived or standfest with a configuration, in the foreground."""
        self.directory.mkdir(exist_ok=True)
        path = self.directory / "director.conf"
        path.write_text(configuration, encoding="utf-8")
        if product == "keepalived":
            pids = [f"--pid={self.directory}/k.pid", f"--vrrp_pid={self.directory}/v.pid"]
            pids += ["-b", f"{self.directory}/b.pid"]
            command = ["keepalived", "-n", "-l", "-D", "-P", "-f", str(path), *pids]
        else:
            command = [sys.executable, "-m", "standfest.cli.main", "director", str(path)]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *command],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": SOURCE},
                start_new_session=True,
            )

    def signal(self, number: int) -> None:
        """Signal the daemon's first process."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        """End the daemon in good order and wait for it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)
            self.process = None

    def pids(self) -> list[int]:
        """Return all processes of the node."""
        return [int(word) for word in ip("netns", "pids", self.namespace).split()]

    def pid_named(self, name: str) -> int:
        """Return the one process of the node with this name."""
        for pid in self.pids():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == name:
                    return pid
        raise AssertionError(f"no {name} in {self.namespace}: {self.log()}")

    def holds(self, address: str) -> bool:
        """Return whether the kernel has an address."""
        shown = ip("-n", self.namespace, "-o", "address", "show")
        return re.search(rf"inet6? {re.escape(address)}/", shown) is not None

    def log(self) -> str:
        """Return what the daemon has printed."""
        return (self.directory / "log").read_text(encoding="utf-8", errors="replace")


class Lan:
    """Two machines with a bridge for each of their interfaces, eth0 and perhaps eth1.

    `segments` has for each interface the addresses with @ for the machine's number.
    """

    def __init__(self, directory: Path, segments: Sequence[Sequence[str]]) -> None:
        self.directory, self.segments = directory, segments
        tag = f"sfv{os.getpid()}"
        self.switch = f"{tag}-switch"
        self.first = Node(f"{tag}-1", directory / "1")
        self.second = Node(f"{tag}-2", directory / "2")
        self.nodes = (self.first, self.second)

    def build(self) -> None:
        """Make the namespaces and their cables."""
        for name in (self.switch, *(node.namespace for node in self.nodes)):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        for segment, addresses in enumerate(self.segments):
            bridge = ("type", "bridge", "mcast_snooping", "0")
            ip("-n", self.switch, "link", "add", f"br{segment}", *bridge)
            ip("-n", self.switch, "link", "set", f"br{segment}", "up")
            for number in (1, 2):
                self._connect(number, segment, addresses)
        settled = until(lambda: not self._tentative(), 5)
        assert settled, "link-local addresses stay tentative"

    def _connect(self, number: int, segment: int, addresses: Sequence[str]) -> None:
        node, port = self.nodes[number - 1], f"port{number}-{segment}"
        end = ("type", "veth", "peer", "name", f"eth{segment}", "netns", node.namespace)
        ip("-n", self.switch, "link", "add", port, *end)
        ip("-n", self.switch, "link", "set", port, "master", f"br{segment}", "up")
        ip("-n", node.namespace, "link", "set", f"eth{segment}", "up")
        for address in addresses:
            no_dad = ("nodad",) if ":" in address else ()
            words = ("address", "add", address.replace("@", str(number)), "dev", f"eth{segment}")
            ip("-n", node.namespace, *words, *no_dad)

    def _tentative(self) -> bool:
        shown = [ip("-n", node.namespace, "address", "show", "tentative") for node in self.nodes]
        return any("inet6" in text for text in shown)

    def cut(self, node: Node, segment: int = 0, *, cut: bool = True) -> None:
        """Pull a node's cable at the switch, or put it back."""
        port = f"port{self.nodes.index(node) + 1}-{segment}"
        ip("-n", self.switch, "link", "set", port, "down" if cut else "up")

    def owners(self, address: str) -> list[int]:
        """Return the numbers of the nodes that have an address."""
        return [number for number, node in enumerate(self.nodes, 1) if node.holds(address)]

    def destroy(self) -> None:
        """Remove everything, whatever state it is in."""
        for node in self.nodes:
            with contextlib.suppress(subprocess.CalledProcessError):
                for pid in node.pids():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            if node.process is not None:
                node.process.wait(10)
        for name in (*(node.namespace for node in self.nodes), self.switch):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "delete", name)

    @contextmanager
    def recording(self, name: str) -> Iterator[Path]:
        """Record what crosses the bridge."""
        path = self.directory / f"{name}.pcap"
        command = [
            "ip",
            "netns",
            "exec",
            self.switch,
            "dumpcap",
            "-q",
            "-i",
            "br0",
            "-w",
            str(path),
        ]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as recorder:
            try:
                assert until(lambda: path.exists() and path.stat().st_size > 0, 10), "no dumpcap"
                time.sleep(0.2)  # the file is there just before the socket is
                yield path
                time.sleep(0.3)  # dumpcap writes what it has after a moment
            finally:
                recorder.send_signal(signal.SIGINT)


@contextmanager
def lan(directory: Path, segments: Sequence[Sequence[str]] = ONE_SEGMENT) -> Iterator[Lan]:
    """Give a LAN for as long as it is needed; dumps that it leaves in /tmp go with it."""
    made, before = Lan(directory, segments), dumps()
    try:
        made.build()
        yield made
    finally:
        made.destroy()
        for dump in dumps() - before:
            dump.unlink(missing_ok=True)


def dumps() -> set[Path]:
    """Return what a director, or keepalived, has written when it was signalled; always there."""
    return set(Path("/tmp").glob("keepalived*.*"))


def decode(capture: Path, select: str, *fields: str) -> list[tuple[str, ...]]:
    """Return tshark's fields of the packets that a display filter selects."""
    command = ["tshark", "-n", "-r", str(capture), "-Y", select, "-T", "fields"]
    # Checksums are verified only when asked for.
    command += ["-o", "vrrp.v3_checksum_as_in_v2:FALSE", "-o", "ip.check_checksum:TRUE"]
    for name in fields:
        command += ["-e", name]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]
