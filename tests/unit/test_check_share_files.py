"""`standfest check` of several members' files: what differs between them is named."""

from pathlib import Path

import pytest

from standfest.analysis.filecheck import Kind, check
from standfest.config.keepalived.source import Setting
from standfest.daemons.included import DiskFiles

FILE = """address = "10.8.0.100/24"
interface = "eth0"
[[members]]
name = "web1"
[[members]]
name = "web2"
[[members]]
name = "web3"
"""


def findings(*texts: tuple[str, str]) -> list[str]:
    found = check(texts, Setting("", {}), DiskFiles())
    assert {kind for _, kind in found.kinds} == {Kind.SHARE}
    return [str(finding) for finding in found.findings]


def test_the_same_file_on_all_members_is_right() -> None:
    assert findings(("a/web.toml", FILE), ("b/web.toml", FILE)) == []


@pytest.mark.parametrize(
    ("added", "problem"),
    [
        ("seed = 7", "seed is 7; a/web.toml has 0"),
        ("buckets = 100", "buckets is 100; a/web.toml has 192"),
        ('mode = "sourceip"', "mode is sourceip; a/web.toml has sourceip-sourceport"),
        ("deadtime = 3", "deadtime is 3 s; a/web.toml has 2 s"),
        ('no_quorum = "ignore"', "no_quorum is ignore; a/web.toml has stop"),
        ('mac = "01:00:5e:00:00:01"', "mac is 01:00:5e:00:00:01; a/web.toml has 01:00:5e:08:00:64"),
    ],
)
def test_what_differs_is_named(added: str, problem: str) -> None:
    found = findings(("a/web.toml", FILE), ("b/web.toml", f"{added}\n{FILE}"))
    assert f"b/web.toml: {problem}; expected the same on all members" in found


def test_members_in_another_order_are_another_list() -> None:
    other = FILE.replace("web1", "x").replace("web2", "web1").replace("x", "web2")
    assert findings(("a/web.toml", FILE), ("b/web.toml", other)) == [
        "b/web.toml: members is web2 (weight 1), web1 (weight 1), web3 (weight 1); a/web.toml has "
        "web1 (weight 1), web2 (weight 1), web3 (weight 1); expected the same on all members"
    ]


def test_one_address_by_two_names_and_two_addresses_at_one_mac_are_named() -> None:
    assert findings(("web.toml", FILE), ("shop.toml", FILE)) == [
        'shop.toml: name is "shop"; web.toml has "web"; expected one name for one address: '
        "members of other names do not hear each other"
    ]
    # 10.136.0.100 has the same low 23 bits as 10.8.0.100: 136 = 128 + 8.
    assert findings(("web.toml", FILE), ("shop.toml", FILE.replace("10.8.", "10.136."))) == [
        "shop.toml: mac is 01:00:5e:08:00:64, as in web.toml; expected one of its own for each "
        "shared address"
    ]


def test_a_mistake_is_told_with_its_line() -> None:
    assert findings(("web.toml", FILE.replace("eth0", "eth/0"))) == [
        'web.toml:2: interface is "eth/0"; expected the name of an interface, at most 15 characters'
    ]


def test_the_example_is_right() -> None:
    path = Path(__file__).parents[2] / "examples" / "load-sharing" / "web.toml"
    assert findings((str(path), path.read_text())) == []
