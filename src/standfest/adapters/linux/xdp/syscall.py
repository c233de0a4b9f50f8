"""The bpf(2) system call, and what stays when its user goes: pins in a bpf file system.

Standard library only: no compiler and no libbpf on the machine. What the kernel refuses becomes an
OperationError that says what was wanted. Source: bpf(2), linux/bpf.h.
"""

import contextlib
import ctypes
import os
import platform
import socket
import struct
from pathlib import Path

from standfest.model.errors import OperationError

CALL_NUMBERS = {
    "x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361, "s390x": 351,
}  # fmt: skip
DIRECTORY = Path("/sys/fs/bpf/standfest")
SO_NETNS_COOKIE = 71
OBJ_PIN, OBJ_GET, OBJ_GET_INFO = 6, 7, 15
ATTRIBUTE_BYTES = 128
INFO_BYTES = 256
BPF_FS_MAGIC = 0xCAFE4A11
EPERM, ENOENT, EEXIST, ENOTSUPP = 1, 2, 17, 524

_LIBC = ctypes.CDLL(None, use_errno=True)


def call(command: int, attributes: bytes, *, accept: tuple[int, ...] = ()) -> tuple[int, bytes]:
    """Return the result, and the attributes as the kernel left them.

    accept: error numbers that are returned, negative, instead of raised as OSError.
    """
    number = CALL_NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(38, f"no bpf(2) known for {platform.machine()}")
    buffer = ctypes.create_string_buffer(attributes, ATTRIBUTE_BYTES)
    result = _LIBC.syscall(number, command, buffer, ATTRIBUTE_BYTES)
    if result < 0:
        code = ctypes.get_errno()
        if code not in accept:
            raise OSError(code, os.strerror(code))
        result = -code
    return result, buffer.raw


def refused(what: str, error: OSError) -> OperationError:
    """Return the error that an operator reads."""
    number = error.errno or 0
    reason = "the kernel cannot" if number == ENOTSUPP else os.strerror(number)
    hint = "; expected root, or CAP_BPF with CAP_NET_ADMIN" if number == EPERM else ""
    return OperationError(f"xdp: {what}: {reason}{hint}")


def address(buffer: "ctypes.Array[ctypes.c_char] | ctypes.c_uint32") -> int:
    """Return where a buffer is."""
    return ctypes.addressof(buffer)


def information(descriptor: int) -> bytes:
    """Return what the kernel says of a map, program or link; raises OSError."""
    buffer = ctypes.create_string_buffer(INFO_BYTES)
    call(OBJ_GET_INFO, struct.pack("=IIQ", descriptor, INFO_BYTES, address(buffer)))
    return buffer.raw


def pin(descriptor: int, path: Path) -> None:
    """Give an object a name, so that it outlives us; raises OperationError."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    try:
        call(OBJ_PIN, struct.pack("=QII", address(name), descriptor, 0))
    except OSError as error:
        raise refused(f"pin {path}", error) from error


def pinned(path: Path) -> int | None:
    """Return a descriptor of what has this name, None if nothing has."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    try:
        result, _ = call(OBJ_GET, struct.pack("=QII", address(name), 0, 0), accept=(ENOENT,))
    except OSError as error:
        raise refused(f"open {path}", error) from error
    return None if result < 0 else result


def own_directory(directory: Path, what: str) -> Path:
    """Return where to pin things of this network namespace, in a bpf file system.

    directory: below the usual mount point, or a place to mount one of our own.
    """
    _ensure_file_system(_mount_point(directory))
    own = own_path(directory, what)
    try:
        own.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused(f"make {own}", error) from error
    return own


def own_path(directory: Path, what: str) -> Path:
    """Return where things of this network namespace are, if there are any."""
    return directory / f"{what}-{_namespace_cookie()}"


def lasts(directory: Path) -> bool:
    """Return whether what is pinned there now outlives this process.

    A file system that has to be mounted first ends with the last process that sees it, so somebody
    else has to: whoever has started us, as far as one can know.
    """
    with contextlib.suppress(OSError):
        if _magic(_mount_point(directory)) == BPF_FS_MAGIC:
            return True
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{os.getppid()}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
    return True


def _mount_point(directory: Path) -> Path:
    return directory.parent if directory.parent == DIRECTORY.parent else directory


def _namespace_cookie() -> int:
    """Return the number that tells this network namespace from all others since the boot."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        raw = endpoint.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8)
    return int(struct.unpack("=Q", raw)[0])


def _ensure_file_system(directory: Path) -> None:
    """Have `directory` in a bpf file system, mounting one there if it is in none.

    A mount lives as long as its mount namespace: a daemon that is started in a private one (`ip
    netns exec` makes one) needs a directory that was mounted outside.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if _magic(directory) == BPF_FS_MAGIC:
            return
    except OSError as error:
        raise refused(f"make {directory}", error) from error
    target = os.fsencode(directory)
    if _LIBC.mount(b"bpf", target, b"bpf", 0, b"mode=0700") != 0:
        code = ctypes.get_errno()
        raise refused(f"mount a bpf file system at {directory}", OSError(code, ""))


def _magic(directory: Path) -> int:
    """Return the type of a directory's file system."""
    buffer = ctypes.create_string_buffer(256)  # struct statfs begins with the type, a long
    if _LIBC.statfs(os.fsencode(directory), buffer) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(ctypes.c_ulong.from_buffer(buffer).value) & 0xFFFFFFFF
