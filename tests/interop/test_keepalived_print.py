"""What `standfest check --print` prints is to keepalived what the file was: the same verdict."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns import vrrp_lab

from standfest.config.keepalived.load import read
from standfest.config.keepalived.source import Setting
from standfest.config.keepalived.write import write

CORPUS = next(
    (
        place
        for parent in Path(__file__).resolve().parents
        if (place := parent / "shared/suites/keepalived/visible").is_dir()
    ),
    Path("absent"),
)
SKIP = vrrp_lab.why_not("keepalived")
if not (CORPUS / "labels.json").is_file():
    SKIP = SKIP or "the keepalived.conf corpus is not here"
pytestmark = pytest.mark.skipif(bool(SKIP), reason=SKIP)

EVERY = 6
"""Every sixth file of the corpus; each costs keepalived a tenth of a second."""
LIMIT_S = 20


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """Give keepalived a machine of its own: it looks at interfaces."""
    name = f"sfprint{os.getpid()}"
    vrrp_lab.ip("netns", "add", name)
    try:
        vrrp_lab.ip("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
        for link in ("lo", "eth0", "eth1"):
            vrrp_lab.ip("-n", name, "link", "set", link, "up")
        vrrp_lab.ip("-n", name, "address", "add", "10.1.0.1/24", "dev", "eth0")
        yield name
    finally:
        vrrp_lab.ip("netns", "delete", name)


def verdict(namespace: str, path: Path, text: str) -> int:
    """Return what `keepalived -t` exits with."""
    path.write_bytes(text.encode("utf-8", "replace"))
    words = [f"--config-test={path.with_suffix('.log')}", "-i", "buildhost", "-f", str(path)]
    return subprocess.run(
        ["ip", "netns", "exec", namespace, "keepalived", *words],
        check=False,
        capture_output=True,
        timeout=LIMIT_S,
        start_new_session=True,
    ).returncode


def test_keepalived_thinks_of_what_is_printed_as_of_the_file(
    namespace: str, tmp_path: Path
) -> None:
    """Includes are expanded in what is printed, and here they lead nowhere: files without them."""
    compared, accepted, different = 0, 0, []
    for label in json.loads((CORPUS / "labels.json").read_text())[::EVERY]:
        text = (CORPUS / label["file"]).read_bytes().decode("utf-8", "replace")
        parsed = read(text, label["file"], Setting("buildhost"))
        refused = any(finding.refuses for finding in parsed.report.findings)
        if refused or label["uses_include"] or label["selfkill_quirk"]:
            continue
        before = verdict(namespace, tmp_path / "before.conf", text)
        after = verdict(namespace, tmp_path / "after.conf", write(parsed.statements))
        compared, accepted = compared + 1, accepted + (after == 0)
        if before != after:
            different.append((label["file"], before, after))
    assert different == []
    print(f"{compared} files, {accepted} of them without any complaint, the same verdict for all")
    assert compared > 30
