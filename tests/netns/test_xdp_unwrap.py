"""The program that ends tunnels in a real server's driver, packet by packet."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from tests.netns import xdp_bench as bench
from tests.netns.xdp_bench import SIX, VIP4, VIP6, Packet

from standfest.adapters.linux.xdp import programs
from standfest.adapters.linux.xdp.programs import Outcome, Verdict
from standfest.adapters.linux.xdp.unwrap import TunnelEnd

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(bench.why_not()), reason=bench.why_not())]

DIRECTOR4, SERVER4 = ip_address("10.9.0.2"), ip_address("10.9.0.1")
DIRECTOR6, SERVER6 = ip_address("fd09::2"), ip_address("fd09::1")


@pytest.fixture
def end(tmp_path: Path) -> Iterator[TunnelEnd]:
    """A real server with both virtual addresses."""
    with bench.bpf_directory(tmp_path / "bpf") as directory, bench.own_namespace():
        bench.build_director()
        end = TunnelEnd(interfaces=("eth0",), directory=directory)
        end.add(VIP4)
        end.add(VIP6)
        yield end
        end.close(keep=False)


def put(end: TunnelEnd, frame: bytes) -> Outcome:
    """Let a frame come in."""
    program = end._load(b"")
    try:
        return programs.run(program, frame)
    finally:
        programs.close(program)


def test_what_is_for_our_addresses_comes_out_as_it_was(end: TunnelEnd) -> None:
    assert end.addresses() == [VIP4, VIP6]
    four, six = Packet(payload=b"hello world"), replace(SIX, payload=b"hello world")
    for inner, outer in (
        (four, bench.ipv4(DIRECTOR4, SERVER4, 4, four.packet())),
        (six, bench.ipv6(DIRECTOR6, SERVER6, 41, six.packet())),
    ):
        outcome = put(end, bench.ethernet(outer))
        assert (outcome.verdict, outcome.packet) == (Verdict.PASS, inner.frame())


def test_everything_else_passes_untouched(end: TunnelEnd) -> None:
    other4 = Packet(vip=ip_address("10.9.0.101")).packet()
    other6 = replace(SIX, vip=ip_address("fd09::101")).packet()
    fragment = bytearray(bench.ipv4(DIRECTOR4, SERVER4, 4, Packet().packet()))
    fragment[6:8] = b"\x20\x00"
    optional = bytearray(Packet().packet())
    optional[0] = 0x46
    for packet in (
        bench.ipv4(DIRECTOR4, SERVER4, 4, other4),
        bench.ipv6(DIRECTOR6, SERVER6, 41, other6),
        bench.ipv4(DIRECTOR4, SERVER4, 47, Packet().packet()),
        bytes(fragment),
        bench.ipv4(DIRECTOR4, SERVER4, 4, bytes(optional)),
        Packet().packet(),
        SIX.packet(),
    ):
        frame = bench.ethernet(packet)
        outcome = put(end, frame)
        assert (outcome.verdict, outcome.packet) == (Verdict.PASS, frame)


def test_with_the_last_address_the_program_goes(end: TunnelEnd) -> None:
    assert "xdp" in bench.ip("link", "show", "dev", "eth0")
    end.remove(VIP4)
    end.remove(VIP6)
    assert end.addresses() == []
    assert "xdp" not in bench.ip("link", "show", "dev", "eth0")
