"""CIB files: the report's fragments, merging, and every error in one exact line."""

from collections import Counter
from pathlib import Path

import pytest

from standfest.config.cib import Loaded, compile_configuration, load
from standfest.model.configuration import Clone, Configuration, Group
from standfest.model.errors import ConfigError
from standfest.model.operations import Agent
from standfest.model.status import Version
from standfest.model.time import seconds
from standfest.model.xml import serialise

REPORT = Path(__file__).parents[3] / "shared" / "reference" / "configs"
needs_report = pytest.mark.skipif(not REPORT.is_dir(), reason="the report's files are not here")


def report(name: str) -> tuple[str, str]:
    return name, (REPORT / name).read_text()


def read(*fragments: tuple[str, str]) -> tuple[Loaded, Configuration]:
    loaded = load(fragments)
    return loaded, compile_configuration(loaded.configuration, loaded.path_of)[0]


def errors_of(*texts: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load([(f"{number}.xml", text) for number, text in enumerate(texts, 1)])
    return str(raised.value).split("\n")


def warnings_of(text: str) -> list[str]:
    return [str(finding) for finding in load([("1.xml", text)]).findings]


@needs_report
def test_the_mail_server_of_the_report_is_read_as_it_was_meant() -> None:
    loaded, configuration = read(report("cib-mail-server.xml"))
    assert loaded.legacy
    assert loaded.findings == ()
    (group,) = configuration.resources
    assert isinstance(group, Group)
    assert [member.id for member in group.members] == [
        "mail-homes",
        "mail-spool",
        "postfix",
        "xinetd",
        "private-net",
        "public",
    ]
    homes = group.members[0]
    assert homes.agent == Agent("ocf", "Filesystem", "myResources")
    assert homes.parameters == (
        ("device", "192.168.0.3:/export/mail/home"),
        ("directory", "/home"),
        ("fstype", "nfs"),
        ("options", "rw,tcp,rsize=32768,wsize=32768"),
    )
    (monitor,) = homes.operations
    assert (monitor.name, monitor.interval, monitor.timeout) == (
        "monitor",
        seconds(5),
        seconds(20),  # nothing says otherwise
    )
    assert homes.options.is_managed
    assert group.members[4].agent == Agent("ocf", "IPAddr", "myResources")  # as it was written
    assert not configuration.options.stonith_enabled  # Heartbeat 2's default
    assert configuration.nodes == ()


@needs_report
def test_the_nfs_server_and_the_shared_address_of_the_report_are_read() -> None:
    _, nfs = read(report("cib-nfs-server.xml"))
    assert [primitive.id for primitive in nfs.primitives()] == [
        "nfs-exports",
        "nfs",
        "private-net",
        "public-net",
    ]
    loaded, sharing = read(report("cib-clusterip.xml"))
    (clone,) = sharing.resources
    assert isinstance(clone, Clone)
    assert clone.options == (
        ("clone-max", "2"),
        ("clone-node-max", "2"),
        ("globally-unique", "true"),  # Heartbeat 2's default, not today's
    )
    assert [str(finding) for finding in loaded.findings] == [
        "cib-clusterip.xml:2: warning: <clone id=clusterip_clone>: clones are read and shown, but "
        "not scheduled yet"
    ]


@needs_report
def test_both_servers_of_the_report_in_one_cluster_share_an_id_and_are_told_where() -> None:
    with pytest.raises(ConfigError) as raised:
        load([report("cib-mail-server.xml"), report("cib-nfs-server.xml")])
    assert str(raised.value).split("\n") == [
        f"cib-nfs-server.xml:{here}: id {name} is taken by cib-mail-server.xml:{there}; "
        "expected an id of its own"
        for name, there, here in [
            ("private-net", 63, 32),
            ("priv_ip", 67, 36),
            ("priv_mask", 68, 37),
            ("priv_nic", 69, 38),
            ("pub_ip", 78, 48),
            ("pub_mask", 79, 49),
            ("pub_nic", 80, 50),
            ("pub_gw", 81, 51),
        ]
    ]


@needs_report
@pytest.mark.parametrize("name", ["mail-server", "nfs-server", "clusterip"])
def test_an_upgraded_file_is_current_and_reads_the_same_again(name: str) -> None:
    loaded, configuration = read(report(f"cib-{name}.xml"))
    again, same = read(("again.xml", serialise(loaded.configuration)))
    assert not again.legacy
    assert again.configuration == loaded.configuration
    assert same == configuration


def test_sections_of_several_files_are_one_configuration_in_the_order_given() -> None:
    first = '<resources><primitive id="a" class="ocf" type="Dummy"/></resources>'
    second = (
        '<configuration><resources><primitive id="b" class="lsb" type="x"/></resources>'
        '<nodes><node id="1" uname="one"/></nodes></configuration>'
    )
    third = (
        '<cib admin_epoch="1" epoch="22" num_updates="333"><configuration><constraints>'
        '<rsc_order id="o" first="b" then="a"/></constraints></configuration><status><x/></status>'
        "</cib>"
    )
    loaded, configuration = read(("1.xml", first), ("2.xml", second), ("3.xml", third))
    assert [child.tag for child in loaded.configuration.children] == [
        "crm_config",
        "nodes",
        "resources",
        "constraints",
    ]
    assert [resource.id for resource in configuration.resources] == ["a", "b"]
    assert [(order.first, order.then) for order in configuration.orders] == [("b", "a")]
    assert loaded.version == Version(1, 22, 333)
    assert loaded.status is not None
    assert loaded.status.children[0].tag == "x"
    assert not loaded.legacy
    assert configuration.options.stonith_enabled  # today's default


def test_nodes_may_have_ids_that_resources_have_too() -> None:
    loaded = load([("1.xml", '<nodes><node id="web" uname="web"/></nodes>'), ("2.xml", DUMMY)])
    assert loaded.findings == ()


DUMMY = '<resources><primitive id="web" class="ocf" type="Dummy"/></resources>'


def test_all_that_is_wrong_in_all_files_is_told_at_once() -> None:
    assert errors_of(
        '<resources>\n<primitiv id="x"/>\n<primitive id="y" clas="ocf" type="t"/></resources>',
        "<ressources/>",
        "<a>",
    ) == [
        '1.xml:2: unknown element <primitiv> in <resources>; expected "primitive"',
        '1.xml:3: unknown attribute clas of <primitive>; expected "class"',
        '2.xml:1: root element <ressources>; expected "resources"',
        "3.xml:1: not XML: no element found; expected well-formed XML",
    ]


def test_a_section_outside_of_the_configuration_is_an_error_and_not_silence() -> None:
    assert errors_of('<cib epoch="1"><resources/></cib>') == [
        "1.xml:1: unknown element <resources> in <cib>; expected configuration, status"
    ]


def test_what_must_be_there_is_missed_by_name() -> None:
    text = '<resources><primitive class="ocf" type="t"><operations><op id="m" interval="5s"/>'
    text += '</operations><meta_attributes id="s"><nvpair id="n" value="v"/></meta_attributes>'
    assert errors_of(f"{text}</primitive></resources>") == [
        '1.xml:1: <primitive> without id; expected id="..."',
        '1.xml:1: <op id=m> without name; expected name="..."',
        '1.xml:1: <nvpair id=n> without name; expected name="..."',
    ]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            '<resources><bundle id="b"/></resources>',
            "1.xml:1: warning: <bundle id=b>: bundles are not implemented yet",
        ),
        (
            '<constraints><rsc_ticket id="t" ticket="T" rsc="a"/></constraints>',
            "1.xml:1: warning: <rsc_ticket id=t>: tickets are not implemented yet",
        ),
        ("<acls/>", "1.xml:1: warning: <acls>: access control lists are not implemented yet"),
        ("<alerts/>", "1.xml:1: warning: <alerts>: alerts are not implemented yet"),
        (
            "<fencing-topology/>",
            "1.xml:1: warning: <fencing-topology>: fencing topology is not implemented yet",
        ),
        (
            '<rsc_defaults><meta_attributes id-ref="m"/></rsc_defaults>',
            "1.xml:1: warning: <meta_attributes id-ref=m>: id-ref is not implemented yet",
        ),
        (
            '<rsc_defaults><meta_attributes id="m"><rule id="r"/></meta_attributes></rsc_defaults>',
            "1.xml:1: warning: <meta_attributes id=m>: rules in attribute sets are not implemented "
            "yet, the set is left out",
        ),
        (
            '<constraints><rsc_location id="l" rsc="a"><rule id="r" score="1">'
            '<date_expression id="d" operation="lt" end="2030"/></rule></rsc_location>'
            "</constraints>",
            "1.xml:1: warning: <date_expression id=d>: date expressions are not implemented yet",
        ),
    ],
)
def test_what_is_known_but_not_built_is_warned_of(text: str, warning: str) -> None:
    assert warnings_of(text) == [warning]


def test_no_file_at_all_is_an_empty_configuration() -> None:
    loaded = load([])
    assert Counter(child.tag for child in loaded.configuration.children) == {
        "crm_config": 1,
        "nodes": 1,
        "resources": 1,
        "constraints": 1,
    }
    assert (loaded.legacy, loaded.status, loaded.version) == (False, None, Version())
