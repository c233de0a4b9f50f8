"""Each rule is seen to fail: a sample tree that breaks it, and one beside it that does not."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.tidy import rules
from tests.tidy.modules import read_modules
from tests.tidy.rules import Rule


@dataclass(frozen=True, slots=True)
class Sample:
    """A file that breaks a rule (what the finding ends with), or keeps it (`finding` is empty)."""

    rule: Rule
    path: str
    source: str
    finding: str = ""


ARROWS = rules.arrows_point_down
PURE = rules.machines_are_pure
CORE = rules.machines_do_not_know_each_other
SIM = rules.a_simulation_uses_memory_adapters_only
LIBRARIES = rules.libraries_stay_where_they_are_used
ABSOLUTE = rules.imports_are_absolute
DRAWER = rules.no_module_is_a_drawer
SHELL = rules.nothing_runs_through_a_shell
INIT = rules.packages_do_nothing_when_imported
LATER = rules.nothing_is_left_for_later
LINES = rules.modules_fit_in_a_reading

SAMPLES = [
    Sample(ARROWS, "model/a.py", "import standfest.core.cib", ":1: model imports standfest.core.cib"),
    Sample(ARROWS, "core/cib/a.py", "from standfest.wire import b", "core imports standfest.wire.b"),
    Sample(ARROWS, "wire/a.py", "from standfest import core", "wire imports standfest.core"),
    Sample(ARROWS, "config/a.py", "import standfest.ports.b", "config imports standfest.ports.b"),
    Sample(ARROWS, "ports/a.py", "import standfest.config.b", "ports imports standfest.config.b"),
    Sample(ARROWS, "core/a/b.py", "import standfest.runtime", "core imports standfest.runtime"),
    Sample(ARROWS, "core/a/b.py", "def f():\n from standfest.sim import x", ":2: core imports standfest.sim.x"),
    Sample(ARROWS, "runtime/a.py", "import standfest.adapters.b", "runtime imports standfest.adapters.b"),
    Sample(ARROWS, "adapters/a.py", "import standfest.core.b", "adapters imports standfest.core.b"),
    Sample(ARROWS, "adapters/a.py", "import standfest.agents.b", "adapters imports standfest.agents.b"),
    Sample(ARROWS, "agents/a.py", "import standfest.adapters.linux", "agents imports standfest.adapters.linux"),
    Sample(ARROWS, "agents/front.py", "import standfest.adapters.memory", "imports standfest.adapters.memory"),
    Sample(ARROWS, "agents/front.py", "import standfest.adapters.linux.b"),
    Sample(ARROWS, "daemons/a.py", "import standfest.sim", "daemons imports standfest.sim"),
    Sample(ARROWS, "daemons/a.py", "import standfest.cli.b", "daemons imports standfest.cli.b"),
    Sample(ARROWS, "daemons/a.py", "import standfest.adapters, standfest.agents, standfest.runtime"),
    Sample(ARROWS, "lab/a.py", "import standfest.cli", "lab imports standfest.cli"),
    Sample(ARROWS, "monitor/a.py", "import standfest.lab", "monitor imports standfest.lab"),
    Sample(ARROWS, "cli/a.py", "import standfest.lab.b, standfest.monitor"),
    Sample(ARROWS, "attic/a.py", "import standfest.model", "room attic has no place in the layers"),
    Sample(ARROWS, "core/cib/a.py", "from standfest.model.time import Instant"),
    Sample(SIM, "sim/a.py", "import standfest.adapters.linux.b", "sim imports standfest.adapters.linux.b"),
    Sample(SIM, "sim/a.py", "import standfest.adapters.memory.b"),
    Sample(CORE, "core/cib/a.py", "import standfest.core.scheduler.b", "cib imports standfest.core.scheduler.b"),
    Sample(CORE, "core/cib/a.py", "from standfest.core import executor", "imports standfest.core.executor"),
    Sample(CORE, "core/cib/a.py", "import standfest.core.cib.b"),
    *(
        Sample(PURE, f"{room}/a.py", f"import {name}", f"{room} imports {name}")
        for room in ("core", "wire", "model")
        for name in sorted(rules.BANNED_IN_PURE)
    ),
    *(
        Sample(PURE, "core/a.py", f"{name}('x')", f"core calls {name}()")
        for name in sorted(rules.BANNED_CALLS_IN_PURE)
    ),
    Sample(PURE, "core/a.py", "from os.path import join", "core imports os.path.join"),
    Sample(PURE, "wire/a.py", "import msgspec", "wire imports the library msgspec"),
    Sample(PURE, "wire/a.py", "import hashlib, hmac, struct, zlib"),
    Sample(PURE, "runtime/a.py", "import time, msgspec"),
    Sample(LIBRARIES, "daemons/a.py", "from pyroute2 import IPRoute", "daemons imports pyroute2"),
    Sample(LIBRARIES, "daemons/a.py", "import click", "daemons imports click"),
    Sample(LIBRARIES, "adapters/a.py", "import rich.table", "adapters imports rich"),
    Sample(LIBRARIES, "lab/a.py", "import pyroute2, rich"),
    Sample(ABSOLUTE, "cli/a.py", "from . import b", "relative import of b"),
    Sample(ABSOLUTE, "cli/a.py", "from ..lab.c import b", "relative import of lab.c.b"),
    Sample(ABSOLUTE, "cli/a.py", "from standfest.cli import b"),
    Sample(DRAWER, "cli/utils.py", "", "name what it is for"),
    Sample(DRAWER, "cli/util/__init__.py", "", "name what it is for"),
    Sample(DRAWER, "cli/utilisation.py", ""),
    Sample(LINES, "cli/a.py", "a = 1\n" * 501, "501 lines; expected at most 500"),
    Sample(LINES, "cli/a.py", "a = 1\n" * 500),
    Sample(INIT, "cli/__init__.py", "connect()", ":1: code in a package's __init__.py"),
    Sample(INIT, "cli/__init__.py", "limit = 3", ":1: code in a package's __init__.py"),
    Sample(INIT, "cli/__init__.py", '"""Doc."""\nfrom a import b\n__all__ = ["b"]'),
    Sample(SHELL, "cli/a.py", "subprocess.run(x, shell=True)", "shell=True"),
    Sample(SHELL, "cli/a.py", "os.system('x')", "os.system runs a shell"),
    Sample(SHELL, "cli/a.py", "subprocess.run(x, shell=False)"),
    Sample(LATER, "cli/a.py", "a = 1\n# TO" "DO: b", ":2: TO" "DO"),
    Sample(LATER, "cli/a.py", "done = 1"),
]  # fmt: skip


def findings(tmp_path: Path, sample: Sample) -> list[str]:
    file = tmp_path / "standfest" / sample.path
    file.parent.mkdir(parents=True)
    file.write_text(sample.source, encoding="utf-8")
    return [finding for module in read_modules(tmp_path) for finding in sample.rule(module)]


@pytest.mark.parametrize(
    "sample", [sample for sample in SAMPLES if sample.finding], ids=lambda sample: sample.finding
)
def test_the_rule_reports_what_breaks_it(tmp_path: Path, sample: Sample) -> None:
    found = findings(tmp_path, sample)
    assert len(found) == 1
    assert found[0].endswith(sample.finding)


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if not sample.finding])
def test_the_rule_is_silent_about_what_keeps_it(tmp_path: Path, sample: Sample) -> None:
    assert findings(tmp_path, sample) == []


def test_every_rule_was_seen_to_fail_and_to_pass() -> None:
    for expects_finding in (True, False):
        sampled = {sample.rule for sample in SAMPLES if bool(sample.finding) is expects_finding}
        assert sampled == set(rules.RULES)
