"""Two machines on one bridge, on each of them heartbeat 3.0.6 or ours, with the same files.

Everything is named after this process and ends with it: a node's PID namespace takes all its
processes along, however they were started.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.netns.vrrp_lab import SOURCE, ip

ROOT = Path(__file__).parents[2]
HEARTBEAT = "/usr/libexec/heartbeat/heartbeat"
OURS, THEIRS = "standfest", "heartbeat"
FLAGS = ("--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child")
HARESOURCES = "# nothing: the nodes only watch each other\n"

RECORDER = """import socket, time
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300)
packets.bind(("br0", 0x0003))
end = time.monotonic() + {seconds}
while (left := end - time.monotonic()) > 0:
    packets.settimeout(left)
    try:
        print(packets.recv(2048).hex())
    except TimeoutError:
        break
"""
PLAYER = """import socket, sys, time
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
packets.bind(("{device}", 0x0800))
for line in sys.stdin:
    packets.send(bytes.fromhex(line))
    time.sleep({pause})
"""
LOOK_S = 0.1


def until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Return whether the condition came true in time; a look starts a process, so not too often."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(LOOK_S)
    return True


class Machine:
    """One machine with eth0; `product` runs on it when it is started."""

    def __init__(self, lab: "Lab", number: int, product: str) -> None:
        self.lab, self.number, self.product = lab, number, product
        self.name = f"n{number}"
        self.directory = lab.directory / self.name
        self._init: subprocess.Popen[bytes] | None = None
        self._started: list[subprocess.Popen[bytes]] = []
        self.inside = 0

    def boot(self, files: dict[str, str]) -> None:
        """Make the machine: files below /etc/ha.d, a cable, an address."""
        etc, log = self.directory / "ha.d", self.directory / "log"
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.copytree("/etc/ha.d", etc, symlinks=True)
        log.mkdir()
        for name, text in files.items():
            (etc / name).write_text(text, encoding="utf-8")
            (etc / name).chmod(0o600)
        words = (sys.executable, "-m", "tests.interop.heartbeat_node", self.name)
        self._init = subprocess.Popen(
            ["unshare", *FLAGS, *words, str(etc), str(log)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{SOURCE}:{ROOT}"},
        )
        assert self._init.stdout is not None
        assert self._init.stdout.readline() == b"ready\n"
        outside = self._init.pid
        children = Path(f"/proc/{outside}/task/{outside}/children").read_text(encoding="ascii")
        self.inside = int(children.split()[0])
        self._connect()

    def _connect(self) -> None:
        end = ("type", "veth", "peer", "name", "eth0", "netns", str(self.inside))
        ip("-n", self.lab.switch, "link", "add", self.name, *end)
        ip("-n", self.lab.switch, "link", "set", self.name, "master", "br0", "up")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "set", "eth0", "up")
        address = f"10.77.0.{self.number}/24"
        self.run("ip", "address", "add", address, "broadcast", "10.77.0.255", "dev", "eth0")

    def run(self, *words: str, check: bool = True) -> str:
        """Run a command on the machine and return what it printed."""
        done = subprocess.run(self._enter(*words), check=False, capture_output=True, text=True)
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def _enter(self, *words: str) -> list[str]:
        return ["nsenter", "-t", str(self.inside), "-a", *words]

    def start(self) -> None:
        """Start the cluster on this machine."""
        words = (sys.executable, "-m", "standfest.cli.main", "run")
        command = words if self.product == OURS else (HEARTBEAT,)
        with (self.directory / "log" / "console").open("ab") as console:
            started = subprocess.Popen(
                self._enter(*command),
                stdout=console,
                stderr=console,
                env={**os.environ, "PYTHONPATH": SOURCE},
            )
        self._started.append(started)

    def halt(self) -> None:
        """Cut the power: every process of the machine dies at once, and its cable goes."""
        if self._init is not None:
            os.kill(self._init.pid, signal.SIGKILL)
            self._init.wait(10)
            assert self._init.stdout is not None
            self._init.stdout.close()
            self._init = None
            for started in self._started:
                started.wait(10)
            gone = until(lambda: not Path(f"/proc/{self.inside}/root").exists(), 10)
            assert gone, "the machine does not die"

    def kill(self) -> None:
        """Kill the cluster's processes at once; the machine and its address stay."""
        self.run("kill", "-9", "--", "-1")

    def cut(self, *, cut: bool = True) -> None:
        """Pull the machine's cable at the switch, or put it back."""
        ip("-n", self.lab.switch, "link", "set", self.name, "down" if cut else "up")

    def beats(self) -> bool:
        """Return whether the cluster runs here; heartbeat answers nobody before it is active."""
        if self.product == THEIRS:
            return "Local status now set to: 'up'" in self.log()
        return bool(self.links())

    def sees(self, node: str) -> str:
        """Return the status of a node as this machine's own tool tells it, or nothing."""
        if self.product == THEIRS:
            return self.run("cl_status", "nodestatus", node, check=False).strip()
        report = self.links()
        return str(report["nodes"].get(node, "dead")) if report else ""

    def lose(self, percent: int) -> None:
        """Lose heartbeats that arrive here, at random; 0 ends it."""
        self.run("nft", "add table inet loss; delete table inet loss")
        if percent:
            rule = f"udp dport 694 numgen random mod 100 < {percent} drop"
            chain = "chain inet loss input { type filter hook input priority 0; }"
            self.run("nft", f"add table inet loss; add {chain}; add rule inet loss input {rule}")

    def stop(self) -> None:
        """Ask the cluster to leave in order."""
        if self.product == OURS:
            # Who is asked while it starts runs nothing yet, and goes without a word.
            assert until(lambda: bool(self.ask("status")), 10), self.log()
            self.run("kill", self.run("cat", "/run/standfest/supervisor.pid").strip())
        else:
            self.run(HEARTBEAT, "-k")

    def give_keys(self, authkeys: str) -> None:
        """Replace authkeys, and let whoever runs here read it."""
        path = self.directory / "ha.d" / "authkeys"
        path.write_text(authkeys, encoding="utf-8")
        if self.product == OURS:
            self.run("kill", "-HUP", self.run("cat", "/run/standfest/supervisor.pid").strip())
        else:
            self.run(HEARTBEAT, "-r")

    def links(self) -> dict[str, dict[str, str]]:
        """Return `standfest status --links`; nothing when nobody answers."""
        printed = self.ask("status", "--links", "--json")
        report: dict[str, dict[str, str]] = json.loads(printed) if printed else {}
        return report

    def ask(self, *words: str) -> str:
        """Return what `standfest WORDS...` prints; nothing when it fails."""
        command = (sys.executable, "-m", "standfest.cli.main", *words)
        return self.run("env", f"PYTHONPATH={SOURCE}", *command, check=False).strip()

    def log(self) -> str:
        """Return what the cluster has logged."""
        with contextlib.suppress(OSError):
            return (self.directory / "log" / "ha-log").read_text(encoding="utf-8", errors="replace")
        return ""


class Lab:
    """Machines and their switch."""

    def __init__(self, directory: Path, products: tuple[str, ...]) -> None:
        self.directory = directory
        self.switch = f"sfh{os.getpid()}-{directory.name}"
        self.machines = tuple(Machine(self, n, product) for n, product in enumerate(products, 1))

    def record(self, seconds: float) -> list[bytes]:
        """Return the frames that cross the switch for a while."""
        program = RECORDER.format(seconds=seconds)
        words = ("ip", "netns", "exec", self.switch, sys.executable, "-I", "-c", program)
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        return [bytes.fromhex(line) for line in done.stdout.split()]

    def replay(self, frames: list[bytes], machine: Machine, pause_s: float) -> None:
        """Put frames on a machine's cable, one after the other."""
        program = PLAYER.format(device=machine.name, pause=pause_s)
        words = ("ip", "netns", "exec", self.switch, sys.executable, "-I", "-c", program)
        lines = "".join(frame.hex() + "\n" for frame in frames)
        subprocess.run(words, check=True, input=lines, text=True)

    def destroy(self) -> None:
        """Remove everything, whatever state it is in."""
        for machine in self.machines:
            machine.halt()
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("netns", "delete", self.switch)


@contextmanager
def lab(directory: Path, products: tuple[str, ...], files: dict[str, str]) -> Iterator[Lab]:
    """Give machines for as long as they are needed; nothing is started."""
    made = Lab(directory, products)
    try:
        ip("netns", "add", made.switch)
        bridge = ("type", "bridge", "mcast_snooping", "0")
        ip("-n", made.switch, "link", "add", "br0", *bridge)
        ip("-n", made.switch, "link", "set", "br0", "up")
        for machine in made.machines:
            machine.boot(files)
        yield made
    finally:
        made.destroy()
