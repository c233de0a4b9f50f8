"""`stonith_admin` changes: devices and levels in a file and live, the history that is forgotten."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.canned_daemon import CannedDaemon, serving

from standfest.cli.tools import stonith_admin
from standfest.model import xml
from standfest.model.errors import Ground
from standfest.runtime import frames
from standfest.runtime.cluster import protocol

CIB = """<cib crm_feature_set="3.16.1" validate-with="pacemaker-3.9" admin_epoch="0" epoch="5"
 num_updates="0"><configuration><crm_config/>
<nodes><node id="1" uname="n1"/><node id="2" uname="n2"/></nodes><resources>
<primitive id="power" class="stonith" type="fence_x"><instance_attributes id="pi">
<nvpair id="pi1" name="pcmk_host_list" value="n1"/></instance_attributes></primitive>
<clone id="shared"><primitive id="other" class="stonith" type="fence_x"/></clone>
<primitive id="web" class="ocf" provider="pacemaker" type="Dummy"/>
</resources><constraints/></configuration>
<status><node_state id="1" uname="n1"><lrm id="1"><lrm_resources>
<lrm_resource id="gone" class="stonith" type="fence_x"/></lrm_resources></lrm></node_state>
</status></cib>"""
LASTS = (
    "stonith_admin: the configuration is changed, for all nodes and for good, "
    "not one node's fencer for a time\n"
)
Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs a command line; it returns exit code, standard output, standard error."""

    def run(words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            stonith_admin.command.main(words.split(), prog_name="stonith_admin")
        written = capsys.readouterr()
        return int(ended.value.code or 0), written.out, written.err

    return run


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cib.xml"
    path.write_text(CIB)
    monkeypatch.delenv("CIB_shadow", raising=False)
    monkeypatch.setenv("CIB_file", str(path))
    return path


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CannedDaemon]:
    for name in ("CIB_file", "CIB_shadow"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STANDFEST_RUN_DIR", str(tmp_path))
    with serving(tmp_path, CIB) as served:
        yield served


def section(path: Path, tag: str) -> list[str]:
    """Return the children of a section, each in one line."""
    found = next(e for e in xml.parse(path.read_text(), "test").walk() if e.tag == tag)
    return [xml.serialise(child, indent=0).replace("\n", "") for child in found.children]


# --- devices -------------------------------------------------------------------------------------


def test_a_device_is_registered_with_its_parameters(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCF_RESKEY_passwd", "a b")
    words = "-R gone -a fence_xvm -o pcmk_host_list=n2 -o odd/name=x=y -e passwd"
    assert run(words) == (0, "", LASTS)
    assert section(file, "resources")[-1] == (
        '<primitive id="gone" class="stonith" type="fence_xvm">'
        '<instance_attributes id="gone-instance_attributes">'
        '<nvpair id="gone-instance_attributes-pcmk_host_list" name="pcmk_host_list" value="n2"/>'
        '<nvpair id="gone-instance_attributes-odd-name" name="odd/name" value="x=y"/>'
        '<nvpair id="gone-instance_attributes-passwd" name="passwd" value="a b"/>'
        "</instance_attributes></primitive>"
    )
    assert 'epoch="6"' in file.read_text()
    assert run("-L")[1] == "power\nother\ngone\n3 fence devices found\n"
    assert run(words) == (0, "", "")  # it is there: nothing changes
    assert 'epoch="6"' in file.read_text()


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ("-R web -a fence_x", 108, "stonith_admin: the id web is taken by a <primitive>"),
        ("-R power -a fence_x", 108, "stonith_admin: the id power is taken by a <primitive>"),
        ("-R pi -a fence_x", 108, "stonith_admin: the id pi is taken by a <instance_attributes>"),
        ("-R new", 64, "Please specify an agent to query using -a,--agent [value]"),
        ("-R new -a x -o y", 64, "stonith_admin: Invalid option: -o/--option; expected NAME="),
        ("-R new -a x -e none", 64, "stonith_admin: Invalid option: -e none; expected a variable"),
        ("-R 1:2 -a fence_x", 78, "id="),
        ("-D nosuch", 105, "stonith_admin: no fence device nosuch"),
        ("-D web", 105, "stonith_admin: no fence device web"),
        ("-D gone", 105, "stonith_admin: no fence device gone"),
        ("-r n1 -i 0 -v power", 70, "stonith_admin: level 0 for n1; expected 1..9"),
        ("-r n1 -i 10 -v power", 70, "stonith_admin: level 10 for n1; expected 1..9"),
        ("-r n1 -i x -v power", 64, "stonith_admin: Invalid value for '-i' / '--index': 'x'"),
        ("-r n1 -v power", 64, "stonith_admin: --register-level without --index"),
        ("-r n1 -i 1", 64, "stonith_admin: --register-level without --device"),
        ("-r n1 -i 1 -v power -v web", 105, "stonith_admin: no fence device web"),
        ("-r @[ -i 1 -v power", 78, "target-pattern of fl--1 is ["),
        ("-d n1 -i 10", 70, "stonith_admin: level 10 for n1; expected 1..9"),
        ("-d n1 -i 1", 105, "stonith_admin: no level 1 for n1"),
        ("-d n1", 105, "stonith_admin: no level for n1"),
    ],
)
def test_what_cannot_be_changes_nothing(
    words: str, code: int, text: str, run: Run, file: Path
) -> None:
    found = run(words)
    assert (found[0], found[1]) == (code, "")
    assert text in found[2]
    assert file.read_text() == CIB


def test_a_device_is_taken_out_with_what_is_around_it_alone(run: Run, file: Path) -> None:
    assert run("-D other -q") == (0, "", "")
    assert [line.split()[1] for line in section(file, "resources")] == ['id="power"', 'id="web"']


def test_a_device_of_a_level_stays(run: Run, file: Path) -> None:
    assert run("-r n1 -i 1 -v power -q")[0] == 0
    code, _, err = run("-D power")
    assert code == 78
    assert "fl-n1-1 names the device power; expected other" in err
    assert len(section(file, "resources")) == 3


# --- levels --------------------------------------------------------------------------------------


def test_levels_are_registered_and_deregistered(run: Run, file: Path) -> None:
    assert run("-r n1 -i 1 -v power") == (0, "", LASTS)
    assert run("-r n1 -i 1 -v power") == (0, "", "")
    for words in (
        "-r n1 -i 1 -v other -v power",  # comes to what is there
        "-r n1 -i 2 -v power",
        "-r @n.* -i 1 -v power -v other -v power",
        "-r rack=1 -i 9 -v other",
    ):
        assert run(words) == (0, "", LASTS)
    assert section(file, "fencing-topology") == [
        '<fencing-level id="fl-n1-1" target="n1" index="1" devices="power,other"/>',
        '<fencing-level id="fl-n1-2" target="n1" index="2" devices="power"/>',
        '<fencing-level id="fl-n.-1" target-pattern="n.*" index="1" devices="power,other"/>',
        '<fencing-level id="fl-rack-1-9" target-attribute="rack" target-value="1" index="9"'
        ' devices="other"/>',
    ]
    assert run("-d n1 -i 2")[0] == 0
    assert [line.split()[1] for line in section(file, "fencing-topology")] == [
        'id="fl-n1-1"',
        'id="fl-n.-1"',
        'id="fl-rack-1-9"',
    ]
    for target in ("@n.*", "rack=1", "n1"):
        assert run(f"-d {target}")[0] == 0
    assert section(file, "fencing-topology") == []


def test_without_an_index_all_levels_of_the_target_go(run: Run, file: Path) -> None:
    for words in ("-r n1 -i 1 -v power", "-r n1 -i 2 -v other", "-r n2 -i 1 -v other"):
        assert run(words)[0] == 0
    assert run("-d n1")[0] == 0
    assert [line.split()[1] for line in section(file, "fencing-topology")] == ['id="fl-n2-1"']


def test_live_it_is_a_patch(run: Run, daemon: CannedDaemon) -> None:
    assert run("-R new -a fence_xvm -o pcmk_host_list=n2") == (0, "", LASTS)
    assert run("-r n2 -i 1 -v new --output-as=xml")[0] == 0
    assert [type(r) for r in daemon.requests] == [protocol.ChangeConfiguration] * 2
    assert {r.client for r in daemon.requests if isinstance(r, protocol.ChangeConfiguration)} == {
        "stonith_admin"
    }
    assert [e.get("devices") for e in daemon.cib.walk() if e.tag == "fencing-level"] == ["new"]
    for ground, code in (
        (Ground.NONE, 78),
        (Ground.OVERTAKEN, 103),
        (Ground.NO_QUORUM, 106),
        (Ground.NOT_ALLOWED, 77),
        (Ground.NO_ANSWER, 124),
        (Ground.NO_SUCH, 105),
    ):  # whatever the words are
        refusal = frames.Reply(False, "no quorum, no node, no answer; it may not", ground)
        daemon.answer = lambda _, refusal=refusal: refusal  # type: ignore[misc]
        assert run("-D new") == (code, "", "no quorum, no node, no answer; it may not\n")


# --- history -------------------------------------------------------------------------------------


def test_the_history_is_forgotten_in_pacemakers_words(run: Run, daemon: CannedDaemon) -> None:
    assert run("-H * -c") == (0, "cleaning up fencing-history for node *\n", "")
    assert run("--history=n1 --cleanup --quiet") == (0, "", "")
    assert daemon.commands == [
        frames.Command("fence-forget"),
        frames.Command("fence-forget", node="n1"),
    ]
    code, out, _ = run("-H n1 -c --output-as=xml")
    assert (code, "cleaning" in out, '<status code="0" message="OK"/>' in out) == (0, False, True)
    text = "no node n9; expected one of: n1, n2"
    daemon.answer = lambda _: frames.Reply(False, text, Ground.NO_SUCH)
    assert run("-H n9 -c -q") == (
        105,
        "",
        "stonith_admin: no node n9; expected one of: n1, n2\n",
    )
