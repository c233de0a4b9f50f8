"""Maps: tables that programs in the kernel and we share. Source: bpf(2), linux/bpf.h."""

import contextlib
import ctypes
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from standfest.adapters.linux.xdp.syscall import (
    EEXIST,
    ENOENT,
    address,
    call,
    information,
    pin,
    pinned,
    refused,
)
from standfest.model.errors import OperationError

CREATE, LOOKUP, UPDATE, DELETE, LOOKUP_BATCH = 0, 1, 2, 3, 24
NOEXIST = 1
NAME_BYTES = 15
BATCH = 8192
"""Entries that are read at a time; more than the longest chain of any hash of ours."""
MAX_BATCHES = 4096


class Kind(IntEnum):
    """Types of maps."""

    HASH = 1
    ARRAY = 2
    PERCPU_ARRAY = 6
    LRU_HASH = 9


GROWN_ON_DEMAND, MAPPED = 1, 1 << 10
"""Flags: entries are freed only when no program can see them any more; memory shared by mmap."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a map is made of; sizes in bytes."""

    name: str
    kind: Kind
    key_bytes: int
    value_bytes: int
    entries: int
    flags: int = 0

    @property
    def padded_bytes(self) -> int:
        """Return what a value takes in an array."""
        return (self.value_bytes + 7) & ~7


class Map:
    """One map of the kernel, open here. Every call raises OperationError when it is refused."""

    def __init__(self, shape: Shape, descriptor: int) -> None:
        self.shape, self.descriptor = shape, descriptor
        copies = possible_cpus() if shape.kind is Kind.PERCPU_ARRAY else 1
        value_bytes = shape.padded_bytes * copies if copies > 1 else shape.value_bytes
        self._key = ctypes.create_string_buffer(shape.key_bytes)
        self._value = ctypes.create_string_buffer(value_bytes)

    def close(self) -> None:
        """Let go of it; what is pinned or used by a program lives on."""
        os.close(self.descriptor)

    def get(self, key: bytes) -> bytes | None:
        """Return a value, of a per-CPU map all CPUs' one after another; None if there is none."""
        self._key.raw = key
        try:
            result, _ = call(LOOKUP, self._element(address(self._value)), accept=(ENOENT,))
        except OSError as error:
            raise refused(f"read map {self.shape.name}", error) from error
        return None if result < 0 else self._value.raw

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value."""
        self._key.raw, self._value.raw = key, value
        try:
            call(UPDATE, self._element(address(self._value)))
        except OSError as error:
            raise refused(f"write map {self.shape.name}", error) from error

    def add(self, key: bytes, value: bytes) -> bool:
        """Set a value if the key has none; return whether it had none."""
        self._key.raw, self._value.raw = key, value
        try:
            result, _ = call(UPDATE, self._element(address(self._value), NOEXIST), accept=(EEXIST,))
        except OSError as error:
            raise refused(f"write map {self.shape.name}", error) from error
        return result >= 0

    def clear(self, key: bytes) -> None:
        """Set a value to zeros, of a per-CPU map each CPU's."""
        self.put(key, bytes(len(self._value)))

    def delete(self, key: bytes) -> None:
        """Delete an entry; one that is not there is a success."""
        self._key.raw = key
        try:
            call(DELETE, self._element(0), accept=(ENOENT,))
        except OSError as error:
            raise refused(f"change map {self.shape.name}", error) from error

    def batches(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield (keys, values) of a hash, many at a time, each in one piece.

        Entries that come or go meanwhile may be missing or stand twice.
        """
        count = min(BATCH, self.shape.entries)
        keys = ctypes.create_string_buffer(self.shape.key_bytes * count)
        values = ctypes.create_string_buffer(self.shape.value_bytes * count)
        # The position in a hash is 32 bits; the kernel reads it but for the first time.
        position, following = ctypes.c_uint32(), ctypes.c_uint32()
        begin = 0
        for _ in range(MAX_BATCHES):
            asked = struct.pack(
                "=QQQQIIQQ", begin, address(following), address(keys), address(values), count,
                self.descriptor, 0, 0,
            )  # fmt: skip
            try:
                result, answer = call(LOOKUP_BATCH, asked, accept=(ENOENT,))
            except OSError as error:
                raise refused(f"read map {self.shape.name}", error) from error
            found = struct.unpack_from("=I", answer, 32)[0]
            if found:
                yield (
                    keys.raw[: found * self.shape.key_bytes],
                    values.raw[: found * self.shape.value_bytes],
                )
            if result < 0:  # ENOENT: that was the rest
                return
            position.value = following.value
            begin = address(position)

    def view(self) -> memoryview:
        """Return an array's values as memory that programs see at once, `padded_bytes` each."""
        try:
            return memoryview(mmap.mmap(self.descriptor, _pages(self.shape)))
        except OSError as error:
            raise refused(f"map {self.shape.name} into memory", error) from error

    def _element(self, value: int, flags: int = 0) -> bytes:
        return struct.pack("=IIQQQ", self.descriptor, 0, address(self._key), value, flags)


def create(shape: Shape) -> Map:
    """Make a new map; raises OperationError."""
    attributes = struct.pack(
        "=IIIIIII16s", shape.kind, shape.key_bytes, shape.value_bytes, shape.entries, shape.flags,
        0, 0, shape.name.encode()[:NAME_BYTES],
    )  # fmt: skip
    try:
        return Map(shape, call(CREATE, attributes)[0])
    except OSError as error:
        raise refused(f"make map {shape.name} of {shape.entries} entries", error) from error


def adopt(shape: Shape, path: Path) -> Map:
    """Open the pinned map of this name, or make and pin one; raises OperationError.

    One of other sizes than these is another version's, and is refused.
    """
    descriptor = pinned(path)
    if descriptor is None:
        made = create(shape)
        pin(made.descriptor, path)
        return made
    kind, _, key_bytes, value_bytes, entries = struct.unpack_from("=IIIII", information(descriptor))
    there = (kind, key_bytes, value_bytes, entries)
    if there != (shape.kind, shape.key_bytes, shape.value_bytes, shape.entries):
        os.close(descriptor)
        raise OperationError(
            f"xdp: {path} has type, key, value and entries {there}; expected "
            f"{(int(shape.kind), shape.key_bytes, shape.value_bytes, shape.entries)}"
        )
    return Map(shape, descriptor)


def possible_cpus() -> int:
    """Return how many CPUs per-CPU maps have room for."""
    with contextlib.suppress(OSError, ValueError):
        listed = Path("/sys/devices/system/cpu/possible").read_text(encoding="ascii").strip()
        return int(listed.rpartition(",")[2].rpartition("-")[2]) + 1
    return os.cpu_count() or 1


def _pages(shape: Shape) -> int:
    """Return the bytes of an array in memory, which ends with a page."""
    return -(-shape.padded_bytes * shape.entries // mmap.PAGESIZE) * mmap.PAGESIZE
