"""A balancer's whole life in virtual time: what it forwards, and what it tells."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from standfest.adapters.memory.balancer import MemoryBackend
from standfest.core.health.effects import AbandonProbe, BeginProbe
from standfest.model.balancing import (
    AddressService,
    BalancerSettings,
    BfdCheck,
    Checker,
    FileCheck,
    MiscCheck,
    Persistence,
    Protocol,
    RealServer,
    SorryServer,
    SyncDaemon,
    TcpCheck,
    Timing,
    VirtualService,
)
from standfest.model.director import GlobalSettings, MailSettings, TrackFile
from standfest.model.errors import OperationError
from standfest.model.forwarding import (
    Change,
    Counters,
    DeleteDestination,
    DestinationKey,
    ServiceKey,
    SetDestination,
    service_key,
)
from standfest.model.time import Instant, milliseconds, seconds
from standfest.model.vrrp import Command
from standfest.ports.probes import Outcome
from standfest.runtime.balancer.adoption import Ledger
from standfest.runtime.balancer.assignment import Assignment
from standfest.runtime.balancer.balancing import Balancing
from standfest.runtime.balancer.effects import (
    Apply,
    Count,
    Effects,
    Fifo,
    Mail,
    Run,
    Say,
    Share,
    Synchronise,
)
from standfest.runtime.balancer.places import find

MAIL, WEB = IPv4Address("123.123.123.1"), IPv4Address("123.123.123.2")
NOTHING = Ledger()
GOOD, REFUSED = Outcome(True, "connected"), Outcome(False, "connection refused")
TCP = TcpCheck(timing=Timing(interval=seconds(6), timeout=seconds(3), warmup=seconds(6)))


def server(number: int, port: int = 25, *checkers: Checker, **more: object) -> RealServer:
    return RealServer(
        IPv4Address(f"192.168.0.{number}"),
        port,
        checkers=checkers or (TCP,),
        **more,  # type: ignore[arg-type]
    )


def service(*servers: RealServer, ip: IPv4Address = MAIL, port: int = 25, **more: object):  # type: ignore[no-untyped-def]
    settings = VirtualService(
        AddressService(ip, port), scheduler="rr", servers=servers, quorum_up=Command(("up",)),
        quorum_down=Command(("down",)),
    )  # fmt: skip
    return replace(settings, **more)  # type: ignore[arg-type]


class World:
    """A balancer, a data plane that remembers, and servers that answer as they are told."""

    def __init__(self, *services: VirtualService, **more: object) -> None:
        self.now: Instant = 0
        self.backend = MemoryBackend()
        self.dead: set[str] = set()  # servers that refuse, as in the names of checkers
        self.silent: set[str] = set()
        self.outcome = GOOD
        self.told: list[str] = []
        self.runs: list[str] = []
        self.synchronised: Synchronise | None = None
        self.open: dict[str, int] = {}
        self.give = BalancerSettings(services=services)
        self.assignment = Assignment(self.give, **more)  # type: ignore[arg-type]
        self.machine = Balancing(self.assignment)

    def start(self, ledger: Ledger = NOTHING) -> None:
        self.perform(self.machine.start(self.now, self.backend.read(), ledger))

    def restart(self, ledger: Ledger = NOTHING) -> None:
        """The daemon has died: another one finds what the kernel has."""
        self.open.clear()
        self.machine = Balancing(self.assignment)
        self.start(ledger)

    def reload(self, *services: VirtualService) -> None:
        self.assignment = replace(self.assignment, balancer=BalancerSettings(services=services))
        self.perform(self.machine.reload(self.now, self.assignment))

    def perform(self, effects: Effects) -> None:
        for effect in effects:
            match effect:
                case Apply(changes):
                    self.apply(changes)
                case BeginProbe(name, number):
                    self.open[name] = number
                case AbandonProbe(name, _):
                    self.open.pop(name)
                case Count():
                    self.perform(self.machine.counted(self.now, self.backend.counters()))
                case Share(shares):
                    self.backend.share(shares)
                case Synchronise():
                    self.synchronised = effect
                case Say(text):
                    self.told.append(text)
                case Fifo(line):
                    self.told.append(f"fifo {line}")
                case Mail(subject, _):
                    self.told.append(f"mail {subject}")
                case Run(key, command):
                    self.runs.append(f"{key}: {command.words[0]}")

    def apply(self, changes: tuple[Change, ...]) -> None:
        try:
            self.backend.apply(changes)
        except OperationError as error:
            actual = self.backend.read()
            self.perform(self.machine.refused(self.now, str(error), actual))

    def run_for(self, duration: int) -> None:
        """Let time pass; every probe is answered 1 ms after it began."""
        end = self.now + duration
        while True:
            for name, number in list(self.open.items()):
                if not any(who in name for who in self.silent):
                    del self.open[name]
                    bad = any(who in name for who in self.dead)
                    self.now += milliseconds(1)
                    found = REFUSED if bad else self.outcome
                    self.perform(self.machine.on_outcome(self.now, name, number, found))
            at = self.machine.deadline()
            if at is None or at > end:
                break
            self.now = max(self.now, at)
            self.perform(self.machine.on_timer(self.now))
        self.now = max(self.now, end)

    def weights(self, ip: IPv4Address = MAIL, port: int = 25) -> dict[str, int]:
        found = self.backend.table[service_key(Protocol.TCP, ip, port)]
        return {str(key): value.weight for key, value in found.destinations.items()}


def mail_key(port: int = 25) -> ServiceKey:
    return service_key(Protocol.TCP, MAIL, port)


def key(number: int, port: int = 25) -> DestinationKey:
    return DestinationKey(IPv4Address(f"192.168.0.{number}"), port)


def test_a_dead_server_leaves_within_a_loop_and_is_back_a_loop_after_its_repair() -> None:
    world = World(service(server(101), server(102)))
    world.start()
    assert world.weights() == {"192.168.0.101:25": 1, "192.168.0.102:25": 1}
    world.run_for(seconds(20))
    world.dead.add("192.168.0.101")
    world.backend.log.clear()
    # Its checks are at 0, 6, 12, 18, 24 s; the second attempt is 1 s after the failure at 24 s.
    world.run_for(seconds(4) + milliseconds(900))
    assert world.weights() == {"192.168.0.101:25": 1, "192.168.0.102:25": 1}
    world.run_for(milliseconds(150))
    assert world.backend.log == [DeleteDestination(mail_key(), key(101))]
    world.dead.clear()
    world.run_for(seconds(6))  # it is checked at 30 s
    assert world.weights() == {"192.168.0.101:25": 1, "192.168.0.102:25": 1}


def test_a_change_is_told_after_it_is_made() -> None:
    mail = MailSettings(recipients=("admin@example.org",))
    one = server(101, 25, notify_down=Command(("/bin/down",)), smtp_alert=True)
    world = World(
        service(one, quorum_down=Command(("/bin/lost",)), smtp_alert=True),
        globals=GlobalSettings(router_id="director1", mail=mail),
    )
    world.start()
    world.told.clear(), world.runs.clear()  # type: ignore[func-returns-value]
    world.dead.add("192.168.0.101")
    world.run_for(seconds(2))
    assert world.weights() == {}
    who, where = "[192.168.0.101]:tcp:25", "[123.123.123.1]:tcp:25"
    assert world.told == [
        f"TCP_CHECK of {who} of VS {where} failed: connection refused",
        f"Removing service {who} from VS {where}: connection refused",
        f"fifo RS {who} {where} DOWN",
        f"mail [director1] Real server {who} of virtual server {where} is DOWN",
        f"Lost quorum for VS {where}: weight 0, quorum 1",
        f"fifo VS {where} DOWN",
        f"mail [director1] Virtual server {where} has lost its quorum",
    ]
    assert world.runs == [f"RS {who} {where}: /bin/down", f"VS {where}: /bin/lost"]


def test_a_server_that_never_answers_is_given_up_when_its_time_is_over() -> None:
    world = World(service(server(101), server(102)))
    world.start()
    world.silent.add("192.168.0.101")
    # First probe at 0 s, 3 s are up at 3 s, second attempt at 4 s, given up at 7 s.
    world.run_for(milliseconds(6900))
    assert len(world.weights()) == 2
    world.run_for(milliseconds(200))
    assert world.weights() == {"192.168.0.102:25": 1}


def test_a_successor_adopts_the_table_and_changes_nothing() -> None:
    world = World(service(server(101), server(102)), service(server(201, 80), ip=WEB, port=80))
    world.start()
    world.dead.add("192.168.0.101")
    world.run_for(seconds(10))
    world.backend.log.clear(), world.runs.clear()  # type: ignore[func-returns-value]
    world.restart()
    assert world.backend.log == []
    assert world.weights() == {"192.168.0.102:25": 1}  # the dead one does not come back unchecked
    assert world.runs == []
    world.run_for(seconds(20))
    assert world.backend.log == []
    world.dead.clear()
    world.run_for(seconds(6))
    assert world.weights() == {"192.168.0.101:25": 1, "192.168.0.102:25": 1}


def test_a_server_that_was_being_drained_stays_so_over_a_restart() -> None:
    world = World(service(server(101), server(102)))
    world.start()
    place = world.machine.balancer, "192.168.0.101"
    world.perform(world.machine.drain(world.now, find(*place), None))
    assert world.weights() == {"192.168.0.101:25": 0, "192.168.0.102:25": 1}
    for ledger in (world.machine.ledger(), Ledger()):
        world.restart(ledger)
        world.run_for(seconds(12))
        assert world.weights() == {"192.168.0.101:25": 0, "192.168.0.102:25": 1}
    world.perform(world.machine.undrain(world.now, [(0, 0)]))
    assert world.weights() == {"192.168.0.101:25": 1, "192.168.0.102:25": 1}


def test_draining_ends_with_the_last_connection() -> None:
    world = World(service(server(101), server(102)))
    world.start()
    world.backend.carried = {(mail_key(), key(101)): Counters(active=3)}
    world.perform(world.machine.drain(world.now, [(0, 0)], None))
    world.run_for(seconds(5))
    assert world.machine.draining == {(0, 0): False}
    world.backend.carried = {(mail_key(), key(101)): Counters(active=0, inactive=9)}
    world.told.clear()
    world.run_for(milliseconds(1001))
    assert world.machine.draining == {(0, 0): True}
    assert world.told == ["Drained [192.168.0.101]:tcp:25 of VS [123.123.123.1]:tcp:25"]


def test_draining_ends_when_its_time_is_up_and_says_what_is_left() -> None:
    world = World(service(server(101), server(102)))
    world.start()
    world.backend.carried = {(mail_key(), key(101)): Counters(active=3)}
    world.perform(world.machine.drain(world.now, [(0, 0)], world.now + seconds(4)))
    world.told.clear()
    world.run_for(seconds(3))
    assert world.told == []
    world.run_for(seconds(2))
    assert world.told[0].endswith("[123.123.123.1]:tcp:25, 3 connections are left")


def test_a_reload_touches_only_what_differs() -> None:
    world = World(service(server(101), server(102)), service(server(201, 80), ip=WEB, port=80))
    world.start()
    world.dead.add("192.168.0.101")
    world.run_for(seconds(10))
    world.backend.log.clear()
    world.reload(
        service(server(201, 80), ip=WEB, port=80), service(server(101), server(102, weight=5))
    )
    # The dead one is known to be dead although its service is another position now.
    changed = world.backend.log
    assert [type(change) for change in changed] == [SetDestination]
    assert world.weights() == {"192.168.0.102:25": 5}
    world.reload(service(server(201, 80), ip=WEB, port=80))
    assert list(world.backend.table) == [service_key(Protocol.TCP, WEB, 80)]


def test_a_checker_that_is_no_longer_there_has_no_say() -> None:
    other = MiscCheck(Command(("/bin/check",)), Timing(interval=seconds(6), warmup=0))
    world = World(service(server(101, 25, TCP, other), server(102)))
    world.start()
    world.dead.add("MISC_CHECK")
    world.run_for(seconds(8))
    assert world.weights() == {"192.168.0.102:25": 1}
    world.reload(service(server(101, 25, TCP), server(102)))
    assert world.weights() == {"192.168.0.101:25": 1, "192.168.0.102:25": 1}


def test_an_alpha_server_comes_when_it_has_answered() -> None:
    careful = replace(TCP, timing=replace(TCP.timing, alpha=True))
    world = World(service(server(101, 25, careful), server(102, 25, careful)))
    world.start()
    assert world.weights() == {}
    assert world.told == ["VS [123.123.123.1]:tcp:25 begins without its quorum of 1"]
    assert world.runs == []
    world.run_for(seconds(4))  # the second one's first check is spread to 3 s
    assert world.weights() == {"192.168.0.101:25": 1, "192.168.0.102:25": 1}
    # A restart of the daemon does not take servers out that are at work, alpha or not, and
    # a failure counts as it would have.
    world.restart()
    assert world.weights() == {"192.168.0.101:25": 1, "192.168.0.102:25": 1}
    world.dead.add("192.168.0.101")
    world.run_for(seconds(8))
    assert world.weights() == {"192.168.0.102:25": 1}


def test_an_alpha_server_that_does_not_answer_is_told_of_when_it_has_been_checked() -> None:
    careful = replace(TCP, timing=replace(TCP.timing, alpha=True))
    world = World(service(server(101, 25, careful)))
    world.start()
    world.dead.add("192.168.0.101")
    world.run_for(seconds(20))
    assert world.told[1:] == [
        "Removing service [192.168.0.101]:tcp:25 from VS [123.123.123.1]:tcp:25: "
        "connection refused",
        "fifo RS [192.168.0.101]:tcp:25 [123.123.123.1]:tcp:25 DOWN",
    ]


def test_the_sorry_server_replaces_servers_and_yields_to_them() -> None:
    sorry = SorryServer(IPv4Address("192.168.0.9"), 25)
    world = World(service(server(101), sorry_server=sorry))
    world.start()
    world.dead.add("192.168.0.101")
    world.run_for(seconds(8))
    assert world.weights() == {"192.168.0.9:25": 1}
    assert any("Adding sorry server [192.168.0.9]:tcp:25 to VS" in line for line in world.told)
    world.dead.clear()
    world.run_for(seconds(8))
    assert world.weights() == {"192.168.0.101:25": 1}


def test_checks_rest_while_the_address_is_elsewhere() -> None:
    world = World(service(server(101), suspend=True), service(server(201, 80), ip=WEB, port=80))
    world.start()
    world.perform(world.machine.on_addresses(world.now, frozenset()))
    world.dead.add("192.168.0.101")
    world.run_for(seconds(30))
    assert world.weights() == {"192.168.0.101:25": 1}
    world.perform(world.machine.on_addresses(world.now, frozenset([MAIL])))
    world.run_for(seconds(8))
    assert world.weights() == {}


def test_connections_are_sent_by_whoever_is_active() -> None:
    sync = SyncDaemon("eth1", "mail_vip")
    world = World(service(server(101)), routers=(("mail_vip", 51),))
    give = replace(world.give, sync_daemon=sync)
    world.assignment = replace(world.assignment, balancer=give)
    world.restart()
    assert world.synchronised is None  # a successor does not stop what may be right
    world.perform(world.machine.on_router("mail_vip", active=False))
    assert world.synchronised == Synchronise(sends=False, receives=True, id=51)
    world.perform(world.machine.on_router("mail_vip", active=True))
    assert world.synchronised == Synchronise(sends=True, receives=False, id=51)
    world.synchronised = None
    world.perform(world.machine.reload(world.now, world.assignment))
    assert world.synchronised == Synchronise(sends=True, receives=False, id=51)  # a key may be new
    world.perform(world.machine.stop(world.now))
    assert world.synchronised == Synchronise(sends=False, receives=False, id=None)


def test_what_the_kernel_refuses_is_tried_again() -> None:
    world = World(service(server(101), server(102)))
    world.start()
    world.dead.add("192.168.0.101")
    world.backend.refuses = "remove 192.168.0.101:25: Cannot allocate memory"
    world.run_for(seconds(2))
    assert len(world.weights()) == 2
    world.backend.refuses = ""
    world.run_for(seconds(5))
    assert world.weights() == {"192.168.0.102:25": 1}


def test_the_end_removes_what_is_ours_and_only_that() -> None:
    other = service(server(7), port=99)
    world = World(other)
    world.start()
    strangers = dict(world.backend.table)
    world.machine = Balancing(Assignment(BalancerSettings(services=(service(server(101)),))))
    world.start()
    assert len(world.backend.table) == 2
    world.perform(world.machine.stop(world.now))
    assert world.backend.table == strangers
    world.machine = Balancing(Assignment(BalancerSettings(services=(service(server(101)),))))
    world.start()
    world.machine.keep = True
    world.perform(world.machine.stop(world.now))
    assert len(world.backend.table) == 2


def test_omega_tells_of_the_end() -> None:
    one = server(101, 25, notify_down=Command(("rs_down",)))
    for omega, expected in ((False, []), (True, ["rs_down", "down"])):
        world = World(service(one, omega=omega))
        world.start()
        world.runs.clear()
        world.perform(world.machine.stop(world.now))
        assert [run.rpartition(" ")[2] for run in world.runs] == expected


def test_a_service_that_has_gone_from_the_configuration_is_removed_by_whoever_starts_next() -> None:
    world = World(service(server(101)), service(server(7), port=99))
    world.start()
    ledger = world.machine.ledger()
    world.assignment = Assignment(BalancerSettings(services=(service(server(101)),)))
    world.restart()  # without the ledger it might be anybody's
    assert len(world.backend.table) == 2
    world.restart(ledger)
    assert list(world.backend.table) == [mail_key()]


@pytest.mark.parametrize(
    ("checker", "value", "weight"),
    [
        (FileCheck("load", 2), 3, 7),  # 1 + 2 x 3
        (FileCheck("load", 2, reverse=True), 3, 0),  # 1 - 2 x 3 is not less than nothing
        (FileCheck("load"), 3, 4),  # 1 + 1 x 3, as the file's own weight says
        (FileCheck("load", 0), 3, None),  # weight 0: any number but 0 is a failure
        (FileCheck("load", 0), 0, 1),
    ],
)
def test_a_tracked_file_moves_the_weight(
    checker: FileCheck, value: int, weight: int | None
) -> None:
    world = World(service(server(101, 25, checker), server(102)), files=(TrackFile("load", "/f"),))
    world.start()
    world.perform(world.machine.on_file(world.now, "load", value))
    assert world.weights().get("192.168.0.101:25") == weight


def test_a_dynamic_program_sets_the_weight() -> None:
    misc = MiscCheck(Command(("c",)), Timing(interval=seconds(6), warmup=0), dynamic=True)
    world = World(service(server(101, 25, misc), server(102)))
    world.outcome = Outcome(True, "exit status 12", weight=10)
    world.start()
    world.run_for(seconds(1))
    assert world.weights() == {"192.168.0.101:25": 10, "192.168.0.102:25": 1}


def test_a_lost_session_takes_its_server_out_at_once() -> None:
    world = World(service(server(101, 25, BfdCheck("peer")), server(102)))
    world.start()
    world.perform(world.machine.on_session(world.now, "peer", up=False))
    assert world.weights() == {"192.168.0.102:25": 1}
    world.reload(service(server(101, 25, BfdCheck("peer")), server(102), port=26))
    assert world.weights(port=26) == {"192.168.0.102:25": 1}  # known although it is new


def test_a_server_that_comes_back_rises_to_its_weight() -> None:
    world = World(service(server(101, weight=50), server(102, weight=50)))
    slow = replace(world.give, slow_start=seconds(10))
    world.assignment = replace(world.assignment, balancer=slow)
    world.restart()
    assert world.weights()["192.168.0.101:25"] == 50  # whoever begins does not come back
    world.dead.add("192.168.0.101")
    world.run_for(seconds(8))
    world.dead.clear()
    # It failed at 0 and 1 s, and at 7 s; it answers at 13 s: 50 x 1/10.
    world.run_for(seconds(5) + milliseconds(500))
    assert world.weights() == {"192.168.0.101:25": 5, "192.168.0.102:25": 50}
    world.run_for(seconds(4))  # 50 x 5/10
    assert world.weights() == {"192.168.0.101:25": 25, "192.168.0.102:25": 50}
    world.run_for(seconds(6))
    assert world.weights() == {"192.168.0.101:25": 50, "192.168.0.102:25": 50}


def test_every_failure_is_logged_where_all_are_to_be() -> None:
    world = World(service(server(101), server(102)))
    everything = replace(world.give, log_all_failures=True)
    world.assignment = replace(world.assignment, balancer=everything)
    world.restart()
    world.dead.add("192.168.0.101")
    world.run_for(seconds(8))
    fails = [line for line in world.told if " fails: " in line]
    name = "TCP_CHECK of [192.168.0.101]:tcp:25 of VS [123.123.123.1]:tcp:25"
    assert fails == [
        f"{name} fails: connection refused; 1 more before it counts",
        f"{name} fails: connection refused",
        f"{name} fails: connection refused",
    ]  # at 0, 1 and 7 s


def test_persistence_is_part_of_the_service() -> None:
    world = World(service(server(101), persistence=Persistence(seconds(50))))
    world.start()
    assert world.backend.table[mail_key()].options.timeout == 50
