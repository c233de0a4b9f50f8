"""`crm_resource` on files: each refusal with its words and exit code, agents, what differs."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from standfest.adapters.linux import agentlist, agentrunner
from standfest.cli.main import TOOLS
from standfest.cli.tools import crm_resource, resource_agents
from standfest.cli.tools.crm_resource import COMMANDS, NEED_RESOURCE
from standfest.model import xml
from standfest.model.errors import OperationError
from standfest.model.operations import Agent

SCHEMA = next(
    (
        place
        for parent in Path(__file__).resolve().parents
        if (
            place := parent / "shared/facts/formats/schemas/pacemaker-2.1.5/api/api-result.rng"
        ).is_file()
    ),
    Path("absent"),
)
OPERATION = (
    'rc-code="0" op-status="0" interval="0" transition-key="1:1:0:u" transition-magic="0:0;1:1:0:u"'
)
CIB = f"""<cib crm_feature_set="3.16.1" validate-with="pacemaker-3.9" epoch="5" num_updates="0"
 admin_epoch="0"><configuration>
<crm_config><cluster_property_set id="o"><nvpair id="o1" name="stonith-enabled" value="false"/>
</cluster_property_set></crm_config>
<nodes><node id="1" uname="n1"/><node id="2" uname="n2"/></nodes>
<resources>
<primitive id="a" class="ocf" provider="test" type="Good">
<instance_attributes id="a-i"><nvpair id="a-i1" name="x" value="1"/>
</instance_attributes>
<instance_attributes id="a-j"><nvpair id="a-j1" name="x" value="2"/></instance_attributes>
</primitive>
<primitive id="bad" class="ocf" provider="test" type="Bad"/>
<primitive id="slow" class="ocf" provider="test" type="Slow"/>
<primitive id="gone" class="ocf" provider="test" type="Gone"/>
<group id="g"><primitive id="g1" class="ocf" provider="test" type="Good"/></group>
<clone id="c"><primitive id="p" class="ocf" provider="test" type="Good"/></clone>
<clone id="u"><meta_attributes id="um"><nvpair id="um1" name="globally-unique" value="true"/>
</meta_attributes><primitive id="q" class="ocf" provider="test" type="Good"/></clone>
<clone id="pr"><meta_attributes id="prm"><nvpair id="prm1" name="promotable" value="true"/>
</meta_attributes><primitive id="pp" class="ocf" provider="test" type="Good"/></clone>
</resources>
<constraints><rsc_location id="some" rsc="u"><rule id="some-r" score="3" boolean-op="or">
<expression id="some-e" attribute="#uname" operation="defined"/></rule></rsc_location>
<rsc_location id="all" rsc="u"><rule id="all-r" score="4">
<expression id="all-e" attribute="#uname" operation="defined"/></rule></rsc_location>
<rsc_location id="l" rsc="g" node="n1" score="5"/>
<rsc_location id="cli-ban-a-on-n2" rsc="a" role="Started"><rule id="r" score="-INFINITY">
<expression id="e" attribute="#uname" operation="eq" value="n2"/>
<date_expression id="d" operation="lt" end="2020-01-01 00:00:00Z"/></rule></rsc_location>
</constraints>
</configuration><status>
<node_state id="1" uname="n1" in_ccm="true" crmd="online" join="member" expected="member">
<lrm id="1"><lrm_resources>
<lrm_resource id="a" class="ocf" provider="test" type="Good"><lrm_rsc_op id="a_last_0"
 operation_key="a_start_0" operation="start" call-id="1" {OPERATION}/></lrm_resource>
<lrm_resource id="p" class="ocf" provider="test" type="Good"><lrm_rsc_op id="p_last_0"
 operation_key="p_start_0" operation="start" call-id="2" {OPERATION}/></lrm_resource>
</lrm_resources></lrm></node_state>
<node_state id="2" uname="n2" in_ccm="true" crmd="online" join="member" expected="member">
<lrm id="2"><lrm_resources>
<lrm_resource id="p" class="ocf" provider="test" type="Good"><lrm_rsc_op id="p_last_0"
 operation_key="p_start_0" operation="start" call-id="2" {OPERATION}/></lrm_resource>
</lrm_resources></lrm></node_state>
</status></cib>"""
AGENTS = {
    "Good": "#!/bin/sh\necho said on the way\n[ \"$1\" = meta-data ] && echo '<resource-agent/>'\n"
    "exit 0\n",
    "Bad": "#!/bin/sh\necho 'ocf-exit-reason:no address' >&2\nexit 6\n",
    "Slow": "#!/bin/sh\nexec sleep 20\n",
}
PERFORMING = "crm_resource: Error performing operation: "
NO_RESOURCE = "crm_resource: Must supply a resource id with -r\n"
NOT_FOUND = (
    "crm_resource: Resource 'nosuch' not found\nError performing operation: No such object\n"
)
NO_NODE = "crm_resource: Node 'nosuch' not found\nError performing operation: No such object\n"
INSTANCE = (
    "crm_resource: Cannot operate on clone resource instance 'p:0'\n"
    "Error performing operation: Invalid parameter\n"
)
NOT_MOVED = (
    "crm_resource: Resource 'c' not moved: active in 2 locations.\n"
    "To prevent 'c' from running on a specific location, specify a node.\n"
)
NO_DURATION = (
    "Invalid duration specified: 10m\nPlease refer to "
    "https://en.wikipedia.org/wiki/ISO_8601#Durations for examples of valid durations\n"
)
REFUSALS = [
    *((f"--{name.replace('_', '-')} -m", 64, NO_RESOURCE) for name in sorted(
        NEED_RESOURCE - {"get_parameter", "get_property", "set_parameter", "delete_parameter",
                         "set_property"}
    )),
    ("-p x -v 1", 64, NO_RESOURCE),
    ("-g x", 64, NO_RESOURCE),
    ("-U", 64, NO_RESOURCE),
    ("--validate", 64, NO_RESOURCE),
    ("-F -r a", 64, "crm_resource: Must supply a node name with -N\n"),
    ("--digests -r a", 64, "crm_resource: Must supply a node name with -N\n"),
    ("-r a -p x", 64, "crm_resource: You need to supply a value with the -v option\n"),
    ("-W -r nosuch", 105, NOT_FOUND),
    ("-W -r q", 105, "crm_resource: Resource 'q' not found\n"
     "Error performing operation: No such object\n"),
    ("-O -N nosuch", 105, NO_NODE),
    ("-M -r a -N nosuch", 105, NO_NODE),
    ("-M -r p:0 -N n1", 2, INSTANCE),
    ("-U -r p:0", 2, INSTANCE),
    ("-M -r c", 64, NOT_MOVED),
    ("-B -r c", 64, NOT_MOVED),
    ("-M -r a -N n1", 108, f"{PERFORMING}Requested item already exists\n"),
    ("-M -r a -N n2 -u 10m", 64, NO_DURATION),
    ("-r a -p x -v 3", 109, f"{PERFORMING}Multiple items match request\n"),
    ("-D -r a", 105, "crm_resource: You need to specify a resource type with -t\n"
     "Error performing operation: No such object\n"),
    ("-r a -S class -v lsb", 105, "crm_resource: Must specify -t with resource type\n"
     "Error performing operation: No such object\n"),
    ("-r a -S class -t primitive", 64,
     "crm_resource: You need to supply a value with the -v option\n"),
    ("-r a -S class -v lsb -t group", 105, f"{PERFORMING}No such object\n"),
    ("--restart -r a", 69, "crm_resource: --restart: nothing is stopped or started in a file\n"),
    ("--wait", 69, "crm_resource: --wait: nothing happens in a file\n"),
    ("-L one two", 64,
     "crm_resource: non-option ARGV-elements:\n[1 of 2] one\n[2 of 2] two\n\n"),
    ("-M -r a -N n2 b=c", 64, "crm_resource: non-option ARGV-elements:\n[1 of 1] b=c\n\n"),
    ("-C -r a -n monitor -I 10q", 64,
     "crm_resource: interval 10q; expected a time, e.g. 10s\n"),
    ("--wait -T soon", 64, "crm_resource: timeout soon; expected a time, e.g. 30s\n"),
    ("--list-agents nosuch", 1, "crm_resource: No agents found for standard 'nosuch'\n"
     "Error performing operation: Error occurred\n"),
    ("--list-agents ocf:nosuch", 1,
     "crm_resource: No agents found for standard 'ocf' and provider 'nosuch'\n"
     "Error performing operation: Error occurred\n"),
    ("--list-ocf-alternatives nosuch", 105, "crm_resource: No OCF providers found for nosuch\n"
     "Error performing operation: No such object\n"),
    ("--show-metadata Good", 105, "crm_resource: 'Good' is not a valid agent specification\n"
     "Error performing operation: No such object\n"),
    ("--show-metadata ocf:Good", 105, "crm_resource: 'ocf:Good' is not a valid agent "
     "specification\nError performing operation: No such object\n"),
    ("--show-metadata lsb:x", 105, "crm_resource: Metadata query for lsb:x failed: agents of "
     "class lsb say nothing of themselves\nError performing operation: No such object\n"),
    ("--force-check -r g", 3, "Sorry, the force-check option doesn't support group resources\n"
     f"{PERFORMING}Unimplemented\n"),
    ("--force-check=x -r a", 64, "crm_resource: Invalid check level setting: x\n"),
    ("--validate -r a --class ocf", 64, "crm_resource: --resource cannot be used with --class, "
     "--agent, and --provider\n"),
    ("--validate --class ocf --provider test --agent Gone", 64,
     "crm_resource: ocf:test:Gone is not a known resource\n"),
    ("--validate --class stonith --agent fence_gone", 64,
     "crm_resource: fence_gone is not a known stonith agent\n"),
    ("--validate --class ocf --provider test --agent Good --option x", 64,
     "crm_resource: Error parsing option --option\n"),
    ("-r g -z -p cpu -v 1", 78, "crm_resource: utilization of group g; expected a primitive\n"
     f"{PERFORMING}Invalid configuration\n"),
]  # fmt: skip


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A CIB in a file, and three agents of a provider of their own."""
    found = tmp_path / "cib.xml"
    found.write_text(CIB)
    monkeypatch.setenv("CIB_file", str(found))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    folder = tmp_path / "ocf/resource.d/test"
    folder.mkdir(parents=True)
    for name, script in AGENTS.items():
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    (folder / "notes").write_text("no agent")
    for module in (agentlist, agentrunner):
        monkeypatch.setattr(module, "OCF_ROOT", tmp_path / "ocf")
    yield found
    monkeypatch.undo()
    time.tzset()


class Runner:
    """Runs a command line; returns exit code, standard output, standard error."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            crm_resource.command.main(words.split(), prog_name="crm_resource")
        written = self._capsys.readouterr()
        return int(ended.value.code or 0), written.out, written.err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(capsys)


@pytest.mark.parametrize(("words", "code", "text"), REFUSALS)
def test_a_refusal_changes_nothing_and_says_why(
    file: Path, run: Runner, words: str, code: int, text: str
) -> None:
    before = file.read_text()
    ended, _, err = run(words)
    assert (ended, err) == (code, text)
    assert file.read_text() == before


def test_what_the_result_could_not_be_is_said_line_by_line(file: Path, run: Runner) -> None:
    before = file.read_text()
    code, out, err = run("-D -r g -t group")
    assert (code, out) == (78, "")
    assert "<rsc_location id=l>: rsc is 'g', which nothing has as its id" in err
    assert err.endswith(f"\n{PERFORMING}Invalid configuration\n")
    assert err.count("\n") == 2
    assert file.read_text() == before


def test_errors_in_xml_stand_in_the_status(file: Path, run: Runner) -> None:
    assert file.is_file()
    code, out, err = run("-W -r nosuch --output-as=xml")
    assert (code, err) == (105, "")
    assert xml.parse(out, "out").children[0] == xml.parse(
        '<status code="105" message="No such object"><errors><error>crm_resource: Resource '
        "'nosuch' not found\nError performing operation: No such object</error></errors></status>",
        "expected",
    )


def test_a_clone_is_where_its_instances_are_the_last_first(file: Path, run: Runner) -> None:
    assert file.is_file()
    lines = "resource {0} is running on: n2\nresource {0} is running on: n1\n"
    assert run("-W -r c")[1] == lines.format("c")
    assert run("-W -r p")[1] == lines.format("p")
    assert run("-W -r p:1")[1] == "resource p:1 is running on: n2\n"


def test_constraints_are_listed_as_2_1_5_lists_them(file: Path, run: Runner) -> None:
    assert file.is_file()
    assert run("-a -r u")[1].splitlines() == [
        "Locations:",
        "  * Node n2 (score=4, id=all-r, rsc=u)",
        "  * Node n1 (score=4, id=all-r, rsc=u)",
        "  * Node n1 (score=3, id=some-r, rsc=u)",
        "  * Node n2 (score=3, id=some-r, rsc=u)",
    ]


def test_heartbeats_words_do_what_todays_do(file: Path, run: Runner) -> None:
    assert run("--migrate a --host-uname n2")[0] == 0
    assert 'id="cli-prefer-a" rsc="a" role="Started" node="n2"' in file.read_text()
    assert run("--un-migrate a") == (0, "Removing constraint: cli-prefer-a\n", "")
    assert run("--migrate p -H n1")[0] == 108
    assert run("-S description -v words -r a -t primitive")[0] == 0
    assert 'description="words"' in file.read_text()
    assert run("--set-parameter y --property-value 3 -r a")[0] == 0
    assert run("--delete --resource-type clone --resource pr") == (0, "", "")
    assert run("--get-parameter y --resource a")[1] == "3\n"
    assert run(f"-X {file} --list-raw")[1].split()[0] == "a"


def test_what_has_ended_is_cleared_of_one_resource_and_node(file: Path, run: Runner) -> None:
    """2.1.5 clears nothing when both are given."""
    assert run("-U -e -r a -N n1") == (0, "", "")
    assert run("-U -e -r a -N n2") == (0, "Removing constraint: cli-ban-a-on-n2\n", "")
    assert "cli-ban" not in file.read_text()


def test_on_a_file_cleaning_up_only_says_what_it_would_do(file: Path, run: Runner) -> None:
    """2.1.5 says the same and crashes then."""
    before = file.read_text()
    dry = "Dry run: skipping clean-up of {} due to CIB_file\n"
    assert run("-C") == (0, dry.format("all nodes"), "")
    assert run("-R -N n1") == (0, dry.format("n1"), "")
    assert run("-C -r a") == (0, "", dry.format("a on n1"))
    assert run("-R -r p -N n2")[2] == dry.format("p:0 on n2") + dry.format("p:1 on n2")
    assert run("-R -r g1 -f")[2] == dry.format("g1 on n2") + dry.format("g1 on n1")
    assert file.read_text() == before


def test_an_agent_is_run_here(file: Path, run: Runner) -> None:
    assert file.is_file()
    assert run("--force-start -r a") == (
        0,
        "Operation force-start for a (ocf:test:Good) returned 0 (ok)\nsaid on the way\n\n",
        "",
    )
    assert run("--force-check=10 -r p -Q") == (0, "", "")
    assert run("--force-stop -r bad") == (
        6,
        "Operation force-stop for bad (ocf:test:Bad) returned 6 (not configured: no address)\n"
        "ocf-exit-reason:no address\n\n",
        f"{PERFORMING}Not configured\n",
    )
    assert run("--force-check -r gone")[0] == 5
    assert run("--validate --class ocf --provider test --agent Good --option x=1")[0] == 0
    code, out, _ = run("--force-check -r bad --output-as=xml")
    assert code == 6
    status = next(e for e in xml.parse(out, "out").walk() if e.tag == "agent-status")
    assert status.get("reason") == "no address"


def test_an_agent_that_takes_too_long_is_killed(file: Path, run: Runner) -> None:
    assert file.is_file()
    began = time.monotonic()
    code, out, _ = run("--force-check -r slow -T 200ms")
    assert code == 1
    assert "returned 1 (error: no answer within 0.2 s)" in out
    assert time.monotonic() - began < 5


def test_what_runs_here_already_is_not_started_again(
    file: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert file.is_file()
    monkeypatch.setattr(resource_agents, "_here", lambda asked: asked.situation.cluster.node("n1"))
    code, _, err = run("--force-start -r c")
    assert code == 107
    assert err.startswith("It is not safe to start c here: the cluster claims it is already active")
    assert run("--force-start -r c --force")[0] == 0
    assert run("--force-stop -r c")[0] == 0


def test_agents_are_listed_by_what_is_there(file: Path, tmp_path: Path, run: Runner) -> None:
    assert file.is_file()
    root = tmp_path / "ocf"
    assert agentlist.providers(root=root) == ("test",)
    assert agentlist.providers("Gone", root) == ()
    assert agentlist.agents("ocf", "test", root) == ("Bad", "Good", "Slow")
    assert agentlist.agents("ocf", root=tmp_path / "none") == ()
    assert agentlist.is_installed(Agent("ocf", "Good", "test"), root)
    assert not agentlist.is_installed(Agent("ocf", "notes", "test"), root)
    assert agentlist.standards()[:3] == ("ocf", "lsb", "service")
    assert run("--show-metadata ocf:test:Good")[1] == "said on the way\n<resource-agent/>\n"
    with pytest.raises(OperationError, match="exit code 6; expected meta-data"):
        agentlist.metadata(Agent("ocf", "Bad", "test"))
    with pytest.raises(OperationError, match="no agent"):
        agentlist.metadata(Agent("ocf", "Gone", "test"))


def test_every_command_is_known_and_the_tool_is_registered() -> None:
    assert set(COMMANDS) > NEED_RESOURCE
    assert TOOLS["crm_resource"][0] == "standfest.cli.tools.crm_resource"


@pytest.mark.skipif(
    shutil.which("xmllint") is None or not SCHEMA.is_file(),
    reason="needs xmllint and ../shared/facts/formats/schemas",
)
def test_the_xml_is_what_the_schema_of_its_version_asks_for(
    file: Path, run: Runner, tmp_path: Path
) -> None:
    lines = (
        *("-L", "-l", "-O", "-Y", "-Y -r a -N n1", "-Y -N n1", "-W -r p", "-q -r a", "-q -r c"),
        *("-w -r p", "-g x -r a", "-g nosuch -r a", "-a -r g", "-A -r a", "--digests -r a -N n1"),
        *("--list-standards", "--force-check -r bad", "--validate -r a", "-C", "-R -r a"),
        *("-M -r a -N n2", "-B -r a", "-U -r a", "-r a -p z -v 1", "-r a -d z", "-W -r nosuch"),
    )
    files = []
    for number, words in enumerate(lines):
        files.append(tmp_path / f"{number}.xml")
        files[-1].write_text(run(f"{words} --output-as=xml")[1])
    assert file.is_file()
    done = subprocess.run(
        ["xmllint", "--noout", "--relaxng", str(SCHEMA), *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )
    failed = [line for line in done.stderr.splitlines() if not line.endswith(" validates")]
    assert failed == []
