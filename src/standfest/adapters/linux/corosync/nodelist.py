"""What corosync's map of keys says of the nodes and of the ring's patience.

Source: cmap_keys(7), corosync.conf(5) (`nodelist`, `token`, `consensus`).
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from ctypes import byref, c_int, c_size_t, c_uint32, c_uint64, create_string_buffer
from dataclasses import dataclass

from standfest.adapters.linux.corosync.library import (
    MAX_KEY,
    OK,
    VALUE_STRING,
    VALUE_UINT32,
    Libraries,
)
from standfest.model.errors import OperationError
from standfest.model.time import Duration, milliseconds

MAX_KEYS = 4096
MAX_VALUE = 1024
NODE_KEY = re.compile(r"nodelist\.node\.(\d+)\.(\w+)")
RING_ADDRESS = re.compile(r"ip\(([^)]*)\)")
DEFAULT_TOKEN_MS = 3000  # corosync.conf(5)


@dataclass(frozen=True, slots=True)
class Nodelist:
    """Names by node number, this node's own addresses on the ring, and when the ring has failed.

    patience: token and consensus together: so long after its last message a node is out of the
    others' ring.
    """

    names: tuple[tuple[int, str], ...]
    addresses: tuple[str, ...]
    patience: Duration


def read_nodelist(libraries: Libraries, me: int, own_name: str) -> Nodelist:
    """Return what corosync uses now; raises OperationError. May wait for corosync."""
    handle = c_uint64()
    libraries.call("cmap_initialize", byref(handle))
    try:
        keys = _values(libraries, handle, b"nodelist.node.")
        timing = _values(libraries, handle, b"runtime.config.totem.")
        members = _values(libraries, handle, f"runtime.members.{me}.".encode())
    finally:
        libraries.ask("cmap_finalize", handle)
    return nodelist({**keys, **timing, **members}, me, own_name)


def nodelist(values: Mapping[str, str | int], me: int, own_name: str) -> Nodelist:
    """Return the keys' meaning; a node without a name is called as its first address is."""
    nodes: dict[str, dict[str, str | int]] = {}
    for key, value in values.items():
        found = NODE_KEY.fullmatch(key)
        if found:
            nodes.setdefault(found[1], {})[found[2]] = value
    names = {}
    for _, fields in sorted(nodes.items()):
        number = fields.get("nodeid")
        if isinstance(number, int):
            fallback = own_name if number == me else fields.get("ring0_addr", "")
            names[number] = str(fields.get("name", fallback)).lower()
    token = values.get("runtime.config.totem.token", DEFAULT_TOKEN_MS)
    consensus = values.get("runtime.config.totem.consensus", DEFAULT_TOKEN_MS * 6 // 5)
    addresses = RING_ADDRESS.findall(str(values.get(f"runtime.members.{me}.ip", "")))
    patience = milliseconds(int(token) + int(consensus))
    return Nodelist(tuple(sorted(names.items())), tuple(addresses), patience)


def _values(libraries: Libraries, handle: c_uint64, prefix: bytes) -> dict[str, str | int]:
    """Return the keys with this prefix whose values are texts or whole numbers."""
    iterator = c_uint64()
    libraries.call("cmap_iter_init", handle, prefix, byref(iterator))
    values: dict[str, str | int] = {}
    try:
        for _ in range(MAX_KEYS):
            key, length, kind = create_string_buffer(MAX_KEY), c_size_t(), c_int()
            arguments = (handle, iterator, key, byref(length), byref(kind))
            if libraries.ask("cmap_iter_next", *arguments) != OK:
                return values
            with suppress(OperationError):  # deleted meanwhile
                value = _value(libraries, handle, key.value, kind.value)
                if value is not None:
                    values[key.value.decode()] = value
    finally:
        libraries.ask("cmap_iter_finalize", handle, iterator)
    return values


def _value(libraries: Libraries, handle: c_uint64, key: bytes, kind: int) -> str | int | None:
    length = c_size_t(MAX_VALUE)
    if kind == VALUE_UINT32:
        number = c_uint32()
        length = c_size_t(4)
        libraries.call("cmap_get", handle, key, byref(number), byref(length), None)
        return number.value
    if kind == VALUE_STRING:
        text = create_string_buffer(MAX_VALUE)
        libraries.call("cmap_get", handle, key, text, byref(length), None)
        return text.value.decode(errors="replace")
    return None
