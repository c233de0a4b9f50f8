"""A whole kernel for one command: User Mode Linux over the host's files, which it cannot change.

It brings what the host's kernel may lack: IPVS, ipip, dummy, CLUSTERIP, DRBD. Nothing of the guest
outlives the call: its processes are in a PID namespace of their own that is ended as a whole, its
writes are in memory. Source: facts/UML.md.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from standfest.lab import umlinit
from standfest.model.errors import OperationError

KERNEL = "linux.uml"
MODULES = Path("/usr/lib/uml/modules")
IPVS_MODULES = (
    *("ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_lc", "ip_vs_wlc", "ip_vs_sh", "ip_vs_dh"),
    *("ip_vs_sed", "ip_vs_nq", "ip_vs_mh", "ip_vs_fo", "ip_vs_ovf", "ip_vs_lblc", "dummy"),
    *("ipip", "veth", "bridge", "macvlan"),
)
MAX_OUTPUT_BYTES = 16 * 1024 * 1024
NO_RESULT = 125
_SHIM = Path(__file__).with_name("uml_xstate.c")
_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class UmlResult:
    """A command's exit status and what it wrote; NO_RESULT: the guest did not come so far."""

    status: int
    output: str


def missing() -> str:
    """Return why no User Mode Linux can be run here, empty if one can."""
    if shutil.which(KERNEL) is None or not MODULES.is_dir():
        return "User Mode Linux is not installed (Debian: user-mode-linux)"
    if shutil.which("modprobe") is None:
        return "kmod is not installed, which loads User Mode Linux's modules"
    if os.geteuid() != 0:
        return "User Mode Linux is run in namespaces, which needs root"
    if has_tiles() and shutil.which("cc") is None:
        return "this processor has AMX tiles: User Mode Linux needs a C compiler to run on it"
    return ""


def has_tiles() -> bool:
    """Return whether the processor has a register state that User Mode Linux 6.1 does not know."""
    try:
        return " amx_tile" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def run(
    command: Sequence[str],
    *,
    modules: Sequence[str] = (),
    memory_mb: int = 512,
    timeout_s: float = 120.0,
    environment: Mapping[str, str] | None = None,
) -> UmlResult:
    """Boot a guest, run a command as root in this directory, and power off.

    Raises OperationError where User Mode Linux is missing, or when `timeout_s` has passed.
    """
    why = missing()
    if why:
        raise OperationError(why)
    versions = sorted(MODULES.iterdir())
    job = {
        "command": list(command),
        "directory": os.getcwd(),
        "modules": list(modules),
        "modules_directory": str(versions[-1]),
        "environment": {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            **(environment or {}),
        },
    }
    with tempfile.TemporaryDirectory(prefix="standfest-uml-") as place:
        path = Path(place) / "job.json"
        path.write_text(json.dumps(job))
        return _boot(path, memory_mb, timeout_s)


def _boot(job: Path, memory_mb: int, timeout_s: float) -> UmlResult:
    ours, theirs = socket.socketpair()
    console = job.with_name("console")
    with ours, theirs, console.open("wb") as chatter:
        ours.settimeout(_POLL_S)
        # A shell is the namespace's first process: as PID 1 a kernel that panics would spin.
        guest = subprocess.Popen(
            [
                *("taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))),
                *("unshare", "--pid", "--net", "--mount", "--fork", "--kill-child=KILL", "--"),
                *("sh", "-c", '"$@"; exit $?', "sh", *_kernel(job, memory_mb, theirs.fileno())),
            ],
            stdin=subprocess.DEVNULL,
            stdout=chatter,
            stderr=chatter,
            pass_fds=(theirs.fileno(),),
            env={**os.environ, **_preload(job.parent)},
        )
        theirs.close()
        try:
            output = _read(ours, guest, time.monotonic() + timeout_s)
        finally:
            guest.kill()
            guest.wait()
    text, mark, status = output.rpartition(f"\n{umlinit.MARK}")
    if mark and status.strip().isdigit():
        return UmlResult(int(status), text)
    said = console.read_bytes()[:4000].decode(errors="replace")
    if not output and "Kernel panic" not in said and guest.returncode == -9:
        raise OperationError(f"the guest did not end within {timeout_s:g} s")
    return UmlResult(NO_RESULT, f"{output}\n{said}\n{guest.returncode}")


def _kernel(job: Path, memory_mb: int, line: int) -> list[str]:
    init = [os.path.realpath(sys.executable), "-I", "-S", "-B", os.path.realpath(umlinit.__file__)]
    return [
        *(KERNEL, "rootfstype=hostfs", "rootflags=/", "ro", f"mem={memory_mb}M"),
        *(f"init={init[0]}", "con=null", "con0=null,fd:1", "ssl=null", f"ssl0=fd:{line}", "quiet"),
        *(f"uml_dir={job.parent}", "umid=guest", "--", *init[1:], str(job)),
    ]


def _preload(place: Path) -> dict[str, str]:
    if not has_tiles():
        return {}
    library = place / "uml_xstate.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, _SHIM], check=True)
    return {"LD_PRELOAD": str(library)}


def _read(ours: socket.socket, guest: subprocess.Popen[bytes], until: float) -> str:
    """Return what the guest wrote until it ended, or until the time was up."""
    parts: list[bytes] = []
    size = 0
    while time.monotonic() < until and size < MAX_OUTPUT_BYTES:
        try:
            part = ours.recv(65536)
        except TimeoutError:
            if guest.poll() is not None:
                break
            continue
        except ConnectionResetError:
            break
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts).decode(errors="replace")
