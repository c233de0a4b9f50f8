"""The tools that change a CIB, on files: a mistake is one line and one exit code, and no change.

What they do right is compared with Debian's: tests/golden/test_commands.py, tests/differential.
"""

import fcntl
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.administering import SHARED, Ran, run

from standfest.cli.tools import cibadmin
from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.filesource import FileSource
from standfest.core.cib import objects
from standfest.model import xml
from standfest.model.element import Element

CIB = """\
<cib crm_feature_set="3.16.1" validate-with="pacemaker-3.9" epoch="12" num_updates="34" admin_epoch="0">
  <configuration>
    <crm_config>
      <cluster_property_set id="cib-bootstrap-options">
        <nvpair id="p1" name="stonith-enabled" value="false"/>
      </cluster_property_set>
      <cluster_property_set id="more">
        <nvpair id="p2" name="stonith-enabled" value="true"/>
      </cluster_property_set>
    </crm_config>
    <nodes>
      <node id="1" uname="alice"/>
    </nodes>
    <resources>
      <primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr2"/>
    </resources>
    <constraints/>
  </configuration>
  <status>
    <node_state id="1" uname="alice">
      <transient_attributes id="1">
        <instance_attributes id="status-1">
          <nvpair id="f1" name="fail-count-ip#monitor_10000" value="3"/>
          <nvpair id="f2" name="fail-count-ip#start_0" value="INFINITY"/>
          <nvpair id="f3" name="last-failure-ip#start_0" value="1760000000"/>
          <nvpair id="f4" name="fail-count-ipx#start_0" value="1"/>
        </instance_attributes>
      </transient_attributes>
      <lrm id="1">
        <lrm_resources>
          <lrm_resource id="ip"/>
          <lrm_resource id="ipx"/>
        </lrm_resources>
      </lrm>
    </node_state>
  </status>
</cib>
"""  # noqa: E501 - as Pacemaker writes it
NO_DEVICE = "Call failed: No such device or address\n"
NO_SCHEMA = "Call failed: Update does not conform to the configured schema\n"


@pytest.fixture
def cib(tmp_path: Path) -> Path:
    file = tmp_path / "cib.xml"
    file.write_text(CIB)
    return file


@dataclass
class Running:
    """A running cluster's CIB: what is written is kept here."""

    cib: Element
    live: bool = True

    def read(self) -> Element:
        return self.cib

    def change(self, before: Element, after: Element) -> None:
        assert before is self.cib
        self.cib = after


def on(cib: Path, *words: str, given: bytes = b"") -> Ran:
    return run(words, {"CIB_file": str(cib), "CIB_shadow_dir": str(cib.parent)}, given)


MISTAKES = [
    ("cibadmin", 64, "cibadmin: nothing to do; expected --query, --create, --modify ...\n"),
    ("cibadmin -Q -o nosuch", 64, "cibadmin: section nosuch; expected one of: configuration, "),
    ("cibadmin -Q -o tags", 105, NO_DEVICE),
    ("cibadmin -Q -A //nosuch", 105, NO_DEVICE),
    ("cibadmin -Q -A //[", 105, "cibadmin: xpath: //[: Invalid expression; expected an XPath\n"),
    ("cibadmin -Q -A nosuch()", 105, "cibadmin: xpath: nosuch(): Unregistered function; expected"),
    ("cibadmin -M", 70, "Call failed: Invalid argument\n"),
    ("cibadmin -D", 70, "Call failed: Invalid argument\n"),
    ("cibadmin -M -X <op", 78, "the XML given:1: not XML: unclosed token; expected well-formed"),
    ("cibadmin -M -x /nonexistent", 78, "/nonexistent: No such file or directory; expected a CIB"),
    ("cibadmin -M -p", 78, "standard input:1: not XML: no element found; expected well-formed XML"),
    ("cibadmin -M -X <op/>", 105, NO_DEVICE),
    ("cibadmin -R -X <cib/>", 103, "Call failed: Update was older than existing configuration\n"),
    ("cibadmin -M -X <cib\tepoch='5'/>", 103, "Call failed: Update was older than existing"),
    ("cibadmin -D -A /cib", 70, "Call failed: Invalid argument\n"),
    ("cibadmin -E", 107, "The supplied command is considered dangerous.  To prevent accidental"),
    ("cibadmin -d -A //op", 107, "The supplied command is considered dangerous.  To prevent"),
    (
        "cibadmin -P -X <x/>",
        1,
        'Could not apply patch: <x> is no patch; expected <diff format="2">\n',
    ),
    ("cibadmin -5", 64, "Please supply XML to process with -X, -x or -p\n"),
    ("cibadmin -C -o tags -X <tags/> extra", 64, "cibadmin: Got unexpected extra argument (extra)"),
    ("crm_diff", 65, "Could not parse the first XML fragment: none is given\n"),
    ("crm_diff -O <a/>", 65, "Could not parse the second XML fragment: none is given\n"),
    ("crm_diff -O <a/> -N <b/>", 1, "crm_diff: <a> and <b> cannot be compared\n"),
    ("crm_diff -u -c", 64, "crm_diff: -u/--no-version incompatible with -c/--cib\n"),
    (
        "crm_attribute -n nosuch -G",
        105,
        "crm_attribute: Error performing operation: No such device",
    ),
    ("crm_attribute -N bob -n x -v 1", 105, "crm_attribute: Could not map name=bob to a UUID\n"),
    ("crm_attribute -v 1", 64, "crm_attribute: must specify attribute name or pattern to change\n"),
    (
        "crm_attribute -t x -n y -G",
        64,
        "crm_attribute: Invalid value for '-t' / '--type': 'x' is not",
    ),
    ("crm_attribute -P ( -G", 64, "crm_attribute: pattern (: missing ), unterminated subpattern"),
    ("crm_attribute -P x -v 1", 64, "crm_attribute: pattern can only be used with query, or with"),
    (
        "crm_attribute -p -N alice -G",
        64,
        "crm_attribute: -p/--promotion must be called from an OCF",
    ),
    ("crm_standby -N bob -D", 105, "crm_standby: Could not map name=bob to a UUID\n"),
    ("crm_failcount -r ip", 64, "crm_failcount: must specify a command: --query or --delete\n"),
    ("crm_failcount -G", 64, "crm_failcount: resource name required\n"),
    (
        "crm_failcount -G -r pi -N alice",
        105,
        "crm_failcount: Resource 'pi' not found; expected one of: ip\n",
    ),
    ("crm_failcount -G -r ip -N bob", 105, "crm_failcount: Could not map name=bob to a UUID\n"),
    (
        "crm_failcount -G -r ip -n x -I y",
        64,
        "crm_failcount: interval is 'y'; expected a time such",
    ),
    ("crm_ticket", 64, "crm_ticket: Must supply a command\n"),
    ("crm_ticket -g", 64, "crm_ticket: Must supply ticket ID with -t\n"),
    ("crm_ticket -l -t t", 105, "crm_ticket: No such ticket 't'\n"),
    ("crm_ticket -C -t t", 105, "crm_ticket: No such ticket 't'\n"),
    ("crm_ticket -c", 105, "crm_ticket: Could not show ticket constraints: No such device or"),
    ("crm_ticket -q", 105, "crm_ticket: Could not query ticket XML: No such device or address\n"),
    ("crm_ticket -t t -G granted", 105, "crm_ticket: ticket 't' has no attribute granted\n"),
    ("crm_ticket -t t -S id -v x", 64, "crm_ticket: a ticket's id stays; expected another"),
    ("crm_ticket -t t -S a=b -v x", 64, "crm_ticket: attribute 'a=b'; expected a letter, then"),
    ("crm_shadow", 64, "crm_shadow: nothing to do; expected --which, --create NAME, --commit NAME"),
    ("crm_shadow -p", 105, "No active shadow configuration defined\n"),
    ("crm_shadow -b -s nosuch", 105, "Could not access shadow instance 'nosuch': No such file or"),
    (
        "crm_shadow -b -e a/b",
        64,
        "crm_shadow: name 'a/b'; expected letters, digits, and . _ @ + -\n",
    ),
    ("crm_shadow -b -C x", 64, "The supplied command is considered dangerous.  To prevent"),
]


@pytest.mark.parametrize(("line", "code", "text"), MISTAKES, ids=[one[0] for one in MISTAKES])
def test_a_mistake_is_one_line_and_changes_nothing(
    line: str, code: int, text: str, cib: Path
) -> None:
    ran = on(cib, *line.split(" "))
    assert ran.errors.startswith(text), ran.errors
    assert ran.code == code
    hint = f"Try '{line.split(' ', maxsplit=1)[0]} --help'.\n"
    assert ran.text.removesuffix(hint).count("\n") == 1, ran.text
    assert cib.read_text() == CIB


def test_what_no_cluster_could_use_is_refused_with_all_that_is_wrong(cib: Path) -> None:
    text = '<primitive id="a b" class="ocf" provider="heartbeat"/>'
    ran = on(cib, "cibadmin", "-C", "-o", "resources", "-X", text)
    assert ran.code == 78
    assert ran.text == (
        f"{cib}:16: <primitive id=a b>: id is 'a b'; "
        "expected an id: a letter, then letters, digits, -, _ and .\n"
        f'{cib}:16: <primitive id=a b> without type; expected type="..."\n{NO_SCHEMA}'
    )
    missing = '<rsc_location id="l" rsc="nosuch" node="alice" score="1"/>'
    ran = on(cib, "cibadmin", "-C", "-o", "constraints", "-X", missing)
    said = (
        f"{cib}:18: <rsc_location id=l>: rsc is 'nosuch', which nothing has as its id; "
        f"expected the id of an element\n{NO_SCHEMA}"
    )
    assert (ran.code, ran.text) == (78, said)
    assert on(cib, "cibadmin", "-R", "-X", "<nodes/>", "-o", "nodes").code == 0
    assert on(cib, "cibadmin", "-D", "-X", "<nodes/>").code == 78


def test_a_changed_file_keeps_its_mode_and_is_whole(cib: Path) -> None:
    cib.chmod(0o640)
    assert on(cib, "cibadmin", "-B").code == 0
    assert stat.S_IMODE(cib.stat().st_mode) == 0o640
    assert os.listdir(cib.parent) == ["cib.xml"]
    assert ' epoch="13" num_updates="35" ' in cib.read_text()
    before = cib.stat()
    assert on(cib, "cibadmin", "-M", "-X", '<primitive id="ip"/>').code == 0
    assert cib.stat() == before  # nothing changed, so nothing is written


def test_a_link_stays_a_link(cib: Path) -> None:
    link = cib.parent / "link.xml"
    link.symlink_to(cib)
    assert on(link, "cibadmin", "-B").code == 0
    assert link.is_symlink()
    assert ' epoch="13"' in cib.read_text()


def test_who_changes_it_meanwhile_is_not_overwritten(cib: Path) -> None:
    source = FileSource(str(cib))
    before = source.read()
    assert on(cib, "cibadmin", "-B").code == 0
    with pytest.raises(ToolError) as error:
        source.change(before, objects.erase(before))
    text = f"{cib}: somebody changed it meanwhile; nothing is changed"
    assert (error.value.code, error.value.text) == (Exit.OLD, text)
    assert ' epoch="13"' in cib.read_text()


def test_changes_wait_for_each_other(cib: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked: list[int] = []
    monkeypatch.setattr(fcntl, "flock", lambda _descriptor, how: locked.append(how))
    before = FileSource(str(cib)).read()
    FileSource(str(cib)).change(before, objects.bump(before))
    assert locked == [fcntl.LOCK_EX]


def test_a_file_that_cannot_be_written_is_one_line(cib: Path) -> None:
    (cib.parent / f"cib.xml.{os.getpid()}.new").mkdir()
    ran = on(cib, "cibadmin", "-B")
    assert (ran.code, ran.text) == (73, f"{cib}: Is a directory; expected a file to write\n")
    assert cib.read_text() == CIB


def test_what_is_no_cib_is_bad_data(cib: Path) -> None:
    cib.write_text("nothing")
    ran = on(cib, "cibadmin", "-Q")
    assert (ran.code, ran.text) == (
        65,
        f"{cib}:1: not XML: syntax error; expected well-formed XML\n",
    )
    cib.write_text("<html/>")
    ran = on(cib, "cibadmin", "-Q")
    assert (ran.code, ran.text) == (65, f"{cib}:1: root element <html>; expected <cib>\n")
    cib.unlink()
    assert on(cib, "cibadmin", "-Q").code == 66


def test_data_may_come_from_a_file_or_a_pipe(cib: Path) -> None:
    data = b'<primitive id="ip" description="d"/>'
    (cib.parent / "data.xml").write_bytes(data)
    assert on(cib, "cibadmin", "-M", "-p", given=data).code == 0
    assert on(cib, "cibadmin", "-Mx", str(cib.parent / "data.xml")).code == 0
    assert on(cib, "cibadmin", "--cib_modify", "--crm_xml", data.decode()).code == 0
    assert (
        '<primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr2" description="d"/>'
        in (cib.read_text())
    )
    assert ' epoch="13" num_updates="0" ' in cib.read_text()


def test_heartbeat_2s_options_work(cib: Path) -> None:
    for words in (
        [
            "--cib_create",
            "-obj_type",
            "constraints",
            "--xml-text",
            "<rsc_ticket id='t' ticket='T' rsc='ip'/>",
        ],
        ["--cib_update", "-obj_type", "resources", "-X", "<primitive id='ip' description='x'/>"],
        [
            "--cib_delete",
            "--obj_type",
            "constraints",
            "-X",
            "<rsc_ticket id='t'/>",
            "-s",
            "-b",
            "-l",
        ],
        ["--cib_replace", "-obj_type", "nodes", "-X", "<nodes/>", "-t", "30"],
        ["--cib_bump"],
        ["--cib_erase", "--force"],
    ):
        assert on(cib, "cibadmin", *words) == Ran(0, "", "")
    assert ' epoch="18" num_updates="0" admin_epoch="1"' in cib.read_text()
    for name in ("sync", "slave", "master", "ismaster"):
        ran = on(cib, "cibadmin", f"--cib_{name}")
        assert (ran.code, ran.text) == (
            0,
            f"warning: --{name} has no effect: there is one CIB, and any member serves it\n",
        )


OLD = """\
<cib cib_feature_revision="1.3" admin_epoch="0" epoch="12" num_updates="34" have_quorum="true">
  <configuration>
    <crm_config/>
    <nodes>
      <node id="1" uname="alice" type="normal"/>
    </nodes>
    <resources/>
    <constraints/>
  </configuration>
  <status/>
</cib>
"""
LEGACY = """\
<primitive id="r" class="ocf" type="IPaddr" provider="heartbeat">
  <instance_attributes id="r_attrs">
    <attributes>
      <nvpair id="r_t" name="target_role" value="stopped"/>
      <nvpair id="r_ip" name="ip" value="10.0.0.1"/>
    </attributes>
  </instance_attributes>
</primitive>
"""
UPGRADED = """\
<primitive id="r" class="ocf" type="IPaddr" provider="heartbeat">
  <meta_attributes id="r-heartbeat-2-meta">
    <nvpair id="r-heartbeat-2-meta-target-role" name="target-role" value="stopped"/>
  </meta_attributes>
  <instance_attributes id="r_attrs">
    <nvpair id="r_ip" name="ip" value="10.0.0.1"/>
  </instance_attributes>
</primitive>
"""


def test_heartbeat_2s_dialect_is_upgraded_for_a_cib_of_today(cib: Path) -> None:
    ran = on(cib, "cibadmin", "--cib_create", "-obj_type", "resources", "-X", LEGACY)
    warning = "warning: the data given is in Heartbeat 2's dialect and is upgraded\n"
    assert (ran.code, ran.text) == (0, warning)
    assert on(cib, "cibadmin", "-Q", "-A", "//primitive[@id='r']").text == UPGRADED


def test_it_stays_as_it_is_in_a_cib_of_that_time(cib: Path) -> None:
    cib.write_text(OLD)
    assert on(cib, "cibadmin", "-C", "-o", "resources", "-X", LEGACY) == Ran(0, "", "")
    assert on(cib, "cibadmin", "-Q", "-A", "//primitive[@id='r']").text == LEGACY


def test_the_reports_own_files_go_into_a_cib_of_today(cib: Path) -> None:
    file = SHARED.parents[2] / "reference" / "configs" / "cib-mail-server.xml"
    if not file.exists():
        pytest.skip("needs ../shared/reference/configs")
    data = xml.parse(file.read_bytes(), str(file))
    section = data.tag if data.tag != "cib" else "all"
    ran = on(cib, "cibadmin", "--cib_modify", "-obj_type", section, "--xml-file", str(file))
    assert ran.code == 0, ran.text
    assert ran.text.startswith("warning: the data given is in Heartbeat 2's dialect")


def test_an_old_cib_is_upgraded_and_counted(cib: Path) -> None:
    cib.write_text(OLD)
    assert on(cib, "cibadmin", "-u").code == 107
    assert on(cib, "cibadmin", "--upgrade", "--force").text == (
        'line 1: <cib>: cib_feature_revision="1.3" -> nothing\n'
        'line 1: <cib>: have_quorum="true" -> have-quorum="true"\n'
        'line 1: <cib>: nothing -> validate-with="pacemaker-3.9"\n'
        'line 5: <node id=1>: type="normal" -> type="member"\n'
        "<cluster_property_set id=heartbeat-2-options>: nothing -> "
        '<cluster_property_set id="heartbeat-2-options"/>\n'
        "<nvpair id=heartbeat-2-stonith-enabled>: nothing -> "
        '<nvpair id="heartbeat-2-stonith-enabled" name="stonith-enabled" value="false"/>\n'
    )
    text = cib.read_text()
    assert '<node id="1" uname="alice" type="member"/>' in text
    assert ' admin_epoch="1" epoch="2" num_updates="0"' in text
    assert on(cib, "cibadmin", "--upgrade", "--force") == Ran(0, "", "")
    assert cib.read_text() == text


def test_a_patch_is_applied_once(cib: Path) -> None:
    new = cib.parent / "new.xml"
    new.write_text(CIB.replace(' epoch="12"', ' epoch="13"').replace('"alice"/>', '"bob"/>'))
    patch = run(["crm_diff", "-o", str(cib), "-n", str(new)])
    assert patch.code == 1
    assert on(cib, "cibadmin", "-P", "-X", patch.text) == Ran(0, "", "")
    assert '<node id="1" uname="bob"/>' in cib.read_text()
    after = cib.read_text()
    ran = on(cib, "cibadmin", "-P", "-p", given=patch.text.encode())
    text = "Could not apply patch: the patch is for version 0.12.34, the CIB has 0.14.0\n"
    assert (ran.code, ran.text) == (103, text)
    assert cib.read_text() == after


def test_a_running_clusters_status_stays_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Running(xml.parse(CIB, "cib"))
    status = cluster.cib.child("status")
    monkeypatch.setattr(cibadmin, "chosen", lambda: cluster)
    given = CIB.replace(' epoch="12"', ' epoch="13"').replace('uname="alice"', 'uname="bob"')
    assert run(["cibadmin", "-R", "-p"], given=given.encode()).code == 0
    assert (cluster.cib.get("epoch"), cluster.cib.child("status")) == ("13", status)
    assert run(["cibadmin", "-E", "-f"]).code == 0
    assert cluster.cib.children == (*objects.empty().children[:1], status)


def test_one_of_several_values_must_be_named(cib: Path) -> None:
    several = (
        "Multiple attributes match name=stonith-enabled\n"
        "  Value: false \t(id=p1)\n  Value: true \t(id=p2)\n"
        "crm_attribute: Please choose from one of the matches below and supply the 'id' with "
        "--attr-id\n"
    )
    for what in (["-v", "true"], ["-D"]):
        ran = on(cib, "crm_attribute", "-n", "stonith-enabled", *what)
        assert (ran.code, ran.text) == (109, several)
    assert cib.read_text() == CIB
    assert on(cib, "crm_attribute", "-n", "stonith-enabled", "-i", "p1", "-v", "true").code == 0
    assert 'id="p1" name="stonith-enabled" value="true"' in cib.read_text()
    ran = on(cib, "crm_attribute", "-n", "stonith-enabled", "-s", "more", "-D")
    said = "Deleted crm_config option: id=p2 set=more name=stonith-enabled\n"
    assert (ran.code, ran.text) == (0, said)


def test_values_that_mean_nothing_are_refused(cib: Path) -> None:
    ran = on(cib, "crm_attribute", "-n", "no-quorum-policy", "-v", "perhaps")
    assert ran.code == 78
    assert "no-quorum-policy" in ran.text
    assert cib.read_text() == CIB


def test_a_pattern_changes_all_that_match_and_do_not_last(cib: Path) -> None:
    words = ["crm_attribute", "-N", "alice", "-l", "reboot", "-P", "^fail-count-ip#"]
    assert on(cib, *words, "-G", "-q").text == "3\nINFINITY\n"
    assert on(cib, *words, "-v", "value++").code == 0
    assert on(cib, *words, "-G", "-q").text == "4\n1000000\n"
    assert on(cib, *words, "-D").text == (
        "Deleted status attribute: id=f1 name=fail-count-ip#monitor_10000\n"
        "Deleted status attribute: id=f2 name=fail-count-ip#start_0\n"
    )
    assert ' epoch="12" num_updates="36"' in cib.read_text()


def test_failures_are_added_up_and_forgotten(cib: Path) -> None:
    words = ["crm_failcount", "-r", "ip", "-N", "alice"]
    assert on(cib, *words, "-G").text == "scope=status  name=fail-count-ip value=INFINITY\n"
    one = on(cib, *words, "-G", "-n", "monitor", "-I", "10s")
    assert one.text == "scope=status  name=fail-count-ip#monitor_10000 value=3\n"
    assert on(cib, *words, "-D") == Ran(0, "Cleaned up ip on alice\n", "")
    text = cib.read_text()
    assert ("-ip#" in text, "-ipx#" in text) == (False, True)
    assert ('<lrm_resource id="ip"/>' in text, '<lrm_resource id="ipx"/>' in text) == (False, True)
    assert on(cib, *words, "-v", "0").code == 0


def test_standby_until_the_next_start_is_forgotten_apart(cib: Path) -> None:
    alice = ["crm_standby", "-N", "ALICE"]
    assert on(cib, *alice).text == "scope=status  name=standby value=off\n"
    assert on(cib, *alice, "-v", "on", "-l", "reboot").code == 0
    assert on(cib, *alice, "-G", "-q").text == "on\n"
    assert on(cib, *alice, "-v", "on").code == 0
    assert on(cib, *alice, "-D").text == (
        "Deleted nodes attribute: id=nodes-1-standby name=standby\n"
        "Deleted status attribute: id=status-1-standby name=standby\n"
    )
    assert on(cib, *alice, "-D") == Ran(0, "", "")


def test_a_ticket_is_granted_by_force_only(cib: Path) -> None:
    ran = on(cib, "crm_ticket", "-t", "t", "-g")
    assert (ran.code, ran.errors) == (4, "crm_ticket: Ticket modification not allowed\n")
    assert cib.read_text() == CIB
    assert on(cib, "crm_ticket", "-t", "t", "-g", "-f") == Ran(0, "", "")
    assert on(cib, "crm_ticket", "-t", "t", "-G", "granted").text == "true\n"
    assert on(cib, "crm_ticket", "-t", "t", "-s").code == 0
    assert on(cib, "crm_ticket", "-t", "t", "-D", "standby").code == 0
    assert on(cib, "crm_ticket", "-t", "t", "-C").code == 4
    assert on(cib, "crm_ticket", "-t", "t", "-r", "-f").code == 0
    assert on(cib, "crm_ticket", "-t", "t", "-C").text == "Cleaned up t\n"


def test_a_copy_is_changed_shown_and_committed(cib: Path) -> None:
    assert on(cib, "crm_shadow", "-b", "-c", "try").code == 0
    environment = {
        "CIB_file": str(cib),
        "CIB_shadow_dir": str(cib.parent),
        "CIB_shadow": "try",
        "EDITOR": "sed -i s/IPaddr2/IPaddr/",
    }
    copy = cib.parent / "shadow.try"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o640
    constraint = '<rsc_location id="l" rsc="ip" node="alice" score="1"/>'
    assert run(["cibadmin", "-C", "-o", "constraints", "-X", constraint], environment).code == 0
    assert run(["crm_shadow", "-E"], environment).code == 0
    assert cib.read_text() == CIB
    primitive = "/cib/configuration/resources/primitive[@id='ip']"
    assert run(["crm_shadow", "-d"], environment) == Ran(
        1,
        "Diff: --- 0.12.34 2\nDiff: +++ 0.13.0 (null)\n"
        "+  /cib:  @epoch=13, @num_updates=0\n"
        f"+  {primitive}:  @type=IPaddr\n"
        f"++ /cib/configuration/constraints:  {constraint}\n",
        "",
    )
    assert run(["crm_shadow", "-b", "-e", "other"], environment).code == 64
    assert run(["crm_shadow", "-b", "-C", "try", "-f"], environment).code == 0
    assert constraint in cib.read_text()
    assert ' epoch="14" num_updates="0"' in cib.read_text()
    assert run(["crm_shadow", "-b", "-r", "try"], environment).code == 0
    assert run(["crm_shadow", "-d"], environment) == Ran(0, "", "")
    assert run(["crm_shadow", "-b", "-D", "try", "-f"], environment).code == 0
    assert not copy.exists()


def test_without_batch_a_shell_uses_the_copy(cib: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, list[str], str, str]] = []

    def execve(shell: str, words: list[str], environment: dict[str, str]) -> None:
        started.append((shell, words, environment["CIB_shadow"], environment["PS1"]))

    monkeypatch.setattr(os, "execve", execve)
    words = ["crm_shadow", "-c", "try"]
    environment = {"CIB_file": str(cib), "CIB_shadow_dir": str(cib.parent), "SHELL": "/bin/sh"}
    ran = run(words, environment)
    assert ran.text == "Setting up shadow instance\nType Ctrl-D to exit the crm_shadow shell\n"
    assert started == [("/bin/sh", ["/bin/sh"], "try", "shadow[try] # ")]


XML_LIKE = st.lists(
    st.sampled_from(
        [
            *("<primitive", ' id="ip"', ' id="', "<", ">", "/>", "</primitive>", "<cib>", "</cib>"),
            *(
                "<resources>",
                "</resources>",
                "&lt;",
                "&x;",
                "<!DOCTYPE x>",
                "<?x?>",
                "x",
                '"',
                "\0",
            ),
            *(
                "<!--",
                "-->",
                "<![CDATA[",
                "]]>",
                ' class="ocf"',
                "\n",
                "<op",
                ' xmlns:a="b"',
                "a:b",
            ),
        ]
    ),
    max_size=8,
).map("".join)
CODES = {0, 1, 70, 78, 103, 105, 108}


@settings(max_examples=150)
@given(
    XML_LIKE,
    st.sampled_from(["-C", "-M", "-R", "-D", "-P", "-5", "-6"]),
    st.sampled_from([[], ["-o", "resources"], ["-A", "//primitive"], ["-o", "all", "-c"]]),
)
def test_any_data_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str, action: str, more: list[str]
) -> None:
    cib = tmp_path_factory.getbasetemp() / "fuzzed.xml"
    cib.write_text(CIB)
    ran = on(cib, "cibadmin", action, *more, "-p", given=text.encode())
    assert ran.code in CODES
    assert xml.parse(cib.read_bytes(), "cib").tag == "cib"
    if ran.code:
        assert cib.read_text() == CIB
