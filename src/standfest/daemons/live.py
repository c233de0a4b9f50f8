"""Asks the network what a director's check needs to know: who has an address, who answers."""

from standfest.adapters.linux import reachable
from standfest.adapters.linux.asking import who_has
from standfest.adapters.linux.setup import LinuxMachine
from standfest.core.setup import segment
from standfest.core.setup.advice import Advice
from standfest.model.balancing import BalancerSettings
from standfest.model.errors import OperationError


def look(balancer: BalancerSettings) -> tuple[Advice, ...]:
    """Return what is wrong between this director and its servers; raises OperationError."""
    machine = LinuxMachine()
    try:
        situation = machine.look()
    finally:
        machine.close()
    asked = segment.subject(balancer)
    owners: dict[segment.Place, frozenset[bytes]] = {}
    told: list[Advice] = []
    questions = segment.questions(asked, situation)
    for device in dict.fromkeys(device for device, _ in questions):
        ips = [ip for at, ip in questions if at == device]
        try:
            owners |= {(device, ip): macs for ip, macs in who_has(device, ips).items()}
        except OperationError as error:
            told.append(Advice(f"nobody was asked on {device}", str(error), error=False))
    ways = segment.ways_to_try(asked, situation)
    near = {
        server: source
        for _, server, _ in ways
        if (source := segment.near_address(server, situation)) is not None
    }
    tried = [(near[server], server, port) for _, server, port in ways if server in near]
    found = reachable.answered([*tried, *ways])
    back = {
        (vip, server, port): (found[near[server], server, port], found[vip, server, port])
        for vip, server, port in ways
        if server in near
    }
    heard = segment.Heard(owners, back)
    return (*told, *segment.of_director(asked, heard, situation))
