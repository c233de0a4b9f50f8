"""Programs: loading them, trying them on a packet, attaching them to interfaces.

Source: bpf(2), linux/bpf.h, Linux Documentation/bpf/bpf_prog_run.rst.
"""

import ctypes
import os
import struct
from dataclasses import dataclass
from enum import IntEnum

from standfest.adapters.linux.xdp.syscall import address, call, refused
from standfest.model.errors import OperationError
from standfest.wire.bpf import INSTRUCTION_BYTES

LOAD, TEST_RUN, LINK_CREATE, LINK_UPDATE, LINK_DETACH = 5, 10, 28, 29, 34
KIND_XDP, ATTACH_XDP = 6, 37
LICENCE = b"GPL\0"
"""What the kernel's route lookup asks of its callers: our program is offered under it as well."""
NAME_BYTES = 15
LOG_BYTES = 1 << 20
LOG_LINES = 3
OUTPUT_BYTES = 4096
LIVE_FRAMES = 2
LIVE_BATCH = 64
EINVAL, EACCES = 22, 13


class Verdict(IntEnum):
    """What a program says about a packet."""

    ABORTED = 0
    DROP = 1
    PASS = 2
    TX = 3
    REDIRECT = 4


class Mode(IntEnum):
    """Where a program meets packets: in the driver, or in the stack when the driver cannot."""

    GENERIC = 1 << 1
    NATIVE = 1 << 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a packet; nanoseconds: of one run."""

    verdict: Verdict
    packet: bytes
    nanoseconds: int


def load(code: bytes, name: str) -> int:
    """Load a linked XDP program and return its descriptor; raises OperationError.

    A program that the verifier refuses is loaded again for its reasons.
    """
    instructions = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(LICENCE)
    log = ctypes.create_string_buffer(LOG_BYTES)

    def attributes(level: int) -> bytes:
        return struct.pack(
            "=IIQQIIQII16sII", KIND_XDP, len(code) // INSTRUCTION_BYTES, address(instructions),
            address(licence), level, LOG_BYTES if level else 0, address(log) if level else 0, 0, 0,
            name.encode()[:NAME_BYTES], 0, ATTACH_XDP,
        )  # fmt: skip

    try:
        return call(LOAD, attributes(0))[0]
    except OSError as error:
        if error.errno not in (EINVAL, EACCES):
            raise refused(f"load program {name}", error) from error
    try:
        return call(LOAD, attributes(1))[0]
    except OSError as error:
        words = " / ".join(_last_lines(log.value.decode(errors="replace")))
        raise OperationError(f"xdp: the kernel's verifier refuses {name}: {words}") from error


def run(program: int, packet: bytes, *, repeat: int = 1, ingress: int = 0) -> Outcome:
    """Put a packet through a program without any interface; raises OSError.

    ingress: the interface that the program sees it come from; 0: loopback.
    """
    data = ctypes.create_string_buffer(packet, len(packet))
    out = ctypes.create_string_buffer(OUTPUT_BYTES)
    context = ctypes.create_string_buffer(struct.pack("=IIIIII", 0, len(packet), 0, ingress, 0, 0))
    context_bytes = 24 if ingress else 0
    asked = struct.pack(
        "=IIIIQQIIIIQQIII", program, 0, len(packet), OUTPUT_BYTES, address(data), address(out),
        repeat, 0, context_bytes, 0, address(context) if ingress else 0, 0, 0, 0, 0,
    )  # fmt: skip
    _, answer = call(TEST_RUN, asked)
    verdict, _, size = struct.unpack_from("=III", answer, 4)
    (duration,) = struct.unpack_from("=I", answer, 36)
    return Outcome(Verdict(verdict), out.raw[:size], duration)


def attach(program: int, interface: int, mode: Mode) -> int:
    """Attach a program to an interface and return the link; raises OSError."""
    return call(LINK_CREATE, struct.pack("=IIII", program, interface, ATTACH_XDP, mode))[0]


def replace(link: int, program: int) -> None:
    """Put another program in the place of a link's, between two packets; raises OSError."""
    call(LINK_UPDATE, struct.pack("=IIII", link, program, 0, 0))


def detach(link: int) -> None:
    """End a link, whoever else holds it; raises OSError."""
    call(LINK_DETACH, struct.pack("=I", link))


def close(descriptor: int) -> None:
    """Let go of a program or link; pinned or attached it lives on."""
    os.close(descriptor)


def _last_lines(log: str) -> list[str]:
    """Return the verifier's reason, which is at the end, before its statistics."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("processed ", "verification time"))]
    return told[-LOG_LINES:] or ["no reason given"]
