"""Two nodes with real daemons, a heartbeat network that can be cut, and a third machine.

`eth1` carries heartbeats only; over `eth0` nodes reach the third machine and have the cluster's
address. Everything is named after this process.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.netns.balancing_lab import SOURCE, run

HA_CF = """node node-1 node-2
keepalive 100ms
warntime 500ms
deadtime 1
initdead 10
ucast eth1 10.9.1.1
ucast eth1 10.9.1.2
crm on
realtime off
logfile {log}
"""
AUTHKEYS = "auth 1\n1 crc\n"  # without a secret no heartbeats go over eth0, too
SECRET = "auth 1\n1 aes256-gcm the-lab's-own-passphrase\n"
ADDRESS = "10.9.0.100"
CIB = """<configuration><crm_config><cluster_property_set id="o">
<nvpair id="s" name="stonith-enabled" value="false"/>
<nvpair id="q" name="no-quorum-policy" value="stop"/>
<nvpair id="t" name="start-failure-is-fatal" value="true"/>
</cluster_property_set></crm_config><nodes/><resources>
<primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr"><instance_attributes id="i">
<nvpair id="a" name="ip" value="10.9.0.100"/><nvpair id="n" name="nic" value="eth0"/>
<nvpair id="m" name="cidr_netmask" value="24"/></instance_attributes></primitive>
</resources><constraints/></configuration>
"""
STANDFEST = (sys.executable, "-m", "standfest.cli.main")
POLL_S = 0.02


@dataclass
class Host:
    """One machine: a network namespace, a host name, directories of its own."""

    name: str
    space: str
    place: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *words: str) -> None:
        """Start a program of ours there."""
        shell = 'hostname "$0"; exec "$@"'
        inside = ("ip", "netns", "exec", self.space, "unshare", "--uts", "sh", "-c", shell)
        with (self.place / "console").open("ab") as console:
            self.processes.append(
                subprocess.Popen(
                    [*inside, self.name, *STANDFEST, *words],
                    env={**os.environ, "PYTHONPATH": SOURCE},
                    stdin=subprocess.DEVNULL,
                    stdout=console,
                    stderr=console,
                )
            )

    def run_dir(self) -> str:
        return str(self.place / "run")

    def quorum(self) -> dict[str, Any]:
        """Return what `standfest quorum status` shows; nothing while no daemon answers."""
        done = subprocess.run(
            [*STANDFEST, "quorum", "status", "--json", "--run-dir", self.run_dir()],
            env={**os.environ, "PYTHONPATH": SOURCE},
            check=False,
            capture_output=True,
            text=True,
        )
        return dict(json.loads(done.stdout)) if done.returncode == 0 else {}

    def arbiter(self, name: str) -> object:
        """Return what the tiebreaker's process says of itself."""
        return self.quorum().get("arbiter", {}).get(name)

    def do(self, *words: str) -> None:
        """Run a command of an administrator there."""
        subprocess.run(
            [*STANDFEST, *words, "--run-dir", self.run_dir()],
            env={**os.environ, "PYTHONPATH": SOURCE},
            check=True,
            capture_output=True,
        )

    def kill(self) -> None:
        """End everything that runs there at once, as a power cut does."""
        for process in self.processes:
            _kill_tree(process.pid)
            process.wait()
        self.processes.clear()

    def console(self) -> str:
        return (self.place / "console").read_text(encoding="utf-8", errors="replace")


def _kill_tree(pid: int) -> None:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        found = [int(word) for word in children.read_text(encoding="ascii").split()]
        os.kill(pid, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in found:
        _kill_tree(child)


@dataclass
class Lab:
    """node-1, node-2, and a third machine beside them."""

    nodes: dict[str, Host]
    third: Host
    switch: str
    place: Path

    def start(self, quorum: str, more: str = "") -> None:
        """Start the cluster on both nodes with this quorum.toml; more: further lines of ha.cf."""
        for host in self.nodes.values():
            conf = host.place / "ha.d"
            conf.mkdir(exist_ok=True)
            _write(conf / "ha.cf", HA_CF.format(log=host.place / "log") + more)
            _write(conf / "authkeys", AUTHKEYS)
            _write(conf / "quorum.toml", quorum)
            _write(conf / "cib.xml", CIB)
            words = ("--state-dir", str(host.place / "state"), "--run-dir", host.run_dir())
            host.start("run", "--ha-dir", str(conf), "--cib", str(conf / "cib.xml"), *words)

    def serve(self) -> None:
        """Start the quorum server on the third machine."""
        keys, file = self.place / "keys", self.place / "qdevice.toml"
        _write(keys, SECRET)
        _write(
            file,
            'address = "10.9.0.3"\nlongest_lease = "2"\n'
            f'[[clusters]]\nname = "lab"\nkey_file = "{keys}"\n',
        )
        self.third.start("qdevice", "run", str(file), "--run-dir", self.third.run_dir())

    def cut(self) -> None:
        """Let no heartbeat pass; every cable keeps its carrier."""
        run("ip", "-n", self.switch, "link", "set", "hb1", "nomaster")

    def join(self) -> None:
        """Let heartbeats pass again."""
        run("ip", "-n", self.switch, "link", "set", "hb1", "master", "br1")

    def owners(self) -> list[str]:
        """Return which nodes have the cluster's address."""
        return [
            name
            for name, host in self.nodes.items()
            if f"inet {ADDRESS}/" in run("ip", "-n", host.space, "addr", "show", "dev", "eth0")
        ]

    def quorate(self) -> list[str]:
        """Return which nodes have quorum."""
        return [name for name, host in self.nodes.items() if host.quorum().get("quorate")]

    def watch(self, seconds: float) -> list[list[str]]:
        """Return each different list of owners for so long."""
        seen: list[list[str]] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            owners = self.owners()
            if not seen or seen[-1] != owners:
                seen.append(owners)
            time.sleep(POLL_S)
        return seen

    def ready(self) -> None:
        """Wait until both nodes are in one partition and the address is up."""
        until(lambda: self.quorate() == ["node-1", "node-2"] and len(self.owners()) == 1, 40)


def until(condition: Callable[[], bool], limit_s: float) -> None:
    """Wait for the condition; fails after the limit."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(POLL_S)


@contextmanager
def lab(place: Path) -> Iterator[Lab]:
    """Build it; nothing runs yet."""
    mark = f"sfq{os.getpid()}"
    switch = f"{mark}s"
    spaces = {name: f"{mark}-{name[-1]}" for name in ("node-1", "node-2", "third-3")}
    hosts: dict[str, Host] = {}
    try:
        run("ip", "netns", "add", switch)
        for bridge in ("br0", "br1"):
            run("ip", "-n", switch, "link", "add", bridge, "type", "bridge")
            run("ip", "-n", switch, "link", "set", bridge, "up")
        for number, (name, space) in enumerate(spaces.items(), 1):
            run("ip", "netns", "add", space)
            run("ip", "-n", space, "link", "set", "lo", "up")
            for net, port in ((0, "sv"), (1, "hb")):
                end, device = f"{port}{number}", f"eth{net}"
                run(
                    *("ip", "-n", switch, "link", "add", end, "type", "veth"),
                    *("peer", "name", device, "netns", space),
                )
                run("ip", "-n", switch, "link", "set", end, "master", f"br{net}", "up")
                run("ip", "-n", space, "addr", "add", f"10.9.{net}.{number}/24", "dev", device)
                run("ip", "-n", space, "link", "set", device, "up")
            folder = place / name
            folder.mkdir()
            hosts[name] = Host(name, space, folder)
        nodes = {name: hosts[name] for name in ("node-1", "node-2")}
        yield Lab(nodes, hosts["third-3"], switch, place)
    finally:
        for host in hosts.values():
            host.kill()
        for space in (*spaces.values(), switch):
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
