"""Services whose addresses no virtual router brings to the director that balances them."""

import pytest

from standfest.config.keepalived.load import read
from standfest.config.keepalived.source import Setting

SERVICE = "virtual_server 192.0.2.7 80 { lvs_sched rr\n lvs_method NAT\n protocol TCP\n"
SERVICE += " real_server 10.0.0.1 80 { weight 1\n }\n}\n"
ROUTER = "vrrp_instance a {{ interface eth0\n virtual_router_id 1\n priority 100\n {}\n}}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ROUTER.format("virtual_ipaddress { 192.0.2.8 }") + SERVICE, 1),
        (ROUTER.format("virtual_ipaddress { 192.0.2.7 }") + SERVICE, 0),
        (
            ROUTER.format(
                "virtual_ipaddress { 192.0.2.8 }\n virtual_ipaddress_excluded { 192.0.2.7 }"
            )
            + SERVICE,
            0,
        ),
        (
            "static_ipaddress { 192.0.2.7 dev eth0 }\n"
            + ROUTER.format("virtual_ipaddress { 192.0.2.8 }")
            + SERVICE,
            0,
        ),
        (SERVICE, 0),  # balancing alone: the address is brought by somebody else
    ],
)
def test_an_address_that_does_not_move_with_a_director_is_named(text: str, told: int) -> None:
    findings = read(text, "k.conf", Setting("here", {})).report.findings
    problem = "192.0.2.7 is in no vrrp_instance: it does not move with a director"
    assert [one.problem for one in findings].count(problem) == told
