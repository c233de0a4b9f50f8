"""Setting a machine up for its part in balancing: steps, what they find, and how they are undone.

A step names one thing of the machine (its `key`) and what it shall be; its undo is a step, too.
Shared by real servers and the director's firewall.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from standfest.model.errors import OperationError
from standfest.model.vrrp import Family


@dataclass(frozen=True, slots=True)
class SetSysctl:
    """Write a kernel setting; name: below /proc/sys, with slashes, as interfaces may have dots."""

    name: str
    value: str
    why: str = ""

    @property
    def key(self) -> str:
        """Return what of the machine this is about."""
        return f"sysctl {self.name}"

    def __str__(self) -> str:
        """Return the step in words."""
        return f"set {self.name} to {self.value}"


@dataclass(frozen=True, slots=True)
class MakeLink:
    """Make an interface: dummy, ipip or ip6tnl."""

    name: str
    kind: str
    why: str = ""

    @property
    def key(self) -> str:
        """Return what of the machine this is about."""
        return f"link {self.name}"

    def __str__(self) -> str:
        """Return the step in words."""
        return f"make the {self.kind} interface {self.name}"


@dataclass(frozen=True, slots=True)
class RemoveLink:
    """Remove an interface with all that is on it."""

    name: str
    why: str = ""

    @property
    def key(self) -> str:
        """Return what of the machine this is about."""
        return f"link {self.name}"

    def __str__(self) -> str:
        """Return the step in words."""
        return f"remove the interface {self.name}"


@dataclass(frozen=True, slots=True)
class SetLink:
    """Bring an interface up or down."""

    name: str
    up: bool
    why: str = ""

    @property
    def key(self) -> str:
        """Return what of the machine this is about."""
        return f"state {self.name}"

    def __str__(self) -> str:
        """Return the step in words."""
        return f"bring {self.name} {'up' if self.up else 'down'}"


@dataclass(frozen=True, slots=True)
class SetMtu:
    """Set how long packets on an interface may be, in bytes."""

    name: str
    mtu: int
    why: str = ""

    @property
    def key(self) -> str:
        """Return what of the machine this is about."""
        return f"mtu {self.name}"

    def __str__(self) -> str:
        """Return the step in words."""
        return f"set the MTU of {self.name} to {self.mtu}"


@dataclass(frozen=True, slots=True)
class AddAddress:
    """Add an address that no new connection of ours leaves from (IPv6: deprecated, no DAD)."""

    device: str
    ip: str
    prefix: int
    why: str = ""

    @property
    def key(self) -> str:
        """Return what of the machine this is about."""
        return f"address {self.device} {self.ip}"

    def __str__(self) -> str:
        """Return the step in words."""
        return f"add {self.ip}/{self.prefix} to {self.device}"


@dataclass(frozen=True, slots=True)
class RemoveAddress:
    """Remove an address."""

    device: str
    ip: str
    prefix: int
    why: str = ""

    @property
    def key(self) -> str:
        """Return what of the machine this is about."""
        return f"address {self.device} {self.ip}"

    def __str__(self) -> str:
        """Return the step in words."""
        return f"remove {self.ip}/{self.prefix} from {self.device}"


@dataclass(frozen=True, slots=True)
class SetDefault:
    """Make this the default route among those of its metric; raw: the kernel's own form, in hex."""

    family: int
    gateway: str
    device: str
    metric: int = 0
    raw: str = ""
    why: str = ""

    @property
    def key(self) -> str:
        """Return what of the machine this is about."""
        return f"default IPv{self.family}"

    def __str__(self) -> str:
        """Return the step in words."""
        by = f" by {self.gateway}" if self.gateway else ""
        return f"set the IPv{self.family} default route{by} on {self.device}"


@dataclass(frozen=True, slots=True)
class RemoveDefault:
    """Remove this default route."""

    family: int
    gateway: str
    device: str
    metric: int = 0
    why: str = ""

    @property
    def key(self) -> str:
        """Return what of the machine this is about."""
        return f"default IPv{self.family}"

    def __str__(self) -> str:
        """Return the step in words."""
        return f"remove the IPv{self.family} default route by {self.gateway} on {self.device}"


@dataclass(frozen=True, slots=True)
class LoadTable:
    """Put an nftables table of ours in place of what stands under its name, in one transaction."""

    family: str
    name: str
    text: str
    why: str = ""

    @property
    def key(self) -> str:
        """Return what of the machine this is about."""
        return f"table {self.family} {self.name}"

    def __str__(self) -> str:
        """Return the step in words."""
        return f"load the nftables table {self.family} {self.name}"


@dataclass(frozen=True, slots=True)
class DropTable:
    """Remove an nftables table."""

    family: str
    name: str
    why: str = ""

    @property
    def key(self) -> str:
        """Return what of the machine this is about."""
        return f"table {self.family} {self.name}"

    def __str__(self) -> str:
        """Return the step in words."""
        return f"remove the nftables table {self.family} {self.name}"


@dataclass(frozen=True, slots=True)
class OpenTunnel:
    """Take an address's packets out of their envelopes in drivers; devices: with blanks between."""

    ip: str
    devices: str
    why: str = ""

    @property
    def key(self) -> str:
        """Return what of the machine this is about."""
        return f"tunnel {self.ip}"

    def __str__(self) -> str:
        """Return the step in words."""
        where = self.devices.replace(" ", ", ")
        return f"take packets to {self.ip} out of their tunnels by XDP on {where}"


@dataclass(frozen=True, slots=True)
class CloseTunnel:
    """Leave an address's tunnelled packets alone."""

    ip: str
    why: str = ""

    @property
    def key(self) -> str:
        """Return what of the machine this is about."""
        return f"tunnel {self.ip}"

    def __str__(self) -> str:
        """Return the step in words."""
        return f"take packets to {self.ip} out of tunnels no more"


Step = (
    SetSysctl
    | MakeLink
    | RemoveLink
    | SetLink
    | SetMtu
    | AddAddress
    | RemoveAddress
    | SetDefault
    | RemoveDefault
    | LoadTable
    | DropTable
    | OpenTunnel
    | CloseTunnel
)
_STEPS: tuple[type[Step], ...] = (
    *(SetSysctl, MakeLink, RemoveLink, SetLink, SetMtu, AddAddress, RemoveAddress),
    *(SetDefault, RemoveDefault, LoadTable, DropTable, OpenTunnel, CloseTunnel),
)
_KINDS: dict[str, type[Step]] = {kind.__name__: kind for kind in _STEPS}


def to_json(step: Step) -> dict[str, object]:
    """Return a step as JSON has it."""
    values = {one.name: getattr(step, one.name) for one in fields(step)}
    return {"step": type(step).__name__, **{k: v for k, v in values.items() if v != ""}}


def from_json(data: object) -> Step:
    """Return the step that `to_json` wrote; raises OperationError."""
    if isinstance(data, dict):
        kind = _KINDS.get(str(data.get("step")))
        values = {key: value for key, value in data.items() if key != "step"}
        if kind is not None:
            known = {one.name: one for one in fields(kind)}
            # Annotations are types here (no `from __future__`), one of str, int and bool.
            right = all(k in known and type(v) is known[k].type for k, v in values.items())
            if right:
                try:
                    return kind(**values)
                except TypeError:
                    pass
    raise OperationError(f"not a step: {str(data)[:80]}")


# --- what a machine is like ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface; kind: the kernel's word, "" for hardware; arp: asks and answers."""

    name: str
    kind: str
    up: bool
    arp: bool
    mtu: int
    loopback: bool = False


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """An address on an interface."""

    device: str
    ip: str
    prefix: int


@dataclass(frozen=True, slots=True)
class DefaultRoute:
    """A default route of the main table; gateway "": on link."""

    family: Family
    gateway: str
    device: str
    metric: int


@dataclass(frozen=True, slots=True)
class Situation:
    """What is there before anything is done; kinds: interfaces that the kernel can make.

    tunnels: addresses whose packets are taken out of tunnels by XDP, on all of their interfaces.
    """

    interfaces: tuple[Interface, ...] = ()
    addresses: tuple[LocalAddress, ...] = ()
    defaults: tuple[DefaultRoute, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    kinds: frozenset[str] = frozenset()
    tunnels: tuple[str, ...] = ()

    def sysctl(self, name: str) -> int:
        """Return a kernel setting as a number, 0 where there is none."""
        value = self.sysctls.get(name, "0")
        return int(value) if value.lstrip("-").isdigit() else 0

    def interface(self, name: str) -> Interface | None:
        """Return an interface by its name."""
        return next((one for one in self.interfaces if one.name == name), None)

    def network(self) -> tuple[Interface, ...]:
        """Return the interfaces that are up and reach other machines themselves."""
        virtual = {"dummy", "ipip", "ip6tnl", "sit", "gre", "ip6gre"}
        return tuple(
            one
            for one in self.interfaces
            if one.up and not one.loopback and one.kind not in virtual
        )
