"""`use_vmac`, `use_ipvlan` and source addresses: what an instance's packets leave from."""

import re
from typing import Final

from standfest.config.keepalived.shapes import Shape, Words, address, interface, network, word_shape
from standfest.config.lines import BadValueError, shown
from standfest.model.vrrp import IPAddress, Ipvlan, VirtualMac

_MAC: Final = re.compile(r"(?:[0-9A-Fa-f]{1,2}[:-]){4,5}[0-9A-Fa-f]{1,2}\Z")
_MODES: Final = ("bridge", "private", "vepa")
_OCTETS_BUT_VRID: Final = 5


def virtual_mac(words: Words) -> VirtualMac:
    """Return `[NAME] [MAC]`; five octets leave the last one to the virtual router's id."""
    name, mac = "", None
    for word in words:
        if _MAC.match(word):
            mac = bytes(int(octet, 16) for octet in re.split("[:-]", word))
        elif not name and mac is None:
            name = interface(word)
        else:
            raise BadValueError(f'[an interface\'s name] [a MAC] in place of "{shown(word)}"')
    return VirtualMac(name, mac)


def ipvlan(words: Words) -> Ipvlan:
    """Return `[NAME] [ADDRESS] [bridge|private|vepa]`; raises BadValueError."""
    name, mode = "", "bridge"
    ip: IPAddress | None = None
    prefix: int | None = None
    for word in words:
        if word in _MODES:
            mode = word
        elif ("." in word and word[0].isdigit()) or ":" in word:
            ip, prefix = network(word)
        else:
            name = interface(word)
    return Ipvlan(name, ip, prefix, mode)


def source(text: str) -> IPAddress:
    """Return an address; a prefix length after it means nothing, but many write it."""
    return network(text)[0] if "/" in text else address(text)


VMAC: Final = Shape(virtual_mac, "[an interface's name] [a MAC]", least=0, most=2)
IPVLAN: Final = Shape(ipvlan, "[an interface's name] [an address] [a mode]", least=0, most=3)
SOURCE: Final = word_shape(source, "an IP address")
