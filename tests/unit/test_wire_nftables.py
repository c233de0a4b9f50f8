"""nf_tables messages: the bytes that nft sends, and no bytes that break the reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.wire import netlink as nl
from standfest.wire import nftables as nft
from standfest.wire import nftexpressions as ex
from standfest.wire.nftables import Element, Set, Table, Type

TABLE = Table(nft.IP, "standfest")
HEADER_BYTES = 4


def body_of(message: nft.Message) -> dict[int, bytes]:
    return nl.values(message.body[HEADER_BYTES:])


def test_an_element_has_the_bytes_that_nft_sends() -> None:
    # strace of nft 1.0.6: add element ip standfest hosts { 0x5f000001 comment "..." : 10.0.0.1 }
    sent = bytes.fromhex(
        "3c0001800c000180080001000100005f0c000280080001000a000001"
        "1e0006000018" + b"1 NAT 1 0 0 10.0.0.1 80\0".hex() + "0000"
    )
    element = Element(
        nft.number(0x5F000001), bytes((10, 0, 0, 1)), comment="1 NAT 1 0 0 10.0.0.1 80"
    )
    (message,) = TABLE.add("hosts", [element])
    assert message.kind == 0x0A0C  # NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM
    assert message.body[:HEADER_BYTES] == bytes((2, 0, 0, 0))
    assert body_of(message) == {1: b"standfest\0", 2: b"hosts\0", 3: sent}


def test_a_comparison_has_the_bytes_that_nft_sends() -> None:
    # As in strace of `meta l4proto 6`, but in register 8, our first; nft takes register 1.
    assert ex.equal(0, b"\x06") == bytes.fromhex(
        "2c0001800800010063 6d70002000028008000100000000080800020000000000"
        "0c000380050001000600 0000".replace(" ", "")
    )


def test_types_of_concatenations_are_numbered_as_nft_does() -> None:
    # ipv4_addr . inet_proto . inet_service: 7 << 12 | 12 << 6 | 13; each field in whole registers
    message = TABLE.set(Set("services", (Type.IPV4, Type.PROTOCOL, Type.PORT), None), 1)
    body = body_of(message)
    assert nl.values(message.body[HEADER_BYTES:])[4] == (7 << 12 | 12 << 6 | 13).to_bytes(4)
    assert body[5] == (12).to_bytes(4)
    assert body[6] == bytes.fromhex("ffffff00")  # a verdict


def test_lists_that_are_too_long_for_one_attribute_are_split() -> None:
    elements = [Element(nft.number(n), nft.number(n)) for n in range(5000)]
    messages = TABLE.add("slots-1", elements)
    assert len(messages) == 3  # 5000 x 28 bytes are 140,000, at most 60,000 in one
    assert all(len(message.body) < 65536 for message in messages)
    found = [e for m in messages for e in nft.read_elements(m.body)]
    assert found == elements


@given(
    st.binary(min_size=4, max_size=40),
    st.binary(min_size=4, max_size=20),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=200),
)
def test_an_element_is_read_back(key: bytes, data: bytes, comment: str) -> None:
    (message,) = TABLE.add("hosts", [Element(key, data, comment=comment)])
    assert list(nft.read_elements(message.body)) == [Element(key, data, comment=comment)]


def test_a_verdict_and_a_counter_are_read_back() -> None:
    (message,) = TABLE.add("services", [Element(b"key!", chain="service-7", counted=True)])
    assert list(nft.read_elements(message.body)) == [
        Element(b"key!", chain="service-7", counted=True)
    ]


def test_the_table_says_its_layout() -> None:
    message = TABLE.create("standfest layout 1")
    assert nft.read_table_comment(message.body) == "standfest layout 1"


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    list(nft.read_elements(data))
    nft.read_table_comment(data)
    nft.read_generation(data)
    nft.read_number(data)


@given(st.data())
def test_no_changed_byte_breaks_the_reader(data: st.DataObject) -> None:
    element = Element(b"key!", b"data", comment="1 NAT 1 0 0 10.0.0.1 80", counted=True)
    body = bytearray(TABLE.add("hosts", [element, element])[0].body)
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert len(list(nft.read_elements(bytes(body)))) <= len(body) // 4


def test_a_transaction_names_the_rule_set_that_it_was_made_for() -> None:
    body = nft.batch_begin(0x01020304)
    assert body == bytes.fromhex("0000000a0800010001020304")


@pytest.mark.parametrize("register", [-1, 16])
def test_registers_are_sixteen(register: int) -> None:
    with pytest.raises(AssertionError, match="sixteen registers"):
        ex.packet_mark(register)


def learned(key: bytes, data: bytes, timeout_ms: int, left_ms: int, padded: int = 0) -> bytes:
    """Return an element as the kernel writes it; padded: as it does where 64 bits are aligned."""
    parts = nl.nested(1, nl.attribute(1, key)) + nl.nested(2, nl.attribute(1, data))
    parts += nl.attribute(8, b"") * padded
    parts += nl.attribute(4, timeout_ms.to_bytes(8)) + nl.attribute(5, left_ms.to_bytes(8))
    return nl.nested(1, parts)


@given(
    st.lists(
        st.tuples(
            st.binary(min_size=20, max_size=20),
            st.binary(min_size=4, max_size=4),
            st.integers(0, 2**64 - 1),
            st.integers(0, 2**64 - 1),
        ),
        max_size=5,
    ),
    st.lists(st.sampled_from([0, 0, 0, 1]), min_size=5, max_size=5),
)
def test_learned_elements_are_read_however_they_are_laid_out(
    elements: list[nft.Learned], padded: list[int]
) -> None:
    parts = [learned(*one, pad) for one, pad in zip(elements, padded, strict=False)]
    body = bytes(HEADER_BYTES) + nl.nested(3, *parts)
    assert list(nft.read_learned(body, 20)) == elements


@given(st.binary(max_size=300), st.sampled_from([4, 16, 20, 44]))
def test_no_bytes_break_the_reader_of_learned_elements(data: bytes, size: int) -> None:
    nft.read_learned(data, size)
    nft.read_learned(bytes(HEADER_BYTES) + nl.nested(3, data), size)


def test_a_chain_is_read_with_its_table() -> None:
    message = Table(nft.NETDEV, "standfest").base_chain("from-eth0", "filter", 0, 0, "eth0")
    assert nft.read_chain(message.body) == ("standfest", "from-eth0")


def test_one_element_is_asked_for_by_its_key() -> None:
    body = TABLE.element("flows", b"key!")
    parts = nl.values(body[HEADER_BYTES:])
    assert parts[1] == b"standfest\0"
    assert parts[2] == b"flows\0"
    assert [element.key for element in nft.read_elements(body)] == [b"key!"]
