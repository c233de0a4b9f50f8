"""The file of `standfest share`: its defaults, and every mistake in one exact line."""

from ipaddress import ip_interface
from pathlib import Path

import pytest

from standfest.adapters.linux.sharing.selection import limits
from standfest.config import share
from standfest.model.errors import ConfigError
from standfest.model.sharefile import ShareFile
from standfest.model.sharing import (
    Established,
    HashMode,
    Layout,
    Member,
    NoQuorum,
    SharedAddress,
    SharingSettings,
    Target,
)
from standfest.model.time import milliseconds, seconds

SHORT = """\
address = "10.8.0.100/24"
interface = "eth0"

[[members]]
name = "Web1"
[[members]]
name = "web2"
weight = 2
[[members]]
name = "web3"
"""
LONG = """\
name = "shop"
address = ["fd00::1234/64", "10.8.0.100/24"]
interface = "eth0"  # of the clients
mode = "sourceip"
mac = "02-00-5E-00-00-64"
seed = 4294967295
buckets = 100
established = "move"
no_quorum = "ignore"
keepalive = "50ms"
deadtime = 0.5
port = 7000
authkeys = "keys"
target = "nftables"
realtime = false
members = [{name = "a", address = "10.8.0.1"}, {name = "b", address = "10.8.0.2", weight = 0}]
"""


def test_a_short_file_has_all_defaults() -> None:
    file, warnings = share.parse(SHORT, "/etc/standfest/Web-shop.toml")
    # 3 members x 64 buckets; 10.8.0.100: low 23 bits are 08:00:64.
    layout = Layout(HashMode.SOURCE_IP_PORT, 192, 0)
    members = (Member("web1", 1), Member("web2", 2), Member("web3", 1))
    assert file == ShareFile(
        SharedAddress(
            "web_shop",
            (ip_interface("10.8.0.100/24"),),
            "eth0",
            bytes.fromhex("01005e080064"),
            layout,
            Established.STAY,
        ),
        SharingSettings(members, layout, milliseconds(200), seconds(2), NoQuorum.STOP),
        Target.AUTO,
        6942,
        "/etc/ha.d/authkeys",
        (),
    )
    assert warnings == ()


def test_everything_can_be_said_and_what_may_surprise_is_warned_of() -> None:
    file, warnings = share.parse(LONG, "f.toml")
    assert file.shared.name == "shop"
    assert [str(one) for one in file.shared.addresses] == ["fd00::1234/64", "10.8.0.100/24"]
    assert file.shared.mac == bytes.fromhex("02005e000064")
    assert file.shared.layout == Layout(HashMode.SOURCE_IP, 100, 0xFFFFFFFF)
    assert file.shared.established is Established.MOVE
    assert file.settings.no_quorum is NoQuorum.IGNORE
    assert (file.settings.keepalive, file.settings.deadtime) == (50_000_000, 500_000_000)
    assert file.settings.members == (Member("a", 1), Member("b", 0))
    assert (file.heartbeats, file.port, file.authkeys) == (("10.8.0.1", "10.8.0.2"), 7000, "keys")
    assert (file.target, file.realtime) == (Target.NFTABLES, False)
    assert [str(warning) for warning in warnings] == [
        "f.toml:5: warning: mac 02:00:5e:00:00:64 is no group's; "
        "expected a network that floods it to all members",
        'f.toml:9: warning: no_quorum = "ignore": where beats are lost but clients still reach '
        "both sides, both answer",
    ]


@pytest.mark.parametrize("target", Target)
def test_defaults_suit_what_each_target_can(target: Target) -> None:
    can = limits(target)
    text = f'target = "{target.value}"\n{SHORT}'
    file, warnings = share.parse(text, "f.toml")
    assert file.shared.layout.buckets == min(192, can.buckets)
    assert file.shared.layout.mode in can.modes
    assert [warning.line for warning in warnings] == ([] if can.leases else [1])
    with pytest.raises(ConfigError) as caught:
        share.parse(f"buckets = {can.buckets + 1}\n{text}", "f.toml")
    assert str(caught.value) == (
        f"f.toml:1: buckets is {can.buckets + 1}; expected a number from 1 to {can.buckets}"
    )


def test_xt_cluster_hashes_the_source_address_only() -> None:
    text = f'target = "xt_cluster"\nmode = "sourceip-sourceport"\n{SHORT}'
    with pytest.raises(ConfigError) as caught:
        share.parse(text, "f.toml")
    assert str(caught.value) == 'f.toml:2: mode is "sourceip-sourceport"; expected sourceip'


def test_the_example_can_be_used() -> None:
    path = Path(__file__).parents[2] / "examples" / "load-sharing" / "web.toml"
    file, warnings = share.parse(path.read_text(), str(path))
    assert [member.weight for member in file.settings.members] == [1, 1, 2]
    assert warnings == ()


def test_the_mac_address_of_a_high_address_loses_its_24th_bit() -> None:
    file, _ = share.parse(SHORT.replace("10.8.0.100", "10.200.3.4"), "f.toml")
    assert file.shared.mac == bytes.fromhex("01005e480304")  # 200 = 0xc8, without the bit 0x48


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ('address = "10.8.0.100/24"\n', "", ': no address; expected address = "192.0.2.1/24"'),
        (
            "10.8.0.100/24",
            "10.8.0.100",
            ':1: address is "10.8.0.100"; expected an address with its prefix length as '
            '"192.0.2.1/24", or a list of them',
        ),
        (
            "10.8.0.100/24",
            "224.0.0.1/24",
            ':1: address is "224.0.0.1/24"; expected an address that clients can reach',
        ),
        (
            '"10.8.0.100/24"',
            '["10.8.0.1/24", "10.8.0.1/16"]',
            ":1: address is a list; expected each address once",
        ),
        (
            '"eth0"',
            '"no such/interface"',
            ':2: interface is "no such/interface"; expected the name of an interface, at most '
            "15 characters",
        ),
        ('"eth0"', "7", ":2: interface is 7; expected a string"),
        (
            "\n[[members]]",
            'mode = "sourceipsourceport"\n[[members]]',
            ':3: mode is "sourceipsourceport"; expected sourceip, sourceip-sourceport or '
            'sourceip-sourceport-destport; did you mean "sourceip-sourceport"?',
        ),
        (
            "\n[[members]]",
            'adress = "x"\n[[members]]',
            ':3: unknown key "adress"; did you mean "address"?',
        ),
        (
            "\n[[members]]",
            'deadtime = "500ms"\n[[members]]',
            ":3: deadtime is 0.5 s, keepalive 0.2 s; expected at least 3 keepalives",
        ),
        (
            "\n[[members]]",
            "deadtime = nan\n[[members]]",
            ':3: deadtime is NaN; expected seconds as a number, or "200ms"',
        ),
        (
            "\n[[members]]",
            'keepalive = "1 minute"\n[[members]]',
            ':3: keepalive is "1 minute"; expected seconds, or a number with ms or us, from 1ms '
            "to 86400",
        ),
        (
            "\n[[members]]",
            "buckets = 2\n[[members]]",
            ":3: buckets is 2; expected at least one a member: 3",
        ),
        (
            "\n[[members]]",
            "seed = 4294967296\n[[members]]",
            ":3: seed is 4294967296; expected a number from 0 to 4294967295",
        ),
        (
            "\n[[members]]",
            'mac = "ff:ff:ff:ff:ff:ff"\n[[members]]',
            ':3: mac is "ff:ff:ff:ff:ff:ff"; expected an address of a group or of a host',
        ),
        (
            "\n[[members]]",
            'name = "Web Shop"\n[[members]]',
            ':3: name is "Web Shop"; expected small letters, digits and _, a letter first, at '
            "most 32",
        ),
        ('"web2"', '"web1"', ':7: members 2: name is "web1" again; expected each member once'),
        (
            "weight = 2",
            "weight = -1",
            ":8: members 2: weight is -1; expected a number from 0 to 1000",
        ),
        (
            "weight = 2",
            'address = "10.8.0.2"',
            ":5: members 1: no address, but others have one; expected all members, or none",
        ),
        (
            "weight = 2",
            "wieght = 2",
            ':8: members 2: unknown key "wieght"; did you mean "weight"?',
        ),
        (
            '[[members]]\nname = "web3"\n',
            "",
            ':4: two members with no_quorum = "stop"; expected no_quorum = "ignore", or a third '
            "member (weight 0 will do): of two neither is a majority when the other is lost, so "
            "both would stop",
        ),
        ("[[members]]\nname", "[members\nname", ":4: not TOML: Expected ']' at the end of a table"),
    ],
)
def test_a_mistake_is_one_line(before: str, after: str, problem: str) -> None:
    assert before in SHORT
    with pytest.raises(ConfigError) as caught:
        share.parse(SHORT.replace(before, after, 1), "f.toml")
    lines = str(caught.value).splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"f.toml{problem}"), lines[0]


def test_all_mistakes_are_told_together_in_order_of_lines() -> None:
    text = 'interface = 1\nport = 0\n[[members]]\nname = "a"\nweight = 0\n'
    with pytest.raises(ConfigError) as caught:
        share.parse(text, "f.toml")
    assert str(caught.value).splitlines() == [
        'f.toml: no address; expected address = "192.0.2.1/24"',
        "f.toml:1: interface is 1; expected a string",
        "f.toml:2: port is 0; expected a number from 1 to 65535",
        "f.toml:3: all weights are 0; expected a weight for whoever is to answer",
    ]


def test_a_file_without_members_and_a_file_without_end_are_refused() -> None:
    for text, problem in [
        ("members = 1", "f.toml:1: members is no list of tables"),
        ("", "f.toml: no members"),
        ("a = [", "f.toml:1: not TOML"),
        ("a = " + "[" * 5000, "f.toml: not TOML: RecursionError"),
        ("#" * 300_000, "f.toml: the file has 300000 characters; expected at most 262144"),
    ]:
        with pytest.raises(ConfigError) as caught:
            share.parse(text, "f.toml")
        assert problem in str(caught.value)
