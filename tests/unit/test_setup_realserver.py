"""Real servers: the plan, its order, what is put back and what is refused (in memory)."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from standfest.adapters.memory.machine import MemoryMachine
from standfest.core.setup import advice
from standfest.core.setup.ledger import Ledger
from standfest.core.setup.realserver import Wanted, entries_of, plans
from standfest.model.balancing import Forwarding
from standfest.model.errors import OperationError
from standfest.model.setup import (
    AddAddress,
    DefaultRoute,
    Interface,
    LocalAddress,
    MakeLink,
    SetMtu,
    SetSysctl,
    Situation,
    Step,
    from_json,
    to_json,
)
from standfest.model.vrrp import Family
from standfest.runtime import setup

VIP, OTHER, SIX = (ip_address(text) for text in ("192.0.2.1", "192.0.2.2", "2001:db8::1"))
LO = Interface("lo", "", up=True, arp=False, mtu=65536, loopback=True)
ETH0 = Interface("eth0", "", up=True, arp=True, mtu=1500)
ETH1 = Interface("eth1", "", up=True, arp=True, mtu=9000)
SYSCTLS = {
    "net/ipv4/conf/all/arp_ignore": "0",
    "net/ipv4/conf/all/arp_announce": "0",
    "net/ipv4/conf/all/rp_filter": "1",
    "net/ipv4/conf/eth0/rp_filter": "0",
    "net/ipv4/conf/eth1/rp_filter": "0",
}
PLAIN = Situation(
    (LO, ETH0, ETH1),
    (LocalAddress("lo", "127.0.0.1", 8), LocalAddress("eth0", "192.0.2.10", 24)),
    (DefaultRoute(Family.IPV4, "192.0.2.254", "eth0", 0),),
    SYSCTLS,
    frozenset({"dummy", "ipip", "ip6tnl"}),
)
DIRECT = Wanted((VIP,), Forwarding.DIRECT)


def plan(wanted: Wanted, situation: Situation = PLAIN) -> tuple[Step, ...]:
    (steps,) = plans(wanted, situation).values()
    return steps


class Kept:
    """A ledger as the disk keeps it: what was saved last counts."""

    def __init__(self, machine: MemoryMachine) -> None:
        self.machine = machine
        self.saved = Ledger()
        self.when_saved: list[tuple[int, int]] = []

    def save(self, ledger: Ledger) -> None:
        self.saved = ledger
        self.when_saved.append((len(ledger.done), len(self.machine.log)))

    def up(self, wanted: Wanted, situation: Situation = PLAIN) -> list[str]:
        changed: list[str] = []
        for name, steps in plans(wanted, situation).items():
            done = setup.up(self.machine, self.saved, name, steps, self.save)
            changed += [str(step) for step in done]
        return changed

    def down(self, *names: str) -> tuple[list[str], tuple[str, ...]]:
        steps, left = setup.down(self.machine, self.saved, names, self.save)
        return [str(step) for step in steps], left


def test_the_machine_is_silent_before_it_has_the_address() -> None:
    steps = plan(DIRECT)
    assert [str(step) for step in steps] == [
        "set net/ipv4/conf/all/arp_ignore to 1",
        "set net/ipv4/conf/all/arp_announce to 2",
        "set net/ipv4/conf/eth0/rp_filter to 2",
        "set net/ipv4/conf/eth1/rp_filter to 2",
        "make the dummy interface sfvip0",
        "bring sfvip0 up",
        "add 192.0.2.1/32 to sfvip0",
    ]


def test_a_kernel_without_dummy_puts_the_address_on_the_loopback() -> None:
    steps = plan(DIRECT, replace(PLAIN, kinds=frozenset()))
    assert steps[-1] == AddAddress("lo", "192.0.2.1", 32, steps[-1].why)
    assert not any(isinstance(step, MakeLink) for step in steps)


def test_a_stricter_setting_of_the_operator_stays() -> None:
    stricter = {**SYSCTLS, "net/ipv4/conf/all/arp_ignore": "2"}
    steps = plan(DIRECT, replace(PLAIN, sysctls=stricter))
    assert str(steps[0]) == "set net/ipv4/conf/all/arp_ignore to 2"


def test_a_kernel_without_tunnels_ends_them_in_the_drivers_of_its_networks() -> None:
    tap = Interface("tap0", "tun", up=True, arp=False, mtu=1500)
    without = replace(PLAIN, kinds=frozenset(), interfaces=(*PLAIN.interfaces, tap))
    for wanted, devices in (
        (Wanted((VIP,), Forwarding.TUNNEL), "eth0, eth1"),
        (Wanted((VIP,), Forwarding.TUNNEL, interface="eth1"), "eth1"),
    ):
        steps = plan(wanted, without)
        assert [str(step) for step in steps] == [
            "set net/ipv4/conf/all/arp_ignore to 1",
            "set net/ipv4/conf/all/arp_announce to 2",
            "set net/ipv4/conf/eth0/rp_filter to 2",
            "set net/ipv4/conf/eth1/rp_filter to 2",
            "set net/ipv4/conf/tap0/rp_filter to 2",
            "bring lo up",
            f"take packets to 192.0.2.1 out of their tunnels by XDP on {devices}",
            "add 192.0.2.1/32 to lo",
        ]
        assert steps[-2].why == "this kernel makes no ipip interface"


def test_what_takes_tunnels_in_drivers_is_taken_back_even_if_half_of_it_is_gone() -> None:
    without = replace(PLAIN, kinds=frozenset())
    machine = MemoryMachine(without)
    kept = Kept(machine)
    before = dict(machine.things)
    kept.up(Wanted((VIP,), Forwarding.TUNNEL), without)
    assert machine.things["tunnel 192.0.2.1"] == "eth0 eth1"
    machine.things["tunnel 192.0.2.1"] = "eth0"  # the other interface has been removed
    steps, left = kept.down("tun 192.0.2.1")
    assert "take packets to 192.0.2.1 out of tunnels no more" in steps
    assert left == ()
    assert {key: value for key, value in machine.things.items() if value is not None} == {
        **before, "state lo": False
    }  # fmt: skip


def test_ipv6_needs_no_arp_settings() -> None:
    steps = plan(Wanted((SIX,), Forwarding.DIRECT))
    assert [type(step).__name__ for step in steps] == ["MakeLink", "SetLink", "AddAddress"]


@pytest.mark.parametrize(
    ("vip", "interface", "mtu"),
    [(VIP, "", 1480), (SIX, "", 1460), (VIP, "eth1", 8980), (SIX, "eth1", 8960)],
)
def test_a_tunnel_leaves_room_for_its_envelope(vip: object, interface: str, mtu: int) -> None:
    """1500 - 20 = 1480 and 1500 - 40 = 1460 on eth0; 9000 on eth1."""
    assert vip in (VIP, SIX)
    steps = plan(Wanted((ip_address(str(vip)),), Forwarding.TUNNEL, interface=interface))
    assert [step.mtu for step in steps if isinstance(step, SetMtu)] == [mtu]


@pytest.mark.parametrize(("everywhere", "value"), [("0", "0"), ("1", "2"), ("2", "2")])
def test_a_tunnel_takes_clients_that_it_does_not_lead_to(everywhere: str, value: str) -> None:
    """The kernel takes the greater of `all` and the interface's: 2 is what beats a 1."""
    sysctls = {**SYSCTLS, "net/ipv4/conf/all/rp_filter": everywhere}
    steps = plan(Wanted((VIP,), Forwarding.TUNNEL), replace(PLAIN, sysctls=sysctls))
    assert f"set net/ipv4/conf/tunl0/rp_filter to {value}" in [str(step) for step in steps]


def test_the_ledger_is_saved_before_each_step_is_done() -> None:
    kept = Kept(MemoryMachine(PLAIN))
    kept.up(DIRECT)
    # Saved with n steps to undo while n - 1 are done: a crash in between leaves the way back.
    assert kept.when_saved == [(0, 0), (1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5), (7, 6)]


def test_up_twice_changes_nothing_more_and_down_puts_back_the_first_values() -> None:
    machine = MemoryMachine(PLAIN)
    kept = Kept(machine)
    before = dict(machine.things)
    assert len(kept.up(DIRECT)) == 7
    assert kept.up(DIRECT) == []
    steps, left = kept.down("dr 192.0.2.1")
    assert left == ()
    assert len(steps) == 7
    assert {key: value for key, value in machine.things.items() if value} == before | {}
    assert kept.saved == Ledger()


def test_what_another_address_still_needs_stays() -> None:
    kept = Kept(MemoryMachine(PLAIN))
    kept.up(DIRECT)
    now = replace(PLAIN, sysctls={**SYSCTLS, "net/ipv4/conf/all/arp_ignore": "1"})
    kept.up(Wanted((OTHER,), Forwarding.DIRECT), now)
    steps, _ = kept.down("dr 192.0.2.1")
    assert steps == ["remove 192.0.2.1/32 from sfvip0"]
    steps, _ = kept.down("dr 192.0.2.2")
    assert steps[-1] == "set net/ipv4/conf/all/arp_ignore to 0"
    assert "remove the interface sfvip0" in steps


def test_a_failure_half_way_undoes_what_was_done() -> None:
    machine = MemoryMachine(PLAIN, refuse="address sfvip0 192.0.2.1")
    kept = Kept(machine)
    before = dict(machine.things)
    with pytest.raises(OperationError, match=r"^add 192.*: refused; nothing is changed$"):
        kept.up(DIRECT)
    assert {key: value for key, value in machine.things.items() if value} == before
    assert kept.saved == Ledger()


def test_a_failure_of_the_second_address_leaves_the_first() -> None:
    machine = MemoryMachine(PLAIN)
    kept = Kept(machine)
    kept.up(DIRECT)
    machine.refuse = "address sfvip0 192.0.2.2"
    with pytest.raises(OperationError):
        kept.up(Wanted((OTHER,), Forwarding.DIRECT))
    assert machine.holds(AddAddress("sfvip0", "192.0.2.1", 32))
    assert machine.holds(SetSysctl("net/ipv4/conf/all/arp_ignore", "1"))
    assert list(kept.saved.entries) == ["dr 192.0.2.1"]


def test_what_somebody_changed_meanwhile_is_left_and_told() -> None:
    machine = MemoryMachine(PLAIN)
    kept = Kept(machine)
    kept.up(DIRECT)
    machine.things["net/ipv4/conf/all/arp_ignore"] = "8"
    _, left = kept.down("dr 192.0.2.1")
    assert left == (
        "sysctl net/ipv4/conf/all/arp_ignore is not what was set here any more: left as it is",
    )
    assert machine.things["net/ipv4/conf/all/arp_ignore"] == "8"


def test_what_cannot_be_undone_now_is_tried_again_by_the_next_down() -> None:
    machine = MemoryMachine(PLAIN)
    kept = Kept(machine)
    kept.up(DIRECT)
    machine.refuse = "sysctl net/ipv4/conf/all/arp_ignore"
    assert kept.down("dr 192.0.2.1")[1] == ("set net/ipv4/conf/all/arp_ignore to 0: refused",)
    machine.refuse = ""
    assert kept.down()[0] == ["set net/ipv4/conf/all/arp_ignore to 0"]
    assert kept.saved == Ledger()


def test_a_plan_that_has_become_shorter_puts_the_rest_back() -> None:
    kept = Kept(MemoryMachine(PLAIN))
    kept.up(DIRECT)
    shorter = replace(PLAIN, interfaces=(LO, ETH0))
    assert kept.up(DIRECT, shorter) == ["set net/ipv4/conf/eth1/rp_filter to 0"]
    assert kept.up(DIRECT, shorter) == []


def test_nat_leads_back_through_the_director_and_down_restores_the_route() -> None:
    machine = MemoryMachine(PLAIN)
    machine.things["default IPv4"] = ("192.0.2.254", "eth0")
    kept = Kept(machine)
    kept.up(Wanted((), Forwarding.NAT, ip_address("192.0.2.5")))
    assert machine.things["default IPv4"] == ("192.0.2.5", "eth0")
    kept.down("nat gateway 192.0.2.5")
    assert machine.things["default IPv4"] == ("192.0.2.254", "eth0")


def test_two_gateways_cannot_both_be_the_way_back() -> None:
    kept = Kept(MemoryMachine(PLAIN))
    kept.up(Wanted((), Forwarding.NAT, ip_address("192.0.2.5")))
    with pytest.raises(OperationError, match=r"nat gateway 192\.0\.2\.5 needs this machine to"):
        kept.up(Wanted((), Forwarding.NAT, ip_address("192.0.2.6")))


HELD = replace(PLAIN, addresses=(*PLAIN.addresses, LocalAddress("eth0", "192.0.2.1", 24)))


@pytest.mark.parametrize(
    ("wanted", "situation", "message"),
    [
        (DIRECT, HELD, "192.0.2.1 is on eth0, which answers for it"),
        (
            Wanted((VIP,), Forwarding.NAT, ip_address("192.0.2.5")),
            HELD,
            "192.0.2.1 is on eth0: under NAT only the director has it",
        ),
        (Wanted((), Forwarding.NAT), PLAIN, "NAT needs --gateway"),
        (
            Wanted((), Forwarding.NAT, ip_address("198.51.100.1")),
            PLAIN,
            "gateway 198.51.100.1 is in no network that this machine is in",
        ),
        (
            Wanted((), Forwarding.NAT, ip_address("192.0.2.5"), "eth1"),
            PLAIN,
            "gateway 192.0.2.5 is in no network of eth1",
        ),
        (
            Wanted((), Forwarding.NAT, ip_address("192.0.2.10")),
            PLAIN,
            "gateway 192.0.2.10 is this machine",
        ),
        (
            Wanted((VIP,), Forwarding.TUNNEL),
            replace(PLAIN, kinds=frozenset(), interfaces=(LO,)),
            "no interface of a network is up",
        ),
        (
            Wanted((VIP,), Forwarding.TUNNEL),
            replace(PLAIN, interfaces=(LO,)),
            "no interface of a network is up",
        ),
        (
            Wanted((VIP,), Forwarding.DIRECT, interface="eth9"),
            PLAIN,
            "no network interface eth9; there are lo, eth0, eth1",
        ),
    ],
)
def test_what_cannot_work_is_refused(wanted: Wanted, situation: Situation, message: str) -> None:
    with pytest.raises(OperationError) as caught:
        plans(wanted, situation)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_every_step_survives_the_disk() -> None:
    for method in (Forwarding.DIRECT, Forwarding.TUNNEL):
        for situation in (PLAIN, replace(PLAIN, kinds=frozenset())):
            for steps in plans(Wanted((VIP, SIX), method), situation).values():
                assert tuple(from_json(to_json(step)) for step in steps) == steps
    for broken in (
        None,
        {"step": "Explode"},
        {"step": "SetMtu", "name": "eth0"},
        {"step": "SetMtu", "name": "eth0", "mtu": "1500"},
        {"step": "SetLink", "name": "eth0", "up": True, "more": 1},
    ):
        with pytest.raises(OperationError):
            from_json(broken)


def test_down_takes_the_entries_of_these_addresses_only() -> None:
    names = ["dr 192.0.2.1", "tun 192.0.2.1", "dr 2001:db8::1", "nat gateway 192.0.2.5", "firewall"]
    assert entries_of(names, (VIP,), "dr") == ("dr 192.0.2.1",)
    assert entries_of(names, (), "") == tuple(names[:4])
    assert entries_of(names, (SIX,), "tun") == ()


# --- what `check` says ---------------------------------------------------------------------------

QUIET = {**SYSCTLS, "net/ipv4/conf/all/arp_ignore": "1", "net/ipv4/conf/all/arp_announce": "2"}
TUNL0 = Interface("tunl0", "ipip", up=True, arp=False, mtu=1480)
ON_LO = (*PLAIN.addresses, LocalAddress("lo", "192.0.2.1", 32))
GOOD = replace(PLAIN, addresses=ON_LO, sysctls={**QUIET, "net/ipv4/conf/all/rp_filter": "0"})
TUNNELLED = replace(GOOD, interfaces=(LO, ETH0, ETH1, TUNL0))
TUN = Wanted((VIP,), Forwarding.TUNNEL)
NAT = Wanted((ip_address("203.0.113.1"),), Forwarding.NAT, ip_address("192.0.2.254"))


def said(wanted: Wanted, situation: Situation) -> list[str]:
    return [one.problem for one in advice.of_server(wanted, situation)]


def test_nothing_is_said_of_a_machine_that_is_right() -> None:
    assert said(DIRECT, GOOD) == []
    assert said(TUN, TUNNELLED) == []
    assert said(TUN, replace(GOOD, tunnels=("192.0.2.1",))) == []
    assert said(NAT, PLAIN) == []


@pytest.mark.parametrize(
    ("wanted", "situation", "problems"),
    [
        (DIRECT, replace(GOOD, addresses=PLAIN.addresses), ["192.0.2.1 is not local"]),
        (
            DIRECT,
            replace(GOOD, addresses=HELD.addresses),
            ["192.0.2.1 is on eth0, a network's interface"],
        ),
        (
            DIRECT,
            replace(GOOD, sysctls={**GOOD.sysctls, "net/ipv4/conf/all/arp_ignore": "0"}),
            [
                "eth0 answers ARP for the virtual address",
                "eth1 answers ARP for the virtual address",
            ],
        ),
        (
            DIRECT,
            replace(
                GOOD,
                sysctls={
                    **GOOD.sysctls,
                    "net/ipv4/conf/all/arp_announce": "0",
                    "net/ipv4/conf/eth1/arp_announce": "2",
                },
            ),
            ["eth0 tells neighbours that the virtual address is here"],
        ),
        (
            DIRECT,
            replace(GOOD, sysctls=QUIET),
            ["eth1 drops clients' packets that the director sends there"],
        ),
        (TUN, GOOD, ["there is no ipip interface"]),
        (
            TUN,
            replace(GOOD, interfaces=(LO, ETH0, ETH1, replace(TUNL0, mtu=1500))),
            ["the MTU of tunl0 is 1500, expected 1480 at most"],
        ),
        (
            TUN,
            replace(TUNNELLED, sysctls=QUIET, interfaces=(LO, ETH0, TUNL0)),
            ["tunl0 drops what it has taken out"],
        ),
        (TUN, replace(GOOD, interfaces=(LO, ETH0, replace(TUNL0, up=False))), ["tunl0 is down"]),
        (NAT, replace(PLAIN, defaults=()), ["there is no IPv4 default route"]),
        (
            replace(NAT, gateway=ip_address("192.0.2.5")),
            PLAIN,
            ["the default route is by 192.0.2.254, not 192.0.2.5"],
        ),
        (replace(NAT, gateway=None), PLAIN, ["the default route is by 192.0.2.254"]),
        (
            replace(NAT, vips=(ip_address("192.0.2.77"),)),
            PLAIN,
            ["eth0 is in the network of 192.0.2.77"],
        ),
    ],
)
def test_what_keeps_a_machine_from_serving_is_named(
    wanted: Wanted, situation: Situation, problems: list[str]
) -> None:
    assert said(wanted, situation) == problems
