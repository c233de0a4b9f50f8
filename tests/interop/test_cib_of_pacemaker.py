"""A CIB that a real Pacemaker 2.1.5 cluster wrote: our tools and Debian's say the same of it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RIG = next(
    (
        p / "shared/rigs/failover"
        for p in ROOT.parents
        if (p / "shared/rigs/failover/failover_rig.py").is_file()
    ),
    None,
)
PROGRAMS = ("pacemakerd", "corosync", "crm_mon", "crm_verify", "crm_simulate", "crm_resource")
MISSING = [
    name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(RIG is None, reason="../shared/rigs/failover is not here"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: nodes are network namespaces"),
    pytest.mark.skipif(bool(MISSING), reason=f"not here: {', '.join(MISSING)}"),
]
TIME = "Last updated"


@pytest.fixture(scope="module")
def cib(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("pacemaker")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    with (folder / "log").open("wb") as log:  # no pipe: the rig's nodes would hold it open
        done = subprocess.run(
            [sys.executable, "-m", "tests.interop.pacemaker_cib", str(RIG), str(folder)],
            check=False,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            timeout=180,
        )
    assert done.returncode == 0, (folder / "log").read_text()[-2000:]
    yield folder / "cib.xml"
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    assert "fo-cib-" not in left.stdout


def said(command: list[str], cib: Path) -> tuple[int, list[str]]:
    """Return the exit status and all lines but the time."""
    environment = {**os.environ, "CIB_file": str(cib), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, timeout=60
    )
    lines = (done.stdout + done.stderr).splitlines()
    return done.returncode, [
        line for line in lines if TIME not in line and "last_update" not in line
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["crm_mon", "-1", "-r"],
        ["crm_mon", "-1", "-n", "-r", "-f", "-o", "-t", "-A"],
        ["crm_mon", "--output-as=xml"],
        ["crm_simulate", "-L", "-S"],
        ["crm_resource", "--list"],
        ["crm_resource", "--locate", "--resource", "svc"],
        ["cibadmin", "--query"],
    ],
    ids=" ".join,
)
def test_our_tool_and_debians_say_the_same(words: list[str], cib: Path) -> None:
    ours = said([sys.executable, "-m", "standfest.cli.main", *words], cib)
    assert ours == said(words, cib)
    assert len(ours[1]) >= 1


def test_it_is_valid_and_nothing_is_left_to_do(cib: Path) -> None:
    us = [sys.executable, "-m", "standfest.cli.main"]
    assert said([*us, "crm_verify", "--xml-file", str(cib)], cib) == (0, [])
    code, lines = said([*us, "simulate", str(cib)], cib)
    assert code == 0
    assert "  nothing to do" in lines
