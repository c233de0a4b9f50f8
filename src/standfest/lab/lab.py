"""The lab: an installation on real kernels' namespaces, its nodes, its networks, a client.

Use inside `sandbox.run`:  with Lab(plan, files) as lab: lab.start(); lab.kill("node-1"); ...
"""

import os
import shutil
import socket
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from standfest.lab import rootfs, syscalls
from standfest.lab.client import Prober, ask
from standfest.lab.events import Event, parse
from standfest.lab.measure import Answer, Reply
from standfest.lab.network import Wiring, configure_host
from standfest.lab.node import LIBRARIES, Node
from standfest.lab.plan import LabPlan
from standfest.lab.rootfs import SOURCE_INSIDE, Toolbox
from standfest.lab.services import (
    configuration_files,
    init_script,
    pid_file,
    power_on_commands,
)
from standfest.model import xml
from standfest.model.errors import OperationError

HA_DIR = "/etc/ha.d"
CIB_FILE = f"{HA_DIR}/cib.xml"
RUN_DIR = "/run/standfest"
CLIENT = "client"
CLIENT_FLAGS = syscalls.CLONE_NEWNET


class Lab:
    """One installation. files: name -> text of what belongs in /etc/ha.d of every node."""

    def __init__(self, plan: LabPlan, files: Mapping[str, str]) -> None:
        self.plan = plan
        self._files = dict(files)
        self._directory = Path(tempfile.mkdtemp(prefix="standfest-lab-"))
        self.nodes: dict[str, Node] = {}
        self._client: socket.socket | None = None
        self._client_process = 0
        self._boots = 0

    def __enter__(self) -> "Lab":
        syscalls.mount("tmpfs", str(self._directory), "tmpfs", 0, "mode=755")
        for name in ("source", "shared", "logs", "roots"):
            (self._directory / name).mkdir()
        rootfs.copy_source(self._directory / "source")
        self._tools: Toolbox = rootfs.toolbox(self._directory / "source")
        for primitive in self._shared_folders():
            (self._directory / "shared" / primitive).mkdir()
        self.wiring = Wiring(self.plan.networks)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        syscalls.unmount(str(self._directory))
        shutil.rmtree(self._directory, ignore_errors=True)

    # --- nodes ----------------------------------------------------------------------------------

    def boot(self, name: str) -> Node:
        """Switch a node on: its kernel, its devices, its files; nothing of ours runs yet."""
        assert name not in self.nodes, "a node is switched on once"
        self._boots += 1
        number = self._boots
        devices = tuple(network.device for network in self.plan.networks)
        node = Node(name, self._tools.python, self._tools.python_path)
        root = self._directory / "roots" / f"{name}-{number}"
        root.mkdir()
        logs = self._directory / "logs" / name
        logs.mkdir(exist_ok=True)
        shared = self._directory / "shared"
        addresses = {n.device: dict(n.addresses).get(name, "") for n in self.plan.networks}

        def build() -> None:
            rootfs.build(root, self._tools, shared, logs, self._node_files(name))
            os.chmod(f"{HA_DIR}/authkeys", 0o600)
            configure_host(self.plan.networks, addresses)

        self.wiring.unplug(name, devices)
        node.boot(lambda process: self.wiring.plug(name, number % 250, devices, process), build)
        self.nodes[name] = node
        for _, probe in self.plan.init_scripts:
            for words in power_on_commands(probe):
                node.run(*words)
        return node

    def launch(self, name: str) -> None:
        """Start the product's daemons on a node."""
        node = self.nodes[name]
        words = ["-m", "standfest.cli.main", "run", "--ha-dir", HA_DIR, "--cib", CIB_FILE]
        node.spawn(*node.python(*words, "--run-dir", RUN_DIR), respawn=True)

    def start(self) -> None:
        """Switch all nodes on, then start the daemons on all at once, then the client."""
        for name in self.plan.nodes:
            self.boot(name)
        self.start_client()
        for name in self.plan.nodes:
            self.launch(name)

    def kill(self, name: str) -> None:
        """Cut a node's power."""
        self.nodes[name].kill()

    def bury(self, name: str) -> None:
        """Take a killed node away, so that it can be switched on again."""
        self.nodes.pop(name).bury()

    def command(self, name: str, *words: str) -> tuple[int, str]:
        """Run `standfest WORDS` on a node; return its status and output."""
        node = self.nodes[name]
        return node.run(*node.python("-m", "standfest.cli.main", *words, "--run-dir", RUN_DIR))

    def end_service(self, name: str, service: str) -> None:
        """Kill a service's process, and what it started, on a node."""
        probe = dict(self.plan.init_scripts)[service]
        pid = self.nodes[name].read(pid_file(service, probe)).strip()
        if not pid:
            raise OperationError(f"{service} has no process on {name}")
        script = (
            'for p in $(ls /proc | grep "^[0-9][0-9]*$"); do '
            "read -r s < /proc/$p/stat || continue; "
            f'set -- $s; [ "$4" = "{pid}" ] && kill -9 $p; done 2>/dev/null; kill -9 {pid}'
        )
        self.nodes[name].run("/bin/sh", "-c", script)

    def stop(self) -> None:
        """Switch everything off."""
        self.stop_client()
        for node in self.nodes.values():
            node.kill()
        devices = tuple(network.device for network in self.plan.networks)
        for name in list(self.nodes):
            self.bury(name)
            self.wiring.unplug(name, devices)
        self.wiring.unplug(CLIENT, devices)

    # --- the client -----------------------------------------------------------------------------

    def start_client(self) -> None:
        """Start the client host; it probes from now on."""
        ours, theirs = socket.socketpair()
        process = os.fork()
        if process == 0:
            ours.close()
            self._be_client(theirs)
        theirs.close()
        if ours.recv(1) != b"N":
            raise OperationError("the client host did not start")
        self._boots += 1
        devices = tuple(network.device for network in self.plan.networks)
        self.wiring.unplug(CLIENT, devices)
        self.wiring.plug(CLIENT, self._boots % 250, devices, process)
        ours.sendall(b"G")
        self._client, self._client_process = ours, process

    def stop_client(self) -> tuple[list[Answer], list[Reply]]:
        """Stop the client host and return what it recorded."""
        if self._client is None:
            return [], []
        try:
            records = ask(self._client, b"S")
        except ConnectionError:
            records = [[], []]
        self._client.close()
        self._client = None
        os.waitpid(self._client_process, 0)
        assert isinstance(records, list), "the prober sends two lists"
        answers = [Answer(s, began, ended, node) for s, began, ended, node in records[0]]
        replies = [Reply(ip, at, mac) for ip, at, mac in records[1]]
        return answers, replies

    def latest(self) -> list[tuple[float, str] | None]:
        """Return when each service answered last, and which node did."""
        assert self._client is not None, "start_client() comes first"
        latest = ask(self._client, b"L")
        assert isinstance(latest, list), "the prober sends one entry a service"
        return [None if entry is None else (entry[0], entry[1]) for entry in latest]

    def wait_healthy(self, limit_s: float, steady_s: float = 2.0) -> list[str]:
        """Wait until every service has answered steadily; return who answers for each.

        Raises OperationError after `limit_s`, saying what is silent.
        """
        until = time.monotonic() + limit_s
        steady_since: float | None = None
        before: list[str] = []
        while time.monotonic() < until:
            now = time.monotonic()
            latest = self.latest()
            nodes = [entry[1] if entry and now - entry[0] < 0.1 else "" for entry in latest]
            if not all(nodes) or nodes != before:
                steady_since = now
                before = nodes
            elif steady_since is not None and now - steady_since >= steady_s:
                return nodes
            time.sleep(0.05)
        names = [s.name for s, node in zip(self.plan.services, before, strict=False) if not node]
        raise OperationError(f"{', '.join(names) or 'services'} silent for {limit_s:g} s")

    # --- logs -----------------------------------------------------------------------------------

    def events(self) -> list[Event]:
        """Return all events of all nodes' logs, dead ones' included, in order of time."""
        found: list[Event] = []
        for path in sorted((self._directory / "logs").glob("*/ha-debug")):
            found += parse(path.read_text(encoding="utf-8", errors="replace"))
        return sorted(found, key=lambda event: event.at)

    def save_logs(self, target: Path) -> None:
        """Copy all nodes' logs."""
        shutil.copytree(self._directory / "logs", target, dirs_exist_ok=True)

    def clear_logs(self) -> None:
        """Forget all logs; between scenarios, when no node runs."""
        for path in (self._directory / "logs").glob("*/*"):
            if path.is_file():
                path.unlink()

    # --- details --------------------------------------------------------------------------------

    def _node_files(self, name: str) -> dict[str, str]:
        files = {f"{HA_DIR}/{file}": text for file, text in self._files.items()}
        files[CIB_FILE] = xml.serialise(self.plan.configuration)
        files["/etc/hostname"] = f"{name}\n"
        files["/etc/hosts"] = self._hosts()
        standin = str(SOURCE_INSIDE / "standfest/lab/standin.py")
        for service, probe in self.plan.init_scripts:
            # An agent's environment is its own: the script must say where libpython is.
            interpreter = f"/usr/bin/env LD_LIBRARY_PATH={LIBRARIES} {self._tools.python}"
            script = init_script(service, probe, interpreter, standin)
            files[f"/etc/init.d/{service}"] = script
            files |= configuration_files(probe, name)
        return files

    def _hosts(self) -> str:
        lines = ["127.0.0.1 localhost"]
        for network in self.plan.networks:
            lines += [f"{address} {node}" for node, address in network.addresses]
        return "\n".join(lines) + "\n"

    def _shared_folders(self) -> Iterator[str]:
        for element in self.plan.configuration.walk():
            if element.tag == "primitive" and (element.get("type") or "").lower() == "filesystem":
                yield element.id

    def _be_client(self, control: socket.socket) -> None:
        try:
            syscalls.unshare(CLIENT_FLAGS)
            control.sendall(b"N")
            control.recv(1)
            configure_host(self.plan.networks, {n.device: n.client for n in self.plan.networks})
            Prober(self.plan, control).run()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
