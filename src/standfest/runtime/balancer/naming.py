"""How services and servers are called in logs, pipes and mail: as keepalived calls them.

Source: keepalived.conf(5), lvs_notify_fifo: `RS [1.2.3.4]:tcp:80 [192.168.201.15]:tcp:80 UP`.
"""

from standfest.model.balancing import (
    AddressService,
    GroupService,
    MarkService,
    RealServer,
    SorryServer,
    VirtualService,
)


def port_of(service: VirtualService) -> int:
    """Return the port of a service; 0 for one by mark, by group, or of all ports."""
    return service.service.port if isinstance(service.service, AddressService) else 0


def service_name(service: VirtualService) -> str:
    """Return `[192.168.201.15]:tcp:80`, `FWM 5` or `[group]:tcp`."""
    match service.service:
        case AddressService(ip, port):
            return f"[{ip}]:{service.protocol.value.lower()}:{port}"
        case MarkService(mark):
            return f"FWM {mark}"
        case GroupService(name):
            return f"[{name}]:{service.protocol.value.lower()}"


def server_name(service: VirtualService, server: RealServer | SorryServer) -> str:
    """Return `[1.2.3.4]:tcp:80`."""
    protocol = service.protocol.value.lower() or "all"
    return f"[{server.ip}]:{protocol}:{server.port or port_of(service)}"
