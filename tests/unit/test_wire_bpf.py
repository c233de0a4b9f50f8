"""The eBPF assembler: encodings by the book (RFC 9669), labels, and references to maps."""

import pytest

from standfest.wire.bpf import (
    ABOVE,
    ANY_BIT,
    BYTE,
    DOUBLE,
    EQUAL,
    HALF,
    R0,
    R1,
    R2,
    R3,
    R6,
    R10,
    WORD,
    Assembler,
)


def bytes_of(code: Assembler) -> str:
    """Return the program in hexadecimal, a space between instructions."""
    return code.assemble().instructions.hex(" ", 8)


def test_arithmetic_is_class_seven_on_64_bits_and_class_four_on_32() -> None:
    code = Assembler()
    code.move(R0, 2)  # BPF_ALU64 | BPF_K | BPF_MOV = 0x07 | 0x00 | 0xb0
    code.move(R1, R6)  # BPF_X adds 0x08; registers are source << 4 | destination
    code.add(R2, -14)
    code.subtract(R2, R1, wide=False)  # BPF_ALU | BPF_X | BPF_SUB = 0x04 | 0x08 | 0x10
    code.shift_right(R3, 30)
    code.bit_and(R3, 0xFFFF0000, wide=False)
    assert bytes_of(code) == (
        "b700000002000000 bf61000000000000 07020000f2ffffff 1c12000000000000 770300001e000000 "
        "540300000000ffff"
    )


def test_loads_and_stores_say_their_size_and_offset() -> None:
    code = Assembler()
    code.load(WORD, R1, R6, 4)  # BPF_LDX | BPF_MEM | BPF_W = 0x61
    code.load(DOUBLE, R1, R10, -8)  # BPF_DW = 0x18
    code.store(BYTE, R10, -1, 7)  # BPF_ST | BPF_B = 0x62 | 0x10
    code.store(HALF, R10, -2, R3)  # BPF_STX | BPF_H = 0x63 | 0x08
    code.fetch_and_add(R0, 0, R1)  # BPF_STX | BPF_ATOMIC | BPF_DW, BPF_ADD | BPF_FETCH
    assert bytes_of(code) == (
        "6161040000000000 79a1f8ff00000000 720affff07000000 6b3afeff00000000 db10000001000000"
    )


def test_a_number_of_64_bits_takes_two_instructions() -> None:
    code = Assembler()
    code.move_wide(R1, 0x1122334455667788)
    assert bytes_of(code) == "1801000088776655 0000000044332211"


def test_swapping_for_the_network_is_the_byte_swap_to_big_endian() -> None:
    code = Assembler()
    code.swap_network(R1, 16)  # BPF_ALU | BPF_TO_BE | BPF_END = 0x04 | 0x08 | 0xd0
    assert bytes_of(code) == "dc01000010000000"


def test_jumps_count_instructions_from_the_next_one_forwards_and_backwards() -> None:
    code = Assembler()
    code.label("begin")
    code.jump_if(R1, EQUAL, 8, "end")  # at 0; the end is 4: 4 - 0 - 1 = 3
    code.jump_if(R1, ABOVE, R2, "begin")  # at 1: 0 - 1 - 1 = -2
    code.jump_if(R1, ANY_BIT, 0x80000000, "end", wide=False)  # class 6; 4 - 2 - 1 = 1
    code.jump("end")  # 4 - 3 - 1 = 0
    code.label("end")
    code.exit()
    assert bytes_of(code) == (
        "1501030008000000 2d21feff00000000 4601010000000080 0500000000000000 9500000000000000"
    )


def test_a_label_behind_a_wide_load_counts_both_of_its_halves() -> None:
    code = Assembler()
    code.jump("end")  # 0; the wide load is 1 and 2, the end 3: 3 - 0 - 1 = 2
    code.move_wide(R1, 1)
    code.label("end")
    code.exit()
    assert bytes_of(code).split()[0] == "0500020000000000"


def test_maps_are_filled_in_by_name_wherever_they_are_used() -> None:
    code = Assembler()
    code.map(R1, "flows")
    code.map(R2, "services")
    code.map(R3, "flows")
    assembled = code.assemble()
    assert assembled.references == ((0, "flows"), (2, "services"), (4, "flows"))
    linked = assembled.link({"flows": 5, "services": 258}).hex(" ", 8).split()
    # BPF_LD | BPF_DW | BPF_IMM = 0x18 with BPF_PSEUDO_MAP_FD = 1 as source register
    assert linked[0::2] == ["1811000005000000", "1812000002010000", "1813000005000000"]


def test_slips_of_whoever_writes_a_program_are_found_when_it_is_assembled() -> None:
    twice = Assembler()
    twice.label("here")
    with pytest.raises(AssertionError, match="here"):
        twice.label("here")
    nowhere = Assembler()
    nowhere.jump("there")
    with pytest.raises(KeyError, match="there"):
        nowhere.assemble()
    with pytest.raises(AssertionError):
        Assembler().move(R0, 1 << 32)
