"""The parts of a member's daemon that need no network: memory, errands, probes, judging a check."""

import json
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest

from standfest.adapters.linux.listening import Place
from standfest.config import share
from standfest.core.sharing.machine import Sharing
from standfest.daemons.sharing import checking
from standfest.daemons.sharing.checking import Router, Seen
from standfest.daemons.sharing.errands import Errands
from standfest.daemons.sharing.ledger import Ledger
from standfest.daemons.sharing.probes import Probes
from standfest.daemons.sharing.reading import Task, keys, load, own_name, unfit
from standfest.daemons.sharing.report import report
from standfest.model.errors import ConfigError
from standfest.model.keys import Key, Keyring, SignatureMethod
from standfest.model.sharing import Answering, Beat
from standfest.model.time import milliseconds, seconds
from standfest.wire.sharing import Errand, Verb

FILE = """address = "10.8.0.100/24"
interface = "eth0"
keepalive = 0.1
deadtime = 1
buckets = 192
authkeys = "keys"
[[members]]
name = "web1"
[[members]]
name = "web2.example.org"
[[members]]
name = "web3"
"""
KEYRING = Keyring(1, (Key(1, SignatureMethod.SHA1, b"secret"),))
MAC = bytes.fromhex("01005e080064")


def task(text: str = FILE, name: str = "web1") -> Task:
    return Task(name, share.parse(text, "web.toml")[0], KEYRING)


def machine() -> Sharing:
    """Return member web1 at 1 s, which has heard the seventh beat of web3's generation 5."""
    mine = task()
    made = Sharing(name="web1", generation=9, digest=mine.digest, settings=mine.file.settings)
    made.start(0, Answering(), 0, None)
    made.on_beat(seconds(1), Beat("web3", 5, 7, mine.digest))
    return made


# --- the file and the keys --------------------------------------------------------------------


def test_a_member_is_found_by_its_host_s_name_in_full_or_to_the_first_dot() -> None:
    file = task().file
    assert own_name(file, "WEB1") == "web1"
    assert own_name(file, "web2.example.org") == "web2.example.org"
    assert own_name(file, "web2") is None  # what --name says is meant as it is said
    assert own_name(file, "other") is None


def test_a_digest_has_all_that_must_be_the_same_and_nothing_else() -> None:
    plain = task().digest
    for added in ("seed = 1", 'mode = "sourceip"', 'established = "move"', 'no_quorum = "ignore"'):
        assert task(f"{added}\n{FILE}").digest != plain
    assert task(FILE.replace("deadtime = 1", "deadtime = 2")).digest != plain
    assert task(FILE.replace("10.8.0.100", "10.8.0.101")).digest != plain
    assert task(FILE.replace("buckets = 192", "buckets = 191")).digest != plain
    for same in (
        FILE.replace("keepalive = 0.1", "keepalive = 0.2"),
        FILE.replace('"web3"', '"web3"\nweight = 3'),
        FILE.replace("eth0", "eth1").replace("/24", "/25"),
        FILE + '[[members]]\nname = "web4"\n',
    ):
        assert task(same).digest == plain


def test_what_cannot_change_while_it_runs_is_named() -> None:
    assert unfit(task(), task(FILE.replace('"web3"', '"web3"\nweight = 3'))) == ""
    assert unfit(task(), task(FILE + '[[members]]\nname = "web4"\n')) == ""
    assert unfit(task(), task(FILE.replace("192", "256"))) == (
        "buckets would be 256; expected buckets = 192 in the file, as long as members share by them"
    )
    only = "only members, weights, keepalive and keys can change while it runs"
    assert unfit(task(), task("seed = 1\n" + FILE)) == only
    assert unfit(task(), task(FILE.replace("eth0", "eth1"))) == only
    assert unfit(task(), task("port = 1\n" + FILE)) == only
    assert unfit(task(), task(name="web3")) == "this member would be web3; it is web1"


def test_keys_that_others_may_read_are_refused_and_a_crc_is_warned_of(tmp_path: Path) -> None:
    path, file = tmp_path / "keys", tmp_path / "web.toml"
    file.write_text(FILE)
    path.write_text("auth 1\n1 crc\n")
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="mode is 0640; expected 0600: it holds secrets"):
        keys(path)
    path.chmod(0o600)
    loaded, warnings = load(file, "web1")
    assert loaded.keyring.signing.method is SignatureMethod.CRC
    assert [str(one) for one in warnings] == [
        f"{path}: warning: the active key is a crc: whoever is on the network can say anything; "
        "expected sha256 with a secret"
    ]
    path.unlink()
    with pytest.raises(ConfigError) as caught:
        load(file, "nobody")
    assert str(caught.value).splitlines() == [
        f'{file}: no member is called "nobody"; expected --name with one of web1, '
        "web2.example.org, web3",
        f"{path}: No such file or directory; expected the keys that sign beats",
    ]


# --- the ledger -------------------------------------------------------------------------------


def test_votes_and_drain_outlive_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    first = Ledger(path)
    assert first.read() == (None, False)
    first.vote({"web1": 0b101, "web3": 1 << 4095})
    first.drain(on=True)
    second = Ledger(path)
    assert second.read() == ({"web1": 0b101, "web3": 1 << 4095}, True)
    second.vote({})
    assert Ledger(path).read() == ({}, True)
    second.forget()
    assert Ledger(path).read() == (None, False)


def test_what_another_start_of_the_machine_wrote_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    Ledger(path).vote({"web1": 1})
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "boot": "another"}))
    assert Ledger(path).read() == (None, False)
    for damaged in ("", "{", "[]", '{"boot": 1}', json.dumps({**said, "votes": {"web1": "x"}})):
        path.write_text(damaged)
        assert Ledger(path).read() == (None, False)


def test_old_votes_are_not_left_where_new_ones_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    ledger = Ledger(path)
    ledger.vote({"web1": 1})
    (tmp_path / "votes.new").mkdir()  # in the way of what is written
    ledger.vote({"web1": 2})
    assert not path.exists()


# --- errands ----------------------------------------------------------------------------------


def test_an_errand_is_done_if_it_names_a_beat_of_ours_of_the_last_deadtime() -> None:
    errands = Errands("web1", machine(), lambda _errand: None)
    for number, at in ((1, 0), (2, milliseconds(500)), (3, seconds(1))):
        errands.note(at, Beat("web1", 9, number, 0))
    asked = Errand("web3", "web1", 9, 2, Verb.DRAIN)
    assert errands.is_for_us(seconds(1), asked)
    assert errands.is_for_us(milliseconds(1500), asked)  # said at 500 ms, deadtime 1 s
    assert not errands.is_for_us(milliseconds(1501), asked)
    assert not errands.is_for_us(seconds(1), Errand("web3", "web1", 8, 2, Verb.DRAIN))
    assert not errands.is_for_us(seconds(1), Errand("web3", "web1", 9, 4, Verb.DRAIN))
    assert not errands.is_for_us(seconds(1), Errand("web3", "web2.example.org", 9, 2, Verb.DRAIN))
    assert not errands.is_for_us(seconds(1), Errand("stranger", "web1", 9, 2, Verb.DRAIN))


def test_an_errand_is_repeated_until_it_is_seen_to_be_done() -> None:
    sent: list[Errand] = []
    answers: list[tuple[bool, str]] = []
    errands = Errands("web1", machine(), sent.append)
    errands.begin(seconds(1), Verb.DRAIN, "web3", lambda *answer: answers.append(answer))
    wanted = Errand("web1", "web3", 5, 7, Verb.DRAIN)
    assert (sent, errands.deadline()) == ([wanted], milliseconds(1100))
    errands.on_timer(milliseconds(1100))
    assert sent == [wanted, wanted]
    errands.on_beat(Beat("web3", 5, 8, 0))
    assert answers == []
    errands.on_beat(Beat("web3", 5, 9, 0, draining=True))
    assert (answers, errands.deadline()) == ([(True, "web3: drain")], None)


def test_an_errand_to_whom_does_not_hear_us_is_given_up_after_a_deadtime() -> None:
    answers: list[tuple[bool, str]] = []
    errands = Errands("web1", machine(), lambda _errand: None)

    def note(*answer: object) -> None:
        answers.append(answer)  # type: ignore[arg-type]

    errands.begin(seconds(1), Verb.DRAIN, "web3", note)
    for tenth in range(11, 21):
        errands.on_timer(milliseconds(100 * tenth))
    assert answers == [(False, "web3 does not do it; expected it to hear us")]
    errands.begin(seconds(2), Verb.DRAIN, "web2.example.org", note)
    errands.begin(seconds(2), Verb.DRAIN, "web9", note)
    assert [text for _, text in answers[1:]] == [
        "web2.example.org is not heard; expected it to be here",
        'no member "web9"; expected one of web1, web2.example.org, web3',
    ]


def test_a_probe_names_whoever_has_not_answered_three_times() -> None:
    said: list[Errand] = []
    by_mac: list[Errand] = []
    answers: list[tuple[bool, str]] = []
    probes = Probes("web1", machine(), said.append, by_mac.append)
    for heard in (False, True):
        answers.clear()
        by_mac.clear()
        probes.begin(seconds(1), lambda *answer: answers.append(answer))
        probes.on_timer(seconds(1))
        if heard:
            probes.on_heard(Errand("web3", "web1", 9, 1, Verb.HEARD))
        for quarter in range(5, 9):
            probes.on_timer(milliseconds(250 * quarter))
        assert len(by_mac) == (1 if heard else 3)
        assert answers == [(True, "" if heard else "web3")]
        assert probes.deadline() is None
    probes.on_probe(Errand("web3", "web1", 9, 1, Verb.PROBE))
    assert said == [Errand("web1", "web3", 5, 7, Verb.HEARD)]


# --- status and check -------------------------------------------------------------------------


def test_a_report_has_shares_by_weight_and_by_what_is_answered() -> None:
    mine = task(FILE.replace('"web3"', '"web3"\nweight = 2'))
    made = Sharing(name="web1", generation=1, digest=mine.digest, settings=mine.file.settings)
    made.start(0, Answering(frozenset(range(48))), seconds(1), None)
    found = report(milliseconds(400), mine, made)
    # 48 of 192 buckets are 25 %, and so is a weight of 1 of 4; 1 s of lease, 0.4 s of it gone.
    web1 = found["members"][0]
    assert (web1["share_percent"], web1["weight_percent"], web1["here"]) == (25.0, 25.0, True)
    assert int(web1["holds"], 16).bit_count() == 48
    assert (found["lease_left_ms"], found["unanswered"]) == (600, 144)
    assert found["members"][2]["weight_percent"] == 50.0
    assert not found["members"][1]["alive"]


def seen(**changes: object) -> Seen:
    """Return what a member sees where all is right, but for some changes."""
    members = [{"name": "web1", "alive": True, "same_layout": True}]
    right: dict[str, object] = {
        "status": {"members": members, "unanswered": 0},
        "deaf": (),
        "tracking": {"nf_conntrack_max": 100, "nf_conntrack_count": 5, "nf_conntrack_tcp_loose": 0},
        "listening": frozenset({place("0.0.0.0", 80)}),
    }
    return Seen(True, **{**right, **changes})  # type: ignore[arg-type]


def place(address: str, port: int) -> Place:
    return ("tcp", ip_address(address), port)


def judged(found: Seen, *ports: int, text: str = FILE) -> list[str]:
    return [str(one) for one in checking.judge(task(text).file, found, ports)]


def test_where_all_is_right_nothing_is_found() -> None:
    assert judged(seen()) == []
    assert judged(seen(), 80) == []
    router = Router(IPv4Address("10.8.0.1"), b"router", True, MAC)
    assert judged(seen(routers=(router,))) == []


ROUTER = IPv4Address("10.8.0.1")
AT, OTHER = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")


@pytest.mark.parametrize(
    ("changes", "begins"),
    [
        ({"status": None}, "warning: no member runs here"),
        ({"deaf": ("web3",)}, "web3 does not hear 01:00:5e:08:00:64"),
        (
            {"claimed": {ip_address("10.8.0.100"): frozenset({MAC, OTHER})}},
            "10.8.0.100 is at 02:00:00:00:00:02, too",
        ),
        ({"routers": (Router(ROUTER),)}, "warning: router 10.8.0.1 answers nothing"),
        ({"routers": (Router(ROUTER, AT, False),)}, "warning: router 10.8.0.1 answers nothing"),
        ({"routers": (Router(ROUTER, AT, True),)}, "router 10.8.0.1 refuses 01:00:5e:08:00:64"),
        (
            {"routers": (Router(ROUTER, AT, True, OTHER),)},
            "router 10.8.0.1 sends to 02:00:00:00:00:02",
        ),
        ({"tracking": {}}, "connections are not tracked"),
        (
            {"tracking": {"nf_conntrack_max": 100, "nf_conntrack_count": 91}},
            "warning: 91 of 100 connections are tracked",
        ),
        (
            {"tracking": {"nf_conntrack_max": 100, "nf_conntrack_tcp_loose": 1}},
            "nf_conntrack_tcp_loose is on",
        ),
        ({"listening": frozenset()}, "nothing listens at 10.8.0.100 (all clients"),
        (
            {"listening": frozenset({place("0.0.0.0", 22), place("10.8.0.1", 80)})},
            "warning: tcp port 80 is listened at 10.8.0.1, not at 10.8.0.100",
        ),
        ({"troubles": ("eth0: no",)}, "warning: eth0: no"),
    ],
)
def test_each_trap_is_named(changes: dict[str, object], begins: str) -> None:
    found = judged(seen(**changes))
    assert len(found) == 1
    assert found[0].startswith(begins)


def test_services_are_looked_for_by_port_and_version() -> None:
    both = FILE.replace('"10.8.0.100/24"', '["10.8.0.100/24", "fd08::100/64"]')
    four = seen(listening=frozenset({place("0.0.0.0", 80), place("10.8.0.100", 81)}))
    assert judged(four, 81) == []
    assert judged(four, 80, text=both) == [
        "nothing listens at fd08::100 port 80 (clients are refused)"
    ]
    # By default a socket at :: takes IPv4 in, too.
    assert judged(seen(listening=frozenset({place("::", 80)})), 80, text=both) == []


def test_an_interface_that_is_not_there_is_all_that_is_said() -> None:
    assert judged(Seen(False)) == ["no interface eth0 (the address cannot be there)"]
