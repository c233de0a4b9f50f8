"""`crm_verify`: exit codes and messages, whole CIBs and parts of them, in both dialects."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from standfest.cli.tools import crm_verify

HEAD = (
    '<cib validate-with="pacemaker-3.9" epoch="1" num_updates="0" admin_epoch="0" have-quorum="1">'
    "<configuration><crm_config>"
)
FENCING = '<cluster_property_set id="o"><nvpair id="s" name="stonith-enabled" value="{}"/>'
REST = """</cluster_property_set></crm_config><nodes><node id="1" uname="n1"/></nodes><resources>
<primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr2"/></resources><constraints/>
</configuration><status>{}</status></cib>"""
LOST = '<node_state id="1" uname="n1" in_ccm="false" crmd="offline" join="down" expected="member"/>'
THERE = '<node_state id="1" uname="n1" in_ccm="true" crmd="online" join="member"/>'
SOUND = HEAD + FENCING.format("false") + REST.format(THERE)
UNFENCED = HEAD + FENCING.format("true") + REST.format(THERE)
LEGACY = """<?xml version="1.0"?>
<primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr">
  <instance_attributes id="ip-a"><attributes>
    <nvpair id="ip-ip" name="ip" value="10.0.0.1"/>
  </attributes></instance_attributes>
  <operations><op id="ip-m" name="monitor" interval="{}"/></operations>
</primitive>
"""
INVALID = "crm_verify: Errors found during check: config not valid\n"
MORE = "-V may provide more details\n"


def said(*words: str, text: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(crm_verify.command, list(words), input=text)
    return result.exit_code, result.output


def test_a_sound_cib_is_no_word(tmp_path: Path) -> None:
    file = tmp_path / "cib.xml"
    file.write_text(SOUND, encoding="utf-8")
    assert said("-x", str(file)) == (0, "")
    assert said("--xml-file", str(file), "--verbose") == (0, "")
    assert said("-X", SOUND) == (0, "")
    assert said("-p", text=SOUND) == (0, "")


def test_nothing_would_start_without_fencing_and_devices() -> None:
    assert said("-X", UNFENCED) == (78, INVALID + MORE)
    assert said("-X", UNFENCED, "-V") == (
        78,
        "error: Resource start-up disabled since no STONITH resources have been defined\n"
        "error: Either configure some or disable STONITH with the stonith-enabled option\n"
        "error: NOTE: Clusters with shared data need STONITH to ensure data integrity\n" + INVALID,
    )


def test_a_lost_node_is_a_warning() -> None:
    device = '<primitive id="f" class="stonith" type="fence_dummy"/></resources>'
    lost = (HEAD + FENCING.format("true") + REST.format(LOST)).replace("</resources>", device)
    code, output = said("-X", lost, "-V")
    assert code == 78
    assert output == (
        "warning: Cluster node n1 will be fenced: peer is no longer part of the cluster\n"
        "crm_verify: Warnings found during check: config may not be valid\n"
    )


def test_an_element_alone_is_checked_in_either_dialect(tmp_path: Path) -> None:
    file = tmp_path / "ip.xml"
    file.write_text(LEGACY.format("10s"), encoding="utf-8")
    words = ("--verbose", "--xml-file", str(file))
    assert said(*words) == (0, f"{file}: <primitive> is valid\n")
    assert said(*words[1:]) == (0, "")
    file.write_text(LEGACY.format("soon"), encoding="utf-8")
    code, output = said(*words)
    assert code == 78
    assert output.startswith(f"error: {file}:6: ")
    assert "'soon'" in output
    file.write_text('<constraints><rsc_location id="l" rsc="elsewhere" node="n1" score="1"/>')
    assert said("-x", str(file))[0] == 78  # it is not closed
    file.write_text('<rsc_location id="l" rsc="elsewhere" node="n1" score="1"/>')
    assert said(*words) == (0, f"{file}: <rsc_location> is valid\n")
    file.write_text("<primitve id='ip'/>")
    code, output = said(*words)
    assert code == 78
    assert "root element <primitve>" in output


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (('validate-with="pacemaker-3.9"', 'validate-with="pacemaker-9"'), 1),
        (("<nodes>", "<nodes><nod/>"), 1),
        (('type="IPaddr2"', 'type="IPaddr2" typ="x"'), 2),
        (("<constraints/>", "<constrains/>"), 2),
    ],
)
def test_what_the_schema_forbids_is_an_error(change: tuple[str, str], line: int) -> None:
    code, output = said("-X", SOUND.replace(*change), "-V")
    assert code == 78
    assert output.startswith(f"error: the given text:{line}: ")
    assert output.endswith(INVALID)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "No configuration source specified.  Use --help for usage information."),
        (
            ("-x", "/nonexistent.xml"),
            "Couldn't parse input file: /nonexistent.xml (No such file or directory)",
        ),
        (("-X", "garbage"), "Couldn't parse input string: garbage"),
        (("-p",), "Couldn't parse input from STDIN."),
    ],
)
def test_what_cannot_be_read_is_one(words: tuple[str, ...], text: str) -> None:
    assert said(*words) == (1, f"crm_verify: {text}\n")


def test_what_was_checked_can_be_kept(tmp_path: Path) -> None:
    kept = tmp_path / "kept.xml"
    assert said("-X", SOUND, "-S", str(kept)) == (0, "")
    assert kept.read_text(encoding="utf-8") == SOUND
    code, output = said("-X", SOUND, "-S", "/nonexistent/kept.xml")
    assert code == 73
    assert output == (
        "crm_verify: /nonexistent/kept.xml: No such file or directory; expected a file to write\n"
    )


def test_the_result_can_be_xml(tmp_path: Path) -> None:
    file = tmp_path / "cib.xml"
    file.write_text(UNFENCED, encoding="utf-8")
    code, output = said("-x", str(file), "--output-as=xml")
    assert code == 78
    assert output == INVALID + MORE + (
        f'<pacemaker-result api-version="2.25" request="crm_verify -x {file} --output-as=xml">\n'
        '  <status code="78" message="Invalid configuration"/>\n</pacemaker-result>\n'
    )


def test_live_check_reads_the_file_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cib.xml"
    file.write_text(SOUND, encoding="utf-8")
    monkeypatch.setenv("CIB_file", str(file))
    assert said("--live-check") == (0, "")
    file.write_text(UNFENCED, encoding="utf-8")
    assert said("-L") == (78, INVALID + MORE)
    monkeypatch.delenv("CIB_file")
    monkeypatch.setenv("STANDFEST_RUN_DIR", str(tmp_path))
    code, output = said("-L")
    assert code == 102
    assert output.startswith("Could not connect to the cluster: ")
