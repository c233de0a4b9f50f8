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
        ("globally-unique", "true"),  # Heartbeat 2's defaults, not today's
        ("resource-stickiness", "0"),
    )
    assert (clone.globally_unique, clone.promotable) == (True, False)
    assert loaded.findings == ()


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
    (order,) = (e for e in loaded.configuration.walk() if e.tag == "rsc_order")
    assert (order.get("first"), order.get("then")) == ("b", "a")
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
            "1.xml:1: warning: <bundle id=b>: bundles are decided, but not driven yet",
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


# --- id-ref ---------------------------------------------------------------------------------------

SHARED = (
    '<resources><primitive id="a" class="ocf" type="Dummy"><meta_attributes id="m">'
    '<rule id="r"><date_expression id="d" operation="lt" end="2030"/></rule>'
    '<nvpair id="n" name="priority" value="5"/></meta_attributes><operations id="ops">'
    '<op id="mon" name="monitor" interval="5s"/></operations></primitive>{}</resources>'
)


def test_what_refers_to_something_gets_a_copy_with_ids_of_its_own() -> None:
    text = SHARED.format(
        '<primitive id="b" class="ocf" type="Dummy"><meta_attributes id-ref="m"/>'
        '<operations id-ref="ops"/><instance_attributes id="i"><nvpair id-ref="n" name="level"/>'
        "</instance_attributes></primitive>"
    )
    loaded, configuration = read(("1.xml", text))
    b = configuration.primitives()[1]
    assert b.parameters == (("level", "5"),)
    assert [(op.id, op.interval) for op in b.operations] == [("b-mon", seconds(5))]
    (written,) = (e for e in loaded.configuration.walk() if e.id == "b")
    (shared,) = written.all("meta_attributes")
    assert [e.id for e in shared.walk()] == ["b-m", "b-r", "b-d", "b-n"]
    again, _ = read(("again.xml", serialise(loaded.configuration)))
    assert again.configuration == loaded.configuration  # it can be stored and read


def test_a_reference_may_lead_into_another_file() -> None:
    rules = (
        '<rsc_defaults><meta_attributes id="x"><rule id-ref="r"/></meta_attributes></rsc_defaults>'
    )
    loaded, _ = read(("1.xml", rules), ("2.xml", SHARED.format("")))
    (defaults,) = (e for e in loaded.configuration.children if e.tag == "rsc_defaults")
    assert [e.id for e in defaults.walk() if e.id] == ["x", "x-r", "x-d"]


def test_a_mistake_in_what_is_referred_to_is_told_once_and_where_it_stands() -> None:
    text = SHARED.format(
        '\n<primitive id="b" class="ocf" type="Dummy"><meta_attributes id-ref="m"/></primitive>'
    ).replace('"priority" value="5"', '"priorty" value="5"')
    loaded = load([("0.xml", "<resources/>"), ("1.xml", text)])
    _, findings = compile_configuration(loaded.configuration, loaded.path_of)
    assert [str(finding) for finding in findings] == [
        '1.xml:1: warning: unknown meta-attribute priorty; expected "priority"'
    ]


@pytest.mark.parametrize(
    ("inner", "error"),
    [
        ('<meta_attributes id-ref="mm"/>', '<meta_attributes> with id-ref mm; expected "m"'),
        (
            '<utilization id-ref="m"/>',
            "<utilization> with id-ref m; expected the id of a <utilization>",
        ),
        (
            '<meta_attributes id="q"><rule id="s"><rule id-ref="s"/></rule></meta_attributes>',
            "<rule> with id-ref s; expected one that does not lead back to itself",
        ),
    ],
)
def test_a_reference_to_nothing_is_an_error(inner: str, error: str) -> None:
    text = SHARED.format(f'\n<primitive id="b" class="ocf" type="Dummy">{inner}</primitive>')
    assert errors_of(text) == [f"1.xml:2: {error}"]


def test_references_cannot_grow_without_end() -> None:
    rules = ['<rule id="r0"><expression id="e" attribute="x" operation="defined"/></rule>']
    rules += [
        f'<rule id="r{n}"><rule id-ref="r{n - 1}"/><rule id-ref="r{n - 1}"/></rule>'
        for n in range(1, 31)  # 2**30 expressions
    ]
    text = (
        f'<rsc_defaults><meta_attributes id="m">{"".join(rules)}</meta_attributes></rsc_defaults>'
    )
    assert len(errors_of(text)) > 0
