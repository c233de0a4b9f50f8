"""A node's root directory: the host's programs, files of its own, the product at fixed places.

Built on tmpfs from bind mounts, not as an overlay of the host's root: that works as an ordinary
user on every kernel, and nothing that the cluster mounts (/home, say) can hide the interpreter.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyroute2

import standfest
from standfest.lab import syscalls

INSIDE = Path("/opt/standfest-lab")
PYTHON_INSIDE = INSIDE / "python"
SITE_INSIDE = INSIDE / "site"
SOURCE_INSIDE = INSIDE / "src"
SHARED_INSIDE = INSIDE / "shared"
EMPTY = ("run", "run/lock", "run/resource-agents", "tmp", "var", "var/lib", "var/log", "var/spool")
MORE_EMPTY = ("var/spool/mail", "var/tmp", "var/cache", "home", "root", "srv", "mnt", "sys", "opt")
ETC = (
    "passwd",
    "group",
    "nsswitch.conf",
    "host.conf",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "services",
    "protocols",
    "login.defs",
    "alternatives",
    "postfix",
    "dovecot",
    "aliases",
    "pam.d",
    "security",
    "ssl",
    "default",
)
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Where the interpreter and the libraries are on the host, and inside a node."""

    base: Path
    source: Path
    site: Path
    python: str

    @property
    def python_path(self) -> str:
        """Return PYTHONPATH inside a node."""
        return f"{SOURCE_INSIDE}:{SITE_INSIDE}"


def toolbox(source: Path) -> Toolbox:
    """Return this process's interpreter and libraries; `source` holds the package."""
    base = Path(sys.base_prefix).resolve()
    executable = Path(os.path.realpath(sys.executable))
    if base == Path("/usr"):
        python = str(executable)
    else:
        python = str(PYTHON_INSIDE / executable.relative_to(base))
    assert pyroute2.__file__ is not None, "pyroute2 is a package with files"
    return Toolbox(base, source, Path(pyroute2.__file__).resolve().parent.parent, python)


def copy_source(target: Path) -> None:
    """Copy the package, compiled, to where every node can mount it."""
    import compileall  # noqa: PLC0415  only the lab's first moment needs it

    package = Path(standfest.__file__).resolve().parent
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, target / "standfest", ignore=ignore)
    compileall.compile_dir(target, quiet=2, workers=1)


def build(root: Path, tools: Toolbox, shared: Path, logs: Path, files: Mapping[str, str]) -> None:
    """Make `root` a node's root directory and move into it; in a mount namespace of its own.

    files: path -> text of what is put on top; scripts below /etc/init.d become executable.
    """
    syscalls.mount("tmpfs", str(root), "tmpfs", 0, "mode=755")
    for name in (*EMPTY, *MORE_EMPTY, "proc", "dev", "etc", "usr", "old-root"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp", "run/lock"):
        (root / name).chmod(0o1777)
    _host_directories(root)
    _devices(root / "dev")
    _etc(root / "etc")
    for inside, outside in (
        (PYTHON_INSIDE, tools.base),
        (SITE_INSIDE, tools.site),
        (SOURCE_INSIDE, tools.source),
        (SHARED_INSIDE, shared),
        (Path("/var/log"), logs),
    ):
        target = root / inside.relative_to("/")
        target.mkdir(parents=True, exist_ok=True)
        ours = inside in (SHARED_INSIDE, Path("/var/log"))
        _bind(str(outside), str(target), read_only=not ours)
    for path, text in files.items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink():
            target.unlink()
        target.write_text(text, encoding="utf-8")
        target.chmod(0o755 if path.startswith("/etc/init.d/") else 0o644)
    _own_directories(root)
    syscalls.mount("proc", str(root / "proc"), "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV)
    os.chdir(root)
    syscalls.pivot_root(".", "old-root")
    os.chdir("/")
    syscalls.unmount("/old-root")
    os.rmdir("/old-root")


def _bind(source: str, target: str, *, read_only: bool = False) -> None:
    syscalls.mount(source, target, "", syscalls.MS_BIND | syscalls.MS_REC)
    if read_only:
        # Refused in a user namespace where the host's mount has flags of its own; there the host's
        # files are not this user's to change anyway.
        with contextlib.suppress(OSError):
            flags = syscalls.MS_BIND | syscalls.MS_REMOUNT | syscalls.MS_RDONLY
            syscalls.mount("", target, "", flags)


def _host_directories(root: Path) -> None:
    """Show the host's programs: /usr, and what lies beside it."""
    _bind("/usr", str(root / "usr"), read_only=True)
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        host = Path("/") / name
        if host.is_symlink():
            (root / name).symlink_to(os.readlink(host))
        elif host.is_dir():
            (root / name).mkdir()
            _bind(str(host), str(root / name), read_only=True)


def _devices(directory: Path) -> None:
    for name in DEVICES:
        (directory / name).touch()
        _bind(f"/dev/{name}", str(directory / name))
    (directory / "shm").mkdir(mode=0o1777)
    for name, target in (
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ):
        (directory / name).symlink_to(target)


def _etc(directory: Path) -> None:
    for name in ETC:
        source, target = Path("/etc") / name, directory / name
        try:
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, ignore_dangling_symlinks=True)
            elif source.exists():
                shutil.copy(source, target)
        except (OSError, shutil.Error):
            continue  # a file that only root may read; nobody here needs it


def _own_directories(root: Path) -> None:
    """Give Postfix and Dovecot the directories that their packages made on the host."""
    if os.geteuid() != 0:
        return
    for name in ("var/spool/postfix", "var/lib/postfix", "run/dovecot"):
        (root / name).mkdir(parents=True, exist_ok=True)
    try:
        shutil.chown(root / "var/lib/postfix", "postfix", "postfix")
    except (LookupError, OSError):
        return
