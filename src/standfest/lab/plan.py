"""From an installation's files to what the lab builds: nodes, networks, services. Pure.

Source: the report's chapter 3 and 5.2 for what such files mean; docs/guide/drill.md for the rules.
"""

import ipaddress
from dataclasses import dataclass, replace

from standfest.lab.services import Probe, probes_for
from standfest.model.configuration import Configuration, Primitive
from standfest.model.element import Element
from standfest.model.errors import ConfigError, Finding
from standfest.model.settings import Bcast, HeartbeatSettings, Mcast, Ucast

ADDRESS_TYPES = frozenset({"ipaddr", "ipaddr2"})
FILESYSTEM_TYPE = "filesystem"
FIRST_HOST = 50
DEFAULT_PREFIX = 24
LAB_NETWORK = "10.99.{number}.0/24"
MAX_NODES = 16


@dataclass(frozen=True, slots=True)
class Network:
    """One broadcast domain, named by the device that every node has in it.

    addresses: node -> its own address (empty where the device only carries service addresses);
    client: the address of the client host; heartbeat: whether the files name it for heartbeats;
    watcher: an address that nobody has, in whose name the client asks who owns the others.
    """

    device: str
    prefix: int
    addresses: tuple[tuple[str, str], ...]
    client: str
    heartbeat: bool
    watcher: str


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """An address that moves between nodes."""

    ip: str
    device: str


@dataclass(frozen=True, slots=True)
class Service:
    """What a client uses: a protocol at a cluster address."""

    name: str
    address: str
    device: str
    probe: Probe


@dataclass(frozen=True, slots=True)
class LabPlan:
    """Everything that the lab builds, and what it had to change (`notes`)."""

    nodes: tuple[str, ...]
    networks: tuple[Network, ...]
    addresses: tuple[ClusterAddress, ...]
    services: tuple[Service, ...]
    init_scripts: tuple[tuple[str, Probe], ...]
    configuration: Element
    notes: tuple[str, ...]

    def network(self, device: str) -> Network:
        """Return the network of a device."""
        return next(network for network in self.networks if network.device == device)

    @property
    def heartbeat_device(self) -> str:
        """Return the first device that the files name for heartbeats."""
        return next(network.device for network in self.networks if network.heartbeat)

    @property
    def public_device(self) -> str:
        """Return the device of the first service's address."""
        return self.services[0].device


def make_plan(
    settings: HeartbeatSettings, element: Element, configuration: Configuration, path: str
) -> LabPlan:
    """Return the plan; raises ConfigError for an installation that the lab cannot build."""
    if len(settings.nodes) > MAX_NODES:
        problem = f"{len(settings.nodes)} nodes"
        raise ConfigError(Finding(path, 0, problem, f"at most {MAX_NODES}"))
    primitives = configuration.primitives()
    floating = [p for p in primitives if p.agent.type.lower() in ADDRESS_TYPES]
    addresses = tuple(_cluster_address(primitive, path) for primitive in floating)
    networks = _networks(settings, floating)
    scripts, services = _services(primitives, addresses)
    if not services:
        raise ConfigError(
            Finding(path, 0, "no service that a client could use", "an address and a Service")
        )
    rewritten, notes = _bind_mounts(element, primitives)
    return LabPlan(settings.nodes, networks, addresses, services, scripts, rewritten, tuple(notes))


def _cluster_address(primitive: Primitive, path: str) -> ClusterAddress:
    parameters = dict(primitive.parameters)
    ip, nic = parameters.get("ip", ""), parameters.get("nic", "").partition(":")[0]
    if not ip or not nic:
        problem = f"{primitive.id} names no ip or no nic"
        raise ConfigError(Finding(path, 0, problem, "both, so that the lab can wire it"))
    return ClusterAddress(ip, nic)


def _networks(settings: HeartbeatSettings, floating: list[Primitive]) -> tuple[Network, ...]:
    """Return a network for each device that heartbeats or addresses use."""
    heartbeat = {medium.device for medium in settings.media}
    devices = sorted(heartbeat | {dict(p.parameters)["nic"].partition(":")[0] for p in floating})
    networks = []
    for number, device in enumerate(devices):
        services = [dict(p.parameters) for p in floating if dict(p.parameters)["nic"] == device]
        own = _own_addresses(settings, device, number)
        prefix = _prefix(services)
        taken = {address for _, address in own} | {service["ip"] for service in services}
        gateway = next((s["gateway"] for s in services if s.get("gateway")), None)
        some = sorted(taken)[0] if taken else f"10.99.{number}.1"
        client = gateway or _highest_free(some, prefix, taken)
        watcher = _highest_free(some, prefix, taken | {client})
        networks.append(Network(device, prefix, own, client, device in heartbeat, watcher))
    return tuple(networks)


def _own_addresses(
    settings: HeartbeatSettings, device: str, number: int
) -> tuple[tuple[str, str], ...]:
    """Return the nodes' own addresses: as the ucast lines say, in the order of the nodes."""
    media = [medium for medium in settings.media if medium.device == device]
    listed = [medium.address for medium in media if isinstance(medium, Ucast)]
    if listed:
        return tuple(zip(settings.nodes, listed, strict=False))
    if any(isinstance(medium, Bcast | Mcast) for medium in media):
        network = ipaddress.ip_network(LAB_NETWORK.format(number=number))
        return tuple(
            (node, str(network[FIRST_HOST + index])) for index, node in enumerate(settings.nodes)
        )
    return ()


def _prefix(services: list[dict[str, str]]) -> int:
    for service in services:
        mask = service.get("cidr_netmask") or service.get("netmask")
        if mask:
            return ipaddress.ip_network(f"0.0.0.0/{mask}").prefixlen
    return DEFAULT_PREFIX


def _highest_free(address: str, prefix: int, taken: set[str]) -> str:
    network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
    for offset in range(2, min(network.num_addresses, 200)):
        candidate = str(network[network.num_addresses - offset])
        if candidate not in taken:
            return candidate
    return str(network[1])


def _services(
    primitives: tuple[Primitive, ...], addresses: tuple[ClusterAddress, ...]
) -> tuple[tuple[tuple[str, Probe], ...], tuple[Service, ...]]:
    """Return the init scripts to provide, and what clients probe.

    They probe at the last address, by custom the public one: it comes up last.
    """
    scripts: list[tuple[str, Probe]] = []
    for primitive in primitives:
        kind = primitive.agent.type.lower()
        if kind in ("service", "gentooservice"):
            name = dict(primitive.parameters).get("service", "")
        elif primitive.agent.standard in ("lsb", "service"):
            name = primitive.agent.type
        else:
            continue
        if name:
            scripts.append((name, probes_for(name, len(scripts))))
    if not addresses:
        return tuple(scripts), ()
    public = next((a for a in reversed(addresses)), addresses[-1])
    services = tuple(Service(name, public.ip, public.device, probe) for name, probe in scripts)
    return tuple(scripts), services


def _bind_mounts(element: Element, primitives: tuple[Primitive, ...]) -> tuple[Element, list[str]]:
    """Return the configuration with every mount replaced by a bind mount of a shared folder."""
    mounts = {
        primitive.id: dict(primitive.parameters).get("device", "")
        for primitive in primitives
        if primitive.agent.type.lower() == FILESYSTEM_TYPE
    }
    notes = [
        f"{name}: {device} is a bind mount of a folder shared by all nodes"
        for name, device in mounts.items()
    ]
    return _rewrite(element, mounts), notes


def _rewrite(element: Element, mounts: dict[str, str]) -> Element:
    if element.tag == "primitive" and element.id in mounts:
        return _as_bind(element, shared_folder(element.id))
    return element.with_children(tuple(_rewrite(child, mounts) for child in element.children))


def _as_bind(element: Element, folder: str) -> Element:
    values = {"device": folder, "fstype": "none", "options": "bind"}
    if element.tag == "nvpair" and element.get("name") in values:
        return element.with_attribute("value", values[element.get("name") or ""])
    children = [_as_bind(child, folder) for child in element.children]
    if element.tag == "instance_attributes":
        named = {child.get("name") for child in children}
        for name in ("fstype", "options"):
            if name not in named and "device" in named:
                identifier = f"{element.id}-lab-{name}"
                pair = (("id", identifier), ("name", name), ("value", values[name]))
                children.append(Element("nvpair", pair))
    return replace(element, children=tuple(children))


def shared_folder(primitive: str) -> str:
    """Return where the shared folder of a Filesystem is inside every node."""
    return f"/opt/standfest-lab/shared/{primitive}"
