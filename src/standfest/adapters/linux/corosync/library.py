"""Corosync's C libraries as Python sees them: structures, prototypes, errors; nothing decides here.

Loaded only where the stack is corosync, and by the names that Debian's packages libcpg4, libquorum5
and libcmap4 install. Source: cpg_model_initialize(3), cpg_mcast_joined(3), quorum_initialize(3),
cmap_initialize(3), cmap_iter_next(3).
"""

import ctypes
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char,
    c_char_p,
    c_int,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any

from standfest.model.errors import OperationError

LIBRARIES = (
    ("libcpg.so.4", "libcpg4"),
    ("libquorum.so.5", "libquorum5"),
    ("libcmap.so.4", "libcmap4"),
)
"""Library and the Debian package that has it."""

OK = 1
TRY_AGAIN = 6
DISPATCH_ONE = 4  # without blocking
TYPE_AGREED = 2
MODEL_V1 = 1
INITIAL_RING = 1
TRACK = 0x01 | 0x02  # what is, and what changes
QUORUM_SET = 1
VALUE_UINT32 = 6
VALUE_STRING = 11
MAX_KEY = 256
MAX_NAME = 128

ERRORS = {
    2: "the library cannot reach it",
    5: "no answer in time",
    TRY_AGAIN: "busy, try again",
    8: "out of memory",
    9: "the connection is closed",
    11: "access refused",
    12: "does not exist",
    14: "exists already",
    20: "not allowed now",
    26: "too big",
    100: "refused for security",
}
"""The few of corosync's errors that an administrator may meet."""


class Name(Structure):
    """struct cpg_name."""

    _fields_ = (("length", c_uint32), ("value", c_char * MAX_NAME))


class Address(Structure):
    """struct cpg_address."""

    _fields_ = (("node", c_uint32), ("pid", c_uint32), ("reason", c_uint32))


class RingId(Structure):
    """struct cpg_ring_id."""

    _fields_ = (("node", c_uint32), ("sequence", c_uint64))


class Buffer(Structure):
    """struct iovec."""

    _fields_ = (("base", c_char_p), ("length", c_size_t))


Deliver = CFUNCTYPE(None, c_uint64, POINTER(Name), c_uint32, c_uint32, c_void_p, c_size_t)
GroupChange = CFUNCTYPE(
    None,
    c_uint64,
    POINTER(Name),
    *(POINTER(Address), c_size_t),
    *(POINTER(Address), c_size_t),
    *(POINTER(Address), c_size_t),
)
RingChange = CFUNCTYPE(None, c_uint64, RingId, c_uint32, POINTER(c_uint32))
QuorumChange = CFUNCTYPE(None, c_uint64, c_uint32, c_uint64, c_uint32, POINTER(c_uint32))


class GroupCallbacks(Structure):
    """cpg_model_v1_data_t."""

    _fields_ = (
        ("model", c_int),
        ("deliver", Deliver),
        ("group_change", GroupChange),
        ("ring_change", RingChange),
        ("flags", c_uint32),
    )


class QuorumCallbacks(Structure):
    """quorum_callbacks_t."""

    _fields_ = (("change", QuorumChange),)


_HANDLE = POINTER(c_uint64)
_PROTOTYPES: tuple[dict[str, tuple[Any, ...]], ...] = (
    {
        "cpg_model_initialize": (_HANDLE, c_int, POINTER(GroupCallbacks), c_void_p),
        "cpg_join": (c_uint64, POINTER(Name)),
        "cpg_local_get": (c_uint64, POINTER(c_uint32)),
        "cpg_fd_get": (c_uint64, POINTER(c_int)),
        "cpg_dispatch": (c_uint64, c_int),
        "cpg_mcast_joined": (c_uint64, c_int, POINTER(Buffer), c_uint32),
        "cpg_finalize": (c_uint64,),
    },
    {
        "quorum_initialize": (_HANDLE, POINTER(QuorumCallbacks), POINTER(c_uint32)),
        "quorum_trackstart": (c_uint64, c_uint32),
        "quorum_getquorate": (c_uint64, POINTER(c_int)),
        "quorum_fd_get": (c_uint64, POINTER(c_int)),
        "quorum_dispatch": (c_uint64, c_int),
        "quorum_finalize": (c_uint64,),
    },
    {
        "cmap_initialize": (_HANDLE,),
        "cmap_get": (c_uint64, c_char_p, c_void_p, POINTER(c_size_t), POINTER(c_int)),
        "cmap_iter_init": (c_uint64, c_char_p, _HANDLE),
        "cmap_iter_next": (c_uint64, c_uint64, c_char_p, POINTER(c_size_t), POINTER(c_int)),
        "cmap_iter_finalize": (c_uint64, c_uint64),
        "cmap_finalize": (c_uint64,),
    },
)


class Libraries:
    """The loaded functions; `call` turns an error of theirs into an OperationError."""

    def __init__(self) -> None:
        """Load all; raises OperationError naming the package of the first that is missing."""
        self._functions: dict[str, Any] = {}
        for (name, package), prototypes in zip(LIBRARIES, _PROTOTYPES, strict=True):
            try:
                library = ctypes.CDLL(name)
            except OSError as error:
                expected = f"expected Debian's package {package}"
                raise OperationError(f"{name} cannot be loaded; {expected}") from error
            for function, arguments in prototypes.items():
                found = getattr(library, function)
                found.argtypes, found.restype = arguments, c_int
                self._functions[function] = found

    def ask(self, function: str, *arguments: Any) -> int:
        """Return what the function returns: OK, TRY_AGAIN, or another error."""
        result: int = self._functions[function](*arguments)
        return result

    def call(self, function: str, *arguments: Any) -> None:
        """Call the function; raises OperationError when it does not succeed."""
        result = self.ask(function, *arguments)
        if result != OK:
            why = ERRORS.get(result, f"error {result}")
            raise OperationError(f"corosync: {function}: {why}; expected a running corosync")
