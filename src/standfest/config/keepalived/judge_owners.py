"""Rules about who brings the addresses of virtual services to the director that balances them."""

from typing import Final

from standfest.config.keepalived.check import Entry
from standfest.config.keepalived.judge_balancer import services
from standfest.config.keepalived.source import Report
from standfest.model.balancing import AddressService
from standfest.model.vrrp import VirtualAddress

_LISTS: Final = ("virtual_ipaddress", "virtual_ipaddress_excluded")


def owners(root: Entry, report: Report) -> None:
    """Warn of addresses of services that no virtual router of the file brings to this machine."""
    lists = [entry for one in root.all("vrrp_instance") for entry in one.elements(*_LISTS)]
    held = {
        entry.value.ip
        for entry in (*lists, *root.elements("static_ipaddress"))
        if isinstance(entry.value, VirtualAddress)
    }
    for service in services(root) if held else ():
        target = service.value
        if isinstance(target, AddressService) and target.ip not in held:
            problem = f"{target.ip} is in no vrrp_instance: it does not move with a director"
            report.warn(service.origin, problem, "a vrrp_instance that has it")


RULES: Final = (owners,)
