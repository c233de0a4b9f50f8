"""Access rules at random: `cibadmin --show-access` by Debian's tool and by ours."""

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.administering import SHARED, run

from standfest.config.cib.schema.validate import validate
from standfest.model import xml

DOCUMENTS = 60
FILES = ("web-running.xml", "standby-maint-ticket.xml", "promotable.xml", "node-lost-fencing.xml")
XPATHS = (
    "/cib",
    "/cib/configuration",
    "//resources",
    "//nvpair",
    "//primitive/@id",
    "//nvpair[@name='ip']",
    "/cib/configuration/*[1]",
    "//node[last()]",
    "//op[@interval]",
    "/cib/status",
    "//nothing",
)
TYPES = ("nodes", "node", "primitive", "constraints", "nvpair", "crm_config", "lrm_rsc_op")
pytestmark = pytest.mark.skipif(
    shutil.which("cibadmin") is None or not SHARED.is_dir(),
    reason="needs Debian's pacemaker-cli-utils and ../shared/facts/formats/samples",
)


def permission(rng: random.Random, number: int, ids: list[str]) -> str:
    kind = rng.choice(("read", "write", "deny"))
    what = rng.choice(
        (
            f'xpath="{rng.choice(XPATHS)}"',
            f'reference="{rng.choice(ids)}"',
            f'object-type="{rng.choice(TYPES)}"',
            f'object-type="{rng.choice(TYPES)}" attribute="{rng.choice(("id", "name", "value"))}"',
        )
    )
    return f'<acl_permission id="perm{number}" kind="{kind}" {what}/>'


def document(rng: random.Random) -> str:
    """Return a sample with rules: two roles, of which the user `somebody` has one or both."""
    text = (SHARED / "cibs" / rng.choice(FILES)).read_text(encoding="utf-8")
    ids = [part.partition('"')[0] for part in text.split(' id="')[1:40]]
    roles = "".join(
        f'<acl_role id="role{role}">'
        + "".join(permission(rng, 10 * role + n, ids) for n in range(rng.randrange(1, 5)))
        + "</acl_role>"
        for role in (1, 2)
    )
    mine = "".join(f'<role id="role{role}"/>' for role in rng.sample((1, 2), rng.randrange(1, 3)))
    rules = f'<acls>{roles}<acl_target id="somebody">{mine}</acl_target></acls>'
    return text.replace("</configuration>", f"{rules}</configuration>", 1)


@pytest.mark.parametrize("form", ["text", "color", "namespace"])
def test_the_same_is_shown_of_the_same_rules(form: str, tmp_path: Path) -> None:
    path = tmp_path / "cib.xml"
    marks, compared = set[str](), 0
    for seed in range(DOCUMENTS):
        path.write_text(document(random.Random(seed)), encoding="utf-8")
        words = ["--show-access=" + form, "-U", "somebody", "-Q"]
        theirs = subprocess.run(
            ["cibadmin", *words],
            env={**os.environ, "CIB_file": str(path)},
            capture_output=True,
            text=True,
            check=False,
        )
        if validate(xml.parse(path.read_bytes(), "cib"), "cib"):
            assert theirs.returncode == 78, f"seed {seed}"  # a reference to what has no id
            continue
        compared += 1
        ours = run(["cibadmin", *words], {"CIB_file": str(path)})
        assert (ours.code, theirs.returncode) == (0, 0), f"seed {seed}"
        assert ours.text == theirs.stdout, f"seed {seed}"
        marks |= {word for word in ("READABLE", "WRITABLE", "DENIED") if word in ours.text}
    assert compared >= 40
    if form == "text":
        assert len(marks) == 3


def test_who_and_how_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "cib.xml"
    path.write_text(document(random.Random(1)), encoding="utf-8")
    at = {"CIB_file": str(path)}
    assert run(["cibadmin", "--show-access", "-Q"], at).code == 64
    assert run(["cibadmin", "--show-access", "-U", "root", "-Q"], at).code == 78
    assert run(["cibadmin", "--show-access=bogus", "-U", "eve", "-Q"], at).code == 64
    nobody = run(["cibadmin", "-S", "-U", "nobody-known", "-Q"], at)
    assert nobody.text.splitlines()[:2] == [
        "<!-- ACLs as evaluated for user nobody-known -->",
        "vvv---[ ~DENIED~ ]---vvv",
    ]
