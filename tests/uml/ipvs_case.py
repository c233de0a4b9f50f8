"""Runs inside User Mode Linux: the ipvs backend against the kernel, as ipvsadm sees it."""

import subprocess
import time
from ipaddress import IPv4Address, IPv6Address

import pytest

from standfest.adapters.linux.ipvs import IpvsBackend
from standfest.core.balancer.difference import difference
from standfest.model.balancing import Forwarding, Method, Protocol, SyncDaemon, TunnelType
from standfest.model.errors import OperationError
from standfest.model.forwarding import (
    AddService,
    Destination,
    DestinationKey,
    Service,
    ServiceKey,
    ServiceOptions,
    SetDestination,
    service_key,
)
from standfest.model.vrrp import Family
from standfest.wire import ipvs

V4, V6 = IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")


def to(address: str, port: int, weight: int = 1, **more: object) -> tuple[
    DestinationKey, Destination
]:  # fmt: skip
    method = more.pop("method", Method())
    ip = IPv6Address(address) if ":" in address else IPv4Address(address)
    return DestinationKey(ip, port), Destination(method, weight, **more)  # type: ignore[arg-type]


def wanted() -> dict[ServiceKey, Service]:
    direct, tunnel = Method(Forwarding.DIRECT), Method(Forwarding.TUNNEL)
    gue = Method(Forwarding.TUNNEL, TunnelType.GUE, 6080, "csum")
    return {
        service_key(Protocol.TCP, V4, 25): Service(
            ServiceOptions("rr", timeout=50),
            dict([to("10.0.0.1", 25), to("10.0.0.2", 25, 3, upper=100, lower=80)]),
        ),
        service_key(Protocol.TCP, V4, 80): Service(
            ServiceOptions("mh", ("mh-fallback", "mh-port"), 300, IPv4Address("255.255.255.0")),
            dict([to("10.0.0.1", 80, method=direct), to("10.0.0.2", 80, 0, method=direct)]),
        ),
        service_key(Protocol.UDP, V4, 53): Service(
            ServiceOptions("wlc", one_packet=True), dict([to("10.0.0.1", 53, method=tunnel)])
        ),
        service_key(Protocol.TCP, V6, 443): Service(
            ServiceOptions("sed", timeout=60, mask=64), dict([to("2001:db8::10", 443)])
        ),
        service_key(Protocol.SCTP, V4, 36412): Service(ServiceOptions("wrr"), {}),
        service_key(Protocol.NONE, None, mark=7, family=Family.IPV4): Service(
            ServiceOptions("rr", timeout=10), dict([to("10.0.0.3", 0, method=gue)])
        ),
    }


def listed() -> str:
    return subprocess.run(["ipvsadm", "-Ln"], capture_output=True, text=True, check=True).stdout


def main() -> None:
    backend = IpvsBackend()
    table = wanted()
    backend.apply(difference(backend.read(), table))
    assert backend.read() == table, (backend.read(), table)
    text = listed()
    assert "TCP  192.0.2.1:25 rr persistent 50" in text, text
    assert "mh (mh-fallback,mh-port) persistent 300 mask 255.255.255.0" in text, text
    assert "FWM  7 rr persistent 10" in text, text
    assert "UDP  192.0.2.1:53 wlc ops" in text, text
    print("same table read back, and by ipvsadm")

    key = service_key(Protocol.TCP, V4, 25)
    first = next(iter(table[key].destinations))
    changed = {**table, key: Service(table[key].options, {
        **table[key].destinations, first: Destination(Method(), 0)
    })}  # fmt: skip
    steps = difference(backend.read(), changed)
    assert steps == (SetDestination(key, first, Destination(Method(), 0)),), steps
    backend.apply(steps)
    assert backend.read() == changed
    print("one weight is one change")

    with pytest.raises(OperationError, match=r"^add TCP 192\.0\.2\.1:25: File exists$"):
        backend.apply([AddService(key, ServiceOptions("rr"))])
    with pytest.raises(OperationError, match=r"^add TCP 192\.0\.2\.1:99: "):
        backend.apply([AddService(service_key(Protocol.TCP, V4, 99), ServiceOptions("nosuch"))])
    print("refusals name what was wanted")

    for words in ("link add d0 type dummy", "addr add 10.9.0.1/24 dev d0", "link set d0 up"):
        subprocess.run(["ip", *words.split()], check=True)
    sync = SyncDaemon("d0", port=8849, group=IPv4Address("224.0.0.82"))
    backend.start_sync(ipvs.MASTER, sync, 51)
    backend.start_sync(ipvs.BACKUP, sync, 51)
    running = sorted((d.state, d.interface, d.id) for d in backend.daemons())
    assert running == [(ipvs.MASTER, "d0", 51), (ipvs.BACKUP, "d0", 51)], running
    time.sleep(0.5)  # stopping a kernel thread that has not run yet takes the guest 10 s and more
    backend.stop_sync(ipvs.MASTER)
    backend.stop_sync(ipvs.BACKUP)
    assert backend.daemons() == []
    backend.set_timeouts(900, 120, 300)
    print("sync daemons and timeouts")

    many = {
        service_key(Protocol.TCP, IPv4Address(int(IPv4Address("10.1.0.0")) + n), 80): Service(
            ServiceOptions("wlc"), dict(to(f"10.2.0.{m}", 80) for m in range(1, 5))
        )
        for n in range(1000)
    }
    backend.apply(difference(backend.read(), {}))
    assert backend.read() == {}
    began = time.monotonic()
    backend.apply(difference({}, many))
    took = time.monotonic() - began
    assert backend.read() == many
    print(f"1,000 services with 4 servers in {1000 * took:.0f} ms")
    backend.close(keep=False)
    assert "192.0.2.1" not in listed()
    print("closed and empty")


if __name__ == "__main__":
    main()
