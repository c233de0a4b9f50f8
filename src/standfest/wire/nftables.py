"""nf_tables over netlink: tables, chains, sets and elements to messages, and elements back.

Names, numbers and comments are laid out as the nft program expects them, so that `nft list` shows
what is here in its own words. Expressions of rules are in `wire/nftexpressions`. Source: linux/
netfilter/nf_tables.h (uapi) as a list of names and numbers; nft(8); checked against
`nft --debug=netlink`.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from standfest.wire import netlink as nl

SUBSYSTEM: Final = 10
BATCH_BEGIN, BATCH_END = 16, 17
NEW_TABLE, GET_TABLE, DELETE_TABLE = 0, 1, 2
NEW_CHAIN, GET_CHAIN, DELETE_CHAIN = 3, 4, 5
NEW_RULE, DELETE_RULE = 6, 8
NEW_SET, DELETE_SET = 9, 11
NEW_ELEMENTS, GET_ELEMENTS, DELETE_ELEMENTS = 12, 13, 14
NEW_GENERATION, GET_GENERATION = 15, 16

IP, IP6 = 2, 10
INET, ARP, NETDEV = 1, 3, 5
"""INET: IPv4 and IPv6 in one table. NETDEV: whatever an interface receives, of any protocol."""
CREATE, EXCLUSIVE, APPEND = 0x400, 0x200, 0x800
PREROUTING, OUTPUT = 0, 3
ARP_OUTPUT, INGRESS = 1, 0
DROP, ACCEPT, GOTO = 0, 1, -4

_HEADER = struct.Struct(">BBH")
_MAX_LIST_BYTES = 60_000
"""Of elements in one message: the length of an attribute has 16 bits."""
MAX_COMMENT = 250
_BATCH_GENERATION = 1
_TABLE_NAME, _TABLE_USERDATA = 1, 6
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_TYPE = 1, 3, 4, 7
_HOOK_NUMBER, _HOOK_PRIORITY, _HOOK_DEVICE = 1, 2, 3
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS = 1, 2, 4
_SET_TABLE, _SET_NAME, _SET_FLAGS, _SET_KEY_TYPE, _SET_KEY_LENGTH = 1, 2, 3, 4, 5
_SET_DATA_TYPE, _SET_DATA_LENGTH, _SET_DESCRIPTION, _SET_ID, _SET_USERDATA = 6, 7, 9, 10, 13
_DESCRIPTION_SIZE = 1
_MAP, _TIMEOUT, _EVALUATED = 0x8, 0x10, 0x20
_VERDICT_TYPE = 0xFFFFFF00
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_KEY, _DATA, _TIMEOUT_MS, _EXPIRATION, _USERDATA, _EXPRESSION = 1, 2, 4, 5, 6, 7
_VALUE, _VERDICT = 1, 2
_VERDICT_CODE, _VERDICT_CHAIN = 1, 2
LIST_ELEMENT: Final = 1
_EXPRESSION_NAME, _EXPRESSION_DATA = 1, 2
_COUNTER_BYTES, _COUNTER_PACKETS = 1, 2
_GENERATION_ID = 1
_COMMENT = 0  # in user data: the comment that nft shows
_KEY_IN_HOST_ORDER: Final = struct.pack("=BBI", 0, 4, 1)  # so that nft shows 1 as 0x00000001
_FAMILIES = {IP: "ip", IP6: "ip6", INET: "inet", ARP: "arp", NETDEV: "netdev"}


class Type(Enum):
    """What a field of a key is: nft's number of the type, and its size in bytes."""

    IPV4 = (7, 4)
    IPV6 = (8, 16)
    PROTOCOL = (12, 1)
    PORT = (13, 2)
    ICMP = (14, 1)
    ICMP6 = (29, 1)
    MARK = (19, 4)
    INTERFACE = (20, 4)


@dataclass(frozen=True, slots=True)
class Set:
    """A set or map; data: () a set, None a map to verdicts.

    learning: elements are added by packets, each for a time, `size` at most. timed: whoever adds
    an element may say for how long.
    """

    name: str
    key: tuple[Type, ...]
    data: tuple[Type, ...] | None = ()
    learning: bool = False
    size: int = 0
    timed: bool = False


@dataclass(frozen=True, slots=True)
class Element:
    """One element; chain: where a verdict goes to. Counters and expiration are the kernel's.

    counted: packets and bytes that match are counted. accepts: its verdict is to accept.
    timeout_ms: how long it is there, 0 for ever.
    """

    key: bytes
    data: bytes = b""
    chain: str = ""
    comment: str = ""
    counted: bool = False
    packets: int = 0
    octets: int = 0
    expiration_ms: int = 0
    accepts: bool = False
    timeout_ms: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """One step of a transaction; what: for whoever reads why it was refused."""

    kind: int
    flags: int
    body: bytes
    what: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table; everything else is said in terms of it."""

    family: int
    name: str

    def __str__(self) -> str:
        """Return it as nft writes it."""
        return f"{_FAMILIES[self.family]} {self.name}"

    def create(self, comment: str) -> Message:
        """Make the table; one that is there is left as it is."""
        body = nl.text(_TABLE_NAME, self.name) + _comment(_TABLE_USERDATA, comment)
        return self._message(NEW_TABLE, CREATE, body, f"make table {self}")

    def delete(self) -> Message:
        """Remove the table with all that is in it."""
        return self._message(
            DELETE_TABLE, 0, nl.text(_TABLE_NAME, self.name), f"remove table {self}"
        )

    def get(self) -> bytes:
        """Return the body of a request for the table."""
        return header(self.family) + nl.text(_TABLE_NAME, self.name)

    def chain(self, name: str) -> Message:
        """Make a chain that others go to."""
        body = nl.text(_CHAIN_TABLE, self.name) + nl.text(_CHAIN_NAME, name)
        return self._message(NEW_CHAIN, CREATE, body, f"make chain {name} in {self}")

    def base_chain(
        self, name: str, kind: str, hook: int, priority: int, device: str = ""
    ) -> Message:
        """Make a chain that packets come to; kind: filter or nat; device: in a NETDEV table."""
        body = nl.text(_CHAIN_TABLE, self.name) + nl.text(_CHAIN_NAME, name)
        body += nl.nested(
            _CHAIN_HOOK,
            nl.be32(_HOOK_NUMBER, hook),
            nl.be32(_HOOK_PRIORITY, priority & 0xFFFFFFFF),
            nl.text(_HOOK_DEVICE, device) if device else b"",
        )
        body += nl.text(_CHAIN_TYPE, kind)
        return self._message(NEW_CHAIN, CREATE, body, f"make chain {name} in {self}")

    def delete_chain(self, name: str) -> Message:
        """Remove a chain with its rules; nothing may go to it any more."""
        body = nl.text(_CHAIN_TABLE, self.name) + nl.text(_CHAIN_NAME, name)
        return self._message(DELETE_CHAIN, 0, body, f"remove chain {name} from {self}")

    def rule(self, chain: str, expressions: Sequence[bytes]) -> Message:
        """Append a rule."""
        body = nl.text(_RULE_TABLE, self.name) + nl.text(_RULE_CHAIN, chain)
        body += nl.nested(_RULE_EXPRESSIONS, *expressions)
        return self._message(NEW_RULE, CREATE | APPEND, body, f"add a rule to {chain} in {self}")

    def clear(self, chain: str) -> Message:
        """Remove all rules of a chain."""
        body = nl.text(_RULE_TABLE, self.name) + nl.text(_RULE_CHAIN, chain)
        return self._message(DELETE_RULE, 0, body, f"clear chain {chain} in {self}")

    def set(self, described: Set, number: int) -> Message:
        """Make a set; number: another one for each set of a transaction."""
        flags = (_MAP if described.data != () else 0) | (
            _TIMEOUT | _EVALUATED if described.learning else 0
        )
        flags |= _TIMEOUT if described.timed else 0
        body = nl.text(_SET_TABLE, self.name) + nl.text(_SET_NAME, described.name)
        body += nl.be32(_SET_FLAGS, flags)
        body += nl.be32(_SET_KEY_TYPE, _type(described.key))
        body += nl.be32(_SET_KEY_LENGTH, _size(described.key))
        if described.data is None:
            body += nl.be32(_SET_DATA_TYPE, _VERDICT_TYPE)
        elif described.data:
            body += nl.be32(_SET_DATA_TYPE, _type(described.data))
            body += nl.be32(_SET_DATA_LENGTH, _size(described.data))
        if described.size:
            body += nl.nested(_SET_DESCRIPTION, nl.be32(_DESCRIPTION_SIZE, described.size))
        body += nl.be32(_SET_ID, number)
        if described.key == (Type.MARK,):
            body += nl.attribute(_SET_USERDATA, _KEY_IN_HOST_ORDER)
        return self._message(NEW_SET, CREATE, body, f"make set {described.name} in {self}")

    def delete_set(self, name: str) -> Message:
        """Remove a set with its elements; no rule may use it any more."""
        body = nl.text(_SET_TABLE, self.name) + nl.text(_SET_NAME, name)
        return self._message(DELETE_SET, 0, body, f"remove set {name} from {self}")

    def add(self, name: str, elements: Iterable[Element]) -> list[Message]:
        """Add elements, in as many messages as they need; one that is there is refused."""
        return self.add_encoded(name, map(encode_element, elements))

    def add_encoded(self, name: str, elements: Iterable[bytes]) -> list[Message]:
        """Add elements that have been encoded: bytes are the smaller ones to collect."""
        return [
            self._message(
                NEW_ELEMENTS, CREATE | EXCLUSIVE, body, f"add elements to {name} of {self}"
            )
            for body in self._lists(name, elements)
        ]

    def remove(self, name: str, keys: Iterable[bytes]) -> list[Message]:
        """Remove the elements with these keys; one that is not there is refused."""
        encoded = (nl.nested(LIST_ELEMENT, nl.nested(_KEY, nl.attribute(_VALUE, k))) for k in keys)
        return [
            self._message(DELETE_ELEMENTS, 0, body, f"remove elements from {name} of {self}")
            for body in self._lists(name, encoded)
        ]

    def element(self, name: str, key: bytes) -> bytes:
        """Return the body of a request for one element of a set."""
        one = nl.nested(LIST_ELEMENT, nl.nested(_KEY, nl.attribute(_VALUE, key)))
        return self.elements(name) + nl.nested(_LIST_ELEMENTS, one)

    def empty(self, name: str) -> Message:
        """Remove all elements of a set, those too whose time ends just now."""
        body = nl.text(_LIST_TABLE, self.name) + nl.text(_LIST_SET, name)
        return self._message(DELETE_ELEMENTS, 0, body, f"empty {name} of {self}")

    def elements(self, name: str) -> bytes:
        """Return the body of a request for all elements of a set."""
        return header(self.family) + nl.text(_LIST_TABLE, self.name) + nl.text(_LIST_SET, name)

    def _lists(self, name: str, encoded: Iterable[bytes]) -> Iterator[bytes]:
        head = nl.text(_LIST_TABLE, self.name) + nl.text(_LIST_SET, name)
        part: list[bytes] = []
        size = 0
        for element in encoded:
            if size + len(element) > _MAX_LIST_BYTES:
                yield head + nl.nested(_LIST_ELEMENTS, *part)
                part, size = [], 0
            part.append(element)
            size += len(element)
        if part:
            yield head + nl.nested(_LIST_ELEMENTS, *part)

    def _message(self, kind: int, flags: int, body: bytes, what: str) -> Message:
        return Message(SUBSYSTEM << 8 | kind, flags, header(self.family) + body, what)


def header(family: int, resource: int = 0) -> bytes:
    """Return what stands before the attributes of every message."""
    return _HEADER.pack(family, 0, resource)


def batch_begin(generation: int) -> bytes:
    """Return the body that begins a transaction, which fails if there was another since."""
    return header(0, SUBSYSTEM) + nl.be32(_BATCH_GENERATION, generation)


def batch_end() -> bytes:
    """Return the body that ends a transaction."""
    return header(0, SUBSYSTEM)


def joined(*fields: bytes) -> bytes:
    """Return a key of several fields, each in whole registers of four bytes."""
    return b"".join(field + bytes(-len(field) % 4) for field in fields)


def number(value: int) -> bytes:
    """Return 32 bits in this machine's order, as registers have marks and what is generated."""
    return struct.pack("=I", value)


def read_number(data: bytes) -> int:
    """Return 32 bits of a register or map; 0 where there are fewer."""
    return int(struct.unpack_from("=I", data)[0]) if len(data) >= 4 else 0


def value(data: bytes) -> bytes:
    """Return data as an attribute's content."""
    return nl.attribute(_VALUE, data)


def verdict(code: int, chain: str = "") -> bytes:
    """Return a verdict as an attribute's content."""
    target = nl.text(_VERDICT_CHAIN, chain) if chain else b""
    return nl.nested(_VERDICT, nl.be32(_VERDICT_CODE, code & 0xFFFFFFFF), target)


def expression(name: str, *attributes: bytes) -> bytes:
    """Return an expression as one of a list."""
    return nl.nested(LIST_ELEMENT, _bare_expression(name, *attributes))


def _bare_expression(name: str, *attributes: bytes) -> bytes:
    return nl.text(_EXPRESSION_NAME, name) + nl.nested(_EXPRESSION_DATA, *attributes)


def _type(fields: Sequence[Type]) -> int:
    found = 0
    for field in fields:
        found = found << 6 | field.value[0]
    return found


def _size(fields: Sequence[Type]) -> int:
    if len(fields) == 1:
        return fields[0].value[1]
    return sum(field.value[1] + -field.value[1] % 4 for field in fields)


def _comment(kind: int, text: str) -> bytes:
    """Return user data that is nft's comment."""
    said = text.encode()[:MAX_COMMENT] + b"\0"
    return nl.attribute(kind, bytes((_COMMENT, len(said))) + said)


_COUNTER = nl.nested(_EXPRESSION, _bare_expression("counter"))
"""Each server has three of them."""


def encode_element(element: Element) -> bytes:
    """Return an element as one of a list."""
    parts = nl.nested(_KEY, value(element.key))
    if element.chain:
        parts += nl.nested(_DATA, verdict(GOTO, element.chain))
    elif element.accepts:
        parts += nl.nested(_DATA, verdict(ACCEPT))
    elif element.data:
        parts += nl.nested(_DATA, value(element.data))
    if element.timeout_ms:
        parts += nl.attribute(_TIMEOUT_MS, element.timeout_ms.to_bytes(8))
    if element.comment:
        parts += _comment(_USERDATA, element.comment)
    if element.counted:
        parts += _COUNTER
    return nl.nested(LIST_ELEMENT, parts)


# --- answers -------------------------------------------------------------------------------------


def read_elements(body: bytes) -> Iterator[Element]:
    """Yield the elements in one answer; what is no element is passed over."""
    found = nl.values(body[_HEADER.size :]).get(_LIST_ELEMENTS, b"")
    for kind, data in nl.attributes(found):
        if kind != LIST_ELEMENT:
            continue
        parts = nl.values(data)
        key = nl.values(parts.get(_KEY, b"")).get(_VALUE, b"")
        held = nl.values(parts.get(_DATA, b""))
        said = nl.values(held.get(_VERDICT, b""))
        packets, octets = _counter(parts.get(_EXPRESSION, b""))
        yield Element(
            key,
            held.get(_VALUE, b""),
            nl.string(said, _VERDICT_CHAIN),
            _read_comment(parts.get(_USERDATA, b"")),
            _EXPRESSION in parts,
            packets,
            octets,
            int.from_bytes(parts.get(_EXPIRATION, b"")[:8]),
            said.get(_VERDICT_CODE, b"") == ACCEPT.to_bytes(4),
            int.from_bytes(parts.get(_TIMEOUT_MS, b"")[:8]),
        )


Learned = tuple[bytes, bytes, int, int]
"""An element of a learning map: key, data of four bytes, timeout and what is left of it in ms."""


def read_learned(body: bytes, key_bytes: int) -> Sequence[Learned]:
    """Return the elements of a learning map in one answer, quickly where all are laid out alike."""
    found = nl.values(body[_HEADER.size :]).get(_LIST_ELEMENTS, b"")
    layout = _learned(key_bytes)
    if found and len(found) % layout.size == 0 and _are_alike(found, key_bytes, layout.size):
        return [
            (key, data, int.from_bytes(timeout), int.from_bytes(left))
            for key, data, timeout, left in layout.iter_unpack(found)
        ]
    elements = read_elements(body)
    return [(e.key, e.data, e.timeout_ms, e.expiration_ms) for e in elements]


def _learned(key_bytes: int) -> struct.Struct:
    """Return how the kernel lays such an element out: each value behind its attributes' headers."""
    return struct.Struct(f"=4x4x4x{key_bytes}s4x4x4s4x8s4x8s")


def _are_alike(data: bytes, key_bytes: int, stride: int) -> bool:
    """Return whether all elements have the headers that the first has, which are as expected."""
    after = 12 + key_bytes
    headers = (
        (0, stride, LIST_ELEMENT), (4, key_bytes + 8, _KEY), (8, key_bytes + 4, _VALUE),
        (after, 12, _DATA), (after + 4, 8, _VALUE),
        (after + 12, 12, _TIMEOUT_MS), (after + 24, 12, _EXPIRATION),
    )  # fmt: skip
    count = len(data) // stride
    for at, length, kind in headers:
        first = data[at : at + 4]
        found_length, found_kind = struct.unpack("=HH", first)
        if (found_length, found_kind & nl.KIND_MASK) != (length, kind):
            return False
        if any(data[at + n :: stride] != first[n : n + 1] * count for n in range(4)):
            return False
    return True


def read_table_comment(body: bytes) -> str:
    """Return the comment of the table in an answer."""
    return _read_comment(nl.values(body[_HEADER.size :]).get(_TABLE_USERDATA, b""))


def read_table(body: bytes) -> Table:
    """Return the table in an answer."""
    family = body[0] if body else 0
    return Table(family, nl.string(nl.values(body[_HEADER.size :]), _TABLE_NAME))


def read_chain(body: bytes) -> tuple[str, str]:
    """Return the table's name and the chain's in an answer."""
    parts = nl.values(body[_HEADER.size :])
    return nl.string(parts, _CHAIN_TABLE), nl.string(parts, _CHAIN_NAME)


def read_generation(body: bytes) -> int:
    """Return the number of the rule set that is in force."""
    return int.from_bytes(nl.values(body[_HEADER.size :]).get(_GENERATION_ID, b"")[:4])


def _counter(data: bytes) -> tuple[int, int]:
    parts = nl.values(data)
    if nl.string(parts, _EXPRESSION_NAME) != "counter":
        return 0, 0
    counts = nl.values(parts.get(_EXPRESSION_DATA, b""))
    packets, octets = counts.get(_COUNTER_PACKETS, b""), counts.get(_COUNTER_BYTES, b"")
    return int.from_bytes(packets[:8]), int.from_bytes(octets[:8])


def _read_comment(data: bytes) -> str:
    if len(data) < 2 or data[0] != _COMMENT:
        return ""
    return data[2 : 2 + data[1]].rstrip(b"\0").decode(errors="replace")
