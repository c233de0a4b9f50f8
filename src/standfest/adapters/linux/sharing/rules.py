"""The rule set of a shared address: what every packet comes through, and nobody else's packets do.

One table holds both versions of IP, so that a bucket changes hands for both at once; a second one
tells the neighbours the shared MAC, a third lets a unicast one in. What others answer is dropped
*early*, before the machine spends anything on it: hash, one look into a map, end. What is left is
judged again *late*, behind connection tracking, which alone knows what is established here.
Source: docs/adr/0024-load-sharing.md; facts/DATAPLANE.md section 1.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from standfest.model.sharing import Answering, Established, HashMode, SharedAddress
from standfest.wire import nftables as nft
from standfest.wire import nftexpressions as ex
from standfest.wire.nftables import Element, Message, Set, Type, number

PREFIX: Final = "standfest_share_"
LAYOUT: Final = "standfest share 1"
"""What the table's comment begins with: a table of another layout is replaced, not adopted."""

EARLY, LATE, GATE = "early-buckets", "late-buckets", "gate"
_NEIGHBOURS, _OPENING, _FORMER = "neighbour-discovery", "opening", "former"
GATE_KEY: Final = number(1)

# Fragments are put together at -400, connections looked up at -200.
_BEFORE_TRACKING, _AFTER_TRACKING, _FILTER = -300, -150, 0
_TCP, _UDP = 6, 17
_RARER_WITH_PORTS: Final = (33, 132, 136)  # DCCP, SCTP, UDP-Lite
_FLAGS_AT, _FIN, _SYN, _RST, _ACK = 13, 1, 2, 4, 16
_SOLICITATION, _ADVERTISEMENT, _REDIRECT = 135, 136, 137
_SOURCE_OPTION, _TARGET_OPTION = b"\1\1", b"\2\1"
_MAC_BYTES: Final = 6

Rule = list[bytes]


@dataclass(frozen=True, slots=True)
class _Version:
    """One version of IP: where its header has what, and which ICMP messages are about others."""

    digit: str
    family: int
    source: int
    destination: int
    words: int
    icmp: int
    errors: tuple[int, ...]
    key: Type
    icmp_type: Type

    def chain(self, name: str) -> str:
        return f"{name}-{self.digit}"

    @property
    def addresses(self) -> str:
        return self.chain("addresses")

    def load(self, offset: int, register: int) -> bytes:
        return ex.load(ex.NETWORK, offset, 4 * self.words, register)


# Unreachable, source quench, redirect, time exceeded, bad parameter; for IPv6 also "too big".
_FOUR = _Version("4", ex.FAMILY_IPV4, 12, 16, 1, 1, (3, 4, 5, 11, 12), Type.IPV4, Type.ICMP)
_SIX = _Version("6", ex.FAMILY_IPV6, 8, 24, 4, 58, (1, 2, 3, 4), Type.IPV6, Type.ICMP6)


def fingerprint(shared: SharedAddress) -> str:
    """Return what tells a rule set from one for other settings."""
    said = repr((shared.addresses, shared.interface, shared.mac, shared.layout, shared.established))
    return f"{LAYOUT} {hashlib.sha256(said.encode()).hexdigest()[:16]}"


class RuleSet:
    """The tables of one shared address."""

    def __init__(self, shared: SharedAddress, *, trial: bool = False) -> None:
        """Take the settings; trial: under a name that is nobody's."""
        self._shared = shared
        self.name = f"standfest_trial_{shared.name}" if trial else PREFIX + shared.name
        self.table = nft.Table(nft.INET, self.name)
        self.tables = [self.table]
        if any(one.version == 4 for one in shared.addresses):
            self.tables.append(nft.Table(nft.ARP, self.name))
        if not shared.is_multicast:
            self.tables.append(nft.Table(nft.NETDEV, self.name))
        self._versions = [
            version
            for version in (_FOUR, _SIX)
            if any(str(one.version) == version.digit for one in shared.addresses)
        ]

    def removal(self, present: list[nft.Table]) -> list[Message]:
        """Return what removes the tables; present: those that there are."""
        return [table.delete() for table in present if table.name == self.name]

    def installation(self, comment: str) -> list[Message]:
        """Return what makes the tables, which answer nothing yet."""
        made = [self.table.create(f"{fingerprint(self._shared)} {comment}")]
        made += [self.table.set(one, place) for place, one in enumerate(self._sets(), 1)]
        for version in self._versions:
            made += self.table.add(version.addresses, self._addresses(version))
            made += self.table.add(version.chain("errors"), _bytes(version.errors))
        made += self.table.add(_NEIGHBOURS, _bytes((_SOLICITATION, _ADVERTISEMENT, _REDIRECT)))
        chains = dict(self._chains())
        made += [self.table.chain(name) for name in chains]
        made += [
            self.table.base_chain("early", "filter", nft.PREROUTING, _BEFORE_TRACKING),
            self.table.base_chain("late", "filter", nft.PREROUTING, _AFTER_TRACKING),
            self.table.base_chain("out", "filter", nft.OUTPUT, _FILTER),
        ]
        chains |= dict(self._entrances())
        for name, rules in chains.items():
            made += [self.table.rule(name, rule) for rule in rules]
        return made + [step for table in self.tables[1:] for step in self._beside(table)]

    def early(self, answering: Answering) -> dict[bytes, Element]:
        """Return the buckets that get past the first look."""
        found = {}
        for bucket in answering.mine | answering.orphaned | answering.former:
            key = number(bucket)
            only_known = bucket not in answering.mine and bucket not in answering.orphaned
            found[key] = Element(key, chain=_FORMER) if only_known else Element(key, accepts=True)
        return found

    def late(self, answering: Answering) -> dict[bytes, Element]:
        """Return the buckets whose new connections are answered here."""
        found = {}
        for bucket in answering.mine | answering.orphaned:
            key = number(bucket)
            inherited = bucket in answering.orphaned
            found[key] = Element(key, accepts=True) if inherited else Element(key, chain=_OPENING)
        return found

    def gate(self, timeout_ms: int | None) -> list[Message]:
        """Return what lets packets in for so long; None: for ever, 0: not at all."""
        steps = [self.table.empty(GATE)]
        if timeout_ms != 0:
            steps += self.table.add(GATE, [Element(GATE_KEY, timeout_ms=timeout_ms or 0)])
        return steps

    # --- sets ------------------------------------------------------------------------------------

    def _sets(self) -> Iterator[Set]:
        buckets = self._shared.layout.buckets
        yield Set(EARLY, (Type.MARK,), None, size=buckets)
        yield Set(LATE, (Type.MARK,), None, size=buckets)
        yield Set(GATE, (Type.MARK,), timed=True)
        yield Set(_NEIGHBOURS, (Type.ICMP6,))
        for version in self._versions:
            yield Set(version.addresses, (version.key,))
            yield Set(version.chain("errors"), (version.icmp_type,))

    def _addresses(self, version: _Version) -> list[Element]:
        found = {one.ip.packed for one in self._shared.addresses
                 if str(one.version) == version.digit}  # fmt: skip
        return [Element(key) for key in sorted(found)]

    # --- chains ----------------------------------------------------------------------------------

    def _entrances(self) -> Iterator[tuple[str, list[Rule]]]:
        """Yield the chains that all of the machine's packets come to."""
        for name in ("early", "late"):
            yield name, [self._ours(one, one.destination, name) for one in self._versions]
        tells = [rule for one in self._versions if one is _SIX for rule in self._tell_neighbours()]
        yield "out", tells + [self._ours(one, one.source, "out") for one in self._versions]

    def _ours(self, version: _Version, offset: int, chain: str) -> Rule:
        """Return the rule that all packets of the machine pay for: one address is compared."""
        addresses = self._addresses(version)
        among = ex.member(version.addresses, 0)
        return [
            *_is_version(version),
            version.load(offset, 0),
            among if len(addresses) > 1 else ex.equal(0, addresses[0].key),
            ex.decided(nft.GOTO, version.chain(chain)),
        ]

    def _chains(self) -> Iterator[tuple[str, list[Rule]]]:
        """Yield what is gone to, innermost first."""
        yield _FORMER, [[*_is(_TCP), _accept()], [_drop()]]
        yield _OPENING, self._opening()
        for version in self._versions:
            yield version.chain("shut"), self._shut(version)
            yield version.chain("ported"), [self._judged(version, EARLY), _from_here(), [_drop()]]
            yield version.chain("early"), self._early(version)
            yield version.chain("tcp"), self._late_tcp(version)
            yield version.chain("late"), self._late(version)
            yield version.chain("answer"), self._answer(version)
            yield version.chain("out"), _out(version)

    def _early(self, version: _Version) -> list[Rule]:
        """Judge by the bucket; what this machine sends itself is looked for where it matters."""
        by_port = self._shared.layout.mode is not HashMode.SOURCE_IP
        ported = _decision(version.chain("ported"))
        often, rarely = (
            [[*_is(one), ported] for one in protocols] if by_port else []
            for protocols in ((_TCP, _UDP), _RARER_WITH_PORTS)
        )
        by_address = self._judged(version, EARLY, portless=True)
        return [
            [ex.constant(GATE_KEY, 0), ex.stranger(GATE, 0), _decision(version.chain("shut"))],
            *often,
            *_neighbours(version),
            [*_icmp(version), ex.member(version.chain("errors"), 0), _accept()],
            *rarely,
            by_address,
            _from_here(),
            [_drop()],
        ]

    def _shut(self, version: _Version) -> list[Rule]:
        return [_from_here(), *_neighbours(version), [_drop()]]

    def _late(self, version: _Version) -> list[Rule]:
        error = [*_icmp(version), ex.member(version.chain("errors"), 0)]
        # TCP drops what has come to a group's MAC.
        taken = [[ex.taken_as_ours(0)]] if self._shared.is_multicast else []
        return [
            *taken,
            [*_is(_TCP), _decision(version.chain("tcp"))],
            [*error, *_known(ex.RELATED), _accept()],
            _from_here(),
            [*error, _drop()],
        ]

    def _late_tcp(self, version: _Version) -> list[Rule]:
        """Judge a SYN by its bucket alone, so that one that is sent again has one answer."""
        known = [
            *_flags(_SYN | _ACK | _RST | _FIN),
            ex.different(0, bytes((_SYN,))),
            *_known(ex.ESTABLISHED | ex.RELATED),
            _accept(),
        ]
        return [known, _from_here(), self._judged(version, LATE), [_drop()]]

    def _opening(self) -> list[Rule]:
        """Judge what belongs to no connection of this machine, in a bucket of its own.

        Another node may know it: only what opens a connection is let through, unless connections
        move with their buckets.
        """
        if self._shared.established is Established.MOVE:
            return [[_accept()]]
        return [
            [*_flags(_SYN | _ACK | _RST | _FIN), ex.equal(0, bytes((_SYN,))), _accept()],
            [ex.incoming_number(0), ex.equal(0, number(0)), _accept()],  # an answer of our own
            [_drop()],
        ]

    def _answer(self, version: _Version) -> list[Rule]:
        """Keep a SYN-ACK back, sent again after its bucket was given away: another node answers."""
        shut = [ex.constant(GATE_KEY, 0), ex.stranger(GATE, 0), _drop()]
        return [shut, self._judged(version, LATE, answer=True), [_drop()]]

    def _judged(
        self, version: _Version, verdicts: str, *, portless: bool = False, answer: bool = False
    ) -> Rule:
        """Return the rule that goes where the map has the packet's bucket, if it has it."""
        layout, words = self._shared.layout, version.words
        peer, ports = (version.destination, (2, 0)) if answer else (version.source, (0, 2))
        rule = [version.load(peer, 0)]
        count = list(HashMode).index(layout.mode)
        for place, offset in enumerate(ports[:count]):
            register = words + place
            load = ex.load(ex.TRANSPORT, offset, 2, register)
            rule.append(ex.constant(bytes(4), register) if portless else load)
        key = words + count
        rule.append(ex.hashed(0, 4 * key, layout.buckets, layout.seed, key))
        return [*rule, ex.dispatched(verdicts, key)]

    def _tell_neighbours(self) -> Iterator[Rule]:
        """Yield the rules that write the shared MAC into what IPv6 tells about our addresses.

        Solicitations too: who asks from a shared address would be learnt by its own MAC.
        """
        target = ex.load(ex.TRANSPORT, 8, 16, 0)
        for kind, address, option in (
            (_ADVERTISEMENT, target, _TARGET_OPTION),
            (_SOLICITATION, _SIX.load(_SIX.source, 0), _SOURCE_OPTION),
        ):
            yield [
                *_is_version(_SIX),
                *_is(_SIX.icmp),
                ex.load(ex.TRANSPORT, 0, 1, 0),
                ex.equal(0, bytes((kind,))),
                address,
                ex.member(_SIX.addresses, 0),
                ex.load(ex.TRANSPORT, 24, 2, 0),
                ex.equal(0, option),
                ex.constant(self._shared.mac, 0),
                ex.store(ex.TRANSPORT, 26, _MAC_BYTES, 0, checksum=2),
            ]

    # --- the tables beside -----------------------------------------------------------------------

    def _beside(self, table: nft.Table) -> list[Message]:
        made = [table.create(LAYOUT)]
        if table.family == nft.NETDEV:
            # Before IP, which leaves alone what is sent to a MAC of somebody else.
            made.append(
                table.base_chain("in", "filter", nft.INGRESS, _FILTER, self._shared.interface)
            )
            mac = [ex.load(ex.LINK, 0, _MAC_BYTES, 0), ex.equal(0, self._shared.mac)]
            return [*made, table.rule("in", [*mac, ex.taken_as_ours(2)])]
        made.append(table.set(Set(_FOUR.addresses, (Type.IPV4,)), 1))
        made += table.add(_FOUR.addresses, self._addresses(_FOUR))
        made.append(table.base_chain("out", "filter", nft.ARP_OUTPUT, _FILTER))
        # Whatever we tell about a shared address, question or answer: the sender's MAC is at 8,
        # its address at 14.
        tells = [ex.load(ex.NETWORK, 14, 4, 0), ex.member(_FOUR.addresses, 0)]
        tells += [ex.constant(self._shared.mac, 0), ex.store(ex.NETWORK, 8, _MAC_BYTES, 0)]
        return [*made, table.rule("out", tells)]


_HERE: Final = ex.LOOPBACK.to_bytes(2, "little")


def _out(version: _Version) -> list[Rule]:
    """Look only at SYN-ACKs that leave the machine."""
    both = bytes((_SYN | _ACK,))
    return [
        [ex.outgoing_type(0), ex.equal(0, _HERE), _accept()],
        [*_is(_TCP), *_flags(_SYN | _ACK), ex.equal(0, both), _decision(version.chain("answer"))],
    ]


def _from_here() -> Rule:
    """Let in what this machine sends to itself."""
    return [ex.incoming_type(0), ex.equal(0, _HERE), _accept()]


def _icmp(version: _Version) -> Rule:
    return [*_is(version.icmp), ex.load(ex.TRANSPORT, 0, 1, 0)]


def _neighbours(version: _Version) -> list[Rule]:
    """Let in neighbour discovery, which all nodes answer alike, as they answer ARP."""
    if version is not _SIX:
        return []
    return [[*_icmp(version), ex.member(_NEIGHBOURS, 0), _accept()]]


def _is_version(version: _Version) -> Rule:
    return [ex.family(0), ex.equal(0, bytes((version.family,)))]


def _is(protocol: int) -> Rule:
    return [ex.transport_protocol(0), ex.equal(0, bytes((protocol,)))]


def _flags(of: int) -> Rule:
    return [ex.load(ex.TRANSPORT, _FLAGS_AT, 1, 0), ex.masked(0, bytes((of,)))]


def _known(states: int) -> Rule:
    return [
        ex.connection_state(0),
        ex.masked(0, number(states)),
        ex.different(0, number(0)),
    ]


def _bytes(numbers: tuple[int, ...]) -> list[Element]:
    return [Element(bytes((one,))) for one in numbers]


def _decision(chain: str) -> bytes:
    return ex.decided(nft.GOTO, chain)


def _accept() -> bytes:
    return ex.decided(nft.ACCEPT)


def _drop() -> bytes:
    return ex.decided(nft.DROP)
