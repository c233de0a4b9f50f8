"""Runs agents: OCF scripts, init scripts, systemd units, heartbeat's, built-in ones, fence agents.

Every run is a process group of its own, without a shell, judged by its exit alone. Built-in agents
run in a forked child of the calling daemon instead of a new interpreter, which would cost 150 ms of
every failover (docs/adr/0008). Source: facts/formats/RA-API.md sections 1 to 3.
"""

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from standfest.adapters.linux import fenceagents
from standfest.adapters.linux.capture import Capture
from standfest.model.errors import OperationError
from standfest.model.operations import ExitCode, Operation
from standfest.ports.agents import RunEnded, RunId
from standfest.ports.host import Host

OCF_ROOT = Path("/usr/lib/ocf")
INIT_DIRECTORY = Path("/etc/init.d")
HEARTBEAT_DIRECTORY = Path("/etc/ha.d/resource.d")
SYSTEMCTL = "/usr/bin/systemctl"
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
REASON_PREFIX = "ocf-exit-reason:"
MAX_REASON = 300
_LSB_STOPPED = (1, 2, 3)

BuiltIn = Callable[[str, Mapping[str, str], Host], int]
"""(action, parameters, host) -> exit code."""


@dataclass(slots=True)
class _Run:
    run: RunId
    operation: Operation
    process: int
    pidfd: int
    capture: Capture


class LinuxAgentRunner:
    """Implements ports.agents.AgentRunner; watch `fileno()` and call `poll()` when it is readable.

    find_built_in: type name -> a built-in agent's entry, or None; make_host: called in the child,
    because what it opens must not be shared by agents that run at once; on_line: gets every line
    that an agent wrote.
    """

    def __init__(
        self,
        find_built_in: Callable[[str], BuiltIn | None],
        make_host: Callable[[], Host],
        on_line: Callable[[str, str], None],
    ) -> None:
        self._find_built_in = find_built_in
        self._make_host = make_host
        self._on_line = on_line
        self._epoll = select.epoll()
        self._runs: dict[RunId, _Run] = {}
        self._by_descriptor: dict[int, _Run] = {}
        self._ended: list[RunEnded] = []

    def fileno(self) -> int:
        """Return a descriptor that is readable when a run has ended."""
        return self._epoll.fileno()

    def start(self, run: RunId, operation: Operation) -> None:
        """Begin a run; what cannot be started has ended at the next `poll`."""
        if operation.agent.standard == "stonith":
            known = fenceagents.answer(operation)
            if known is not None:
                self._ended.append(RunEnded(run, int(known)))
                return
        capture = Capture()
        try:
            process = self._launch(operation, capture)
        except _CannotRun as error:
            capture.close()
            self._ended.append(RunEnded(run, int(error.code), str(error)))
            return
        pidfd = os.pidfd_open(process)
        record = _Run(run, operation, process, pidfd, capture)
        self._runs[run] = record
        self._by_descriptor[pidfd] = record
        self._epoll.register(pidfd, select.EPOLLIN)

    def kill(self, run: RunId) -> None:
        """End a run's process group."""
        record = self._runs.get(run)
        if record is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(record.process, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.kill(record.process, signal.SIGKILL)

    def poll(self) -> list[RunEnded]:
        """Return the runs that have ended since the last call."""
        for descriptor, _ in self._epoll.poll(0):
            self._ended.append(self._collect(self._by_descriptor[descriptor]))
        ended, self._ended = self._ended, []
        return ended

    def _collect(self, record: _Run) -> RunEnded:
        _, status = os.waitpid(record.process, 0)
        code = os.waitstatus_to_exitcode(status)
        self._epoll.unregister(record.pidfd)
        os.close(record.pidfd)
        del self._by_descriptor[record.pidfd]
        del self._runs[record.run]
        output = record.capture.end()
        record.capture.close()
        reason = ""
        if record.operation.agent.standard == "stonith":
            output = fenceagents.without_secrets(record.operation, output)
            reason = output.splitlines()[-1].strip() if output and code else ""
        for line in output.splitlines():
            if line.startswith(REASON_PREFIX):
                reason = line.removeprefix(REASON_PREFIX).strip()
            self._on_line(record.operation.resource, line)
        if code < 0:
            return RunEnded(record.run, int(ExitCode.GENERIC), reason, killed=True)
        code = _translated(record.operation, code, output)
        return RunEnded(record.run, code, reason[:MAX_REASON])

    def _launch(self, operation: Operation, capture: Capture) -> int:
        agent = operation.agent
        if agent.standard == "ocf":
            script = OCF_ROOT / "resource.d" / agent.provider / agent.type
            if not os.access(script, os.X_OK) or not script.is_file():
                entry = self._find_built_in(agent.type)
                if entry is None:
                    raise _CannotRun(ExitCode.NOT_INSTALLED, f"no agent {script}")
                return self._fork(entry, operation, capture)
            words = [str(script), operation.task]
        elif agent.standard == "stonith":
            return _fence(operation, capture)
        else:
            words = _command(operation)
        return _spawn(words, ocf_environment(operation), subprocess.DEVNULL, capture)

    def _fork(self, entry: BuiltIn, operation: Operation, capture: Capture) -> int:
        process = os.fork()
        if process:
            return process
        code = int(ExitCode.GENERIC)
        try:
            _become_agent(capture.fileno())
            os.environ.update(ocf_environment(operation))
            code = entry(operation.task, _told(operation), self._make_host())
        except BaseException as error:
            os.write(2, f"{REASON_PREFIX}{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)


def _fence(operation: Operation, capture: Capture) -> int:
    """Start a fence agent; it reads its parameters from memory that no other process can see."""
    try:
        prepared = fenceagents.prepare(operation)
    except OperationError as error:
        raise _CannotRun(ExitCode.NOT_INSTALLED, str(error)) from error
    given = os.memfd_create("standfest-parameters", os.MFD_CLOEXEC)
    try:
        os.write(given, prepared.given)
        os.lseek(given, 0, os.SEEK_SET)
        return _spawn(prepared.words, prepared.environment, given, capture)
    finally:
        os.close(given)


def _spawn(
    words: Sequence[str], environment: Mapping[str, str], given: int, capture: Capture
) -> int:
    try:
        process = subprocess.Popen(
            words,
            stdin=given,
            stdout=capture.fileno(),
            stderr=capture.fileno(),
            env=environment,
            cwd="/",
            umask=0o022,
            start_new_session=True,
        )
    except OSError as error:
        why = f"{words[0]}: {error.strerror}"
        raise _CannotRun(ExitCode.NOT_INSTALLED, why) from error
    process.returncode = 0  # we wait for it ourselves; Popen must not
    return process.pid


def _told(operation: Operation) -> dict[str, str]:
    """Return what a built-in agent is told, by the names of the environment but for its prefix."""
    meta = {f"CRM_meta_{name.replace('-', '_')}": value for name, value in operation.meta}
    return dict(operation.parameters) | meta


class _CannotRun(Exception):  # noqa: N818  not an error of ours, becomes a RunEnded
    def __init__(self, code: ExitCode, why: str) -> None:
        super().__init__(why)
        self.code = code


def _become_agent(output: int) -> None:
    """Leave everything of the daemon behind but its memory."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.umask(0o022)
    os.chdir("/")


def ocf_environment(operation: Operation) -> dict[str, str]:
    """Return the whole environment of an agent."""
    agent = operation.agent
    environment = {
        "PATH": SEARCH_PATH,
        "LANG": "C",
        "LC_ALL": "C",
        "HOME": "/root",
        "OCF_ROOT": str(OCF_ROOT),
        "OCF_RA_VERSION_MAJOR": "1",
        "OCF_RA_VERSION_MINOR": "1",
        "OCF_RESOURCE_INSTANCE": operation.resource,
        "OCF_RESOURCE_TYPE": agent.type,
        "OCF_RESOURCE_PROVIDER": agent.provider,
        "OCF_EXIT_REASON_PREFIX": REASON_PREFIX,
        "OCF_RESKEY_crm_feature_set": "3.16.1",
        "HA_RSCTMP": "/run/resource-agents",
        "HA_cluster_type": "standfest",
        "HA_LOGFACILITY": "none",
        "HA_debug": "0",
    }
    for name, value in operation.parameters:
        if name == "OCF_CHECK_LEVEL":
            environment[name] = value
        else:
            environment[f"OCF_RESKEY_{name}"] = value
    for name, value in operation.meta:
        environment[f"OCF_RESKEY_CRM_meta_{name.replace('-', '_')}"] = value
    return environment


def _command(operation: Operation) -> list[str]:
    """Return the command line for the classes that are not OCF."""
    agent, task = operation.agent, operation.task
    script = INIT_DIRECTORY / agent.type
    match agent.standard:
        case "heartbeat":
            return _heartbeat_command(operation)
        case "lsb":
            return [str(script), "status" if task == "monitor" else task]
        case "service" if os.access(script, os.X_OK):
            return [str(script), "status" if task == "monitor" else task]
        case "systemd" | "service":
            verb = "is-active" if task == "monitor" else task
            return [SYSTEMCTL, verb, "--", f"{agent.type}.service"]
        case _:
            raise _CannotRun(ExitCode.UNIMPLEMENTED, f"class {agent.standard} cannot be run yet")


def _heartbeat_command(operation: Operation) -> list[str]:
    """Return `SCRIPT P1 P2 ... ACTION`: parameters of v1 scripts are named 1, 2, ..."""
    given = dict(operation.parameters)
    positional = []
    for number in range(1, len(given) + 1):
        if str(number) not in given:
            break
        positional.append(given[str(number)])
    action = "status" if operation.task == "monitor" else operation.task
    return [str(HEARTBEAT_DIRECTORY / operation.agent.type), *positional, action]


def _translated(operation: Operation, code: int, output: str) -> int:
    """Return an OCF exit code for what another kind of script said."""
    standard, monitor = operation.agent.standard, operation.task == "monitor"
    if standard == "stonith":
        return int(ExitCode.OK if code == 0 else ExitCode.GENERIC)
    if standard == "ocf" or not monitor:
        return code
    if standard == "heartbeat":
        text = output.lower()
        stopped = "stopped" in text or ("not" in text and "running" in text)
        running = not stopped and ("running" in text or output.strip() == "OK")
        return int(ExitCode.OK if running else ExitCode.NOT_RUNNING)
    if code in _LSB_STOPPED:
        return int(ExitCode.NOT_RUNNING)
    return int(ExitCode.OK if code == 0 else ExitCode.GENERIC)
