"""Nodes and resources as crm_mon shows them, ours and Debian's 2.1.5 on the same file, same time.

The CIBs are those of the recorded cases and of the scheduler's suite (with names of options that
2.1.5 knows: the suite's adapter has them). Compared are <nodes> and <resources> of the XML and, of
some, the lines of `crm_mon -1 -r`. `DIFFERENT` names every CIB that differs, by cause.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.interop.test_cib_debian import running, saved

from standfest.cli.tools.crm_mon import command
from standfest.model import xml
from standfest.model.element import Element
from standfest.monitor import crm
from standfest.monitor.crm.show import Show

SHARED = next(
    (place for parent in Path(__file__).resolve().parents if (place := parent / "shared").is_dir()),
    Path("absent"),
)
SAMPLES = SHARED / "facts/formats/samples"
SUITE = SHARED / "suites/scheduler"
AT_LEAST = 600
LINES_OF = 4
"""Of every so many CIBs the lines are compared, too: half a minute is enough."""
LARGEST = 400_000
"""Bytes; larger CIBs say nothing that the others do not."""

DIFFERENT = {
    "2.1.5 lists a stopped instance that is in no configuration, where a record fits no other": (
        *("bug-1765", "bug-5143-ms-shuffle", "coloc-clone-stays-active", "coloc-unpromoted-anti"),
        *("colocation_constraint_stops_promoted", "failcount", "inc10", "interleave-restart"),
        *("probe-3", "promoted-12", "promoted-13", "promoted-demote", "stonith-1", "target-1"),
        "promoted-promotion-constraint",
    ),
    "2.1.5 shows what a lost ticket will lead to (blocked, unclean) as if it were so already": (
        *("ticket-clone-12", "ticket-group-12", "ticket-group-21", "ticket-group-24"),
        *("ticket-group-9", "ticket-lost-fence", "ticket-lost-freeze", "ticket-primitive-9"),
        "ticket-promoted-21",
    ),
    "2.1.5 shows the nodes of a partition that will kill itself as unclean already": (
        "suicide-needed-inquorate",
    ),
    "the CIB is of a later version, whose node_state 2.1.5 does not understand": (
        "coloc-optional-promoted-dependent-moves-1",
        "coloc-optional-promoted-dependent-stays-1",
        "node-pending-timeout",
    ),
    "two entries of one id, of which 2.1.5 takes the older one": (
        *("fence-startup-unseen", "fence-startup-unseen-off", "pending-start"),
    ),
    "2.1.5 shows nothing of a clone whose failed stop blocks it": ("stop-failure-no-fencing",),
    "a clone of LSB services that is said to be unique: 2.1.5 takes it for anonymous": (
        "force-anon-clone-max",
    ),
    "2.1.5 takes what runs in a bundle's only replica for removed": ("bundle-replicas-change",),
    "2.1.5 does not show maintenance of a guest whose connection is not managed": (
        "bundle-probe-order-1",
    ),
}
ALL = frozenset(name for names in DIFFERENT.values() for name in names)

needs_peer = pytest.mark.skipif(shutil.which("crm_mon") is None, reason="crm_mon is not installed")
needs_cases = pytest.mark.skipif(
    not (SAMPLES / "cibs").is_dir() or not SUITE.is_dir(), reason="the recorded CIBs are not here"
)


def downgrade() -> Callable[[str], str]:
    """Return the suite's own way of writing a CIB so that 2.1.5 understands it."""
    path = SUITE / "crm_simulate_adapter.py"
    spec = importlib.util.spec_from_file_location("crm_simulate_adapter", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[str], str] = module.downgrade
    return found


def cases() -> Iterator[tuple[str, str]]:
    """Yield (name, CIB)."""
    for path in sorted([*SAMPLES.glob("cibs/*.xml"), *SAMPLES.glob("scheduler-vectors/*.xml")]):
        yield path.stem, path.read_text()
    change = downgrade()
    for path in sorted(SUITE.glob("visible/*.xml")):
        if path.stat().st_size <= LARGEST:
            yield path.stem, change(path.read_text())


def theirs(path: Path, *words: str) -> str:
    environment = {"PATH": os.environ["PATH"], "CIB_file": str(path), "TZ": "UTC", "LC_ALL": "C"}
    result = subprocess.run(
        ["crm_mon", *words], env=environment, capture_output=True, text=True, check=False
    )
    return result.stdout


def sections(root: ET.Element) -> list[str]:
    """Return what is compared of the XML."""
    found = []
    for tag in ("nodes", "resources"):
        section = root.find(tag)
        found.append("" if section is None else ET.tostring(section, encoding="unicode").strip())
    return found


def listed(text: str) -> list[str]:
    """Return the lines of nodes and resources."""
    lines = text.split("\n")
    ends = [at for at, line in enumerate(lines) if line.startswith("Failed Resource")]
    start = lines.index("Node List:") if "Node List:" in lines else 0
    return [line for line in lines[start : ends[0] if ends else None] if line]


def ours(situation: crm.Situation) -> list[str]:
    parts = (crm.nodes_xml(situation), crm.resources_xml(situation))
    return sections(ET.fromstring(xml.serialise(Element("result", (), parts))))


@needs_peer
@needs_cases
def test_nodes_and_resources_are_shown_as_by_pacemaker(tmp_path: Path) -> None:
    path = tmp_path / "cib.xml"
    different: list[str] = []
    count = 0
    for name, text in cases():
        count += 1
        path.write_text(text)
        situation = crm.read(xml.parse(text, name))
        same = ours(situation) == sections(ET.fromstring(theirs(path, "--output-as=xml")))
        if same and count % LINES_OF == 0:
            shown = listed(crm.text(situation, Show(inactive=True)))
            same = shown == listed(theirs(path, "-1", "-r"))
        if not same:
            different.append(name)
    assert count > AT_LEAST
    assert sorted(different) == sorted(ALL)


FORMS = (
    "-1",
    "-1 -r -f -o -t -A -L -c -R",
    "-1 -n -b -r",
    "-s",
    "--output-as=xml",
    "--output-as=html -r -o",
)
UPDATED = re.compile(r'(Last updated: </span><span>|Last updated: |<last_update time=")[^"<\n]*')


@needs_peer
@pytest.mark.parametrize("words", FORMS)
def test_a_cib_of_our_own_cluster_is_shown_alike(
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = Path(saved(running(), tmp_path))
    monkeypatch.setenv("CIB_file", str(path))
    with pytest.raises(SystemExit) as ended:
        command.main(words.split(), prog_name="crm_mon")
    shown = capsys.readouterr().out
    assert not ended.value.code
    assert "node-1" in shown or words == "-s"
    assert UPDATED.sub(r"\1", shown) == UPDATED.sub(r"\1", theirs(path, *words.split()))
