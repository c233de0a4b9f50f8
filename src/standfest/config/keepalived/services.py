"""Arguments of virtual services: addresses with ports, ranges, methods, codes, bytes."""

from ipaddress import IPv4Address, ip_network
from typing import Final

from standfest.config.keepalived.shapes import (
    Shape,
    Words,
    address,
    integer,
    ipv4,
    meant,
    network,
    word_shape,
)
from standfest.config.lines import BadValueError, shown
from standfest.model.balancing import (
    AddressRange,
    AddressService,
    Forwarding,
    GroupService,
    MarkService,
    Method,
    TunnelType,
)
from standfest.model.vrrp import Family, IPAddress

MAX_PORT: Final = 65_535
MAX_MARK: Final = 2**32 - 1
_MAX_BYTES: Final = 65_507
_CHECKSUMS: Final = ("nocsum", "csum", "remcsum")
_FAMILIES: Final = {"inet": Family.IPV4, "inet6": Family.IPV6}
_DIGEST, _FINGERPRINT, _LABEL, _DOMAIN = 32, 64, 63, 255
_HEX: Final = "0123456789abcdefABCDEF"


def server(words: Words) -> tuple[IPAddress, int]:
    """Return `ADDRESS [PORT]`; port 0: any."""
    return address(words[0]), integer(words[1], 0, MAX_PORT) if len(words) > 1 else 0


def service(words: Words) -> AddressService | MarkService | GroupService:
    """Return what stands after virtual_server; raises BadValueError."""
    if words[0] in {"fwmark", "group"}:
        if len(words) < 2:
            raise BadValueError(f"a value after {words[0]}")
        if words[0] == "group":
            return GroupService(words[1])
        return MarkService(integer(words[1], 0, MAX_MARK))
    return AddressService(*server(words))


def group_line(words: Words) -> AddressRange | MarkService:
    """Return one line of a virtual_server_group; raises BadValueError."""
    if words[0] == "fwmark":
        if len(words) < 2:
            raise BadValueError("a mark after fwmark")
        family = words[2] if len(words) > 2 else None
        if family is not None and family not in _FAMILIES:
            raise BadValueError("inet or inet6")
        return MarkService(integer(words[1], 0, MAX_MARK), _FAMILIES.get(family or ""))
    first, last = _range(words[0])
    port = integer(words[1], 0, MAX_PORT) if len(words) > 1 else 0
    return AddressRange(first, last, port)


def _range(text: str) -> tuple[IPAddress, IPAddress]:
    """Return the ends of `A.B.C.D-E`, `A.B.C.D-E.F.G.H`, `A.B.C.D/N`, or one address."""
    begin, dash, end = text.partition("-")
    if "/" in text:
        ip, prefix = network(text)
        whole = ip_network((ip, prefix), strict=False)
        return whole[0], whole[-1]
    first = address(begin)
    if not dash:
        return first, first
    if isinstance(first, IPv4Address):
        last = address(end) if "." in end else IPv4Address((int(first) & ~0xFF) | _octet(end))
    else:
        last = address(end if ":" in end else begin.rpartition(":")[0] + ":" + end)
    if last.version != first.version or int(last) < int(first):
        raise BadValueError("a range that goes up")
    return first, last


def _octet(text: str) -> int:
    return integer(text, 0, 255)


def method(words: Words) -> Method:
    """Return `NAT`, `DR` or `TUN [type ...] [checksum]`; raises BadValueError."""
    known = {kind.value: kind for kind in Forwarding}
    kind = known.get(words[0])
    if kind is None:
        raise BadValueError(meant(words[0], tuple(known)))
    found = Method(kind)
    if kind is not Forwarding.TUNNEL or len(words) == 1:
        return found
    return _tunnel(list(words[1:]))


def _tunnel(rest: list[str]) -> Method:
    tunnel, port, checksum = TunnelType.IPIP, 0, ""
    while rest:
        word = rest.pop(0)
        if word == "type" and rest:
            tunnel = _tunnel_type(rest.pop(0))
        elif word == "port" and rest:
            port = integer(rest.pop(0), 1, MAX_PORT)
        elif word in _CHECKSUMS:
            checksum = word
        else:
            expected = f'type, port, {", ".join(_CHECKSUMS)} in place of "{shown(word)}"'
            raise BadValueError(expected)
    if tunnel is TunnelType.GUE and not port:
        raise BadValueError("a port for type gue")
    return Method(Forwarding.TUNNEL, tunnel, port, checksum)


def _tunnel_type(word: str) -> TunnelType:
    try:
        return TunnelType(word)
    except ValueError:
        raise BadValueError("ipip, gue or gre") from None


def netmask(text: str) -> IPv4Address | int:
    """Return an IPv4 netmask, which need not be a prefix, or an IPv6 prefix length."""
    return ipv4(text) if "." in text else integer(text, 1, 128)


def statuses(words: Words) -> tuple[tuple[int, int], ...]:
    """Return status codes and ranges of them; raises BadValueError."""
    found = []
    for word in words:
        low, dash, high = word.partition("-")
        first = integer(low, 100, 999)
        found.append((first, integer(high, first, 999) if dash else first))
    return tuple(found)


def stack(words: Words) -> tuple[int, int]:
    """Return start and maximum size in bytes; raises BadValueError."""
    start = integer(words[0], 1, 2**31 - 1)
    return start, integer(words[1], start, 2**31 - 1)


def octets(words: Words) -> bytes:
    """Return hexadecimal digits, each word for itself, as bytes; raises BadValueError."""
    return masked_octets(words, wild="")[0]


def masked_octets(words: Words, wild: str = "xX") -> tuple[bytes, bytes]:
    """Return bytes and which bits of them count: an x stands for any four bits."""
    values, masks = bytearray(), bytearray()
    for word in words:
        if not all(char in _HEX or char in wild for char in word):
            raise BadValueError("hexadecimal digits")
        for at in range(0, len(word), 2):
            pair = word[at : at + 2].rjust(2, "0")
            values.append(int("".join("0" if char in "xX" else char for char in pair), 16))
            masks.append(int("".join("0" if char in "xX" else "f" for char in pair), 16))
    if len(values) > _MAX_BYTES:
        raise BadValueError(f"at most {_MAX_BYTES} bytes")
    return bytes(values), bytes(masks)


def digest(text: str) -> str:
    """Return an MD5 sum in hexadecimal; raises BadValueError."""
    if len(text) != _DIGEST or not all(char in _HEX for char in text):
        raise BadValueError(f"{_DIGEST} hexadecimal digits")
    return text.lower()


def fingerprint(text: str) -> str:
    """Return a SHA-256 sum in hexadecimal, as openssl prints it or without colons."""
    digits = text.replace(":", "").lower()
    if len(digits) != _FINGERPRINT or not all(char in _HEX for char in digits):
        raise BadValueError(f"{_FINGERPRINT} hexadecimal digits")
    return digits


def domain(text: str) -> str:
    """Return the name of a domain; raises BadValueError."""
    labels = text.removesuffix(".").split(".") if text != "." else []
    if not all(1 <= len(label) <= _LABEL for label in labels) or len(text) > _DOMAIN:
        raise BadValueError("the name of a domain")
    return text


DIGEST: Final = word_shape(digest, "an MD5 sum in hexadecimal")
FINGERPRINT: Final = word_shape(fingerprint, "a SHA-256 sum in hexadecimal")
DOMAIN: Final = word_shape(domain, "the name of a domain")
SERVER: Final = Shape(server, "an address, perhaps a port", most=2)
SERVICE: Final = Shape(service, "an address and a port, fwmark N, or group NAME", most=2)
GROUP_LINE: Final = Shape(group_line, "an address or range and a port, or fwmark N", most=3)
METHOD: Final = Shape(method, "NAT, DR or TUN", most=None)
NETMASK: Final = word_shape(netmask, "a netmask or a prefix length")
STATUSES: Final = Shape(statuses, "status codes like 200 or 200-299", most=None)
STACK: Final = Shape(stack, "two sizes in bytes", least=2, most=2)
HEX: Final = Shape(octets, "hexadecimal digits", most=None)
MASKED_HEX: Final = Shape(masked_octets, "hexadecimal digits, x for any", least=0, most=None)
