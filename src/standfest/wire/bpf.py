"""An assembler for eBPF: instructions with labels and named maps to the bytes that a kernel loads.

Total within what it is for: programs of a few hundred instructions without functions of their own.
It never looks at a machine: what a host's byte order makes of a constant is the caller's matter, as
are the descriptors of maps, which are filled in by `Code.link`. Source: RFC 9669 (BPF instruction
set), Linux Documentation/bpf/standardization/instruction-set.rst.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum

INSTRUCTION_BYTES = 8
MAX_INSTRUCTIONS = 4096
MAX_JUMP = 32767
"""Offsets of jumps are 16 bits, counted from the next instruction."""

_INSTRUCTION = struct.Struct("=BBhi")
_MAP_REFERENCE = 1  # in the source register of a wide load: the immediate is a map's descriptor


class Register(IntEnum):
    """R0 results, R1-R5 arguments (lost in a call), R6-R9 kept, R10 the end of the stack."""

    R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = range(11)


R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = Register

Operand = Register | int
"""A register, or a number of 32 bits with a sign."""


class Size(Enum):
    """How much is loaded or stored."""

    BYTE = 0x10
    HALF = 0x08
    WORD = 0x00
    DOUBLE = 0x18


BYTE, HALF, WORD, DOUBLE = Size


class Condition(Enum):
    """When a jump is taken; comparisons are unsigned."""

    EQUAL = 0x10
    ABOVE = 0x20
    AT_LEAST = 0x30
    ANY_BIT = 0x40
    UNEQUAL = 0x50
    BELOW = 0xA0
    AT_MOST = 0xB0


EQUAL, ABOVE, AT_LEAST, ANY_BIT, UNEQUAL, BELOW, AT_MOST = Condition

_ADD, _SUBTRACT, _MULTIPLY, _OR, _AND = 0x00, 0x10, 0x20, 0x40, 0x50
_SHIFT_LEFT, _SHIFT_RIGHT, _MODULO, _XOR, _MOVE, _ENDIAN = 0x60, 0x70, 0x90, 0xA0, 0xB0, 0xD0
_CLASS_ALU32, _CLASS_ALU64, _CLASS_JUMP, _CLASS_JUMP32 = 0x04, 0x07, 0x05, 0x06
_BY_REGISTER = 0x08
_LOAD_WIDE, _LOAD, _STORE_NUMBER, _STORE, _ATOMIC = 0x18, 0x61, 0x62, 0x63, 0xC3
_FETCH_AND_ADD = 0x01
_TO_BIG_ENDIAN = 0x08
_CALL, _EXIT = 0x85, 0x95


@dataclass(frozen=True, slots=True)
class Code:
    """An assembled program; references: (instruction, name) of each map that it uses."""

    instructions: bytes
    references: tuple[tuple[int, str], ...]

    def link(self, descriptors: Mapping[str, int]) -> bytes:
        """Return the bytes with the maps' descriptors in their places."""
        code = bytearray(self.instructions)
        for number, name in self.references:
            struct.pack_into("=i", code, number * INSTRUCTION_BYTES + 4, descriptors[name])
        return bytes(code)


class Assembler:
    """Collects instructions in the order of the calls; `assemble` resolves the labels.

    Arithmetic is on 64 bits unless `wide=False`, which clears the upper half of the result.
    """

    def __init__(self) -> None:
        self._code: list[tuple[int, int, int, int, int]] = []
        self._labels: dict[str, int] = {}
        self._jumps: list[tuple[int, str]] = []
        self._references: list[tuple[int, str]] = []

    # --- arithmetic -----------------------------------------------------------------------------

    def move(self, to: Register, value: Operand, *, wide: bool = True) -> None:
        """Do `to = value`."""
        self._arithmetic(_MOVE, to, value, wide)

    def move_wide(self, to: Register, value: int) -> None:
        """Set `to` to a number of 64 bits."""
        assert 0 <= value < 1 << 64, "a number of 64 bits"
        self._emit(_LOAD_WIDE, to, immediate=value & 0xFFFFFFFF)
        self._emit(0, immediate=value >> 32)

    def add(self, to: Register, value: Operand, *, wide: bool = True) -> None:
        """Do `to += value`."""
        self._arithmetic(_ADD, to, value, wide)

    def subtract(self, to: Register, value: Operand, *, wide: bool = True) -> None:
        """Do `to -= value`."""
        self._arithmetic(_SUBTRACT, to, value, wide)

    def multiply(self, to: Register, value: Operand, *, wide: bool = True) -> None:
        """Do `to *= value`."""
        self._arithmetic(_MULTIPLY, to, value, wide)

    def modulo(self, to: Register, value: Operand, *, wide: bool = True) -> None:
        """Do `to %= value`; modulo 0 leaves it as it is."""
        self._arithmetic(_MODULO, to, value, wide)

    def bit_or(self, to: Register, value: Operand, *, wide: bool = True) -> None:
        """Do `to |= value`."""
        self._arithmetic(_OR, to, value, wide)

    def bit_and(self, to: Register, value: Operand, *, wide: bool = True) -> None:
        """Do `to &= value`."""
        self._arithmetic(_AND, to, value, wide)

    def bit_xor(self, to: Register, value: Operand, *, wide: bool = True) -> None:
        """Do `to ^= value`."""
        self._arithmetic(_XOR, to, value, wide)

    def shift_left(self, to: Register, value: Operand, *, wide: bool = True) -> None:
        """Do `to <<= value`."""
        self._arithmetic(_SHIFT_LEFT, to, value, wide)

    def shift_right(self, to: Register, value: Operand, *, wide: bool = True) -> None:
        """Do `to >>= value`, zeros coming in."""
        self._arithmetic(_SHIFT_RIGHT, to, value, wide)

    def swap_network(self, to: Register, bits: int) -> None:
        """Turn the low 16, 32 or 64 bits from this machine's order to the network's, or back."""
        assert bits in (16, 32, 64), "what the instruction set has"
        self._emit(_ENDIAN | _TO_BIG_ENDIAN | _CLASS_ALU32, to, immediate=bits)

    # --- memory ---------------------------------------------------------------------------------

    def load(self, size: Size, to: Register, base: Register, offset: int = 0) -> None:
        """Do `to = memory[base + offset]`, zeros above it."""
        self._emit(_LOAD | size.value, to, base, offset)

    def store(self, size: Size, base: Register, offset: int, value: Operand) -> None:
        """Do `memory[base + offset] = value`."""
        if isinstance(value, Register):
            self._emit(_STORE | size.value, base, value, offset)
        else:
            self._emit(_STORE_NUMBER | size.value, base, 0, offset, value)

    def fetch_and_add(self, base: Register, offset: int, value: Register) -> None:
        """Add 64 bits to memory as one step; `value` becomes what was there before."""
        self._emit(_ATOMIC | Size.DOUBLE.value, base, value, offset, _FETCH_AND_ADD)

    def map(self, to: Register, name: str) -> None:
        """Set `to` to a map, by the name that `Code.link` knows it by."""
        self._references.append((len(self._code), name))
        self._emit(_LOAD_WIDE, to, _MAP_REFERENCE)
        self._emit(0)

    # --- control --------------------------------------------------------------------------------

    def label(self, name: str) -> None:
        """Name the next instruction; each name once."""
        assert name not in self._labels, f"label {name} stands for one place"
        self._labels[name] = len(self._code)

    def jump(self, label: str) -> None:
        """Go on at a label."""
        self._jumps.append((len(self._code), label))
        self._emit(_CLASS_JUMP)

    def jump_if(
        self, left: Register, condition: Condition, right: Operand, label: str, *, wide: bool = True
    ) -> None:
        """Go on at a label if `left` compares so with `right`; else at the next instruction."""
        kind = condition.value | (_CLASS_JUMP if wide else _CLASS_JUMP32)
        self._jumps.append((len(self._code), label))
        if isinstance(right, Register):
            self._emit(kind | _BY_REGISTER, left, right)
        else:
            self._emit(kind, left, immediate=right)

    def call(self, helper: int) -> None:
        """Call one of the kernel's functions, by number."""
        self._emit(_CALL, immediate=helper)

    def exit(self) -> None:
        """End; R0 is the result."""
        self._emit(_EXIT)

    def assemble(self) -> Code:
        """Return the program; every label that is jumped to must be there."""
        assert 0 < len(self._code) <= MAX_INSTRUCTIONS, "what a kernel takes from anybody"
        code = list(self._code)
        for at, label in self._jumps:
            distance = self._labels[label] - at - 1
            assert abs(distance) <= MAX_JUMP, f"{label} is too far away"
            kind, to, source, _, immediate = code[at]
            code[at] = kind, to, source, distance, immediate
        packed = (
            _INSTRUCTION.pack(kind, source << 4 | to, offset, _signed(immediate))
            for kind, to, source, offset, immediate in code
        )
        return Code(b"".join(packed), tuple(self._references))

    def _arithmetic(self, operation: int, to: Register, value: Operand, wide: bool) -> None:
        kind = operation | (_CLASS_ALU64 if wide else _CLASS_ALU32)
        if isinstance(value, Register):
            self._emit(kind | _BY_REGISTER, to, value)
        else:
            self._emit(kind, to, immediate=value)

    def _emit(
        self, kind: int, to: int = 0, source: int = 0, offset: int = 0, immediate: int = 0
    ) -> None:
        assert -(1 << 31) <= immediate < 1 << 32, "immediates have 32 bits"
        self._code.append((kind, to, source, offset, immediate))


def _signed(number: int) -> int:
    """Return 32 bits as the number with a sign that has the same ones."""
    return number - (1 << 32) if number >= 1 << 31 else number
